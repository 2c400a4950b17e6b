package images

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/consistency"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// ObjectPrefix begins the names of all objects of this package.
const ObjectPrefix = objectPrefix

// Migrations returns the schema of this package.
func Migrations() []db.Migration { return slices.Clone(migrations) }

// Objects yields the objects of all blobs. The objects of unfinished uploads are not
// among them.
func Objects(ctx context.Context, q db.Querier) consistency.Objects {
	return consistency.ReadObjects(ctx, q, func(r db.Row) (o consistency.Object, err error) {
		o.Digests = make([]string, 1)
		err = r.Scan(&o.Name, &o.Size, &o.Digests[0])
		return o, err
	}, `SELECT object, size, digest FROM image_blob WHERE object > $1 ORDER BY object LIMIT $2`)
}

// ObjectTotals returns the number and the bytes of what [Objects] yields.
func ObjectTotals(ctx context.Context, q db.Querier) (count, bytes int64, err error) {
	_, err = db.One(ctx, q, func(r db.Row) (struct{}, error) {
		return struct{}{}, r.Scan(&count, &bytes)
	}, `SELECT count(*), CAST(COALESCE(sum(size), 0) AS BIGINT) FROM image_blob`)
	return count, bytes, err
}

// NamedObjects returns those of at most 200 names that a row has, of a blob or of an
// unfinished upload. It is one query, because an object moves from an upload to a blob
// in one commit.
func NamedObjects(ctx context.Context, q db.Querier, names []string) ([]string, error) {
	list, args := db.Values(names)
	return db.All(ctx, q, db.Scalar[string], `SELECT object FROM image_upload WHERE object IN (`+list+`)
		UNION SELECT object FROM image_blob WHERE object IN (`+list+`)`, args...)
}

// DescribeObject says in words what the object of a blob is: its digest and the
// repositories that have it. It is "" if no blob has the object any more.
func DescribeObject(ctx context.Context, q db.Querier, object string) (string, error) {
	type blob struct {
		id              int64
		account, region string
		digest          string
	}
	found, err := db.All(ctx, q, func(r db.Row) (b blob, err error) {
		err = r.Scan(&b.id, &b.account, &b.region, &b.digest)
		return b, err
	}, `SELECT id, account, region, digest FROM image_blob WHERE object = $1`, object)
	if err != nil || len(found) == 0 {
		return "", err
	}
	b := found[0]
	const shown = 5
	names, err := db.All(ctx, q, db.Scalar[string], `SELECT r.name FROM image_blob_link l JOIN image_repository r ON r.id = l.repository
		WHERE l.blob = $1 ORDER BY r.name LIMIT $2`, b.id, shown+1)
	if err != nil {
		return "", err
	}
	var arns []string
	for _, name := range names[:min(len(names), shown)] {
		arns = append(arns, RepositoryID{b.account, b.region, name}.ARN())
	}
	where := strings.Join(arns, ", ")
	switch {
	case len(names) > shown:
		where += " and others"
	case len(names) == 0:
		where = "no repository any more"
	}
	return fmt.Sprintf("layer %s of %s", b.digest, where), nil
}
