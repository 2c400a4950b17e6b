package ecrapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// PutSigningConfiguration sets which profiles sign the images of which repositories.
func (a *API) PutSigningConfiguration(ctx context.Context, in *ecr.PutSigningConfigurationInput) (*ecr.PutSigningConfigurationOutput, error) {
	var c images.SigningConfiguration
	for _, r := range optional.Value(in.SigningConfiguration).Rules {
		rule := images.SigningRule{Profile: optional.Value(r.SigningProfileArn)}
		for _, f := range r.RepositoryFilters {
			rule.Filters = append(rule.Filters, optional.Value(f.Filter))
		}
		c.Rules = append(c.Rules, rule)
	}
	if err := a.c.Images.PutSigningConfiguration(ctx, registryID(ctx), c); err != nil {
		return nil, err
	}
	return &ecr.PutSigningConfigurationOutput{SigningConfiguration: in.SigningConfiguration}, nil
}

// registryID is the caller's registry.
func registryID(ctx context.Context) images.RegistryID {
	r := registry(ctx, nil)
	return images.RegistryID{Account: r.Account, Region: r.Region}
}

func signingConfiguration(c images.SigningConfiguration) *types.SigningConfiguration {
	out := &types.SigningConfiguration{Rules: []types.SigningRule{}}
	for i := range c.Rules {
		rule := types.SigningRule{SigningProfileArn: &c.Rules[i].Profile}
		for _, f := range c.Rules[i].Filters {
			rule.RepositoryFilters = append(rule.RepositoryFilters, types.SigningRepositoryFilter{Filter: &f, FilterType: types.SigningRepositoryFilterTypeWildcardMatch})
		}
		out.Rules = append(out.Rules, rule)
	}
	return out
}

// GetSigningConfiguration returns the signing configuration of the registry.
func (a *API) GetSigningConfiguration(ctx context.Context, _ *ecr.GetSigningConfigurationInput) (*ecr.GetSigningConfigurationOutput, error) {
	id := registryID(ctx)
	c, err := a.c.Images.SigningConfiguration(ctx, id)
	if err != nil {
		return nil, err
	}
	return &ecr.GetSigningConfigurationOutput{RegistryId: &id.Account, SigningConfiguration: signingConfiguration(c)}, nil
}

// DeleteSigningConfiguration removes the signing configuration of the registry.
func (a *API) DeleteSigningConfiguration(ctx context.Context, _ *ecr.DeleteSigningConfigurationInput) (*ecr.DeleteSigningConfigurationOutput, error) {
	id := registryID(ctx)
	c, err := a.c.Images.DeleteSigningConfiguration(ctx, id)
	if err != nil {
		return nil, err
	}
	return &ecr.DeleteSigningConfigurationOutput{RegistryId: &id.Account, SigningConfiguration: signingConfiguration(c)}, nil
}

// DescribeImageSigningStatus returns how far the signatures of an image are.
func (a *API) DescribeImageSigningStatus(ctx context.Context, in *ecr.DescribeImageSigningStatusInput) (*ecr.DescribeImageSigningStatusOutput, error) {
	id := repository(ctx, in.RegistryId, in.RepositoryName)
	ref := references([]types.ImageIdentifier{optional.Value(in.ImageId)})[0]
	d, list, err := a.c.Images.SigningStatus(ctx, id, ref)
	if err != nil {
		return nil, err
	}
	out := &ecr.DescribeImageSigningStatusOutput{
		ImageId: imageID(images.Reference{Tag: ref.Tag, Digest: d}), RegistryId: &id.Account, RepositoryName: &id.Name, SigningStatuses: []types.ImageSigningStatus{},
	}
	for i := range list {
		st := &list[i]
		out.SigningStatuses = append(out.SigningStatuses, types.ImageSigningStatus{
			SigningProfileArn: &st.Profile, Status: types.SigningStatus(st.State), FailureCode: optional.Text(st.Code), FailureReason: optional.Text(st.Reason),
		})
	}
	return out, nil
}
