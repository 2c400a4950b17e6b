// Package integrity opens objects whose size is known from a row of the database.
//
// After a fault of the disk or a partial restore an object can be missing, or have
// another size than its row says. A domain treats such an object as if it was not
// there: it is not served, clients are told that it does not exist, and the next
// push stores the bytes again and replaces it. [Open] and [Check] find it, and a
// [Monitor] counts and logs it.
//
// An object is also missing for a moment if another request has just deleted or
// replaced it. So before a domain believes [Open], it reads the row again; if the
// row still names the same object, the object is damaged, and the domain calls
// [Monitor.Report].
//
// The content is not compared: this would mean to read each object twice.
package integrity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
)

// errSize means that an object does not have the size of its row.
var errSize = errors.New("blob: the object has another size than recorded")

// IsDamaged reports whether an error of [Open] or [Check] means that the object is
// missing or has the wrong size. Any other error, for example too many open files,
// says nothing about the object.
func IsDamaged(err error) bool { return errors.Is(err, blob.ErrNotFound) || errors.Is(err, errSize) }

// Open opens an object that must have size bytes. See [IsDamaged] for the error.
func Open(ctx context.Context, s blob.Store, name string, size int64) (blob.Object, error) {
	o, err := s.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	if o.Size() != size {
		_ = o.Close() // nothing was written
		return nil, fmt.Errorf("%w: %s has %d bytes, want %d", errSize, name, o.Size(), size)
	}
	return o, nil
}

// Check is [Open] without reading.
func Check(ctx context.Context, s blob.Store, name string, size int64) error {
	o, err := Open(ctx, s, name, size)
	if err != nil {
		return err
	}
	return o.Close()
}

// A Monitor counts and logs damaged objects. Make it with [NewMonitor]. A nil
// Monitor ignores them.
type Monitor struct {
	log      *slog.Logger
	found    atomic.Uint64
	reported *lru.Cache[string, error]
}

// maxRemembered is the number of objects that are not logged again.
const maxRemembered = 4096

// NewMonitor returns a monitor that writes to log.
func NewMonitor(log *slog.Logger) *Monitor {
	return &Monitor{log: log, reported: lru.New[string](lru.Config[error]{MaxCost: maxRemembered})}
}

// Report counts and logs a damaged object, once each: clients ask for the same
// object again and again. what says what the object is, for example a digest; err
// is the error of [Open].
func (m *Monitor) Report(ctx context.Context, name, what string, err error) {
	if m == nil {
		return
	}
	seen := m.reported.Lookup(name)
	if seen.State == lru.Fresh {
		return
	}
	m.reported.Store(name, err, seen)
	m.found.Add(1)
	m.log.LogAttrs(ctx, slog.LevelError, "stored object is missing or damaged; it is treated as not there until it is pushed again",
		slog.String("object", name), slog.String("content", what), slog.Any("error", err))
}

// Found returns the number of damaged objects that were found since the start.
func (m *Monitor) Found() uint64 {
	if m == nil {
		return 0
	}
	return m.found.Load()
}
