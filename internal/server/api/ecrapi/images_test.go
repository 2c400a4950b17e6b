package ecrapi_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/opencontainers/go-digest"
)

const ociManifest = "application/vnd.oci.image.manifest.v1+json"

// upload uploads a layer in parts and returns the upload's id.
func (f *fixture) upload(repository string, parts ...[]byte) *string {
	f.t.Helper()
	begun, err := f.client.InitiateLayerUpload(f.t.Context(), &ecr.InitiateLayerUploadInput{RepositoryName: &repository})
	if err != nil || *begun.PartSize != 10<<20 {
		f.t.Fatal(begun, err)
	}
	at := int64(0)
	for _, part := range parts {
		out, err := f.client.UploadLayerPart(f.t.Context(), &ecr.UploadLayerPartInput{
			RepositoryName: &repository, UploadId: begun.UploadId, PartFirstByte: &at, PartLastByte: aws.Int64(at + int64(len(part)) - 1), LayerPartBlob: part,
		})
		if err != nil {
			f.t.Fatal(err)
		}
		if at += int64(len(part)); *out.LastByteReceived != at-1 || *out.UploadId != *begun.UploadId {
			f.t.Errorf("%+v", out)
		}
	}
	return begun.UploadId
}

// push pushes an image of one blob, which is its config, and returns its
// manifest.
func (f *fixture) push(repository, content string, tags ...string) string {
	f.t.Helper()
	d := digest.FromString(content).String()
	if _, err := f.client.CompleteLayerUpload(f.t.Context(), &ecr.CompleteLayerUploadInput{RepositoryName: &repository, UploadId: f.upload(repository, []byte(content)), LayerDigests: []string{d}}); err != nil {
		f.t.Fatal(err)
	}
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[]}`, ociManifest, d, len(content))
	for _, tag := range tags {
		if err := f.put(repository, manifest, tag); err != nil {
			f.t.Fatal(err)
		}
	}
	return manifest
}

func (f *fixture) put(repository, manifest, tag string) error {
	_, err := f.client.PutImage(f.t.Context(), &ecr.PutImageInput{RepositoryName: &repository, ImageManifest: &manifest, ImageTag: &tag})
	return err
}

func TestCompleteLayerUpload(t *testing.T) {
	f := serve(t)
	f.create("app")
	app := aws.String("app")
	parts := [][]byte{bytes.Repeat([]byte("a"), 10<<20), []byte("b")}
	d := digest.FromBytes(slices.Concat(parts...)).String()
	complete := func(upload *string, d string) (*ecr.CompleteLayerUploadOutput, error) {
		return f.client.CompleteLayerUpload(t.Context(), &ecr.CompleteLayerUploadInput{RepositoryName: app, UploadId: upload, LayerDigests: []string{d}})
	}
	upload := f.upload("app", parts...)
	_, err := f.client.UploadLayerPart(t.Context(), &ecr.UploadLayerPartInput{RepositoryName: app, UploadId: upload, PartFirstByte: aws.Int64(0), PartLastByte: aws.Int64(0), LayerPartBlob: []byte("x")})
	wantException[*types.InvalidLayerPartException](t, err)
	if part, ok := errors.AsType[*types.InvalidLayerPartException](err); !ok || aws.ToInt64(part.LastValidByteReceived) != 10<<20 || aws.ToString(part.UploadId) != *upload || aws.ToString(part.RepositoryName) != "app" {
		t.Errorf("%+v", part)
	}
	done, err := complete(upload, d)
	if err != nil || *done.LayerDigest != d || *done.RepositoryName != "app" || *done.RegistryId != account {
		t.Fatal(done, err)
	}
	_, err = complete(upload, d)
	wantException[*types.UploadNotFoundException](t, err)
	_, err = complete(f.upload("app", parts...), d)
	wantException[*types.LayerAlreadyExistsException](t, err)
	_, err = complete(f.upload("app"), d)
	wantException[*types.EmptyUploadException](t, err)
	_, err = complete(f.upload("app", []byte("x"), []byte("y")), d)
	wantException[*types.LayerPartTooSmallException](t, err)
	_, err = complete(f.upload("app", []byte("x")), d)
	wantException[*types.InvalidLayerException](t, err)

	missing := digest.FromString("missing").String()
	available, err := f.client.BatchCheckLayerAvailability(t.Context(), &ecr.BatchCheckLayerAvailabilityInput{RepositoryName: app, LayerDigests: []string{d, missing, "x", ""}})
	if err != nil || len(available.Layers) != 2 || available.Layers[0].LayerAvailability != types.LayerAvailabilityAvailable || *available.Layers[0].LayerSize != 10<<20+1 || available.Layers[1].LayerAvailability != types.LayerAvailabilityUnavailable ||
		len(available.Failures) != 2 || available.Failures[0].FailureCode != types.LayerFailureCodeInvalidLayerDigest || available.Failures[1].FailureCode != types.LayerFailureCodeMissingLayerDigest {
		t.Errorf("%+v, %v", available, err)
	}
	address := func(d string) (*ecr.GetDownloadUrlForLayerOutput, error) {
		return f.client.GetDownloadUrlForLayer(t.Context(), &ecr.GetDownloadUrlForLayerInput{RepositoryName: app, LayerDigest: &d})
	}
	_, err = address(d)
	wantException[*types.LayerInaccessibleException](t, err)
	_, err = address(missing)
	wantException[*types.LayersNotFoundException](t, err)
	f.push("app", "config", "v1")
	config := digest.FromString("config").String()
	if out, err := address(config); err != nil || *out.LayerDigest != config || !strings.HasSuffix(*out.DownloadUrl, "/"+account+"/"+region+"/app/"+config) {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestPutImage(t *testing.T) {
	f := serve(t)
	f.create("app")
	manifest := f.push("app", "config")
	out, err := f.client.PutImage(t.Context(), &ecr.PutImageInput{RepositoryName: aws.String("app"), ImageManifest: &manifest, ImageTag: aws.String("v1"), ImageManifestMediaType: aws.String(ociManifest)})
	d := digest.FromString(manifest).String()
	if err != nil || *out.Image.ImageId.ImageDigest != d || *out.Image.ImageId.ImageTag != "v1" || *out.Image.ImageManifest != manifest || *out.Image.ImageManifestMediaType != ociManifest {
		t.Fatal(out, err)
	}
	wantException[*types.ImageAlreadyExistsException](t, f.put("app", manifest, "v1"))
	if err := f.put("app", manifest, "v2"); err != nil {
		t.Error(err)
	}
	wantException[*types.InvalidParameterException](t, f.put("app", "{", "v3"))
	wantException[*types.InvalidParameterException](t, f.put("app", manifest, "-"))
	wantException[*types.LayersNotFoundException](t, f.put("app", strings.ReplaceAll(manifest, digest.FromString("config").String(), d), "v3"))
	list := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":%q,"digest":%q,"size":1}]}`, ociManifest, digest.FromString("none"))
	wantException[*types.ReferencedImagesNotFoundException](t, f.put("app", list, "v3"))
	_, err = f.client.PutImage(t.Context(), &ecr.PutImageInput{RepositoryName: aws.String("app"), ImageManifest: &manifest, ImageDigest: aws.String(digest.FromString("other").String())})
	wantException[*types.ImageDigestDoesNotMatchException](t, err)
	wantException[*types.RepositoryNotFoundException](t, f.put("none", manifest, "v1"))

	if _, err := f.client.PutImageTagMutability(t.Context(), &ecr.PutImageTagMutabilityInput{RepositoryName: aws.String("app"), ImageTagMutability: types.ImageTagMutabilityImmutable}); err != nil {
		t.Fatal(err)
	}
	another := f.push("app", "another config")
	err = f.put("app", another, "v1")
	wantException[*types.ImageTagAlreadyExistsException](t, err)
	if want := "The image tag 'v1' already exists in the 'app' repository and cannot be overwritten because the tag is immutable."; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("err = %v", err)
	}
	_, err = f.client.DeleteRepository(t.Context(), &ecr.DeleteRepositoryInput{RepositoryName: aws.String("app")})
	wantException[*types.RepositoryNotEmptyException](t, err)
	if _, err = f.client.DeleteRepository(t.Context(), &ecr.DeleteRepositoryInput{RepositoryName: aws.String("app"), Force: true}); err != nil {
		t.Error(err)
	}
}

