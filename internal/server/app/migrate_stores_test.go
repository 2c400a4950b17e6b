//go:build stores

package app_test

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/consistency"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/verify"
)

// An installation moves from SQLite and files to PostgreSQL and S3, is served and
// verified there, and moves back.
func TestStoresMigrate_ThereAndBack(t *testing.T) {
	g := start(t)
	g.fillRandomly(rand.New(rand.NewPCG(7, 7)))
	g.stop()
	there := localStores(filepath.Join(t.TempDir(), "there"))
	there.Database, there.Blobs = dbtest.Schema(t), blobtest.S3URL(t)
	back := filepath.Join(t.TempDir(), "back")
	mustMigrate(t, localStores(g.data), there)
	mustMigrate(t, there, localStores(back))
	wantSameContents(t, contents(t, back), contents(t, g.data))
	g.data = there.Data
	g.change = func(c *config.Config) { c.Database, c.Blobs, c.Downloads = there.Database, there.Blobs, "stream" }
	g.serve()
	authorization := "Basic " + g.imageToken(g.admin(victim))
	g.pull(authorization, "signed", layerContent)
	g.push(authorization, "app", "pushed to PostgreSQL and S3")
	g.publish("right", "2.0.0")
	if found := verifiedStores(t, there); len(found) > 0 {
		t.Errorf("beside the server: %v", found)
	}
	g.stop()
	again := filepath.Join(t.TempDir(), "again")
	mustMigrate(t, there, localStores(again))
	g.data, g.change = again, func(*config.Config) {}
	g.serve()
	g.pull("Basic "+g.imageToken(g.admin(victim)), "latest", "pushed to PostgreSQL and S3")
}

// Only the blobs or only the database can move.
func TestStoresMigrate_OneStore(t *testing.T) {
	for name, change := range map[string]func(*config.Config){
		"database": func(c *config.Config) { c.Database = dbtest.Schema(t) },
		"blobs":    func(c *config.Config) { c.Blobs, c.Downloads = blobtest.S3URL(t), "stream" },
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t)
			g.fill()
			g.stop()
			to := localStores(g.data)
			change(to)
			mustMigrate(t, localStores(g.data), to)
			g.change = func(c *config.Config) { c.Database, c.Blobs, c.Downloads = to.Database, to.Blobs, to.Downloads }
			g.serve()
			g.pull("Basic "+g.imageToken(g.admin(victim)), "signed", layerContent)
			if found := verifiedStores(t, to); len(found) > 0 {
				t.Errorf("verify: %v", found)
			}
		})
	}
}

// verifiedStores verifies an installation on any stores, beside its server.
func verifiedStores(t *testing.T, c *config.Config) (found []string) {
	t.Helper()
	stores, err := app.OpenStores(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer stores.Close()
	if _, err := verify.Run(t.Context(), stores.Verification(), func(f consistency.Finding) { found = append(found, f.Kind+" "+f.Subject) }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}
