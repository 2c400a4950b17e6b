package ecrapi_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/opencontainers/go-digest"
)

// The life of an archived image through the SDK.
func TestUpdateImageStorageClass(t *testing.T) {
	f := serve(t)
	f.create("app")
	app := aws.String("app")
	manifest := f.push("app", "config", "v1")
	d := digest.FromString(manifest).String()
	update := func(to types.TargetStorageClass) types.ImageStatus {
		t.Helper()
		out, err := f.client.UpdateImageStorageClass(t.Context(), &ecr.UpdateImageStorageClassInput{RepositoryName: app, ImageId: &types.ImageIdentifier{ImageTag: aws.String("v1")}, TargetStorageClass: to})
		if err != nil || *out.ImageId.ImageDigest != d || *out.RegistryId != account || *out.RepositoryName != "app" {
			t.Fatal(out, err)
		}
		return out.ImageStatus
	}
	if got := update(types.TargetStorageClassArchive); got != types.ImageStatusArchived {
		t.Error(got)
	}
	got, err := f.client.BatchGetImage(t.Context(), &ecr.BatchGetImageInput{RepositoryName: app, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}}})
	if err != nil || len(got.Images) != 0 || len(got.Failures) != 1 || got.Failures[0].FailureCode != types.ImageFailureCodeImageNotFound {
		t.Error(got, err)
	}
	listed := func(filter types.ImageStatusFilter) []types.ImageDetail {
		t.Helper()
		out, err := f.client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: app, Filter: &types.DescribeImagesFilter{ImageStatus: filter}})
		if err != nil {
			t.Fatal(err)
		}
		return out.ImageDetails
	}
	for filter, want := range map[types.ImageStatusFilter]int{"": 0, types.ImageStatusFilterActive: 0, types.ImageStatusFilterArchived: 1, types.ImageStatusFilterActivating: 0, types.ImageStatusFilterAny: 1} {
		if n := len(listed(filter)); n != want {
			t.Errorf("%q: %d images, want %d", filter, n, want)
		}
	}
	if i := listed(types.ImageStatusFilterArchived)[0]; i.ImageStatus != types.ImageStatusArchived || i.LastArchivedAt == nil || i.LastActivatedAt != nil {
		t.Errorf("%+v", i)
	}
	named, err := f.client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: app, ImageIds: []types.ImageIdentifier{{ImageDigest: &d}}})
	if err != nil || len(named.ImageDetails) != 1 || named.ImageDetails[0].ImageStatus != types.ImageStatusArchived {
		t.Error(named, err)
	}
	layers, err := f.client.BatchCheckLayerAvailability(t.Context(), &ecr.BatchCheckLayerAvailabilityInput{RepositoryName: app, LayerDigests: []string{digest.FromString("config").String()}})
	if err != nil || layers.Layers[0].LayerAvailability != types.LayerAvailabilityArchived {
		t.Error(layers, err)
	}
	if got := update(types.TargetStorageClassStandard); got != types.ImageStatusActivating {
		t.Error(got)
	}
	if err := f.work.RunDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if i := listed("")[0]; i.ImageStatus != types.ImageStatusActive || i.LastArchivedAt == nil || i.LastActivatedAt == nil {
		t.Errorf("%+v", i)
	}
	list := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"` + ociManifest + `","digest":"` + d + `","size":1}]}`
	if err := f.put("app", list, "list"); err != nil {
		t.Fatal(err)
	}
	_, err = f.client.UpdateImageStorageClass(t.Context(), &ecr.UpdateImageStorageClassInput{RepositoryName: app, ImageId: &types.ImageIdentifier{ImageTag: aws.String("v1")}, TargetStorageClass: types.TargetStorageClassArchive})
	wantException[*types.ImageStorageClassUpdateNotSupportedException](t, err)
	_, err = f.client.UpdateImageStorageClass(t.Context(), &ecr.UpdateImageStorageClassInput{RepositoryName: app, ImageId: &types.ImageIdentifier{ImageTag: aws.String("v2")}, TargetStorageClass: types.TargetStorageClassArchive})
	wantException[*types.ImageNotFoundException](t, err)

	// A policy that archives and its preview.
	policy := `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"transition","targetStorageClass":"archive"}}]}`
	f.push("app", "another", "v3")
	if _, err := f.client.StartLifecyclePolicyPreview(t.Context(), &ecr.StartLifecyclePolicyPreviewInput{RepositoryName: app, LifecyclePolicyText: &policy}); err != nil {
		t.Fatal(err)
	}
	if err := f.work.RunDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	preview, err := f.client.GetLifecyclePolicyPreview(t.Context(), &ecr.GetLifecyclePolicyPreviewInput{RepositoryName: app})
	if err != nil || len(preview.PreviewResults) == 0 || len(preview.Summary.TransitioningImageTotalCounts) != 1 || *preview.Summary.ExpiringImageTotalCount != 0 {
		t.Fatalf("%+v, %v", preview, err)
	}
	if r := preview.PreviewResults[0]; r.Action.Type != types.ImageActionTypeTransition || r.Action.TargetStorageClass != types.LifecyclePolicyTargetStorageClassArchive || r.StorageClass != types.LifecyclePolicyStorageClassStandard {
		t.Errorf("%+v", r)
	}
}
