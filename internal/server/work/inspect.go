package work

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A State is the state of a job.
type State string

// The states. A job that is done is not in the queue any more.
const (
	Queued  State = "queued"  // it waits for its time, or for a worker
	Running State = "running" // a server runs it
	Failed  State = "failed"  // it is not tried again by itself
)

var states = []State{stateQueued: Queued, stateRunning: Running, stateFailed: Failed}

// number returns the stored form of a state.
func (s State) number() (int, error) {
	for i, state := range states {
		if s == state {
			return i, nil
		}
	}
	return 0, fault.New(fault.Invalid, "InvalidParameter", "There is no state %q of work: it is queued, running or failed.", s)
}

// An Item is a job as people see it.
type Item struct {
	ID, Kind string
	Key      string // empty if the job has none
	State    State
	RunAt    time.Time // when it is due
	Created  time.Time
	Attempts int       // with the running one
	Server   string    // that runs it; empty if it does not run
	Started  time.Time // of the last run; zero if there was none
	Finished time.Time // of the last run; zero if none has ended
	// LastError is the error of the last run that ended, without secrets.
	LastError string
}

// A Filter chooses jobs. Empty fields choose all.
type Filter struct {
	State State
	Kind  string
}

// condition returns the SQL condition of the filter, and its arguments.
func (f Filter) condition() (sql string, args []any, err error) {
	sql, args = `kind = $1`, []any{f.Kind}
	if f.Kind == "" {
		sql = `$1 = ''`
	}
	if f.State != "" {
		n, err := f.State.number()
		if err != nil {
			return "", nil, err
		}
		sql, args = sql+` AND state = $2`, append(args, n)
	} else {
		sql, args = sql+` AND state >= $2`, append(args, stateQueued)
	}
	return sql, args, nil
}

// List returns up to limit jobs, in the order in which they were created, after the one
// with the id after.
func (q *Queue) List(ctx context.Context, f Filter, after string, limit int) ([]Item, error) {
	condition, args, err := f.condition()
	if err != nil {
		return nil, err
	}
	return db.All(ctx, q.c.DB, scanItem, `SELECT id, kind, key, state, run_at, created, attempts, leased_by, started, finished, last_error
		FROM work WHERE `+condition+` AND id > $3 ORDER BY id LIMIT $4`, append(args, after, limit)...)
}

func scanItem(r db.Row) (i Item, err error) {
	var state int
	var runAt, created, started, finished int64
	err = r.Scan(&i.ID, &i.Kind, &i.Key, &state, &runAt, &created, &i.Attempts, &i.Server, &started, &finished, &i.LastError)
	if i.Key == i.ID {
		i.Key = ""
	}
	i.State, i.RunAt, i.Created = states[state], db.Time(runAt), db.Time(created)
	if started > 0 {
		i.Started = db.Time(started)
	}
	if finished > 0 {
		i.Finished = db.Time(finished)
	}
	return i, err
}

// RetryOne makes a job that has failed, or that waits, due now. Faults: WorkNotFound,
// WorkRunning.
func (q *Queue) RetryOne(ctx context.Context, id string) error {
	return q.c.DB.Tx(ctx, func(tx *db.Tx) error {
		state, err := db.One(ctx, tx, db.Scalar[int], `SELECT state FROM work WHERE id = $1`, id)
		switch {
		case errors.Is(err, db.ErrNoRows):
			return fault.New(fault.NotFound, "WorkNotFound", "There is no work with the id %q. What is done is not in the queue any more.", id)
		case err != nil:
			return err
		case state == stateRunning:
			return fault.New(fault.Conflict, "WorkRunning", "The work %q is running.", id)
		}
		// A job that is due already stays as it is: somebody who asks again and again would
		// otherwise take it out of the hands of the queue each time.
		_, err = q.retry(ctx, tx, `id = $3 AND (state <> 0 OR run_at > $1)`, id)
		return err
	})
}

// RetryFailed makes all failed jobs of a kind, or of all kinds, due now. It returns how
// many.
func (q *Queue) RetryFailed(ctx context.Context, kind string) (n int64, err error) {
	err = q.c.DB.Tx(ctx, func(tx *db.Tx) error {
		if kind == "" {
			n, err = q.retry(ctx, tx, `state = $3`, stateFailed)
		} else {
			n, err = q.retry(ctx, tx, `state = 2 AND kind = $3`, kind)
		}
		return err
	})
	return n, err
}

func (q *Queue) retry(ctx context.Context, tx *db.Tx, condition string, arg any) (int64, error) {
	n, err := tx.Exec(ctx, `UPDATE work SET attempts = CASE WHEN state = 2 THEN 0 ELSE attempts END, run_at = $1, state = $2 WHERE `+condition, db.Micros(q.c.Now()), stateQueued, arg)
	if err == nil && n > 0 {
		tx.AfterCommit(func() { q.enqueued(ctx) })
	}
	return n, err
}

// What is kept of jobs that have failed for good.
const (
	keepFailed = 30 * 24 * time.Hour
	maxFailed  = 10_000
)

// retention is the kind of work that removes old failed jobs.
func (q *Queue) retention() Kind {
	return Kind{Name: "work/retention", Every: 24 * time.Hour, Run: func(ctx context.Context, _ Run) error {
		return q.c.DB.Tx(ctx, func(tx *db.Tx) error {
			if _, err := tx.Exec(ctx, `DELETE FROM work WHERE state = 2 AND finished < $1`, db.Micros(q.c.Now().Add(-keepFailed))); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `DELETE FROM work WHERE state = 2 AND id NOT IN (SELECT id FROM work WHERE state = 2 ORDER BY finished DESC LIMIT $1)`, maxFailed)
			return err
		})
	}}
}

// A Backlog is how many jobs of a kind are in a state.
type Backlog struct {
	Kind   string
	State  State
	Jobs   int64
	Oldest time.Time // the earliest time at which one of them was due
}

// Backlog counts the jobs.
func (q *Queue) Backlog(ctx context.Context) ([]Backlog, error) {
	return db.All(ctx, q.c.DB, func(r db.Row) (b Backlog, err error) {
		var state int
		var oldest int64
		err = r.Scan(&b.Kind, &state, &b.Jobs, &oldest)
		b.State, b.Oldest = states[state], db.Time(oldest)
		return b, err
	}, `SELECT kind, state, count(*), min(run_at) FROM work GROUP BY kind, state ORDER BY kind, state`)
}
