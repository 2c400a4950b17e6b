package db

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/randid"
)

var installationMigration = Migration{Name: "installation/001-id", SQL: `CREATE TABLE db_installation (
	one {int} NOT NULL PRIMARY KEY, -- 1
	id {text} NOT NULL -- random
)`}

// InstallationMigrations returns the schema of what [DB.Installation] returns.
func InstallationMigrations() []Migration { return []Migration{installationMigration} }

// Installation returns the random id of the installation that the database belongs to,
// and makes it at the first call. A copy of the database has the same id. What is kept
// elsewhere, such as a bucket, can say by it which database it belongs to.
func (db *DB) Installation(ctx context.Context) (string, error) {
	if err := db.Migrate(ctx, installationMigration); err != nil {
		return "", err
	}
	const read = `SELECT id FROM db_installation`
	if ids, err := All(ctx, db, Scalar[string], read); err != nil || len(ids) > 0 {
		return append(ids, "")[0], err
	}
	id := randid.UUID()
	err := db.Tx(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO db_installation (one, id) VALUES (1, $1) ON CONFLICT (one) DO NOTHING`, id)
		return err
	})
	if err != nil {
		return "", err
	}
	return One(ctx, db, Scalar[string], read) // another server may have been faster
}
