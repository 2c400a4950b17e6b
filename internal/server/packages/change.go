package packages

import (
	"context"
	"encoding/json"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A packageChange is one change of a package in a repository, within a
// transaction: begin, whatever is to be done to its versions, save.
type packageChange struct {
	repository *repository
	id         PackageID
	at         time.Time
	// origin is that of a package which the change creates; its zero value
	// creates none.
	origin Origin

	// row is what begin found or created. Its seq is that of this change, with
	// which every version that it touches is marked.
	row     *packageRow
	created bool
	deleted bool // by delete
}

// begin finds the package or creates it. Where it neither is there nor is to
// be created, the fault is ResourceNotFound.
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

// removed says that the change takes versions away.
func (c *packageChange) removed() { c.row.removed = c.row.seq }

// save writes the package's own row.
func (c *packageChange) save(ctx context.Context, tx *db.Tx) error {
	tags, err := json.Marshal(c.row.tags)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE pkg_package SET publish = $2, upstream = $3, tags = $4, attributes = $5, modified = $6, seq = $7, removed = $8 WHERE id = $1`,
		c.row.id, string(c.row.origin.Publish), string(c.row.origin.Upstream), string(tags), nullable(c.row.attributes),
		db.Micros(c.at), c.row.seq, c.row.removed)
	return err
}

// nullable keeps absent bytes absent.
func nullable(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

// edit makes the change that fn completes, and lets everyone see it. fn and c
// are as they were given each time that the transaction runs.
func (s *Service) edit(ctx context.Context, c packageChange, fn func(*db.Tx, *packageChange) error) error {
	// Whatever the outcome: after some errors nobody knows it.
	defer s.stored.MarkStale(c.repository.cacheKey(c.id))
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		c := c
		c.at = s.now()
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
