package ecrapi_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
)

// Everything that a template can have comes back, and the paginator and the exceptions of
// the SDK work.
func TestRepositoryCreationTemplates(t *testing.T) {
	f := serve(t)
	ctx := t.Context()
	role, err := f.IAM.CreateRole(f.AsAdmin(), iam.NewEntity{Name: "templates"}, "", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"ecr.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"`+account+`"}}}}`, 3600)
	if err != nil {
		t.Fatal(err)
	}
	policy := aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + role.ARN() + `"},"Action":"ecr:BatchGetImage"}]}`)
	created, err := f.client.CreateRepositoryCreationTemplate(ctx, &ecr.CreateRepositoryCreationTemplateInput{
		Prefix: aws.String("auto"), Description: aws.String("d"), AppliedFor: []types.RCTAppliedFor{types.RCTAppliedForCreateOnPush, types.RCTAppliedForReplication},
		CustomRoleArn: aws.String(role.ARN()), EncryptionConfiguration: &types.EncryptionConfigurationForRepositoryCreationTemplate{EncryptionType: types.EncryptionTypeKms, KmsKey: aws.String("arn:aws:kms:us-east-1:" + account + ":key/1")},
		ImageTagMutability: types.ImageTagMutabilityImmutableWithExclusion, ImageTagMutabilityExclusionFilters: exclusion("dev-*"),
		LifecyclePolicy: aws.String(keepOne), RepositoryPolicy: policy, ResourceTags: []types.Tag{{Key: aws.String("team"), Value: aws.String("a")}},
	})
	if err != nil || *created.RegistryId != account {
		t.Fatal(created, err)
	}
	if empty := emptyMembers(reflect.ValueOf(created).Elem()); len(empty) > 0 {
		t.Errorf("%q are empty", empty)
	}
	if got := created.RepositoryCreationTemplate; *got.RepositoryPolicy != *policy || *got.ResourceTags[0].Key != "team" {
		t.Errorf("%+v", got)
	}
	_, err = f.client.CreateRepositoryCreationTemplate(ctx, &ecr.CreateRepositoryCreationTemplateInput{Prefix: aws.String("auto/"), AppliedFor: []types.RCTAppliedFor{types.RCTAppliedForCreateOnPush}})
	wantException[*types.TemplateAlreadyExistsException](t, err)
	_, err = f.client.CreateRepositoryCreationTemplate(ctx, &ecr.CreateRepositoryCreationTemplateInput{Prefix: aws.String("Upper"), AppliedFor: []types.RCTAppliedFor{types.RCTAppliedForCreateOnPush}})
	wantException[*types.InvalidParameterException](t, err)
	for _, prefix := range []string{"ROOT", "other"} {
		made, err := f.client.CreateRepositoryCreationTemplate(ctx, &ecr.CreateRepositoryCreationTemplateInput{Prefix: &prefix, AppliedFor: []types.RCTAppliedFor{types.RCTAppliedForPullThroughCache}})
		if err != nil || made.RepositoryCreationTemplate.ImageTagMutability != types.ImageTagMutabilityMutable || made.RepositoryCreationTemplate.EncryptionConfiguration.EncryptionType != types.EncryptionTypeAes256 {
			t.Error(made, err)
		}
	}
	var prefixes []string
	for p := ecr.NewDescribeRepositoryCreationTemplatesPaginator(f.client, &ecr.DescribeRepositoryCreationTemplatesInput{MaxResults: aws.Int32(2)}); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil || len(page.RepositoryCreationTemplates) > 2 {
			t.Fatal(page, err)
		}
		for _, tpl := range page.RepositoryCreationTemplates {
			prefixes = append(prefixes, *tpl.Prefix)
		}
	}
	if !slices.Equal(prefixes, []string{"ROOT", "auto", "other"}) {
		t.Errorf("%q", prefixes)
	}
	_, err = f.client.DescribeRepositoryCreationTemplates(ctx, &ecr.DescribeRepositoryCreationTemplatesInput{Prefixes: []string{"auto"}, MaxResults: aws.Int32(1)})
	wantException[*types.InvalidParameterException](t, err)

	// The role may create nothing yet.
	begin := func() error {
		_, err := f.client.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RepositoryName: aws.String("auto/app")})
		return err
	}
	wantCode(t, begin(), "AccessDeniedException")
	if err := f.IAM.PutInlinePolicy(f.AsAdmin(), iam.KindRole, "templates", "p", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["ecr:CreateRepository","ecr:TagResource"],"Resource":"*"}}`); err != nil {
		t.Fatal(err)
	}
	if err := begin(); err != nil {
		t.Fatal(err)
	}
	repositories, err := f.client.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"auto/app"}})
	if err != nil || repositories.Repositories[0].ImageTagMutability != types.ImageTagMutabilityImmutableWithExclusion || repositories.Repositories[0].EncryptionConfiguration.EncryptionType != types.EncryptionTypeKms {
		t.Error(repositories, err)
	}
	if got, err := f.client.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: aws.String("auto/app")}); err != nil || *got.PolicyText != *policy {
		t.Error(got, err)
	}

	none := aws.String("")
	updated, err := f.client.UpdateRepositoryCreationTemplate(ctx, &ecr.UpdateRepositoryCreationTemplateInput{Prefix: aws.String("auto"), RepositoryPolicy: none, CustomRoleArn: none, ResourceTags: []types.Tag{}, EncryptionConfiguration: &types.EncryptionConfigurationForRepositoryCreationTemplate{EncryptionType: types.EncryptionTypeAes256}})
	if err != nil {
		t.Fatal(err)
	}
	if got := updated.RepositoryCreationTemplate; got.RepositoryPolicy != nil || got.CustomRoleArn != nil || got.ResourceTags != nil || *got.Description != "d" || *got.LifecyclePolicy != keepOne || len(got.AppliedFor) != 2 {
		t.Errorf("%+v", got)
	}
	if deleted, err := f.client.DeleteRepositoryCreationTemplate(ctx, &ecr.DeleteRepositoryCreationTemplateInput{Prefix: aws.String("auto")}); err != nil || *deleted.RepositoryCreationTemplate.Prefix != "auto" {
		t.Error(deleted, err)
	}
	_, err = f.client.UpdateRepositoryCreationTemplate(ctx, &ecr.UpdateRepositoryCreationTemplateInput{Prefix: aws.String("auto")})
	wantException[*types.TemplateNotFoundException](t, err)
	if got, err := f.client.DescribeRepositoryCreationTemplates(ctx, &ecr.DescribeRepositoryCreationTemplatesInput{Prefixes: []string{"auto"}}); err != nil || len(got.RepositoryCreationTemplates) != 0 {
		t.Error(got, err)
	}
}
