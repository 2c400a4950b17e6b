package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A Rotation says when the log begins a new file, and how much all files may use.
// A zero field means no limit. The files before are named after the time at which
// they ended: audit-20261130T021500Z.jsonl beside audit.jsonl.
type Rotation struct {
	// MaxSize is the size in bytes from which on a file is not continued.
	MaxSize int64
	// MaxAge is the age of a file's first record from which on it is not continued.
	MaxAge time.Duration
	// MaxTotal is the size in bytes of all files. The oldest ones are deleted.
	MaxTotal int64
}

// endedForm is the time in the name of an ended file.
const endedForm = "20060102T150405Z"

// maxTorn is how much of an incomplete record is kept, in bytes.
const maxTorn = 64 << 10

// A file is the file of a log. Only the log's writing goroutine uses it. It follows
// the name: if another program moves the file away, the next record is in a new
// one.
type file struct {
	path     string
	rotation Rotation
	now      func() time.Time
	f        *os.File
	regular  bool
	began    time.Time // of the first record
	cut      bool      // the last write ended within a line
}

// openFile opens a log file. torn is an incomplete record at its end, which a
// killed process left; it is removed from the file.
func openFile(path string, rotation Rotation, now func() time.Time) (f *file, torn string, err error) {
	f = &file{path: path, rotation: rotation, now: now}
	if err := f.open(); err != nil {
		return nil, "", err
	}
	if f.regular {
		if torn, err = f.repair(); err != nil {
			return nil, "", errors.Join(err, f.Close())
		}
		f.began = f.firstRecord()
	}
	return f, torn, nil
}

func (f *file) open() error {
	opened, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := opened.Stat()
	if err != nil {
		return errors.Join(err, opened.Close())
	}
	f.f, f.regular, f.began = opened, info.Mode().IsRegular(), f.now()
	if f.regular {
		_ = opened.Chmod(0o600) // fails only for a file of another user, who chose its mode
	}
	return nil
}

// repair removes an incomplete record from the end of the file and returns it.
func (f *file) repair() (string, error) {
	r, err := os.Open(f.path) // f.f is only for writing
	if errors.Is(err, fs.ErrPermission) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil || info.Size() == 0 {
		return "", err
	}
	tail := make([]byte, min(info.Size(), 16<<20))
	start := info.Size() - int64(len(tail))
	if _, err := r.ReadAt(tail, start); err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	whole := bytes.LastIndexByte(tail, '\n') + 1
	torn := tail[whole:]
	if len(torn) == 0 {
		return "", nil
	}
	if err := f.f.Truncate(start + int64(whole)); err != nil {
		return "", err
	}
	return strings.ToValidUTF8(string(torn[:min(len(torn), maxTorn)]), "\uFFFD"), nil
}

// firstRecord returns the time of the first record, or now if it cannot be read.
func (f *file) firstRecord() time.Time {
	r, err := os.Open(f.path)
	if err != nil {
		return f.now()
	}
	defer r.Close()
	head := make([]byte, 8<<10)
	n, _ := io.ReadFull(r, head)
	_, after, _ := strings.Cut(string(head[:n]), `"eventTime":"`)
	text, _, _ := strings.Cut(after, `"`)
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at
	}
	return f.now()
}

// Write implements [io.Writer]. It rotates the file between lines.
func (f *file) Write(p []byte) (int, error) {
	if !f.cut {
		if err := f.prepare(int64(len(p))); err != nil {
			return 0, err
		}
	}
	n, err := f.f.Write(p)
	if n > 0 {
		f.cut = !endsLine(p[:n])
	}
	return n, err
}

// prepare makes f.f the file that n more bytes belong to.
func (f *file) prepare(n int64) error {
	info, err := f.f.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(f.path)
	if err != nil || !os.SameFile(info, named) {
		return f.reopen() // it was moved away or deleted
	}
	if !f.regular {
		return nil
	}
	if info.Size() == 0 {
		f.began = f.now() // it is new, or was copied and truncated
		return nil
	}
	if f.began.After(f.now()) {
		f.began = f.now() // the first record was written while the clock was wrong
	}
	r := f.rotation
	if (r.MaxSize > 0 && info.Size()+n > r.MaxSize) || (r.MaxAge > 0 && f.now().Sub(f.began) >= r.MaxAge) {
		return f.rotate()
	}
	return nil
}

// reopen opens the name again. If that fails, the old file is kept.
func (f *file) reopen() error {
	old := f.f
	if err := f.open(); err != nil {
		f.f = old
		return err
	}
	return old.Close()
}

func (f *file) rotate() error {
	ended, err := f.freeName()
	if err != nil {
		return err
	}
	if err := os.Rename(f.path, ended); err != nil {
		return err
	}
	if err := f.reopen(); err != nil {
		return errors.Join(err, os.Rename(ended, f.path)) // go on with the old one, later
	}
	return f.deleteOldest()
}

// freeName returns a name for the file that ends now.
func (f *file) freeName() (string, error) {
	extension := filepath.Ext(f.path)
	stem := strings.TrimSuffix(f.path, extension) + "-" + f.now().UTC().Format(endedForm)
	for i := range 1000 {
		name := stem + extension
		if i > 0 {
			name = fmt.Sprintf("%s-%03d%s", stem, i, extension)
		}
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name, nil
		}
	}
	return "", fmt.Errorf("no free name for %s", stem)
}

// deleteOldest deletes ended files until all of them, with a full new one, are
// within the limit.
func (f *file) deleteOldest() error {
	if f.rotation.MaxTotal <= 0 {
		return nil
	}
	extension := filepath.Ext(f.path)
	names, err := filepath.Glob(globQuote(strings.TrimSuffix(f.path, extension)) + "-[0-9]*T[0-9]*Z*" + extension)
	if err != nil {
		return err
	}
	stem := strings.TrimSuffix(f.path, extension) + "-"
	now := f.now().UTC().Format(endedForm)
	slices.SortFunc(names, func(a, b string) int {
		return strings.Compare(ageKey(strings.TrimSuffix(strings.TrimPrefix(a, stem), extension), now), ageKey(strings.TrimSuffix(strings.TrimPrefix(b, stem), extension), now))
	})
	total := f.rotation.MaxSize
	for _, name := range slices.Backward(names) {
		info, err := os.Lstat(name)
		if err != nil {
			continue
		}
		if total += info.Size(); total > f.rotation.MaxTotal {
			if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// ageKey returns what orders the names of ended files, the oldest first. A file that
// ended in the future was written while the clock was wrong. It counts as the oldest:
// otherwise the new ones would be deleted until that time comes.
func ageKey(ended, now string) string {
	if ended[:min(len(ended), len(now))] > now {
		return ""
	}
	return ended
}

// globQuote makes a path match itself in filepath.Glob.
func globQuote(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// Close closes the file.
func (f *file) Close() error { return f.f.Close() }
