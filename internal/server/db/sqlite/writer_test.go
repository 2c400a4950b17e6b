package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/sqlite"
)

// A queue is a database on which one transaction runs. Transactions that start
// meanwhile wait, in the order of their start, to share its commit.
type queue struct {
	t    *testing.T
	file string
	*db.DB
	open chan struct{} // closed to let the first transaction end
	wg   sync.WaitGroup
	errs map[string]error
	mu   sync.Mutex
}

// grouped runs test with synctest, so that start can tell when a transaction
// waits.
func grouped(t *testing.T, test func(*testing.T, *queue)) {
	file := filepath.Join(t.TempDir(), "gatehouse.db")
	synctest.Test(t, func(t *testing.T) {
		d := openFile(t, file)
		defer d.Close()
		if err := d.Migrate(t.Context(), db.Migration{Name: "1", SQL: `
			CREATE TABLE item (name {text} NOT NULL PRIMARY KEY);
			CREATE TABLE part (item {text} NOT NULL REFERENCES item (name) DEFERRABLE INITIALLY DEFERRED)`}); err != nil {
			t.Fatal(err)
		}
		q := &queue{t: t, file: file, DB: d, open: make(chan struct{}), errs: map[string]error{}}
		q.start(t.Context(), "leader", func(tx *db.Tx) error { <-q.open; return nil })
		test(t, q)
	})
}

func openFile(t *testing.T, file string) *db.DB {
	t.Helper()
	d, err := sqlite.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// start starts a transaction that adds the item name and then runs fn. It
// returns when the transaction waits.
func (q *queue) start(ctx context.Context, name string, fn func(*db.Tx) error) {
	q.wg.Go(func() {
		err := q.Tx(ctx, func(tx *db.Tx) error {
			if _, err := tx.Exec(ctx, `INSERT INTO item (name) VALUES ($1)`, name); err != nil {
				return err
			}
			return fn(tx)
		})
		q.mu.Lock()
		defer q.mu.Unlock()
		q.errs[name] = err
	})
	synctest.Wait()
}

// end lets all transactions run to their end.
func (q *queue) end() {
	close(q.open)
	q.wg.Wait()
}

// items returns what a process that starts now would find.
func (q *queue) items() []string {
	q.t.Helper()
	again := openFile(q.t, q.file)
	defer again.Close()
	names, err := db.All(q.t.Context(), again, db.Scalar[string], `SELECT name FROM item ORDER BY name`)
	if err != nil {
		q.t.Fatal(err)
	}
	return names
}

func (q *queue) want(items ...string) {
	q.t.Helper()
	if got := q.items(); !slices.Equal(got, items) {
		q.t.Errorf("items = %q, want %q", got, items)
	}
	for name, err := range q.errs {
		if (err == nil) != slices.Contains(items, name) {
			q.t.Errorf("%s was answered %v", name, err)
		}
	}
}

func succeed(*db.Tx) error { return nil }

func TestTx_GroupCommitsOnce(t *testing.T) {
	grouped(t, func(t *testing.T, q *queue) {
		for _, name := range []string{"a", "b", "c"} {
			q.start(t.Context(), name, func(tx *db.Tx) error {
				n, err := db.One(t.Context(), tx, db.Scalar[int], `SELECT count(*) FROM item`)
				if want := int(name[0]-'a') + 2; err != nil || n != want {
					t.Errorf("%s sees %d items, %v, want %d: those before it and its own", name, n, err, want)
				}
				if n, err := db.One(t.Context(), q, db.Scalar[int], `SELECT count(*) FROM item`); err != nil || n != 0 {
					t.Errorf("others see %d items before the commit, %v", n, err)
				}
				return nil
			})
		}
		q.end()
		q.want("a", "b", "c", "leader")
	})
}

func TestTx_FollowerFailsAlone(t *testing.T) {
	grouped(t, func(t *testing.T, q *queue) {
		boom := errors.New("boom")
		q.start(t.Context(), "a", succeed)
		q.start(t.Context(), "b", func(*db.Tx) error { return boom })
		q.start(t.Context(), "c", func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO item (name) VALUES ('a')`)
			if !q.IsUnique(err) {
				t.Errorf("err = %v, want a unique violation", err)
			}
			return nil // the transaction must fail all the same
		})
		q.start(t.Context(), "d", succeed)
		q.end()
		q.want("a", "d", "leader")
		if q.errs["b"] != boom || !q.IsUnique(q.errs["c"]) {
			t.Errorf("errors: %v", q.errs)
		}
	})
}

func TestTx_FollowerPanicsAlone(t *testing.T) {
	grouped(t, func(t *testing.T, q *queue) {
		q.start(t.Context(), "a", succeed)
		q.wg.Go(func() {
			defer func() {
				if p := recover(); p != "boom" {
					t.Errorf("the caller recovers %v", p)
				}
			}()
			_ = q.Tx(t.Context(), func(tx *db.Tx) error {
				_, err := tx.Exec(t.Context(), `INSERT INTO item (name) VALUES ('b')`)
				if err != nil {
					t.Error(err)
				}
				panic("boom")
			})
		})
		synctest.Wait()
		q.start(t.Context(), "c", succeed)
		q.end()
		q.want("a", "c", "leader")
	})
}

func TestTx_LeaderPanicsAlone(t *testing.T) {
	grouped(t, func(t *testing.T, q *queue) {
		q.end()
		hold := make(chan struct{})
		q.wg.Go(func() {
			defer func() { _ = recover() }()
			_ = q.Tx(t.Context(), func(*db.Tx) error { <-hold; panic("boom") })
		})
		synctest.Wait()
		q.start(t.Context(), "a", succeed)
		close(hold)
		q.wg.Wait()
		q.want("a", "leader")
	})
}

func TestTx_FollowerIsCanceledAlone(t *testing.T) {
	grouped(t, func(t *testing.T, q *queue) {
		waits, stop := context.WithCancel(t.Context())
		runs, stopRunning := context.WithCancel(t.Context())
		defer stopRunning()
		q.start(t.Context(), "a", succeed)
		q.start(waits, "b", succeed)
		q.start(runs, "c", func(tx *db.Tx) error {
			stopRunning()
			_, err := tx.Exec(runs, `INSERT INTO item (name) VALUES ('more')`)
			return err
		})
		q.start(t.Context(), "d", succeed)
		stop()
		synctest.Wait()
		q.mu.Lock()
		if !errors.Is(q.errs["b"], context.Canceled) {
			t.Errorf("b was answered %v, want context.Canceled", q.errs["b"])
		}
		q.mu.Unlock()
		q.end()
		q.want("a", "d", "leader")
		if !errors.Is(q.errs["c"], context.Canceled) {
			t.Errorf("err = %v", q.errs["c"])
		}
	})
}

func TestTx_GroupFailsWithItsCommit(t *testing.T) {
	grouped(t, func(t *testing.T, q *queue) {
		q.start(t.Context(), "a", succeed)
		q.start(t.Context(), "b", func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO part (item) VALUES ('none')`) // checked at the commit
			return err
		})
		refused := errors.New("there is an a")
		q.start(t.Context(), "c", func(*db.Tx) error { return refused })
		q.end()
		q.want()
		if errors.Is(q.errs["c"], refused) {
			t.Error("a transaction answered from a row that was undone")
		}
		q.start(t.Context(), "later", succeed)
		q.wg.Wait()
		if got := q.items(); !slices.Equal(got, []string{"later"}) {
			t.Errorf("items = %q", got)
		}
	})
}

