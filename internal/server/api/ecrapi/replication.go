package ecrapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// DescribeRegistry describes a registry.
func (a *API) DescribeRegistry(ctx context.Context, _ *ecr.DescribeRegistryInput) (*DescribeRegistryOutput, error) {
	id := ownRegistry(ctx)
	rules, err := a.c.Images.DescribeRegistry(ctx, id)
	if err != nil {
		return nil, err
	}
	return &DescribeRegistryOutput{RegistryId: &id.Account, ReplicationConfiguration: replicationConfiguration(rules)}, nil
}

// PutReplicationConfiguration replaces the replication rules.
func (a *API) PutReplicationConfiguration(ctx context.Context, in *PutReplicationConfigurationInput) (*PutReplicationConfigurationOutput, error) {
	var rules []images.ReplicationRule
	for _, r := range optional.Value(in.ReplicationConfiguration).Rules {
		rule := images.ReplicationRule{}
		for _, d := range r.Destinations {
			rule.Destinations = append(rule.Destinations, images.RegistryID{Account: optional.Value(d.RegistryId), Region: optional.Value(d.Region)})
		}
		for _, f := range r.RepositoryFilters {
			rule.Prefixes = append(rule.Prefixes, optional.Value(f.Filter))
		}
		if r.DeleteReplication != nil {
			rule.Deletions = new(optional.Value(r.DeleteReplication.Enabled))
		}
		rules = append(rules, rule)
	}
	if err := a.c.Images.PutReplicationConfiguration(ctx, ownRegistry(ctx), rules); err != nil {
		return nil, err
	}
	return &PutReplicationConfigurationOutput{replicationConfiguration(rules)}, nil
}

func replicationConfiguration(rules []images.ReplicationRule) *ReplicationConfiguration {
	out := &ReplicationConfiguration{Rules: []ReplicationRule{}}
	for _, r := range rules {
		rule := ReplicationRule{Destinations: []types.ReplicationDestination{}}
		for _, d := range r.Destinations {
			rule.Destinations = append(rule.Destinations, *replicationDestination(d))
		}
		for _, p := range r.Prefixes {
			rule.RepositoryFilters = append(rule.RepositoryFilters, types.RepositoryFilter{Filter: &p, FilterType: types.RepositoryFilterTypePrefixMatch})
		}
		if r.Deletions != nil {
			rule.DeleteReplication = &DeleteReplication{Enabled: r.Deletions}
		}
		out.Rules = append(out.Rules, rule)
	}
	return out
}

func replicationDestination(id images.RegistryID) *types.ReplicationDestination {
	return &types.ReplicationDestination{Region: &id.Region, RegistryId: &id.Account}
}

// DescribeImageReplicationStatus returns how far the replication of an image is.
func (a *API) DescribeImageReplicationStatus(ctx context.Context, in *ecr.DescribeImageReplicationStatusInput) (*ecr.DescribeImageReplicationStatusOutput, error) {
	image := optional.Value(in.ImageId)
	list, err := a.c.Images.ReplicationStatus(ctx, repository(ctx, in.RegistryId, in.RepositoryName), images.Reference{Tag: optional.Value(image.ImageTag), Digest: digest.Digest(optional.Value(image.ImageDigest))})
	if err != nil {
		return nil, err
	}
	out := &ecr.DescribeImageReplicationStatusOutput{ImageId: in.ImageId, RepositoryName: in.RepositoryName, ReplicationStatuses: []types.ImageReplicationStatus{}}
	for _, s := range list {
		out.ReplicationStatuses = append(out.ReplicationStatuses, types.ImageReplicationStatus{
			Region: &s.To.Region, RegistryId: &s.To.Account, Status: types.ReplicationStatus(s.State), FailureCode: optional.Text(s.Code),
		})
	}
	return out, nil
}
