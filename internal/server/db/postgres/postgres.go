// Package postgres is the [db.Backend] of a PostgreSQL database, which several
// servers may use at the same time.
//
// Every transaction is serializable and has a connection of its own; [db.DB.Tx]
// runs it again if the database asks for that. Migrations hold an advisory lock.
// Connections come from a bounded pool, with limits for the time to connect, of a
// statement, of a wait for a lock, and of a pause inside a transaction. pgx keeps
// the statements of each connection prepared.
//
// The tables lie in the first schema of the connection's search path, so that
// several installations fit into one database. No error contains the password.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

const (
	// minVersion is the oldest server that is supported, as PostgreSQL's
	// server_version_num.
	minVersion = 14_00_00
	// idleTime and lifetime limit how long a connection is kept: the first returns
	// those of a busy time, the second follows a change of addresses.
	idleTime = 5 * time.Minute
	lifetime = time.Hour
)

// A backend is an open PostgreSQL database.
type backend struct {
	config  *pgx.ConnConfig
	pool    *sql.DB
	size    int // of the pool
	schema  string
	metrics *metrics

	background context.Context // of the goroutines; ends with Close
	stop       context.CancelFunc
	running    sync.WaitGroup
	notifying  sync.Once
	listening  sync.Once
	wake       chan struct{} // something is to be sent
	woken      chan struct{} // something was received
}

var _ db.Backend = (*backend)(nil)

// Open opens the database of a URL; see [CheckURL] for its form. It needs a
// database in UTF-8 and the right to create tables in the first schema of the
// search path.
func Open(ctx context.Context, url string) (*db.DB, error) {
	config, size, err := parse(url)
	if err != nil {
		return nil, err
	}
	b := &backend{config: config, pool: stdlib.OpenDB(*config), size: size, wake: make(chan struct{}, 1), woken: make(chan struct{}, 1)}
	b.pool.SetMaxOpenConns(size)
	b.pool.SetMaxIdleConns(size)
	b.pool.SetConnMaxIdleTime(idleTime)
	b.pool.SetConnMaxLifetime(lifetime)
	b.metrics = newMetrics(b.pool)
	b.background, b.stop = context.WithCancel(context.Background())
	if err := b.check(ctx); err != nil {
		return nil, fmt.Errorf("open the database %s: %w", Redact(url), errors.Join(err, b.Close()))
	}
	d, err := db.New(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("open the database %s: %w", Redact(url), err)
	}
	return d, nil
}

// HasData reports whether the database of a URL has the tables of an installation.
// It creates none.
func HasData(ctx context.Context, url string) (bool, error) {
	config, _, err := parse(url)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, statementLimit)
	defer cancel()
	var has bool
	c, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		err = c.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'migration')`).Scan(&has)
		err = errors.Join(err, c.Close(ctx))
	}
	if err != nil {
		return false, fmt.Errorf("open the database %s: %w", Redact(url), err)
	}
	return has, nil
}

// check refuses a server that would not keep what is committed to it.
func (b *backend) check(ctx context.Context) error {
	var version int
	var encoding, synchronous string
	var standby bool
	err := b.pool.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_encoding'),
		current_setting('synchronous_commit'), pg_is_in_recovery(), COALESCE(current_schema(), '')`).
		Scan(&version, &encoding, &synchronous, &standby, &b.schema)
	switch {
	case err != nil:
		return err
	case version < minVersion:
		return fmt.Errorf("the server is PostgreSQL %d; version %d or newer is needed", version/10000, minVersion/10000)
	case encoding != "UTF8":
		return fmt.Errorf("the database has the encoding %s; create it with ENCODING 'UTF8'", encoding)
	case synchronous == "off":
		return errors.New("synchronous_commit is off, so a crash of the database would lose what was acknowledged; set it to on for the user or the database")
	case standby:
		return errors.New("the server is a standby and cannot be written; name the primary, or several hosts with target_session_attrs=read-write")
	case b.schema == "":
		return errors.New("no schema of the search path exists, so no table can be created; create the schema, or set search_path in the URL")
	}
	return nil
}

