package images

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// finish turns the bytes in the writer into a blob of the repository, ends the
// upload u (nil if there is none), and closes the writer.
//
// The order makes it safe: first the object is committed, then one transaction
// ends the upload and inserts the blob's row and its link. A crash in between
// leaves the upload as it was acknowledged, and an object that no row of a blob
// names.
func (s *Service) finish(ctx context.Context, repo *Repository, u *uploadRow, w *hashingWriter, d digest.Digest) (Blob, error) {
	ctx = context.WithoutCancel(ctx) // all bytes have arrived
	f := &commitTx{s: s, repo: repo, upload: u, digest: d, size: w.Size()}
	b := Blob{d, f.size}
	committed, err := s.verify(ctx, repo, u, w, d)
	if err != nil {
		return Blob{}, err
	}
	if !committed && s.registryHas(ctx, repo, d) {
		switch err := f.record(ctx, ""); {
		case err == nil:
			w.Abort()
			return b, nil
		case !errors.Is(err, errNoObject):
			return Blob{}, errors.Join(err, s.suspend(ctx, u, w))
		}
	}
	if !committed {
		if err := s.commit(ctx, repo, u, w); err != nil {
			return Blob{}, err
		}
	}
	err = f.record(ctx, w.object)
	// After an error that is not a fault, the transaction may have been committed,
	// and then a row names the object.
	_, rolledBack := errors.AsType[*fault.Error](err)
	if (rolledBack && u == nil) || (err == nil && !f.used) {
		s.discard(ctx, w.object)
	}
	if err != nil {
		return Blob{}, err
	}
	return b, nil
}

// verify checks the digest of the received bytes. If it does not match, verify
// drops the bytes and returns DigestMismatch. If the writer hashed with another
// algorithm, the object is committed and read again.
func (s *Service) verify(ctx context.Context, repo *Repository, u *uploadRow, w *hashingWriter, d digest.Digest) (committed bool, err error) {
	var got digest.Digest
	if d.Algorithm() == w.algorithm {
		got = digest.NewDigest(w.algorithm, w.hash)
	} else {
		if err := s.commit(ctx, repo, u, w); err != nil {
			return false, err
		}
		committed = true
		if got, err = s.digest(ctx, w.object, d.Algorithm()); err != nil {
			return true, err
		}
	}
	if got != d {
		return committed, s.dropReceived(ctx, u, w, digestMismatch(d, got))
	}
	return committed, nil
}

// commit commits the writer's object. There is no object any more if the upload
// or its repository was deleted meanwhile.
func (s *Service) commit(ctx context.Context, repo *Repository, u *uploadRow, w *hashingWriter) error {
	err := w.Commit(ctx)
	if u != nil && errors.Is(err, blob.ErrNotFound) {
		return uploadNotFound(repo.ID, u.ID)
	}
	return err
}

// dropReceived drops the upload and the object, and returns the error because.
func (s *Service) dropReceived(ctx context.Context, u *uploadRow, w *hashingWriter, because error) error {
	if u == nil {
		w.Abort()
		s.discard(ctx, w.object)
		return because
	}
	err := s.dropUpload(ctx, u)
	w.Abort()
	return errors.Join(because, err)
}

// suspend closes the writer. The upload stays as it was saved.
func (s *Service) suspend(ctx context.Context, u *uploadRow, w *hashingWriter) error {
	if u == nil {
		w.Abort()
		return nil
	}
	_, err := w.Suspend(ctx)
	return err
}

// registryHas reports whether the registry has a blob. Then the new object is not
// needed, and not synced. The answer may be outdated; the transaction checks it.
func (s *Service) registryHas(ctx context.Context, repo *Repository, d digest.Digest) bool {
	_, err := db.One(ctx, s.db, db.Scalar[int64], `SELECT id FROM image_blob WHERE account = $1 AND region = $2 AND digest = $3`, repo.ID.Account, repo.ID.Region, string(d))
	return err == nil
}

// errNoObject means that the registry does not have the blob and that record was
// called without an object.
var errNoObject = errors.New("images: the registry does not hold the blob")

// commitTx is the transaction of [Service.finish].
type commitTx struct {
	s      *Service
	repo   *Repository
	upload *uploadRow
	digest digest.Digest
	size   int64
	// used is true if the given object became the object of the blob.
	used bool
}

// record ends the upload and links the blob. If the registry does not have the
// blob yet, object becomes its object; object is empty if it is not committed.
func (f *commitTx) record(ctx context.Context, object string) error {
	err := f.s.db.Tx(ctx, func(tx *db.Tx) error {
		f.used = false
		if err := checkExists(ctx, tx, f.repo); err != nil {
			return err
		}
		if u := f.upload; u != nil {
			n, err := tx.Exec(ctx, `DELETE FROM image_upload WHERE id = $1 AND generation = $2`, u.ID, u.generation)
			if err != nil {
				return err
			}
			if n == 0 {
				return uploadConflict(u.ID)
			}
		}
		b, err := db.One(ctx, tx, scanStored, `SELECT id, size FROM image_blob WHERE account = $1 AND region = $2 AND digest = $3`, f.repo.ID.Account, f.repo.ID.Region, string(f.digest))
		if errors.Is(err, db.ErrNoRows) {
			if object == "" {
				return errNoObject
			}
			f.used, b.row = true, randid.Row()
			_, err = tx.Exec(ctx, `INSERT INTO image_blob (id, account, region, digest, size, object) VALUES ($1, $2, $3, $4, $5, $6)`,
				b.row, f.repo.ID.Account, f.repo.ID.Region, string(f.digest), f.size, object)
		}
		if err != nil {
			return err
		}
		return f.s.link(ctx, tx, f.repo, f.digest, b.row)
	})
	if err == nil {
		f.s.locations.Drop(digestKey{f.repo.row, f.digest})
	}
	return err
}
