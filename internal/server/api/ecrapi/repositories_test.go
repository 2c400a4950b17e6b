package ecrapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

func TestRepository(t *testing.T) {
	f := serve(t)
	created, err := f.client.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{
		RepositoryName:                     aws.String("team/app"),
		ImageTagMutability:                 types.ImageTagMutabilityImmutableWithExclusion,
		ImageTagMutabilityExclusionFilters: []types.ImageTagMutabilityExclusionFilter{{Filter: aws.String("dev*"), FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard}},
		ImageScanningConfiguration:         &types.ImageScanningConfiguration{ScanOnPush: true},
		EncryptionConfiguration:            &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeKms, KmsKey: aws.String("alias/key")},
		Tags:                               []types.Tag{{Key: aws.String("team"), Value: aws.String("a")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	described, err := f.client.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"team/app"}})
	if err != nil || len(described.Repositories) != 1 {
		t.Fatal(described, err)
	}
	for _, r := range []types.Repository{*created.Repository, described.Repositories[0]} {
		if *r.RepositoryArn != "arn:aws:ecr:"+region+":"+account+":repository/team/app" || *r.RepositoryUri != host+"/team/app" || *r.RegistryId != account || *r.RepositoryName != "team/app" ||
			r.ImageTagMutability != types.ImageTagMutabilityImmutableWithExclusion || *r.ImageTagMutabilityExclusionFilters[0].Filter != "dev*" || r.ImageTagMutabilityExclusionFilters[0].FilterType != types.ImageTagMutabilityExclusionFilterTypeWildcard ||
			!r.ImageScanningConfiguration.ScanOnPush || r.EncryptionConfiguration.EncryptionType != types.EncryptionTypeKms || *r.EncryptionConfiguration.KmsKey != "alias/key" || f.Now().Sub(*r.CreatedAt) > 60e9 {
			t.Errorf("%+v", r)
		}
	}
	_, err = f.client.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("team/app")})
	wantException[*types.RepositoryAlreadyExistsException](t, err)

	mutability, err := f.client.PutImageTagMutability(t.Context(), &ecr.PutImageTagMutabilityInput{RepositoryName: aws.String("team/app"), ImageTagMutability: types.ImageTagMutabilityImmutable})
	if err != nil || mutability.ImageTagMutability != types.ImageTagMutabilityImmutable {
		t.Error(mutability, err)
	}
	scanning, err := f.client.PutImageScanningConfiguration(t.Context(), &ecr.PutImageScanningConfigurationInput{RepositoryName: aws.String("team/app"), ImageScanningConfiguration: &types.ImageScanningConfiguration{}})
	if err != nil || scanning.ImageScanningConfiguration.ScanOnPush {
		t.Error(scanning, err)
	}
	deleted, err := f.client.DeleteRepository(t.Context(), &ecr.DeleteRepositoryInput{RepositoryName: aws.String("team/app")})
	if err != nil || deleted.Repository.ImageTagMutability != types.ImageTagMutabilityImmutable || deleted.Repository.ImageScanningConfiguration.ScanOnPush || deleted.Repository.ImageTagMutabilityExclusionFilters != nil {
		t.Error(deleted, err)
	}
	_, err = f.client.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"team/app"}})
	wantException[*types.RepositoryNotFoundException](t, err)
	if want := "The repository with name 'team/app' does not exist in the registry with id '" + account + "'"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("err = %v, want %q", err, want)
	}
}

func TestCreateRepository_Defaults(t *testing.T) {
	f := serve(t)
	f.create("app")
	out, err := f.client.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{})
	if err != nil || len(out.Repositories) != 1 {
		t.Fatal(out, err)
	}
	if r := out.Repositories[0]; r.ImageTagMutability != types.ImageTagMutabilityMutable || r.EncryptionConfiguration.EncryptionType != types.EncryptionTypeAes256 || r.EncryptionConfiguration.KmsKey != nil || r.ImageScanningConfiguration.ScanOnPush {
		t.Errorf("%+v", r)
	}
}

