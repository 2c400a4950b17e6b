//go:build stores

package postgres_test

import (
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/postgres"
)

func TestPostgres_Conformance(t *testing.T) {
	dbtest.Run(t, func(t *testing.T) func() *db.DB {
		url := dbtest.Schema(t)
		return func() *db.DB { return open(t, url) }
	})
}

func open(t testing.TB, url string) *db.DB {
	t.Helper()
	d, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}
