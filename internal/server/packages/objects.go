package packages

import (
	"context"
	"fmt"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/consistency"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// ObjectPrefix begins the names of all objects of this package.
const ObjectPrefix = objectPrefix

// Migrations returns the schema of this package.
func Migrations() []db.Migration { return migrations() }

// Objects yields the objects of all assets. Those that lost their last asset are not
// among them.
func Objects(ctx context.Context, q db.Querier) consistency.Objects {
	return consistency.ReadObjects(ctx, q, func(r db.Row) (o consistency.Object, err error) {
		var md5, sha1, sha256, sha512 string
		err = r.Scan(&o.Name, &o.Size, &md5, &sha1, &sha256, &sha512)
		o.Digests = []string{"sha256:" + sha256, "sha512:" + sha512, "sha1:" + sha1, "md5:" + md5}
		return o, err
	}, `SELECT object, size, md5, sha1, sha256, sha512 FROM pkg_content WHERE object > $1 ORDER BY object LIMIT $2`)
}

// ObjectTotals returns the number and the bytes of what [Objects] yields.
func ObjectTotals(ctx context.Context, q db.Querier) (count, bytes int64, err error) {
	_, err = db.One(ctx, q, func(r db.Row) (struct{}, error) {
		return struct{}{}, r.Scan(&count, &bytes)
	}, `SELECT count(*), CAST(COALESCE(sum(size), 0) AS BIGINT) FROM pkg_content`)
	return count, bytes, err
}

// NamedObjects returns those of at most 200 names that a row has, of content or of
// garbage.
func NamedObjects(ctx context.Context, q db.Querier, names []string) ([]string, error) {
	list, args := db.Values(names)
	return db.All(ctx, q, db.Scalar[string], `SELECT object FROM pkg_content WHERE object IN (`+list+`)
		UNION SELECT object FROM pkg_garbage WHERE object IN (`+list+`)`, args...)
}

// DescribeObject says in words what an object is: the assets that have its content. It
// is "" if no content has the object any more.
func DescribeObject(ctx context.Context, q db.Querier, object string) (string, error) {
	const shown = 5
	assets, err := db.All(ctx, q, func(r db.Row) (string, error) {
		var v versionName
		var asset string
		if err := r.Scan(append(v.fields(), &asset)...); err != nil {
			return "", err
		}
		return fmt.Sprintf("asset %s of %s", asset, v.subject()), nil
	}, `SELECT `+versionNameColumns+`, a.name FROM pkg_content c
		JOIN pkg_asset a ON a.domain = c.domain AND a.sha256 = c.sha256
		JOIN pkg_version v ON v.package = a.package AND v.version_key = a.version_key
		JOIN pkg_package p ON p.id = v.package JOIN pkg_repository r ON r.id = p.repository JOIN pkg_domain d ON d.id = r.domain
		WHERE c.object = $1 ORDER BY r.name, p.name, v.version, a.name LIMIT $2`, object, shown+1)
	if err != nil {
		return "", err
	}
	if len(assets) == 0 {
		n, err := db.One(ctx, q, db.Scalar[int64], `SELECT count(*) FROM pkg_content WHERE object = $1`, object)
		if err != nil || n == 0 {
			return "", err
		}
		n, err = db.One(ctx, q, db.Scalar[int64], `SELECT count(*) FROM pkg_content c JOIN pkg_aside_asset a ON a.domain = c.domain AND a.sha256 = c.sha256 WHERE c.object = $1`, object)
		if err != nil || n > 0 {
			return "content of a version that a retention rule removed and that can be restored", err
		}
		return "content of no asset", nil
	}
	text := strings.Join(assets[:min(len(assets), shown)], ", ")
	if len(assets) > shown {
		text += " and others"
	}
	return text, nil
}

// A versionName names a package version in a message.
type versionName struct {
	repository      RepositoryID
	format          Format
	namespace, name string
	version         string
}

// versionNameColumns are the columns of a versionName, of pkg_domain d, pkg_repository
// r, pkg_package p and pkg_version v.
const versionNameColumns = `d.owner, d.region, d.name, r.name, p.format, p.namespace, p.name, v.version`

func (v *versionName) fields() []any {
	d := &v.repository.Domain
	return []any{&d.Owner, &d.Region, &d.Name, &v.repository.Name, &v.format, &v.namespace, &v.name, &v.version}
}

// subject is the ARN of the package, and the version.
func (v *versionName) subject() string {
	return v.repository.PackageARN(PackageID{Format: v.format, Namespace: v.namespace, Name: v.name}) + " version " + v.version
}
