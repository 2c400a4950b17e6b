package app_test

import (
	"database/sql"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/sqlite"
)

func (g *fixture) file(name string) string { return filepath.Join(g.data, name) }

func (g *fixture) remove(names ...string) {
	g.t.Helper()
	for _, name := range names {
		if err := os.Remove(g.file(name)); err != nil {
			g.t.Fatal(err)
		}
	}
}

// A copy of the whole folder brings the record that says which log is valid.
func TestStart_FolderOfCleanStopBesideLogOfCrash(t *testing.T) {
	g := start(t)
	g.createRepository("before")
	g.stop()
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(g.data)); err != nil {
		t.Fatal(err)
	}
	g.serve()
	g.createRepository("after")
	g.crashed()
	for _, name := range []string{"gatehouse.db", "gatehouse.db-stamp", "keyring.json"} {
		copyFile(t, filepath.Join(backup, name), g.file(name))
	}
	if err := tryStart(t, g.data, nil); !errors.Is(err, sqlite.ErrForeignLog) {
		t.Fatalf("err = %v, want ErrForeignLog", err)
	}
	g.remove("gatehouse.db-wal", "gatehouse.db-shm")
	g.serve()
	if got := g.repositoryNames(); got != "before" {
		t.Errorf("repositories = %q, want those of the backup", got)
	}
	g.createRepository("later")
	g.crashed()
	g.serve()
	if got := g.repositoryNames(); got != "before later" {
		t.Errorf("repositories after a crash = %q", got)
	}
}

// rollbackJournal returns the journal that a killed process leaves of a database
// that was empty when its transaction began.
func rollbackJournal(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	d, err := sql.Open("sqlite", filepath.Join(dir, "other.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.SetMaxOpenConns(1)
	for _, q := range []string{`PRAGMA cache_size = 5`, `CREATE TABLE item (a BLOB)`} {
		if _, err := d.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	tx, err := d.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	for range 50 {
		if _, err := tx.Exec(`INSERT INTO item VALUES (randomblob(3000))`); err != nil {
			t.Fatal(err)
		}
	}
	journal := filepath.Join(dir, "saved")
	copyFile(t, filepath.Join(dir, "other.db-journal"), journal)
	if text, err := os.ReadFile(journal); err != nil || len(text) < 512 || text[0] == 0 {
		t.Fatalf("the test needs a journal that SQLite rolls back: %d bytes, %v", len(text), err)
	}
	return journal
}

func TestStart_JournalOfAnotherDatabase(t *testing.T) {
	g := start(t)
	g.createRepository("app")
	g.stop()
	copyFile(t, rollbackJournal(t), g.file("gatehouse.db-journal"))
	err := tryStart(t, g.data, nil)
	if !errors.Is(err, sqlite.ErrForeignLog) || !strings.Contains(err.Error(), "gatehouse.db-journal") {
		t.Fatalf("err = %v, want ErrForeignLog and the way out", err)
	}
	g.remove("gatehouse.db-journal")
	g.serve()
	if got := g.repositoryNames(); got != "app" {
		t.Errorf("repositories = %q", got)
	}
}

func TestStart_DamagedDatabase(t *testing.T) {
	g := start(t)
	g.stop()
	text, err := os.ReadFile(g.file("gatehouse.db"))
	if err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string][]byte{
		"truncated":      text[:len(text)/2],
		"header zeroed":  append(make([]byte, 100), text[100:]...),
		"no database":    []byte(strings.Repeat("text ", 2000)),
		"schema damaged": append(append(text[:4096:4096], make([]byte, len(text)/2)...), text[4096+len(text)/2:]...),
	} {
		if err := os.WriteFile(g.file("gatehouse.db"), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := tryStart(t, g.data, nil); err == nil || !strings.Contains(err.Error(), "restore it from a backup") {
			t.Errorf("%s: err = %v, want the way out", name, err)
		}
	}
}

// Who deletes the lock file, as one that seems to be stale, gets no second server.
func TestStart_LockFileRemoved(t *testing.T) {
	g := start(t)
	g.remove("lock")
	if err := tryStart(t, g.data, nil); !errors.Is(err, app.ErrDataInUse) {
		t.Errorf("err = %v, want ErrDataInUse", err)
	}
	g.stop()
	if err := tryStart(t, g.data, nil); err != nil {
		t.Errorf("after the stop: %v", err)
	}
}

// An empty disk for the blobs is no earlier installation.
func TestStart_BlobsOnAnotherDisk(t *testing.T) {
	disk, data := t.TempDir(), t.TempDir()
	if err := errors.Join(
		os.Mkdir(filepath.Join(disk, "lost+found"), 0o700),
		os.WriteFile(filepath.Join(disk, "lost+found", "x"), nil, 0o600),
		os.Symlink(disk, filepath.Join(data, "blobs")),
	); err != nil {
		t.Fatal(err)
	}
	if err := tryStart(t, data, nil); err != nil {
		t.Error(err)
	}
	object := filepath.Join(disk, "3f", "image-x")
	if err := errors.Join(os.MkdirAll(filepath.Dir(object), 0o700), os.WriteFile(object, []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(data, "gatehouse.db")); err != nil {
		t.Fatal(err)
	}
	if err := tryStart(t, data, nil); !errors.Is(err, app.ErrLostDatabase) || !strings.Contains(err.Error(), "blobs") {
		t.Errorf("err = %v, want ErrLostDatabase for the blobs", err)
	}
}

func TestStart_LostBlobs(t *testing.T) {
	g := start(t)
	g.createRepository("app")
	token := "Basic " + g.imageToken(g.admin(victim))
	g.push(token, "app", "layer")
	g.stop()
	if err := os.Rename(g.file("blobs"), g.file("elsewhere")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the first creates an empty folder
		err := tryStart(t, g.data, nil)
		if !errors.Is(err, app.ErrLostBlobs) || !strings.Contains(err.Error(), "aside") {
			t.Errorf("err = %v, want ErrLostBlobs and the way out", err)
		}
	}
	if err := os.MkdirAll(g.file("blobs/aside"), 0o700); err != nil {
		t.Fatal(err)
	}
	g.serve() // on purpose
	layer := g.push(token, "app", "layer")
	if status, body := g.raw(http.MethodGet, "/v2/app/blobs/"+layer.String(), token); status != http.StatusOK || body != "layer" {
		t.Errorf("after the push: %d %q", status, body)
	}
}
