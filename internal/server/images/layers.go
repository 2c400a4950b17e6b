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

// The ECR API's limits for the parts of a layer, in bytes (Amazon ECR User Guide,
// "Service quotas"). They do not apply to the chunks of the registry endpoint.
const (
	// PartSize is the size that InitiateLayerUpload tells clients to use.
	PartSize = 10 << 20
	// minPart is the smallest size of every part except the last.
	minPart = 5 << 20
	// maxPart is LayerPartBlob's limit in ECR's model.
	maxPart = 20 << 20
)

// UploadPart appends one part, the bytes first to last, to an upload. Action
// ecr:UploadLayerPart. Faults: as [Service.AppendUpload], but InvalidLayerPart
// instead of UploadOffset; the upload is then returned too.
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
		return u.Upload, fault.New(fault.Invalid, "InvalidLayerPart", "The layer part begins at byte %d, but the upload has %d bytes: parts must be consecutive.", first, u.Size)
	case len(part) == 0 || len(part) > maxPart || last-first != int64(len(part))-1:
		return u.Upload, fault.New(fault.Invalid, "InvalidLayerPart", "The layer part is declared as bytes %d to %d and has %d bytes. A part has 1 to %d bytes, as many as declared.", first, last, len(part), maxPart)
	}
	if u.lastPart > 0 && u.lastPart < minPart {
		u.shortPart = 1
	}
	u.lastPart = int64(len(part))
	err = s.append(ctx, u, bytes.NewReader(part))
	return u.Upload, err
}

// CompleteLayer turns an upload into a blob of the repository. digests are what the
// client computed; the bytes must have one of them. After InvalidLayer and
// LayerAlreadyExists the upload no longer exists. Action ecr:CompleteLayerUpload.
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
	w, err := s.openUpload(ctx, u)
	if err != nil {
		return Blob{}, err
	}
	d, may := w.choose(digests)
	if _, err := s.renewBlob(ctx, repo, d); err == nil && may && s.storedIntact(ctx, repo, d) {
		return Blob{}, s.dropReceived(ctx, u, w, fault.New(fault.Conflict, "LayerAlreadyExists", "The image layer '%s' already exists in the '%s' repository", d, id.Name))
	}
	b, err := s.finish(ctx, repo, u, w, d)
	if mismatch, ok := errors.AsType[*fault.Error](err); ok && mismatch.Code == "DigestMismatch" {
		mismatch.Code = "InvalidLayer"
	}
	return b, err
}

// choose returns the one of digests that the bytes have, or may have if it is of an
// algorithm that was not hashed. may is false if they have none of them.
func (w *hashingWriter) choose(digests []digest.Digest) (d digest.Digest, may bool) {
	if got := digest.NewDigest(w.algorithm, w.hash); slices.Contains(digests, got) {
		return got, true
	}
	for _, d := range digests {
		if d.Algorithm() != w.algorithm {
			return d, true
		}
	}
	return digests[0], false
}

// LayerAvailability returns which of digests are blobs of the repository, and
// protects them from the sweep as [Service.BlobInfo] does. Action
// ecr:BatchCheckLayerAvailability. Faults: AccessDenied, RepositoryNotFound.
func (s *Service) LayerAvailability(ctx context.Context, id RepositoryID, digests []digest.Digest) (map[digest.Digest]Blob, error) {
	repo, err := s.authorize(ctx, id, "ecr:BatchCheckLayerAvailability")
	if err != nil {
		return nil, err
	}
	found := make(map[digest.Digest]Blob, len(digests))
	var missing []digest.Digest
	for _, d := range digests {
		b, err := s.renewBlob(ctx, repo, d)
		if fault.Is(err, "BlobNotFound") {
			missing = append(missing, d)
			continue
		}
		if err != nil {
			return nil, err
		}
		found[d] = b
	}
	archived, err := s.archivedBlobs(ctx, repo, missing)
	if err != nil {
		return nil, err
	}
	for _, d := range archived {
		found[d] = Blob{Digest: d, Archived: true}
	}
	return found, s.addMediaTypes(ctx, repo, found)
}

// addMediaTypes adds the media types that images of the repository give to blobs.
func (s *Service) addMediaTypes(ctx context.Context, repo *Repository, blobs map[digest.Digest]Blob) error {
	for d, b := range blobs {
		mediaType, err := db.One(ctx, s.db, db.Scalar[string], `SELECT media_type FROM image_reference WHERE repository = $1 AND digest = $2 AND media_type <> '' LIMIT 1`, repo.row, string(d))
		if err != nil && !errors.Is(err, db.ErrNoRows) {
			return err
		}
		b.MediaType = mediaType
		blobs[d] = b
	}
	return nil
}

// DownloadableLayer returns a blob for which the handler may make a signed URL. An
// image of the repository must need the blob. Action
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
	l, o, err := s.openIntact(ctx, repo, d)
	if fault.Is(err, "BlobNotFound") {
		if archived, err := s.archivedBlobs(ctx, repo, []digest.Digest{d}); err != nil || len(archived) > 0 {
			if err == nil {
				err = fault.New(fault.Conflict, "LayerInaccessible", "The layer with digest '%s' belongs to an archived image of the repository with name '%s'. Restore the image first.", d, id.Name)
			}
			return Blob{}, err
		}
		return Blob{}, fault.New(fault.NotFound, "LayersNotFound", "The layer with digest '%s' does not exist in the repository with name '%s' in the registry with id '%s'", d, id.Name, id.Account)
	}
	if err != nil {
		return Blob{}, err
	}
	_ = o.Close() // nothing was written
	_, err = db.One(ctx, s.db, db.Scalar[int64], `SELECT 1 FROM image_reference WHERE repository = $1 AND digest = $2 LIMIT 1`, repo.row, string(d))
	if errors.Is(err, db.ErrNoRows) {
		return Blob{}, fault.New(fault.Conflict, "LayerInaccessible", "The layer with digest '%s' is not associated with an image of the repository with name '%s'", d, id.Name)
	}
	return Blob{Digest: d, Size: l.size}, err
}
