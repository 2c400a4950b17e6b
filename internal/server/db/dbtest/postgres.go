package dbtest

import (
	"context"
	"net/url"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-registry/gatehouse/internal/randid"
)

// Schema returns the URL of a fresh, empty schema of a PostgreSQL database. To a
// server it is a database of its own, and it is much cheaper than [Database]. It is
// dropped when the test ends.
func Schema(t testing.TB) string {
	t.Helper()
	name := freshName()
	administer(t, `CREATE SCHEMA `+name)
	t.Cleanup(func() { administer(t, `SET client_min_messages = error; DROP SCHEMA `+name+` CASCADE`) })
	u := maintenance(t)
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}

// Database returns the URL of a fresh, empty PostgreSQL database. It is dropped
// when the test ends, together with the connections that are still open.
func Database(t testing.TB) string {
	t.Helper()
	name := freshName()
	administer(t, `CREATE DATABASE `+name)
	t.Cleanup(func() { administer(t, `DROP DATABASE `+name+` WITH (FORCE)`) })
	u := maintenance(t)
	u.Path = "/" + name
	return u.String()
}

func maintenance(t testing.TB) *url.URL {
	t.Helper()
	text := os.Getenv("GATEHOUSE_TEST_POSTGRES")
	if text == "" {
		t.Fatal("GATEHOUSE_TEST_POSTGRES is not set: run the test by scripts/with-stores")
	}
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal("GATEHOUSE_TEST_POSTGRES is not a URL")
	}
	return u
}

func administer(t testing.TB, statements string) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, maintenance(t).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.PgConn().Exec(ctx, statements).ReadAll(); err != nil {
		t.Error(err)
	}
}

func freshName() string { return "gatehouse_test_" + randid.Text() }
