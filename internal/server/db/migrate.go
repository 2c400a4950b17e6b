package db

import (
	"context"
	"fmt"
)

// A Migration is one step of a domain's schema. It never changes once it is
// released; a change of the schema is a new step.
type Migration struct {
	// Name is unique over all domains. It names the domain and the step's
	// position: "images/001-repositories".
	Name string
	// SQL is one or more statements, with {int}, {text} and {bytes} for types.
	SQL string
}

const migrationTable = `CREATE TABLE IF NOT EXISTS migration (name {text} NOT NULL PRIMARY KEY)`

// Migrate applies those migrations that the database does not have yet, in the
// given order and in one transaction.
func (db *DB) Migrate(ctx context.Context, migrations ...Migration) error {
	return db.Tx(ctx, func(tx *Tx) error {
		if err := tx.script(ctx, db.dialect.schema(migrationTable)); err != nil {
			return err
		}
		for _, m := range migrations {
			n, err := tx.Exec(ctx, `INSERT INTO migration (name) VALUES ($1) ON CONFLICT (name) DO NOTHING`, m.Name)
			if err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			if err := tx.script(ctx, db.dialect.schema(m.SQL)); err != nil {
				return fmt.Errorf("migration %s: %w", m.Name, err)
			}
		}
		return nil
	})
}
