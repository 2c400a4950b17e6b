package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/gatehouse-registry/gatehouse/internal/redact"
	"github.com/gatehouse-registry/gatehouse/internal/server/asynclog"
)

// A Log is where records go: one JSON object a line.
type Log struct {
	lines *asynclog.Writer
	file  io.Closer
}

// Open opens the log at path, to which it appends: a file of mode 0600, or
// standard output for "-".
func Open(path string) (*Log, error) {
	if path == "-" {
		return &Log{asynclog.New(redact.Writer(os.Stdout)), io.NopCloser(nil)}, nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		_ = f.Chmod(0o600) // fails only for a file of somebody else, who chose its mode
	}
	if err := endLine(f, path); err != nil {
		f.Close()
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	return &Log{asynclog.New(redact.Writer(f)), f}, nil
}

// endLine ends the last line of a file where it has no end: a process was killed
// within its write. The next record is not to be lost with that one.
func endLine(f *os.File, path string) error {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return err
	}
	r, err := os.Open(path) // f is for writing only, as the file may be
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close()
	var last [1]byte
	if _, err := r.ReadAt(last[:], info.Size()-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err = f.Write([]byte("\n"))
	return err
}

// Write adds a record. An error means that records are being lost: the server
// refuses to go on unaudited and reports itself not ready.
func (l *Log) Write(r *Record) error {
	b := lineBuffers.Get().(*[]byte)
	defer lineBuffers.Put(b)
	text, err := line((*b)[:0], r)
	if err != nil {
		return fmt.Errorf("audit record: %w", err)
	}
	*b = text
	_, err = l.lines.Write(text)
	return err
}

// lineBuffers are for the lines until they are queued.
var lineBuffers = sync.Pool{New: func() any { return new([]byte) }}

// line appends a record and the end of its line.
func line(b []byte, r *Record) ([]byte, error) {
	b, err := r.appendJSON(b)
	if err != nil {
		return nil, err
	}
	b[len(b)-1] = '\n' // the comma behind the record
	return b, nil
}

// Close writes what is queued and closes the file.
func (l *Log) Close() error {
	err := l.lines.Close()
	if cerr := l.file.Close(); err == nil {
		err = cerr
	}
	return err
}
