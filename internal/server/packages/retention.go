package packages

import (
	"context"
	"errors"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// retain copies a version from an upstream repository into the repository that was
// asked for it, and into no repository between them. The bytes are shared. If the
// repository has the version already, it gets the assets that it does not have.
//
// If the package is new in the repository, it gets the origin configuration of a
// package from upstream: publish BLOCK and upstream ALLOW, so further versions come
// from upstream too.
func (s *Service) retain(ctx context.Context, r *repository, v *Version, id PackageID, upstream string) error {
	from := s.snapshot.Load().repository(r.id.Domain.Repository(upstream))
	if from == nil {
		return nil // deleted since the version was found: this download is the last
	}
	step := s.retention(ctx, r, from, id, v.Version)
	err := s.changePackages(ctx, step)
	if errors.Is(err, errNothingToRetain) {
		return nil
	}
	return err
}

// retention is the change that retains a version of from in r.
func (s *Service) retention(ctx context.Context, r, from *repository, id PackageID, version string) packageStep {
	key := id.Format.versionKey(version)
	origin := s.snapshot.Load().domain(r.id.Domain).newOrigin(id, Origin{Publish: Block, Upstream: Allow})
	return packageStep{packageChange{repository: r, id: id, origin: origin}, func(tx *db.Tx, c *packageChange) error {
		source, err := readPackageRow(ctx, tx, from.row, id)
		if err != nil {
			return err
		}
		if source == nil {
			return errNothingToRetain
		}
		versions, err := tx.Exec(ctx, `INSERT INTO pkg_version (package, version_key, version, revision, status, published, entry_point, description, metadata, edited, revised, changed, arrived)
			SELECT $1, version_key, version, revision, status, published, entry_point, description, metadata, edited, revised, $2, $5
			FROM pkg_version WHERE package = $3 AND version_key = $4 ON CONFLICT (package, version_key) DO NOTHING`,
			c.row.id, c.row.seq, source.id, key, c.arrival())
		if err != nil {
			return err
		}
		files, assets, err := retainAssets(ctx, tx, c.row.id, source.id, key)
		if err != nil {
			return err
		}
		if versions == 0 && files == 0 {
			return errNothingToRetain
		}
		if versions == 0 {
			_, err = tx.Exec(ctx, `UPDATE pkg_version SET revision = $3, changed = $4 WHERE package = $1 AND version_key = $2`,
				c.row.id, key, newRevision(), c.row.seq)
		}
		if err != nil {
			return err
		}
		return c.announceRetained(ctx, tx, key, versions == 1, assets)
	}}
}

// retainAssets copies the assets that the version does not have, if it was published
// to the same repository as the one upstream and can be downloaded. It returns how many
// files it copied, and how many of them are assets.
func retainAssets(ctx context.Context, tx *db.Tx, pkg, source, key string) (files, assets int, err error) {
	besides, err := db.All(ctx, tx, db.Scalar[string], `INSERT INTO pkg_asset (package, version_key, name, beside, domain, sha256, published, metadata)
		SELECT $1, a.version_key, a.name, a.beside, a.domain, a.sha256, a.published, a.metadata
		FROM pkg_asset a
		JOIN pkg_version theirs ON theirs.package = a.package AND theirs.version_key = a.version_key
		JOIN pkg_version ours ON ours.package = $1 AND ours.version_key = a.version_key
		WHERE a.package = $2 AND a.version_key = $3 AND ours.entry_point = theirs.entry_point
		AND ours.status IN ('Published', 'Unlisted', 'Unfinished')
		ON CONFLICT (package, version_key, name) DO NOTHING RETURNING beside`, pkg, source, key)
	for _, beside := range besides {
		if beside == "" {
			assets++
		}
	}
	return len(besides), assets, err
}

// errNothingToRetain rolls a retention back: another request retained the version
// first, or the version was deleted upstream after it was found.
var errNothingToRetain = errors.New("the version is retained already, or gone")

// retainForChange retains those of the versions that the repository only sees
// upstream, so that they can be changed in it. A caller who may not read from the
// repository sees none.
func (s *Service) retainForChange(ctx context.Context, r *repository, id PackageID, versions []string) error {
	own, err := s.load(ctx, r, id)
	if err != nil {
		return err
	}
	for _, version := range versions {
		if own.versions[id.Format.versionKey(version)] != nil {
			continue
		}
		p, err := s.Package(ctx, r.id, id)
		if err != nil {
			if k := fault.From(err).Kind; k == fault.NotFound || k == fault.Denied {
				return nil
			}
			return err
		}
		if v := p.Version(version); v != nil {
			if err := s.fetchVersion(ctx, r, id, v); err != nil {
				return err
			}
			if err := s.retain(ctx, r, v, id, v.Repository); err != nil {
				return err
			}
		}
	}
	return nil
}