// What DescribeImages says about an image, beyond its tags.
func TestDescribeImages_Fields(t *testing.T) {
	f := serve(t)
	f.create("app")
	app := aws.String("app")
	subject := f.push("app", "config", "v1")
	subjectDigest := digest.FromString(subject).String()
	referrer := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.example.sig","digest":%q,"size":6},"layers":[],"subject":{"mediaType":%[1]q,"digest":%[3]q,"size":1}}`,
		ociManifest, digest.FromString("config"), subjectDigest)
	if err := f.put("app", referrer, "sig"); err != nil {
		t.Fatal(err)
	}
	describe := func(tag string, filter *types.DescribeImagesFilter) []types.ImageDetail {
		t.Helper()
		out, err := f.client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: app, ImageIds: []types.ImageIdentifier{{ImageTag: &tag}}, Filter: filter})
		if err != nil {
			t.Fatal(err)
		}
		return out.ImageDetails
	}
	if d := describe("v1", nil)[0]; d.LastRecordedPullTime != nil || d.SubjectManifestDigest != nil || d.ImageStatus != types.ImageStatusActive {
		t.Errorf("before a pull: %+v", d)
	}
	if d := describe("sig", nil)[0]; aws.ToString(d.SubjectManifestDigest) != subjectDigest || aws.ToString(d.ArtifactMediaType) != "application/vnd.example.sig" {
		t.Errorf("a referrer: %+v", d)
	}
	if _, err := f.client.BatchGetImage(t.Context(), &ecr.BatchGetImageInput{RepositoryName: app, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}}}); err != nil {
		t.Fatal(err)
	}
	if d := describe("v1", nil)[0]; d.LastRecordedPullTime == nil {
		t.Error("no time after a pull")
	}
	// A filter selects among the images that are named.
	for status, want := range map[types.TagStatus]int{types.TagStatusTagged: 1, types.TagStatusUntagged: 0, types.TagStatusAny: 1} {
		if got := describe("v1", &types.DescribeImagesFilter{TagStatus: status}); len(got) != want {
			t.Errorf("%s: %d images, want %d", status, len(got), want)
		}
	}
	if got := describe("v1", &types.DescribeImagesFilter{ImageStatus: types.ImageStatusFilterArchived}); len(got) != 0 {
		t.Errorf("%d archived images", len(got))
	}
}

