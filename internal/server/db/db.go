// Package db runs one set of SQL on every database that Gatehouse supports.
//
// The SQL itself lives beside the domain that owns the table. It is written
// once, in the common part of SQLite and PostgreSQL: placeholders $1, $2, …,
// upserts by ON CONFLICT, RETURNING, row values, common table expressions.
// Three words of a schema differ and are replaced when it is applied: {int},
// {text} and {bytes}; {text} compares bytewise on every database. Times are
// stored as {int} microseconds since 1970 (see [Micros] and [Time]), booleans as
// 0 and 1.
//
// Package app opens the [DB] and hands it to the domain packages. A domain
// package applies its [Migration]s when it is constructed, reads through [One]
// and [All], and writes inside [DB.Tx] only. When Tx returns nil the change
// survives a crash of the process and of the machine.
//
// On SQLite, transactions run one after the other on one connection, and those
// that wait at the same time share a commit; see writer.go. Reads use their own
// connections and see what is committed.
//
// SQLite is the only database so far. Package dbtest is the conformance suite
// that another one has to pass. This package imports no domain package.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/diskspace"
)

// ErrNoRows is returned by [One] if the query finds no row.
var ErrNoRows = sql.ErrNoRows

// A DB is an open database. It is safe for use by many goroutines.
type DB struct {
	dialect dialect
	read    pool
	write   *writer
	file    string
	raw     *os.File              // the database file; see makePrivate
	stamp   atomic.Pointer[stamp] // of the file since [DB.Stamp]; nil before
	info    info
	metrics *metrics

	mu    sync.Mutex
	known map[string]bool // the migrations that this program has
}

// A dialect is what differs between databases.
type dialect interface {
	// query rewrites the $1 placeholders if the database has others.
	query(string) string
	// schema replaces {int}, {text} and {bytes}.
	schema(string) string
	// retry reports whether a transaction that failed with this error should
	// run again.
	retry(error) bool
	// unique reports whether err is the violation of a unique constraint.
	unique(error) bool
	// full reports whether the database could not grow: its disk is full.
	full(error) bool
}

// pool is a *sql.DB with its prepared statements.
type pool struct {
	*sql.DB
	dialect    dialect
	statements *sync.Map // query as written → *sql.Stmt
}

func newPool(d *sql.DB, dialect dialect) pool {
	return pool{d, dialect, new(sync.Map)}
}

// prepare returns the statement of query, prepared once for the pool.
func (p pool) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := p.statements.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	// Not with the request's cancellation: the statement outlives the request.
	s, err := p.PrepareContext(context.WithoutCancel(ctx), p.dialect.query(query))
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	if other, lost := p.statements.LoadOrStore(query, s); lost {
		s.Close()
		return other.(*sql.Stmt), nil
	}
	return s, nil
}

// Close closes the database. Committed changes stay. On SQLite it also moves
// them from the write-ahead log into the database file and removes the log, so
// that the file alone is a complete copy.
func (db *DB) Close() error {
	err := errors.Join(db.read.close(), db.write.Close(), db.raw.Close()) // raw last: see makePrivate
	if err == nil {
		recordClean(db.file)
	}
	return err
}

// close closes the statements first. SQLite keeps a connection open, and with it
// the write-ahead log, as long as one of its statements is.
func (p pool) close() error {
	var errs []error
	p.statements.Range(func(query, s any) bool {
		p.statements.Delete(query)
		errs = append(errs, s.(*sql.Stmt).Close())
		return true
	})
	return errors.Join(append(errs, p.DB.Close())...)
}

// Ping reports whether the database answers and its file is still there.
func (db *DB) Ping(ctx context.Context) error {
	return errors.Join(db.checkFile(), db.read.PingContext(ctx))
}

// checkFile returns an error if the database file was removed or replaced. The
// connections still work then, but what they write would be lost.
func (db *DB) checkFile() error {
	open, err := db.raw.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(db.file)
	if err != nil || !os.SameFile(open, named) {
		return fmt.Errorf("the database file %s was removed or replaced while it is open: stop the server, put the file back, and start again", db.file)
	}
	return db.checkStamp()
}

// IsUnique reports whether err is the violation of a primary key or of a
// unique constraint.
func (db *DB) IsUnique(err error) bool { return err != nil && db.dialect.unique(err) }

