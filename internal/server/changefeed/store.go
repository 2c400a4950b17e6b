package changefeed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A Store is where servers hear of each other. [NewStore] is the real one; tests put
// others in its way.
type Store interface {
	// Tx is [db.DB.Tx].
	Tx(ctx context.Context, fn func(*db.Tx) error) error
	// Record writes the row of a change in its transaction and returns its position.
	Record(ctx context.Context, tx *db.Tx, e Entry) (position int64, err error)
	// Find looks for a committed change.
	Find(ctx context.Context, id string) (position int64, found bool, err error)
	// Finished is [db.DB.Finished].
	Finished(ctx context.Context) (db.Finished, error)
	// Incarnation is [db.DB.Incarnation].
	Incarnation(ctx context.Context) (string, error)
	// Since returns the committed changes that were not finished at a moment, in order.
	Since(ctx context.Context, f db.Finished) ([]Entry, error)
	// Join adds a reader that decides nothing yet. From then on, rows of what was not
	// finished at a moment are kept for it. Rows from before a restore are removed. If
	// the database has the reader already, it keeps its Live, since it may have decided
	// until now.
	Join(ctx context.Context, reader string, number int64, f db.Finished) error
	// Report says what a reader has. It reports false, and does nothing, if the
	// reader was removed, or if its last report is older than the acknowledged one:
	// then the database was restored.
	Report(ctx context.Context, r Report) (known bool, err error)
	// Readers returns the last report of each reader.
	Readers(ctx context.Context) ([]Report, error)
	// Retire makes a reader one that nothing waits for, unless it has reported anew.
	Retire(ctx context.Context, r Report) error
	// Leave removes a reader, unless it has reported anew.
	Leave(ctx context.Context, r Report) error
	// Trim removes the rows that all readers have.
	Trim(ctx context.Context) error
	// Wake and Woken are those of [db.DB].
	Wake(ctx context.Context)
	Woken() <-chan struct{}
}

// An Entry is a row of the feed.
type Entry struct {
	Position int64
	ID       string // of the change, chosen by the server that makes it
	Scope    string
	Keys     []string
}

// A Report is what a server says about itself.
type Report struct {
	Reader string
	Number int64 // grows with each report of the reader
	// Acknowledged is the number of the last report that the reader knows to be
	// committed. It is not stored.
	Acknowledged int64
	// Finished are the changes that the reader has.
	Finished db.Finished
	// Live says that the reader may have a lease.
	Live bool
}

// Migrations returns the schema of this package.
func Migrations() []db.Migration { return slices.Clone(migrations) }

var migrations = []db.Migration{{
	Name: "changefeed/001-feed",
	SQL: `
CREATE TABLE change_feed (
	position {int}  NOT NULL,
	id       {text} NOT NULL PRIMARY KEY,
	scope    {text} NOT NULL,
	keys     {text} NOT NULL -- a JSON array of strings
);
CREATE INDEX change_feed_position ON change_feed (position);
CREATE TABLE change_reader (
	id      {text} NOT NULL PRIMARY KEY,
	report  {int}  NOT NULL, -- the number of its last report
	horizon {int}  NOT NULL, -- it has every change below
	below   {int}  NOT NULL, -- and every change below this number
	running {text} NOT NULL, -- but not these: a JSON array of positions
	live    {int}  NOT NULL  -- 1 if it may have a lease
);
`,
}}

// table is the [Store] in the database.
type table struct{ db *db.DB }

// IsServed reports whether a server uses the database now. It watches for a while: a
// server reports more often than once in a lease.
func IsServed(ctx context.Context, d *db.DB) (bool, error) {
	reports := func() (map[string]int64, error) {
		found := map[string]int64{}
		_, err := db.All(ctx, d, func(row db.Row) (struct{}, error) {
			var id string
			var report int64
			err := row.Scan(&id, &report)
			found[id] = report
			return struct{}{}, err
		}, `SELECT id, report FROM change_reader WHERE live = 1`)
		return found, err
	}
	before, err := reports()
	if err != nil || len(before) == 0 {
		return false, err
	}
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case <-time.After(DefaultLease):
	}
	after, err := reports()
	for id, report := range after {
		if former, ok := before[id]; !ok || former != report {
			return true, err
		}
	}
	return false, err
}

// NewStore returns the store in a database, to whose tables [New] applies the
// migrations.
func NewStore(d *db.DB) Store { return table{d} }

// keptAlone is how many positions are kept if there is no reader.
const keptAlone = 1000

func (t table) Tx(ctx context.Context, fn func(*db.Tx) error) error { return t.db.Tx(ctx, fn) }