// A layer has the media type that an image gives it.
func TestBatchCheckLayerAvailability_MediaType(t *testing.T) {
	f := serve(t)
	f.create("app")
	upload := f.upload("app", []byte("loose"))
	if _, err := f.client.CompleteLayerUpload(t.Context(), &ecr.CompleteLayerUploadInput{RepositoryName: aws.String("app"), UploadId: upload, LayerDigests: []string{digest.FromString("loose").String()}}); err != nil {
		t.Fatal(err)
	}
	f.push("app", "config", "v1")
	for content, want := range map[string]string{"loose": "application/octet-stream", "config": "application/vnd.oci.image.config.v1+json"} {
		out, err := f.client.BatchCheckLayerAvailability(t.Context(), &ecr.BatchCheckLayerAvailabilityInput{RepositoryName: aws.String("app"), LayerDigests: []string{digest.FromString(content).String()}})
		if err != nil || len(out.Layers) != 1 || aws.ToString(out.Layers[0].MediaType) != want {
			t.Errorf("%s: %+v, %v, want %s", content, out, err, want)
		}
	}
}

func TestBatchGetImage_ListImages_DescribeImages(t *testing.T) {
	f := serve(t)
	f.create("app")
	app := aws.String("app")
	a, b := f.push("app", "config a", "a1", "a2"), f.push("app", "config b", "b1")
	digestA := digest.FromString(a).String()

	got, err := f.client.BatchGetImage(t.Context(), &ecr.BatchGetImageInput{RepositoryName: app, ImageIds: []types.ImageIdentifier{
		{ImageTag: aws.String("b1")}, {ImageDigest: &digestA}, {ImageTag: aws.String("none")}, {},
	}})
	if err != nil || len(got.Images) != 2 || *got.Images[0].ImageManifest != b || *got.Images[0].ImageId.ImageTag != "b1" || *got.Images[1].ImageManifest != a || got.Images[1].ImageId.ImageTag != nil ||
		len(got.Failures) != 2 || got.Failures[0].FailureCode != types.ImageFailureCodeImageNotFound || *got.Failures[0].ImageId.ImageTag != "none" || got.Failures[1].FailureCode != types.ImageFailureCodeMissingDigestAndTag {
		t.Errorf("%+v, %v", got, err)
	}
	for accepted, want := range map[string]int{ociManifest: 1, "application/vnd.docker.distribution.manifest.v2+json": 0} {
		got, err := f.client.BatchGetImage(t.Context(), &ecr.BatchGetImageInput{RepositoryName: app, AcceptedMediaTypes: []string{accepted}, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("b1")}}})
		if err != nil || len(got.Images) != want || len(got.Failures) != 1-want {
			t.Errorf("%s: %+v, %v", accepted, got, err)
		}
	}

	var tags []string
	pages := ecr.NewListImagesPaginator(f.client, &ecr.ListImagesInput{RepositoryName: app, MaxResults: aws.Int32(1)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil || len(page.ImageIds) != 1 {
			t.Fatal(page, err)
		}
		tags = append(tags, *page.ImageIds[0].ImageTag)
	}
	if slices.Sort(tags); !slices.Equal(tags, []string{"a1", "a2", "b1"}) {
		t.Errorf("tags %v", tags)
	}
	untagged, err := f.client.ListImages(t.Context(), &ecr.ListImagesInput{RepositoryName: app, Filter: &types.ListImagesFilter{TagStatus: types.TagStatusUntagged}})
	if err != nil || len(untagged.ImageIds) != 0 {
		t.Errorf("%+v, %v", untagged, err)
	}
	archived, err := f.client.ListImages(t.Context(), &ecr.ListImagesInput{RepositoryName: app, Filter: &types.ListImagesFilter{ImageStatus: types.ImageStatusFilterArchived}})
	if err != nil || len(archived.ImageIds) != 0 {
		t.Errorf("%+v, %v", archived, err)
	}

	n := 0
	described := ecr.NewDescribeImagesPaginator(f.client, &ecr.DescribeImagesInput{RepositoryName: app, MaxResults: aws.Int32(1)})
	for described.HasMorePages() {
		page, err := described.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n += len(page.ImageDetails)
	}
	if n != 2 {
		t.Errorf("%d images described", n)
	}
	details, err := f.client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: app, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("a2")}}})
	if err != nil || len(details.ImageDetails) != 1 {
		t.Fatal(details, err)
	}
	if d := details.ImageDetails[0]; *d.ImageDigest != digestA || !slices.Equal(d.ImageTags, []string{"a1", "a2"}) || *d.ImageSizeInBytes != int64(len("config a")) || *d.ImageManifestMediaType != ociManifest ||
		*d.ArtifactMediaType != "application/vnd.oci.image.config.v1+json" || f.Now().Sub(*d.ImagePushedAt) > 60e9 || *d.RegistryId != account || *d.RepositoryName != "app" {
		t.Errorf("%+v", d)
	}
	_, err = f.client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: app, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("none")}}})
	wantException[*types.ImageNotFoundException](t, err)
	_, err = f.client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: app, MaxResults: aws.Int32(1), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("a1")}}})
	wantException[*types.InvalidParameterException](t, err)
}

