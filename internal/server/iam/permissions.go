package iam

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/resourcetags"
)

// Users, groups and roles get their permissions in the same ways, through
// operations whose names differ only in the kind: PutUserPolicy, PutGroupPolicy,
// PutRolePolicy. So here is one of each, and the kind is a parameter.

// A principalEntity has permissions: a user, a group or a role.
type principalEntity interface {
	Entity
	permissions() *Permissions
}

// MaxAttached is the number of managed policies that a principalEntity can have, and
// MaxInline the size of all its inline policies, as [policy.Size] counts it (IAM
// User Guide, "IAM and AWS STS quotas").
const MaxAttached = 10

var MaxInline = map[Kind]int{KindUser: 2048, KindGroup: 5120, KindRole: 10240}

// MaxManaged and MaxTrust are the sizes of a managed policy and of a trust
// policy, counted in the same way.
const (
	MaxManaged = 6144
	MaxTrust   = 2048
)

// empty reports a DeleteConflict while policies are left.
func (p *Permissions) empty() error {
	switch {
	case len(p.Attached) > 0:
		return conflict("Cannot delete entity, must detach all policies first.")
	case len(p.Inline) > 0:
		return conflict("Cannot delete entity, must delete policies first.")
	}
	return nil
}

func (p *Permissions) indexInline(name string) (int, bool) {
	return slices.BinarySearchFunc(p.Inline, name, func(a InlinePolicy, name string) int { return cmp.Compare(a.Name, name) })
}

// edit changes the permissions of a principalEntity, after req is authorized on it.
func (s *Service) edit(ctx context.Context, kind Kind, name string, req authz.Request, fn func(d *Draft, h principalEntity) error) error {
	return s.change(ctx, func(d *Draft) error {
		old, err := find[principalEntity](ctx, s, d.Snapshot, kind, name, req)
		if err != nil {
			return err
		}
		if r, ok := old.(*Role); ok {
			if err := r.unmodifiable(); err != nil {
				return err
			}
		}
		h := copyOf(old)
		if err := fn(d, h); err != nil {
			return err
		}
		d.set(h)
		return nil
	})
}

func copyOf(h principalEntity) principalEntity {
	switch h := h.(type) {
	case *User:
		c := *h
		return &c
	case *Group:
		c := *h
		return &c
	case *Role:
		c := *h
		return &c
	}
	panic("iam: no principalEntity: " + string(h.Kind()))
}

// PutInlinePolicy adds an inline policy to a user, group or role, or replaces
// the one of that name. Faults: ValidationError, NoSuchEntity,
// MalformedPolicyDocument, LimitExceeded.
func (s *Service) PutInlinePolicy(ctx context.Context, kind Kind, name, policyName, document string) error {
	req := authz.Request{Action: "iam:Put" + string(kind) + "Policy"}
	return s.edit(ctx, kind, name, req, func(_ *Draft, h principalEntity) error {
		if err := CheckName(KindPolicy, policyName); err != nil {
			return err
		}
		if err := CheckDocument(document, policy.Identity); err != nil {
			return err
		}
		p := h.permissions()
		i, found := p.indexInline(policyName)
		inline := slices.Clone(p.Inline)
		if found {
			inline[i].Document = document
		} else {
			inline = slices.Insert(inline, i, InlinePolicy{Name: policyName, Document: document})
		}
		p.Inline = inline
		return CheckInlineSize(kind, name, inline)
	})
}

// CheckInlineSize checks the size of all inline policies of a principalEntity together.
func CheckInlineSize(kind Kind, name string, inline []InlinePolicy) error {
	size := 0
	for _, doc := range inline {
		size += policy.Size(doc.Document)
	}
	if size > MaxInline[kind] {
		return limit("Maximum policy size of %d bytes exceeded for %s %s", MaxInline[kind], kind.Noun(), name)
	}
	return nil
}

// CheckDocument parses a policy. Fault: MalformedPolicyDocument.
func CheckDocument(document string, kind policy.Kind) error {
	return malformed(policy.Check(document, kind))
}

// malformed turns an error of package policy into the fault
// MalformedPolicyDocument: AWS's sentence, with the details as its cause.
func malformed(err error) error {
	var wrong *policy.MalformedError
	if !errors.As(err, &wrong) {
		return err
	}
	return fault.Wrap(wrong, fault.Invalid, "MalformedPolicyDocument", "%s", wrong.Message)
}

