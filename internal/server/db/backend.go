package db

import (
	"context"
	"database/sql"

	"github.com/prometheus/client_golang/prometheus"
)

// A Backend is one database engine. Packages sqlite and postgres have one each;
// domain packages use it through a [DB] only.
type Backend interface {
	// Schema replaces {int}, {text} and {bytes} in the statements of a migration.
	Schema(statements string) string
	// Migrations are the engine's own tables.
	Migrations() []Migration
	// HasTable reports whether the database has a table of this name.
	HasTable(ctx context.Context, name string) (bool, error)

	// Query runs a query outside of transactions. It sees what is committed.
	Query(ctx context.Context, query string, args []any) (Rows, error)
	// Run runs fn once, in a serializable transaction, and commits if fn returns
	// nil. If it cannot tell whether the commit was done, the error is
	// [ErrUnclearCommit].
	Run(ctx context.Context, fn func(Conn) error) error
	// Snapshot runs fn with a connection that sees the database as it is at one moment.
	// It may take hours. It does not make writers wait.
	Snapshot(ctx context.Context, fn func(Conn) error) error
	// Migrate is like Run, and no other process migrates this database meanwhile.
	// fn sees what the process before it committed.
	Migrate(ctx context.Context, fn func(Conn) error) error
	// Position returns the position of a transaction in the order of commits, and
	// Finished says which of them are finished; see [Tx.Position] and [DB.Finished].
	Position(ctx context.Context, c Conn) (int64, error)
	Finished(ctx context.Context) (Finished, error)
	// Incarnation is [DB.Incarnation].
	Incarnation(ctx context.Context) (string, error)

	// Retry reports whether a transaction that failed with this error certainly has
	// no effect and may succeed if it runs again.
	Retry(err error) bool
	// Conflict reports whether a transaction failed because of another one that ran at
	// the same time.
	Conflict(err error) bool
	// Unique reports whether err is the violation of a unique constraint.
	Unique(err error) bool
	// Full reports whether the database could not grow: its disk is full.
	Full(err error) bool
	// Unstorable reports whether a text has a character that the database cannot hold.
	Unstorable(err error) bool
	// Unavailable reports whether the database cannot be reached, or is starting or
	// stopping.
	Unavailable(err error) bool

	Shared() bool
	Wake(ctx context.Context)
	Woken() <-chan struct{}

	Ping(ctx context.Context) error
	Stamp(ctx context.Context) error
	Metrics() []prometheus.Collector
	Close() error
}

// A Conn runs the statements of one transaction.
type Conn interface {
	Query(ctx context.Context, query string, args []any) (Rows, error)
	Exec(ctx context.Context, query string, args []any) (sql.Result, error)
	// Script runs any number of statements without arguments.
	Script(ctx context.Context, statements string) error
}

// Rows are the rows of a query, a *sql.Rows.
type Rows interface {
	Row
	Next() bool
	Err() error
	Close() error
}

// Number reads the one number of a query's one row. It takes the results of a query
// of a [Backend] or a [Conn]. It returns [ErrNoRows] if there is no row.
func Number(rows Rows, err error) (n int64, _ error) {
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return 0, err
		}
		return 0, ErrNoRows
	}
	if err := rows.Scan(&n); err != nil {
		return 0, err
	}
	return n, rows.Close()
}
