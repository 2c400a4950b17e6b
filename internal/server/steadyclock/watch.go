package steadyclock

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Times are between which times the time is: see [Reading.Bounds]. What comes in when it is
// old enough is judged by Earliest, and what may come in until some time by Latest. So a
// clock that was set, forward or back, lets in nothing more.
type Times struct{ Earliest, Latest time.Time }

// Trusted reports whether the clock can be trusted.
func (t Times) Trusted() bool { return t.Earliest.Equal(t.Latest) }

// reread is how long what was read of the notes is used.
const reread = time.Minute

// A Watch tells requests the time. It keeps in memory what was noted, for a minute.
type Watch struct {
	Clock *Clock
	// Untrusted is called when the notes were read and the clock cannot be trusted.
	// Optional.
	Untrusted func(ctx context.Context, now time.Time, times Times)

	reading sync.Mutex // held while the notes are read
	last    atomic.Pointer[watched]
}

type watched struct {
	Reading
	at time.Time // by the clock of this server
}

// Times returns between which times the time is. The error says that the notes could never
// be read.
func (w *Watch) Times(ctx context.Context) (Times, error) {
	now := w.Clock.Now()
	last := w.last.Load()
	if last == nil || now.Sub(last.at).Abs() >= reread {
		var err error
		if last, err = w.read(ctx, last, now); err != nil {
			return Times{}, err
		}
	}
	return last.times(now), nil
}

// read reads the notes. If another request does that already, or it fails, what was read
// before goes on to be used.
func (w *Watch) read(ctx context.Context, last *watched, now time.Time) (*watched, error) {
	if last == nil {
		w.reading.Lock()
	} else if !w.reading.TryLock() {
		return last, nil
	}
	defer w.reading.Unlock()
	r, err := w.Clock.Read(ctx)
	if err != nil {
		if last != nil {
			return last, nil
		}
		return nil, err
	}
	next := &watched{r, now}
	if times := next.times(now); !times.Trusted() && w.Untrusted != nil {
		w.Untrusted(ctx, now, times)
	}
	w.last.Store(next)
	return next, nil
}

func (w *watched) times(now time.Time) Times {
	earliest, latest := w.Bounds(now)
	return Times{earliest, latest}
}
