package packages

import (
	"context"
	"errors"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// retain copies a version that was found upstream into the repository that was asked
// for it, and into no repository between them. The bytes are shared.
//
// If the package is new in the repository, it gets the origin configuration of a
// package from upstream: publish BLOCK and upstream ALLOW, so further versions come
// from upstream too.
func (s *Service) retain(ctx context.Context, r *repository, v *Version, id PackageID) error {
	from := r.domain.repositories[v.Repository]
	key := id.Format.versionKey(v.Version)
	c := packageChange{repository: r, id: id, origin: Origin{Publish: Block, Upstream: Allow}}
	err := s.changePackage(ctx, c, func(tx *db.Tx, c *packageChange) error {
		source, err := readPackageRow(ctx, tx, from.row, id)
		if err != nil {
			return err
		}
		if source == nil {
			return errNothingToRetain
		}
		n, err := tx.Exec(ctx, `INSERT INTO pkg_version (package, version_key, version, revision, status, published, entry_point, description, metadata, changed)
			SELECT $1, version_key, version, revision, status, published, entry_point, description, metadata, $2
			FROM pkg_version WHERE package = $3 AND version_key = $4 ON CONFLICT (package, version_key) DO NOTHING`,
			c.row.id, c.row.seq, source.id, key)
		if err != nil {
			return err
		}
		if n == 0 {
			return errNothingToRetain
		}
		_, err = tx.Exec(ctx, `INSERT INTO pkg_asset (package, version_key, name, domain, sha256, published, metadata)
			SELECT $1, version_key, name, domain, sha256, published, metadata FROM pkg_asset WHERE package = $2 AND version_key = $3`,
			c.row.id, source.id, key)
		return err
	})
	if errors.Is(err, errNothingToRetain) {
		return nil
	}
	return err
}

// errNothingToRetain rolls a retention back: another request retained the version
// first, or the version was deleted upstream after it was found.
var errNothingToRetain = errors.New("the version is retained already, or gone")
