package ecrapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// GetRepositoryPolicy returns the repository's policy, as it was given.
func (a *API) GetRepositoryPolicy(ctx context.Context, in *ecr.GetRepositoryPolicyInput) (*ecr.GetRepositoryPolicyOutput, error) {
	r, err := a.c.Images.Policy(ctx, repository(ctx, in.RegistryId, in.RepositoryName))
	if err != nil {
		return nil, err
	}
	return &ecr.GetRepositoryPolicyOutput{PolicyText: new(r.Policy), RegistryId: new(r.ID.Account), RepositoryName: new(r.ID.Name)}, nil
}

// SetRepositoryPolicy sets the repository's policy. Without force, a policy that would
// prevent the caller from setting another one is refused.
func (a *API) SetRepositoryPolicy(ctx context.Context, in *ecr.SetRepositoryPolicyInput) (*ecr.SetRepositoryPolicyOutput, error) {
	lockout := images.RefuseLockout
	if in.Force {
		lockout = images.AllowLockout
	}
	r, err := a.c.Images.SetPolicy(ctx, repository(ctx, in.RegistryId, in.RepositoryName), optional.Value(in.PolicyText), lockout)
	if err != nil {
		return nil, err
	}
	return &ecr.SetRepositoryPolicyOutput{PolicyText: new(r.Policy), RegistryId: new(r.ID.Account), RepositoryName: new(r.ID.Name)}, nil
}

// DeleteRepositoryPolicy deletes the repository's policy.
func (a *API) DeleteRepositoryPolicy(ctx context.Context, in *ecr.DeleteRepositoryPolicyInput) (*ecr.DeleteRepositoryPolicyOutput, error) {
	id := repository(ctx, in.RegistryId, in.RepositoryName)
	text, err := a.c.Images.DeletePolicy(ctx, id)
	if err != nil {
		return nil, err
	}
	return &ecr.DeleteRepositoryPolicyOutput{PolicyText: &text, RegistryId: &id.Account, RepositoryName: &id.Name}, nil
}

// ListTagsForResource lists the resource tags of a repository, ordered by key.
func (a *API) ListTagsForResource(ctx context.Context, in *ecr.ListTagsForResourceInput) (*ecr.ListTagsForResourceOutput, error) {
	id, err := images.ParseRepositoryARN(optional.Value(in.ResourceArn))
	if err != nil {
		return nil, err
	}
	tags, err := a.c.Images.ResourceTags(ctx, id)
	if err != nil {
		return nil, err
	}
	return &ecr.ListTagsForResourceOutput{Tags: append([]types.Tag{}, tagList(tags)...)}, nil
}

// TagResource adds tags to a repository, or changes their values.
func (a *API) TagResource(ctx context.Context, in *ecr.TagResourceInput) (*ecr.TagResourceOutput, error) {
	id, err := images.ParseRepositoryARN(optional.Value(in.ResourceArn))
	if err != nil {
		return nil, err
	}
	tags, err := resourceTags(in.Tags)
	if err != nil {
		return nil, err
	}
	return &ecr.TagResourceOutput{}, a.c.Images.TagResource(ctx, id, tags)
}

// UntagResource removes tags from a repository.
func (a *API) UntagResource(ctx context.Context, in *ecr.UntagResourceInput) (*ecr.UntagResourceOutput, error) {
	id, err := images.ParseRepositoryARN(optional.Value(in.ResourceArn))
	if err != nil {
		return nil, err
	}
	return &ecr.UntagResourceOutput{}, a.c.Images.UntagResource(ctx, id, in.TagKeys)
}

// resourceTags converts a list of tags. Keys must not repeat.
func resourceTags(list []types.Tag) (map[string]string, error) {
	tags := make(map[string]string, len(list))
	for _, t := range list {
		key := optional.Value(t.Key)
		if _, twice := tags[key]; twice {
			return nil, fault.New(fault.Invalid, "InvalidTagParameter", "The tag key %q occurs more than once.", key)
		}
		tags[key] = optional.Value(t.Value)
	}
	return tags, nil
}
