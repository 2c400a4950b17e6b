package sqlite

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// positionMigration is the counter of the transactions that asked for their
// position. Transactions run one after the other, so its order is that of commits.
var positionMigration = db.Migration{Name: "db/002-position", SQL: `CREATE TABLE db_position (
	one {int} NOT NULL PRIMARY KEY, -- 1
	n   {int} NOT NULL -- of the last transaction
); INSERT INTO db_position (one, n) VALUES (1, 0)`}

// Position implements [db.Backend].
func (*backend) Position(ctx context.Context, c db.Conn) (int64, error) {
	return db.Number(c.Query(ctx, `UPDATE db_position SET n = n + 1 RETURNING n`, nil))
}

// Finished implements [db.Backend].
func (b *backend) Finished(ctx context.Context) (db.Finished, error) {
	n, err := db.Number(b.Query(ctx, `SELECT n FROM db_position`, nil))
	return db.Finished{Below: n + 1}, err
}

// Incarnation implements [db.Backend].
func (*backend) Incarnation(context.Context) (string, error) { return "", nil }
