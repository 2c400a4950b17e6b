package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// HasData reports whether there is a database in the file, or in the
// write-ahead log beside it. It does not open the database. An empty file, and
// one without any table, does not count.
func HasData(file string) (bool, error) {
	if size, err := sizeOf(logFile(file)); err != nil || size > 0 {
		return size > 0, err
	}
	size, err := sizeOf(file)
	if err != nil || size == 0 {
		return false, err
	}
	f, err := os.Open(file)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var header [headerBytes]byte
	_, err = f.ReadAt(header[:], 0)
	if errors.Is(err, io.EOF) {
		return true, nil // not a SQLite file: opening it says so
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", file, err)
	}
	// The first page is for the schema's table, so every table needs a second
	// page. Offset 28 is the number of pages.
	return binary.BigEndian.Uint32(header[pagesOffset:]) != 1, nil
}

// makePrivate creates the file with mode 0600 if there is none, and takes the
// permissions of others from files that an older version created. SQLite gives
// the mode of the database file to the files that it creates beside it.
//
// It returns the open file, which must stay open until SQLite has closed its own:
// closing any descriptor of a file releases all POSIX locks that the process has on
// it. Then another process, such as sqlite3 making a backup, would take the database
// for unused, and remove the write-ahead log that this process writes to
// (https://www.sqlite.org/howtocorrupt.html, section 2.2). For the same reason
// nothing here opens the file by its name while the database is open.
func makePrivate(file string) (*os.File, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = f.Chmod(0o600)
	for _, beside := range []string{logFile(file), file + "-shm"} {
		if e := os.Chmod(beside, 0o600); !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
