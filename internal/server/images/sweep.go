package images

import (
	"context"
	"strings"
	"time"

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
)

// SweepUploads drops the uploads that have received nothing for olderThan.
func (s *Service) SweepUploads(ctx context.Context, olderThan time.Duration) (n int, err error) {
	before := db.Micros(s.now().Add(-olderThan))
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
	var objects []string
	err = s.db.Tx(ctx, func(tx *db.Tx) (err error) {
		objects, err = db.All(ctx, tx, db.Scalar[string], `DELETE FROM image_upload WHERE id = $1 AND updated < $2 RETURNING object`, id, before)
		return err
	})
	if err != nil {
		return 0, err
	}
	s.discard(ctx, objects...)
	return len(objects), nil
}

// SweepBlobs removes a blob from a repository if no manifest of the repository
// needs it and if it was not pushed, mounted or asked for within olderThan, or two
// hours if that is more. (Asking is recorded once an hour.) Then it deletes the
// blobs that are in no repository; n is their number.
func (s *Service) SweepBlobs(ctx context.Context, olderThan time.Duration) (n int, err error) {
	before := db.Micros(s.now().Add(-max(olderThan, minBlobAge)))
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
			return err
		})
		if err != nil {
			return n, err
		}
		n += len(objects)
		s.discard(ctx, objects...)
		if len(objects) < sweepBatch {
			return n, nil
		}
	}
}

// unlinkBlobs removes one batch of blobs from their repositories.
func (s *Service) unlinkBlobs(ctx context.Context, before int64) (n int, err error) {
	var keys []digestKey
	err = s.db.Tx(ctx, func(tx *db.Tx) (err error) {
		const unneeded = `SELECT l.repository, l.digest FROM image_blob_link l WHERE l.renewed < $1
			AND NOT EXISTS (SELECT 1 FROM image_reference r WHERE r.repository = l.repository AND r.digest = l.digest) LIMIT $2`
		keys, err = db.All(ctx, tx, func(r db.Row) (k digestKey, err error) {
			err = r.Scan(&k.repository, &k.digest)
			return k, err
		}, `DELETE FROM image_blob_link WHERE (repository, digest) IN (`+unneeded+`) RETURNING repository, digest`, before, sweepBatch)
		return err
	})
	if err != nil {
		return 0, err
	}
	s.locations.Drop(keys...)
	return len(keys), nil
}

// SweepObjects deletes the objects of the blob store that no row names. Failed
// requests and killed processes leave them behind. Objects that were written within
// olderThan, or a day if that is more, stay.
func (s *Service) SweepObjects(ctx context.Context, olderThan time.Duration) (n int, err error) {
	before := s.now().Add(-max(olderThan, minObjectAge))
	for info, err := range s.blobs.List(ctx) {
		if err != nil {
			return n, err
		}
		if !strings.HasPrefix(info.Name, objectPrefix) || !info.Modified.Before(before) {
			continue
		}
		// One query, because an object moves from an upload to a blob in one commit.
		named, err := db.One(ctx, s.db, db.Scalar[int64], `SELECT (SELECT count(*) FROM image_upload WHERE object = $1) + (SELECT count(*) FROM image_blob WHERE object = $1)`, info.Name)
		if err != nil {
			return n, err
		}
		if named > 0 {
			continue
		}
		if err := s.blobs.Delete(ctx, info.Name); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
