package images

import (
	"context"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob/orphans"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// The sweeps are safe at any time, concurrently with any request and each other.
// They do not authorize: the server itself runs them. Each returns the number of
// things that it removed, also if it returns an error.

const (
	// sweepBatch limits one transaction of a sweep, because writers wait for it.
	sweepBatch = 200
	// minBlobAge is the least time that [Service.SweepBlobs] gives a client between
	// the answer that a blob exists and the push of the manifest that needs it.
	minBlobAge = 2 * renewEvery
	// minObjectAge is the least time that [Service.SweepObjects] gives a request
	// between creating an object and committing the row that names it.
	minObjectAge = 24 * time.Hour
	// maxSkew is how far in the future a stored time may be: the clocks of several
	// servers differ a little.
	maxSkew = time.Hour
)

// SweepUploads drops the uploads that have received nothing for olderThan.
func (s *Service) SweepUploads(ctx context.Context, olderThan time.Duration) (n int, err error) {
	before := db.Micros(s.now().Add(-olderThan))
	if err := s.correctFuture(ctx, `UPDATE image_upload SET updated = $1 WHERE updated > $2`); err != nil {
		return 0, err
	}
	ids, err := db.All(ctx, s.db, db.Scalar[string], `SELECT id FROM image_upload WHERE updated < $1`, before)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		gone, err := s.sweepUpload(ctx, id, before)
		if err != nil {
			return n, err
		}
		n += gone
	}
	return n, nil
}

func (s *Service) sweepUpload(ctx context.Context, id string, before int64) (n int, err error) {
	unlock, ok := s.uploading.try(id)
	if !ok {
		return 0, nil // a request is writing to it
	}
	defer unlock()
	err = s.db.Tx(ctx, func(tx *db.Tx) error {
		objects, err := db.All(ctx, tx, db.Scalar[string], `DELETE FROM image_upload WHERE id = $1 AND updated < $2 RETURNING object`, id, before)
		if err != nil {
			return err
		}
		n = len(objects)
		return s.removals.Delete(ctx, tx, objects...)
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// SweepBlobs removes a blob from a repository if no manifest of the repository
// needs it, nor one that a lifecycle rule has set aside, and if it was not pushed, mounted or asked for within olderThan, or two
// hours if that is more. (Asking is recorded once an hour.) Then it deletes the
// blobs that are in no repository; n is their number.
func (s *Service) SweepBlobs(ctx context.Context, olderThan time.Duration) (n int, err error) {
	before := db.Micros(s.now().Add(-max(olderThan, minBlobAge)))
	if err := s.correctFuture(ctx, `UPDATE image_blob_link SET renewed = $1 WHERE renewed > $2`); err != nil {
		return 0, err
	}
	for {
		unlinked, err := s.unlinkBlobs(ctx, before)
		if err != nil {
			return 0, err
		}
		if unlinked < sweepBatch {
			break
		}
	}
	for {
		var objects []string
		err := s.db.Tx(ctx, func(tx *db.Tx) (err error) {
			objects, err = db.All(ctx, tx, db.Scalar[string], `DELETE FROM image_blob WHERE id IN
				(SELECT b.id FROM image_blob b WHERE NOT EXISTS (SELECT 1 FROM image_blob_link l WHERE l.blob = b.id) LIMIT $1) RETURNING object`, sweepBatch)
			if err != nil {
				return err
			}
			return s.removals.SetAside(ctx, tx, time.Time{}, objects...)
		})
		if err != nil {
			return n, err
		}
		n += len(objects)
		if len(objects) < sweepBatch {
			return n, nil
		}
	}
}

// correctFuture sets times that lie in the future to now. They were written while
// the clock was wrong, and would keep a row from being swept until they come.
func (s *Service) correctFuture(ctx context.Context, update string) error {
	now := s.now()
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, update, db.Micros(now), db.Micros(now.Add(maxSkew)))
		return err
	})
}

// unlinkBlobs removes one batch of blobs from their repositories.
func (s *Service) unlinkBlobs(ctx context.Context, before int64) (n int, err error) {
	var keys []digestKey
	err = s.changeCached(ctx, func(tx *db.Tx) (changed []string, err error) {
		const unneeded = `SELECT l.repository, l.digest FROM image_blob_link l WHERE l.renewed < $1
			AND NOT EXISTS (SELECT 1 FROM image_reference r WHERE r.repository = l.repository AND r.digest = l.digest)
			AND NOT EXISTS (SELECT 1 FROM image_aside_reference a WHERE a.repository = l.repository AND a.digest = l.digest) LIMIT $2`
		keys, err = db.All(ctx, tx, func(r db.Row) (k digestKey, err error) {
			err = r.Scan(&k.repository, &k.digest)
			return k, err
		}, `DELETE FROM image_blob_link WHERE (repository, digest) IN (`+unneeded+`) RETURNING repository, digest`, before, sweepBatch)
		for _, k := range keys {
			changed = append(changed, rowKey(blobKey, k.repository, string(k.digest)))
		}
		return changed, err
	}, func() { s.locations.Drop(keys...) })
	if err != nil {
		return 0, err
	}
	return len(keys), nil
}

// SweepObjects sets aside the objects of the blob store that no row names: what
// failed requests and killed processes left behind. It leaves objects that were
// written to within olderThan, or within a day if that is more. See package orphans
// for what else it leaves.
func (s *Service) SweepObjects(ctx context.Context, olderThan time.Duration) (n int, err error) {
	now := s.now()
	sweep := orphans.Sweep{
		Store: s.blobs, Prefix: objectPrefix, Now: now, Before: now.Add(-max(olderThan, minObjectAge)),
		Created: s.db.Created(), MaxShare: s.maxShare, Named: s.namedObjects,
	}
	return sweep.Run(ctx)
}

func (s *Service) namedObjects(ctx context.Context, names []string) ([]string, error) {
	return NamedObjects(ctx, s.db, names)
}

// HoldsObjects reports whether the database names any object of the blob store.
func (s *Service) HoldsObjects(ctx context.Context) (bool, error) {
	found, err := db.All(ctx, s.db, db.Scalar[string], `SELECT object FROM image_blob LIMIT 1`)
	return len(found) > 0, err
}
