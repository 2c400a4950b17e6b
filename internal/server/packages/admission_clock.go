package packages

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/steadyclock"
)

// admissionTimes are between which times the time is: see [steadyclock.Reading.Bounds].
// What comes in when it is old enough is judged by earliest, and what may come in until
// some time by latest. So a clock that was set, forward or back, lets in nothing more.
type admissionTimes struct{ earliest, latest time.Time }

// trusted reports whether the clock can be trusted.
func (t admissionTimes) trusted() bool { return t.earliest.Equal(t.latest) }

// of returns the time by which an entry ends.
func (t admissionTimes) of(e *AdmissionEntry) time.Time {
	if e.Kind == Exception {
		return t.latest
	}
	return t.earliest
}

// admissionClock keeps in memory what was noted of the time.
type admissionClock struct {
	reading sync.Mutex // held while the notes are read
	last    atomic.Pointer[clockReading]
}

type clockReading struct {
	steadyclock.Reading
	at time.Time // by the clock of this server
}

// rereadClock is how long what was read of the notes is used.
const rereadClock = time.Minute

// admissionTimes returns between which times the time is.
func (s *Service) admissionTimes(ctx context.Context) (admissionTimes, error) {
	now := s.now()
	last := s.admissionClock.last.Load()
	if last == nil || now.Sub(last.at).Abs() >= rereadClock {
		var err error
		if last, err = s.rereadClock(ctx, last, now); err != nil {
			return admissionTimes{}, err
		}
	}
	earliest, latest := last.Bounds(now)
	return admissionTimes{earliest, latest}, nil
}

// rereadClock reads the notes. If another request does that already, or it fails, what was
// read before goes on to be used.
func (s *Service) rereadClock(ctx context.Context, last *clockReading, now time.Time) (*clockReading, error) {
	c := &s.admissionClock
	if last == nil {
		c.reading.Lock()
	} else if !c.reading.TryLock() {
		return last, nil
	}
	defer c.reading.Unlock()
	r, err := s.steadyClock().Read(ctx)
	if err != nil {
		if last != nil {
			return last, nil
		}
		return nil, err
	}
	next := &clockReading{r, now}
	if earliest, latest := r.Bounds(now); !earliest.Equal(latest) && s.log != nil {
		s.log.WarnContext(ctx, "the clock was set, is wrong, or no server ran for a day: the age of package versions and the ends of exceptions are judged as if it had not been set, until it has run for a day", "clock", now, "earliest", earliest, "latest", latest)
	}
	c.last.Store(next)
	return next, nil
}