func TestAPI_InvalidParameters(t *testing.T) {
	f := serve(t)
	f.create("app")
	for _, name := range []string{"A", "a", "a//b", strings.Repeat("a", 257)} {
		_, err := f.client.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: &name})
		wantException[*types.InvalidParameterException](t, err)
		if want := "Invalid parameter at 'repositoryName' failed to satisfy constraint: "; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want %q", err, want)
		}
	}
	_, err := f.client.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"app"}, MaxResults: aws.Int32(1)})
	wantException[*types.InvalidParameterException](t, err)
	_, err = f.client.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{MaxResults: aws.Int32(1001)})
	wantException[*types.InvalidParameterException](t, err)
	_, err = f.client.PutImageTagMutability(t.Context(), &ecr.PutImageTagMutabilityInput{RepositoryName: aws.String("app"), ImageTagMutability: types.ImageTagMutabilityMutableWithExclusion})
	wantException[*types.InvalidParameterException](t, err)
	_, err = f.client.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("tagged"), Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}, {Key: aws.String("a"), Value: aws.String("2")}}})
	wantException[*types.InvalidTagParameterException](t, err)
}

func TestDescribeRepositories_Pages(t *testing.T) {
	f := serve(t)
	var want []string
	for i := range 5 {
		want = append(want, fmt.Sprintf("app-%d", i))
		f.create(want[i])
	}
	var got []string
	pages := ecr.NewDescribeRepositoriesPaginator(f.client, &ecr.DescribeRepositoriesInput{MaxResults: aws.Int32(2)})
	var token *string
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Repositories {
			got = append(got, *r.RepositoryName)
		}
		if token == nil {
			token = page.NextToken
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	// A token is valid for one list only.
	for _, in := range []*ecr.DescribeRepositoriesInput{
		{NextToken: aws.String("nonsense")}, {NextToken: aws.String("")}, {NextToken: token, RegistryId: aws.String(other)},
	} {
		_, err := f.client.DescribeRepositories(t.Context(), in)
		wantException[*types.InvalidParameterException](t, err)
	}
	_, err := f.client.ListImages(t.Context(), &ecr.ListImagesInput{RepositoryName: aws.String("app-1"), NextToken: token})
	wantException[*types.InvalidParameterException](t, err)
}

func TestRepositoryPolicy(t *testing.T) {
	f := serve(t)
	f.create("app")
	app := aws.String("app")
	pull := func() error {
		_, err := f.client.ListImages(t.Context(), &ecr.ListImagesInput{RegistryId: aws.String(account), RepositoryName: app}, f.otherAccount())
		return err
	}
	_, err := f.client.GetRepositoryPolicy(t.Context(), &ecr.GetRepositoryPolicyInput{RepositoryName: app})
	wantException[*types.RepositoryPolicyNotFoundException](t, err)
	wantCode(t, pull(), "AccessDeniedException")
	text := `{ "Version": "2012-10-17",
		"Statement": [ {"Sid": "list", "Effect": "Allow", "Principal": {"AWS": "` + other + `"}, "Action": "ecr:ListImages"} ] }`
	set, err := f.client.SetRepositoryPolicy(t.Context(), &ecr.SetRepositoryPolicyInput{RepositoryName: app, PolicyText: &text})
	if err != nil || *set.PolicyText != text || *set.RegistryId != account || *set.RepositoryName != "app" {
		t.Fatal(set, err)
	}
	got, err := f.client.GetRepositoryPolicy(t.Context(), &ecr.GetRepositoryPolicyInput{RepositoryName: app})
	if err != nil || *got.PolicyText != text {
		t.Errorf("the policy is not returned as it was given: %+v, %v", got, err)
	}
	if err := pull(); err != nil {
		t.Error(err)
	}
	lockout := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:SetRepositoryPolicy"}]}`
	for _, refused := range []string{"", "{", `{"Version":"2012-10-17","Statement":[{"Effect":"Maybe"}]}`, lockout} {
		_, err = f.client.SetRepositoryPolicy(t.Context(), &ecr.SetRepositoryPolicyInput{RepositoryName: app, PolicyText: &refused})
		wantException[*types.InvalidParameterException](t, err)
	}
	deleted, err := f.client.DeleteRepositoryPolicy(t.Context(), &ecr.DeleteRepositoryPolicyInput{RepositoryName: app})
	if err != nil || *deleted.PolicyText != text {
		t.Error(deleted, err)
	}
	wantCode(t, pull(), "AccessDeniedException")
	if _, err = f.client.SetRepositoryPolicy(t.Context(), &ecr.SetRepositoryPolicyInput{RepositoryName: app, PolicyText: &lockout, Force: true}); err != nil {
		t.Error(err)
	}
}

func TestTagResource(t *testing.T) {
	f := serve(t)
	f.create("app")
	arn := aws.String("arn:aws:ecr:" + region + ":" + account + ":repository/app")
	tag := func(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }
	if _, err := f.client.TagResource(t.Context(), &ecr.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{tag("b", "2"), tag("a", ""), tag("c", "3")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.client.UntagResource(t.Context(), &ecr.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"c"}}); err != nil {
		t.Fatal(err)
	}
	out, err := f.client.ListTagsForResource(t.Context(), &ecr.ListTagsForResourceInput{ResourceArn: arn})
	if err != nil || len(out.Tags) != 2 || *out.Tags[0].Key != "a" || *out.Tags[0].Value != "" || *out.Tags[1].Key != "b" || *out.Tags[1].Value != "2" {
		t.Errorf("%+v, %v", out, err)
	}
	_, err = f.client.TagResource(t.Context(), &ecr.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{tag("aws:x", "")}})
	wantException[*types.InvalidTagParameterException](t, err)
	_, err = f.client.ListTagsForResource(t.Context(), &ecr.ListTagsForResourceInput{ResourceArn: aws.String("app")})
	wantException[*types.InvalidParameterException](t, err)

	// A policy can have a condition on the tag.
	as := f.user("b-team", `{"Effect":"Allow","Action":"ecr:ListImages","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/b":"2"}}}`)
	if _, err := f.client.ListImages(t.Context(), &ecr.ListImagesInput{RepositoryName: aws.String("app")}, as); err != nil {
		t.Error(err)
	}
	if _, err := f.client.TagResource(t.Context(), &ecr.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{tag("b", "other")}}); err != nil {
		t.Fatal(err)
	}
	_, err = f.client.ListImages(t.Context(), &ecr.ListImagesInput{RepositoryName: aws.String("app")}, as)
	wantCode(t, err, "AccessDeniedException")
}

