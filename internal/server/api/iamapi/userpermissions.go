package iamapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
)

func registerUserPermissions(s *wire.Service, a *API) {
	wire.Handle(s, a.PutUserPolicy)
	wire.Handle(s, a.GetUserPolicy)
	wire.Handle(s, a.ListUserPolicies)
	wire.Handle(s, a.DeleteUserPolicy)
	wire.Handle(s, a.AttachUserPolicy)
	wire.Handle(s, a.DetachUserPolicy)
	wire.Handle(s, a.ListAttachedUserPolicies)
	wire.Handle(s, a.PutUserPermissionsBoundary)
	wire.Handle(s, a.DeleteUserPermissionsBoundary)
	wire.Handle(s, a.TagUser)
	wire.Handle(s, a.UntagUser)
	wire.Handle(s, a.ListUserTags)
}

// PutUserPolicy adds or replaces an inline policy.
func (a *API) PutUserPolicy(ctx context.Context, in *api.PutUserPolicyInput) (*api.PutUserPolicyOutput, error) {
	return emptyOutput[api.PutUserPolicyOutput](a.iam.PutInlinePolicy(ctx, iam.KindUser, *in.UserName, *in.PolicyName, *in.PolicyDocument))
}

// GetUserPolicy returns an inline policy.
func (a *API) GetUserPolicy(ctx context.Context, in *api.GetUserPolicyInput) (*api.GetUserPolicyOutput, error) {
	p, err := a.iam.InlinePolicy(ctx, iam.KindUser, *in.UserName, *in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &api.GetUserPolicyOutput{UserName: in.UserName, PolicyName: &p.Name, PolicyDocument: document(p.Document)}, nil
}

// ListUserPolicies lists the names of the inline policies.
func (a *API) ListUserPolicies(ctx context.Context, in *api.ListUserPoliciesInput) (*api.ListUserPoliciesOutput, error) {
	policies, err := a.iam.InlinePolicies(ctx, iam.KindUser, *in.UserName)
	if err != nil {
		return nil, err
	}
	list := pagetoken.NewScope("ListUserPolicies", *in.UserName)
	names, next, err := pageOf(list, inlineNames(policies), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.ListUserPoliciesOutput{PolicyNames: names, IsTruncated: next != nil, Marker: next}, nil
}

// DeleteUserPolicy deletes an inline policy.
func (a *API) DeleteUserPolicy(ctx context.Context, in *api.DeleteUserPolicyInput) (*api.DeleteUserPolicyOutput, error) {
	return emptyOutput[api.DeleteUserPolicyOutput](a.iam.DeleteInlinePolicy(ctx, iam.KindUser, *in.UserName, *in.PolicyName))
}

// AttachUserPolicy attaches a managed policy.
func (a *API) AttachUserPolicy(ctx context.Context, in *api.AttachUserPolicyInput) (*api.AttachUserPolicyOutput, error) {
	return emptyOutput[api.AttachUserPolicyOutput](a.iam.AttachPolicy(ctx, iam.KindUser, *in.UserName, *in.PolicyArn))
}

// DetachUserPolicy detaches a managed policy.
func (a *API) DetachUserPolicy(ctx context.Context, in *api.DetachUserPolicyInput) (*api.DetachUserPolicyOutput, error) {
	return emptyOutput[api.DetachUserPolicyOutput](a.iam.DetachPolicy(ctx, iam.KindUser, *in.UserName, *in.PolicyArn))
}

// ListAttachedUserPolicies lists the managed policies that are attached.
func (a *API) ListAttachedUserPolicies(ctx context.Context, in *api.ListAttachedUserPoliciesInput) (*api.ListAttachedUserPoliciesOutput, error) {
	policies, err := a.iam.AttachedPolicies(ctx, iam.KindUser, *in.UserName, aws.ToString(in.PathPrefix))
	if err != nil {
		return nil, err
	}
	list := pagetoken.NewScope("ListAttachedUserPolicies", *in.UserName, aws.ToString(in.PathPrefix))
	attached, next, err := pageOf(list, convert(policies, attachedOut), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.ListAttachedUserPoliciesOutput{AttachedPolicies: attached, IsTruncated: next != nil, Marker: next}, nil
}

// PutUserPermissionsBoundary sets the permissions boundary.
func (a *API) PutUserPermissionsBoundary(ctx context.Context, in *api.PutUserPermissionsBoundaryInput) (*api.PutUserPermissionsBoundaryOutput, error) {
	return emptyOutput[api.PutUserPermissionsBoundaryOutput](a.iam.PutBoundary(ctx, iam.KindUser, *in.UserName, *in.PermissionsBoundary))
}

// DeleteUserPermissionsBoundary takes the permissions boundary away.
func (a *API) DeleteUserPermissionsBoundary(ctx context.Context, in *api.DeleteUserPermissionsBoundaryInput) (*api.DeleteUserPermissionsBoundaryOutput, error) {
	return emptyOutput[api.DeleteUserPermissionsBoundaryOutput](a.iam.DeleteBoundary(ctx, iam.KindUser, *in.UserName))
}

// TagUser adds tags.
func (a *API) TagUser(ctx context.Context, in *api.TagUserInput) (*api.TagUserOutput, error) {
	return emptyOutput[api.TagUserOutput](a.iam.TagEntity(ctx, iam.KindUser, *in.UserName, tagsIn(in.Tags)))
}

// UntagUser removes tags.
func (a *API) UntagUser(ctx context.Context, in *api.UntagUserInput) (*api.UntagUserOutput, error) {
	return emptyOutput[api.UntagUserOutput](a.iam.UntagEntity(ctx, iam.KindUser, *in.UserName, in.TagKeys))
}

// ListUserTags lists the tags.
func (a *API) ListUserTags(ctx context.Context, in *api.ListUserTagsInput) (*api.ListUserTagsOutput, error) {
	tags, err := a.iam.EntityTags(ctx, iam.KindUser, *in.UserName)
	if err != nil {
		return nil, err
	}
	list := pagetoken.NewScope("ListUserTags", *in.UserName)
	entries, next, err := pageOf(list, tagsOut(tags), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.ListUserTagsOutput{Tags: entries, IsTruncated: next != nil, Marker: next}, nil
}
