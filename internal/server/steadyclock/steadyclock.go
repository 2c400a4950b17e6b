// Package steadyclock decides whether rules that remove what is old may trust the clock.
// Far in the future everything is old, and after a clock was set back, new things seem to
// be from another time. So nothing is removed unless the clock has run steadily for a day:
// background work notes the time every hour, in a table of the domain, and asks before it
// removes anything.
//
// Rules that let something in when it is old enough, or until some time, cannot wait: they
// use [Reading.Bounds], between which the time is.
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
	// since {int} NOT NULL, trusted {int} NOT NULL DEFAULT 0.
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

// A Reading is what was noted of the time. The zero value trusts every clock.
type Reading struct {
	noted, since time.Time
	// trusted is what the time was at since, as far as it can be known, if the clock was set
	// then.
	trusted time.Time
	// wrong means that Check has found this server's clock wrong.
	wrong error
}

// Read returns what was noted, without noting anything.
func (c *Clock) Read(ctx context.Context) (Reading, error) {
	var wrong error
	if c.Check != nil {
		wrong = c.Check(ctx)
	}
	r, _, err := c.read(ctx, c.DB)
	r.wrong = wrong
	return r, err
}

// Bounds returns between which times the time is, if the clock says now. They are equal if
// the clock can be trusted. Otherwise one of them is what it says, and the other one what
// it would be if it had not been set: if no server has run meanwhile, that is earlier than
// the time.
func (r Reading) Bounds(now time.Time) (earliest, latest time.Time) {
	if r.noted.IsZero() {
		return now, now
	}
	likely := now
	if gap := now.Sub(r.noted); r.wrong != nil || isGap(gap) {
		likely = r.at(r.noted)
	} else {
		likely = r.at(now)
	}
	if likely.Before(now) {
		return likely, now
	}
	return now, likely
}

// at returns what the time is if the clock says t, not long after the last note.
func (r Reading) at(t time.Time) time.Time {
	if r.trusted.IsZero() || !t.Before(r.since.Add(steady)) {
		return t
	}
	return r.trusted.Add(t.Sub(r.since))
}

func isGap(d time.Duration) bool { return d < -maxBack || d > maxGap }

func (c *Clock) read(ctx context.Context, q db.Querier) (r Reading, ok bool, err error) {
	notes, err := db.All(ctx, q, func(row db.Row) (Reading, error) {
		var noted, since, trusted int64
		err := row.Scan(&noted, &since, &trusted)
		r := Reading{noted: db.Time(noted), since: db.Time(since)}
		if trusted != 0 {
			r.trusted = db.Time(trusted)
		}
		return r, err
	}, `SELECT noted, since, trusted FROM `+c.Table)
	if err != nil || len(notes) == 0 {
		return Reading{}, false, err
	}
	return notes[0], true, nil
}

// note notes the time, and returns since when the clock has run steadily.
func (c *Clock) note(ctx context.Context, tx *db.Tx, now time.Time) (since time.Time, err error) {
	last, ok, err := c.read(ctx, tx)
	if err != nil {
		return since, err
	}
	if !ok {
		last = Reading{noted: now, since: now.Add(-steady)}
		if changed, err := c.LastChange(ctx, tx); err != nil {
			return since, err
		} else if changed > 0 {
			last = Reading{noted: db.Time(changed), since: db.Time(changed).Add(-steady)}
		}
	}
	switch gap := now.Sub(last.noted); {
	case isGap(gap):
		last = Reading{noted: now, since: now, trusted: last.at(last.noted)}
	case gap > 0:
		last.noted = now
	}
	var trusted int64
	if !last.trusted.IsZero() {
		trusted = db.Micros(last.trusted)
	}
	_, err = tx.Exec(ctx, `INSERT INTO `+c.Table+` (one, noted, since, trusted) VALUES (1, $1, $2, $3)
		ON CONFLICT (one) DO UPDATE SET noted = excluded.noted, since = excluded.since, trusted = excluded.trusted`, db.Micros(last.noted), db.Micros(last.since), trusted)
	return last.since, err
}
