package db

import (
	"context"
	"fmt"
	"time"
)

// info is the one row that describes the database as a whole.
type info struct {
	created  int64 // microseconds since 1970; 0 if unknown
	complete bool
}

var infoMigration = Migration{Name: "db/001-info", SQL: `CREATE TABLE db_info (
	one      {int} NOT NULL PRIMARY KEY, -- 1
	created  {int} NOT NULL, -- when the database was created; 0 if it is older than this table
	complete {int} NOT NULL  -- 1 after the first start has finished
)`}

// loadInfo reads the row, and writes it if there is none. It writes nothing to a
// database that has it, so that a server can start on a full disk.
func (db *DB) loadInfo(ctx context.Context) error {
	if err := db.ensureInfo(ctx); err != nil {
		return err
	}
	var err error
	db.info, err = One(ctx, db, func(r Row) (i info, err error) {
		var complete int64
		err = r.Scan(&i.created, &complete)
		i.complete = complete == 1
		return i, err
	}, `SELECT created, complete FROM db_info`)
	now := Micros(time.Now())
	if err == nil && db.info.created > now {
		// The clock was ahead when the database was created. Left as it is, this
		// would keep every sweep from removing anything.
		db.info.created = now
		err = db.Tx(ctx, func(tx *Tx) error {
			_, err := tx.Exec(ctx, `UPDATE db_info SET created = $1`, db.info.created)
			return err
		})
	}
	return err
}

// ensureInfo creates the table and its row.
func (db *DB) ensureInfo(ctx context.Context) error {
	used, err := db.backend.HasTable(ctx, "migration")
	if err != nil {
		return err
	}
	i := info{created: Micros(time.Now())}
	if used {
		has, err := db.backend.HasTable(ctx, "db_info")
		if err != nil || has {
			return err
		}
		i = info{complete: true} // the database of a version without db_info
	}
	return db.createInfo(ctx, i)
}

// createInfo creates the table together with its row: another server, and the next
// start, must not find one without the other. The engine's tables come with them, which
// saves a commit.
func (db *DB) createInfo(ctx context.Context, i info) error {
	complete := 0
	if i.complete {
		complete = 1
	}
	m := infoMigration
	m.SQL += fmt.Sprintf(`; INSERT INTO db_info (one, created, complete) VALUES (1, %d, %d)`, i.created, complete)
	return db.Migrate(ctx, append([]Migration{m}, db.backend.Migrations()...)...)
}

// Created returns when the database was created, by this machine's clock. It is
// the zero time for databases of versions that did not record it. What is older
// than the database cannot be judged by it: it may belong to an earlier one.
func (db *DB) Created() time.Time {
	if db.info.created == 0 {
		return time.Time{}
	}
	return Time(db.info.created)
}

// Complete reports whether [DB.SetComplete] was called, now or at an earlier
// start. Until then nothing was acknowledged from this database.
func (db *DB) Complete() bool { return db.info.complete }

// SetComplete records that the first start has finished.
func (db *DB) SetComplete(ctx context.Context) error {
	if db.info.complete {
		return nil
	}
	err := db.Tx(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `UPDATE db_info SET complete = 1`)
		return err
	})
	db.info.complete = err == nil
	return err
}
