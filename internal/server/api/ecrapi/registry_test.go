package ecrapi_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/opencontainers/go-digest"
)

const registryPolicy = `{"Version":"2012-10-17","Statement":[{"Sid":"pull","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + other + `:root"},"Action":"ecr:BatchGetImage","Resource":"*"}]}`

func TestRegistryPolicy(t *testing.T) {
	f := serve(t)
	ctx := t.Context()
	f.create("app")
	f.push("app", "config", "v1")
	pull := func() error {
		_, err := f.client.BatchGetImage(ctx, &ecr.BatchGetImageInput{RegistryId: aws.String(account), RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}}}, f.otherAccount())
		return err
	}
	wantCode(t, pull(), "AccessDeniedException")
	_, err := f.client.GetRegistryPolicy(ctx, &ecr.GetRegistryPolicyInput{})
	wantException[*types.RegistryPolicyNotFoundException](t, err)
	put, err := f.client.PutRegistryPolicy(ctx, &ecr.PutRegistryPolicyInput{PolicyText: aws.String(registryPolicy)})
	if err != nil || *put.PolicyText != registryPolicy || *put.RegistryId != account {
		t.Fatal(put, err)
	}
	if err := pull(); err != nil {
		t.Error(err)
	}
	if got, err := f.client.GetRegistryPolicy(ctx, &ecr.GetRegistryPolicyInput{}); err != nil || *got.PolicyText != registryPolicy {
		t.Error(got, err)
	}
	if deleted, err := f.client.DeleteRegistryPolicy(ctx, &ecr.DeleteRegistryPolicyInput{}); err != nil || *deleted.PolicyText != registryPolicy {
		t.Error(deleted, err)
	}
	wantCode(t, pull(), "AccessDeniedException")
	_, err = f.client.DeleteRegistryPolicy(ctx, &ecr.DeleteRegistryPolicyInput{})
	wantException[*types.RegistryPolicyNotFoundException](t, err)
}

func TestRegistrySettings(t *testing.T) {
	f := serve(t)
	ctx := t.Context()
	f.create("prod/app")
	setting, err := f.client.PutAccountSetting(ctx, &ecr.PutAccountSettingInput{Name: aws.String("BLOB_MOUNTING"), Value: aws.String("DISABLED")})
	if err != nil || *setting.Value != "DISABLED" {
		t.Error(setting, err)
	}
	if got, err := f.client.GetAccountSetting(ctx, &ecr.GetAccountSettingInput{Name: aws.String("BLOB_MOUNTING")}); err != nil || *got.Name != "BLOB_MOUNTING" || *got.Value != "DISABLED" {
		t.Error(got, err)
	}
	_, err = f.client.GetAccountSetting(ctx, &ecr.GetAccountSettingInput{Name: aws.String("COLOUR")})
	wantException[*types.InvalidParameterException](t, err)

	filters := []types.ScanningRepositoryFilter{{Filter: aws.String("prod*"), FilterType: types.ScanningRepositoryFilterTypeWildcard}}
	scanning, err := f.client.PutRegistryScanningConfiguration(ctx, &ecr.PutRegistryScanningConfigurationInput{ScanType: types.ScanTypeBasic, Rules: []types.RegistryScanningRule{{ScanFrequency: types.ScanFrequencyScanOnPush, RepositoryFilters: filters}}})
	if err != nil || scanning.RegistryScanningConfiguration.ScanType != types.ScanTypeBasic {
		t.Fatal(scanning, err)
	}
	got, err := f.client.GetRegistryScanningConfiguration(ctx, &ecr.GetRegistryScanningConfigurationInput{})
	if err != nil || *got.RegistryId != account || len(got.ScanningConfiguration.Rules) != 1 || *got.ScanningConfiguration.Rules[0].RepositoryFilters[0].Filter != "prod*" {
		t.Error(got, err)
	}
	batch, err := f.client.BatchGetRepositoryScanningConfiguration(ctx, &ecr.BatchGetRepositoryScanningConfigurationInput{RepositoryNames: []string{"prod/app", "none"}})
	if err != nil || len(batch.ScanningConfigurations) != 1 || batch.ScanningConfigurations[0].ScanFrequency != types.ScanFrequencyScanOnPush || len(batch.Failures) != 1 || batch.Failures[0].FailureCode != types.ScanningConfigurationFailureCodeRepositoryNotFound {
		t.Errorf("%+v, %v", batch, err)
	}

	user := "arn:aws:iam::" + account + ":user/scanner"
	if _, err := f.client.RegisterPullTimeUpdateExclusion(ctx, &ecr.RegisterPullTimeUpdateExclusionInput{PrincipalArn: &user}); err != nil {
		t.Fatal(err)
	}
	_, err = f.client.RegisterPullTimeUpdateExclusion(ctx, &ecr.RegisterPullTimeUpdateExclusionInput{PrincipalArn: &user})
	wantException[*types.ExclusionAlreadyExistsException](t, err)
	if list, err := f.client.ListPullTimeUpdateExclusions(ctx, &ecr.ListPullTimeUpdateExclusionsInput{}); err != nil || len(list.PullTimeUpdateExclusions) != 1 || list.PullTimeUpdateExclusions[0] != user {
		t.Error(list, err)
	}
	if _, err := f.client.DeregisterPullTimeUpdateExclusion(ctx, &ecr.DeregisterPullTimeUpdateExclusionInput{PrincipalArn: &user}); err != nil {
		t.Error(err)
	}
	_, err = f.client.DeregisterPullTimeUpdateExclusion(ctx, &ecr.DeregisterPullTimeUpdateExclusionInput{PrincipalArn: &user})
	wantException[*types.ExclusionNotFoundException](t, err)
}

