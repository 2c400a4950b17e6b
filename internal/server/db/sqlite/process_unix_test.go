//go:build unix

package sqlite_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// databaseOfChild names the database that the test process looks at.
const databaseOfChild = "GATEHOUSE_TEST_LOCKED_FILE"

// Another process, such as sqlite3 making a backup, must see that the database is
// in use. Otherwise it removes the write-ahead log when it closes its connection.
func TestStamp_KeepsLocks(t *testing.T) {
	if file := os.Getenv(databaseOfChild); file != "" {
		if !locked(t, file) {
			t.Error("another process could take the database for unused")
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
	child := exec.Command(os.Args[0], "-test.run=^TestStamp_KeepsLocks$")
	child.Env = append(os.Environ(), databaseOfChild+"="+file)
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// locked reports whether another process has SQLite's shared lock on a file. Its
// place is SHARED_FIRST and SHARED_SIZE in SQLite's source.
func locked(t *testing.T, file string) bool {
	t.Helper()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: 0x40000002, Len: 510}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock); err != nil {
		t.Fatal(err)
	}
	return lock.Type != unix.F_UNLCK
}
