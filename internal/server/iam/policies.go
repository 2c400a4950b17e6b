package iam

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/token"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/resourcetags"
)

// MaxVersions is the number of versions that a managed policy can have (IAM User
// Guide, "Versioning IAM policies").
const MaxVersions = 5

// CreatePolicy creates a managed policy with one version. Faults:
// ValidationError, InvalidInput, EntityAlreadyExists, MalformedPolicyDocument,
// LimitExceeded.
func (s *Service) CreatePolicy(ctx context.Context, n NewEntity, description, document string) (p *Policy, err error) {
	err = s.change(ctx, func(d *Draft) error {
		common, err := s.begin(ctx, d.Snapshot, KindPolicy, token.ManagedPolicy, n)
		if err != nil {
			return err
		}
		if err := checkNewVersion(document); err != nil {
			return err
		}
		p = &Policy{
			Common: common, Description: description, Updated: common.Created,
			Versions: []PolicyVersion{{Number: 1, Created: common.Created, Document: document}},
			Default:  1, Last: 1,
		}
		d.set(p)
		return nil
	})
	return p, err
}

func CheckManagedPolicy(document string) error {
	if policy.Size(document) > MaxManaged {
		return limit("Cannot exceed quota for PolicySize: %d", MaxManaged)
	}
	return CheckDocument(document, policy.Identity)
}

// checkNewVersion is [CheckManagedPolicy] for the API, which also refuses the old
// version of the policy language. A declared policy may have it: files that were
// accepted once go on working.
func checkNewVersion(document string) error {
	err := CheckManagedPolicy(document)
	if err == nil {
		err = malformed(policy.CheckVersion(document))
	}
	return err
}

// managed authorizes an action on a managed policy and returns it. Faults:
// NoSuchEntity.
func (s *Service) managed(ctx context.Context, sn *Snapshot, policyARN string, req authz.Request) (*Policy, error) {
	c, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkPolicyARN(policyARN); err != nil {
		return nil, err
	}
	p, ok := sn.policyByARN(policyARN)
	ok = ok && (p.Account == c.Account || p.AWSManaged())
	req.Resource = policyARN
	if ok {
		req.ResourceTags = resourcetags.Map(p.Tags)
	}
	if err := s.authz.Authorize(ctx, &req); err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.New(fault.NotFound, "NoSuchEntity", "Policy %s was not found.", policyARN).About("policy", policyARN)
	}
	return p, nil
}

// customerManaged is [Service.managed] for a change, which AWS's own policies
// refuse.
func (s *Service) customerManaged(ctx context.Context, sn *Snapshot, policyARN string, req authz.Request) (*Policy, error) {
	p, err := s.managed(ctx, sn, policyARN, req)
	if err != nil {
		return nil, err
	}
	if p.AWSManaged() {
		return nil, fault.New(fault.Denied, "AccessDenied", "The policy %s is managed by AWS and cannot be changed.", policyARN)
	}
	return p, nil
}

// editPolicy changes a customer-managed policy.
func (s *Service) editPolicy(ctx context.Context, policyARN string, req authz.Request, fn func(*Policy) error) error {
	return s.change(ctx, func(d *Draft) error {
		old, err := s.customerManaged(ctx, d.Snapshot, policyARN, req)
		if err != nil {
			return err
		}
		p := *old
		if err := fn(&p); err != nil {
			return err
		}
		d.set(&p)
		return nil
	})
}

// ManagedPolicy returns a managed policy of the caller's account or of AWS, and
// how many entities it is attached to and the boundary of, in that account.
// Faults: NoSuchEntity.
func (s *Service) ManagedPolicy(ctx context.Context, policyARN string) (PolicyUse, error) {
	c, err := caller(ctx)
	if err != nil {
		return PolicyUse{}, err
	}
	sn := s.current.Load()
	p, err := s.managed(ctx, sn, policyARN, authz.Request{Action: "iam:GetPolicy"})
	if err != nil {
		return PolicyUse{}, err
	}
	return sn.use(c.Account, p), nil
}

// A PolicyUse is a managed policy with the number of its uses.
type PolicyUse struct {
	*Policy
	Attachments, Boundaries int
}

func (s *Snapshot) use(account string, p *Policy) PolicyUse {
	a := p.ARN()
	return PolicyUse{p, s.uses(attachmentOf(account, a)), s.uses(boundaryOf(account, a))}
}

// A Scope says whose managed policies are meant.
type Scope string

// The scopes, as the API names them.
const (
	ScopeAll   Scope = "All"
	ScopeAWS   Scope = "AWS"
	ScopeLocal Scope = "Local"
)

