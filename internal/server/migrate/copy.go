package migrate

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/progress"
)

// progressTable is in a target database until the migration has finished. Its name in
// the table of migrations makes every version of the program refuse the database.
const (
	progressTable = "migrate_progress"
	progressStep  = "migrate/001-unfinished"
)

// The row with an empty name has the id of the source.
var progressMigration = db.Migration{Name: progressStep, SQL: `CREATE TABLE migrate_progress (
	name  {text} NOT NULL PRIMARY KEY,
	state {text} NOT NULL -- of a table: the last key that was copied, as JSON; "done"
)`}

const done = `"done"`

// CheckFinished returns ErrUnfinished if a database is the target of a migration that
// has not finished. Call it before anything is done with a database.
func CheckFinished(ctx context.Context, d *db.DB) error {
	steps, err := d.SchemaSteps(ctx)
	if err != nil {
		return err
	}
	if slices.Contains(steps, progressStep) {
		return fmt.Errorf("%w: run the same gatehouse migrate again, which goes on where it was, or drop the database", ErrUnfinished)
	}
	return nil
}

// begin prepares the target database, unless an interrupted migration of the same source
// has done so. finished means that one has ended.
func (m *migration) begin(ctx context.Context) (finished bool, err error) {
	source, err := m.From.DB.Installation(ctx)
	if err != nil {
		return false, err
	}
	steps, err := m.To.DB.SchemaSteps(ctx)
	if err != nil {
		return false, err
	}
	if slices.Contains(steps, progressStep) {
		begun, err := db.One(ctx, m.To.DB, db.Scalar[string], `SELECT state FROM migrate_progress WHERE name = ''`)
		switch {
		case err == nil && begun == source:
			return false, nil
		case err == nil:
			return false, fmt.Errorf("%w: its database has an unfinished migration of another installation, %s. Choose an empty one", ErrNotEmpty, begun)
		case !errors.Is(err, db.ErrNoRows): // none: it was interrupted in the next lines
			return false, err
		}
	} else if m.To.DB.Complete() || slices.ContainsFunc(steps, isDomainStep) {
		return true, m.checkOwner(ctx, source, steps)
	}
	if err := m.To.DB.Migrate(ctx, progressMigration); err != nil {
		return false, err
	}
	if err := m.To.DB.Migrate(ctx, m.Plan.schema...); err != nil {
		return false, err
	}
	return false, m.To.DB.Tx(ctx, func(tx *db.Tx) error {
		if err := m.deleteRows(ctx, tx); err != nil { // those that migrations insert
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO migrate_progress (name, state) VALUES ('', $1)`, source)
		return err
	})
}

// checkOwner returns ErrNotEmpty unless a database in use has the same installation.
func (m *migration) checkOwner(ctx context.Context, source string, steps []string) error {
	if slices.ContainsFunc(db.InstallationMigrations(), func(s db.Migration) bool { return slices.Contains(steps, s.Name) }) {
		if id, err := m.To.DB.Installation(ctx); err != nil || id == source {
			return err
		}
	}
	return fmt.Errorf("%w: its database is in use. Choose an empty one", ErrNotEmpty)
}

// isOwnStep reports whether a migration is the database's own, as in every empty one.
func isOwnStep(name string) bool { return strings.HasPrefix(name, "db/") }

func isDomainStep(name string) bool { return !isOwnStep(name) }

// deleteRows deletes all rows of the tables of the plan.
func (m *migration) deleteRows(ctx context.Context, tx *db.Tx) error {
	for i := range slices.Backward(m.Plan.tables) { // what refers to others first
		if _, err := tx.Exec(ctx, `DELETE FROM `+m.Plan.tables[i].name); err != nil {
			return err
		}
	}
	return nil
}

// copyTables copies the rows of all tables.
func (m *migration) copyTables(ctx context.Context) error {
	var total int64
	for i := range m.Plan.tables {
		n, err := db.One(ctx, m.From.DB, db.Scalar[int64], `SELECT count(*) FROM `+m.Plan.tables[i].name)
		if err != nil {
			return err
		}
		total += n
	}
	phase := m.Progress.Begin("rows", total, progress.Items)
	defer phase.End()
	for i := range m.Plan.tables {
		if err := m.copyTable(ctx, &m.Plan.tables[i], phase); err != nil {
			return err
		}
	}
	return nil
}

// copyTable copies the rows that are not copied yet.
func (m *migration) copyTable(ctx context.Context, t *table, phase progress.Phase) error {
	states, err := db.All(ctx, m.To.DB, db.Scalar[string], `SELECT state FROM migrate_progress WHERE name = $1`, t.name)
	if err != nil {
		return err
	}
	var after []any
	if len(states) > 0 {
		if states[0] == done {
			return nil
		}
		if after, err = t.parseKey(states[0]); err != nil {
			return err
		}
	}
	for {
		rows, err := t.read(ctx, m.From.DB, after)
		if err != nil {
			return err
		}
		state := done
		if len(rows) > 0 {
			after = t.keyOf(rows[len(rows)-1])
			text, err := json.Marshal(after)
			if err != nil {
				return err
			}
			state = string(text)
		}
		err = m.To.DB.Tx(ctx, func(tx *db.Tx) error {
			if err := t.insert(ctx, tx, rows); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `INSERT INTO migrate_progress (name, state) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET state = excluded.state`, t.name, state)
			return err
		})
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return nil
		}
		phase.Add(int64(len(rows)))
	}
}

// parseKey reads a key that was stored as JSON.
func (t *table) parseKey(state string) ([]any, error) {
	var texts []json.RawMessage
	if err := json.Unmarshal([]byte(state), &texts); err != nil || len(texts) != len(t.key) {
		return nil, fmt.Errorf("the progress of the table %s cannot be read: %q", t.name, state)
	}
	key := make([]any, len(texts))
	for i, text := range texts {
		var err error
		if t.columns[t.key[i]].kind == "INTEGER" {
			var n int64
			err = json.Unmarshal(text, &n)
			key[i] = n
		} else {
			var s string
			err = json.Unmarshal(text, &s)
			key[i] = s
		}
		if err != nil {
			return nil, fmt.Errorf("the progress of the table %s cannot be read: %w", t.name, err)
		}
	}
	return key, nil
}

// A tableDigest is what a table holds.
type tableDigest struct {
	rows int64
	sum  string
}

// digest reads a table whole.
func (t *table) digest(ctx context.Context, q db.Querier, phase progress.Phase) (tableDigest, error) {
	h := sha256.New()
	var buffer []byte
	d := tableDigest{}
	for after := []any(nil); ; {
		rows, err := t.read(ctx, q, after)
		if err != nil {
			return d, err
		}
		for _, r := range rows {
			buffer = buffer[:0]
			for _, v := range r {
				buffer = appendValue(buffer, v)
			}
			h.Write(buffer)
		}
		if d.rows += int64(len(rows)); len(rows) == 0 {
			d.sum = hex.EncodeToString(h.Sum(nil))
			return d, nil
		}
		phase.Add(int64(len(rows)))
		after = t.keyOf(rows[len(rows)-1])
	}
}

// appendValue appends a value so that different rows have different bytes.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case int64:
		return binary.BigEndian.AppendUint64(append(b, 'i'), uint64(v))
	case string:
		return append(binary.BigEndian.AppendUint64(append(b, 't'), uint64(len(v))), v...)
	case []byte:
		return append(binary.BigEndian.AppendUint64(append(b, 'b'), uint64(len(v))), v...)
	}
	return append(b, 'n')
}

// compare compares the rows of both sides, and returns what differs.
func (m *migration) compare(ctx context.Context) (difference string, err error) {
	phase := m.Progress.Begin("comparing", 0, progress.Items)
	defer phase.End()
	for i := range m.Plan.tables {
		t := &m.Plan.tables[i]
		source, err := t.digest(ctx, m.From.DB, phase)
		if err != nil {
			return "", err
		}
		target, err := t.digest(ctx, m.To.DB, phase)
		if err != nil {
			return "", err
		}
		if source != target {
			return fmt.Sprintf("the table %s of the source has %d rows with the digest %s, and the target's has %d rows with %s", t.name, source.rows, source.sum, target.rows, target.sum), nil
		}
		m.result.Tables++
		m.result.Rows += source.rows
	}
	return "", nil
}

// confirm compares the sides of a migration that has finished already: it may have been
// killed before it could say so.
func (m *migration) confirm(ctx context.Context) error {
	difference, err := m.compare(ctx)
	if err == nil && difference != "" {
		err = fmt.Errorf("%w: the installation was migrated there already, and since then one of the two was changed: %s", ErrNotEmpty, difference)
	}
	if err != nil || m.To.Blobs == nil {
		return err
	}
	return m.copyBlobs(ctx)
}

// forget empties the target's tables, so that the next call copies them anew.
func (m *migration) forget(ctx context.Context) error {
	return m.To.DB.Tx(ctx, func(tx *db.Tx) error {
		if err := m.deleteRows(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM migrate_progress WHERE name <> ''`)
		return err
	})
}

// finish makes the target a database that a server accepts.
func (m *migration) finish(ctx context.Context) error {
	created := int64(0)
	if at := m.From.DB.Created(); !at.IsZero() {
		created = db.Micros(at)
	}
	return m.To.DB.Tx(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE db_info SET created = $1, complete = 1`, created); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM migration WHERE name = $1`, progressStep); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DROP TABLE migrate_progress`)
		return err
	})
}
