package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"path/filepath"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/postgres"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/sqlite"
)

// copyRows stores what is missing to want, without the server: it copies the rows of
// the first repository, package and user, which the public APIs have written. A million
// pushes would take hours. The files of copied packages do not exist: nothing that is
// measured reads them.
func (f *filler) copyRows(ctx context.Context, want installation) (err error) {
	if want == f.stored {
		return nil
	}
	if err := f.bed.gatehouse.stop(); err != nil {
		return err
	}
	d, err := f.bed.openDatabase(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	c := &copier{db: d, statements: map[string]string{}}
	if err := c.repositories(ctx, f.stored.repositories, want.repositories); err != nil {
		return fmt.Errorf("copy repositories: %w", err)
	}
	if err := c.packages(ctx, f.stored.packages, want.packages); err != nil {
		return fmt.Errorf("copy packages: %w", err)
	}
	if err := c.users(ctx, f.stored.users, want.users); err != nil {
		return fmt.Errorf("copy users: %w", err)
	}
	f.stored = want
	return f.bed.stores.analyze(ctx)
}

// openDatabase opens the database of the server, which must not run.
func (b *testbed) openDatabase(ctx context.Context) (*db.DB, error) {
	if b.stores == nil {
		return sqlite.Open(ctx, filepath.Join(b.data, "gatehouse.db"))
	}
	flags, err := b.stores.flags(ctx, b.data)
	if err != nil {
		return nil, err
	}
	return postgres.Open(ctx, flags[1])
}

const (
	// copiesAtOnce is how many repositories, packages or hundreds of users one
	// transaction copies.
	copiesAtOnce = 100
	// rowsAtOnce is how many rows one statement inserts. The time that SQLite's driver
	// takes for a statement grows with the square of its parameters.
	rowsAtOnce = 20
)

// A copier inserts copies of rows.
type copier struct {
	db         *db.DB
	statements map[string]string
}

// A template has rows of one table, which are copied with changes.
type template struct {
	table   string
	columns []string
	rows    [][]any // int64, string, []byte or nil
}

// template reads rows. The query ends after FROM and the table's name.
func (c *copier) template(ctx context.Context, table, condition string, args ...any) (*template, error) {
	t := &template{table: table}
	var err error
	t.rows, err = db.All(ctx, c.db, func(r db.Row) ([]any, error) {
		rows, ok := r.(interface{ Columns() ([]string, error) }) // every db.Rows wraps a *sql.Rows
		if !ok {
			return nil, fmt.Errorf("the rows of %s do not tell their columns", table)
		}
		if t.columns == nil {
			var err error
			if t.columns, err = rows.Columns(); err != nil {
				return nil, err
			}
		}
		values := make([]any, len(t.columns))
		destinations := make([]any, len(values))
		for i := range values {
			destinations[i] = &values[i]
		}
		err := r.Scan(destinations...)
		return values, err
	}, `SELECT * FROM `+table+` WHERE `+condition, args...)
	if err == nil && len(t.rows) == 0 {
		err = fmt.Errorf("the table %s has no rows to copy", table)
	}
	return t, err
}

// A change returns the new value of a column of a copied row.
type change func(column string, value any) any

// copies returns the rows with a change.
func (t *template) copies(do change) [][]any {
	out := make([][]any, len(t.rows))
	for i, row := range t.rows {
		out[i] = make([]any, len(row))
		for j, v := range row {
			out[i][j] = do(t.columns[j], v)
		}
	}
	return out
}

// insert inserts rows, each of which has the columns of the template.
func (c *copier) insert(ctx context.Context, tx *db.Tx, t *template, rows [][]any) error {
	for len(rows) > 0 {
		n := min(len(rows), rowsAtOnce)
		args := make([]any, 0, n*len(t.columns))
		for _, row := range rows[:n] {
			args = append(args, row...)
		}
		if _, err := tx.Exec(ctx, c.statement(t, n), args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func (c *copier) statement(t *template, rows int) string {
	key := fmt.Sprint(t.table, rows)
	if s, ok := c.statements[key]; ok {
		return s
	}
	var s strings.Builder
	fmt.Fprintf(&s, "INSERT INTO %s (%s) VALUES ", t.table, strings.Join(t.columns, ", "))
	n := 0
	for row := range rows {
		if row > 0 {
			s.WriteString(", ")
		}
		for i := range t.columns {
			n++
			fmt.Fprintf(&s, "%c$%d", "(,"[min(i, 1)], n)
		}
		s.WriteString(")")
	}
	c.statements[key] = s.String()
	return s.String()
}

// copy inserts copies of the templates with the numbers from first to end, atOnce of them
// in each transaction. A template comes after those that its foreign keys refer to.
func (c *copier) copy(ctx context.Context, templates []*template, first, end, atOnce int, changeOf func(n int) change) error {
	for ; first < end; first += atOnce {
		rows := make([][][]any, len(templates))
		for n := first; n < min(first+atOnce, end); n++ {
			do := changeOf(n)
			for i, t := range templates {
				rows[i] = append(rows[i], t.copies(do)...)
			}
		}
		err := c.db.Tx(ctx, func(tx *db.Tx) error {
			for i, t := range templates {
				if err := c.insert(ctx, tx, t, rows[i]); err != nil {
					return fmt.Errorf("%s: %w", t.table, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// A source is a table and which of its rows are copied.
type source struct{ table, condition string }

// templates reads the rows of each source. $1 in the conditions is id.
func (c *copier) templates(ctx context.Context, id any, sources ...source) ([]*template, error) {
	var templates []*template
	for _, s := range sources {
		t, err := c.template(ctx, s.table, s.condition, id)
		if err != nil {
			return nil, err
		}
		templates = append(templates, t)
	}
	return templates, nil
}

// repositories copies the first repository. All have the same images.
func (c *copier) repositories(ctx context.Context, first, end int) error {
	id, err := db.One(ctx, c.db, db.Scalar[int64], `SELECT id FROM image_repository WHERE name = $1`, scaleRepository(0))
	if err != nil {
		return err
	}
	const ofRepository = `repository = $1`
	templates, err := c.templates(ctx, id,
		source{"image_repository", `id = $1`}, source{"image_blob_link", ofRepository}, source{"image_manifest", ofRepository},
		source{"image_reference", ofRepository}, source{"image_tag", ofRepository})
	if err != nil {
		return err
	}
	return c.copy(ctx, templates, first, end, copiesAtOnce, func(n int) change {
		created := mathrand.Int64N(math.MaxInt64)
		return func(_ string, v any) any {
			switch v {
			case id:
				return created
			case scaleRepository(0):
				return scaleRepository(n)
			}
			return v
		}
	})
}

// packages copies the first package. Each copy has files of its own.
func (c *copier) packages(ctx context.Context, first, end int) error {
	id, err := db.One(ctx, c.db, db.Scalar[string], `SELECT id FROM pkg_package WHERE name = $1`, scalePackage(0))
	if err != nil {
		return err
	}
	const ofPackage = `package = $1`
	templates, err := c.templates(ctx, id,
		source{"pkg_package", `id = $1`}, source{"pkg_version", ofPackage},
		source{"pkg_content", `sha256 IN (SELECT sha256 FROM pkg_asset WHERE package = $1)`}, source{"pkg_asset", ofPackage})
	if err != nil {
		return err
	}
	return c.copy(ctx, templates, first, end, copiesAtOnce, func(n int) change {
		created, sums := randomID(), map[any]string{}
		return func(column string, v any) any {
			switch column {
			case "sha256": // of a file and of what names it
				if sums[v] == "" {
					sums[v] = randomHex(32)
				}
				return sums[v]
			case "md5":
				return randomHex(16)
			case "sha1":
				return randomHex(20)
			case "sha512":
				return randomHex(64)
			case "object":
				return "package-" + randomID()
			case "revision":
				return (rand.Text() + rand.Text())[:len(v.(string))]
			}
			if v == id {
				return created
			}
			return renamed(v, scalePackage(0), scalePackage(n))
		}
	})
}

// users copies the first user.
func (c *copier) users(ctx context.Context, first, end int) error {
	id, err := db.One(ctx, c.db, db.Scalar[string], `SELECT id FROM iam_entity WHERE kind = 'User' AND name = $1`, scaleUser(0))
	if err != nil {
		return err
	}
	templates, err := c.templates(ctx, id, source{"iam_entity", `id = $1`})
	if err != nil {
		return err
	}
	if err := c.copy(ctx, templates, first, end, 100*copiesAtOnce, func(n int) change {
		created := id[:4] + rand.Text()[:len(id)-4]
		return func(_ string, v any) any {
			if v == id {
				return created
			}
			return renamed(v, scaleUser(0), scaleUser(n))
		}
	}); err != nil {
		return err
	}
	return c.db.Tx(ctx, func(tx *db.Tx) error { // one change for each user
		_, err := tx.Exec(ctx, `UPDATE iam_version SET version = version + $1`, end-first)
		return err
	})
}

// renamed returns a value with another name in its text.
func renamed(v any, before, after string) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, before, after)
	case []byte:
		return bytes.ReplaceAll(v, []byte(before), []byte(after))
	}
	return v
}

// randomID returns a random id as package packages has them.
func randomID() string { return strings.ToLower(rand.Text()) }

// randomHex returns a random digest of n bytes.
func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // cannot fail
	return hex.EncodeToString(b)
}
