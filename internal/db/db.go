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
	queries *translations
	read    pool
	write   *sql.DB
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

// A Tx is a transaction. It ends with the function that [DB.Tx] runs.
type Tx struct {
	tx      *sql.Tx
	queries *translations
}

// maxKept is the length in bytes of a query that is remembered. Longer ones list
// values, a number of them that clients choose.
const maxKept = 2 << 10

// translations are the queries as the database wants them, by the queries as
// they are written.
type translations struct {
	dialect dialect
	done    sync.Map
}

func (t *translations) of(query string) string {
	if len(query) > maxKept {
		return t.dialect.query(query)
	}
	if q, ok := t.done.Load(query); ok {
		return q.(string)
	}
	q := t.dialect.query(query)
	t.done.Store(query, q)
	return q
}

func (t *Tx) rows(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	return t.tx.QueryContext(ctx, t.queries.of(query), args...)
}

// Exec runs a statement and returns the number of rows that it changed.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := t.tx.ExecContext(ctx, t.queries.of(query), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// maxTries bounds how often a transaction that met another one runs again.
const maxTries = 10

// Tx runs fn in a serializable transaction and commits it if fn returns nil.
// fn may run more than once and so must have no effect but through tx.
//
// On SQLite transactions run one after the other: keep them short, and do no
// other I/O inside.
func (db *DB) Tx(ctx context.Context, fn func(*Tx) error) error {
	for try := 1; ; try++ {
		err := db.tx(ctx, fn)
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

func (db *DB) tx(ctx context.Context, fn func(*Tx) error) (err error) {
	tx, err := db.write.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreDone(tx.Rollback()))
		}
	}()
	if err := fn(&Tx{tx, db.queries}); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// A Querier is a [DB], for what is committed, or a [Tx].
type Querier interface {
	rows(ctx context.Context, query string, args []any) (*sql.Rows, error)
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
	return out, rows.Err()
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
			return zero, err
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
