package migrate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A table is a table of the schema, as it is on every database.
type table struct {
	name    string
	columns []column
	key     []int // the columns of the primary key, in its order
	needs   []string
}

type column struct {
	name string
	kind string // INTEGER, TEXT or BLOB: what SQLite makes of {int}, {text} and {bytes}
	// required means NOT NULL. SQLite's driver does not tell empty bytes from NULL.
	required bool
}

// A Plan is what is copied: the tables of a schema.
type Plan struct {
	schema []db.Migration
	tables []table
}

// NewPlan finds out which tables the schema has, by applying it to scratch, an empty
// SQLite database that is not needed afterwards. A table comes after those that its
// foreign keys refer to. Tables that are skipped hold what is of running servers, or of
// the store that is left.
func NewPlan(ctx context.Context, scratch *db.DB, schema []db.Migration, skipped []string) (*Plan, error) {
	if err := scratch.Migrate(ctx, schema...); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	names, err := db.All(ctx, scratch, db.Scalar[string], `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name`)
	if err != nil {
		return nil, err
	}
	var tables []table
	for _, name := range names {
		if slices.Contains(skipped, name) || slices.Contains(ownTables, name) {
			continue
		}
		t, err := planTable(ctx, scratch, name)
		if err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	tables, err = inOrder(tables)
	return &Plan{schema, tables}, err
}

// ownTables are of the database itself, and each has its own; db_info is copied by
// [migration.finish].
var ownTables = []string{"migration", "db_info", "db_position", progressTable}

func planTable(ctx context.Context, scratch *db.DB, name string) (table, error) {
	t := table{name: name}
	type row struct {
		column
		key int
	}
	rows, err := db.All(ctx, scratch, func(r db.Row) (c row, err error) {
		var required int
		err = r.Scan(&c.name, &c.kind, &required, &c.key)
		c.required = required == 1
		return c, err
	}, `SELECT name, type, "notnull", pk FROM pragma_table_info($1) ORDER BY cid`, name)
	if err != nil {
		return t, err
	}
	keys := map[int]int{}
	for i, c := range rows {
		t.columns = append(t.columns, c.column)
		if c.key > 0 {
			keys[c.key] = i
		}
	}
	for i := 1; i <= len(keys); i++ {
		t.key = append(t.key, keys[i])
	}
	if len(t.key) == 0 {
		return t, fmt.Errorf("plan: the table %s has no primary key", name)
	}
	t.needs, err = db.All(ctx, scratch, db.Scalar[string], `SELECT DISTINCT "table" FROM pragma_foreign_key_list($1)`, name)
	return t, err
}

// inOrder orders tables by their foreign keys.
func inOrder(tables []table) ([]table, error) {
	var ordered []table
	done := map[string]bool{}
	for len(ordered) < len(tables) {
		before := len(ordered)
		for _, t := range tables {
			waits := slices.ContainsFunc(t.needs, func(name string) bool { return !done[name] })
			if !done[t.name] && !waits {
				ordered, done[t.name] = append(ordered, t), true
			}
		}
		if len(ordered) == before {
			return nil, fmt.Errorf("plan: the foreign keys of the tables form a circle, or lead to a table that is not copied")
		}
	}
	return ordered, nil
}

// page is how many rows are read and written at a time. Those with {bytes} can be
// large.
func (t *table) page() int {
	if slices.ContainsFunc(t.columns, func(c column) bool { return c.kind == "BLOB" }) {
		return 32
	}
	return 256
}

func (t *table) columnList() string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return strings.Join(names, ", ")
}

func (t *table) keyList() string {
	names := make([]string, len(t.key))
	for i, c := range t.key {
		names[i] = t.columns[c].name
	}
	return strings.Join(names, ", ")
}

// A row has a value for each column: int64, string, []byte, or nil.
type row []any

// keyOf returns the values of the primary key.
func (t *table) keyOf(r row) []any {
	key := make([]any, len(t.key))
	for i, c := range t.key {
		key[i] = r[c]
	}
	return key
}

// read returns the page of rows after a key, which is nil for the first page, in the
// order of the primary key. The order is the same on every database.
func (t *table) read(ctx context.Context, q db.Querier, after []any) ([]row, error) {
	query := `SELECT ` + t.columnList() + ` FROM ` + t.name
	if after != nil {
		query += ` WHERE (` + t.keyList() + `) > (` + parameters(1, len(after)) + `)`
	}
	query += fmt.Sprintf(` ORDER BY %s LIMIT %d`, t.keyList(), t.page())
	rows, err := db.All(ctx, q, t.scan, query, after...)
	if err != nil {
		return nil, fmt.Errorf("read the table %s: %w", t.name, err)
	}
	return rows, nil
}

// scan reads one row. A value of another type than its column's is refused: SQLite
// would keep one, and another database cannot.
func (t *table) scan(r db.Row) (row, error) {
	destinations := make([]any, len(t.columns))
	for i, c := range t.columns {
		switch c.kind {
		case "INTEGER":
			destinations[i] = new(*int64)
		case "TEXT":
			destinations[i] = new(*string)
		default:
			destinations[i] = new([]byte)
		}
	}
	if err := r.Scan(destinations...); err != nil {
		return nil, err
	}
	out := make(row, len(t.columns))
	for i, d := range destinations {
		switch d := d.(type) {
		case **int64:
			if *d != nil {
				out[i] = **d
			}
		case **string:
			if *d != nil {
				out[i] = **d
			}
		case *[]byte:
			if *d != nil || t.columns[i].required {
				out[i] = append([]byte{}, *d...)
			}
		}
	}
	return out, nil
}

// insert writes rows.
func (t *table) insert(ctx context.Context, tx *db.Tx, rows []row) error {
	if len(rows) == 0 {
		return nil
	}
	var values []string
	var args []any
	for _, r := range rows {
		values = append(values, "("+parameters(len(args)+1, len(r))+")")
		args = append(args, r...)
	}
	if _, err := tx.Exec(ctx, `INSERT INTO `+t.name+` (`+t.columnList()+`) VALUES `+strings.Join(values, ", "), args...); err != nil {
		return fmt.Errorf("write the table %s: %w", t.name, err)
	}
	return nil
}

// parameters returns "$3, $4, $5": n of them, beginning with first.
func parameters(first, n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("$%d", first+i)
	}
	return strings.Join(list, ", ")
}
