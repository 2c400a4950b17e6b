package packages

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/db"
)

// retain keeps a version that was found upstream in the repository that was
// asked for it, and in none between. What it refers to are the same bytes.
//
// A package that comes into the repository so, and not by being published,
// gets the origin configuration that goes with it: publish BLOCK, upstream
// ALLOW, so that further versions of it come from upstream too.
func (s *Service) retain(ctx context.Context, r *repository, v *Version, id PackageID) error {
	from := r.domain.repositories[v.Repository]
	key := id.Format.versionKey(v.Version)
	err := s.db.Tx(ctx, func(tx *db.Tx) error {
		source, err := readPackageRow(ctx, tx, from.row, id)
		if err != nil || source == nil {
			return err // or deleted upstream since: this one download is the last
		}
		c := packageChange{id: id, repository: r, origin: Origin{Publish: Block, Upstream: Allow}, at: s.now()}
		if err := c.begin(ctx, tx); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `INSERT INTO pkg_version (package, version_key, version, revision, status, published, entry_point, description, metadata, changed)
			SELECT $1, version_key, version, revision, status, published, entry_point, description, metadata, $2
			FROM pkg_version WHERE package = $3 AND version_key = $4 ON CONFLICT (package, version_key) DO NOTHING`,
			c.row.id, c.row.seq, source.id, key)
		if err != nil {
			return err
		}
		if n == 1 {
			if _, err := tx.Exec(ctx, `INSERT INTO pkg_asset (package, version_key, name, domain, sha256, published, metadata)
				SELECT $1, version_key, name, domain, sha256, published, metadata FROM pkg_asset WHERE package = $2 AND version_key = $3`,
				c.row.id, source.id, key); err != nil {
				return err
			}
		}
		return c.save(ctx, tx)
	})
	if err == nil {
		s.stored.markStale(r.cacheKey(id))
	}
	return err
}
