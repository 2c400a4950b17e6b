package db

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
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
	tables, err := All(ctx, db, Scalar[string], `SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ('db_info', 'migration')`)
	if err != nil {
		return err
	}
	now := time.Now()
	if len(tables) < 2 { // a new database, or one of a version without db_info
		created := info{created: Micros(now)}
		if len(tables) == 1 {
			created = info{complete: true}
		}
		if err := db.createInfo(ctx, created); err != nil {
			return err
		}
	}
	db.info, err = One(ctx, db, func(r Row) (i info, err error) {
		var complete int64
		err = r.Scan(&i.created, &complete)
		i.complete = complete == 1
		return i, err
	}, `SELECT created, complete FROM db_info`)
	if err == nil && db.info.created > Micros(now) {
		// The clock was ahead when the database was created. Left as it is, this
		// would keep every sweep from removing anything.
		db.info.created = Micros(now)
		err = db.Tx(ctx, func(tx *Tx) error {
			_, err := tx.Exec(ctx, `UPDATE db_info SET created = $1`, db.info.created)
			return err
		})
	}
	return err
}

func (db *DB) createInfo(ctx context.Context, i info) error {
	if err := db.Migrate(ctx, infoMigration); err != nil {
		return err
	}
	complete := 0
	if i.complete {
		complete = 1
	}
	return db.Tx(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO db_info (one, created, complete) VALUES (1, $1, $2) ON CONFLICT (one) DO NOTHING`, i.created, complete)
		return err
	})
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

// SQLiteHasData reports whether there is a database in the file, or in the
// write-ahead log beside it. It does not open the database. An empty file, and
// one without any table, does not count.
func SQLiteHasData(file string) (bool, error) {
	if size, err := sizeOf(logFile(file)); err != nil || size > 0 {
		return size > 0, err
	}
	size, err := sizeOf(file)
	if err != nil || size == 0 {
		return false, err
	}
	f, err := os.Open(file)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var header [headerBytes]byte
	_, err = f.ReadAt(header[:], 0)
	if errors.Is(err, io.EOF) {
		return true, nil // not a SQLite file: opening it says so
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", file, err)
	}
	// The first page is for the schema's table, so every table needs a second
	// page. Offset 28 is the number of pages.
	return binary.BigEndian.Uint32(header[pagesOffset:]) != 1, nil
}