// InlinePolicy returns an inline policy. Faults: NoSuchEntity.
func (s *Service) InlinePolicy(ctx context.Context, kind Kind, name, policyName string) (InlinePolicy, error) {
	h, err := find[principalEntity](ctx, s, s.current.Load(), kind, name, authz.Request{Action: "iam:Get" + string(kind) + "Policy"})
	if err != nil {
		return InlinePolicy{}, err
	}
	p := h.permissions()
	i, ok := p.indexInline(policyName)
	if !ok {
		return InlinePolicy{}, noInline(kind, policyName)
	}
	return p.Inline[i], nil
}

func noInline(kind Kind, policyName string) error {
	return fault.New(fault.NotFound, "NoSuchEntity", "The %s policy with name %s cannot be found.", kind.Noun(), policyName)
}

// InlinePolicies returns all inline policies, in the order of their names.
// Faults: NoSuchEntity.
func (s *Service) InlinePolicies(ctx context.Context, kind Kind, name string) ([]InlinePolicy, error) {
	h, err := find[principalEntity](ctx, s, s.current.Load(), kind, name, authz.Request{Action: "iam:List" + string(kind) + "Policies"})
	if err != nil {
		return nil, err
	}
	return h.permissions().Inline, nil
}

// DeleteInlinePolicy deletes an inline policy. Faults: NoSuchEntity.
func (s *Service) DeleteInlinePolicy(ctx context.Context, kind Kind, name, policyName string) error {
	req := authz.Request{Action: "iam:Delete" + string(kind) + "Policy"}
	return s.edit(ctx, kind, name, req, func(_ *Draft, h principalEntity) error {
		p := h.permissions()
		i, ok := p.indexInline(policyName)
		if !ok {
			return noInline(kind, policyName)
		}
		p.Inline = slices.Delete(slices.Clone(p.Inline), i, i+1)
		return nil
	})
}

// usable returns the managed policy that the account may attach, or a fault
// NoSuchEntity: one of its own or of AWS's.
func usable(sn *Snapshot, account, policyARN string) (*Policy, error) {
	if err := checkPolicyARN(policyARN); err != nil {
		return nil, err
	}
	p, ok := sn.policyByARN(policyARN)
	if !ok || p.Account != account && !p.AWSManaged() {
		return nil, fault.New(fault.NotFound, "NoSuchEntity", "Policy %s does not exist or is not attachable.", policyARN).About("policy", policyARN)
	}
	return p, nil
}

// checkPolicyARN refuses what is not an ARN.
func checkPolicyARN(policyARN string) error {
	if _, err := arn.Parse(policyARN); err != nil {
		return invalid("Invalid ARN:  Could not be parsed!") // AWS's sentence, with both spaces
	}
	return nil
}

func policyKey(policyARN string) map[string][]string {
	return map[string][]string{"iam:PolicyARN": {policyARN}}
}

// AttachPolicy attaches a managed policy to a user, group or role; one that is
// attached stays so. Faults: NoSuchEntity, LimitExceeded.
func (s *Service) AttachPolicy(ctx context.Context, kind Kind, name, policyARN string) error {
	req := authz.Request{Action: "iam:Attach" + string(kind) + "Policy", Keys: policyKey(policyARN)}
	return s.edit(ctx, kind, name, req, func(d *Draft, h principalEntity) error {
		attached, err := usable(d.Snapshot, h.Base().Account, policyARN)
		if err != nil {
			return err
		}
		if attached.ofService() {
			return fault.New(fault.Invalid, "PolicyNotAttachable", "Cannot attach a Service Role Policy to a Customer %s.", kind)
		}
		p := h.permissions()
		if slices.Contains(p.Attached, policyARN) {
			return nil
		}
		if len(p.Attached) == MaxAttached {
			return TooManyAttached(kind)
		}
		p.Attached = append(slices.Clone(p.Attached), policyARN)
		return nil
	})
}

func TooManyAttached(kind Kind) error {
	return limit("Cannot exceed quota for PoliciesPer%s: %d", kind, MaxAttached)
}

