package iamapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
)

func registerGroupPermissions(s *wire.Service, a *API) {
	wire.Handle(s, a.PutGroupPolicy)
	wire.Handle(s, a.GetGroupPolicy)
	wire.Handle(s, a.ListGroupPolicies)
	wire.Handle(s, a.DeleteGroupPolicy)
	wire.Handle(s, a.AttachGroupPolicy)
	wire.Handle(s, a.DetachGroupPolicy)
	wire.Handle(s, a.ListAttachedGroupPolicies)
}

// PutGroupPolicy adds or replaces an inline policy.
func (a *API) PutGroupPolicy(ctx context.Context, in *api.PutGroupPolicyInput) (*api.PutGroupPolicyOutput, error) {
	return emptyOutput[api.PutGroupPolicyOutput](a.iam.PutInlinePolicy(ctx, iam.KindGroup, *in.GroupName, *in.PolicyName, *in.PolicyDocument))
}

// GetGroupPolicy returns an inline policy.
func (a *API) GetGroupPolicy(ctx context.Context, in *api.GetGroupPolicyInput) (*api.GetGroupPolicyOutput, error) {
	p, err := a.iam.InlinePolicy(ctx, iam.KindGroup, *in.GroupName, *in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &api.GetGroupPolicyOutput{GroupName: in.GroupName, PolicyName: &p.Name, PolicyDocument: document(p.Document)}, nil
}

// ListGroupPolicies lists the names of the inline policies.
func (a *API) ListGroupPolicies(ctx context.Context, in *api.ListGroupPoliciesInput) (*api.ListGroupPoliciesOutput, error) {
	policies, err := a.iam.InlinePolicies(ctx, iam.KindGroup, *in.GroupName)
	if err != nil {
		return nil, err
	}
	list := pagetoken.NewScope("ListGroupPolicies", *in.GroupName)
	names, next, err := pageOf(list, inlineNames(policies), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.ListGroupPoliciesOutput{PolicyNames: names, IsTruncated: next != nil, Marker: next}, nil
}

// DeleteGroupPolicy deletes an inline policy.
func (a *API) DeleteGroupPolicy(ctx context.Context, in *api.DeleteGroupPolicyInput) (*api.DeleteGroupPolicyOutput, error) {
	return emptyOutput[api.DeleteGroupPolicyOutput](a.iam.DeleteInlinePolicy(ctx, iam.KindGroup, *in.GroupName, *in.PolicyName))
}

// AttachGroupPolicy attaches a managed policy.
func (a *API) AttachGroupPolicy(ctx context.Context, in *api.AttachGroupPolicyInput) (*api.AttachGroupPolicyOutput, error) {
	return emptyOutput[api.AttachGroupPolicyOutput](a.iam.AttachPolicy(ctx, iam.KindGroup, *in.GroupName, *in.PolicyArn))
}

// DetachGroupPolicy detaches a managed policy.
func (a *API) DetachGroupPolicy(ctx context.Context, in *api.DetachGroupPolicyInput) (*api.DetachGroupPolicyOutput, error) {
	return emptyOutput[api.DetachGroupPolicyOutput](a.iam.DetachPolicy(ctx, iam.KindGroup, *in.GroupName, *in.PolicyArn))
}

// ListAttachedGroupPolicies lists the managed policies that are attached.
func (a *API) ListAttachedGroupPolicies(ctx context.Context, in *api.ListAttachedGroupPoliciesInput) (*api.ListAttachedGroupPoliciesOutput, error) {
	policies, err := a.iam.AttachedPolicies(ctx, iam.KindGroup, *in.GroupName, aws.ToString(in.PathPrefix))
	if err != nil {
		return nil, err
	}
	list := pagetoken.NewScope("ListAttachedGroupPolicies", *in.GroupName, aws.ToString(in.PathPrefix))
	attached, next, err := pageOf(list, convert(policies, attachedOut), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.ListAttachedGroupPoliciesOutput{AttachedPolicies: attached, IsTruncated: next != nil, Marker: next}, nil
}
