// Package usage records how often something is used and when it was used last, such as
// the downloads of a package version and the pulls of an image, without a write for each
// use. A [Recorder] keeps the uses in memory, and [Recorder.Flush] stores them, many in
// one transaction. A process that is killed loses what it has recorded since its last
// flush.
//
// Counts are stored as increments, so the uses that several servers record add up.
//
// The package does not know any table: the caller of Flush stores the uses.
package usage

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

const (
	// maxKeys is the number of keys that wait to be stored. The keys are things that
	// exist, so this is reached only if storing fails for a long time.
	maxKeys = 100_000
	// batch bounds a transaction, because other writers wait for it.
	batch = 500
)

// A Use is what was recorded of one key since it was stored last.
type Use[K comparable] struct {
	Key   K
	Count int64
	// Last is the time of the last use.
	Last time.Time
}

// A Recorder records the uses of keys. Its zero value is ready. It is safe for use by many
// goroutines, and goroutines that record different keys do not wait for each other.
type Recorder[K comparable] struct {
	entries  sync.Map // K → *entry
	length   atomic.Int64
	flushing sync.Mutex
}

type entry struct {
	mu      sync.Mutex
	removed bool // from the map; its uses are recorded in another entry
	count   int64
	last    time.Time
}

// Record adds count to the uses of the key, which was used last at the given time. The
// count may be 0: then only the time is recorded.
func (r *Recorder[K]) Record(key K, count int64, at time.Time) {
	for {
		found, ok := r.entries.Load(key)
		if !ok {
			if r.length.Load() >= maxKeys {
				return
			}
			if found, ok = r.entries.LoadOrStore(key, new(entry)); !ok {
				r.length.Add(1)
			}
		}
		if found.(*entry).add(count, at) {
			return
		}
	}
}

// add returns false if the entry is not in the map any more.
func (e *entry) add(count int64, at time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.removed {
		return false
	}
	e.count += count
	if at.After(e.last) {
		e.last = at
	}
	return true
}

// Last returns the time of the last use that is not stored yet, or the zero time.
func (r *Recorder[K]) Last(key K) time.Time {
	found, ok := r.entries.Load(key)
	if !ok {
		return time.Time{}
	}
	e := found.(*entry)
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last
}

// Flush stores what was recorded: it calls store with at most 500 uses at a time. Uses
// that could not be stored are kept for the next call, unless they may have been stored
// ([db.ErrUnclearCommit]): a use is never counted twice.
func (r *Recorder[K]) Flush(ctx context.Context, store func(ctx context.Context, uses []Use[K]) error) error {
	r.flushing.Lock()
	defer r.flushing.Unlock()
	var uses []Use[K]
	var err error
	flush := func() bool {
		if err = store(ctx, uses); err == nil || errors.Is(err, db.ErrUnclearCommit) {
			r.stored(uses)
		}
		uses = uses[:0]
		return err == nil
	}
	r.entries.Range(func(key, value any) bool {
		e := value.(*entry)
		e.mu.Lock()
		uses = append(uses, Use[K]{key.(K), e.count, e.last})
		e.mu.Unlock()
		return len(uses) < batch || flush()
	})
	if err == nil && len(uses) > 0 {
		flush()
	}
	return err
}

// stored removes uses that are stored. What was recorded since they were read stays.
func (r *Recorder[K]) stored(uses []Use[K]) {
	for _, u := range uses {
		found, _ := r.entries.Load(u.Key)
		e := found.(*entry)
		e.mu.Lock()
		e.count -= u.Count
		if e.count == 0 && e.last.Equal(u.Last) {
			e.removed = true
			r.entries.Delete(u.Key)
			r.length.Add(-1)
		}
		e.mu.Unlock()
	}
}
