// Package dbtest opens databases for tests, and has the conformance suite of the
// engines.
//
// [Open] gives a test an empty SQLite database, or an empty PostgreSQL database if
// the environment variable GATEHOUSE_TEST_DATABASE is "postgres". Then
// GATEHOUSE_TEST_POSTGRES is the URL of a database in which the user may create
// schemas and databases, as scripts/with-stores sets it.
//
// SQLite does not sync, as the PostgreSQL server of scripts/with-stores does not: tests
// kill processes and not machines, and each sync can take as long as a whole test.
//
// Every transaction function runs twice, and the first run is rolled back; see
// [db.DB.Rehearse].
//
// [Run] is the suite: what the domain packages rely on and every engine must do.
// The test of an engine calls it.
package dbtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/postgres"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/sqlite"
)

// Open opens a fresh database. It is closed and removed when the test ends.
func Open(t testing.TB) *db.DB {
	t.Helper()
	return OpenAt(t, t.TempDir())
}

// OpenAt opens the database that belongs to a folder of the test: the same one at
// each call, as the next process of a server does.
func OpenAt(t testing.TB, dir string) *db.DB {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // also in a cleanup
	var d *db.DB
	var err error
	if OnPostgres() {
		d, err = postgres.Open(ctx, schemaOf(t, dir))
	} else {
		d, err = sqlite.OpenScratch(ctx, filepath.Join(dir, "gatehouse.db"))
	}
	if err != nil {
		t.Fatal(err)
	}
	d.Rehearse()
	t.Cleanup(func() {
		if err := d.Close(); err != nil && !errors.Is(err, os.ErrClosed) { // a test may have closed it
			t.Error(err)
		}
	})
	return d
}

// OnPostgres reports whether [Open] opens PostgreSQL databases.
func OnPostgres() bool { return os.Getenv("GATEHOUSE_TEST_DATABASE") == "postgres" }

// schemas are the URLs of the folders' databases.
var schemas sync.Map

// schemaOf returns the URL of the schema that belongs to a folder.
func schemaOf(t testing.TB, dir string) string {
	t.Helper()
	if url, ok := schemas.Load(dir); ok {
		return url.(string)
	}
	url := Schema(t)
	schemas.Store(dir, url)
	return url
}

// RefuseUpdates makes every update of a table's rows fail from now on.
func RefuseUpdates(t testing.TB, d *db.DB, table string) {
	t.Helper()
	statements := []string{`CREATE TRIGGER read_only BEFORE UPDATE ON ` + table + ` BEGIN SELECT raise(ABORT, 'the table is read-only'); END`}
	if d.Shared() { // PostgreSQL
		statements = []string{
			`CREATE FUNCTION read_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''the table is read-only''; END'`,
			`CREATE TRIGGER read_only BEFORE UPDATE ON ` + table + ` FOR EACH ROW EXECUTE FUNCTION read_only()`,
		}
	}
	if err := d.Tx(t.Context(), func(tx *db.Tx) error {
		for _, s := range statements {
			if _, err := tx.Exec(t.Context(), s); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
