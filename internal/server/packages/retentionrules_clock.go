package packages

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// Retention rules trust the clock. Far in the future every version is old, and after a
// clock was set back, new versions seem to be from another time. So nothing is removed
// unless the clock has run steadily for a day: background work notes the time every hour.

const (
	// clockGap is the longest time between two notes. A longer one means that the clock
	// was set, or that no server ran: which of the two cannot be known.
	clockGap = 26 * time.Hour
	// clockBack is how far back a clock may go, since those of several servers differ.
	clockBack = 5 * time.Minute
	// clockSteady is how long the clock must have run.
	clockSteady = 24 * time.Hour
)

// A unsteadyError says that the clock cannot be trusted yet.
type unsteadyError struct{ until time.Time }

func (e *unsteadyError) Error() string {
	return fmt.Sprintf("the clock was set, or no server ran for a day, so nothing is removed until it has run for a day without a gap: try again after %s", e.until.Format(time.RFC3339))
}

// checkSteadyClock notes the time, and returns an error unless it can be trusted.
func (s *Service) checkSteadyClock(ctx context.Context) error {
	if s.checkClock != nil {
		if err := s.checkClock(ctx); err != nil {
			return err
		}
	}
	var since time.Time
	now := s.now()
	err := s.db.Tx(ctx, func(tx *db.Tx) (err error) {
		since, err = noteTime(ctx, tx, now)
		return err
	})
	if err != nil {
		return err
	}
	if until := since.Add(clockSteady); now.Before(until) {
		return &unsteadyError{until}
	}
	return nil
}

// noteTime notes the time, and returns since when the clock has run steadily.
func noteTime(ctx context.Context, tx *db.Tx, now time.Time) (since time.Time, err error) {
	type note struct{ at, since time.Time }
	notes, err := db.All(ctx, tx, func(r db.Row) (n note, err error) {
		var at, since int64
		err = r.Scan(&at, &since)
		return note{db.Time(at), db.Time(since)}, err
	}, `SELECT noted, since FROM pkg_clock`)
	if err != nil {
		return since, err
	}
	var last note
	if len(notes) > 0 {
		last = notes[0]
	} else if last, err = firstNote(ctx, tx, now); err != nil {
		return since, err
	}
	switch gap := now.Sub(last.at); {
	case gap < -clockBack || gap > clockGap:
		last = note{now, now}
	case gap > 0:
		last.at = now
	}
	_, err = tx.Exec(ctx, `INSERT INTO pkg_clock (one, noted, since) VALUES (1, $1, $2)
		ON CONFLICT (one) DO UPDATE SET noted = excluded.noted, since = excluded.since`, db.Micros(last.at), db.Micros(last.since))
	return last.since, err
}

// firstNote is the note of a database that has none yet: the last change of a package. An
// empty database has nothing that could be removed.
func firstNote(ctx context.Context, tx *db.Tx, now time.Time) (n struct{ at, since time.Time }, err error) {
	modified, err := db.One(ctx, tx, db.Scalar[int64], `SELECT COALESCE(max(modified), 0) FROM pkg_package`)
	n.at = now
	if modified > 0 {
		n.at = db.Time(modified)
	}
	n.since = n.at.Add(-clockSteady)
	return n, err
}
