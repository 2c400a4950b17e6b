package images

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// maxParameters is the maximum number of rows or values in one statement.
const maxParameters = 200

// placeholders returns "($2, $3), ($4, $5), …": the given number of rows and
// columns, beginning at $first.
func placeholders(first, rows, columns int) string {
	var b strings.Builder
	for i := range rows {
		if i > 0 {
			b.WriteString(", ")
		}
		for j := range columns {
			if j == 0 {
				b.WriteByte('(')
			} else {
				b.WriteString(", ")
			}
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(first + i*columns + j))
		}
		b.WriteByte(')')
	}
	return b.String()
}

// selectByDigest runs a query that ends in IN, for rows of a repository that have
// one of digests. The query selects a digest and an integer.
func selectByDigest(ctx context.Context, q db.Querier, query string, repository int64, digests []digest.Digest) (map[digest.Digest]int64, error) {
	type entry struct {
		digest digest.Digest
		n      int64
	}
	found := make(map[digest.Digest]int64, len(digests))
	for chunk := range slices.Chunk(digests, maxParameters) {
		args := make([]any, 0, len(chunk)+1)
		args = append(args, repository)
		for _, d := range chunk {
			args = append(args, string(d))
		}
		rows, err := db.All(ctx, q, func(r db.Row) (e entry, err error) {
			err = r.Scan(&e.digest, &e.n)
			return e, err
		}, query+placeholders(2, 1, len(chunk)), args...)
		if err != nil {
			return nil, err
		}
		for _, e := range rows {
			found[e.digest] = e.n
		}
	}
	return found, nil
}

// insertReferences records that manifest needs other digests.
func insertReferences(ctx context.Context, tx *db.Tx, repository int64, manifest digest.Digest, needs []reference) error {
	for chunk := range slices.Chunk(needs, maxParameters) {
		args := make([]any, 0, 4*len(chunk))
		for _, r := range chunk {
			args = append(args, repository, string(r.digest), string(manifest), r.mediaType)
		}
		_, err := tx.Exec(ctx, `INSERT INTO image_reference (repository, digest, manifest, media_type) VALUES `+placeholders(1, len(chunk), 4)+`
			ON CONFLICT (repository, digest, manifest) DO UPDATE SET media_type = excluded.media_type`, args...)
		if err != nil {
			return err
		}
	}
	return nil
}
