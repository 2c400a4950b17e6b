package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// The codes of faults.
const (
	Invalid = "InvalidArchive"
	// Missing means that the archive is sound as far as it was read but lacks a file.
	Missing = "MissingFile"
	// TooLarge means that more had to be unpacked than Limits.Unpacked.
	TooLarge = "ArchiveTooLarge"
)

// Limits bound what reading an archive may cost. A field that is 0 has the default.
type Limits struct {
	// Entries is how many members an archive may have, folders included. Default 100,000.
	Entries int
	// Directory bounds what is read to list a zip, in bytes. The list takes about ten
	// times as much memory. Default 16 MiB.
	Directory int64
	// Unpacked bounds the bytes that are unpacked altogether. Default 256 MiB.
	Unpacked int64
	// Ratio bounds how many times larger unpacked content is than packed content. It
	// counts from 1 MiB on. Default 500: text seldom reaches 20, and gzip can reach 1030.
	Ratio int64
	// Archives is how many archives may be opened: the first and those in it. Default 4.
	Archives int
	// Time bounds the whole reading. Default 30 s.
	Time time.Duration
}

// ratioFrom is the unpacked size from which on the ratio counts, in bytes: a small file
// of equal bytes is not a bomb.
const ratioFrom = 1 << 20

// maxName bounds the name of a member, in bytes.
const maxName = 4096

func (l Limits) withDefaults() Limits {
	set := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	if l.Entries == 0 {
		l.Entries = 100_000
	}
	if l.Archives == 0 {
		l.Archives = 4
	}
	if l.Time == 0 {
		l.Time = 30 * time.Second
	}
	set(&l.Directory, 16<<20)
	set(&l.Unpacked, 256<<20)
	set(&l.Ratio, 500)
	return l
}

// A Budget is what is left of the limits for one publication. It is for one goroutine.
type Budget struct {
	ctx      context.Context
	limits   Limits
	deadline time.Time
	unpacked int64
	archives int
}

// NewBudget returns a budget. Reading ends when ctx does.
func NewBudget(ctx context.Context, l Limits) *Budget {
	l = l.withDefaults()
	return &Budget{ctx: ctx, limits: l, deadline: time.Now().Add(l.Time)}
}

// open counts an archive.
func (b *Budget) open() error {
	if b.archives++; b.archives > b.limits.Archives {
		return invalid("there are more than %d archives in it", b.limits.Archives)
	}
	return nil
}

// take counts unpacked bytes.
func (b *Budget) take(n int) error {
	b.unpacked += int64(n)
	switch {
	case b.unpacked > b.limits.Unpacked:
		e := invalid("its files are larger than %d MiB", b.limits.Unpacked>>20)
		e.Code = TooLarge
		return e
	case time.Now().After(b.deadline):
		return invalid("reading it takes longer than %s", b.limits.Time)
	}
	return b.ctx.Err()
}

// A meter counts what is unpacked, against the budget and against the packed bytes.
type meter struct {
	budget *Budget
	r      io.Reader
	packed func() int64
	n      int64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.n += int64(n)
	if over := m.budget.take(n); over != nil {
		return 0, over
	}
	if m.n > ratioFrom && m.n/m.budget.limits.Ratio > m.packed() {
		return 0, invalid("its content is more than %d times larger than it", m.budget.limits.Ratio)
	}
	return n, err
}

// A source remembers an error of the reader that an archive comes from, because the
// decoders hide it among errors of bad archives. It counts the bytes that it read.
type source struct {
	r   io.Reader
	n   int64
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n += int64(n)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// reason returns the error for an archive that could not be read because of err:
// sourceErr, if that is what happened, or a fault.
func reason(err, sourceErr error) error {
	if sourceErr != nil {
		return sourceErr
	}
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF), err == io.EOF:
		return invalid("it ends before it is complete")
	}
	text := err.Error()
	for _, decoder := range []string{"archive/tar: ", "flate: ", "gzip: ", "zip: "} {
		text = strings.TrimPrefix(text, decoder)
	}
	return invalid("%s", text)
}

func invalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, Invalid, "The archive cannot be read: %s.", fmt.Sprintf(format, args...))
}

// missing is the fault of an archive without what.
func missing(what string) *fault.Error {
	return fault.New(fault.Invalid, Missing, "The archive has no %s.", what)
}

// readAll reads a member of at most limit bytes.
func readAll(r io.Reader, name string, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, invalid("%s is larger than %d KiB", name, limit>>10)
	}
	return content, nil
}

// checkName refuses a name that is outside of the folder into which the archive would be
// unpacked. Backslashes count as slashes: old tools write them.
func checkName(name string) error {
	path := strings.ReplaceAll(name, `\`, "/")
	switch {
	case name == "", len(name) > maxName, strings.ContainsRune(name, 0):
		return invalid("a file in it has no name that can be used")
	case outside(path):
		return invalid("%q is outside of its folder", name)
	}
	return nil
}

func outside(path string) bool {
	if strings.HasPrefix(path, "/") || len(path) > 1 && path[1] == ':' {
		return true
	}
	depth := 0
	for segment := range strings.SplitSeq(path, "/") {
		switch segment {
		case "..":
			depth--
		case "", ".":
		default:
			depth++
		}
		if depth < 0 {
			return true
		}
	}
	return false
}

// checkLink refuses a link from a member to something outside of the archive. A hard
// link's target is a path from the top; a symbolic link's begins at the folder of name.
func checkLink(name, target string, symbolic bool) error {
	name, path := strings.ReplaceAll(name, `\`, "/"), strings.ReplaceAll(target, `\`, "/")
	if symbolic && !strings.HasPrefix(path, "/") {
		if i := strings.LastIndexByte(name, '/'); i >= 0 {
			path = name[:i+1] + path
		}
	}
	if target == "" || outside(path) {
		return invalid("the link %q leads out of its folder", name)
	}
	return nil
}
