package db

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// ErrNewerSchema means that the database has migrations that this program does
// not know: a newer version of the program wrote it.
var ErrNewerSchema = errors.New("the database was written by a newer version of Gatehouse")

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
// given order and in one transaction. Several servers may call it at the same
// time. It returns ErrNewerSchema, and changes nothing, if the database has a
// migration of the same domain that is not among them and was not given before.
func (db *DB) Migrate(ctx context.Context, migrations ...Migration) error {
	db.mu.Lock()
	for _, m := range migrations {
		db.known[m.Name] = true
	}
	db.mu.Unlock()
	domains := map[string]bool{}
	for _, m := range migrations {
		domains[domainOf(m.Name)] = true
	}
	return db.explain(db.try(ctx, db.backend.Migrate, func(tx *Tx) error {
		if err := tx.script(ctx, db.backend.Schema(migrationTable)); err != nil {
			return err
		}
		if err := db.checkKnown(ctx, tx, func(name string) bool { return domains[domainOf(name)] }); err != nil {
			return err
		}
		for _, m := range migrations {
			if err := db.apply(ctx, tx, m); err != nil {
				return fmt.Errorf("migration %s: %w", m.Name, err)
			}
		}
		return nil
	}))
}

// apply applies a migration unless the database has it.
func (db *DB) apply(ctx context.Context, tx *Tx, m Migration) error {
	n, err := tx.Exec(ctx, `INSERT INTO migration (name) VALUES ($1) ON CONFLICT (name) DO NOTHING`, m.Name)
	if err != nil || n == 0 {
		return err
	}
	return tx.script(ctx, db.backend.Schema(m.SQL))
}

// Know says that the database may have these migrations although they are not given to
// [DB.Migrate] this time: what they are for is not used now.
func (db *DB) Know(migrations ...Migration) {
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, m := range migrations {
		db.known[m.Name] = true
	}
}

// CheckSchema returns ErrNewerSchema if the database has a migration that was not
// given to [DB.Migrate] since it was opened. Call it when every domain has
// applied its migrations, before the server answers requests.
func (db *DB) CheckSchema(ctx context.Context) error {
	return db.checkKnown(ctx, db, func(string) bool { return true })
}

// checkKnown looks at the migrations for which relevant returns true.
func (db *DB) checkKnown(ctx context.Context, q Querier, relevant func(name string) bool) error {
	names, err := All(ctx, q, Scalar[string], `SELECT name FROM migration ORDER BY name`)
	if err != nil {
		return err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	var unknown []string
	for _, name := range names {
		if relevant(name) && !db.known[name] {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return fmt.Errorf("%w: it has the schema steps %s, which this version does not know. Start the newer version again. To go back to this version, restore the backup that was made before the upgrade", ErrNewerSchema, strings.Join(unknown, ", "))
	}
	return nil
}

// domainOf returns the domain in the name of a migration.
func domainOf(name string) string {
	domain, _, _ := strings.Cut(name, "/")
	return domain
}
