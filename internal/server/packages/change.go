package packages

import (
	"context"
	"encoding/json"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A packageChange is one change of a package in a repository, within a
// transaction: begin, the changes of its versions, save.
type packageChange struct {
	service    *Service
	repository *repository
	id         PackageID
	at         time.Time
	// origin is the origin configuration of the package if the change creates it.
	// With the zero value the change does not create a package.
	origin Origin

	// row is what begin found or created. Its seq is the number of this change;
	// every version that the change writes gets it.
	row       *packageRow
	created   bool
	deleted   bool // the package was deleted by this change
	announced bool // an event of this change was written
}

// begin finds the package or creates it. If it does not exist and must not be
// created, the fault is ResourceNotFound.
func (c *packageChange) begin(ctx context.Context, tx *db.Tx) (err error) {
	// The repository may have been deleted since it was found.
	if _, err := db.One(ctx, tx, db.Scalar[string], `SELECT id FROM pkg_repository WHERE id = $1`, c.repository.row); err != nil {
		return orNotFound(err, repositoryNotFound(c.repository.id))
	}
	c.row, err = readPackageRow(ctx, tx, c.repository.row, c.id)
	if err != nil {
		return err
	}
	c.created = c.row == nil
	if c.created {
		return c.create(ctx, tx)
	}
	c.row.seq++
	return nil
}

func (c *packageChange) create(ctx context.Context, tx *db.Tx) error {
	if c.origin == (Origin{}) {
		return packageNotFound(c.repository.id, c.id)
	}
	id := c.id.canonical()
	c.row = &packageRow{id: randid.Text(), name: id.Name, origin: c.origin, tags: map[string]string{}, created: c.at, seq: 1}
	_, err := tx.Exec(ctx, `INSERT INTO pkg_package (id, repository, format, namespace, name_key, name, publish, upstream, tags, attributes, created, modified, seq, removed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '{}', NULL, $9, $9, 1, 0)`,
		c.row.id, c.repository.row, string(id.Format), id.Namespace, id.key(), id.Name,
		string(c.origin.Publish), string(c.origin.Upstream), db.Micros(c.at))
	return err
}

// checkSpelling checks the name of the package in the change against the name that it has
// in a repository.
func (c *packageChange) checkSpelling(r *repository, name string) error {
	if !c.id.Format.rules().oneSpelling || name == c.id.Name {
		return nil
	}
	return conflict(typePackage, c.id.Name, "The %s exists in repository %s as %s, which is the same name. Publish it as %s.", c.id, r.id.Name, name, name)
}

// arrival is when a version that the change adds comes into the repository, in
// microseconds. It is not before the last change of the package, even if the clock was set
// back meanwhile: retention rules must not take the version for an old one.
func (c *packageChange) arrival() int64 {
	if c.row.modified.After(c.at) {
		return db.Micros(c.row.modified)
	}
	return db.Micros(c.at)
}

// removed records that the change removes versions.
func (c *packageChange) removed() { c.row.removed = c.row.seq }

// save writes the package's own row.
func (c *packageChange) save(ctx context.Context, tx *db.Tx) error {
	tags, err := json.Marshal(c.row.tags)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE pkg_package SET publish = $2, upstream = $3, tags = $4, attributes = $5, search = $6, modified = $7, seq = $8, removed = $9 WHERE id = $1`,
		c.row.id, string(c.row.origin.Publish), string(c.row.origin.Upstream), string(tags), nullable(c.row.attributes), c.row.search,
		db.Micros(c.at), c.row.seq, c.row.removed)
	return err
}

// nullable is NULL for nil.
func nullable(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

// changePackage runs fn between begin and save and makes the change visible to all
// readers. The transaction may run more than once, each time with a fresh copy of c.
func (s *Service) changePackage(ctx context.Context, c packageChange, fn func(*db.Tx, *packageChange) error) error {
	return s.changeCached(ctx, c.repository.cacheKey(c.id), func(tx *db.Tx) error {
		c := c
		c.service, c.at = s, s.now()
		if err := c.begin(ctx, tx); err != nil {
			return err
		}
		if err := fn(tx, &c); err != nil {
			return err
		}
		if c.deleted {
			return nil
		}
		return c.save(ctx, tx)
	})
}
