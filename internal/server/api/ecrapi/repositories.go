package ecrapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// CreateRepository creates a repository. By default its tags are mutable and the
// encryption is AES256.
func (a *API) CreateRepository(ctx context.Context, in *ecr.CreateRepositoryInput) (*ecr.CreateRepositoryOutput, error) {
	settings := images.Settings{
		Mutability: images.Mutability(in.ImageTagMutability),
		Exclusions: exclusions(in.ImageTagMutabilityExclusionFilters),
		Encryption: images.Encryption{Type: string(types.EncryptionTypeAes256)},
	}
	if settings.Mutability == "" {
		settings.Mutability = images.Mutable
	}
	if c := in.ImageScanningConfiguration; c != nil {
		settings.ScanOnPush = c.ScanOnPush
	}
	if c := in.EncryptionConfiguration; c != nil {
		settings.Encryption = images.Encryption{Type: string(c.EncryptionType), KMSKey: optional.Value(c.KmsKey)}
	}
	var err error
	if settings.Tags, err = resourceTags(in.Tags); err != nil {
		return nil, err
	}
	r, err := a.c.Images.CreateRepository(ctx, repository(ctx, in.RegistryId, in.RepositoryName), settings)
	if err != nil {
		return nil, err
	}
	return &ecr.CreateRepositoryOutput{Repository: new(a.repository(r))}, nil
}

// repository converts a repository.
func (a *API) repository(r *images.Repository) types.Repository {
	host := a.c.Addresses.RegistryHost(endpoint.Registry{Account: r.ID.Account, Region: r.ID.Region})
	out := types.Repository{
		CreatedAt:                  new(r.Created),
		EncryptionConfiguration:    &types.EncryptionConfiguration{EncryptionType: types.EncryptionType(r.Encryption.Type), KmsKey: optional.Text(r.Encryption.KMSKey)},
		ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: r.ScanOnPush},
		ImageTagMutability:         types.ImageTagMutability(r.Mutability),
		RegistryId:                 new(r.ID.Account),
		RepositoryArn:              new(r.ID.ARN()),
		RepositoryName:             new(r.ID.Name),
		RepositoryUri:              new(host + "/" + r.ID.Name),
	}
	out.ImageTagMutabilityExclusionFilters = exclusionFilters(r.Exclusions)
	return out
}

// exclusions returns the texts of filters. All filters are wildcards.
func exclusions(filters []types.ImageTagMutabilityExclusionFilter) []string {
	var list []string
	for _, f := range filters {
		list = append(list, optional.Value(f.Filter))
	}
	return list
}

// exclusionFilters is the inverse of exclusions.
func exclusionFilters(list []string) []types.ImageTagMutabilityExclusionFilter {
	var filters []types.ImageTagMutabilityExclusionFilter
	for _, f := range list {
		filters = append(filters, types.ImageTagMutabilityExclusionFilter{
			Filter: new(f), FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard,
		})
	}
	return filters
}

// DescribeRepositories describes the repositories of the given names, or pages
// through all of the registry, in byte order.
func (a *API) DescribeRepositories(ctx context.Context, in *ecr.DescribeRepositoriesInput) (*ecr.DescribeRepositoriesOutput, error) {
	out := &ecr.DescribeRepositoriesOutput{Repositories: []types.Repository{}}
	if in.RepositoryNames != nil {
		if in.NextToken != nil || in.MaxResults != nil {
			return nil, invalidParameter("repositoryNames", "Member must not be given together with nextToken or maxResults")
		}
		for i := range in.RepositoryNames {
			r, err := a.c.Images.DescribeRepository(ctx, repository(ctx, in.RegistryId, &in.RepositoryNames[i]))
			if err != nil {
				return nil, err
			}
			out.Repositories = append(out.Repositories, a.repository(r))
		}
		return out, nil
	}
	reg := registry(ctx, in.RegistryId)
	page := pagetoken.NewScope("DescribeRepositories", reg.Account, reg.Region)
	cursor, err := cursorOf(page, in.NextToken, 1)
	if err != nil {
		return nil, err
	}
	list, more, err := a.c.Images.Repositories(ctx, reg.Account, reg.Region, cursor[0], pageSize(in.MaxResults))
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		out.Repositories = append(out.Repositories, a.repository(r))
	}
	if more {
		out.NextToken = page.Next(more, list[len(list)-1].ID.Name)
	}
	return out, nil
}

// DeleteRepository deletes a repository, with its images if force is set.
func (a *API) DeleteRepository(ctx context.Context, in *ecr.DeleteRepositoryInput) (*ecr.DeleteRepositoryOutput, error) {
	contents := images.KeepContents
	if in.Force {
		contents = images.DeleteContents
	}
	r, err := a.c.Images.DeleteRepository(ctx, repository(ctx, in.RegistryId, in.RepositoryName), contents)
	if err != nil {
		return nil, err
	}
	return &ecr.DeleteRepositoryOutput{Repository: new(a.repository(r))}, nil
}

// PutImageTagMutability sets which tags can be moved to another image.
func (a *API) PutImageTagMutability(ctx context.Context, in *ecr.PutImageTagMutabilityInput) (*ecr.PutImageTagMutabilityOutput, error) {
	r, err := a.c.Images.SetMutability(ctx, repository(ctx, in.RegistryId, in.RepositoryName), images.Mutability(in.ImageTagMutability), exclusions(in.ImageTagMutabilityExclusionFilters))
	if err != nil {
		return nil, err
	}
	return &ecr.PutImageTagMutabilityOutput{
		ImageTagMutability:                 types.ImageTagMutability(r.Mutability),
		ImageTagMutabilityExclusionFilters: exclusionFilters(r.Exclusions),
		RegistryId:                         new(r.ID.Account),
		RepositoryName:                     new(r.ID.Name),
	}, nil
}

// PutImageScanningConfiguration stores whether images should be scanned when they are
// pushed.
func (a *API) PutImageScanningConfiguration(ctx context.Context, in *ecr.PutImageScanningConfigurationInput) (*ecr.PutImageScanningConfigurationOutput, error) {
	var on bool
	if in.ImageScanningConfiguration != nil {
		on = in.ImageScanningConfiguration.ScanOnPush
	}
	r, err := a.c.Images.SetScanOnPush(ctx, repository(ctx, in.RegistryId, in.RepositoryName), on)
	if err != nil {
		return nil, err
	}
	return &ecr.PutImageScanningConfigurationOutput{
		ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: r.ScanOnPush},
		RegistryId:                 new(r.ID.Account),
		RepositoryName:             new(r.ID.Name),
	}, nil
}
