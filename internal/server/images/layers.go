package images

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// The ECR API's rules on the parts of a layer, in bytes (Amazon ECR User Guide,
// "Service quotas"). The OCI endpoint's chunks have none.
const (
	// PartSize is the size that InitiateLayerUpload tells clients to use.
	PartSize = 10 << 20
	// minPart is what every part but the last has at least.
	minPart = 5 << 20
	// maxPart is LayerPartBlob's limit in ECR's model.
	maxPart = 20 << 20
)

// UploadPart appends one part, the bytes first to last, to an upload. Action
// ecr:UploadLayerPart. Faults: those of [Service.AppendUpload] but UploadOffset;
// InvalidLayerPart, which comes with the upload as it is.
func (s *Service) UploadPart(ctx context.Context, id RepositoryID, uploadID string, first, last int64, part []byte) (Upload, error) {
	repo, err := s.authorize(ctx, id, "ecr:UploadLayerPart")
	if err != nil {
		return Upload{}, err
	}
	u, unlock, err := s.lockUpload(ctx, repo, uploadID)
	if err != nil {
		return Upload{}, err
	}
	defer unlock()
	switch {
	case first != u.Size:
		return u.Upload, fault.New(fault.Invalid, "InvalidLayerPart", "The layer part begins at byte %d, which is not consecutive: the upload has %d bytes.", first, u.Size)
	case len(part) == 0 || len(part) > maxPart || last-first != int64(len(part))-1:
		return u.Upload, fault.New(fault.Invalid, "InvalidLayerPart", "The layer part is said to be bytes %d to %d and has %d bytes: it needs 1 to %d, and as many as it says.", first, last, len(part), maxPart)
	}
	if u.lastPart > 0 && u.lastPart < minPart {
		u.shortPart = 1
	}
	u.lastPart = int64(len(part))
	err = s.append(ctx, u, bytes.NewReader(part))
	return u.Upload, err
}

// CompleteLayer makes an upload a blob of the repository. digests are those that
// the client computed; its bytes have to have one of them. After InvalidLayer
// and LayerAlreadyExists the upload is gone. Action ecr:CompleteLayerUpload.
// Faults: AccessDenied, RepositoryNotFound, UploadNotFound, UploadConflict,
// InvalidDigest, DigestUnsupported, EmptyUpload, LayerPartTooSmall,
// InvalidLayer, LayerAlreadyExists.
func (s *Service) CompleteLayer(ctx context.Context, id RepositoryID, uploadID string, digests []digest.Digest) (Blob, error) {
	repo, err := s.authorize(ctx, id, "ecr:CompleteLayerUpload")
	if err != nil {
		return Blob{}, err
	}
	for _, d := range digests {
		if err := CheckDigest(d); err != nil {
			return Blob{}, err
		}
	}
	u, unlock, err := s.lockUpload(ctx, repo, uploadID)
	if err != nil {
		return Blob{}, err
	}
	defer unlock()
	switch {
	case u.Size == 0:
		return Blob{}, fault.New(fault.Invalid, "EmptyUpload", "The upload with id '%s' has no layer parts.", uploadID)
	case u.shortPart != 0:
		return Blob{}, fault.New(fault.Invalid, "LayerPartTooSmall", "Layer parts must be at least %d bytes, except the last one.", minPart)
	}
	k, err := s.openUpload(ctx, u)
	if err != nil {
		return Blob{}, err
	}
	d, may := k.choose(digests)
	if _, err := s.promise(ctx, repo, d); err == nil && may {
		return Blob{}, s.refuse(ctx, u, k, fault.New(fault.Conflict, "LayerAlreadyExists", "The image layer '%s' already exists in the '%s' repository", d, id.Name))
	}
	b, err := s.finish(ctx, repo, u, k, d)
	if mismatch, ok := errors.AsType[*fault.Error](err); ok && mismatch.Code == "DigestMismatch" {
		mismatch.Code = "InvalidLayer"
	}
	return b, err
}

// choose returns the one of digests that the bytes have or, as far as the hash
// can tell, may have; false where they have none of them.
func (k *sink) choose(digests []digest.Digest) (d digest.Digest, may bool) {
	if got := digest.NewDigest(k.algorithm, k.hash); slices.Contains(digests, got) {
		return got, true
	}
	for _, d := range digests {
		if d.Algorithm() != k.algorithm {
			return d, true
		}
	}
	return digests[0], false
}

// LayerAvailability finds which of digests are blobs of the repository, and
// keeps them from being swept as [Service.BlobInfo] does. Action
// ecr:BatchCheckLayerAvailability. Faults: AccessDenied, RepositoryNotFound.
func (s *Service) LayerAvailability(ctx context.Context, id RepositoryID, digests []digest.Digest) (map[digest.Digest]Blob, error) {
	repo, err := s.authorize(ctx, id, "ecr:BatchCheckLayerAvailability")
	if err != nil {
		return nil, err
	}
	found := make(map[digest.Digest]Blob, len(digests))
	for _, d := range digests {
		b, err := s.promise(ctx, repo, d)
		if fault.Is(err, "BlobNotFound") {
			continue
		}
		if err != nil {
			return nil, err
		}
		found[d] = b
	}
	return found, nil
}

// DownloadableLayer returns a blob for which an address may be made that opens
// it without credentials: one that an image of the repository needs. Action
// ecr:GetDownloadUrlForLayer. Faults: AccessDenied, RepositoryNotFound,
// InvalidDigest, DigestUnsupported, LayersNotFound, LayerInaccessible.
func (s *Service) DownloadableLayer(ctx context.Context, id RepositoryID, d digest.Digest) (Blob, error) {
	repo, err := s.authorize(ctx, id, "ecr:GetDownloadUrlForLayer")
	if err != nil {
		return Blob{}, err
	}
	if err := CheckDigest(d); err != nil {
		return Blob{}, err
	}
	l, err := s.locate(ctx, repo, d)
	if fault.Is(err, "BlobNotFound") {
		return Blob{}, fault.New(fault.NotFound, "LayersNotFound", "The layer with digest '%s' does not exist in the repository with name '%s' in the registry with id '%s'", d, id.Name, id.Account)
	}
	if err != nil {
		return Blob{}, err
	}
	_, err = db.One(ctx, s.db, db.Scalar[int64], `SELECT 1 FROM image_reference WHERE repository = $1 AND digest = $2 LIMIT 1`, repo.row, string(d))
	if errors.Is(err, db.ErrNoRows) {
		return Blob{}, fault.New(fault.Conflict, "LayerInaccessible", "The layer with digest '%s' is not associated with an image of the repository with name '%s'", d, id.Name)
	}
	return Blob{d, l.size}, err
}