// DetachPolicy detaches a managed policy. Faults: NoSuchEntity.
func (s *Service) DetachPolicy(ctx context.Context, kind Kind, name, policyARN string) error {
	req := authz.Request{Action: "iam:Detach" + string(kind) + "Policy", Keys: policyKey(policyARN)}
	return s.edit(ctx, kind, name, req, func(_ *Draft, h principalEntity) error {
		if err := checkPolicyARN(policyARN); err != nil {
			return err
		}
		p := h.permissions()
		if !slices.Contains(p.Attached, policyARN) {
			return fault.New(fault.NotFound, "NoSuchEntity", "Policy %s was not found.", policyARN).About("policy", policyARN)
		}
		p.Attached = without(p.Attached, policyARN)
		return nil
	})
}

// AttachedPolicies returns the managed policies that are attached to a user,
// group or role and whose path begins with the prefix. Faults: NoSuchEntity.
func (s *Service) AttachedPolicies(ctx context.Context, kind Kind, name, pathPrefix string) ([]*Policy, error) {
	sn := s.current.Load()
	h, err := find[principalEntity](ctx, s, sn, kind, name, authz.Request{Action: "iam:ListAttached" + string(kind) + "Policies"})
	if err != nil {
		return nil, err
	}
	var attached []*Policy
	for _, a := range h.permissions().Attached {
		if p, ok := sn.policyByARN(a); ok && strings.HasPrefix(p.Path, pathPrefix) {
			attached = append(attached, p)
		}
	}
	return attached, nil
}

// PutBoundary sets the permissions boundary of a user or role. Faults:
// NoSuchEntity.
func (s *Service) PutBoundary(ctx context.Context, kind Kind, name, policyARN string) error {
	req := authz.Request{Action: "iam:Put" + string(kind) + "PermissionsBoundary", Keys: boundaryKey(policyARN)}
	return s.edit(ctx, kind, name, req, func(d *Draft, h principalEntity) error {
		if _, err := usable(d.Snapshot, h.Base().Account, policyARN); err != nil {
			return err
		}
		h.permissions().Boundary = policyARN
		return nil
	})
}

// DeleteBoundary takes the permissions boundary of a user or role away. Faults:
// NoSuchEntity.
func (s *Service) DeleteBoundary(ctx context.Context, kind Kind, name string) error {
	req := authz.Request{Action: "iam:Delete" + string(kind) + "PermissionsBoundary"}
	return s.edit(ctx, kind, name, req, func(_ *Draft, h principalEntity) error {
		p := h.permissions()
		if p.Boundary == "" {
			return fault.New(fault.NotFound, "NoSuchEntity", "The %s with name %s has no permissions boundary.", kind.Noun(), name)
		}
		p.Boundary = ""
		return nil
	})
}

// TagEntity adds tags to a user or role; see [Service.TagPolicy] for policies.
// Faults: NoSuchEntity, ValidationError, InvalidInput, LimitExceeded.
func (s *Service) TagEntity(ctx context.Context, kind Kind, name string, tags []Tag) error {
	req := authz.Request{Action: "iam:Tag" + string(kind), RequestTags: resourcetags.Map(tags)}
	return s.edit(ctx, kind, name, req, func(_ *Draft, h principalEntity) (err error) {
		c := h.Base()
		c.Tags, err = MergeTags(c.Tags, tags)
		return err
	})
}

// UntagEntity takes tags from a user or role. Faults: NoSuchEntity.
func (s *Service) UntagEntity(ctx context.Context, kind Kind, name string, keys []string) error {
	req := authz.Request{Action: "iam:Untag" + string(kind), Keys: map[string][]string{"aws:TagKeys": keys}}
	return s.edit(ctx, kind, name, req, func(_ *Draft, h principalEntity) error {
		h.Base().Tags = resourcetags.Without(h.Base().Tags, keys)
		return nil
	})
}

// EntityTags returns the tags of a user or role. Faults: NoSuchEntity.
func (s *Service) EntityTags(ctx context.Context, kind Kind, name string) ([]Tag, error) {
	h, err := find[principalEntity](ctx, s, s.current.Load(), kind, name, authz.Request{Action: "iam:List" + string(kind) + "Tags"})
	if err != nil {
		return nil, err
	}
	return h.Base().Tags, nil
}
