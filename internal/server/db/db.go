// Package db runs one set of SQL on every database that Gatehouse supports.
//
// The SQL itself lives beside the domain that owns the table. It is written
// once, in the common part of SQLite and PostgreSQL: placeholders $1, $2, …,
// upserts by ON CONFLICT, RETURNING, row values, common table expressions.
// Three words of a schema differ and are replaced when it is applied: {int},
// {text} and {bytes}; {text} compares bytewise on every database, and holds valid
// UTF-8 without NUL bytes. Times are stored as {int} microseconds since 1970 (see
// [Micros] and [Time]), booleans as 0 and 1.
//
// Package app opens the [DB] by package sqlite or postgres, which implement
// [Backend], and hands it to the domain packages. A domain package applies its
// [Migration]s when it is constructed, reads through [One] and [All], and writes
// inside [DB.Tx] only. When Tx returns nil the change survives a crash of the
// process and of the machine.
//
// Other servers may use the same PostgreSQL database ([DB.Shared]). What keeps
// their memory current is built on [Tx.Position], [DB.Horizon], [DB.Wake] and
// [DB.Woken].
//
// Package dbtest is the conformance suite of the engines and opens databases for
// tests. This package imports no domain package and neither engine.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/diskspace"
)

// ErrNoRows is returned by [One] if the query finds no row.
var ErrNoRows = sql.ErrNoRows

// ErrUnclearCommit means that the connection was lost during a commit: the
// transaction may be committed or not. The caller has to read what is stored.
var ErrUnclearCommit = errors.New("the connection to the database was lost during a commit, which may be done or not")

// A DB is an open database. It is safe for use by many goroutines.
type DB struct {
	backend  Backend
	rehearse bool
	lose     atomic.Bool // see LoseAnswer
	info     info
	retries  prometheus.Counter
	again    chan struct{} // held by the transaction that runs again

	mu    sync.Mutex
	known map[string]bool // the migrations that this program has
}

// New returns the database of an engine and creates the tables that describe it.
// It closes the backend if that fails.
func New(ctx context.Context, b Backend) (*DB, error) {
	db := NewReader(b)
	db.known[infoMigration.Name] = true
	for _, m := range b.Migrations() {
		db.known[m.Name] = true // another server may apply them while this one opens
	}
	err := db.loadInfo(ctx)
	if err == nil {
		err = db.Migrate(ctx, b.Migrations()...)
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return db, nil
}

// NewReader returns the database of an engine that only reads. It creates nothing.
func NewReader(b Backend) *DB {
	return &DB{
		backend: b, known: map[string]bool{}, again: make(chan struct{}, 1),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatehouse_db_retries_total", Help: "Transactions that ran again after a conflict with another.",
		}),
	}
}

// Close closes the database. Committed changes stay. On SQLite it also moves
// them from the write-ahead log into the database file and removes the log, so
// that the file alone is a complete copy.
func (db *DB) Close() error { return db.backend.Close() }

// Ping reports whether the database answers. On SQLite its file must still be there.
func (db *DB) Ping(ctx context.Context) error { return db.backend.Ping(ctx) }

// Stamp marks a SQLite file, so that the next start detects a write-ahead log
// that belongs to another file; see package sqlite. Call it when all migrations
// are applied, before the database is used. If it fails, as on a full disk, the
// database is as good as before. It does nothing on PostgreSQL.
func (db *DB) Stamp(ctx context.Context) error { return db.backend.Stamp(ctx) }

// Metrics returns the database's metrics, for one registration.
func (db *DB) Metrics() []prometheus.Collector {
	return append(db.backend.Metrics(), db.retries)
}

// IsUnique reports whether err is the violation of a primary key or of a
// unique constraint.
func (db *DB) IsUnique(err error) bool { return err != nil && db.backend.Unique(err) }

// Shared reports whether other processes may use the database at the same time.
// A SQLite file has one server.
func (db *DB) Shared() bool { return db.backend.Shared() }

// Finished says which transactions are finished: a query that begins after it sees
// the changes of those that were committed.
func (db *DB) Finished(ctx context.Context) (Finished, error) {
	f, err := db.backend.Finished(ctx)
	return f, db.explain(err)
}

// Horizon returns a number below which every [Tx.Position] belongs to a
// transaction that is finished; see [DB.Finished].
func (db *DB) Horizon(ctx context.Context) (int64, error) {
	f, err := db.Finished(ctx)
	return f.Horizon(), err
}