// A PolicyFilter selects from the managed policies.
type PolicyFilter struct {
	Scope Scope // empty is All
	// OnlyAttached leaves out those that are not in use; OnlyPermissions and
	// OnlyBoundary say which use counts.
	OnlyAttached, OnlyBoundary, OnlyPermissions bool
}

func (f PolicyFilter) accepts(u PolicyUse) bool {
	switch {
	case f.OnlyBoundary && u.Boundaries == 0, f.OnlyPermissions && u.Attachments == 0:
		return false
	case f.OnlyAttached:
		return u.Attachments+u.Boundaries > 0
	}
	return true
}

// ManagedPolicies lists managed policies: first the ones of the caller's account,
// then AWS's.
func (s *Service) ManagedPolicies(ctx context.Context, f PolicyFilter, p Page) (Listing[PolicyUse], error) {
	var l Listing[PolicyUse]
	c, err := s.authorizeList(ctx, "iam:ListPolicies", KindPolicy, p.PathPrefix)
	if err != nil {
		return l, err
	}
	sn := s.current.Load()
	if p.Limit == 0 {
		p.Limit = DefaultPage
	}
	// The part before the slash says in whose policies the page begins.
	from, after := c.Account, p.After
	if rest, ok := strings.CutPrefix(p.After, AWSAccount+"/"); ok {
		from, after = AWSAccount, rest
	}
	for _, owner := range []string{c.Account, AWSAccount} {
		if from == AWSAccount && owner != AWSAccount || f.Scope == ScopeAWS && owner != AWSAccount || f.Scope == ScopeLocal && owner == AWSAccount {
			continue
		}
		if owner != from {
			after = ""
		}
		part := page(sn, owner, KindPolicy, Page{PathPrefix: p.PathPrefix, After: after, Limit: p.Limit + 1 - len(l.Entries)}, func(p *Policy) bool { return f.accepts(sn.use(c.Account, p)) })
		for _, p := range part.Entries {
			l.Entries = append(l.Entries, sn.use(c.Account, p))
		}
	}
	if len(l.Entries) > p.Limit {
		l.Entries = l.Entries[:p.Limit]
		last := l.Entries[p.Limit-1]
		if l.Next = last.Name; last.AWSManaged() {
			l.Next = AWSAccount + "/" + last.Name
		}
	}
	return l, nil
}

