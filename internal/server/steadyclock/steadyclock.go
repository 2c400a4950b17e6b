// Package steadyclock decides whether rules that remove what is old may trust the clock.
// Far in the future everything is old, and after a clock was set back, new things seem to
// be from another time. So nothing is removed unless the clock has run steadily for a day:
// background work notes the time every hour, in a table of the domain, and asks before it
// removes anything.
//
// The package is storage: the domain owns the table and decides what to remove.
package steadyclock

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

const (
	// maxGap is the longest time between two notes. A longer one means that the clock
	// was set, or that no server ran: which of the two cannot be known.
	maxGap = 26 * time.Hour
	// maxBack is how far back a clock may go, since those of several servers differ.
	maxBack = 5 * time.Minute
	// steady is how long the clock must have run.
	steady = 24 * time.Hour
)

// A Clock is the clock of one domain.
type Clock struct {
	DB  *db.DB
	Now func() time.Time
	// Table has at most one row: one {int} NOT NULL PRIMARY KEY, noted {int} NOT NULL,
	// since {int} NOT NULL.
	Table string
	// Check returns an error if this server's clock is wrong. Optional.
	Check func(ctx context.Context) error
	// LastChange returns when the domain was changed last, in microseconds since 1970; 0
	// means never. It is asked if there is no note yet: an empty database has nothing
	// that could be removed.
	LastChange func(ctx context.Context, q db.Querier) (int64, error)
}

// An UnsteadyError says that the clock cannot be trusted yet.
type UnsteadyError struct{ Until time.Time }

func (e *UnsteadyError) Error() string {
	return fmt.Sprintf("the clock was set, or no server ran for a day, so nothing is removed until it has run for a day without a gap: try again after %s", e.Until.Format(time.RFC3339))
}

// Steady notes the time, and returns an error unless it can be trusted: an
// [*UnsteadyError], or what Check returns.
func (c *Clock) Steady(ctx context.Context) error {
	if c.Check != nil {
		if err := c.Check(ctx); err != nil {
			return err
		}
	}
	var since time.Time
	now := c.Now()
	err := c.DB.Tx(ctx, func(tx *db.Tx) (err error) {
		since, err = c.note(ctx, tx, now)
		return err
	})
	if err != nil {
		return err
	}
	if until := since.Add(steady); now.Before(until) {
		return &UnsteadyError{until}
	}
	return nil
}

// note notes the time, and returns since when the clock has run steadily.
func (c *Clock) note(ctx context.Context, tx *db.Tx, now time.Time) (since time.Time, err error) {
	type note struct{ at, since time.Time }
	notes, err := db.All(ctx, tx, func(r db.Row) (n note, err error) {
		var at, since int64
		err = r.Scan(&at, &since)
		return note{db.Time(at), db.Time(since)}, err
	}, `SELECT noted, since FROM `+c.Table)
	if err != nil {
		return since, err
	}
	last := note{now, now.Add(-steady)}
	if len(notes) > 0 {
		last = notes[0]
	} else if changed, err := c.LastChange(ctx, tx); err != nil {
		return since, err
	} else if changed > 0 {
		last = note{db.Time(changed), db.Time(changed).Add(-steady)}
	}
	switch gap := now.Sub(last.at); {
	case gap < -maxBack || gap > maxGap:
		last = note{now, now}
	case gap > 0:
		last.at = now
	}
	_, err = tx.Exec(ctx, `INSERT INTO `+c.Table+` (one, noted, since) VALUES (1, $1, $2)
		ON CONFLICT (one) DO UPDATE SET noted = excluded.noted, since = excluded.since`, db.Micros(last.at), db.Micros(last.since))
	return last.since, err
}