func (t table) Record(ctx context.Context, tx *db.Tx, e Entry) (int64, error) {
	position, err := tx.Position(ctx)
	if err != nil {
		return 0, err
	}
	keys, err := json.Marshal(e.Keys)
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO change_feed (position, id, scope, keys) VALUES ($1, $2, $3, $4)`, position, e.ID, e.Scope, string(keys))
	if err == nil && !t.db.Shared() && position%keptAlone == 0 {
		_, err = tx.Exec(ctx, `DELETE FROM change_feed WHERE position < $1 AND NOT EXISTS (SELECT 1 FROM change_reader)`, position-keptAlone)
	}
	return position, err
}

func (t table) Find(ctx context.Context, id string) (int64, bool, error) {
	position, err := db.One(ctx, t.db, db.Scalar[int64], `SELECT position FROM change_feed WHERE id = $1`, id)
	if errors.Is(err, db.ErrNoRows) {
		return 0, false, nil
	}
	return position, err == nil, err
}

func (t table) Finished(ctx context.Context) (db.Finished, error) { return t.db.Finished(ctx) }

func (t table) Incarnation(ctx context.Context) (string, error) { return t.db.Incarnation(ctx) }

func (t table) Since(ctx context.Context, f db.Finished) ([]Entry, error) {
	condition, args := `position >= $1`, []any{f.Below}
	if len(f.Running) > 0 {
		var list string
		list, args = db.Values(append([]int64{f.Below}, f.Running...))
		condition += ` OR position IN (` + list + `)`
	}
	return db.All(ctx, t.db, func(r db.Row) (e Entry, err error) {
		var keys string
		if err := r.Scan(&e.Position, &e.ID, &e.Scope, &keys); err != nil {
			return e, err
		}
		if err := json.Unmarshal([]byte(keys), &e.Keys); err != nil {
			return e, fmt.Errorf("keys of the change %s: %w", e.ID, err)
		}
		return e, nil
	}, `SELECT position, id, scope, keys FROM change_feed WHERE `+condition+` ORDER BY position`, args...)
}

// A row that is visible to a transaction was committed before, and has a lower
// position. If it has a higher one, it is from before the database was restored to
// another cluster: everyone has loaded it or will load everything again, and no report
// could ever name it.
func (t table) Join(ctx context.Context, reader string, number int64, f db.Finished) error {
	return t.db.Tx(ctx, func(tx *db.Tx) error {
		position, err := tx.Position(ctx) // first, so that what is visible is older
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM change_feed WHERE position > $1`, position); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO change_reader (id, report, horizon, below, running, live) VALUES ($1, $2, $3, $3, '[]', 0)
			ON CONFLICT (id) DO UPDATE SET report = excluded.report, horizon = excluded.horizon, below = excluded.below, running = excluded.running`,
			reader, number, f.Horizon())
		return err
	})
}

func (t table) Report(ctx context.Context, r Report) (known bool, err error) {
	running, err := json.Marshal(append([]int64{}, r.Finished.Running...)) // not null
	if err != nil {
		return false, err
	}
	err = t.db.Tx(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE change_reader SET report = $2, horizon = $3, below = $4, running = $5, live = 1 WHERE id = $1 AND report >= $6`,
			r.Reader, r.Number, r.Finished.Horizon(), r.Finished.Below, string(running), r.Acknowledged)
		known = n == 1
		return err
	})
	return known, err
}

func (t table) Readers(ctx context.Context) ([]Report, error) {
	return db.All(ctx, t.db, func(row db.Row) (r Report, err error) {
		var running string
		var live int64
		if err := row.Scan(&r.Reader, &r.Number, &r.Finished.Below, &running, &live); err != nil {
			return r, err
		}
		r.Live = live != 0
		return r, json.Unmarshal([]byte(running), &r.Finished.Running)
	}, `SELECT id, report, below, running, live FROM change_reader`)
}

func (t table) Retire(ctx context.Context, r Report) error {
	return t.exec(ctx, `UPDATE change_reader SET live = 0 WHERE id = $1 AND report = $2`, r.Reader, r.Number)
}

func (t table) Leave(ctx context.Context, r Report) error {
	return t.exec(ctx, `DELETE FROM change_reader WHERE id = $1 AND report = $2`, r.Reader, r.Number)
}

func (t table) Trim(ctx context.Context) error {
	return t.exec(ctx, `DELETE FROM change_feed WHERE position < (SELECT MIN(horizon) FROM change_reader)`)
}

func (t table) exec(ctx context.Context, query string, args ...any) error {
	return t.db.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, query, args...)
		return err
	})
}

func (t table) Wake(ctx context.Context) { t.db.Wake(ctx) }

func (t table) Woken() <-chan struct{} { return t.db.Woken() }