func TestListImageReferrers(t *testing.T) {
	f := serve(t)
	f.create("app")
	subject := digest.FromString(f.push("app", "config", "v1")).String()
	f.push("app", "second", "v2")
	layer := digest.FromString("config").String()
	for _, kind := range []string{"a", "b"} {
		manifest := `{"schemaVersion":2,"mediaType":"` + ociManifest + `","artifactType":"application/vnd.` + kind + `","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` + layer + `","size":6},"layers":[],"annotations":{"k":"v"},
			"subject":{"mediaType":"` + ociManifest + `","digest":"` + subject + `","size":1}}`
		if _, err := f.client.PutImage(t.Context(), &ecr.PutImageInput{RepositoryName: aws.String("app"), ImageManifest: &manifest}); err != nil {
			t.Fatal(err)
		}
	}
	in := &ecr.ListImageReferrersInput{RepositoryName: aws.String("app"), SubjectId: &types.SubjectIdentifier{ImageDigest: &subject}, MaxResults: aws.Int32(1)}
	var kinds []string
	for more := true; more; more = in.NextToken != nil {
		page, err := f.client.ListImageReferrers(t.Context(), in)
		if err != nil || len(page.Referrers) != 1 {
			t.Fatal(page, err)
		}
		r := page.Referrers[0]
		if *r.MediaType != ociManifest || *r.Size == 0 || r.Annotations["k"] != "v" || r.ArtifactStatus != types.ArtifactStatusActive {
			t.Errorf("%+v", r)
		}
		kinds, in.NextToken = append(kinds, strings.TrimPrefix(*r.ArtifactType, "application/vnd.")), page.NextToken
	}
	if len(kinds) != 2 || kinds[0] == kinds[1] {
		t.Error(kinds)
	}
	for want, filter := range map[int]*types.ListImageReferrersFilter{
		1: {ArtifactTypes: []string{"application/vnd.a"}}, 2: {ArtifactStatus: types.ArtifactStatusFilterAny}, 0: {ArtifactStatus: types.ArtifactStatusFilterArchived},
	} {
		list, err := f.client.ListImageReferrers(t.Context(), &ecr.ListImageReferrersInput{RepositoryName: in.RepositoryName, SubjectId: in.SubjectId, Filter: filter})
		if err != nil || len(list.Referrers) != want {
			t.Errorf("%+v: %+v, %v", filter, list, err)
		}
	}
	none := digest.FromString("none").String()
	_, err := f.client.ListImageReferrers(t.Context(), &ecr.ListImageReferrersInput{RepositoryName: in.RepositoryName, SubjectId: &types.SubjectIdentifier{ImageDigest: &none}})
	wantException[*types.ImageNotFoundException](t, err)
}
