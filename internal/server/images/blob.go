package images

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/integrity"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A Blob is a blob of a repository. ECR calls it a layer, whatever it contains.
type Blob struct {
	Digest digest.Digest
	Size   int64 // bytes
	// MediaType is what an image of the repository calls the blob. Only
	// [Service.LayerAvailability] sets it, and it is empty if no image needs the
	// blob.
	MediaType string
	// Archived is true if only archived images need the blob, which has no size then. Only
	// [Service.LayerAvailability] sets it.
	Archived bool
}

// renewEvery limits how often the link of a blob is renewed. It is renewed when a
// client is told that the blob exists: the client then skips the upload, and the
// sweep must not remove the blob before the client pushes its manifest.
const renewEvery = time.Hour

// A location says which object holds a repository's blob.
type location struct {
	object string
	size   int64
	// renewed is when this process last renewed the link.
	renewed atomic.Int64 // microseconds since 1970
}

// BlobInfo describes a blob, and protects it from the sweep for the time that
// [Service.SweepBlobs] says. Action ecr:BatchCheckLayerAvailability or
// ecr:GetDownloadUrlForLayer: a caller who may pull the blob may also know that it
// exists. Faults: AccessDenied, RepositoryNotFound, BlobNotFound.
func (s *Service) BlobInfo(ctx context.Context, id RepositoryID, d digest.Digest) (Blob, error) {
	repo, err := s.authorize(ctx, id, "ecr:BatchCheckLayerAvailability")
	if fault.Is(err, "AccessDenied") {
		denied := err
		if repo, err = s.authorize(ctx, id, "ecr:GetDownloadUrlForLayer"); fault.Is(err, "AccessDenied") {
			err = denied
		}
	}
	if err != nil {
		return Blob{}, err
	}
	return s.renewBlob(ctx, repo, d)
}

