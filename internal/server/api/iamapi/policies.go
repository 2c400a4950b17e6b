package iamapi

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
)

func registerPolicies(s *wire.Service, a *API) {
	wire.Handle(s, a.CreatePolicy)
	wire.Handle(s, a.GetPolicy)
	wire.Handle(s, a.ListPolicies)
	wire.Handle(s, a.DeletePolicy)
	wire.Handle(s, a.CreatePolicyVersion)
	wire.Handle(s, a.GetPolicyVersion)
	wire.Handle(s, a.ListPolicyVersions)
	wire.Handle(s, a.SetDefaultPolicyVersion)
	wire.Handle(s, a.DeletePolicyVersion)
	wire.Handle(s, a.ListEntitiesForPolicy)
	wire.Handle(s, a.TagPolicy)
	wire.Handle(s, a.UntagPolicy)
	wire.Handle(s, a.ListPolicyTags)
}

// listedPolicy is a policy in a list, which leaves out the description and the
// tags (IAM API Reference, ListPolicies).
func listedPolicy(p iam.PolicyUse) types.Policy {
	return types.Policy{
		Arn: new(p.ARN()), PolicyId: &p.ID, PolicyName: &p.Name, Path: &p.Path,
		CreateDate: &p.Created, UpdateDate: &p.Updated, DefaultVersionId: versionID(p.Default),
		IsAttachable: true, AttachmentCount: new(int32(p.Attachments)), PermissionsBoundaryUsageCount: new(int32(p.Boundaries)),
	}
}

func policyOut(p iam.PolicyUse) types.Policy {
	out := listedPolicy(p)
	out.Tags = tagsOrNone(p.Tags)
	if p.Description != "" {
		out.Description = &p.Description
	}
	return out
}

// A version's id is v and its number (IAM User Guide, "Versioning IAM policies").
func versionID(number int) *string { return new("v" + strconv.Itoa(number)) }

// versionIn reads a version's id. An id in another form is a version that does not
// exist.
func versionIn(id string) (int, error) {
	number, err := strconv.Atoi(strings.TrimPrefix(id, "v"))
	if err != nil || number < 1 || !strings.HasPrefix(id, "v") {
		return 0, fault.New(fault.Invalid, "ValidationError", "The policy version %q is invalid: want v and a number.", id)
	}
	return number, nil
}

func versionOut(p *iam.Policy, v iam.PolicyVersion) types.PolicyVersion {
	return types.PolicyVersion{VersionId: versionID(v.Number), CreateDate: &v.Created, IsDefaultVersion: v.Number == p.Default}
}

// CreatePolicy creates a managed policy.
func (a *API) CreatePolicy(ctx context.Context, in *api.CreatePolicyInput) (*api.CreatePolicyOutput, error) {
	p, err := a.iam.CreatePolicy(ctx, iam.NewEntity{Path: aws.ToString(in.Path), Name: *in.PolicyName, Tags: tagsIn(in.Tags)},
		aws.ToString(in.Description), *in.PolicyDocument)
	if err != nil {
		return nil, err
	}
	out := listedPolicy(iam.PolicyUse{Policy: p}) // AWS leaves the description out
	out.Tags = tagsOrNone(p.Tags)
	return &api.CreatePolicyOutput{Policy: &out}, nil
}

// GetPolicy returns a managed policy without its text.
func (a *API) GetPolicy(ctx context.Context, in *api.GetPolicyInput) (*api.GetPolicyOutput, error) {
	p, err := a.iam.ManagedPolicy(ctx, *in.PolicyArn)
	if err != nil {
		return nil, err
	}
	out := policyOut(p)
	out.Tags = tagsOut(p.Tags) // an empty list if there are none, unlike in other answers
	return &api.GetPolicyOutput{Policy: &out}, nil
}

