package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/gatehouse-registry/gatehouse/internal/server/diskspace"
)

// readers is the number of SQLite connections for reading. Each has a page
// cache of its own, and more connections only wait for the processor.
const readers = 8

// OpenSQLite opens a SQLite database file, and creates it if it does not exist.
//
// The journal is a write-ahead log with synchronous=FULL: a commit is on the
// disk when it returns. One connection writes. It takes the write lock when a
// transaction begins, so a transaction never has to start again.
//
// The files are for their owner alone, whatever the umask. The error is
// ErrForeignLog if another database's write-ahead log lies beside the file.
func OpenSQLite(ctx context.Context, file string) (*DB, error) {
	if err := checkLog(file); err != nil {
		return nil, err
	}
	raw, err := makePrivate(file)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	db, err := openSQLite(ctx, file, raw)
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	if err := db.loadInfo(ctx); err != nil {
		return nil, fmt.Errorf("open %s: %w", file, errors.Join(err, db.Close()))
	}
	return db, nil
}

// openSQLite opens the connections.
func openSQLite(ctx context.Context, file string, raw *os.File) (*DB, error) {
	pragmas := url.Values{"_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "cache_size(-4096)", "temp_store(MEMORY)",
	}}
	dsn := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath()}).String() + "?" + pragmas.Encode()
	write, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	if err := write.PingContext(ctx); err != nil { // creates the file before a reader looks for it
		write.Close()
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	read, err := sql.Open("sqlite", dsn+"&_pragma=query_only(1)")
	if err != nil {
		write.Close()
		return nil, err
	}
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	m := newMetrics()
	return &DB{
		dialect: sqliteDialect{},
		read:    newPool(read, sqliteDialect{}),
		write:   &writer{pool: write, dialect: sqliteDialect{}, metrics: m},
		file:    file, raw: raw, metrics: m, known: map[string]bool{infoMigration.Name: true},
	}, nil
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

type sqliteDialect struct{}

// query turns $1 into ?1: SQLite takes $1 for a name, and binds names in the
// order in which they appear. It also turns LIMIT $1 into LIMIT ?1+0: SQLite
// plans a statement again at each run if a LIMIT is a bare parameter, and does
// not if it is a sum.
func (sqliteDialect) query(q string) string {
	return strings.ReplaceAll(limit.ReplaceAllString(q, "${0}+0"), "$", "?")
}

var limit = regexp.MustCompile(`LIMIT \$[0-9]+`)

func (sqliteDialect) schema(s string) string {
	return strings.NewReplacer("{int}", "INTEGER", "{text}", "TEXT", "{bytes}", "BLOB").Replace(s)
}

// retry is never needed: the one writer waits for its lock when it begins.
func (sqliteDialect) retry(error) bool { return false }

// full: SQLITE_FULL is a write to a full disk; the others are files of SQLite's
// own, beside the database, that could not grow. SQLite does not always keep the
// system's error, so a file size limit and a quota count as a full disk too.
func (sqliteDialect) full(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return diskspace.IsFull(err)
	}
	switch e.Code() {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_WRITE:
		return true
	}
	return false
}

func (sqliteDialect) unique(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// IsDamaged reports whether an error says that a file is not a database, or that
// its content is damaged.
func IsDamaged(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_CORRUPT || e.Code()&0xff == sqlite3.SQLITE_NOTADB)
}
