package ecrapi

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// PutImage stores a manifest and sets a tag on it. If the image already exists with
// this tag, it returns ImageAlreadyExistsException.
func (a *API) PutImage(ctx context.Context, in *ecr.PutImageInput) (*ecr.PutImageOutput, error) {
	id := repository(ctx, in.RegistryId, in.RepositoryName)
	put := images.PutManifest{
		Digest:    digest.Digest(optional.Value(in.ImageDigest)),
		MediaType: optional.Value(in.ImageManifestMediaType),
		Body:      strings.NewReader(optional.Value(in.ImageManifest)),
		Existing:  images.RejectExisting,
	}
	if in.ImageTag != nil {
		put.Tags = []string{*in.ImageTag}
	}
	m, err := a.c.Images.PutManifest(ctx, id, put)
	if err != nil {
		return nil, err
	}
	return &ecr.PutImageOutput{Image: new(image(id, images.TaggedManifest{Tag: optional.Value(in.ImageTag), Manifest: m}))}, nil
}

// image converts a manifest.
func image(id images.RepositoryID, m images.TaggedManifest) types.Image {
	return types.Image{
		ImageId:                imageID(images.Reference{Tag: m.Tag, Digest: m.Digest}),
		ImageManifest:          new(string(m.Body)),
		ImageManifestMediaType: &m.MediaType,
		RegistryId:             &id.Account,
		RepositoryName:         &id.Name,
	}
}

func imageID(ref images.Reference) *types.ImageIdentifier {
	return &types.ImageIdentifier{ImageDigest: optional.Text(string(ref.Digest)), ImageTag: optional.Text(ref.Tag)}
}

// references is the inverse of imageID, for lists.
func references(ids []types.ImageIdentifier) []images.Reference {
	refs := make([]images.Reference, len(ids))
	for i, id := range ids {
		refs[i] = images.Reference{Tag: optional.Value(id.ImageTag), Digest: digest.Digest(optional.Value(id.ImageDigest))}
	}
	return refs
}

func imageFailures(list []images.ImageFailure) []types.ImageFailure {
	out := make([]types.ImageFailure, len(list))
	for i := range list {
		f := &list[i]
		out[i] = types.ImageFailure{ImageId: imageID(f.Reference), FailureCode: types.ImageFailureCode(f.Code), FailureReason: &f.Reason}
	}
	return out
}

// BatchGetImage returns manifests. Nothing is converted: an image whose media
// type is not among acceptedMediaTypes is a failure.
func (a *API) BatchGetImage(ctx context.Context, in *ecr.BatchGetImageInput) (*ecr.BatchGetImageOutput, error) {
	id := repository(ctx, in.RegistryId, in.RepositoryName)
	found, failures, err := a.c.Images.Manifests(ctx, id, references(in.ImageIds))
	if err != nil {
		return nil, err
	}
	out := &ecr.BatchGetImageOutput{Images: []types.Image{}}
	for _, m := range found {
		if len(in.AcceptedMediaTypes) > 0 && !slices.Contains(in.AcceptedMediaTypes, m.MediaType) {
			failures = append(failures, images.ImageFailure{
				Reference: images.Reference{Tag: m.Tag, Digest: m.Digest}, Code: string(types.ImageFailureCodeImageNotFound),
				Reason: "Requested image is of the media type " + m.MediaType + ", which is not among the accepted ones",
			})
			continue
		}
		out.Images = append(out.Images, image(id, m))
	}
	out.Failures = imageFailures(failures)
	return out, nil
}

// BatchDeleteImage deletes images by digest, and tags. An image is deleted with its
// last tag.
func (a *API) BatchDeleteImage(ctx context.Context, in *ecr.BatchDeleteImageInput) (*ecr.BatchDeleteImageOutput, error) {
	deleted, failures, err := a.c.Images.DeleteImages(ctx, repository(ctx, in.RegistryId, in.RepositoryName), references(in.ImageIds))
	if err != nil {
		return nil, err
	}
	out := &ecr.BatchDeleteImageOutput{ImageIds: []types.ImageIdentifier{}, Failures: imageFailures(failures)}
	for _, ref := range deleted {
		out.ImageIds = append(out.ImageIds, *imageID(ref))
	}
	return out, nil
}

