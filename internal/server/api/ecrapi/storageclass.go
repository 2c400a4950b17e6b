package ecrapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// UpdateImageStorageClass archives an image, or begins to restore an archived one.
func (a *API) UpdateImageStorageClass(ctx context.Context, in *ecr.UpdateImageStorageClassInput) (*ecr.UpdateImageStorageClassOutput, error) {
	id := repository(ctx, in.RegistryId, in.RepositoryName)
	ref := references([]types.ImageIdentifier{optional.Value(in.ImageId)})[0]
	update := a.c.Images.RestoreImage
	if in.TargetStorageClass == types.TargetStorageClassArchive {
		update = a.c.Images.ArchiveImage
	}
	d, status, err := update(ctx, id, ref)
	if err != nil {
		return nil, err
	}
	return &ecr.UpdateImageStorageClassOutput{
		ImageId: imageID(images.Reference{Tag: ref.Tag, Digest: d}), ImageStatus: types.ImageStatus(status), RegistryId: &id.Account, RepositoryName: &id.Name,
	}, nil
}