// Close implements [db.Backend].
func (b *backend) Close() error {
	b.stop()
	b.running.Wait()
	return b.pool.Close()
}

// Ping implements [db.Backend].
func (b *backend) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, statementLimit)
	defer cancel()
	_, err := b.pool.ExecContext(ctx, `SELECT 1`)
	return err
}

// Query implements [db.Backend].
func (b *backend) Query(ctx context.Context, query string, args []any) (db.Rows, error) {
	return limited(ctx, time.Now().Add(statementLimit), b.pool.QueryContext, query, args)
}

// Migrate implements [db.Backend]. Each statement sees what is committed when it
// begins, so what another server has migrated while this one waited is seen. The
// lock is held to the end of the transaction.
func (b *backend) Migrate(ctx context.Context, fn func(db.Conn) error) error {
	lock := fmt.Sprintf(`SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0;
		SELECT pg_advisory_xact_lock(%d);
		SET LOCAL lock_timeout = '1min'`, int64(b.hash()))
	return b.transaction(ctx, migrationLimit, `BEGIN ISOLATION LEVEL READ COMMITTED`, func(t *transaction) error {
		if err := t.Script(ctx, lock); err != nil {
			return fmt.Errorf("wait for the migration of another server: %w", err)
		}
		return fn(t)
	})
}

// hash identifies the installation among those in the same database.
func (b *backend) hash() uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "gatehouse %s", b.schema)
	return h.Sum64()
}

// HasTable implements [db.Backend].
func (b *backend) HasTable(ctx context.Context, name string) (has bool, err error) {
	err = b.pool.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = $1 AND tablename = $2)`, b.schema, name).Scan(&has)
	return has, err
}

// Migrations implements [db.Backend].
func (*backend) Migrations() []db.Migration { return nil }

// Metrics implements [db.Backend].
func (b *backend) Metrics() []prometheus.Collector { return b.metrics.collectors() }

// Shared implements [db.Backend].
func (*backend) Shared() bool { return true }

// Stamp implements [db.Backend]. PostgreSQL looks after its own files.
func (*backend) Stamp(context.Context) error { return nil }

// Position implements [db.Backend]: it is the id of the transaction.
func (*backend) Position(ctx context.Context, c db.Conn) (int64, error) {
	return db.Number(c.Query(ctx, `SELECT pg_current_xact_id()::text::bigint`, nil))
}

// Finished implements [db.Backend]. The transactions are those in all databases of
// the server.
func (b *backend) Finished(ctx context.Context) (db.Finished, error) {
	rows, err := b.Query(ctx, `SELECT pg_current_snapshot()::text`, nil)
	if err != nil {
		return db.Finished{}, err
	}
	defer rows.Close()
	var text string
	if rows.Next() {
		if err := rows.Scan(&text); err != nil {
			return db.Finished{}, err
		}
	}
	if err := rows.Err(); err != nil {
		return db.Finished{}, err
	}
	return parseSnapshot(text)
}

// parseSnapshot parses a pg_snapshot, "xmin:xmax:xip,xip,…" (PostgreSQL's manual,
// "Transaction ID and Snapshot Information Functions").
func parseSnapshot(text string) (f db.Finished, err error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return f, fmt.Errorf("PostgreSQL's snapshot is %q", text)
	}
	if f.Below, err = strconv.ParseInt(parts[1], 10, 64); err != nil || parts[2] == "" {
		return f, err
	}
	for number := range strings.SplitSeq(parts[2], ",") {
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return f, err
		}
		f.Running = append(f.Running, n)
	}
	slices.Sort(f.Running)
	return f, nil
}

// Incarnation implements [db.Backend]: it is when the server was started, which a
// standby that takes over was at another time, and which database and schema it has.
func (b *backend) Incarnation(ctx context.Context) (text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, statementLimit)
	defer cancel()
	err = b.pool.QueryRowContext(ctx, `SELECT concat(extract(epoch FROM pg_postmaster_start_time()), '/', d.oid, '/', n.oid)
		FROM pg_database d, pg_namespace n WHERE d.datname = current_database() AND n.nspname = current_schema()`).Scan(&text)
	return text, err
}
