package images

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// An Upload is an unfinished upload of a blob.
type Upload struct {
	ID   string // a UUID
	Size int64  // bytes received, all of them durable
}

// AnyOffset as the offset of a chunk means the current end of the upload.
const AnyOffset int64 = -1

// objectPrefix begins the names of this package's objects. The rest is a UUID. For
// a blob that came through an upload it is the id of the upload.
const objectPrefix = "image-"

// maxUploads is the number of unfinished uploads that a repository can have. Uploads
// that receive nothing are removed after a time, so that only a client that starts
// uploads without end reaches it.
const maxUploads = 10_000

// checkUploads returns TooManyUploads if the repository has maxUploads.
func checkUploads(ctx context.Context, tx *db.Tx, repo *Repository) error {
	n, err := db.One(ctx, tx, db.Scalar[int64], `SELECT count(*) FROM (SELECT 1 FROM image_upload WHERE repository = $1 LIMIT $2) AS some_uploads`, repo.row, maxUploads)
	if err == nil && n >= maxUploads {
		return fault.New(fault.Limit, "TooManyUploads", "The repository with name '%s' has %d unfinished uploads. Complete or cancel some, or wait until the server removes those that receive nothing.", repo.ID.Name, maxUploads)
	}
	return err
}

// StartUpload begins an upload. algorithm is the algorithm of the final digest if
// the client announces it, and otherwise empty. Even then the digest may be of any
// supported algorithm. A missing repository is created if a template for it is applied to
// pushes. Action ecr:InitiateLayerUpload, and ecr:CreateRepository to create. Faults:
// AccessDenied, RepositoryNotFound, TemplateRoleUnusable, DigestUnsupported, TooManyUploads.
func (s *Service) StartUpload(ctx context.Context, id RepositoryID, algorithm digest.Algorithm) (Upload, error) {
	repo, err := s.pushTarget(ctx, id, "ecr:InitiateLayerUpload")
	if err != nil {
		return Upload{}, err
	}
	if algorithm == "" {
		algorithm = digest.SHA256
	}
	if err := checkAlgorithm(algorithm); err != nil {
		return Upload{}, err
	}
	uploadID := randid.UUID()
	err = s.db.Tx(ctx, func(tx *db.Tx) error {
		if err := checkExists(ctx, tx, repo); err != nil {
			return err
		}
		if err := checkUploads(ctx, tx, repo); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO image_upload (id, repository, object, algorithm, size, last_part, short_part, generation, updated) VALUES ($1, $2, $3, $4, 0, 0, 0, 0, $5)`,
			uploadID, repo.row, objectPrefix+uploadID, string(algorithm), db.Micros(s.now()))
		return err
	})
	if err != nil {
		return Upload{}, err
	}
	return Upload{ID: uploadID}, nil
}

// UploadStatus returns how many bytes of an upload have arrived. Action ecr:UploadLayerPart. Faults:
// AccessDenied, RepositoryNotFound, UploadNotFound.
func (s *Service) UploadStatus(ctx context.Context, id RepositoryID, uploadID string) (Upload, error) {
	repo, err := s.authorize(ctx, id, "ecr:UploadLayerPart")
	if err != nil {
		return Upload{}, err
	}
	u, err := s.upload(ctx, repo, uploadID)
	if err != nil {
		return Upload{}, err
	}
	return u.Upload, nil
}

// AppendUpload appends body to an upload and makes it durable. offset is the
// position of its first byte, or [AnyOffset]. One request at a time writes to an
// upload; others wait. Action ecr:UploadLayerPart. Faults: AccessDenied,
// RepositoryNotFound, UploadNotFound; UploadOffset, with which the current upload
// is returned; UploadInterrupted if body failed, and then the bytes before the
// failure are kept; UploadConflict if another process wrote; LayerTooLarge.
func (s *Service) AppendUpload(ctx context.Context, id RepositoryID, uploadID string, offset int64, body io.Reader) (Upload, error) {
	repo, err := s.authorize(ctx, id, "ecr:UploadLayerPart")
	if err != nil {
		return Upload{}, err
	}
	u, unlock, err := s.lockUpload(ctx, repo, uploadID)
	if err != nil {
		return Upload{}, err
	}
	defer unlock()
	if err := u.checkOffset(offset); err != nil {
		return u.Upload, err
	}
	return u.Upload, s.append(ctx, u, body)
}

// CompleteUpload appends body, which may be nil, and turns the upload into a blob
// of the repository with the digest d. After DigestMismatch the upload no longer
// exists. If body fails and offset is [AnyOffset], the upload stays as it was: a client
// that sends the request again sends all of the body. Repeating a request that
// succeeded succeeds. Actions ecr:CompleteLayerUpload and, with a body, ecr:UploadLayerPart.
// Faults: as [Service.AppendUpload], InvalidDigest, DigestUnsupported,
// DigestMismatch, RepositoryFull, RegistryFull.
func (s *Service) CompleteUpload(ctx context.Context, id RepositoryID, uploadID string, offset int64, body io.Reader, d digest.Digest) (Blob, error) {
	actions := []string{"ecr:CompleteLayerUpload", "ecr:UploadLayerPart"}
	if body == nil {
		actions = actions[:1]
	}
	repo, err := s.authorize(ctx, id, actions...)
	if err != nil {
		return Blob{}, err
	}
	if err := CheckDigest(d); err != nil {
		return Blob{}, err
	}
	u, unlock, err := s.lockUpload(ctx, repo, uploadID)
	if fault.Is(err, "UploadNotFound") {
		return s.completed(ctx, repo, d, err)
	}
	if err != nil {
		return Blob{}, err
	}
	defer unlock()
	if err := u.checkOffset(offset); err != nil {
		return Blob{}, err
	}
	w, err := s.openUpload(ctx, u)
	if err != nil {
		return Blob{}, err
	}
	if body != nil {
		p := keepPartial
		if offset == AnyOffset {
			p = dropPartial
		}
		if err := s.receive(ctx, u, w, body, p); err != nil {
			return Blob{}, err
		}
	}
	return s.finish(ctx, repo, u, w, d)
}

// completed is the answer to a request that completes an upload which does not exist.
// If the repository has the blob, the client repeats a request whose answer was lost,
// and succeeds. Otherwise the error is notFound.
func (s *Service) completed(ctx context.Context, repo *Repository, d digest.Digest, notFound error) (Blob, error) {
	b, err := s.renewBlob(ctx, repo, d)
	if fault.Is(err, "BlobNotFound") {
		return Blob{}, notFound
	}
	return b, err
}

// CancelUpload drops an upload. Action ecr:UploadLayerPart. Faults:
// AccessDenied, RepositoryNotFound, UploadNotFound.
func (s *Service) CancelUpload(ctx context.Context, id RepositoryID, uploadID string) error {
	repo, err := s.authorize(ctx, id, "ecr:UploadLayerPart")
	if err != nil {
		return err
	}
	u, unlock, err := s.lockUpload(ctx, repo, uploadID)
	if err != nil {
		return err
	}
	defer unlock()
	return s.dropUpload(ctx, u)
}

// PutBlob stores a whole blob from one request: one sync, one transaction, no
// upload. A missing repository is created as by [Service.StartUpload].
// Actions ecr:InitiateLayerUpload, ecr:UploadLayerPart and
// ecr:CompleteLayerUpload. Faults: AccessDenied, RepositoryNotFound,
// InvalidDigest, DigestUnsupported, DigestMismatch, UploadInterrupted (body
// failed, and nothing is kept), LayerTooLarge, RepositoryFull, RegistryFull.
func (s *Service) PutBlob(ctx context.Context, id RepositoryID, d digest.Digest, body io.Reader) (Blob, error) {
	repo, err := s.pushTarget(ctx, id, "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload")
	if err != nil {
		return Blob{}, err
	}
	if err := CheckDigest(d); err != nil {
		return Blob{}, err
	}
	w, err := s.newHashingWriter(ctx, objectPrefix+randid.UUID(), d.Algorithm())
	if err != nil {
		return Blob{}, err
	}
	defer w.Abort()
	if err := w.receive(body); err != nil {
		return Blob{}, interrupted(err)
	}
	return s.finish(ctx, repo, nil, w, d)
}
