package packages

import (
	"context"
	"encoding/json"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

const putPackageMetadata = "codeartifact:PutPackageMetadata"

// SetTags sets tags (tag → version) and removes others. The versions must be Published
// and in the repository itself. A tag to remove need not exist.
// codeartifact:PutPackageMetadata on the package.
func (s *Service) SetTags(ctx context.Context, repo RepositoryID, id PackageID, set map[string]string, remove []string) error {
	r, err := s.authorizePackage(ctx, putPackageMetadata, repo, id)
	if err != nil {
		return err
	}
	return s.changePackage(ctx, packageChange{repository: r, id: id}, func(tx *db.Tx, c *packageChange) error {
		for _, tag := range remove {
			delete(c.row.tags, tag)
		}
		for tag, version := range set {
			if err := validTag(tag); err != nil {
				return err
			}
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

// SetMetadata replaces the metadata of versions (version → JSON) and, unless nil, the
// attributes of the package. The versions must be in the repository itself.
// codeartifact:PutPackageMetadata on the package.
func (s *Service) SetMetadata(ctx context.Context, repo RepositoryID, id PackageID, versions map[string]json.RawMessage, attributes json.RawMessage) error {
	r, err := s.authorizePackage(ctx, putPackageMetadata, repo, id)
	if err != nil {
		return err
	}
	return s.changePackage(ctx, packageChange{repository: r, id: id}, func(tx *db.Tx, c *packageChange) error {
		for version, metadata := range versions {
			n, err := tx.Exec(ctx, `UPDATE pkg_version SET metadata = $3, revision = $4, changed = $5 WHERE package = $1 AND version_key = $2`,
				c.row.id, id.Format.versionKey(version), nullable(metadata), newRevision(), c.row.seq)
			if err != nil {
				return err
			}
			if n == 0 {
				return versionNotFound(repo, id, version)
			}
		}
		if attributes != nil {
			c.row.attributes = attributes
		}
		return nil
	})
}
