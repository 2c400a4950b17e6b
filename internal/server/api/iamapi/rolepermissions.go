package iamapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
)

func registerRolePermissions(s *wire.Service, a *API) {
	wire.Handle(s, a.PutRolePolicy)
	wire.Handle(s, a.GetRolePolicy)
	wire.Handle(s, a.ListRolePolicies)
	wire.Handle(s, a.DeleteRolePolicy)
	wire.Handle(s, a.AttachRolePolicy)
	wire.Handle(s, a.DetachRolePolicy)
	wire.Handle(s, a.ListAttachedRolePolicies)
	wire.Handle(s, a.PutRolePermissionsBoundary)
	wire.Handle(s, a.DeleteRolePermissionsBoundary)
	wire.Handle(s, a.TagRole)
	wire.Handle(s, a.UntagRole)
	wire.Handle(s, a.ListRoleTags)
}

// PutRolePolicy adds or replaces an inline policy.
func (a *API) PutRolePolicy(ctx context.Context, in *api.PutRolePolicyInput) (*api.PutRolePolicyOutput, error) {
	return emptyOutput[api.PutRolePolicyOutput](a.iam.PutInlinePolicy(ctx, iam.KindRole, *in.RoleName, *in.PolicyName, *in.PolicyDocument))
}

// GetRolePolicy returns an inline policy.
func (a *API) GetRolePolicy(ctx context.Context, in *api.GetRolePolicyInput) (*api.GetRolePolicyOutput, error) {
	p, err := a.iam.InlinePolicy(ctx, iam.KindRole, *in.RoleName, *in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &api.GetRolePolicyOutput{RoleName: in.RoleName, PolicyName: &p.Name, PolicyDocument: document(p.Document)}, nil
}

// ListRolePolicies lists the names of the inline policies.
func (a *API) ListRolePolicies(ctx context.Context, in *api.ListRolePoliciesInput) (*api.ListRolePoliciesOutput, error) {
	policies, err := a.iam.InlinePolicies(ctx, iam.KindRole, *in.RoleName)
	if err != nil {
		return nil, err
	}
	list := pagetoken.NewScope("ListRolePolicies", *in.RoleName)
	names, next, err := pageOf(list, inlineNames(policies), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.ListRolePoliciesOutput{PolicyNames: names, IsTruncated: next != nil, Marker: next}, nil
}

// DeleteRolePolicy deletes an inline policy.
func (a *API) DeleteRolePolicy(ctx context.Context, in *api.DeleteRolePolicyInput) (*api.DeleteRolePolicyOutput, error) {
	return emptyOutput[api.DeleteRolePolicyOutput](a.iam.DeleteInlinePolicy(ctx, iam.KindRole, *in.RoleName, *in.PolicyName))
}

// AttachRolePolicy attaches a managed policy.
func (a *API) AttachRolePolicy(ctx context.Context, in *api.AttachRolePolicyInput) (*api.AttachRolePolicyOutput, error) {
	return emptyOutput[api.AttachRolePolicyOutput](a.iam.AttachPolicy(ctx, iam.KindRole, *in.RoleName, *in.PolicyArn))
}

// DetachRolePolicy detaches a managed policy.
func (a *API) DetachRolePolicy(ctx context.Context, in *api.DetachRolePolicyInput) (*api.DetachRolePolicyOutput, error) {
	return emptyOutput[api.DetachRolePolicyOutput](a.iam.DetachPolicy(ctx, iam.KindRole, *in.RoleName, *in.PolicyArn))
}

// ListAttachedRolePolicies lists the managed policies that are attached.
func (a *API) ListAttachedRolePolicies(ctx context.Context, in *api.ListAttachedRolePoliciesInput) (*api.ListAttachedRolePoliciesOutput, error) {
	policies, err := a.iam.AttachedPolicies(ctx, iam.KindRole, *in.RoleName, aws.ToString(in.PathPrefix))
	if err != nil {
		return nil, err
	}
	list := pagetoken.NewScope("ListAttachedRolePolicies", *in.RoleName, aws.ToString(in.PathPrefix))
	attached, next, err := pageOf(list, convert(policies, attachedOut), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.ListAttachedRolePoliciesOutput{AttachedPolicies: attached, IsTruncated: next != nil, Marker: next}, nil
}

// PutRolePermissionsBoundary sets the permissions boundary.
func (a *API) PutRolePermissionsBoundary(ctx context.Context, in *api.PutRolePermissionsBoundaryInput) (*api.PutRolePermissionsBoundaryOutput, error) {
	return emptyOutput[api.PutRolePermissionsBoundaryOutput](a.iam.PutBoundary(ctx, iam.KindRole, *in.RoleName, *in.PermissionsBoundary))
}

// DeleteRolePermissionsBoundary takes the permissions boundary away.
func (a *API) DeleteRolePermissionsBoundary(ctx context.Context, in *api.DeleteRolePermissionsBoundaryInput) (*api.DeleteRolePermissionsBoundaryOutput, error) {
	return emptyOutput[api.DeleteRolePermissionsBoundaryOutput](a.iam.DeleteBoundary(ctx, iam.KindRole, *in.RoleName))
}

// TagRole adds tags.
func (a *API) TagRole(ctx context.Context, in *api.TagRoleInput) (*api.TagRoleOutput, error) {
	return emptyOutput[api.TagRoleOutput](a.iam.TagEntity(ctx, iam.KindRole, *in.RoleName, tagsIn(in.Tags)))
}

// UntagRole removes tags.
func (a *API) UntagRole(ctx context.Context, in *api.UntagRoleInput) (*api.UntagRoleOutput, error) {
	return emptyOutput[api.UntagRoleOutput](a.iam.UntagEntity(ctx, iam.KindRole, *in.RoleName, in.TagKeys))
}

// ListRoleTags lists the tags.
func (a *API) ListRoleTags(ctx context.Context, in *api.ListRoleTagsInput) (*api.ListRoleTagsOutput, error) {
	tags, err := a.iam.EntityTags(ctx, iam.KindRole, *in.RoleName)
	if err != nil {
		return nil, err
	}
	list := pagetoken.NewScope("ListRoleTags", *in.RoleName)
	entries, next, err := pageOf(list, tagsOut(tags), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.ListRoleTagsOutput{Tags: entries, IsTruncated: next != nil, Marker: next}, nil
}
