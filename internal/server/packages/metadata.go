package packages

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

const putPackageMetadata = "codeartifact:PutPackageMetadata"

// SetTags sets tags (tag → version) and removes others. The versions must be Published.
// A version that is only visible upstream is retained first. A tag to remove need not
// exist. A tag that is set upstream too keeps its upstream version for clients: see
// Package. codeartifact:PutPackageMetadata on the package.
func (s *Service) SetTags(ctx context.Context, repo RepositoryID, id PackageID, set map[string]string, remove []string) error {
	r, err := s.authorizePackage(ctx, putPackageMetadata, repo, id)
	if err != nil {
		return err
	}
	for tag := range set {
		if err := validTag(tag); err != nil {
			return err
		}
	}
	versions := slices.Sorted(maps.Values(set))
	if err := validVersions(versions); err != nil {
		return err
	}
	if err := s.retainForChange(ctx, r, id, versions); err != nil {
		return err
	}
	return s.changePackage(ctx, packageChange{repository: r, id: id}, func(tx *db.Tx, c *packageChange) error {
		for _, tag := range remove {
			delete(c.row.tags, tag)
		}
		for tag, version := range set {
			status, err := db.One(ctx, tx, db.Scalar[Status], `SELECT status FROM pkg_version WHERE package = $1 AND version_key = $2`,
				c.row.id, id.Format.versionKey(version))
			if err != nil {
				return orNotFound(err, versionNotFound(repo, id, version))
			}
			if status != Published {
				return conflict(typeVersion, version, "Version %s of %s is %s; only a Published one can be tagged.", version, id, status)
			}
			c.row.tags[tag] = version
		}
		return nil
	})
}

// EditMetadata changes the metadata of versions. edit gets a version as it is in
// versions and its metadata, and returns the new ones, or nil if they stay as they are.
// It may be called more than once for a version. A version that is only visible
// upstream is retained if edit changes it. codeartifact:PutPackageMetadata on the
// package.
func (s *Service) EditMetadata(ctx context.Context, repo RepositoryID, id PackageID, versions []string,
	edit func(version string, metadata json.RawMessage) (json.RawMessage, error),
) error {
	r, err := s.authorizePackage(ctx, putPackageMetadata, repo, id)
	if err != nil {
		return err
	}
	if err := validVersions(versions); err != nil {
		return err
	}
	changed, err := s.changedVersions(ctx, r, id, versions, edit)
	if err != nil || len(changed) == 0 {
		return err
	}
	if err := s.retainForChange(ctx, r, id, changed); err != nil {
		return err
	}
	return s.changePackage(ctx, packageChange{repository: r, id: id}, func(tx *db.Tx, c *packageChange) error {
		for _, version := range changed {
			key := id.Format.versionKey(version)
			old, err := db.One(ctx, tx, db.Scalar[[]byte], `SELECT metadata FROM pkg_version WHERE package = $1 AND version_key = $2`, c.row.id, key)
			if err != nil {
				return orNotFound(err, versionNotFound(repo, id, version))
			}
			metadata, err := edit(version, old)
			if err != nil {
				return err
			}
			if metadata == nil {
				continue
			}
			if _, err := tx.Exec(ctx, `UPDATE pkg_version SET metadata = $3, revision = $4, changed = $5, edited = 1, revised = `+revisedNow+` WHERE package = $1 AND version_key = $2`,
				c.row.id, key, []byte(metadata), newRevision(), c.row.seq, db.Micros(c.at), db.Micros(c.at.Add(stagedFor))); err != nil {
				return err
			}
			if err := c.announceStored(ctx, tx, versionUpdated, key, versionChanges{MetadataUpdated: true}); err != nil {
				return err
			}
		}
		return nil
	})
}

// changedVersions returns the versions that edit changes, and those that the repository
// does not have, of which it cannot tell.
func (s *Service) changedVersions(ctx context.Context, r *repository, id PackageID, versions []string,
	edit func(string, json.RawMessage) (json.RawMessage, error),
) ([]string, error) {
	p, err := s.visible(ctx, r, id)
	if err != nil {
		return nil, err
	}
	var changed []string
	for _, version := range versions {
		if v := p.byKey[id.Format.versionKey(version)]; v != nil {
			metadata, err := edit(version, v.Metadata)
			if err != nil {
				return nil, err
			}
			if metadata == nil {
				continue
			}
		}
		changed = append(changed, version)
	}
	return changed, nil
}
