// Package sqlite is the [db.Backend] of a SQLite file, the database of an
// installation with one server.
//
// Transactions run one after the other on one connection, and those that wait at
// the same time share a commit; see writer.go. Reads use their own connections and
// see what is committed.
//
// The journal is a write-ahead log with synchronous=FULL: a commit is on the disk
// when it returns. What happens to the files while the server runs or is stopped
// is checked; see walguard.go.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/diskspace"
)

// readers is the number of SQLite connections for reading. Each has a page
// cache of its own, and more connections only wait for the processor.
const readers = 8

// A backend is an open SQLite file.
type backend struct {
	read    pool
	write   *writer
	file    string
	raw     *os.File              // the database file; see makePrivate
	rawInfo os.FileInfo           // which file that is
	stamp   atomic.Pointer[stamp] // of the file since Stamp; nil before
	metrics *metrics
}

var _ db.Backend = (*backend)(nil)

// Open opens a SQLite database file, and creates it if it does not exist.
//
// One connection writes. It takes the write lock when a transaction begins, so a
// transaction never has to start again.
//
// The files are for their owner alone, whatever the umask. The error is
// ErrForeignLog if another database's write-ahead log lies beside the file.
func Open(ctx context.Context, file string) (*db.DB, error) {
	return open(ctx, file, "synchronous(FULL)")
}

// OpenScratch is [Open] for a file that a crash of the machine may damage, such as one
// that is removed at the end. A commit does not wait for the disk, which is nearly all
// that it costs. A crash of the process damages nothing.
func OpenScratch(ctx context.Context, file string) (*db.DB, error) {
	return open(ctx, file, "synchronous(OFF)")
}

func open(ctx context.Context, file, synchronous string) (*db.DB, error) {
	if err := checkLog(file); err != nil {
		return nil, err
	}
	raw, err := makePrivate(file)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	b, err := connect(ctx, file, raw, synchronous)
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	d, err := db.New(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	return d, nil
}

// connect opens the connections.
func connect(ctx context.Context, file string, raw *os.File, synchronous string) (*backend, error) {
	rawInfo, err := raw.Stat()
	if err != nil {
		return nil, err
	}
	pragmas := []string{
		"busy_timeout(10000)", synchronous, "journal_mode(WAL)", "foreign_keys(1)", "cache_size(-4096)", "temp_store(MEMORY)",
	}
	write, err := sql.Open("sqlite", dataSource(file, "", pragmas...))
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	if err := write.PingContext(ctx); err != nil { // creates the file before a reader looks for it
		write.Close()
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	read, err := sql.Open("sqlite", dataSource(file, "", append(pragmas, "query_only(1)")...))
	if err != nil {
		write.Close()
		return nil, err
	}
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	m := newMetrics()
	return &backend{read: newPool(read), write: &writer{pool: write, metrics: m}, file: file, raw: raw, rawInfo: rawInfo, metrics: m}, nil
}

// Close implements [db.Backend].
func (b *backend) Close() error {
	err := errors.Join(b.read.close(), b.write.Close(), b.raw.Close()) // raw last: see makePrivate
	if err == nil {
		recordClean(b.file)
	}
	return err
}

// Ping implements [db.Backend].
func (b *backend) Ping(ctx context.Context) error {
	return errors.Join(b.checkFile(), b.read.PingContext(ctx))
}

// checkFile returns an error if the database file was removed or replaced. The
// connections still work then, but what they write would be lost.
func (b *backend) checkFile() error {
	named, err := os.Stat(b.file)
	if err != nil || !os.SameFile(b.rawInfo, named) {
		return fmt.Errorf("the database file %s was removed or replaced while it is open: stop the server, put the file back, and start again", b.file)
	}
	return b.checkStamp()
}

// Query implements [db.Backend].
func (b *backend) Query(ctx context.Context, query string, args []any) (db.Rows, error) {
	if len(query) > maxPrepared {
		return rowsOf(b.read.QueryContext(ctx, rewrite(query), args...))
	}
	s, err := b.read.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return rowsOf(s.QueryContext(ctx, args...))
}

// rowsOf makes no rows a nil interface.
func rowsOf(rows *sql.Rows, err error) (db.Rows, error) {
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// Run implements [db.Backend].
func (b *backend) Run(ctx context.Context, fn func(db.Conn) error) error {
	if err := b.checkFile(); err != nil {
		return err
	}
	return b.write.tx(ctx, fn)
}

// Migrate implements [db.Backend]. SQLite has one writer at a time.
func (b *backend) Migrate(ctx context.Context, fn func(db.Conn) error) error { return b.Run(ctx, fn) }

// HasTable implements [db.Backend].
func (b *backend) HasTable(ctx context.Context, name string) (bool, error) {
	return has(b.Query(ctx, `SELECT name FROM sqlite_master WHERE type = 'table' AND name = $1`, []any{name}))
}

func has(rows db.Rows, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	defer rows.Close()
	return rows.Next(), rows.Err()
}

// Migrations implements [db.Backend].
func (*backend) Migrations() []db.Migration { return []db.Migration{positionMigration} }

// Metrics implements [db.Backend].
func (b *backend) Metrics() []prometheus.Collector {
	return []prometheus.Collector{b.metrics.group, b.metrics.commit}
}

// Shared implements [db.Backend].
func (*backend) Shared() bool { return false }

// Wake implements [db.Backend].
func (*backend) Wake(context.Context) {}

// Woken implements [db.Backend].
func (*backend) Woken() <-chan struct{} { return nil }

// Retry implements [db.Backend]. It is never needed: the one writer waits for its
// lock when it begins.
func (*backend) Retry(error) bool { return false }

// Conflict implements [db.Backend].
func (*backend) Conflict(error) bool { return false }

// Unstorable implements [db.Backend]. SQLite keeps any bytes.
func (*backend) Unstorable(error) bool { return false }

// Unavailable implements [db.Backend].
func (*backend) Unavailable(error) bool { return false }

// Full implements [db.Backend].
func (*backend) Full(err error) bool { return full(err) }

// full: SQLITE_FULL is a write to a full disk; the others are files of SQLite's
// own, beside the database, that could not grow. SQLite does not always keep the
// system's error, so a file size limit and a quota count as a full disk too.
func full(err error) bool {
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

// Unique implements [db.Backend].
func (*backend) Unique(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// IsDamaged reports whether an error says that a file is not a database, or that
// its content is damaged.
func IsDamaged(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_CORRUPT || e.Code()&0xff == sqlite3.SQLITE_NOTADB)
}
