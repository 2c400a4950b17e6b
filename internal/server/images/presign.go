package images

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

// PresignBlob returns a URL of the blob store from which a client can download a
// blob without credentials until it expires. ok is false if the blob store has no
// such URLs; then nothing was authorized, and the handler calls [Service.OpenBlob].
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
