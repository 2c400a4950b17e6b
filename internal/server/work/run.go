package work

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

const (
	// dbTimeout bounds what the scheduler waits for the database.
	dbTimeout = 15 * time.Second
	// stopTimeout is how long handlers have to return during a shutdown.
	stopTimeout = 10 * time.Second
)

// Run runs jobs until ctx ends. It then cancels the contexts of the handlers, puts
// their jobs back into the queue, and returns when they have returned, or after ten
// seconds.
func (q *Queue) Run(ctx context.Context) {
	q.prepare(ctx)
	for ctx.Err() == nil {
		next, err := q.step(ctx)
		if err != nil && ctx.Err() == nil {
			q.c.Log.ErrorContext(ctx, "the work queue could not be read", "error", err)
		}
		q.wait(ctx, next)
	}
	q.stop(ctx)
}

// RunDue runs the jobs that are due, and those that they put into the queue, and returns
// when no job is due and none runs here. The error is the database's.
func (q *Queue) RunDue(ctx context.Context) error {
	if err := q.ensureRecurring(ctx); err != nil {
		return err
	}
	for {
		begun, _, err := q.turn(ctx)
		q.handlers.Wait()
		if err != nil || begun == 0 {
			return err
		}
	}
}

// prepare makes the queue ready. It tries until the database answers.
func (q *Queue) prepare(ctx context.Context) {
	for {
		err := q.ensureRecurring(ctx)
		if err == nil && q.c.Exclusive {
			err = q.takeAll(ctx)
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		q.c.Log.ErrorContext(ctx, "the work queue is not ready", "error", err)
		q.wait(ctx, q.c.Poll)
	}
}

// ensureRecurring creates the job of each kind that recurs.
func (q *Queue) ensureRecurring(ctx context.Context) error {
	return q.c.DB.Tx(ctx, func(tx *db.Tx) error {
		now := q.c.Now()
		for _, k := range q.kinds {
			if k.Every == 0 {
				continue
			}
			if _, err := tx.Exec(ctx, `INSERT INTO work (id, kind, key, payload, state, run_at, created, attempts, leased_by, started, finished, again, last_error)
				VALUES ($1, $2, '', $3, 0, $4, $4, 0, '', 0, 0, 0, '') ON CONFLICT (kind, key) DO NOTHING`,
				q.newID(now), k.Name, []byte{}, db.Micros(now)); err != nil {
				return err
			}
		}
		return nil
	})
}

// step does what is to do now, and returns when there is something to do next.
func (q *Queue) step(ctx context.Context) (next time.Duration, err error) {
	if !q.c.Exclusive {
		if err := q.takeOver(ctx); err != nil {
			return q.c.Poll, err
		}
	}
	begun, next, err := q.turn(ctx)
	switch {
	case err != nil:
		next = min(q.c.Poll, q.c.Lease/beats)
	case begun > 0: // there may be more
		next = 0
	case q.busy() && !q.c.Exclusive:
		next = min(next, q.c.Lease/beats)
	}
	return min(next, q.c.Poll), err
}

func (q *Queue) busy() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.jobs) > 0
}

// wait returns after a time, or when something happened.
func (q *Queue) wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-q.wake:
	case <-t.C:
	}
}

// turn records how runs have ended, takes jobs that are due and begins to run them, all
// in one transaction, which also shows that the session lives. It returns how many jobs
// began, and when the next one is due.
func (q *Queue) turn(ctx context.Context) (begun int, next time.Duration, err error) {
	call, cancel := context.WithTimeout(ctx, dbTimeout)
	defer cancel()
	if err := q.putBackUnbegun(call); err != nil {
		return 0, q.c.Poll, err
	}
	ended := q.takeEnded()
	free := q.free()
	due, next, err := q.due(call, free)
	if err != nil {
		q.putEnded(ended)
		return 0, next, err
	}
	s := q.current(ctx)
	if len(due) == 0 && len(ended) == 0 && (!q.busy() || time.Since(s.beaten) < q.c.Lease/beats) {
		return 0, next, nil
	}
	var taken []leased
	err = q.count(call, s, func(tx *db.Tx) (err error) {
		if err := q.recordAll(call, tx, ended); err != nil {
			return err
		}
		taken, err = q.take(call, tx, s, due, free)
		return err
	})
	switch {
	case errors.Is(err, ErrLeaseLost): // others have the jobs of the session, if it had any
		return 0, 0, nil
	case err != nil:
		// As long as the session lives it keeps its jobs, so this must succeed some time.
		q.putEnded(ended)
		s.unclear = s.unclear || errors.Is(err, db.ErrUnclearCommit)
		return 0, next, err
	}
	for _, l := range taken {
		q.begin(s, l)
	}
	return len(taken), next, nil
}

// An endedRun is a run whose outcome is not recorded yet.
type endedRun struct {
	job     leased
	outcome outcome
}

func (q *Queue) takeEnded() []endedRun {
	q.mu.Lock()
	defer q.mu.Unlock()
	ended := q.ended
	q.ended = nil
	return ended
}

func (q *Queue) putEnded(ended []endedRun) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = append(q.ended, ended...)
}

func (q *Queue) recordAll(ctx context.Context, tx *db.Tx, ended []endedRun) error {
	for _, e := range ended {
		if err := q.record(ctx, tx, e.job, e.outcome); err != nil {
			return err
		}
	}
	return nil
}

