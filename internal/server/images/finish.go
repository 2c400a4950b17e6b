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

// finish makes what the sink received a blob of the repository, and ends the
// upload u that it came by, nil for none. The sink is closed.
//
// The order is what makes it safe: the object is committed, then one transaction
// ends the upload, names the object and links it. A crash in between leaves the
// upload as it was acknowledged, and an object that no blob's row names.
func (s *Service) finish(ctx context.Context, repo *Repository, u *uploadRow, k *sink, d digest.Digest) (Blob, error) {
	ctx = context.WithoutCancel(ctx) // all bytes are here
	f := &finishing{s: s, repo: repo, upload: u, digest: d, size: k.Size()}
	b := Blob{d, f.size}
	committed, err := s.verify(ctx, repo, u, k, d)
	if err != nil {
		return Blob{}, err
	}
	if !committed && s.has(ctx, repo, d) {
		switch err := f.record(ctx, ""); {
		case err == nil:
			k.Abort()
			return b, nil
		case !errors.Is(err, errNoObject):
			return Blob{}, errors.Join(err, s.leave(ctx, u, k))
		}
	}
	if !committed {
		if err := s.commit(ctx, repo, u, k); err != nil {
			return Blob{}, err
		}
	}
	err = f.record(ctx, k.object)
	// After any other error than the domain's own nobody knows whether the
	// transaction was committed, and a row may name the object.
	_, rolledBack := errors.AsType[*fault.Error](err)
	if (rolledBack && u == nil) || (err == nil && !f.used) {
		s.discard(ctx, k.object)
	}
	if err != nil {
		return Blob{}, err
	}
	return b, nil
}

// verify returns DigestMismatch, and drops what was received, where it does not
// have the digest. If the sink hashed with another algorithm, the object is read
// again, for which it has to be committed first.
func (s *Service) verify(ctx context.Context, repo *Repository, u *uploadRow, k *sink, d digest.Digest) (committed bool, err error) {
	var got digest.Digest
	if d.Algorithm() == k.algorithm {
		got = digest.NewDigest(k.algorithm, k.hash)
	} else {
		if err := s.commit(ctx, repo, u, k); err != nil {
			return false, err
		}
		committed = true
		if got, err = s.digest(ctx, k.object, d.Algorithm()); err != nil {
			return true, err
		}
	}
	if got != d {
		return committed, s.refuse(ctx, u, k, digestMismatch(d, got))
	}
	return committed, nil
}

// commit commits the sink's object. It finds none where the upload or its
// repository was deleted since.
func (s *Service) commit(ctx context.Context, repo *Repository, u *uploadRow, k *sink) error {
	err := k.Commit(ctx)
	if u != nil && errors.Is(err, blob.ErrNotFound) {
		return uploadNotFound(repo.ID, u.ID)
	}
	return err
}

// refuse drops the upload and the object, and returns because.
func (s *Service) refuse(ctx context.Context, u *uploadRow, k *sink, because error) error {
	if u == nil {
		k.Abort()
		s.discard(ctx, k.object)
		return because
	}
	err := s.dropUpload(ctx, u)
	k.Abort()
	return errors.Join(because, err)
}

// leave closes the sink and leaves the upload as it was saved.
func (s *Service) leave(ctx context.Context, u *uploadRow, k *sink) error {
	if u == nil {
		k.Abort()
		return nil
	}
	_, err := k.Suspend(ctx)
	return err
}

// has reports whether the registry holds a blob, which spares its object being
// synced. It may be wrong; the transaction finds out.
func (s *Service) has(ctx context.Context, repo *Repository, d digest.Digest) bool {
	_, err := db.One(ctx, s.db, db.Scalar[int64], `SELECT id FROM image_blob WHERE account = $1 AND region = $2 AND digest = $3`, repo.ID.Account, repo.ID.Region, string(d))
	return err == nil
}

// errNoObject says that the registry has no such blob, and no object was given.
var errNoObject = errors.New("images: the registry does not hold the blob")

// finishing is the transaction of [Service.finish].
type finishing struct {
	s      *Service
	repo   *Repository
	upload *uploadRow
	digest digest.Digest
	size   int64
	// used says that the object given became the blob's.
	used bool
}

// record ends the upload and links the blob: the one that the registry has, or
// else object, which is empty where there is none yet.
func (f *finishing) record(ctx context.Context, object string) error {
	err := f.s.db.Tx(ctx, func(tx *db.Tx) error {
		f.used = false
		if err := exists(ctx, tx, f.repo); err != nil {
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
