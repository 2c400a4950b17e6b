package ecrapi

import (
	"cmp"
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// CreateRepositoryCreationTemplate creates a template. By default the tags of its
// repositories are mutable and their encryption is AES256.
func (a *API) CreateRepositoryCreationTemplate(ctx context.Context, in *ecr.CreateRepositoryCreationTemplateInput) (*ecr.CreateRepositoryCreationTemplateOutput, error) {
	id := ownRegistry(ctx)
	tags, err := resourceTags(in.ResourceTags)
	if err != nil {
		return nil, err
	}
	t, err := a.c.Images.CreateTemplate(ctx, id, images.Template{
		Prefix: optional.Value(in.Prefix), Description: optional.Value(in.Description), AppliedFor: causes(in.AppliedFor), RoleARN: optional.Value(in.CustomRoleArn),
		RepositoryPolicy: optional.Value(in.RepositoryPolicy), LifecyclePolicy: optional.Value(in.LifecyclePolicy),
		Settings: images.Settings{
			Mutability: cmp.Or(images.Mutability(in.ImageTagMutability), images.Mutable), Exclusions: exclusions(in.ImageTagMutabilityExclusionFilters),
			Encryption: templateEncryption(in.EncryptionConfiguration), Tags: tags,
		},
	})
	if err != nil {
		return nil, err
	}
	return &ecr.CreateRepositoryCreationTemplateOutput{RegistryId: &id.Account, RepositoryCreationTemplate: templateOf(t)}, nil
}

// UpdateRepositoryCreationTemplate changes what the request names.
func (a *API) UpdateRepositoryCreationTemplate(ctx context.Context, in *ecr.UpdateRepositoryCreationTemplateInput) (*ecr.UpdateRepositoryCreationTemplateOutput, error) {
	id := ownRegistry(ctx)
	change := images.TemplateChange{
		Description: in.Description, AppliedFor: causes(in.AppliedFor), Exclusions: exclusions(in.ImageTagMutabilityExclusionFilters),
		RepositoryPolicy: in.RepositoryPolicy, LifecyclePolicy: in.LifecyclePolicy, RoleARN: in.CustomRoleArn,
	}
	if in.ImageTagMutability != "" {
		change.Mutability = new(images.Mutability(in.ImageTagMutability))
	}
	if in.EncryptionConfiguration != nil {
		change.Encryption = new(templateEncryption(in.EncryptionConfiguration))
	}
	if in.ResourceTags != nil {
		var err error
		if change.Tags, err = resourceTags(in.ResourceTags); err != nil {
			return nil, err
		}
	}
	t, err := a.c.Images.UpdateTemplate(ctx, id, optional.Value(in.Prefix), change)
	if err != nil {
		return nil, err
	}
	return &ecr.UpdateRepositoryCreationTemplateOutput{RegistryId: &id.Account, RepositoryCreationTemplate: templateOf(t)}, nil
}

// DeleteRepositoryCreationTemplate deletes a template.
func (a *API) DeleteRepositoryCreationTemplate(ctx context.Context, in *ecr.DeleteRepositoryCreationTemplateInput) (*ecr.DeleteRepositoryCreationTemplateOutput, error) {
	id := ownRegistry(ctx)
	t, err := a.c.Images.DeleteTemplate(ctx, id, optional.Value(in.Prefix))
	if err != nil {
		return nil, err
	}
	return &ecr.DeleteRepositoryCreationTemplateOutput{RegistryId: &id.Account, RepositoryCreationTemplate: templateOf(t)}, nil
}

// DescribeRepositoryCreationTemplates describes the templates of the given prefixes that
// exist, or pages through all of the registry.
func (a *API) DescribeRepositoryCreationTemplates(ctx context.Context, in *ecr.DescribeRepositoryCreationTemplatesInput) (*ecr.DescribeRepositoryCreationTemplatesOutput, error) {
	id := ownRegistry(ctx)
	out := &ecr.DescribeRepositoryCreationTemplatesOutput{RegistryId: &id.Account, RepositoryCreationTemplates: []types.RepositoryCreationTemplate{}}
	var list []*images.Template
	var err error
	if in.Prefixes != nil {
		if in.NextToken != nil || in.MaxResults != nil {
			return nil, invalidParameter("prefixes", "Member must not be given together with nextToken or maxResults")
		}
		list, err = a.c.Images.TemplatesOf(ctx, id, in.Prefixes)
	} else {
		list, out.NextToken, err = a.templatePage(ctx, id, in)
	}
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		out.RepositoryCreationTemplates = append(out.RepositoryCreationTemplates, *templateOf(t))
	}
	return out, nil
}

func (a *API) templatePage(ctx context.Context, id images.RegistryID, in *ecr.DescribeRepositoryCreationTemplatesInput) (list []*images.Template, next *string, err error) {
	page := pagetoken.NewScope("DescribeRepositoryCreationTemplates", id.Account, id.Region)
	cursor, err := cursorOf(page, in.NextToken, 1)
	if err != nil {
		return nil, nil, err
	}
	list, more, err := a.c.Images.Templates(ctx, id, cursor[0], pageSize(in.MaxResults))
	if err != nil || !more {
		return list, nil, err
	}
	return list, page.Next(more, list[len(list)-1].Prefix), nil
}

func templateOf(t *images.Template) *types.RepositoryCreationTemplate {
	out := &types.RepositoryCreationTemplate{
		Prefix: &t.Prefix, Description: optional.Text(t.Description), CustomRoleArn: optional.Text(t.RoleARN),
		CreatedAt: &t.Created, UpdatedAt: &t.Updated,
		EncryptionConfiguration: &types.EncryptionConfigurationForRepositoryCreationTemplate{
			EncryptionType: types.EncryptionType(t.Settings.Encryption.Type), KmsKey: optional.Text(t.Settings.Encryption.KMSKey),
		},
		ImageTagMutability:                 types.ImageTagMutability(t.Settings.Mutability),
		ImageTagMutabilityExclusionFilters: exclusionFilters(t.Settings.Exclusions),
		RepositoryPolicy:                   optional.Text(t.RepositoryPolicy),
		LifecyclePolicy:                    optional.Text(t.LifecyclePolicy),
		ResourceTags:                       tagList(t.Settings.Tags),
	}
	for _, cause := range t.AppliedFor {
		out.AppliedFor = append(out.AppliedFor, types.RCTAppliedFor(cause))
	}
	return out
}

// causes returns nil for nil.
func causes(list []types.RCTAppliedFor) []images.Cause {
	if list == nil {
		return nil
	}
	out := []images.Cause{}
	for _, cause := range list {
		out = append(out, images.Cause(cause))
	}
	return out
}

func templateEncryption(c *types.EncryptionConfigurationForRepositoryCreationTemplate) images.Encryption {
	if c == nil {
		return images.Encryption{Type: string(types.EncryptionTypeAes256)}
	}
	return images.Encryption{Type: string(c.EncryptionType), KMSKey: optional.Value(c.KmsKey)}
}

// tagList returns resource tags ordered by key.
func tagList(tags map[string]string) []types.Tag {
	var list []types.Tag
	for key, value := range tags {
		list = append(list, types.Tag{Key: &key, Value: &value})
	}
	slices.SortFunc(list, func(a, b types.Tag) int { return cmp.Compare(*a.Key, *b.Key) })
	return list
}