// free returns how many jobs of each kind may begin.
func (q *Queue) free() map[string]int {
	q.mu.Lock()
	defer q.mu.Unlock()
	free := map[string]int{}
	for _, k := range q.kinds {
		free[k.Name] = max(0, min(k.Concurrency-q.running[k.Name], q.c.Concurrency-len(q.jobs)))
	}
	return free
}

// take leases jobs for the session, of those that are still due.
func (q *Queue) take(ctx context.Context, tx *db.Tx, s *session, due []candidate, free map[string]int) (taken []leased, err error) {
	left, total := map[string]int{}, q.c.Concurrency
	for kind, n := range free {
		left[kind] = n
	}
	q.mu.Lock()
	total -= len(q.jobs)
	q.mu.Unlock()
	now := db.Micros(q.c.Now())
	for _, c := range due {
		if left[c.kind] == 0 || len(taken) == total {
			continue
		}
		got, err := db.All(ctx, tx, scanLeased, `UPDATE work SET state = 1, leased_by = $2, attempts = attempts + 1, started = $3, again = 0
			WHERE id = $1 AND state = 0 AND run_at = $4 RETURNING `+leasedColumns, c.id, s.id, now, c.runAt)
		if err != nil {
			return nil, err
		}
		left[c.kind] -= len(got)
		taken = append(taken, got...)
	}
	return taken, nil
}

// begin runs a leased job on a goroutine of its own.
func (q *Queue) begin(s *session, l leased) {
	q.mu.Lock()
	q.running[l.kind]++
	q.begins++
	q.begunAt[l.kind] = q.begins
	q.jobs[l.id] = true
	q.mu.Unlock()
	q.handlers.Go(func() {
		o, ours := q.runOne(s, l)
		q.mu.Lock()
		q.running[l.kind]--
		delete(q.jobs, l.id)
		if ours {
			q.ended = append(q.ended, endedRun{l, o})
		}
		q.mu.Unlock()
		q.Wake() // to record the outcome, and because there is room for another
	})
}

// runOne runs a job. It reports whether the job is still the session's.
func (q *Queue) runOne(s *session, l leased) (o outcome, ours bool) {
	kind := q.byName[l.kind]
	ctx, cancel := context.WithTimeout(s.ctx, kind.Timeout)
	defer cancel()
	began := time.Now()
	key := l.key
	if key == l.id {
		key = ""
	}
	err := q.call(ctx, kind, Run{Kind: l.kind, Key: key, Payload: l.payload, Attempt: l.attempts})
	took := time.Since(began)
	o = outcome{err: err, at: q.c.Now(), delay: kind.delayAfter(l.attempts)}
	if s.ctx.Err() != nil && err != nil {
		if errors.Is(context.Cause(s.ctx), ErrLeaseLost) {
			q.c.Log.WarnContext(ctx, "work was stopped: this server could not show in time that it lives", "kind", l.kind, "id", l.id)
			return o, false
		}
		o.interrupted = true
	}
	q.logRun(ctx, kind, l, o, took)
	q.metrics.ended(l.kind, o, took)
	return o, true
}

// call calls the handler. A panic is an error.
func (q *Queue) call(ctx context.Context, kind *Kind, r Run) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			q.c.Log.ErrorContext(ctx, "panic in background work", "kind", r.Kind, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	return kind.Run(ctx, r)
}

func (q *Queue) logRun(ctx context.Context, kind *Kind, l leased, o outcome, took time.Duration) {
	switch {
	case o.interrupted:
		q.c.Log.InfoContext(ctx, "work interrupted by the shutdown", "kind", l.kind, "id", l.id, "duration", took)
	case o.err == nil:
		q.c.Log.DebugContext(ctx, "work done", "kind", l.kind, "id", l.id, "duration", took)
	case kind.Every == 0 && l.attempts >= kind.MaxAttempts:
		q.c.Log.ErrorContext(ctx, "work failed for good; see `gatehouse work list --state failed`", "kind", l.kind, "id", l.id, "attempt", l.attempts, "error", o.err)
	default:
		q.c.Log.WarnContext(ctx, "work failed and will be tried again", "kind", l.kind, "id", l.id, "attempt", l.attempts, "again in", o.delay.Round(time.Second), "error", o.err)
	}
}

// stop records how the last runs have ended, and ends the session.
func (q *Queue) stop(ctx context.Context) {
	returned := make(chan struct{})
	go func() { q.handlers.Wait(); close(returned) }()
	select {
	case <-returned:
	case <-time.After(stopTimeout):
		q.c.Log.WarnContext(ctx, "background work does not stop; another server, or the next start, begins it again")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dbTimeout)
	defer cancel()
	ended := q.takeEnded()
	err := q.c.DB.Tx(ctx, func(tx *db.Tx) error {
		if err := q.recordAll(ctx, tx, ended); err != nil || q.session == nil || q.busy() {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM work_session WHERE id = $1`, q.session.id)
		return err
	})
	if err != nil {
		q.c.Log.ErrorContext(ctx, "background work could not be put back; another server, or the next start, begins it again", "error", err)
		return
	}
	q.c.DB.Wake(ctx) // others can run it now
}