// renewBlob describes a blob and renews its link.
func (s *Service) renewBlob(ctx context.Context, repo *Repository, d digest.Digest) (Blob, error) {
	l, o, err := s.openIntact(ctx, repo, d)
	if err != nil {
		return Blob{}, err
	}
	_ = o.Close() // nothing was written
	now := db.Micros(s.now())
	if authn.IsAnonymous(ctx) { // it cannot push, and must not cause writes
		return Blob{Digest: d, Size: l.size}, nil
	}
	if now-l.renewed.Load() < renewEvery.Microseconds() {
		return Blob{Digest: d, Size: l.size}, nil
	}
	err = s.db.Tx(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE image_blob_link SET renewed = $3 WHERE repository = $1 AND digest = $2`, repo.row, string(d), now)
		if err == nil && n == 0 {
			return blobNotFound(repo.ID, d)
		}
		return err
	})
	if err != nil {
		s.locations.Drop(digestKey{repo.row, d})
		return Blob{}, err
	}
	l.renewed.Store(now) // after the commit, because other requests rely on it
	return Blob{Digest: d, Size: l.size}, nil
}

// locate returns the location of a blob, from the cache or the database. A blob that only
// archived images need is BlobNotFound: a client that wants it for another image uploads it.
func (s *Service) locate(ctx context.Context, repo *Repository, d digest.Digest) (*location, error) {
	l, err := s.locations.Load(digestKey{repo.row, d}, func() (*location, error) {
		return db.One(ctx, s.db, func(r db.Row) (*location, error) {
			l := new(location)
			var renewed int64
			err := r.Scan(&l.object, &l.size, &renewed)
			l.renewed.Store(renewed)
			return l, err
		}, `SELECT b.object, b.size, l.renewed FROM image_blob_link l JOIN image_blob b ON b.id = l.blob WHERE l.repository = $1 AND l.digest = $2 AND NOT (`+archivedLink+`)`, repo.row, string(d))
	})
	if errors.Is(err, db.ErrNoRows) {
		return nil, blobNotFound(repo.ID, d)
	}
	return l, err
}

// OpenBlob opens a blob for reading; close it. If it is a [blob.Presigner], a client
// may be sent to the blob store instead. Action
// ecr:GetDownloadUrlForLayer. Faults: AccessDenied, RepositoryNotFound,
// BlobNotFound.
func (s *Service) OpenBlob(ctx context.Context, id RepositoryID, d digest.Digest) (Blob, blob.Object, error) {
	repo, err := s.authorize(ctx, id, "ecr:GetDownloadUrlForLayer")
	if err != nil {
		return Blob{}, nil, err
	}
	return s.open(ctx, repo, d)
}

// OpenGrantedBlob is [Service.OpenBlob] for a client that has a signed URL, made
// from the result of [Service.DownloadableLayer]. It does not authorize:
// that call did. The handler must have verified the signature, the repository, the
// digest and the expiry of the URL. Faults: RepositoryNotFound, BlobNotFound,
// ServiceUnavailable (no one was authenticated, so nothing else has asked whether this
// server may still decide by its memory).
func (s *Service) OpenGrantedBlob(ctx context.Context, id RepositoryID, d digest.Digest) (Blob, blob.Object, error) {
	if err := s.feed.Ready(); err != nil {
		return Blob{}, nil, err
	}
	repo := s.repositories.get(id)
	if repo == nil {
		return Blob{}, nil, repositoryNotFound(id)
	}
	return s.open(ctx, repo, d)
}

func (s *Service) open(ctx context.Context, repo *Repository, d digest.Digest) (Blob, blob.Object, error) {
	l, o, err := s.openIntact(ctx, repo, d)
	if err != nil {
		return Blob{}, nil, err
	}
	return Blob{Digest: d, Size: l.size}, o, nil
}

// openIntact opens the object of a blob. A blob whose object is missing or has the
// wrong size is BlobNotFound, so that clients push it again.
func (s *Service) openIntact(ctx context.Context, repo *Repository, d digest.Digest) (*location, blob.Object, error) {
	l, err := s.locate(ctx, repo, d)
	for err == nil {
		o, openErr := integrity.Open(ctx, s.blobs, l.object, l.size)
		if !integrity.IsDamaged(openErr) {
			return l, o, openErr
		}
		// The cached location may be outdated: the blob was deleted or replaced.
		s.locations.Drop(digestKey{repo.row, d})
		last := l.object
		if l, err = s.locate(ctx, repo, d); err == nil && l.object == last {
			s.damage.Report(ctx, l.object, string(d), openErr)
			err = blobNotFound(repo.ID, d)
		}
	}
	return nil, nil, err
}

// MountBlob links a blob of the repository from into the repository to of the same
// registry, unless its account setting BLOB_MOUNTING forbids it. The repository to is
// created as by [Service.StartUpload] if it is missing. Actions
// ecr:InitiateLayerUpload on to and ecr:GetDownloadUrlForLayer on from. Faults: AccessDenied and RepositoryNotFound, both about to;
// BlobNotFound if the blob cannot be mounted for any reason on the side of from.
// The client then uploads the blob.
func (s *Service) MountBlob(ctx context.Context, to RepositoryID, from string, d digest.Digest) (Blob, error) {
	target, err := s.pushTarget(ctx, to, "ecr:InitiateLayerUpload")
	if err != nil {
		return Blob{}, err
	}
	fromID := RepositoryID{to.Account, to.Region, from}
	if s.registries.get(to.registry()).accountSetting(blobMounting) != enabled {
		return Blob{}, blobNotFound(fromID, d)
	}
	source, err := s.authorize(ctx, fromID, "ecr:GetDownloadUrlForLayer")
	if fault.Is(err, "AccessDenied") || fault.Is(err, "RepositoryNotFound") {
		return Blob{}, blobNotFound(fromID, d)
	}
	if err != nil {
		return Blob{}, err
	}
	l, o, err := s.openIntact(ctx, source, d)
	if err != nil {
		return Blob{}, err
	}
	_ = o.Close() // nothing was written
	if err := s.checkBytes(ctx, target, d, l.size); err != nil {
		return Blob{}, err
	}
	var size int64
	err = s.db.Tx(ctx, func(tx *db.Tx) error {
		if err := checkExists(ctx, tx, target); err != nil {
			return err
		}
		b, err := db.One(ctx, tx, scanStored, `SELECT b.id, b.size FROM image_blob_link l JOIN image_blob b ON b.id = l.blob WHERE l.repository = $1 AND l.digest = $2`, source.row, string(d))
		if errors.Is(err, db.ErrNoRows) {
			return blobNotFound(fromID, d)
		}
		if err != nil {
			return err
		}
		size = b.size
		return s.link(ctx, tx, target, d, b.row)
	})
	if err != nil {
		return Blob{}, err
	}
	s.locations.Drop(digestKey{target.row, d})
	return Blob{Digest: d, Size: size}, nil
}

// stored is a row of image_blob.
type stored struct{ row, size int64 }

func scanStored(r db.Row) (b stored, err error) {
	err = r.Scan(&b.row, &b.size)
	return b, err
}

// link links a stored blob into the repository, or renews the link.
func (s *Service) link(ctx context.Context, tx *db.Tx, repo *Repository, d digest.Digest, row int64) error {
	_, err := tx.Exec(ctx, `INSERT INTO image_blob_link (repository, digest, blob, renewed) VALUES ($1, $2, $3, $4)
		ON CONFLICT (repository, digest) DO UPDATE SET renewed = excluded.renewed`, repo.row, string(d), row, db.Micros(s.now()))
	return err
}

// DeleteBlob removes a blob from a repository. The next sweep deletes the bytes,
// unless another repository links to them. Action ecr:BatchDeleteImage. Faults:
// AccessDenied, RepositoryNotFound, BlobNotFound, BlobReferenced (a manifest
// needs it, perhaps one that can still be restored).
func (s *Service) DeleteBlob(ctx context.Context, id RepositoryID, d digest.Digest) error {
	repo, err := s.authorize(ctx, id, "ecr:BatchDeleteImage")
	if err != nil {
		return err
	}
	return s.changeCached(ctx, func(tx *db.Tx) ([]string, error) {
		user, err := db.One(ctx, tx, db.Scalar[string], `SELECT manifest FROM image_reference WHERE repository = $1 AND digest = $2 LIMIT 1`, repo.row, string(d))
		if err == nil {
			return nil, fault.New(fault.Conflict, "BlobReferenced", "The layer with digest '%s' belongs to the image with digest '%s'. Delete the image first.", d, user)
		}
		if !errors.Is(err, db.ErrNoRows) {
			return nil, err
		}
		if err := checkNotAside(ctx, tx, repo, d); err != nil {
			return nil, err
		}
		n, err := tx.Exec(ctx, `DELETE FROM image_blob_link WHERE repository = $1 AND digest = $2`, repo.row, string(d))
		if err == nil && n == 0 {
			return nil, blobNotFound(id, d)
		}
		return []string{rowKey(blobKey, repo.row, string(d))}, err
	}, func() { s.locations.Drop(digestKey{repo.row, d}) })
}
