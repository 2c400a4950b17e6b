package sqlite_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/sqlite"
)

func TestSQLite_Conformance(t *testing.T) {
	dbtest.Run(t, func(t *testing.T) func() *db.DB {
		file := filepath.Join(t.TempDir(), "a folder with ? and %", "gatehouse.db")
		mkdir(t, filepath.Dir(file))
		return func() *db.DB {
			d, err := sqlite.Open(t.Context(), file)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
	})
}

func TestOpenSQLite_CommitsToDisk(t *testing.T) {
	d, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "gatehouse.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Tx(t.Context(), func(tx *db.Tx) error {
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
			got, err := db.One(t.Context(), tx, db.Scalar[string], `PRAGMA `+pragma)
			if err != nil || got != want {
				t.Errorf("%s = %s, %v, want %s", pragma, got, err, want)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// A change that would go to a file without a name is refused.
func TestTx_FileRemoved(t *testing.T) {
	for name, change := range map[string]func(file string) error{
		"removed": os.Remove,
		"replaced": func(file string) error {
			return errors.Join(os.Rename(file, file+".old"), os.WriteFile(file, nil, 0o600))
		},
	} {
		file := filepath.Join(t.TempDir(), "gatehouse.db")
		d, err := sqlite.Open(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if err := change(file); err != nil {
			t.Fatal(err)
		}
		if err := d.Tx(t.Context(), func(*db.Tx) error { return nil }); err == nil {
			t.Errorf("%s: a transaction succeeded", name)
		}
		if err := d.Ping(t.Context()); err == nil {
			t.Errorf("%s: Ping succeeded", name)
		}
	}
}

// cp of a backup over the file of a running server keeps the file, not its content.
func TestTx_ContentReplaced(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gatehouse.db")
	d := openFile(t, file)
	defer d.Close()
	if err := d.Migrate(t.Context(), db.Migration{Name: "test/001", SQL: `CREATE TABLE item (name {text} NOT NULL)`}); err != nil {
		t.Fatal(err)
	}
	if err := d.Stamp(t.Context()); err != nil {
		t.Fatal(err)
	}
	other, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	backup := file + ".backup"
	if _, err := other.Exec(`VACUUM INTO ?`, backup); err != nil {
		t.Fatal(err)
	}
	if err := d.Tx(t.Context(), func(*db.Tx) error { return nil }); err != nil {
		t.Errorf("after a backup: %v", err)
	}
	text, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := os.OpenFile(file, os.O_WRONLY, 0) // closed after the database: see makePrivate
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { copied.Close() })
	if _, err := copied.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := d.Tx(t.Context(), func(*db.Tx) error { return nil }); err == nil || !strings.Contains(err.Error(), "was overwritten") {
		t.Errorf("a transaction after the copy: %v", err)
	}
	if err := d.Ping(t.Context()); err == nil {
		t.Error("Ping succeeded after the copy")
	}
}

func BenchmarkOne(b *testing.B) {
	d, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "gatehouse.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := db.One(b.Context(), d, db.Scalar[int64], `SELECT $1 + 1`, 1); err != nil {
			b.Fatal(err)
		}
	}
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}
