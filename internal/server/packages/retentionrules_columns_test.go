package packages_test

import (
	"slices"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// What is set aside has every column of a version and an asset, so an undo restores all of
// it. A migration that adds a column to one table must add it to the other, and to the
// list of columns in retentionrules_aside.go.
func TestSchema_AsideHasEveryColumn(t *testing.T) {
	h := open(t)
	columns := func(table string) []string {
		query := `SELECT name FROM pragma_table_info('` + table + `') ORDER BY name`
		if h.db.Shared() {
			query = `SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = '` + table + `' ORDER BY column_name`
		}
		all, err := db.All(t.Context(), h.db, db.Scalar[string], query)
		h.ok(err)
		if len(all) == 0 {
			t.Fatalf("%s has no columns", table)
		}
		return all
	}
	for table, aside := range map[string]string{"pkg_version": "pkg_aside", "pkg_asset": "pkg_aside_asset"} {
		has := columns(aside)
		for _, column := range columns(table) {
			if column != "changed" && !slices.Contains(has, column) { // changed is the number of the change
				t.Errorf("%s has no column %s", aside, column)
			}
		}
	}
}
