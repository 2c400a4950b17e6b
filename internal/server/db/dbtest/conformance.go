package dbtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

var migrations = []db.Migration{
	{Name: "dbtest/001", SQL: `CREATE TABLE item (
		a {text} NOT NULL, b {text} NOT NULL, n {int} NOT NULL, data {bytes},
		PRIMARY KEY (a, b)
	); CREATE TABLE counter (name {text} NOT NULL PRIMARY KEY, n {int} NOT NULL)`},
	{Name: "dbtest/002", SQL: `CREATE INDEX item_n ON item (n)`},
}

// Run runs the suite. The function that open returns opens the same database at
// each call, which is empty at first.
func Run(t *testing.T, open func(t *testing.T) func() *db.DB) {
	for name, test := range map[string]func(*testing.T, func() *db.DB){
		"Migrate": migrate, "Placeholders": placeholders, "Rollback": rollback, "Unique": unique,
		"Collation": collation, "Serializable": serializable, "Durable": durable, "Types": types,
		"FailedStatement": failedStatement, "FailedCommit": failedCommit, "Concurrent": concurrent, "Contended": contended, "AfterCommit": afterCommit, "Canceled": canceled, "Closed": closed, "Snapshot": snapshot,
		"MigrateTogether": migrateTogether, "NewerSchema": newerSchema, "Rehearse": rehearse, "Position": position, "Horizon": horizon,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func ready(t *testing.T, open func() *db.DB) *db.DB {
	t.Helper()
	d := open()
	t.Cleanup(func() { d.Close() })
	if err := d.Migrate(t.Context(), migrations...); err != nil {
		t.Fatal(err)
	}
	return d
}

// A snapshot sees nothing that is committed after it began, and writers go on.
func snapshot(t *testing.T, open func() *db.DB) {
	d := ready(t, open)
	count := func(q db.Querier) int64 {
		t.Helper()
		n, err := db.One(t.Context(), q, db.Scalar[int64], `SELECT count(*) FROM item`)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	err := d.Snapshot(t.Context(), func(q db.Querier) error {
		if n := count(q); n != 0 {
			t.Errorf("%d items before the change", n)
		}
		if err := d.Tx(t.Context(), func(tx *db.Tx) error { return put(t.Context(), tx, "a", "b", 1) }); err != nil {
			return err
		}
		if n := count(q); n != 0 {
			t.Errorf("the snapshot sees %d items that were committed after it began", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := count(d); n != 1 {
		t.Errorf("%d items after the change, want 1", n)
	}
}

func put(ctx context.Context, tx *db.Tx, a, b string, n int64) error {
	_, err := tx.Exec(ctx, `INSERT INTO item (a, b, n) VALUES ($1, $2, $3)`, a, b, n)
	return err
}

func migrate(t *testing.T, open func() *db.DB) {
	d := ready(t, open)
	if err := d.Migrate(t.Context(), migrations...); err != nil {
		t.Fatalf("applying the same again: %v", err)
	}
	err := d.Migrate(t.Context(), db.Migration{Name: "dbtest/003", SQL: `CREATE TABLE broken (`})
	if err == nil {
		t.Fatal("a broken migration succeeded")
	}
	if err := d.Migrate(t.Context(), db.Migration{Name: "dbtest/003", SQL: `CREATE TABLE repaired (a {int})`}); err != nil {
		t.Fatalf("a failed migration must leave no trace: %v", err)
	}
}

func placeholders(t *testing.T, open func() *db.DB) {
	d := ready(t, open)
	if err := d.Tx(t.Context(), func(tx *db.Tx) error { return put(t.Context(), tx, "x", "y", 7) }); err != nil {
		t.Fatal(err)
	}
	// $2 before $1, and $1 twice: numbers count, not order.
	n, err := db.One(t.Context(), d, db.Scalar[int64], `SELECT n FROM item WHERE b = $2 AND a = $1 AND a <> $2 AND a = $1`, "x", "y")
	if err != nil || n != 7 {
		t.Fatalf("n = %d, %v", n, err)
	}
	if _, err := db.One(t.Context(), d, db.Scalar[int64], `SELECT n FROM item WHERE a = $1`, "none"); !errors.Is(err, db.ErrNoRows) {
		t.Fatalf("err = %v, want ErrNoRows", err)
	}
}

func rollback(t *testing.T, open func() *db.DB) {
	d := ready(t, open)
	boom := errors.New("boom")
	err := d.Tx(t.Context(), func(tx *db.Tx) error {
		if err := put(t.Context(), tx, "a", "b", 1); err != nil {
			return err
		}
		n, err := db.One(t.Context(), tx, db.Scalar[int64], `SELECT count(*) FROM item`)
		if err != nil || n != 1 {
			t.Errorf("a transaction must see its own writes: %d, %v", n, err)
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatalf("err = %v", err)
	}
	if n, _ := db.One(t.Context(), d, db.Scalar[int64], `SELECT count(*) FROM item`); n != 0 {
		t.Fatalf("%d rows left behind", n)
	}
}

func unique(t *testing.T, open func() *db.DB) {
	d := ready(t, open)
	add := func() error {
		return d.Tx(t.Context(), func(tx *db.Tx) error { return put(t.Context(), tx, "a", "b", 1) })
	}
	if err := add(); err != nil {
		t.Fatal(err)
	}
	if err := add(); !d.IsUnique(err) {
		t.Fatalf("err = %v, want a unique violation", err)
	}
	if d.IsUnique(nil) || d.IsUnique(errors.New("other")) {
		t.Fatal("IsUnique reports true for other errors")
	}
}

func collation(t *testing.T, open func() *db.DB) {
	d := ready(t, open)
	words := []string{"b", "B", "a-b", "a", "ab", "a.b", "ä", "Z", "_"}
	if err := d.Tx(t.Context(), func(tx *db.Tx) error {
		for _, w := range words {
			if err := put(t.Context(), tx, w, "", 0); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	got, err := db.All(t.Context(), d, db.Scalar[string], `SELECT a FROM item ORDER BY a`)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(words) // bytewise
	if !slices.Equal(got, words) {
		t.Fatalf("order %q, want %q", got, words)
	}
	after, err := db.All(t.Context(), d, db.Scalar[string], `SELECT a FROM item WHERE (a, b) > ($1, $2) ORDER BY a, b LIMIT 2`, "a", "")
	if err != nil || !slices.Equal(after, []string{"a-b", "a.b"}) {
		t.Fatalf("page = %q, %v", after, err)
	}
}

func serializable(t *testing.T, open func() *db.DB) {
	d := ready(t, open)
	const workers, each = 8, 10
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				err := d.Tx(t.Context(), func(tx *db.Tx) error {
					n, err := db.One(t.Context(), tx, db.Scalar[int64], `SELECT n FROM counter WHERE name = $1`, "c")
					if err != nil && !errors.Is(err, db.ErrNoRows) {
						return err
					}
					_, err = tx.Exec(t.Context(), `INSERT INTO counter (name, n) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET n = excluded.n`, "c", n+1)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n, err := db.One(t.Context(), d, db.Scalar[int64], `SELECT n FROM counter`); err != nil || n != workers*each {
		t.Fatalf("counter = %d, %v, want %d", n, err, workers*each)
	}
}

func durable(t *testing.T, open func() *db.DB) {
	d := ready(t, open)
	for i := range 5 {
		if err := d.Tx(t.Context(), func(tx *db.Tx) error { return put(t.Context(), tx, fmt.Sprint(i), "", int64(i)) }); err != nil {
			t.Fatal(err)
		}
	}
	// Opening it again is what happens after a crash: the first was not closed,
	// and no checkpoint was made.
	again := open()
	defer again.Close()
	if n, err := db.One(t.Context(), again, db.Scalar[int64], `SELECT count(*) FROM item`); err != nil || n != 5 {
		t.Fatalf("%d rows, %v", n, err)
	}
}

func types(t *testing.T, open func() *db.DB) {
	d := ready(t, open)
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_000, time.UTC)
	data := []byte{0, 1, 255}
	if err := d.Tx(t.Context(), func(tx *db.Tx) error {
		n, err := tx.Exec(t.Context(), `INSERT INTO item (a, b, n, data) VALUES ($1, $2, $3, $4)`, "nul-free", "é世", db.Micros(at), data)
		if n != 1 {
			t.Errorf("%d rows changed", n)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	type row struct {
		b    string
		n    int64
		data []byte
	}
	got, err := db.One(t.Context(), d, func(r db.Row) (v row, err error) {
		err = r.Scan(&v.b, &v.n, &v.data)
		return v, err
	}, `SELECT b, n, data FROM item`)
	if err != nil || got.b != "é世" || !db.Time(got.n).Equal(at) || !slices.Equal(got.data, data) {
		t.Fatalf("row = %+v, %v", got, err)
	}
}

func failedStatement(t *testing.T, open func() *db.DB) {
	d := ready(t, open)
	err := d.Tx(t.Context(), func(tx *db.Tx) error {
		if err := put(t.Context(), tx, "a", "b", 1); err != nil {
			return err
		}
		if err := put(t.Context(), tx, "a", "b", 1); !d.IsUnique(err) {
			t.Errorf("err = %v, want a unique violation", err)
		}
		if err := put(t.Context(), tx, "c", "d", 1); err == nil {
			t.Error("a statement ran after one that failed")
		}
		return nil
	})
	if !d.IsUnique(err) {
		t.Errorf("err = %v, want that of the statement", err)
	}
	if n, err := db.One(t.Context(), d, db.Scalar[int64], `SELECT count(*) FROM item`); err != nil || n != 0 {
		t.Errorf("%d rows left behind, %v", n, err)
	}
}

// orphans has a constraint that is checked at the commit.
var orphans = db.Migration{Name: "dbtest/orphans", SQL: `CREATE TABLE parent (id {int} NOT NULL PRIMARY KEY);
	CREATE TABLE orphan (parent {int} NOT NULL REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)`}

func failedCommit(t *testing.T, open func() *db.DB) {
	d := ready(t, open)
	if err := d.Migrate(t.Context(), orphans); err != nil {
		t.Fatal(err)
	}
	if err := d.Tx(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO orphan (parent) VALUES (1)`)
		if err != nil {
			t.Error(err)
		}
		return err
	}); err == nil {
		t.Error("a commit that failed was reported as a success")
	}
	if err := d.Tx(t.Context(), func(tx *db.Tx) error { return put(t.Context(), tx, "next", "", 1) }); err != nil {
		t.Error(err)
	}
	if n, err := db.One(t.Context(), d, db.Scalar[int64], `SELECT (SELECT count(*) FROM orphan) * 10 + (SELECT count(*) FROM item)`); err != nil || n != 1 {
		t.Errorf("counts = %d, %v, want no orphan and one item", n, err)
	}
}

// concurrent runs transactions at the same time that succeed, fail, panic, are
// canceled and cannot be committed. The transactions that returned nil are
// stored, and nothing else is.
func concurrent(t *testing.T, open func() *db.DB) {
	d := ready(t, open)
	if err := d.Migrate(t.Context(), orphans); err != nil {
		t.Fatal(err)
	}
	const workers, each = 8, 20
	boom := errors.New("boom")
	var stored, refused sync.Map
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				name := fmt.Sprint(w, "-", i)
				ctx, cancel := context.WithCancel(t.Context())
				attempt := func() (err error) {
					defer func() {
						if p := recover(); p != nil {
							err = p.(error)
						}
					}()
					return d.Tx(ctx, func(tx *db.Tx) error {
						if err := put(t.Context(), tx, name, "", int64(i)); err != nil {
							return err
						}
						switch (w + i) % 8 {
						case 1:
							return boom
						case 2:
							panic(boom)
						case 3:
							cancel()
							return put(ctx, tx, name, "more", 0)
						case 4:
							return put(t.Context(), tx, name, "", 0)
						}
						return nil
					})
				}
				if w == 0 && i%8 == 7 {
					attempt = func() error {
						return d.Tx(ctx, func(tx *db.Tx) error {
							if err := put(t.Context(), tx, name, "", 0); err != nil {
								return err
							}
							_, err := tx.Exec(t.Context(), `INSERT INTO orphan (parent) VALUES (1)`)
							return err
						})
					}
				}
				if err := attempt(); err == nil {
					stored.Store(name, true)
				} else {
					refused.Store(name, err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	again := open()
	defer again.Close()
	found, err := db.All(t.Context(), again, db.Scalar[string], `SELECT a FROM item`)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	stored.Range(func(any, any) bool { n++; return true })
	for _, name := range found {
		if _, ok := stored.Load(name); !ok {
			err, _ := refused.Load(name)
			t.Errorf("%s is stored although Tx returned %v", name, err)
		}
	}
	if n != len(found) || n == 0 {
		t.Errorf("%d transactions succeeded, %d are stored", n, len(found))
	}
}

// What is to be done after the commit is done once and only if there is a commit,
// although the function may run more often.
func afterCommit(t *testing.T, open func() *db.DB) {
	d := ready(t, open)
	calls := 0
	run := func(fail error) error {
		return d.Tx(t.Context(), func(tx *db.Tx) error {
			tx.AfterCommit(func() { calls++ })
			if err := put(t.Context(), tx, "a", fmt.Sprint(calls), 1); err != nil {
				return err
			}
			return fail
		})
	}
	boom := errors.New("boom")
	if err := run(boom); !errors.Is(err, boom) || calls != 0 {
		t.Errorf("after a failed transaction: %d calls, %v", calls, err)
	}
	d.Rehearse()
	if err := run(nil); err != nil || calls != 1 {
		t.Errorf("after a commit: %d calls, %v", calls, err)
	}
}

func canceled(t *testing.T, open func() *db.DB) {
	d := ready(t, open)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Tx(ctx, func(tx *db.Tx) error { return put(t.Context(), tx, "a", "b", 1) }); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	if n, err := db.One(t.Context(), d, db.Scalar[int64], `SELECT count(*) FROM item`); err != nil || n != 0 {
		t.Errorf("%d rows, %v", n, err)
	}
}

func closed(t *testing.T, open func() *db.DB) {
	d := ready(t, open)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Tx(t.Context(), func(*db.Tx) error { return nil }); err == nil {
		t.Error("a transaction ran on a closed database")
	}
}

// contended has many transactions that change one row, as clients do that publish
// versions of one package. None of them may be refused.
func contended(t *testing.T, open func() *db.DB) {
	const clients, each = 16, 25
	d := ready(t, open)
	ctx := t.Context()
	if err := d.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO counter (name, n) VALUES ('hot', 0)`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range each {
				if err := d.Tx(ctx, func(tx *db.Tx) error {
					n, err := db.One(ctx, tx, db.Scalar[int64], `SELECT n FROM counter WHERE name = 'hot'`)
					if err != nil {
						return err
					}
					_, err = tx.Exec(ctx, `UPDATE counter SET n = $1 WHERE name = 'hot'`, n+1)
					return err
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n, err := db.One(ctx, d, db.Scalar[int64], `SELECT n FROM counter WHERE name = 'hot'`); err != nil || n != clients*each {
		t.Errorf("the counter is %d (%v), want %d", n, err, clients*each)
	}
}
