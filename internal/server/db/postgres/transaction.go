package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

const (
	// statementLimit ends a statement at this side. The server's own limit is a
	// little shorter, so this one counts only if the server does not answer.
	statementLimit = 35 * time.Second
	// transactionLimit is for all statements of a transaction, including the wait
	// for a connection.
	transactionLimit = time.Minute
	// migrationLimit includes the wait for other servers that migrate.
	migrationLimit = time.Hour
	// endLimit is for a commit or a rollback, which the caller cannot cancel.
	endLimit = 30 * time.Second
)

// maxCached is the length in bytes of the longest query that is kept prepared.
// Longer ones contain lists of values, and clients choose how many.
const maxCached = 2 << 10

// Schema implements [db.Backend].
func (*backend) Schema(statements string) string {
	return strings.NewReplacer("{int}", "BIGINT", "{text}", `TEXT COLLATE "C"`, "{bytes}", "BYTEA").Replace(statements)
}

// A transaction is the [db.Conn] of one that runs.
type transaction struct {
	conn *sql.Conn
	end  time.Time // no statement runs longer
}

// Run implements [db.Backend].
func (b *backend) Run(ctx context.Context, fn func(db.Conn) error) error {
	return b.transaction(ctx, transactionLimit, `BEGIN ISOLATION LEVEL SERIALIZABLE`, func(t *transaction) error { return fn(t) })
}

// snapshotLimit is for all statements of a snapshot.
const snapshotLimit = 48 * time.Hour

// Snapshot implements [db.Backend].
func (b *backend) Snapshot(ctx context.Context, fn func(db.Conn) error) error {
	return b.transaction(ctx, snapshotLimit, `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`, func(t *transaction) error {
		if err := t.Script(ctx, `SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0`); err != nil {
			return err
		}
		return fn(t)
	})
}

// transaction runs fn in a transaction that the statement begin begins.
func (b *backend) transaction(ctx context.Context, limit time.Duration, begin string, fn func(*transaction) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	end, _ := ctx.Deadline()
	conn, err := b.pool.Conn(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer conn.Close()
	if _, err := command(ctx, conn, begin); err != nil {
		drop(conn)
		return fmt.Errorf("begin: %w", err)
	}
	open := true
	defer func() { // also if fn panics
		if open {
			rollback(conn)
		}
	}()
	if err := fn(&transaction{conn, end}); err != nil {
		if demoted(err) {
			open = false
			drop(conn)
			b.reconnect()
		}
		return err
	}
	open = false
	return b.commit(ctx, conn)
}

// commit ends a transaction, whether the caller still waits or not.
func (b *backend) commit(ctx context.Context, conn *sql.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endLimit)
	defer cancel()
	began := time.Now()
	tag, err := command(ctx, conn, `COMMIT`)
	b.metrics.commit.Observe(time.Since(began).Seconds())
	if err != nil {
		if !refused(err) {
			drop(conn)
			err = fmt.Errorf("%w: %w", db.ErrUnclearCommit, err)
		}
		return fmt.Errorf("commit: %w", err)
	}
	if tag != "COMMIT" { // the server answers ROLLBACK if a statement had failed
		return fmt.Errorf("commit: the server answered %q", tag)
	}
	return nil
}

// rollback undoes a transaction. The server does it too when it loses the
// connection.
func rollback(conn *sql.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), endLimit)
	defer cancel()
	if _, err := command(ctx, conn, `ROLLBACK`); err != nil {
		drop(conn)
	}
}

// reconnect closes the connections that wait in the pool. They are to a server that was
// demoted, and would fail one transaction each.
func (b *backend) reconnect() {
	b.pool.SetMaxIdleConns(-1)
	b.pool.SetMaxIdleConns(b.size)
}

// drop closes a connection whose state is unknown, instead of returning it to the
// pool.
func drop(conn *sql.Conn) { _ = conn.Raw(func(any) error { return driver.ErrBadConn }) }

// command runs a statement without arguments and returns the server's answer.
func command(ctx context.Context, conn *sql.Conn, statement string) (tag string, err error) {
	err = conn.Raw(func(c any) error {
		results, err := c.(*stdlib.Conn).Conn().PgConn().Exec(ctx, statement).ReadAll()
		if len(results) > 0 {
			tag = results[len(results)-1].CommandTag.String()
		}
		return err
	})
	return tag, err
}

// Query implements [db.Conn].
func (t *transaction) Query(ctx context.Context, query string, args []any) (db.Rows, error) {
	return limited(ctx, t.end, t.conn.QueryContext, query, args)
}

// Exec implements [db.Conn].
func (t *transaction) Exec(ctx context.Context, query string, args []any) (sql.Result, error) {
	ctx, cancel := context.WithDeadline(ctx, t.end)
	defer cancel()
	return t.conn.ExecContext(ctx, query, withMode(query, args)...)
}

// Script implements [db.Conn].
func (t *transaction) Script(ctx context.Context, statements string) error {
	ctx, cancel := context.WithDeadline(ctx, t.end)
	defer cancel()
	_, err := command(ctx, t.conn, statements)
	return err
}

// withMode adds pgx's option that keeps a long query out of the cache of prepared
// statements.
func withMode(query string, args []any) []any {
	if len(query) <= maxCached {
		return args
	}
	return append([]any{pgx.QueryExecModeDescribeExec}, args...)
}

// limited runs a query whose rows must be read before end.
func limited(ctx context.Context, end time.Time, run func(context.Context, string, ...any) (*sql.Rows, error), query string, args []any) (db.Rows, error) {
	ctx, cancel := context.WithDeadline(ctx, end)
	rows, err := run(ctx, query, withMode(query, args)...)
	if err != nil {
		cancel()
		return nil, err
	}
	return &limitedRows{rows, cancel}, nil
}

type limitedRows struct {
	*sql.Rows
	cancel context.CancelFunc
}

func (r *limitedRows) Close() error {
	err := r.Rows.Close()
	r.cancel()
	return err
}

// refused reports whether the server itself refused a commit, so that the
// transaction is certainly rolled back. With any worse severity than ERROR the
// connection ended, and the commit may have been done before.
func refused(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && severity(e) == "ERROR"
}

// severity is never translated.
func severity(e *pgconn.PgError) string {
	if e.SeverityUnlocalized != "" {
		return e.SeverityUnlocalized
	}
	return e.Severity
}