// ECR accepts a policy in which several statements have the same Sid.
func TestSetRepositoryPolicy_RepeatedSid(t *testing.T) {
	f := serve(t)
	f.create("app")
	const text = `{"Version":"2012-10-17","Statement":[
		{"Sid":"same","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"ecr:DescribeImages"},
		{"Sid":"same","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"ecr:PutImage"}]}`
	if _, err := f.client.SetRepositoryPolicy(t.Context(), &ecr.SetRepositoryPolicyInput{RepositoryName: aws.String("app"), PolicyText: aws.String(text), Force: true}); err != nil {
		t.Error(err)
	}
}

// A repository with KMS encryption names the registry's key if the request names none.
func TestCreateRepository_DefaultKMSKey(t *testing.T) {
	f := serve(t)
	create := func(name string, c *types.EncryptionConfiguration) *string {
		t.Helper()
		out, err := f.client.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: &name, EncryptionConfiguration: c})
		if err != nil {
			t.Fatal(err)
		}
		return out.Repository.EncryptionConfiguration.KmsKey
	}
	first := create("first", &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeKms})
	if !strings.Contains(aws.ToString(first), ":key/") || aws.ToString(create("second", &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeKmsDsse})) != *first {
		t.Errorf("default key %s", aws.ToString(first))
	}
	if key := create("own", &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeKms, KmsKey: aws.String("arn:aws:kms:us-east-1:111122223333:key/mine")}); aws.ToString(key) != "arn:aws:kms:us-east-1:111122223333:key/mine" {
		t.Errorf("own key %s", aws.ToString(key))
	}
	if key := create("none", nil); key != nil {
		t.Errorf("AES256 has the key %s", *key)
	}
}
