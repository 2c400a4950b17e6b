package packages

import (
	"context"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// deleteAfter is how long an object is kept after its last row, so a request that
// read the row just before can still open it.
const deleteAfter = 5 * time.Minute

// sweepBatch is the number of objects in one step of a sweep.
const sweepBatch = 100

// dropAssets removes the assets of a version and records the objects that nothing in
// the domain refers to any more. The sweep deletes them.
func (c *packageChange) dropAssets(ctx context.Context, tx *db.Tx, versionKey string) error {
	shas, err := db.All(ctx, tx, db.Scalar[string], `DELETE FROM pkg_asset WHERE package = $1 AND version_key = $2 RETURNING sha256`, c.row.id, versionKey)
	if err != nil {
		return err
	}
	for _, sha := range shas {
		if err := dropContent(ctx, tx, c.repository.domain.row, sha, c.at); err != nil {
			return err
		}
	}
	return nil
}

func dropContent(ctx context.Context, tx *db.Tx, domain, sha string, at time.Time) error {
	objects, err := db.All(ctx, tx, db.Scalar[string], `DELETE FROM pkg_content WHERE domain = $1 AND sha256 = $2
		AND NOT EXISTS (SELECT 1 FROM pkg_asset WHERE domain = $1 AND sha256 = $2) RETURNING object`, domain, sha)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if _, err := tx.Exec(ctx, `INSERT INTO pkg_garbage (object, since) VALUES ($1, $2)`, o, db.Micros(at)); err != nil {
			return err
		}
	}
	return nil
}

// SweepGarbage deletes the objects that lost their last asset more than a few minutes
// ago. It should run every few minutes, on one replica.
func (s *Service) SweepGarbage(ctx context.Context) error {
	for {
		objects, err := db.All(ctx, s.db, db.Scalar[string], `SELECT object FROM pkg_garbage WHERE since <= $1 ORDER BY since, object LIMIT $2`,
			db.Micros(s.now().Add(-deleteAfter)), sweepBatch)
		if err != nil || len(objects) == 0 {
			return err
		}
		// First the objects, then the rows: after a crash between the two, the
		// objects are deleted again, which is not an error.
		for _, o := range objects {
			if err := s.blobs.Delete(ctx, o); err != nil {
				return err
			}
		}
		err = s.db.Tx(ctx, func(tx *db.Tx) error {
			for _, o := range objects {
				if _, err := tx.Exec(ctx, `DELETE FROM pkg_garbage WHERE object = $1`, o); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// SweepStaged deletes content that was staged and never published, as crashes and
// aborted requests leave it. It lists all objects and should run once a day, on one
// replica.
func (s *Service) SweepStaged(ctx context.Context) error {
	before := s.now().Add(-2 * stagedFor)
	var old []string
	for info, err := range s.blobs.List(ctx) {
		if err != nil {
			return err
		}
		if !s.sweepable(info, before) {
			continue
		}
		if old = append(old, info.Name); len(old) == sweepBatch {
			if err := s.deleteUnnamed(ctx, old); err != nil {
				return err
			}
			old = old[:0]
		}
	}
	return s.deleteUnnamed(ctx, old)
}

func (s *Service) sweepable(i blob.Info, before time.Time) bool {
	return strings.HasPrefix(i.Name, objectPrefix) && i.Modified.Before(before)
}

// deleteUnnamed deletes the objects that no row names.
func (s *Service) deleteUnnamed(ctx context.Context, objects []string) error {
	for _, o := range objects {
		n, err := db.One(ctx, s.db, db.Scalar[int64], `SELECT (SELECT count(*) FROM pkg_content WHERE object = $1) + (SELECT count(*) FROM pkg_garbage WHERE object = $1)`, o)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		if err := s.blobs.Delete(ctx, o); err != nil {
			return err
		}
	}
	return nil
}
