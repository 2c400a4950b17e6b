package ecrapi_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/opencontainers/go-digest"
)

// leftOut are the members of outputs that stay empty even if everything that can be set
// is set. AWS leaves them out too, unless a feature is used that is not supported.
var leftOut = []string{
	"ImageDetail.ImageScanFindingsSummary", // no scanning
	"ImageDetail.ImageScanStatus",
	"ImageDetail.LastActivatedAt", // no archive
	"ImageDetail.LastArchivedAt",
	"ImageReplicationStatus.FailureCode",
	"LifecyclePolicyPreviewSummary.TransitioningImageTotalCounts",
	"LifecyclePolicyRuleAction.TargetStorageClass",
	"BatchCheckLayerAvailabilityOutput.Failures",
	"BatchDeleteImageOutput.Failures",
	"BatchGetImageOutput.Failures",
}

// Every operation fills every member of its output that AWS fills.
func TestOutputs_Complete(t *testing.T) {
	f := serve(t)
	app := aws.String("app")
	ctx := t.Context()
	var empty []string
	check := func(out any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		empty = append(empty, emptyMembers(reflect.ValueOf(out).Elem())...)
	}
	created, err := f.client.CreateRepository(ctx, &ecr.CreateRepositoryInput{
		RepositoryName: app, EncryptionConfiguration: &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeKms},
		ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: true}, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}},
		ImageTagMutability: types.ImageTagMutabilityMutableWithExclusion, ImageTagMutabilityExclusionFilters: exclusion("release-*"),
	})
	check(created, err)
	if _, err := f.client.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("other")}); err != nil {
		t.Fatal(err)
	}
	begun, err := f.client.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RepositoryName: app})
	check(begun, err)
	layer := digest.FromString("layer").String()
	part, err := f.client.UploadLayerPart(ctx, &ecr.UploadLayerPartInput{RepositoryName: app, UploadId: begun.UploadId, PartFirstByte: aws.Int64(0), PartLastByte: aws.Int64(4), LayerPartBlob: []byte("layer")})
	check(part, err)
	completed, err := f.client.CompleteLayerUpload(ctx, &ecr.CompleteLayerUploadInput{RepositoryName: app, UploadId: begun.UploadId, LayerDigests: []string{layer}})
	check(completed, err)
	subject := f.push("app", "config", "subject")
	manifest := `{"schemaVersion":2,"mediaType":"` + ociManifest + `","config":{"mediaType":"application/vnd.example.config","digest":"` + layer + `","size":5},"layers":[],
		"subject":{"mediaType":"` + ociManifest + `","digest":"` + digest.FromString(subject).String() + `","size":1}}`
	image := []types.ImageIdentifier{{ImageTag: aws.String("v1")}}
	put, err := f.client.PutImage(ctx, &ecr.PutImageInput{RepositoryName: app, ImageManifest: &manifest, ImageTag: aws.String("v1")})
	check(put, err)
	got, err := f.client.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: app, ImageIds: image})
	check(got, err)
	described, err := f.client.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: app, ImageIds: image})
	check(described, err)
	page, err := f.client.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: app, MaxResults: aws.Int32(1)})
	check(&struct{ NextToken *string }{page.NextToken}, err)
	listed, err := f.client.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: app, MaxResults: aws.Int32(1)})
	check(listed, err)
	available, err := f.client.BatchCheckLayerAvailability(ctx, &ecr.BatchCheckLayerAvailabilityInput{RepositoryName: app, LayerDigests: []string{layer}})
	check(available, err)
	url, err := f.client.GetDownloadUrlForLayer(ctx, &ecr.GetDownloadUrlForLayerInput{RepositoryName: app, LayerDigest: &layer})
	check(url, err)

	repositories, err := f.client.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{MaxResults: aws.Int32(1)})
	check(repositories, err)
	mutability, err := f.client.PutImageTagMutability(ctx, &ecr.PutImageTagMutabilityInput{RepositoryName: app, ImageTagMutability: types.ImageTagMutabilityImmutableWithExclusion, ImageTagMutabilityExclusionFilters: exclusion("dev-*")})
	check(mutability, err)
	scanning, err := f.client.PutImageScanningConfiguration(ctx, &ecr.PutImageScanningConfigurationInput{RepositoryName: app, ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: true}})
	check(scanning, err)
	tags, err := f.client.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: created.Repository.RepositoryArn})
	check(tags, err)
	policy := aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]}`)
	set, err := f.client.SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: app, PolicyText: policy})
	check(set, err)
	shown, err := f.client.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: app})
	check(shown, err)
	removed, err := f.client.DeleteRepositoryPolicy(ctx, &ecr.DeleteRepositoryPolicyInput{RepositoryName: app})
	check(removed, err)
	f.Advance(time.Second)
	f.push("app", "a younger config", "v2")
	keepAny := strings.Replace(keepOne, `"tagged","tagPrefixList":["v"]`, `"any"`, 1)
	nothing := strings.Replace(keepOne, `"v"`, `"w"`, 1)
	putLifecycle, err := f.client.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: app, LifecyclePolicyText: &nothing})
	check(putLifecycle, err)
	startedPreview, err := f.client.StartLifecyclePolicyPreview(ctx, &ecr.StartLifecyclePolicyPreviewInput{RepositoryName: app, LifecyclePolicyText: &keepAny})
	check(startedPreview, err)
	f.Advance(11 * time.Minute)
	if err := f.work.RunDue(ctx); err != nil {
		t.Fatal(err)
	}
	preview, err := f.client.GetLifecyclePolicyPreview(ctx, &ecr.GetLifecyclePolicyPreviewInput{RepositoryName: app})
	check(preview, err)
	gotLifecycle, err := f.client.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: app})
	check(gotLifecycle, err)
	deletedLifecycle, err := f.client.DeleteLifecyclePolicy(ctx, &ecr.DeleteLifecyclePolicyInput{RepositoryName: app})
	check(deletedLifecycle, err)
	replicated, err := f.client.PutReplicationConfiguration(ctx, &ecr.PutReplicationConfigurationInput{ReplicationConfiguration: replicateTo("eu-west-1", account)})
	check(replicated, err)
	f.push("app", "a replicated config", "v3")
	replicating, err := f.client.DescribeImageReplicationStatus(ctx, &ecr.DescribeImageReplicationStatusInput{RepositoryName: app, ImageId: &types.ImageIdentifier{ImageTag: aws.String("v3"), ImageDigest: nil}})
	check(&struct {
		Statuses []types.ImageReplicationStatus
	}{replicating.ReplicationStatuses}, err)
	registry, err := f.client.DescribeRegistry(ctx, &ecr.DescribeRegistryInput{})
	check(registry, err)
	token, err := f.client.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	check(token, err)
	deleted, err := f.client.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: app, ImageIds: image})
	check(deleted, err)
	gone, err := f.client.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: app, Force: true})
	check(gone, err)

	slices.Sort(empty)
	for _, member := range slices.Compact(empty) {
		if !slices.Contains(leftOut, member) {
			t.Errorf("%s is empty", member)
		}
	}
}

func exclusion(filter string) []types.ImageTagMutabilityExclusionFilter {
	return []types.ImageTagMutabilityExclusionFilter{{Filter: &filter, FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard}}
}

// emptyMembers names the exported fields below v that have no value: Type.Field. Of a
// list it looks at the first element. It skips NextToken: the tests of pages check it.
func emptyMembers(v reflect.Value) (empty []string) {
	for i := range v.NumField() {
		field, name := v.Type().Field(i), v.Type().Name()+"."+v.Type().Field(i).Name
		value := v.Field(i)
		switch {
		case !field.IsExported() || field.Name == "ResultMetadata" || field.Name == "NextToken" && !strings.HasPrefix(v.Type().Name(), "List") && v.Type().Name() != "":
			continue
		case value.Kind() == reflect.Bool: // false is a value
		case value.IsZero() || value.Kind() == reflect.Slice && value.Len() == 0:
			empty = append(empty, name)
		default:
			if value.Kind() == reflect.Slice {
				value = value.Index(0)
			}
			if value.Kind() == reflect.Pointer {
				value = value.Elem()
			}
			if value.Kind() == reflect.Struct && value.Type().PkgPath() != "time" {
				empty = append(empty, emptyMembers(value)...)
			}
		}
	}
	return empty
}
