package db_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
)

func TestSQLite_Conformance(t *testing.T) {
	dbtest.Run(t, func(t *testing.T) func() *db.DB {
		file := filepath.Join(t.TempDir(), "a folder with ? and %", "gatehouse.db")
		mkdir(t, filepath.Dir(file))
		return func() *db.DB {
			d, err := db.OpenSQLite(t.Context(), file)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
	})
}

func TestOpenSQLite_CommitsToDisk(t *testing.T) {
	d, err := db.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "gatehouse.db"))
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
		d, err := db.OpenSQLite(t.Context(), file)
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

func BenchmarkOne(b *testing.B) {
	d, err := db.OpenSQLite(b.Context(), filepath.Join(b.TempDir(), "gatehouse.db"))
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
