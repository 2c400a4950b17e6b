package db_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// databaseOfChild names the database that the test process is to open and close.
const databaseOfChild = "GATEHOUSE_TEST_DATABASE"

// Another process that opens and closes the database, as a backup does, must see
// that it is in use. Otherwise it removes the write-ahead log.
func TestOpenSQLite_OtherProcess(t *testing.T) {
	if file := os.Getenv(databaseOfChild); file != "" {
		d, err := sql.Open("sqlite", file)
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Exec(`SELECT count(*) FROM item`)
		if err := errors.Join(err, d.Close()); err != nil {
			t.Fatal(err)
		}
		return
	}
	file := filepath.Join(t.TempDir(), "gatehouse.db")
	d := openFile(t, file)
	defer d.Close()
	if err := d.Migrate(t.Context(), db.Migration{Name: "test/001", SQL: `CREATE TABLE item (name {text} NOT NULL)`}); err != nil {
		t.Fatal(err)
	}
	if err := d.Stamp(t.Context()); err != nil {
		t.Fatal(err)
	}
	add := func(name string) {
		t.Helper()
		if err := d.Tx(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO item (name) VALUES ($1)`, name)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	add("before")
	child := exec.Command(os.Args[0], "-test.run=^TestOpenSQLite_OtherProcess$")
	child.Env = append(os.Environ(), databaseOfChild+"="+file)
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := os.Stat(file + "-wal"); errors.Is(err, fs.ErrNotExist) {
		t.Error("the other process removed the write-ahead log of a database that is open")
	}
	add("after")
	if n, err := db.One(t.Context(), d, db.Scalar[int], `SELECT count(*) FROM item`); err != nil || n != 2 {
		t.Errorf("%d items, %v, want 2", n, err)
	}
}