func TestTx_GroupFailsWithItsTransaction(t *testing.T) {
	grouped(t, func(t *testing.T, q *queue) {
		q.start(t.Context(), "a", succeed)
		q.start(t.Context(), "b", func(tx *db.Tx) error {
			// As a full disk can.
			_, err := tx.Exec(t.Context(), `INSERT OR ROLLBACK INTO item (name) VALUES ('a')`)
			return err
		})
		q.start(t.Context(), "c", succeed) // has not run, so it runs in the next
		q.start(t.Context(), "d", succeed)
		q.end()
		q.want("c", "d")
	})
}

func TestClose_DuringTransaction(t *testing.T) {
	grouped(t, func(t *testing.T, q *queue) {
		q.start(t.Context(), "a", succeed)
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		q.end()
		q.want()
		if err := q.Tx(t.Context(), func(*db.Tx) error { return nil }); err == nil {
			t.Error("a transaction ran on a closed database")
		}
	})
}

func TestTx_FullDatabase(t *testing.T) {
	grouped(t, func(t *testing.T, q *queue) {
		q.start(t.Context(), "limit", func(tx *db.Tx) error {
			pages, err := db.One(t.Context(), tx, db.Scalar[int], `PRAGMA page_count`)
			if err != nil {
				return err
			}
			_, err = db.One(t.Context(), tx, db.Scalar[int], fmt.Sprintf(`PRAGMA max_page_count = %d`, pages+10))
			return err
		})
		for i := range 8 {
			q.start(t.Context(), fmt.Sprint(i), func(tx *db.Tx) error {
				_, err := tx.Exec(t.Context(), `INSERT INTO part (item) VALUES ($1)`, fmt.Sprint(i))
				if err == nil && i%2 == 1 {
					_, err = tx.Exec(t.Context(), `INSERT INTO item (name) VALUES ($1)`, string(make([]byte, 100_000)))
				}
				return err
			})
		}
		q.end()
		found := q.items()
		failures := 0
		for name, err := range q.errs {
			if slices.Contains(found, name) != (err == nil) {
				t.Errorf("%s was answered %v", name, err)
			}
			if err == nil {
				continue
			}
			failures++
			if f := fault.From(err); f.Kind != fault.StorageFull && !q.IsUnique(err) {
				t.Errorf("%s was answered %v, want a fault StorageFull", name, err)
			}
		}
		if failures == 0 {
			t.Error("the database was not full")
		}
	})
}

func TestTx_EndsWithItsFunction(t *testing.T) {
	d := openFile(t, filepath.Join(t.TempDir(), "gatehouse.db"))
	defer d.Close()
	var kept *db.Tx
	if err := d.Tx(t.Context(), func(tx *db.Tx) error { kept = tx; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := kept.Exec(t.Context(), `SELECT 1`); err == nil {
		t.Error("a transaction that has ended still runs statements")
	}
}

// BenchmarkTx is the time of one small transaction while that many run at a time.
func BenchmarkTx(b *testing.B) {
	for _, writers := range []int{1, 4, 32} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			d, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "gatehouse.db"))
			if err != nil {
				b.Fatal(err)
			}
			defer d.Close()
			if err := d.Migrate(b.Context(), db.Migration{Name: "1", SQL: `CREATE TABLE item (a {int} NOT NULL PRIMARY KEY, b {text} NOT NULL)`}); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			work := make(chan int)
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					for i := range work {
						if err := d.Tx(b.Context(), func(tx *db.Tx) error {
							if _, err := tx.Exec(b.Context(), `INSERT INTO item (a, b) VALUES ($1, $2)`, i, "text"); err != nil {
								return err
							}
							_, err := tx.Exec(b.Context(), `UPDATE item SET b = $2 WHERE a = $1`, i, "other")
							return err
						}); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for i := range b.N {
				work <- i
			}
			close(work)
			wg.Wait()
		})
	}
}
