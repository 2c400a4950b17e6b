package db

import "context"

// SchemaSteps returns the names of all migrations that the database has, in
// alphabetical order.
func (db *DB) SchemaSteps(ctx context.Context) ([]string, error) {
	return All(ctx, db, Scalar[string], `SELECT name FROM migration ORDER BY name`)
}
