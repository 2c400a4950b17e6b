package work

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// ErrLeaseLost is the cause of a handler's context after another server may have taken
// the job, because this one could not show in time that it lives.
var ErrLeaseLost = errors.New("work: another server may run the job now")

// beats is how many signs of life there are in a lease.
const beats = 6

// A session is what running jobs belong to. A server begins a new one when it has lost
// the last one.
type session struct {
	id string
	// lapse ends the contexts of all handlers of the session.
	lapse context.CancelCauseFunc
	ctx   context.Context
	// watchdog calls lapse unless the session counts again in time. It is nil if the
	// queue is exclusive.
	watchdog *time.Timer
	beaten   time.Time // when the last successful count was begun
	// unclear says that the session may have leased jobs that were not begun: the answer
	// of the commit was lost.
	unclear bool
}

// patience is how long after its last count a session still trusts its lease. Others
// wait longer, and from later on, before they take its jobs. The difference is for
// handlers to return.
func (q *Queue) patience() time.Duration { return q.c.Lease * 2 / 3 }

// current returns the session, which it begins if there is none or if it has lapsed.
func (q *Queue) current(ctx context.Context) *session {
	if s := q.session; s != nil && s.ctx.Err() == nil {
		return s
	}
	s := &session{id: q.c.Server + "/" + randid.Text()[:8]}
	s.ctx, s.lapse = context.WithCancelCause(ctx)
	if !q.c.Exclusive {
		s.watchdog = time.AfterFunc(q.patience(), func() { s.lapse(ErrLeaseLost) })
	}
	q.session = s
	return s
}

// beat shows that the session lives. It is part of a transaction: each that leases jobs
// counts, too. It reports whether the session still has its jobs.
func (s *session) beat(ctx context.Context, tx *db.Tx, first bool) (bool, error) {
	if first {
		_, err := tx.Exec(ctx, `INSERT INTO work_session (id, beat) VALUES ($1, 1) ON CONFLICT (id) DO UPDATE SET beat = work_session.beat + 1`, s.id)
		return true, err
	}
	n, err := tx.Exec(ctx, `UPDATE work_session SET beat = beat + 1 WHERE id = $1`, s.id)
	return n == 1, err
}

// count is a transaction that shows that the session lives, and does something with its
// lease. Nothing is done, and the session lapses, if others have taken its jobs.
func (q *Queue) count(ctx context.Context, s *session, do func(tx *db.Tx) error) error {
	begun := time.Now()
	var alive bool
	err := q.c.DB.Tx(ctx, func(tx *db.Tx) (err error) {
		if alive = true; !q.c.Exclusive {
			if alive, err = s.beat(ctx, tx, s.beaten.IsZero()); err != nil || !alive {
				return err
			}
		}
		return do(tx)
	})
	switch {
	case err != nil:
		return err
	case !alive:
		s.lapse(ErrLeaseLost)
		return ErrLeaseLost
	}
	s.beaten = begun
	if s.watchdog != nil {
		s.watchdog.Reset(q.patience() - time.Since(begun))
	}
	return nil
}

// putBackUnbegun puts the jobs back into the queue that the session has leased without
// knowing it. Otherwise they would be its jobs, and not run, for as long as it lives.
func (q *Queue) putBackUnbegun(ctx context.Context) error {
	s := q.session
	if s == nil || !s.unclear || s.ctx.Err() != nil { // others take the jobs of a session that has lapsed
		return nil
	}
	err := q.count(ctx, s, func(tx *db.Tx) error {
		all, err := db.All(ctx, tx, scanLeased, `SELECT `+leasedColumns+` FROM work WHERE state = 1 AND leased_by = $1`, s.id)
		if err != nil {
			return err
		}
		begun := q.begun()
		for _, l := range all {
			if begun[l.id] {
				continue
			}
			if err := q.record(ctx, tx, l, outcome{interrupted: true}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrLeaseLost) {
		return err
	}
	s.unclear = false
	return nil
}

// begun returns the ids of the jobs that run here, and of those whose outcome is to be
// recorded.
func (q *Queue) begun() map[string]bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	begun := maps.Clone(q.jobs)
	for _, e := range q.ended {
		begun[e.job.id] = true
	}
	return begun
}

// An observation is what this server has seen of another's session.
type observation struct {
	beat  int64
	since time.Time // by this server's monotonic clock
}

type sessionRow struct {
	id   string
	beat int64
}

// takeOver looks at the sessions of other servers, and puts the jobs of those that
// have not counted for a whole lease back into the queue.
func (q *Queue) takeOver(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dbTimeout)
	defer cancel()
	rows, err := db.All(ctx, q.c.DB, func(r db.Row) (s sessionRow, err error) {
		err = r.Scan(&s.id, &s.beat)
		return s, err
	}, `SELECT id, beat FROM work_session`)
	if err != nil {
		return err
	}
	now, seen := time.Now(), map[string]observation{}
	for _, row := range rows {
		if q.session != nil && row.id == q.session.id {
			continue
		}
		o, ok := q.observed[row.id]
		if !ok || o.beat != row.beat {
			o = observation{row.beat, now}
		}
		seen[row.id] = o
		if now.Sub(o.since) < q.c.Lease {
			continue
		}
		if err := q.takeFrom(ctx, row); err != nil {
			return err
		}
		delete(seen, row.id)
	}
	q.observed = seen
	return nil
}

// takeFrom ends a session that has stopped counting.
func (q *Queue) takeFrom(ctx context.Context, s sessionRow) error {
	var taken []leased
	err := q.c.DB.Tx(ctx, func(tx *db.Tx) (err error) {
		taken = nil
		n, err := tx.Exec(ctx, `DELETE FROM work_session WHERE id = $1 AND beat = $2`, s.id, s.beat)
		if err != nil || n == 0 {
			return err
		}
		taken, err = q.abandon(ctx, tx, `leased_by = $1`, s.id)
		return err
	})
	q.logTaken(ctx, err, taken)
	return err
}

// takeAll puts all running jobs back into the queue. No other process runs any, so they
// are those of a process that was killed.
func (q *Queue) takeAll(ctx context.Context) error {
	var taken []leased
	err := q.c.DB.Tx(ctx, func(tx *db.Tx) (err error) {
		taken, err = q.abandon(ctx, tx, `leased_by <> $1`, "")
		return err
	})
	q.logTaken(ctx, err, taken)
	return err
}

func (q *Queue) logTaken(ctx context.Context, err error, taken []leased) {
	if err != nil {
		return
	}
	for _, l := range taken {
		q.c.Log.WarnContext(ctx, "work begins again: the server that ran it has stopped", "kind", l.kind, "id", l.id, "attempt", l.attempts)
	}
}

// abandon puts the running jobs that the condition names back into the queue. The
// attempt counts, because the job may be what stopped the server.
func (q *Queue) abandon(ctx context.Context, tx *db.Tx, condition string, arg any) ([]leased, error) {
	all, err := db.All(ctx, tx, scanLeased, `SELECT `+leasedColumns+` FROM work WHERE state = 1 AND `+condition, arg)
	if err != nil {
		return nil, err
	}
	for _, l := range all {
		// The first time it runs again at once: most likely it was not the reason.
		o := outcome{err: errServerStopped, at: q.c.Now(), delay: jittered(backoff(l.attempts))}
		if l.attempts <= 1 {
			o.delay = 0
		}
		if err := q.record(ctx, tx, l, o); err != nil {
			return nil, err
		}
	}
	return all, nil
}

var errServerStopped = errors.New("the server stopped while it ran")
