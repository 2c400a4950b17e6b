package packages

import (
	"context"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob/orphans"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// deleteAfter is how long an object is kept after its last row, so a request that
// read the row just before can still open it.
const deleteAfter = 5 * time.Minute

// sweepBatch is the number of objects in one step of a sweep.
const sweepBatch = 100

// dropAssets removes the assets of a version, and later the objects that nothing in
// the domain refers to any more.
func (c *packageChange) dropAssets(ctx context.Context, tx *db.Tx, versionKey string) (assets int, err error) {
	shas, err := db.All(ctx, tx, func(r db.Row) (sha string, err error) {
		var beside string
		err = r.Scan(&sha, &beside)
		if beside == "" {
			assets++
		}
		return sha, err
	}, `DELETE FROM pkg_asset WHERE package = $1 AND version_key = $2 RETURNING sha256, beside`, c.row.id, versionKey)
	if err != nil {
		return 0, err
	}
	for _, sha := range shas {
		if err := c.service.dropContent(ctx, tx, c.repository.domainRow, sha, c.at); err != nil {
			return 0, err
		}
	}
	return assets, nil
}

// dropContent removes content of the domain that no asset has any more, and its object
// after a while.
func (s *Service) dropContent(ctx context.Context, tx *db.Tx, domain, sha string, at time.Time) error {
	objects, err := db.All(ctx, tx, db.Scalar[string], `DELETE FROM pkg_content WHERE domain = $1 AND sha256 = $2
		AND NOT EXISTS (SELECT 1 FROM pkg_asset WHERE domain = $1 AND sha256 = $2)
		AND NOT EXISTS (SELECT 1 FROM pkg_aside_asset WHERE domain = $1 AND sha256 = $2) RETURNING object`, domain, sha)
	if err != nil {
		return err
	}
	return s.removals.SetAside(ctx, tx, at.Add(deleteAfter), objects...)
}

// SweepGarbage sets the objects aside that versions of the program before the work queue
// have recorded as garbage. During an upgrade they may still run beside this one.
func (s *Service) SweepGarbage(ctx context.Context) error {
	if err := s.correctFuture(ctx); err != nil {
		return err
	}
	for {
		objects, err := db.All(ctx, s.db, db.Scalar[string], `SELECT object FROM pkg_garbage WHERE since <= $1 ORDER BY since, object LIMIT $2`,
			db.Micros(s.now().Add(-deleteAfter)), sweepBatch)
		if err != nil || len(objects) == 0 {
			return err
		}
		// First the objects, then the rows: after a crash between the two, the
		// objects are set aside again, which is not an error.
		for _, o := range objects {
			if err := s.blobs.SetAside(ctx, o, s.now()); err != nil {
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

// correctFuture sets the times of garbage that lie in the future to now. They were
// written while the clock was wrong, and would keep it until they come.
func (s *Service) correctFuture(ctx context.Context) error {
	now := s.now()
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE pkg_garbage SET since = $1 WHERE since > $2`, db.Micros(now), db.Micros(now.Add(time.Hour)))
		return err
	})
}

// SweepStaged sets content aside that was staged and never published, as crashes and
// aborted requests leave it. It lists all objects and should run once a day, on one
// replica. See package orphans for what it leaves.
func (s *Service) SweepStaged(ctx context.Context) error {
	now := s.now()
	sweep := orphans.Sweep{
		Store: s.blobs, Prefix: objectPrefix, Now: now, Before: now.Add(-2 * stagedFor),
		Created: s.db.Created(), MaxShare: s.maxShare, Named: s.namedObjects,
	}
	_, err := sweep.Run(ctx)
	return err
}

// namedObjects returns those of the names that a row has.
func (s *Service) namedObjects(ctx context.Context, names []string) ([]string, error) {
	return NamedObjects(ctx, s.db, names)
}

// HoldsObjects reports whether the database names any object of the blob store.
func (s *Service) HoldsObjects(ctx context.Context) (bool, error) {
	found, err := db.All(ctx, s.db, db.Scalar[string], `SELECT object FROM pkg_content LIMIT 1`)
	return len(found) > 0, err
}