// imageFilter is the filter of ListImages and DescribeImages.
func imageFilter(tags types.TagStatus, status types.ImageStatusFilter) images.ImageFilter {
	return images.ImageFilter{Tags: images.TagStatus(cmp.Or(tags, types.TagStatusAny)), Status: images.ImageStatus(cmp.Or(status, types.ImageStatusFilterActive))}
}

// ListImages lists tags with their digests, and digests without a tag.
func (a *API) ListImages(ctx context.Context, in *ecr.ListImagesInput) (*ecr.ListImagesOutput, error) {
	id, filter := repository(ctx, in.RegistryId, in.RepositoryName), optional.Value(in.Filter)
	want := imageFilter(filter.TagStatus, filter.ImageStatus)
	page := pagetoken.NewScope("ListImages", id.ARN(), string(want.Tags), string(want.Status))
	cursor, err := cursorOf(page, in.NextToken, 2)
	if err != nil {
		return nil, err
	}
	list, more, err := a.c.Images.ListImages(ctx, id, want, images.Reference{Digest: digest.Digest(cursor[0]), Tag: cursor[1]}, pageSize(in.MaxResults))
	if err != nil {
		return nil, err
	}
	out := &ecr.ListImagesOutput{ImageIds: []types.ImageIdentifier{}}
	for _, ref := range list {
		out.ImageIds = append(out.ImageIds, *imageID(ref))
	}
	if more {
		last := list[len(list)-1]
		out.NextToken = page.Next(more, string(last.Digest), last.Tag)
	}
	return out, nil
}

// DescribeImages describes the images with the given ids, or lists all images of the
// repository, ordered by digest.
func (a *API) DescribeImages(ctx context.Context, in *ecr.DescribeImagesInput) (*ecr.DescribeImagesOutput, error) {
	id, filter := repository(ctx, in.RegistryId, in.RepositoryName), optional.Value(in.Filter)
	want := imageFilter(filter.TagStatus, filter.ImageStatus)
	if in.ImageIds != nil {
		if in.NextToken != nil || in.MaxResults != nil {
			return nil, invalidParameter("imageIds", "Member must not be given together with nextToken or maxResults")
		}
		list, err := a.c.Images.DescribeImagesByReference(ctx, id, references(in.ImageIds))
		if err != nil {
			return nil, err
		}
		if filter.ImageStatus == "" {
			want.Status = images.AnyImageStatus // the request names the images
		}
		list = slices.DeleteFunc(list, func(d *images.ImageDetail) bool { return !want.Includes(d) })
		return &ecr.DescribeImagesOutput{ImageDetails: imageDetails(id, list)}, nil
	}
	page := pagetoken.NewScope("DescribeImages", id.ARN(), string(want.Tags), string(want.Status))
	cursor, err := cursorOf(page, in.NextToken, 1)
	if err != nil {
		return nil, err
	}
	list, more, err := a.c.Images.DescribeImages(ctx, id, want, digest.Digest(cursor[0]), pageSize(in.MaxResults))
	if err != nil {
		return nil, err
	}
	out := &ecr.DescribeImagesOutput{ImageDetails: imageDetails(id, list)}
	if more {
		out.NextToken = page.Next(more, string(list[len(list)-1].Digest))
	}
	return out, nil
}

func imageDetails(id images.RepositoryID, list []*images.ImageDetail) []types.ImageDetail {
	out := make([]types.ImageDetail, len(list))
	for i, d := range list {
		out[i] = types.ImageDetail{
			ArtifactMediaType:      optional.Text(d.ArtifactType),
			ImageDigest:            new(string(d.Digest)),
			ImageManifestMediaType: &d.MediaType,
			ImagePushedAt:          &d.PushedAt,
			ImageSizeInBytes:       &d.Size,
			ImageStatus:            types.ImageStatus(d.Status),
			ImageTags:              d.Tags,
			LastActivatedAt:        optional.Time(d.ActivatedAt),
			LastArchivedAt:         optional.Time(d.ArchivedAt),
			LastRecordedPullTime:   optional.Time(d.PulledAt),
			SubjectManifestDigest:  optional.Text(string(d.Subject)),
			RegistryId:             &id.Account,
			RepositoryName:         &id.Name,
		}
		addScan(&out[i], d.Scan)
	}
	return out
}
