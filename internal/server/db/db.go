// Package db runs one set of SQL on every database that Gatehouse supports.
//
// The SQL itself lives beside the domain that owns the table. It is written
// once, in what SQLite and PostgreSQL both speak: placeholders $1, $2, …,
// upserts by ON CONFLICT, RETURNING, row values, common table expressions.
// Three words of a schema differ and are replaced when it is applied: {int},
// {text} and {bytes}; {text} compares bytewise on every database. Times are
// kept as {int} microseconds since 1970 (see [Micros] and [Time]), booleans as
// 0 and 1.
//
// A domain package opens nothing: it is handed a *DB, applies its [Migration]s
// when it is constructed, reads through [One] and [All], and writes inside
// [DB.Tx] only. When Tx returns nil the change survives a crash of the process
// and of the machine.
//
// The only dialect so far is SQLite; dbtest holds the conformance suite that a
// further one has to pass.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrNoRows is returned by [One] where the query finds nothing.
var ErrNoRows = sql.ErrNoRows

// A DB is an open database. It is safe for use by many goroutines.
type DB struct {
	dialect dialect
	read    pool
	write   *writer
}

// A dialect is what differs between databases.
type dialect interface {
	// query rewrites the $1 placeholders where the database wants others.
	query(string) string
	// schema replaces {int}, {text} and {bytes}.
	schema(string) string
	// retry reports whether the transaction that failed so should run again.
	retry(error) bool
	// unique reports whether err is the violation of a unique constraint.
	unique(error) bool
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
	// Not the request's context: the statement outlives it.
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

// Close closes the database. What was committed stays.
func (db *DB) Close() error { return errors.Join(db.read.Close(), db.write.Close()) }

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return db.read.PingContext(ctx) }

// IsUnique reports whether err is the violation of a primary key or of a
// unique constraint.
func (db *DB) IsUnique(err error) bool { return err != nil && db.dialect.unique(err) }

func (db *DB) rows(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	if len(query) > maxKept {
		return db.read.QueryContext(ctx, db.dialect.query(query), args...)
	}
	s, err := db.read.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

func (*DB) failed(err error) error { return err }

// A Tx is a transaction. It ends with the function that [DB.Tx] runs. After a
// statement that failed every other one fails, and so does the transaction.
//
// Canceling the context keeps the next statement from running, not the one that
// runs: SQLite would end the transaction, and others may share its commit.
type Tx struct {
	conn *connection
	err  error // the first that a statement failed with
}

// begin returns the context for one statement.
func (t *Tx) begin(ctx context.Context) (context.Context, error) {
	if t.err == nil {
		t.err = ctx.Err()
	}
	return context.WithoutCancel(ctx), t.err
}

// failed takes notice of a statement's error, which it returns.
func (t *Tx) failed(err error) error {
	if t.err == nil {
		t.err = err
	}
	return err
}

// maxKept is the length in bytes of a query that is remembered. Longer ones list
// values, a number of them that clients choose.
const maxKept = 2 << 10

func (t *Tx) rows(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	ctx, err := t.begin(ctx)
	if err != nil {
		return nil, err
	}
	if len(query) > maxKept {
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
	if len(query) > maxKept {
		return t.changed(t.conn.ExecContext(ctx, t.conn.dialect.query(query), args...))
	}
	s, err := t.conn.prepare(query)
	if err != nil {
		return 0, t.failed(err)
	}
	return t.changed(s.ExecContext(ctx, args...))
}

// script runs any number of statements, of which none is kept prepared.
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

// maxTries bounds how often a transaction that met another one runs again.
const maxTries = 10

// Tx runs fn in a serializable transaction and commits it if fn returns nil.
// fn may run more than once and so must have no effect but through tx.
//
// On SQLite transactions run one after the other: keep them short, and do no
// other I/O inside. Those that wait at the same time share a commit: each sees
// what the ones before it wrote, while reads through the DB see it after the
// commit.
func (db *DB) Tx(ctx context.Context, fn func(*Tx) error) error {
	for try := 1; ; try++ {
		err := db.write.tx(ctx, fn)
		if err == nil || try == maxTries || !db.dialect.retry(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(time.Millisecond << try):
		}
	}
}

// A Querier is a [DB], for what is committed, or a [Tx].
type Querier interface {
	rows(ctx context.Context, query string, args []any) (*sql.Rows, error)
	failed(error) error
}

// A Row is what a scan function reads: *sql.Rows.
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

// Micros is how a time is kept: microseconds since 1970, UTC.
func Micros(t time.Time) int64 { return t.UnixMicro() }

// Time is the inverse of [Micros].
func Time(us int64) time.Time { return time.UnixMicro(us).UTC() }
