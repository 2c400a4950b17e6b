package packages

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
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

// A packageStep is a change of a package and what it does between begin and save.
type packageStep struct {
	packageChange
	run func(*db.Tx, *packageChange) error
}

// changePackage makes one change of a package.
func (s *Service) changePackage(ctx context.Context, c packageChange, run func(*db.Tx, *packageChange) error) error {
	return s.changePackages(ctx, packageStep{c, run})
}

// changePackages makes changes in one transaction, in their order, and makes them visible
// to all readers. The transaction may run more than once, each time with fresh copies of
// the changes. If one of them fails, none is made. There are exceptions for those after the
// first: see alsoChange.
func (s *Service) changePackages(ctx context.Context, steps ...packageStep) error {
	keys := make([]cacheKey, len(steps))
	for i, step := range steps {
		keys[i] = step.repository.cacheKey(step.id)
	}
	return s.changeCached(ctx, keys, func(tx *db.Tx) error {
		for i, step := range steps {
			do := s.change
			if i > 0 {
				do = s.alsoChange
			}
			if err := do(ctx, tx, step); err != nil {
				return err
			}
		}
		return nil
	})
}

// change makes one change within a transaction.
func (s *Service) change(ctx context.Context, tx *db.Tx, step packageStep) error {
	c := step.packageChange
	c.service, c.at = s, s.now()
	if err := c.begin(ctx, tx); err != nil {
		return err
	}
	if err := step.run(tx, &c); err != nil {
		return err
	}
	if c.deleted {
		return nil
	}
	return c.save(ctx, tx)
}

// alsoChange is change for a retention that follows from another change, which is made
// without it if the repository was deleted meanwhile or has the version already.
func (s *Service) alsoChange(ctx context.Context, tx *db.Tx, step packageStep) error {
	err := s.change(ctx, tx, step)
	if err != nil && (errors.Is(err, errNothingToRetain) || fault.From(err).Kind == fault.NotFound) {
		return nil
	}
	return err
}