// Incarnation returns a text that differs after the database was restored from a
// backup, a standby took over, or its server was started again. Then positions and
// horizons may be lower than before, and what was read may never have been committed.
// It is empty on SQLite, whose file does not change below a server.
func (db *DB) Incarnation(ctx context.Context) (string, error) {
	s, err := db.backend.Incarnation(ctx)
	return s, db.explain(err)
}

// Wake tells the other processes that use the database that something was
// committed. It returns at once: calls that come while one is being sent are
// sent as one, and what cannot be sent is dropped.
func (db *DB) Wake(ctx context.Context) { db.backend.Wake(ctx) }

// Woken returns a channel that receives after another process, or this one, has
// called [DB.Wake], and whenever calls may have been missed. It holds one value.
// The channel is nil if the database is not [DB.Shared]. It has one receiver.
func (db *DB) Woken() <-chan struct{} { return db.backend.Woken() }

func (db *DB) query(ctx context.Context, query string, args []any) (Rows, error) {
	rows, err := db.backend.Query(ctx, query, args)
	return rows, db.explain(err)
}

func (db *DB) failed(err error) error { return db.explain(err) }

// A Tx is a transaction. It ends when the function given to [DB.Tx] returns.
// After one statement has failed, all further statements fail, and so does the
// transaction.
type Tx struct {
	conn     Conn
	backend  Backend
	err      error // of the first statement that failed
	position int64 // 0 before it was asked for
	after    []func()
}

// AfterCommit calls f once the transaction is committed, before [DB.Tx] returns. It
// does not call f if the transaction fails, or if the result of the commit is unknown:
// f must be something that is good to do and not needed, such as waking a reader.
func (t *Tx) AfterCommit(f func()) { t.after = append(t.after, f) }

// usable returns the error of an earlier statement or of the context.
func (t *Tx) usable(ctx context.Context) error {
	if t.err == nil {
		t.err = ctx.Err()
	}
	return t.err
}

// failed records a statement's error and returns it.
func (t *Tx) failed(err error) error {
	if t.err == nil {
		t.err = err
	}
	return err
}

func (t *Tx) query(ctx context.Context, query string, args []any) (Rows, error) {
	if err := t.usable(ctx); err != nil {
		return nil, err
	}
	rows, err := t.conn.Query(ctx, query, args)
	return rows, t.failed(err)
}

// Exec runs a statement and returns the number of rows that it changed.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := t.usable(ctx); err != nil {
		return 0, err
	}
	res, err := t.conn.Exec(ctx, query, args)
	if err != nil {
		return 0, t.failed(err)
	}
	return res.RowsAffected()
}

// Position returns the position of the transaction in the order of commits. It
// is the same at each call in one transaction and greater than 0. Positions are
// not dense, and a lower one may be committed later: [DB.Horizon] tells when all
// below a number are finished.
func (t *Tx) Position(ctx context.Context) (int64, error) {
	if err := t.usable(ctx); err != nil || t.position != 0 {
		return t.position, err
	}
	var err error
	t.position, err = t.backend.Position(ctx, t.conn)
	return t.position, t.failed(err)
}

// script runs any number of statements and keeps none of them prepared.
func (t *Tx) script(ctx context.Context, statements string) error {
	if err := t.usable(ctx); err != nil {
		return err
	}
	return t.failed(t.conn.Script(ctx, statements))
}

// A transaction that conflicts with others runs again, at least minTries times and for
// as long as triesFor.
const (
	minTries = 12
	triesFor = 10 * time.Second
)

// Tx runs fn in a serializable transaction and commits it if fn returns nil.
// fn may run more than once, so its only effect must be through tx: it must
// assign what it returns through captured variables anew each time.
//
// Keep transactions short, and do no other I/O inside. On SQLite they run one
// after the other, and those that wait at the same time share a commit: each sees
// what the ones before it wrote. Reads through the DB see it after the commit.
//
// Canceling ctx stops the next statement. It does not stop a running commit. If
// the result of a commit is unknown, the error is [ErrUnclearCommit].
func (db *DB) Tx(ctx context.Context, fn func(*Tx) error) error {
	run := db.backend.Run
	if db.rehearse {
		run = db.runTwice
	}
	return db.explain(db.try(ctx, run, fn))
}