func (db *DB) rows(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	if len(query) > maxPrepared {
		return db.read.QueryContext(ctx, db.dialect.query(query), args...)
	}
	s, err := db.read.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

func (*DB) failed(err error) error { return err }

// A Tx is a transaction. It ends when the function given to [DB.Tx] returns.
// After one statement has failed, all further statements fail, and so does the
// transaction.
//
// Canceling the context stops the next statement but not the running one: SQLite
// would end the whole transaction, and others may share its commit.
type Tx struct {
	conn *connection
	err  error // of the first statement that failed
}

// begin returns the context for one statement.
func (t *Tx) begin(ctx context.Context) (context.Context, error) {
	if t.err == nil {
		t.err = ctx.Err()
	}
	return context.WithoutCancel(ctx), t.err
}

// failed records a statement's error and returns it.
func (t *Tx) failed(err error) error {
	if t.err == nil {
		t.err = err
	}
	return err
}

// maxPrepared is the length in bytes of the longest query that is kept prepared.
// Longer ones contain lists of values, and clients choose how many.
const maxPrepared = 2 << 10

func (t *Tx) rows(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	ctx, err := t.begin(ctx)
	if err != nil {
		return nil, err
	}
	if len(query) > maxPrepared {
		rows, err := t.conn.QueryContext(ctx, t.conn.dialect.query(query), args...)
		return rows, t.failed(err)
	}
	s, err := t.conn.prepare(query)
	if err != nil {
		return nil, t.failed(err)
	}
	rows, err := s.QueryContext(ctx, args...)
	return rows, t.failed(err)
}

// Exec runs a statement and returns the number of rows that it changed.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	ctx, err := t.begin(ctx)
	if err != nil {
		return 0, err
	}
	if len(query) > maxPrepared {
		return t.changed(t.conn.ExecContext(ctx, t.conn.dialect.query(query), args...))
	}
	s, err := t.conn.prepare(query)
	if err != nil {
		return 0, t.failed(err)
	}
	return t.changed(s.ExecContext(ctx, args...))
}

// script runs any number of statements and keeps none of them prepared.
func (t *Tx) script(ctx context.Context, statements string) error {
	ctx, err := t.begin(ctx)
	if err == nil {
		_, err = t.changed(t.conn.ExecContext(ctx, statements))
	}
	return err
}

func (t *Tx) changed(res sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, t.failed(err)
	}
	return res.RowsAffected()
}

// maxTries is how often a transaction runs at most, if it conflicts with others.
const maxTries = 10

// Tx runs fn in a serializable transaction and commits it if fn returns nil.
// fn may run more than once, so its only effect must be through tx.
//
// On SQLite transactions run one after the other: keep them short, and do no
// other I/O inside. Transactions that wait at the same time share a commit: each
// sees what the ones before it wrote. Reads through the DB see it after the
// commit.
func (db *DB) Tx(ctx context.Context, fn func(*Tx) error) error {
	if err := db.checkFile(); err != nil {
		return err
	}
	for try := 1; ; try++ {
		err := db.write.tx(ctx, fn)
		if err == nil || try == maxTries || !db.dialect.retry(err) {
			return db.explain(err)
		}
		db.metrics.retries.Inc()
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(time.Millisecond << try):
		}
	}
}

// explain makes a full disk a fault of its own kind. Other errors stay as they
// are.
func (db *DB) explain(err error) error {
	if err == nil || !db.dialect.full(err) {
		return err
	}
	return diskspace.Fault(err)
}

// A Querier is a [DB], which reads what is committed, or a [Tx], which also
// reads its own writes.
type Querier interface {
	rows(ctx context.Context, query string, args []any) (*sql.Rows, error)
	failed(error) error
}

// A Row is the row that a scan function reads, a *sql.Rows.
type Row interface{ Scan(dest ...any) error }

// All returns every row of a query, each read by scan.
func All[T any](ctx context.Context, q Querier, scan func(Row) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.rows(ctx, query, args)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, q.failed(rows.Err())
}

// One returns the first row of a query, or [ErrNoRows].
func One[T any](ctx context.Context, q Querier, scan func(Row) (T, error), query string, args ...any) (T, error) {
	var zero T
	rows, err := q.rows(ctx, query, args)
	if err != nil {
		return zero, err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return zero, q.failed(err)
		}
		return zero, ErrNoRows
	}
	v, err := scan(rows)
	if err != nil {
		return zero, err
	}
	return v, rows.Close()
}

// Scalar is the scan function of a query with one column.
func Scalar[T any](r Row) (T, error) {
	var v T
	err := r.Scan(&v)
	return v, err
}

// Micros converts a time to its stored form: microseconds since 1970, UTC.
func Micros(t time.Time) int64 { return t.UnixMicro() }

// Time is the inverse of [Micros].
func Time(us int64) time.Time { return time.UnixMicro(us).UTC() }

// Values returns the list "$1, $2, …" and its arguments, for IN. Callers limit the
// number of values.
func Values[T any](values []T) (list string, args []any) {
	var b strings.Builder
	for i, v := range values {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", i+1)
		args = append(args, v)
	}
	return b.String(), args
}