// ListPolicies lists managed policies.
func (a *API) ListPolicies(ctx context.Context, in *api.ListPoliciesInput) (*api.ListPoliciesOutput, error) {
	list := pagetoken.NewScope("ListPolicies", aws.ToString(in.PathPrefix), string(in.Scope), string(in.PolicyUsageFilter), strconv.FormatBool(in.OnlyAttached))
	p, err := page(list, in.PathPrefix, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	l, err := a.iam.ManagedPolicies(ctx, iam.PolicyFilter{
		Scope:           iam.Scope(in.Scope),
		OnlyAttached:    in.OnlyAttached,
		OnlyPermissions: in.PolicyUsageFilter == types.PolicyUsageTypePermissionsPolicy,
		OnlyBoundary:    in.PolicyUsageFilter == types.PolicyUsageTypePermissionsBoundary,
	}, p)
	if err != nil {
		return nil, err
	}
	return &api.ListPoliciesOutput{Policies: convert(l.Entries, listedPolicy), IsTruncated: l.Next != "", Marker: nextMarker(list, l.Next)}, nil
}

// DeletePolicy deletes a managed policy.
func (a *API) DeletePolicy(ctx context.Context, in *api.DeletePolicyInput) (*api.DeletePolicyOutput, error) {
	return emptyOutput[api.DeletePolicyOutput](a.iam.DeletePolicy(ctx, *in.PolicyArn))
}

// CreatePolicyVersion adds a version.
func (a *API) CreatePolicyVersion(ctx context.Context, in *api.CreatePolicyVersionInput) (*api.CreatePolicyVersionOutput, error) {
	p, v, err := a.iam.CreatePolicyVersion(ctx, *in.PolicyArn, *in.PolicyDocument, in.SetAsDefault)
	if err != nil {
		return nil, err
	}
	return &api.CreatePolicyVersionOutput{PolicyVersion: new(versionOut(p, v))}, nil
}

// GetPolicyVersion returns a version with its text.
func (a *API) GetPolicyVersion(ctx context.Context, in *api.GetPolicyVersionInput) (*api.GetPolicyVersionOutput, error) {
	number, err := versionIn(*in.VersionId)
	if err != nil {
		return nil, err
	}
	p, v, err := a.iam.PolicyVersion(ctx, *in.PolicyArn, number)
	if err != nil {
		return nil, err
	}
	out := versionOut(p, v)
	out.Document = document(v.Document)
	return &api.GetPolicyVersionOutput{PolicyVersion: &out}, nil
}

// ListPolicyVersions lists versions, the newest first.
func (a *API) ListPolicyVersions(ctx context.Context, in *api.ListPolicyVersionsInput) (*api.ListPolicyVersionsOutput, error) {
	p, err := a.iam.PolicyVersions(ctx, *in.PolicyArn)
	if err != nil {
		return nil, err
	}
	versions := convert(p.Versions, func(v iam.PolicyVersion) types.PolicyVersion { return versionOut(p, v) })
	slices.Reverse(versions)
	list := pagetoken.NewScope("ListPolicyVersions", *in.PolicyArn)
	entries, next, err := pageOf(list, versions, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.ListPolicyVersionsOutput{Versions: entries, IsTruncated: next != nil, Marker: next}, nil
}

// SetDefaultPolicyVersion puts a version in force.
func (a *API) SetDefaultPolicyVersion(ctx context.Context, in *api.SetDefaultPolicyVersionInput) (*api.SetDefaultPolicyVersionOutput, error) {
	number, err := versionIn(*in.VersionId)
	if err != nil {
		return nil, err
	}
	return emptyOutput[api.SetDefaultPolicyVersionOutput](a.iam.SetDefaultPolicyVersion(ctx, *in.PolicyArn, number))
}

// DeletePolicyVersion deletes a version.
func (a *API) DeletePolicyVersion(ctx context.Context, in *api.DeletePolicyVersionInput) (*api.DeletePolicyVersionOutput, error) {
	number, err := versionIn(*in.VersionId)
	if err != nil {
		return nil, err
	}
	return emptyOutput[api.DeletePolicyVersionOutput](a.iam.DeletePolicyVersion(ctx, *in.PolicyArn, number))
}

// A policyEntity is one of the entities that use a policy: the protocol pages
// over all kinds together.
type policyEntity struct {
	user  *types.PolicyUser
	group *types.PolicyGroup
	role  *types.PolicyRole
}

// ListEntitiesForPolicy lists who uses a managed policy.
func (a *API) ListEntitiesForPolicy(ctx context.Context, in *api.ListEntitiesForPolicyInput) (*api.ListEntitiesForPolicyOutput, error) {
	found, err := a.iam.EntitiesForPolicy(ctx, *in.PolicyArn, aws.ToString(in.PathPrefix),
		in.PolicyUsageFilter != types.PolicyUsageTypePermissionsBoundary, in.PolicyUsageFilter != types.PolicyUsageTypePermissionsPolicy)
	if err != nil {
		return nil, err
	}
	var all []policyEntity
	want := func(t types.EntityType) bool { return in.EntityFilter == "" || in.EntityFilter == t }
	if want(types.EntityTypeGroup) {
		for _, g := range found.Groups {
			all = append(all, policyEntity{group: &types.PolicyGroup{GroupId: &g.ID, GroupName: &g.Name}})
		}
	}
	if want(types.EntityTypeUser) {
		for _, u := range found.Users {
			all = append(all, policyEntity{user: &types.PolicyUser{UserId: &u.ID, UserName: &u.Name}})
		}
	}
	if want(types.EntityTypeRole) {
		for _, r := range found.Roles {
			all = append(all, policyEntity{role: &types.PolicyRole{RoleId: &r.ID, RoleName: &r.Name}})
		}
	}
	list := pagetoken.NewScope("ListEntitiesForPolicy", *in.PolicyArn, string(in.EntityFilter), string(in.PolicyUsageFilter), aws.ToString(in.PathPrefix))
	entries, next, err := pageOf(list, all, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListEntitiesForPolicyOutput{
		PolicyUsers: []types.PolicyUser{}, PolicyGroups: []types.PolicyGroup{}, PolicyRoles: []types.PolicyRole{},
		IsTruncated: next != nil, Marker: next,
	}
	for _, e := range entries {
		switch {
		case e.user != nil:
			out.PolicyUsers = append(out.PolicyUsers, *e.user)
		case e.group != nil:
			out.PolicyGroups = append(out.PolicyGroups, *e.group)
		case e.role != nil:
			out.PolicyRoles = append(out.PolicyRoles, *e.role)
		}
	}
	return out, nil
}

// TagPolicy adds tags.
func (a *API) TagPolicy(ctx context.Context, in *api.TagPolicyInput) (*api.TagPolicyOutput, error) {
	return emptyOutput[api.TagPolicyOutput](a.iam.TagPolicy(ctx, *in.PolicyArn, tagsIn(in.Tags)))
}

// UntagPolicy removes tags.
func (a *API) UntagPolicy(ctx context.Context, in *api.UntagPolicyInput) (*api.UntagPolicyOutput, error) {
	return emptyOutput[api.UntagPolicyOutput](a.iam.UntagPolicy(ctx, *in.PolicyArn, in.TagKeys))
}

// ListPolicyTags lists the tags.
func (a *API) ListPolicyTags(ctx context.Context, in *api.ListPolicyTagsInput) (*api.ListPolicyTagsOutput, error) {
	tags, err := a.iam.PolicyTags(ctx, *in.PolicyArn)
	if err != nil {
		return nil, err
	}
	list := pagetoken.NewScope("ListPolicyTags", *in.PolicyArn)
	entries, next, err := pageOf(list, tagsOut(tags), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.ListPolicyTagsOutput{Tags: entries, IsTruncated: next != nil, Marker: next}, nil
}
