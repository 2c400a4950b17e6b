package ecrapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// noCustomRole refuses a role: images of other accounts are read with a secret.
func noCustomRole(arn *string) error {
	if arn == nil {
		return nil
	}
	return invalidParameter("customRoleArn", "custom roles of pull through cache rules are not supported: name a secret in credentialArn")
}

// CreatePullThroughCacheRule adds a rule.
func (a *API) CreatePullThroughCacheRule(ctx context.Context, in *ecr.CreatePullThroughCacheRuleInput) (*ecr.CreatePullThroughCacheRuleOutput, error) {
	if err := noCustomRole(in.CustomRoleArn); err != nil {
		return nil, err
	}
	id := registryOf(ctx, in.RegistryId)
	c, err := a.c.Images.CreateCacheRule(ctx, id, images.CacheRule{
		Prefix: optional.Value(in.EcrRepositoryPrefix), URL: optional.Value(in.UpstreamRegistryUrl), Upstream: string(in.UpstreamRegistry), UpstreamPrefix: optional.Value(in.UpstreamRepositoryPrefix), CredentialARN: optional.Value(in.CredentialArn),
	})
	if err != nil {
		return nil, err
	}
	return &ecr.CreatePullThroughCacheRuleOutput{
		CreatedAt: &c.Created, CredentialArn: optional.Text(c.CredentialARN), EcrRepositoryPrefix: &c.Prefix, RegistryId: &id.Account,
		UpstreamRegistry: types.UpstreamRegistry(c.Upstream), UpstreamRegistryUrl: &c.URL, UpstreamRepositoryPrefix: optional.Text(c.UpstreamPrefix),
	}, nil
}

// DescribePullThroughCacheRules lists rules.
func (a *API) DescribePullThroughCacheRules(ctx context.Context, in *ecr.DescribePullThroughCacheRulesInput) (*ecr.DescribePullThroughCacheRulesOutput, error) {
	id := registryOf(ctx, in.RegistryId)
	out := &ecr.DescribePullThroughCacheRulesOutput{PullThroughCacheRules: []types.PullThroughCacheRule{}}
	var list []*images.CacheRule
	var more bool
	page := pagetoken.NewScope("DescribePullThroughCacheRules", id.Account, id.Region)
	cursor, err := cursorOf(page, in.NextToken, 1)
	switch {
	case err != nil:
	case in.EcrRepositoryPrefixes == nil:
		list, more, err = a.c.Images.CacheRules(ctx, id, cursor[0], pageSize(in.MaxResults))
	case in.NextToken != nil || in.MaxResults != nil:
		err = invalidParameter("ecrRepositoryPrefixes", "Member must not be given together with nextToken or maxResults")
	default:
		list, err = a.c.Images.CacheRulesOf(ctx, id, in.EcrRepositoryPrefixes)
	}
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		out.PullThroughCacheRules = append(out.PullThroughCacheRules, types.PullThroughCacheRule{
			CreatedAt: &c.Created, UpdatedAt: &c.Updated, CredentialArn: optional.Text(c.CredentialARN), EcrRepositoryPrefix: &c.Prefix, RegistryId: &id.Account,
			UpstreamRegistry: types.UpstreamRegistry(c.Upstream), UpstreamRegistryUrl: &c.URL, UpstreamRepositoryPrefix: optional.Text(c.UpstreamPrefix),
		})
	}
	if more {
		out.NextToken = page.Next(more, list[len(list)-1].Prefix)
	}
	return out, nil
}

// UpdatePullThroughCacheRule replaces the credential of a rule.
func (a *API) UpdatePullThroughCacheRule(ctx context.Context, in *ecr.UpdatePullThroughCacheRuleInput) (*ecr.UpdatePullThroughCacheRuleOutput, error) {
	if err := noCustomRole(in.CustomRoleArn); err != nil {
		return nil, err
	}
	id := registryOf(ctx, in.RegistryId)
	c, err := a.c.Images.UpdateCacheRule(ctx, id, optional.Value(in.EcrRepositoryPrefix), optional.Value(in.CredentialArn))
	if err != nil {
		return nil, err
	}
	return &ecr.UpdatePullThroughCacheRuleOutput{CredentialArn: optional.Text(c.CredentialARN), EcrRepositoryPrefix: &c.Prefix, RegistryId: &id.Account, UpdatedAt: &c.Updated, UpstreamRepositoryPrefix: optional.Text(c.UpstreamPrefix)}, nil
}

// DeletePullThroughCacheRule removes a rule.
func (a *API) DeletePullThroughCacheRule(ctx context.Context, in *ecr.DeletePullThroughCacheRuleInput) (*ecr.DeletePullThroughCacheRuleOutput, error) {
	id := registryOf(ctx, in.RegistryId)
	c, err := a.c.Images.DeleteCacheRule(ctx, id, optional.Value(in.EcrRepositoryPrefix))
	if err != nil {
		return nil, err
	}
	return &ecr.DeletePullThroughCacheRuleOutput{
		CreatedAt: &c.Created, CredentialArn: optional.Text(c.CredentialARN), EcrRepositoryPrefix: &c.Prefix, RegistryId: &id.Account,
		UpstreamRegistryUrl: &c.URL, UpstreamRepositoryPrefix: optional.Text(c.UpstreamPrefix),
	}, nil
}

// ValidatePullThroughCacheRule asks the registry of a rule whether it accepts the credential.
func (a *API) ValidatePullThroughCacheRule(ctx context.Context, in *ecr.ValidatePullThroughCacheRuleInput) (*ecr.ValidatePullThroughCacheRuleOutput, error) {
	id := registryOf(ctx, in.RegistryId)
	c, failure, err := a.c.Images.ValidateCacheRule(ctx, id, optional.Value(in.EcrRepositoryPrefix))
	if err != nil {
		return nil, err
	}
	return &ecr.ValidatePullThroughCacheRuleOutput{
		CredentialArn: optional.Text(c.CredentialARN), EcrRepositoryPrefix: &c.Prefix, RegistryId: &id.Account, IsValid: failure == "", Failure: optional.Text(failure),
		UpstreamRegistryUrl: &c.URL, UpstreamRepositoryPrefix: optional.Text(c.UpstreamPrefix),
	}, nil
}