// try runs a transaction until it does not conflict with others. Of the transactions
// that run again, one at a time does so in this process: otherwise many changes of one
// thing would go on to conflict with each other. Eight clients that published versions
// of one package at the same time did.
func (db *DB) try(ctx context.Context, run func(context.Context, func(Conn) error) error, fn func(*Tx) error) error {
	began, waited, taken := time.Now(), false, 0
	for try := 1; ; try++ {
		var committed *Tx // of the last run
		err := run(ctx, func(c Conn) (err error) {
			committed, err = db.call(c, fn)
			return err
		})
		if err == nil && db.lose.CompareAndSwap(true, false) {
			return ErrUnclearCommit
		}
		if err == nil {
			for _, f := range committed.after {
				f()
			}
			return nil
		}
		retry := db.backend.Retry(err)
		if db.Shared() && db.IsUnique(err) && taken < minTries {
			// Another transaction may have added the row after this one had looked. If it
			// runs again, it sees the row, and says what that means.
			taken, retry = taken+1, true
		}
		if !retry || try >= minTries && time.Since(began) >= triesFor {
			return err
		}
		db.retries.Inc()
		if !waited && db.backend.Conflict(err) {
			waited = true
			select {
			case <-ctx.Done():
				return errors.Join(ctx.Err(), err)
			case db.again <- struct{}{}:
				defer func() { <-db.again }()
			}
		}
		wait := time.Millisecond << min(try, 8)
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(wait/2 + rand.N(wait)):
		}
	}
}

// call runs fn and ends its Tx.
func (db *DB) call(c Conn, fn func(*Tx) error) (t *Tx, err error) {
	t = &Tx{conn: c, backend: db.backend}
	defer func() { t.err = sql.ErrTxDone }()
	if err := fn(t); err != nil {
		return t, err
	}
	return t, t.err
}

// Snapshot runs fn with a Querier that sees the database as it is at one moment,
// whatever is committed meanwhile. It may take hours: writers do not wait for it, but
// the database keeps what they replace, and so grows, until fn returns.
func (db *DB) Snapshot(ctx context.Context, fn func(Querier) error) error {
	return db.explain(db.backend.Snapshot(ctx, func(c Conn) error {
		_, err := db.call(c, func(t *Tx) error { return fn(t) })
		return err
	}))
}

// Rehearse makes every transaction run its function twice: the first time the
// transaction is rolled back. Tests use it to find functions that keep something
// from a run that did not count. Call it before the database is used.
func (db *DB) Rehearse() { db.rehearse = true }

// LoseAnswer makes the next transaction that is committed return [ErrUnclearCommit],
// as if the connection had been lost after the commit. Tests use it.
func (db *DB) LoseAnswer() { db.lose.Store(true) }

var errRehearsed = errors.New("rehearsed")

func (db *DB) runTwice(ctx context.Context, fn func(Conn) error) error {
	err := db.backend.Run(ctx, func(c Conn) error {
		if err := fn(c); err != nil {
			return err
		}
		return errRehearsed
	})
	if err != nil && !errors.Is(err, errRehearsed) {
		return err
	}
	return db.backend.Run(ctx, fn)
}

// explain makes a full disk and a database that is away faults of their own
// kinds. Other errors stay as they are.
func (db *DB) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case db.backend.Full(err):
		return diskspace.Fault(err)
	case db.backend.Unstorable(err):
		return fault.Wrap(err, fault.Invalid, "InvalidCharacter", "A text of the request has a NUL character or is not valid UTF-8, and cannot be stored.")
	case db.backend.Conflict(err):
		return fault.Wrap(err, fault.Unavailable, "ServiceUnavailable", "Too many requests change the same thing at the same time. Try again in a moment.")
	case db.backend.Unavailable(err):
		return fault.Wrap(err, fault.Unavailable, "ServiceUnavailable", "The server cannot reach its database. Try again in a moment.")
	}
	return err
}

// A Querier is a [DB], which reads what is committed, or a [Tx], which also
// reads its own writes.
type Querier interface {
	query(ctx context.Context, query string, args []any) (Rows, error)
	failed(error) error
}

// A Row is the row that a scan function reads.
type Row interface{ Scan(dest ...any) error }

// All returns every row of a query, each read by scan.
func All[T any](ctx context.Context, q Querier, scan func(Row) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.query(ctx, query, args)
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
	rows, err := q.query(ctx, query, args)
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
