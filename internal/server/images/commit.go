package images

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/integrity"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
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
	b := Blob{Digest: d, Size: f.size}
	if err := s.checkBytes(ctx, repo, d, f.size); err != nil {
		w.Rollback() // the upload is as it was
		return Blob{}, err
	}
	committed, err := s.verify(ctx, u, w, d)
	if err != nil {
		return Blob{}, err
	}
	has, damaged := s.storedObject(ctx, repo, d)
	f.damaged = damaged
	if !committed && has && damaged == "" {
		switch err := f.record(ctx, ""); {
		case err == nil:
			w.Abort()
			return b, nil
		case !errors.Is(err, errNoObject):
			w.Rollback() // the upload is as it was
			return Blob{}, err
		}
	}
	if !committed {
		if err := s.commit(ctx, u, w); err != nil {
			return Blob{}, err
		}
	}
	err = f.record(ctx, w.object)
	if err != nil {
		// Otherwise the transaction may have been committed, and then a row names the object.
		_, refused := errors.AsType[*fault.Error](err)
		if refused && u == nil && !errors.Is(err, db.ErrUnclearCommit) && !changefeed.PerhapsMade(err) {
			s.discard(ctx, w.object)
		}
		return Blob{}, err
	}
	if f.used && damaged != "" {
		// Cached locations still name it, and without it readers look for the new one.
		// What cannot be deleted now, the work queue deletes.
		s.discard(ctx, damaged)
	}
	return b, nil
}

// verify checks the digest of the received bytes. If it does not match, verify
// drops the bytes and returns DigestMismatch. If the writer hashed with another
// algorithm, the object is committed and read again.
func (s *Service) verify(ctx context.Context, u *uploadRow, w *hashingWriter, d digest.Digest) (committed bool, err error) {
	var got digest.Digest
	if d.Algorithm() == w.algorithm {
		got = digest.NewDigest(w.algorithm, w.hash)
	} else {
		if err := s.commit(ctx, u, w); err != nil {
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
// or its repository was deleted meanwhile, and there is another one if another server
// completed the upload.
func (s *Service) commit(ctx context.Context, u *uploadRow, w *hashingWriter) error {
	err := w.Commit(ctx)
	if u != nil {
		return conflict(u, err)
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

// storedObject reports whether the registry has a blob already, in this repository
// or another one. Then the new object is not needed, and not synced. But a client
// may upload a blob that the registry has because it could not download it, so the
// stored content is compared: damaged is the name of an object that must be
// replaced, or empty. The answer may be outdated; the transaction checks it.
func (s *Service) storedObject(ctx context.Context, repo *Repository, d digest.Digest) (has bool, damaged string) {
	l, err := db.One(ctx, s.db, func(r db.Row) (*location, error) {
		l := new(location)
		return l, r.Scan(&l.object, &l.size)
	}, `SELECT object, size FROM image_blob WHERE account = $1 AND region = $2 AND digest = $3`, repo.ID.Account, repo.ID.Region, string(d))
	if err != nil {
		return false, ""
	}
	if err := s.compare(ctx, l, d); err != nil {
		s.damage.Report(ctx, l.object, string(d), err)
		return true, l.object
	}
	return true, ""
}

// storedIntact reports whether the registry has a blob and its content is right.
func (s *Service) storedIntact(ctx context.Context, repo *Repository, d digest.Digest) bool {
	has, damaged := s.storedObject(ctx, repo, d)
	return has && damaged == ""
}

// compare reads a stored object and returns an error unless it has the digest.
func (s *Service) compare(ctx context.Context, l *location, d digest.Digest) error {
	if err := integrity.Check(ctx, s.blobs, l.object, l.size); err != nil {
		return err
	}
	got, err := s.digest(ctx, l.object, d.Algorithm())
	if err == nil && got != d {
		err = fmt.Errorf("the stored bytes have the digest %s", got)
	}
	return err
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
	// damaged is an object that the given one replaces; empty for none.
	damaged string
	// used is true if the given object became the object of the blob.
	used bool
}

// record ends the upload and links the blob. If the registry does not have the
// blob yet, object becomes its object; object is empty if it is not committed.
func (f *commitTx) record(ctx context.Context, object string) error {
	key := digestKey{f.repo.row, f.digest}
	if f.damaged == "" { // caches hold only blobs that exist
		err := f.s.db.Tx(ctx, func(tx *db.Tx) error { return f.run(ctx, tx, object) })
		if err == nil { // the link was renewed
			f.s.locations.Drop(key)
		}
		return err
	}
	return f.s.changeCached(ctx, func(tx *db.Tx) ([]string, error) {
		return []string{rowKey(blobKey, key.repository, string(key.digest))}, f.run(ctx, tx, object)
	}, func() { f.s.locations.Drop(key) })
}

func (f *commitTx) run(ctx context.Context, tx *db.Tx, object string) error {
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
	row, err := f.blob(ctx, tx, object)
	if err != nil {
		return err
	}
	if err := f.remove(ctx, tx, object); err != nil {
		return err
	}
	return f.s.link(ctx, tx, f.repo, f.digest, row)
}

// remove removes the object that is not needed: the new one if the registry had the
// blob, or the damaged one that it replaces.
func (f *commitTx) remove(ctx context.Context, tx *db.Tx, object string) error {
	switch {
	case object != "" && !f.used:
		return f.s.removals.Delete(ctx, tx, object)
	case f.used && f.damaged != "":
		return f.s.removals.Delete(ctx, tx, f.damaged)
	}
	return nil
}

// blob returns the row of the blob, which it inserts, or updates if its object is
// damaged.
func (f *commitTx) blob(ctx context.Context, tx *db.Tx, object string) (row int64, err error) {
	var stored string
	row, err = db.One(ctx, tx, func(r db.Row) (row int64, err error) {
		err = r.Scan(&row, &stored)
		return row, err
	}, `SELECT id, object FROM image_blob WHERE account = $1 AND region = $2 AND digest = $3`, f.repo.ID.Account, f.repo.ID.Region, string(f.digest))
	switch {
	case errors.Is(err, db.ErrNoRows) && object == "":
		return 0, errNoObject
	case errors.Is(err, db.ErrNoRows):
		f.used, row = true, randid.Row()
		_, err = tx.Exec(ctx, `INSERT INTO image_blob (id, account, region, digest, size, object) VALUES ($1, $2, $3, $4, $5, $6)`,
			row, f.repo.ID.Account, f.repo.ID.Region, string(f.digest), f.size, object)
	case err == nil && object != "" && stored == f.damaged:
		f.used = true
		_, err = tx.Exec(ctx, `UPDATE image_blob SET object = $2, size = $3 WHERE id = $1`, row, object, f.size)
	}
	return row, err
}
