package packages

import (
	"context"
	"errors"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
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
	c := packageChange{repository: r, id: id, origin: Origin{Publish: Block, Upstream: Allow}}
	err := s.edit(ctx, c, func(tx *db.Tx, c *packageChange) error {
		source, err := readPackageRow(ctx, tx, from.row, id)
		if err != nil {
			return err
		}
		if source == nil {
			return errGone
		}
		n, err := tx.Exec(ctx, `INSERT INTO pkg_version (package, version_key, version, revision, status, published, entry_point, description, metadata, changed)
			SELECT $1, version_key, version, revision, status, published, entry_point, description, metadata, $2
			FROM pkg_version WHERE package = $3 AND version_key = $4 ON CONFLICT (package, version_key) DO NOTHING`,
			c.row.id, c.row.seq, source.id, key)
		if err != nil {
			return err
		}
		if n == 0 {
			return errGone
		}
		_, err = tx.Exec(ctx, `INSERT INTO pkg_asset (package, version_key, name, domain, sha256, published, metadata)
			SELECT $1, version_key, name, domain, sha256, published, metadata FROM pkg_asset WHERE package = $2 AND version_key = $3`,
			c.row.id, source.id, key)
		return err
	})
	if errors.Is(err, errGone) {
		return nil
	}
	return err
}

// errGone rolls back a retention for which there is nothing to do: another one
// was first, or the version was deleted upstream since it was found, so that
// this download is the last.
var errGone = errors.New("the version is retained already, or gone")