func TestBatchDeleteImage(t *testing.T) {
	f := serve(t)
	f.create("app")
	manifest := f.push("app", "config", "v1", "v2")
	d := digest.FromString(manifest).String()
	remove := func(ids ...types.ImageIdentifier) *ecr.BatchDeleteImageOutput {
		t.Helper()
		out, err := f.client.BatchDeleteImage(t.Context(), &ecr.BatchDeleteImageInput{RepositoryName: aws.String("app"), ImageIds: ids})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, tag := range []string{"v1", "v2"} {
		if out := remove(types.ImageIdentifier{ImageTag: &tag}); len(out.Failures) != 0 || len(out.ImageIds) != 1 || *out.ImageIds[0].ImageTag != tag || *out.ImageIds[0].ImageDigest != d {
			t.Errorf("%+v", out)
		}
	}
	// The image was deleted with its last tag.
	if out := remove(types.ImageIdentifier{ImageDigest: &d}); len(out.ImageIds) != 0 || len(out.Failures) != 1 || out.Failures[0].FailureCode != types.ImageFailureCodeImageNotFound {
		t.Errorf("%+v", out)
	}
	f.push("app", "another config", "v1")
	list := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":%q,"digest":%q,"size":1}]}`, ociManifest, digest.FromString(f.push("app", "child", "child")))
	if err := f.put("app", list, "list"); err != nil {
		t.Fatal(err)
	}
	if out := remove(types.ImageIdentifier{ImageTag: aws.String("child")}); len(out.Failures) != 1 || out.Failures[0].FailureCode != types.ImageFailureCodeImageReferencedByManifestList {
		t.Errorf("%+v", out)
	}
}
