package packages

import (
	"context"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/steadyclock"
)

// endsBy returns the time by which an entry ends.
func (e *AdmissionEntry) endsBy(t steadyclock.Times) time.Time {
	if e.Kind == Exception {
		return t.Latest
	}
	return t.Earliest
}

// admissionTimes returns between which times the time is.
func (s *Service) admissionTimes(ctx context.Context) (steadyclock.Times, error) {
	return s.admissionClock.Times(ctx)
}

// warnOfClock tells an administrator that admission does not trust the clock.
func (s *Service) warnOfClock(ctx context.Context, now time.Time, t steadyclock.Times) {
	if s.log != nil {
		s.log.WarnContext(ctx, "the clock was set, is wrong, or no server ran for a day: the age of package versions and the ends of exceptions are judged as if it had not been set, until it has run for a day", "clock", now, "earliest", t.Earliest, "latest", t.Latest)
	}
}
