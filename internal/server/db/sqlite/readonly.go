package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/gatehouse-registry/gatehouse/internal/atomicfile"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// errReadOnly means that a database that was opened for reading was to be changed.
var errReadOnly = errors.New("the database is open for reading only")

// dataSource is the name of a file for database/sql.
func dataSource(file, mode string, pragmas ...string) string {
	q := url.Values{"_pragma": pragmas}
	if mode != "" {
		q.Set("mode", mode)
	}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath()}).String() + "?" + q.Encode()
}

// A reader is a backend without a connection for writing.
type reader struct{ *backend }

var _ db.Backend = (*reader)(nil)

// OpenReadOnly opens a SQLite file, which must exist, for reading. A server may use it
// meanwhile, in this or another process. If no server uses it, call [CheckLog] first.
func OpenReadOnly(ctx context.Context, file string) (*db.DB, error) {
	pool, err := openReading(ctx, file)
	if err != nil {
		return nil, err
	}
	return db.NewReader(&reader{&backend{read: newPool(pool), file: file, metrics: newMetrics()}}), nil
}

func openReading(ctx context.Context, file string) (*sql.DB, error) {
	pool, err := sql.Open("sqlite", dataSource(file, "ro", "busy_timeout(10000)", "query_only(1)", "cache_size(-16384)", "temp_store(MEMORY)"))
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(readers)
	pool.SetMaxIdleConns(readers)
	// Opening reads nothing yet.
	var tables int
	if err := pool.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master`).Scan(&tables); err != nil {
		return nil, fmt.Errorf("open %s: %w", file, errors.Join(err, pool.Close()))
	}
	return pool, nil
}

// Close implements [db.Backend].
func (r *reader) Close() error { return r.read.close() }

// Ping implements [db.Backend].
func (r *reader) Ping(ctx context.Context) error { return r.read.PingContext(ctx) }

// Run implements [db.Backend].
func (*reader) Run(context.Context, func(db.Conn) error) error { return errReadOnly }

// Migrate implements [db.Backend].
func (*reader) Migrate(context.Context, func(db.Conn) error) error { return errReadOnly }

// Stamp implements [db.Backend].
func (*reader) Stamp(context.Context) error { return errReadOnly }

// Position implements [db.Backend].
func (*reader) Position(context.Context, db.Conn) (int64, error) { return 0, errReadOnly }

// Snapshot implements [db.Backend]. The write-ahead log grows until it ends.
func (b *backend) Snapshot(ctx context.Context, fn func(db.Conn) error) error {
	conn, err := b.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `BEGIN`); err != nil {
		return err
	}
	defer func() { _, _ = conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`) }() // nothing was written
	return fn(snapshotConn{conn})
}

// A snapshotConn reads in the one transaction of a snapshot.
type snapshotConn struct{ conn *sql.Conn }

// Query implements [db.Conn].
func (c snapshotConn) Query(ctx context.Context, query string, args []any) (db.Rows, error) {
	return rowsOf(c.conn.QueryContext(ctx, rewrite(query), args...))
}

// Exec implements [db.Conn].
func (snapshotConn) Exec(context.Context, string, []any) (sql.Result, error) { return nil, errReadOnly }

// Script implements [db.Conn].
func (snapshotConn) Script(context.Context, string) error { return errReadOnly }

// Copy writes a consistent copy of a SQLite file to target, which must not exist. It
// is durable when Copy returns, and complete without a write-ahead log. A server may use
// the file meanwhile, and is not disturbed. If none does, call [CheckLog] first.
func Copy(ctx context.Context, file, target string) error {
	// SQLite takes the mode of a file that is there and empty.
	if err := atomicfile.Create(target, nil, 0o600); err != nil {
		return err
	}
	pool, err := openReading(ctx, file)
	if err != nil {
		return err
	}
	pool.SetMaxOpenConns(1)
	if _, err = pool.ExecContext(ctx, `PRAGMA query_only = 0`); err == nil { // the file stays read-only
		_, err = pool.ExecContext(ctx, `VACUUM INTO ?`, target)
	}
	if err = errors.Join(err, pool.Close()); err != nil {
		return fmt.Errorf("copy %s: %w", file, err)
	}
	copied, err := os.OpenFile(target, os.O_RDWR, 0) // SQLite does not sync it
	if err != nil {
		return err
	}
	return errors.Join(copied.Sync(), copied.Close())
}

// CheckStructure returns what is wrong with the structure of the file that q reads: its
// pages, its indexes, and its foreign keys. It reads the whole file.
func CheckStructure(ctx context.Context, q db.Querier) ([]string, error) {
	found, err := db.All(ctx, q, db.Scalar[string], `PRAGMA integrity_check(100)`)
	if err != nil {
		return nil, err
	}
	if len(found) == 1 && found[0] == "ok" {
		return nil, nil
	}
	return found, nil
}
