package ecrapi

import (
	"cmp"
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// InitiateLayerUpload begins an upload, and returns how large its parts should be.
func (a *API) InitiateLayerUpload(ctx context.Context, in *ecr.InitiateLayerUploadInput) (*ecr.InitiateLayerUploadOutput, error) {
	u, err := a.c.Images.StartUpload(ctx, repository(ctx, in.RegistryId, in.RepositoryName), "")
	if err != nil {
		return nil, err
	}
	return &ecr.InitiateLayerUploadOutput{UploadId: &u.ID, PartSize: new(int64(images.PartSize))}, nil
}

// UploadLayerPart appends a part to an upload.
func (a *API) UploadLayerPart(ctx context.Context, in *ecr.UploadLayerPartInput) (*ecr.UploadLayerPartOutput, error) {
	id := repository(ctx, in.RegistryId, in.RepositoryName)
	u, err := a.c.Images.UploadPart(ctx, id, optional.Value(in.UploadId), optional.Value(in.PartFirstByte), optional.Value(in.PartLastByte), in.LayerPartBlob)
	if fault.Is(err, "InvalidLayerPart") {
		return nil, &types.InvalidLayerPartException{
			Message:               &fault.From(err).Message,
			LastValidByteReceived: new(u.Size - 1),
			RegistryId:            &id.Account,
			RepositoryName:        &id.Name,
			UploadId:              in.UploadId,
		}
	}
	if err != nil {
		return nil, err
	}
	return &ecr.UploadLayerPartOutput{LastByteReceived: new(u.Size - 1), RegistryId: &id.Account, RepositoryName: &id.Name, UploadId: in.UploadId}, nil
}

// CompleteLayerUpload turns an upload into a layer of the repository.
func (a *API) CompleteLayerUpload(ctx context.Context, in *ecr.CompleteLayerUploadInput) (*ecr.CompleteLayerUploadOutput, error) {
	id := repository(ctx, in.RegistryId, in.RepositoryName)
	digests := make([]digest.Digest, len(in.LayerDigests))
	for i, d := range in.LayerDigests {
		digests[i] = digest.Digest(d)
	}
	b, err := a.c.Images.CompleteLayer(ctx, id, optional.Value(in.UploadId), digests)
	if err != nil {
		return nil, err
	}
	return &ecr.CompleteLayerUploadOutput{LayerDigest: new(string(b.Digest)), RegistryId: &id.Account, RepositoryName: &id.Name, UploadId: in.UploadId}, nil
}

// BatchCheckLayerAvailability returns which layers the repository has.
func (a *API) BatchCheckLayerAvailability(ctx context.Context, in *ecr.BatchCheckLayerAvailabilityInput) (*ecr.BatchCheckLayerAvailabilityOutput, error) {
	out := &ecr.BatchCheckLayerAvailabilityOutput{Layers: []types.Layer{}, Failures: []types.LayerFailure{}}
	var valid []digest.Digest
	for _, text := range in.LayerDigests {
		switch d := digest.Digest(text); {
		case d == "":
			out.Failures = append(out.Failures, layerFailure(text, types.LayerFailureCodeMissingLayerDigest, "Invalid request parameters: layer digest cannot be empty"))
		case images.CheckDigest(d) != nil:
			out.Failures = append(out.Failures, layerFailure(text, types.LayerFailureCodeInvalidLayerDigest, "Invalid layer digest: it must be sha256 or sha512 in lower-case hexadecimal digits"))
		default:
			valid = append(valid, d)
		}
	}
	found, err := a.c.Images.LayerAvailability(ctx, repository(ctx, in.RegistryId, in.RepositoryName), valid)
	if err != nil {
		return nil, err
	}
	for _, d := range valid {
		layer := types.Layer{LayerDigest: new(string(d)), LayerAvailability: types.LayerAvailabilityUnavailable}
		switch b, ok := found[d]; {
		case ok && b.Archived:
			layer.LayerAvailability, layer.MediaType = types.LayerAvailabilityArchived, new(cmp.Or(b.MediaType, unknownMediaType))
		case ok:
			layer.LayerAvailability, layer.LayerSize = types.LayerAvailabilityAvailable, &b.Size
			layer.MediaType = new(cmp.Or(b.MediaType, unknownMediaType))
		}
		out.Layers = append(out.Layers, layer)
	}
	return out, nil
}

// unknownMediaType is the media type of a layer that no image of the repository needs.
const unknownMediaType = "application/octet-stream"

func layerFailure(d string, code types.LayerFailureCode, reason string) types.LayerFailure {
	return types.LayerFailure{LayerDigest: &d, FailureCode: code, FailureReason: &reason}
}

// GetDownloadUrlForLayer returns a URL from which a layer of an image can be downloaded
// for a limited time without credentials.
func (a *API) GetDownloadUrlForLayer(ctx context.Context, in *ecr.GetDownloadUrlForLayerInput) (*ecr.GetDownloadUrlForLayerOutput, error) {
	id := repository(ctx, in.RegistryId, in.RepositoryName)
	b, err := a.c.Images.DownloadableLayer(ctx, id, digest.Digest(optional.Value(in.LayerDigest)))
	if err != nil {
		return nil, err
	}
	url, err := a.c.LayerURLs.LayerURL(id, b.Digest)
	if err != nil {
		return nil, err
	}
	return &ecr.GetDownloadUrlForLayerOutput{DownloadUrl: &url, LayerDigest: new(string(b.Digest))}, nil
}
