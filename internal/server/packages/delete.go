package packages

import (
	"context"
	"errors"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

const (
	deletePackageVersions = "codeartifact:DeletePackageVersions"
	deletePackage         = "codeartifact:DeletePackage"
)

// DeletePackage deletes the package with all its versions and its origin configuration
// from the repository itself. It returns the deleted package.
// codeartifact:DeletePackage on the package.
func (s *Service) DeletePackage(ctx context.Context, repo RepositoryID, id PackageID) (PackageSummary, error) {
	r, err := s.authorizePackage(ctx, deletePackage, repo, id)
	if err != nil {
		return PackageSummary{}, err
	}
	var gone PackageSummary
	err = s.changePackage(ctx, packageChange{repository: r, id: id}, func(tx *db.Tx, c *packageChange) error {
		gone = PackageSummary{ID: PackageID{id.Format, id.Namespace, c.row.name}, Origin: c.row.origin}
		return c.delete(ctx, tx)
	})
	return gone, err
}

// Unpublish deletes versions of a package for a client that deletes the whole package and
// has seen these versions only. If the repository has other versions, they stay with the
// package: those that are not listed, that came meanwhile, or that retention rules have set
// aside. Otherwise the package goes too. Versions that do not exist any more are ignored.
// Fault Conflict: none of the versions exists, and the package has others.
// codeartifact:DeletePackage on the package.
func (s *Service) Unpublish(ctx context.Context, repo RepositoryID, id PackageID, versions []string) error {
	r, err := s.authorizePackage(ctx, deletePackage, repo, id)
	if err == nil {
		err = validVersions(versions)
	}
	if err != nil {
		return err
	}
	return s.changePackage(ctx, packageChange{repository: r, id: id}, func(tx *db.Tx, c *packageChange) error {
		dropped := 0
		for _, version := range versions {
			v, err := c.version(ctx, tx, version)
			if errors.Is(err, db.ErrNoRows) {
				continue
			}
			if err == nil {
				err = c.dropVersion(ctx, tx, v.key)
			}
			if err != nil {
				return err
			}
			dropped++
		}
		others, err := db.One(ctx, tx, db.Scalar[int64], `SELECT (SELECT count(*) FROM pkg_version WHERE package = $1) + (SELECT count(*) FROM pkg_aside WHERE package = $1)`, c.row.id)
		switch {
		case err != nil:
			return err
		case others == 0:
			return c.delete(ctx, tx)
		case dropped == 0:
			return conflict(typePackage, id.Name, "The versions that the repository %s has of %s are not listed: they are Unlisted, Archived, Disposed or Unfinished, or a retention rule removed them. DeletePackage deletes them all.", repo.Name, id)
		}
		return nil
	})
}

// delete removes the package of the change.
func (c *packageChange) delete(ctx context.Context, tx *db.Tx) error {
	keys, err := db.All(ctx, tx, db.Scalar[string], `SELECT version_key FROM pkg_version WHERE package = $1`, c.row.id)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := c.dropVersion(ctx, tx, key); err != nil {
			return err
		}
	}
	aside, err := db.All(ctx, tx, db.Scalar[string], `SELECT version_key FROM pkg_aside WHERE package = $1`, c.row.id)
	if err != nil {
		return err
	}
	for _, key := range aside {
		if err := c.service.dropAside(ctx, tx, c.repository.domainRow, c.row.id, key, c.at); err != nil {
			return err
		}
	}
	c.deleted = true
	_, err = tx.Exec(ctx, `DELETE FROM pkg_package WHERE id = $1`, c.row.id)
	return err
}

// dropVersion removes a version with its assets and tags.
func (c *packageChange) dropVersion(ctx context.Context, tx *db.Tx, key string) error {
	assets, err := c.dropAssets(ctx, tx, key)
	if err != nil {
		return err
	}
	for tag, version := range c.row.tags {
		if c.id.Format.versionKey(version) == key {
			delete(c.row.tags, tag)
		}
	}
	c.removed()
	var version string
	last, err := db.One(ctx, tx, func(r db.Row) (s VersionState, err error) {
		err = r.Scan(&version, &s.Revision, &s.Status)
		return s, err
	}, `DELETE FROM pkg_version WHERE package = $1 AND version_key = $2 RETURNING version, revision, status`, c.row.id, key)
	if err != nil {
		return err
	}
	return c.announce(ctx, tx, versionDeleted, version, last, versionChanges{AssetsRemoved: assets})
}

// deleteRepositoryContent removes all packages of a repository.
func (s *Service) deleteRepositoryContent(ctx context.Context, tx *db.Tx, r *repository) error {
	shas, err := db.All(ctx, tx, db.Scalar[string], `SELECT a.sha256 FROM pkg_asset a JOIN pkg_package p ON p.id = a.package WHERE p.repository = $1
		UNION SELECT a.sha256 FROM pkg_aside_asset a JOIN pkg_package p ON p.id = a.package WHERE p.repository = $1`, r.row)
	if err != nil {
		return err
	}
	for _, table := range []string{"pkg_asset", "pkg_version", "pkg_aside_asset", "pkg_aside"} {
		if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE package IN (SELECT id FROM pkg_package WHERE repository = $1)`, r.row); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, `DELETE FROM pkg_package WHERE repository = $1`, r.row); err != nil {
		return err
	}
	at := s.now()
	for _, sha := range shas {
		if err := s.dropContent(ctx, tx, r.domainRow, sha, at); err != nil {
			return err
		}
	}
	return nil
}
