//go:build stores

package postgres_test

import (
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/diskspace"
)

func increment(t *testing.T, d *db.DB) error {
	t.Helper()
	return d.Tx(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE counter SET n = n + 1 WHERE name = $1`, "a")
		return err
	})
}

// A server that was demoted takes no changes any more. That is not the fault of a request, and
// none of the connections to it may be kept: the address may lead to its successor now.
func TestTx_DemotedServer(t *testing.T) {
	address := dbtest.Database(t)
	d := open(t, address)
	set(t, d, "a")
	admin, err := pgx.Connect(t.Context(), address+"&default_transaction_read_only=off")
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	run := func(statement string) {
		t.Helper()
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	name := admin.Config().Database
	run(`ALTER DATABASE ` + name + ` SET default_transaction_read_only = on`)
	run(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	const connections = 5
	var reading sync.WaitGroup
	for range connections {
		reading.Go(func() {
			for range 2 { // the first may meet a connection that was ended
				_, _ = db.One(t.Context(), d, db.Scalar[string], `SELECT pg_sleep(0.1)::text`)
			}
		})
	}
	reading.Wait()
	if err := increment(t, d); fault.From(err).Kind != fault.Unavailable {
		t.Errorf("a change at a demoted server: %v, want a fault Unavailable", err)
	}
	run(`ALTER DATABASE ` + name + ` RESET default_transaction_read_only`)
	for i := range connections {
		if err := increment(t, d); err != nil {
			t.Errorf("change %d at its successor: %v", i, err)
		}
	}
}

// What the server cannot do for want of something is not the fault of the request either.
func TestTx_ServerWithoutResources(t *testing.T) {
	d := open(t, dbtest.Schema(t))
	set(t, d, "a")
	for code, want := range map[string]string{
		"53000": "ServiceUnavailable", "53100": diskspace.Code, "53200": "ServiceUnavailable", "53300": "ServiceUnavailable", "53400": "ServiceUnavailable",
		"58030": "ServiceUnavailable", "0A000": "ServiceUnavailable", "25006": "ServiceUnavailable", "57P01": "ServiceUnavailable",
	} {
		err := d.Tx(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), strings.Replace(`DO $$ BEGIN RAISE EXCEPTION 'made by the test' USING ERRCODE = '?'; END $$`, "?", code, 1))
			return err
		})
		if !fault.Is(err, want) {
			t.Errorf("%s: %v, want a fault %s", code, err, want)
		}
		if err := increment(t, d); err != nil {
			t.Errorf("after %s: %v", code, err)
		}
	}
}

// A server without free connections answers changes with a fault, and serves again when
// it has some.
func TestTx_ConnectionLimit(t *testing.T) {
	address := dbtest.Database(t)
	d := open(t, address)
	set(t, d, "a")
	admin, err := pgx.Connect(t.Context(), os.Getenv("GATEHOUSE_TEST_POSTGRES"))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	config, err := pgx.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`ALTER DATABASE ` + config.Database + ` ALLOW_CONNECTIONS false`,
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '` + config.Database + `'`,
	} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := increment(t, d); fault.From(err).Kind != fault.Unavailable {
		t.Errorf("a change without a connection: %v, want a fault Unavailable", err)
	}
	if _, err := admin.Exec(t.Context(), `ALTER DATABASE `+config.Database+` ALLOW_CONNECTIONS true`); err != nil {
		t.Fatal(err)
	}
	if err := increment(t, d); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
