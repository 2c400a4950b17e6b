package sqlite

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
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
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
//
// A clean stop leaves no log, and records that. Otherwise a copy of the whole
// folder, made after a clean stop and put back beside the log of a crash, would
// bring the record that makes the log valid.
type stamp struct {
	UserVersion   uint32 `json:"userVersion"`
	SchemaVersion uint32 `json:"schemaVersion"`
}

// stampRecord is the content of the file. It has two stamps while a start
// changes the stamp.
type stampRecord struct {
	Stamps []stamp `json:"stamps"`
	// Clean means that the database was closed, and that every log is foreign.
	Clean bool `json:"clean,omitzero"`
}

const (
	headerBytes         = 100
	schemaVersionOffset = 40
	userVersionOffset   = 60
	pagesOffset         = 28
	maxStampFile        = 4 << 10
)

func stampFile(file string) string { return file + "-stamp" }

func logFile(file string) string { return file + "-wal" }

// checkLog returns ErrForeignLog if there is a write-ahead log with content
// beside the file and the file does not have the recorded stamp. Without a
// record, as before the first start that writes one, any log is accepted. A
// rollback journal is checked too.
func checkLog(file string) error {
	recorded, err := checkForeign(file)
	if err != nil {
		return err
	}
	if size, err := sizeOf(logFile(file)); err != nil || size == 0 {
		return errors.Join(err, reopenStamps(file, recorded))
	}
	return nil
}

// CheckLog returns ErrForeignLog if [Open] would, and changes nothing. Call it only if
// no server uses the file.
func CheckLog(file string) error {
	_, err := checkForeign(file)
	return err
}

// checkForeign is checkLog without its effect on the record.
func checkForeign(file string) (recorded stampRecord, err error) {
	if err := checkJournal(file); err != nil {
		return recorded, err
	}
	if recorded, err = readStamps(file); err != nil {
		return recorded, err
	}
	if size, err := sizeOf(logFile(file)); err != nil || size == 0 {
		return recorded, err
	}
	if size, err := sizeOf(file); err != nil || size == 0 {
		if err != nil {
			return recorded, err
		}
		return recorded, fmt.Errorf("%s is missing or empty, but %s is there: %w", file, logFile(file), ErrForeignLog)
	}
	if recorded.Clean {
		return recorded, fmt.Errorf("%s: %w", logFile(file), ErrForeignLog)
	}
	if len(recorded.Stamps) == 0 {
		return recorded, nil
	}
	now, err := stampOf(file)
	if err != nil {
		return recorded, err
	}
	if !slices.Contains(recorded.Stamps, now) {
		return recorded, fmt.Errorf("%s: %w", logFile(file), ErrForeignLog)
	}
	return recorded, nil
}

// reopenStamps replaces the record of a clean stop before a log can come into
// being. If the disk is full, no record is better than that one.
func reopenStamps(file string, recorded stampRecord) error {
	if !recorded.Clean {
		return nil
	}
	if now, err := stampOf(file); err == nil && writeStamps(file, stampRecord{Stamps: []stamp{now}}) == nil {
		return nil
	}
	return os.Remove(stampFile(file))
}

// checkJournal returns ErrForeignLog if SQLite would roll the database back to
// another size. SQLite does so with any rollback journal that it finds, also with
// one that a killed process left of another database file. The server itself
// writes a journal only when it changes a file to a write-ahead log, which keeps
// the size: https://www.sqlite.org/fileformat2.html#the_rollback_journal
func checkJournal(file string) error {
	const initialPagesOffset, journalHeaderBytes = 16, 28
	pages, err := headerOf(file, pagesOffset+4)
	if err != nil || pages == nil {
		return err
	}
	journal, err := headerOf(file+"-journal", journalHeaderBytes)
	if err != nil || journal == nil || journal[0] == 0 { // 0: it was completed
		return err
	}
	have, want := binary.BigEndian.Uint32(pages[pagesOffset:]), binary.BigEndian.Uint32(journal[initialPagesOffset:])
	if have > 1 && have != want {
		return fmt.Errorf("%s-journal: %w", file, ErrForeignLog)
	}
	return nil
}

// headerOf returns the first n bytes of a file, nil if it is missing or shorter.
func headerOf(file string, n int) ([]byte, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	header := make([]byte, n)
	_, err = io.ReadFull(f, header)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, nil
	}
	return header, err
}

// stampOf reads the stamp of a file that this process has not opened by SQLite.
func stampOf(file string) (stamp, error) {
	f, err := os.Open(file)
	if err != nil {
		return stamp{}, err
	}
	defer f.Close()
	return readStamp(f)
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
func readStamp(file *os.File) (stamp, error) {
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

func writeStamps(file string, r stampRecord) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return atomicfile.Replace(stampFile(file), append(text, '\n'), 0o600)
}

// Stamp implements [db.Backend]: it gives the database file a new stamp.
func (b *backend) Stamp(ctx context.Context) error {
	before, err := readStamp(b.raw)
	if err != nil {
		return err
	}
	next := rand.Uint32()>>1 | 1 // user_version is a signed number, and 0 means unset
	var schema uint32
	err = b.Run(ctx, func(c db.Conn) error {
		v, err := db.Number(c.Query(ctx, `PRAGMA schema_version`, nil))
		schema = uint32(v)
		return err
	})
	if err != nil {
		return err
	}
	recorded, err := readStamps(b.file)
	if err != nil {
		return err
	}
	// Both stamps are valid until the file certainly has the new one. At the first start
	// there is no record, and without one every stamp is valid.
	after := stamp{UserVersion: next, SchemaVersion: schema}
	mixed := stamp{UserVersion: before.UserVersion, SchemaVersion: schema}
	all := stampRecord{Stamps: []stamp{before, mixed, after}}
	if recorded.Clean || len(recorded.Stamps) > 0 {
		if err := writeStamps(b.file, all); err != nil {
			return err
		}
	}
	err = b.Run(ctx, func(c db.Conn) error {
		return c.Script(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, next))
	})
	if err != nil {
		return err
	}
	if err := b.write.checkpoint(); err != nil {
		return err
	}
	if now, err := readStamp(b.raw); err != nil || now != after {
		return errors.Join(err, writeStamps(b.file, all)) // the checkpoint was not complete
	}
	b.stamp.Store(&after)
	return writeStamps(b.file, stampRecord{Stamps: []stamp{after}})
}

// recordClean records that the database was closed and left no log. If it fails,
// the stamps of this start stay valid.
func recordClean(file string) {
	if size, err := sizeOf(logFile(file)); err != nil || size > 0 {
		return
	}
	if recorded, err := readStamps(file); err != nil || len(recorded.Stamps) == 0 {
		return // there is nothing that a log could be compared with
	}
	_ = writeStamps(file, stampRecord{Clean: true})
}

// checkStamp returns an error if the content of the file was replaced after
// Stamp, as by cp of a backup while the server runs. It cannot tell this from
// another program's VACUUM, which needs a restart for the sake of the stamp.
func (b *backend) checkStamp() error {
	want := b.stamp.Load()
	if want == nil {
		return nil
	}
	now, err := readStamp(b.raw)
	if err != nil || now == *want {
		return err
	}
	return fmt.Errorf("the database file %s was overwritten, or its schema was changed, by another program while it is open: stop the server; if a backup was copied over the file, restore it again; then start the server", b.file)
}
