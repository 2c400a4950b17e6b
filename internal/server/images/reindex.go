package images

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// indexVersion is the version of what the store derives from a manifest: its
// references and its size. Increase it if that changes; [Service.reindex] then
// derives it again for the manifests that a database has.
//
// Version 1: references are recorded whether or not the blobs are there, and have the
// media type of the descriptor; the size of an index includes the blobs that it lists.
const indexVersion = 1

// reindexBatch is the number of manifests in one transaction.
const reindexBatch = 50

// reindex derives the references and sizes of all manifests again, once after an
// update of the program. If it is interrupted, it starts again.
func (s *Service) reindex(ctx context.Context) error {
	done, err := db.One(ctx, s.db, db.Scalar[int64], `SELECT count(*) FROM image_index_version WHERE version >= $1`, indexVersion)
	if err != nil || done > 0 {
		return err
	}
	type row struct {
		key       digestKey
		mediaType string
		body      []byte
	}
	var last digestKey
	for {
		rows, err := db.All(ctx, s.db, func(r db.Row) (m row, err error) {
			err = r.Scan(&m.key.repository, &m.key.digest, &m.mediaType, &m.body)
			return m, err
		}, `SELECT repository, digest, media_type, body FROM image_manifest WHERE (repository, digest) > ($1, $2) ORDER BY repository, digest LIMIT $3`,
			last.repository, string(last.digest), reindexBatch)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		err = s.db.Tx(ctx, func(tx *db.Tx) error {
			for _, m := range rows {
				if err := reindexManifest(ctx, tx, m.key, m.mediaType, m.body); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		last = rows[len(rows)-1].key
	}
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO image_index_version (version) VALUES ($1)`, indexVersion)
		return err
	})
}

func reindexManifest(ctx context.Context, tx *db.Tx, key digestKey, mediaType string, body []byte) error {
	m, err := parseManifest(mediaType, body)
	if err != nil {
		// A limit may be stricter than when the manifest was pushed. What was
		// recorded then stays.
		return nil //nolint:nilerr // see above
	}
	size, err := m.totalSize(ctx, tx, key.repository)
	if err != nil {
		return fmt.Errorf("reindex %s: %w", key.digest, err)
	}
	if _, err := tx.Exec(ctx, `UPDATE image_manifest SET size = $3 WHERE repository = $1 AND digest = $2`, key.repository, string(key.digest), size); err != nil {
		return err
	}
	return insertReferences(ctx, tx, key.repository, key.digest, m.needs())
}

// totalSize returns the size of a manifest: see [Manifest.Size].
func (m *parsedManifest) totalSize(ctx context.Context, q db.Querier, repository int64) (int64, error) {
	children, err := selectByDigest(ctx, q, `SELECT digest, size FROM image_manifest WHERE repository = $1 AND digest IN `, repository, m.children)
	if err != nil {
		return 0, err
	}
	return m.sizeWith(children), nil
}

// sizeWith is [parsedManifest.totalSize] if the sizes of the manifests among the
// children are known.
func (m *parsedManifest) sizeWith(children map[digest.Digest]int64) int64 {
	size, largest := m.size, int64(0)
	for _, d := range m.children {
		if child, isManifest := children[d]; isManifest {
			largest = max(largest, child)
		} else {
			size += m.lenient[d]
		}
	}
	return max(size, largest)
}