// DeletePolicy deletes a managed policy with only its default version, which is
// in no use. Faults: NoSuchEntity, DeleteConflict.
func (s *Service) DeletePolicy(ctx context.Context, policyARN string) error {
	return s.change(ctx, func(d *Draft) error {
		p, err := s.customerManaged(ctx, d.Snapshot, policyARN, authz.Request{Action: "iam:DeletePolicy"})
		if err != nil {
			return err
		}
		if err := undeclared(p); err != nil {
			return err
		}
		use := d.use(p.Account, p)
		switch {
		case use.Attachments > 0:
			return conflict("Cannot delete a policy attached to entities.")
		case use.Boundaries > 0:
			return conflict("Cannot delete a policy that is a permissions boundary of entities.")
		case len(p.Versions) > 1:
			return conflict("This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
		}
		d.remove(p)
		return nil
	})
}

// CreatePolicyVersion adds a version, and makes it the default if asDefault
// is set. Faults: NoSuchEntity, MalformedPolicyDocument, LimitExceeded.
func (s *Service) CreatePolicyVersion(ctx context.Context, policyARN, document string, asDefault bool) (p *Policy, v PolicyVersion, err error) {
	err = s.editPolicy(ctx, policyARN, authz.Request{Action: "iam:CreatePolicyVersion"}, func(edited *Policy) error {
		p = edited
		if len(p.Versions) == MaxVersions {
			return limit("A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", MaxVersions)
		}
		if err := checkNewVersion(document); err != nil {
			return err
		}
		v = p.AddVersion(document, s.second())
		if asDefault {
			p.Default = v.Number
		}
		return nil
	})
	return p, v, err
}

// AddVersion gives p, a copy, another version.
func (p *Policy) AddVersion(document string, at time.Time) PolicyVersion {
	p.Last++
	v := PolicyVersion{Number: p.Last, Created: at, Document: document}
	p.Versions = append(slices.Clone(p.Versions), v)
	p.Updated = at
	return v
}

// SetDefaultPolicyVersion puts a version in force. Faults: NoSuchEntity.
func (s *Service) SetDefaultPolicyVersion(ctx context.Context, policyARN string, number int) error {
	return s.editPolicy(ctx, policyARN, authz.Request{Action: "iam:SetDefaultPolicyVersion"}, func(p *Policy) error {
		if _, ok := p.Version(number); !ok {
			return noVersion(policyARN, number)
		}
		if number != p.Default {
			p.Default, p.Updated = number, s.second()
		}
		return nil
	})
}

// DeletePolicyVersion deletes a version that is not the default. Faults:
// NoSuchEntity, DeleteConflict.
func (s *Service) DeletePolicyVersion(ctx context.Context, policyARN string, number int) error {
	return s.editPolicy(ctx, policyARN, authz.Request{Action: "iam:DeletePolicyVersion"}, func(p *Policy) error {
		if _, ok := p.Version(number); !ok {
			return noVersion(policyARN, number)
		}
		if number == p.Default {
			return conflict("Cannot delete the default version of a policy.")
		}
		p.Versions = slices.DeleteFunc(slices.Clone(p.Versions), func(v PolicyVersion) bool { return v.Number == number })
		p.Updated = s.second()
		return nil
	})
}

// PolicyVersion returns a version and its policy. Faults: NoSuchEntity.
func (s *Service) PolicyVersion(ctx context.Context, policyARN string, number int) (*Policy, PolicyVersion, error) {
	p, err := s.managed(ctx, s.current.Load(), policyARN, authz.Request{Action: "iam:GetPolicyVersion"})
	if err != nil {
		return nil, PolicyVersion{}, err
	}
	v, ok := p.Version(number)
	if !ok {
		return nil, PolicyVersion{}, noVersion(policyARN, number)
	}
	return p, v, nil
}

func noVersion(policyARN string, number int) error {
	return fault.New(fault.NotFound, "NoSuchEntity", "Policy %s version v%d does not exist or is not attachable.", policyARN, number)
}

// PolicyVersions returns a policy for the sake of its versions. Faults:
// NoSuchEntity.
func (s *Service) PolicyVersions(ctx context.Context, policyARN string) (*Policy, error) {
	return s.managed(ctx, s.current.Load(), policyARN, authz.Request{Action: "iam:ListPolicyVersions"})
}

// TagPolicy, UntagPolicy and PolicyTags are for managed policies what
// [Service.TagEntity] and its like are for users and roles.
func (s *Service) TagPolicy(ctx context.Context, policyARN string, tags []Tag) error {
	req := authz.Request{Action: "iam:TagPolicy", RequestTags: resourcetags.Map(tags)}
	return s.editPolicy(ctx, policyARN, req, func(p *Policy) (err error) {
		p.Tags, err = MergeTags(p.Tags, tags)
		return err
	})
}

// UntagPolicy takes tags from a managed policy. Faults: NoSuchEntity.
func (s *Service) UntagPolicy(ctx context.Context, policyARN string, keys []string) error {
	req := authz.Request{Action: "iam:UntagPolicy", Keys: map[string][]string{"aws:TagKeys": keys}}
	return s.editPolicy(ctx, policyARN, req, func(p *Policy) error {
		p.Tags = resourcetags.Without(p.Tags, keys)
		return nil
	})
}

// PolicyTags returns the tags of a managed policy. Faults: NoSuchEntity.
func (s *Service) PolicyTags(ctx context.Context, policyARN string) ([]Tag, error) {
	p, err := s.managed(ctx, s.current.Load(), policyARN, authz.Request{Action: "iam:ListPolicyTags"})
	if err != nil {
		return nil, err
	}
	return p.Tags, nil
}

// PolicyEntities are the users, groups and roles of the caller's account that a
// managed policy is attached to, or whose boundary it is.
type PolicyEntities struct {
	Users  []*User
	Groups []*Group
	Roles  []*Role
}

// EntitiesForPolicy returns who uses a managed policy, of those whose path
// begins with the prefix: as permissions, as a boundary, or both. Faults:
// NoSuchEntity.
func (s *Service) EntitiesForPolicy(ctx context.Context, policyARN, pathPrefix string, asPermissions, asBoundary bool) (PolicyEntities, error) {
	var e PolicyEntities
	sn := s.current.Load()
	if _, err := s.managed(ctx, sn, policyARN, authz.Request{Action: "iam:ListEntitiesForPolicy"}); err != nil {
		return e, err
	}
	c, err := caller(ctx)
	if err != nil {
		return e, err
	}
	uses := func(h principalEntity) bool {
		p := h.permissions()
		return strings.HasPrefix(h.Base().Path, pathPrefix) &&
			(asPermissions && slices.Contains(p.Attached, policyARN) || asBoundary && p.Boundary == policyARN)
	}
	for u := range list[*User](sn, c.Account, KindUser, "") {
		if uses(u) {
			e.Users = append(e.Users, u)
		}
	}
	for g := range list[*Group](sn, c.Account, KindGroup, "") {
		if uses(g) {
			e.Groups = append(e.Groups, g)
		}
	}
	for r := range list[*Role](sn, c.Account, KindRole, "") {
		if uses(r) {
			e.Roles = append(e.Roles, r)
		}
	}
	return e, nil
}
