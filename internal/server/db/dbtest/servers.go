package dbtest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// Servers that start at the same time migrate one after the other.
func migrateTogether(t *testing.T, open func() *db.DB) {
	const servers = 5
	var opening sync.Mutex // for the test's own bookkeeping
	handles := make([]*db.DB, servers)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range servers {
		wg.Go(func() {
			<-start
			d := open()
			opening.Lock()
			handles[i] = d
			opening.Unlock()
			if err := d.Migrate(t.Context(), migrations...); err != nil {
				t.Error(err)
			}
			if err := d.CheckSchema(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	for _, d := range handles {
		if d == nil {
			t.Fatal("a server did not start")
		}
		defer d.Close()
		if !d.Created().Equal(handles[0].Created()) {
			t.Errorf("servers disagree on when the database was created: %v, %v", d.Created(), handles[0].Created())
		}
	}
	names, err := db.All(t.Context(), handles[0], db.Scalar[string], `SELECT name FROM migration WHERE name LIKE 'dbtest/%' ORDER BY name`)
	if err != nil || len(names) != len(migrations) {
		t.Errorf("migrations %q, %v", names, err)
	}
}

// A program does not touch what a newer one has migrated.
func newerSchema(t *testing.T, open func() *db.DB) {
	newer := ready(t, open)
	if err := newer.Migrate(t.Context(), db.Migration{Name: "dbtest/003", SQL: `CREATE TABLE newer (a {int})`}, db.Migration{Name: "other/001", SQL: `CREATE TABLE other (a {int})`}); err != nil {
		t.Fatal(err)
	}
	older := open()
	defer older.Close()
	err := older.Migrate(t.Context(), append(slices.Clone(migrations), db.Migration{Name: "dbtest/002b", SQL: `CREATE TABLE older (a {int})`})...)
	if !errors.Is(err, db.ErrNewerSchema) {
		t.Errorf("err = %v, want ErrNewerSchema", err)
	}
	if n, err := db.One(t.Context(), newer, db.Scalar[int64], `SELECT count(*) FROM migration WHERE name = 'dbtest/002b'`); err != nil || n != 0 {
		t.Errorf("the older program migrated: %d, %v", n, err)
	}
	if err := older.CheckSchema(t.Context()); !errors.Is(err, db.ErrNewerSchema) {
		t.Errorf("CheckSchema: %v, want ErrNewerSchema", err)
	}
}

// A rehearsed function runs twice, and only the second run counts.
func rehearse(t *testing.T, open func() *db.DB) {
	d := ready(t, open)
	d.Rehearse()
	runs := 0
	if err := d.Tx(t.Context(), func(tx *db.Tx) error {
		runs++
		return put(t.Context(), tx, fmt.Sprint(runs), "", 0)
	}); err != nil {
		t.Fatal(err)
	}
	names, err := db.All(t.Context(), d, db.Scalar[string], `SELECT a FROM item`)
	if err != nil || !slices.Equal(names, []string{"2"}) {
		t.Errorf("items %q, %v", names, err)
	}
	boom := errors.New("boom")
	runs = 0
	if err := d.Tx(t.Context(), func(*db.Tx) error { runs++; return boom }); !errors.Is(err, boom) || runs != 1 {
		t.Errorf("a function that fails: %v after %d runs", err, runs)
	}
}

// The position of a transaction is one number, and those that begin after it was
// committed have greater ones.
func position(t *testing.T, open func() *db.DB) {
	d := ready(t, open)
	last := int64(0)
	for range 3 {
		var first, second int64
		if err := d.Tx(t.Context(), func(tx *db.Tx) (err error) {
			if first, err = tx.Position(t.Context()); err != nil {
				return err
			}
			second, err = tx.Position(t.Context())
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if first <= last || second != first {
			t.Errorf("positions %d and %d after %d", first, second, last)
		}
		last = first
	}
	for began := time.Now(); ; { // transactions of other tests on the same server hold it back
		h, err := d.Horizon(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if h > last {
			return
		}
		if time.Since(began) > patience {
			t.Fatalf("horizon %d, although %d is finished", h, last)
		}
	}
}

// patience is how long the horizon may be held back.
const patience = 30 * time.Second

// What is below the horizon can be read, whatever runs at the same time: readers see
// each transaction once, by looking at those between two horizons.
func horizon(t *testing.T, open func() *db.DB) {
	d := ready(t, open)
	const writers, each = 4, 15
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := d.Tx(t.Context(), func(tx *db.Tx) error {
					n, err := tx.Position(t.Context())
					if err != nil {
						return err
					}
					return put(t.Context(), tx, fmt.Sprint(w), fmt.Sprint(i), n)
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	defer wg.Wait()
	seen, from := map[string]bool{}, int64(0)
	for began := time.Now(); len(seen) < writers*each; {
		if time.Since(began) > patience {
			t.Fatalf("%d of %d transactions were seen", len(seen), writers*each)
		}
		to, err := d.Horizon(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		items, err := db.All(t.Context(), d, func(r db.Row) (string, error) {
			var a, b string
			err := r.Scan(&a, &b)
			return a + "-" + b, err
		}, `SELECT a, b FROM item WHERE n >= $1 AND n < $2`, from, to)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			if seen[item] {
				t.Errorf("%s was seen twice", item)
			}
			seen[item] = true
		}
		from = to
	}
}
