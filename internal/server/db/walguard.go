package db

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-registry/gatehouse/internal/atomicfile"
)

// ErrForeignLog means that the write-ahead log beside the database belongs to
// another database file.
var ErrForeignLog = errors.New("the write-ahead log belongs to another database file")

// A stamp is what identifies a database file from one start to the next. It is
// made of two fields of SQLite's file header, which lie at fixed offsets and can
// be read without SQLite: https://www.sqlite.org/fileformat2.html#the_database_header
//
// SQLite applies every write-ahead log that it finds beside a database file. The
// log says nothing about the file that it belongs to: if a backup is copied over
// the file after a crash, the old log is applied to the backup, and the result is
// a mixture of both. So every start gives the file a new user version, and a
// small file beside the database (see stampFile) records it. At the next start,
// a log is accepted only if the database file still has the recorded stamp.
//
// A backup that was made since the last start has the same user version, but
// another schema version: both VACUUM INTO and SQLite's backup API change that
// one in the copy.
type stamp struct {
	UserVersion   uint32 `json:"userVersion"`
	SchemaVersion uint32 `json:"schemaVersion"`
}

// stampRecord is the content of the file. It has two stamps while a start
// changes the stamp.
type stampRecord struct {
	Stamps []stamp `json:"stamps"`
}

const (
	headerBytes         = 100
	schemaVersionOffset = 40
	userVersionOffset   = 60
	maxStampFile        = 4 << 10
)

func stampFile(file string) string { return file + "-stamp" }

func logFile(file string) string { return file + "-wal" }

// checkLog returns ErrForeignLog if there is a write-ahead log with content
// beside the file and the file does not have the recorded stamp. Without a
// record, as before the first start that writes one, any log is accepted.
func checkLog(file string) error {
	if size, err := sizeOf(logFile(file)); err != nil || size == 0 {
		return err
	}
	if size, err := sizeOf(file); err != nil || size == 0 {
		if err != nil {
			return err
		}
		return fmt.Errorf("%s is missing or empty, but %s is there: %w", file, logFile(file), ErrForeignLog)
	}
	recorded, err := readStamps(file)
	if err != nil || len(recorded.Stamps) == 0 {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	now, err := readStamp(f)
	if err != nil {
		return err
	}
	if !slices.Contains(recorded.Stamps, now) {
		return fmt.Errorf("%s: %w", logFile(file), ErrForeignLog)
	}
	return nil
}

// sizeOf returns the size of a file, 0 if there is none.
func sizeOf(file string) (int64, error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// readStamp reads the stamp from the header of the file itself, without the log.
func readStamp(file io.ReaderAt) (stamp, error) {
	var header [headerBytes]byte
	if _, err := file.ReadAt(header[:], 0); err != nil {
		return stamp{}, fmt.Errorf("read the header of the database: %w", err)
	}
	return stamp{
		UserVersion:   binary.BigEndian.Uint32(header[userVersionOffset:]),
		SchemaVersion: binary.BigEndian.Uint32(header[schemaVersionOffset:]),
	}, nil
}

func readStamps(file string) (stampRecord, error) {
	f, err := os.Open(stampFile(file))
	if errors.Is(err, fs.ErrNotExist) {
		return stampRecord{}, nil
	}
	if err != nil {
		return stampRecord{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxStampFile))
	if err != nil {
		return stampRecord{}, err
	}
	var r stampRecord
	if json.Unmarshal(text, &r) != nil {
		return stampRecord{}, nil // cannot be a reason to refuse the database
	}
	return r, nil
}

func writeStamps(file string, stamps ...stamp) error {
	text, err := json.Marshal(stampRecord{stamps})
	if err != nil {
		return err
	}
	return atomicfile.Replace(stampFile(file), append(text, '\n'), 0o600)
}

// Stamp gives the database file a new stamp; see [stamp]. Call it when all
// migrations are applied, before the database is used. If it fails, as on a full
// disk, the database is as good as before: an old stamp stays valid.
func (db *DB) Stamp(ctx context.Context) error {
	before, err := readStamp(db.raw)
	if err != nil {
		return err
	}
	next := rand.Uint32()>>1 | 1 // user_version is a signed number, and 0 means unset
	var schema uint32
	err = db.Tx(ctx, func(tx *Tx) error {
		v, err := One(ctx, tx, Scalar[int64], `PRAGMA schema_version`)
		schema = uint32(v)
		return err
	})
	if err != nil {
		return err
	}
	// Both stamps are valid until the file certainly has the new one.
	after := stamp{UserVersion: next, SchemaVersion: schema}
	mixed := stamp{UserVersion: before.UserVersion, SchemaVersion: schema}
	if err := writeStamps(db.file, before, mixed, after); err != nil {
		return err
	}
	err = db.Tx(ctx, func(tx *Tx) error {
		return tx.script(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, next))
	})
	if err != nil {
		return err
	}
	if err := db.write.checkpoint(); err != nil {
		return err
	}
	if now, err := readStamp(db.raw); err != nil || now != after {
		return err // the checkpoint was not complete: all stamps stay valid
	}
	return writeStamps(db.file, after)
}
