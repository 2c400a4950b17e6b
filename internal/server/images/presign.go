package images

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

// PresignBlob returns an address that gives a blob's bytes, without credentials,
// to whoever asks until it expires. ok is false where the blob store makes no
// such addresses; then nothing was decided, and [Service.OpenBlob] is the way.
// Action ecr:GetDownloadUrlForLayer. Faults: AccessDenied, RepositoryNotFound,
// BlobNotFound.
func (s *Service) PresignBlob(ctx context.Context, id RepositoryID, d digest.Digest, expires time.Duration) (address string, ok bool, err error) {
	store, ok := s.blobs.(blob.Presigner)
	if !ok {
		return "", false, nil
	}
	repo, err := s.authorize(ctx, id, "ecr:GetDownloadUrlForLayer")
	if err != nil {
		return "", true, err
	}
	l, err := s.locate(ctx, repo, d)
	if err != nil {
		return "", true, err
	}
	address, err = store.Presign(ctx, l.object, expires)
	return address, true, err
}
