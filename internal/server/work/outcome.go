package work

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/redact"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

// A leased job is one that this server has taken to run it.
type leased struct {
	id, kind, key string
	payload       []byte
	attempts      int
	by            string // the session
	started       int64
	again         bool
}

const leasedColumns = `id, kind, key, payload, attempts, leased_by, started, again`

func scanLeased(r db.Row) (l leased, err error) {
	var again int64
	err = r.Scan(&l.id, &l.kind, &l.key, &l.payload, &l.attempts, &l.by, &l.started, &again)
	l.again = again == 1
	return l, err
}

// An outcome is how a run ended.
type outcome struct {
	err         error
	at          time.Time
	delay       time.Duration // before the next attempt, after an error
	interrupted bool          // by the server's shutdown: the run does not count
}

// record writes the outcome of a run, unless the session has lost the job.
func (q *Queue) record(ctx context.Context, tx *db.Tx, l leased, o outcome) error {
	// What was put into the queue during the run is read again.
	now, err := db.All(ctx, tx, scanLeased, `SELECT `+leasedColumns+` FROM work WHERE id = $1 AND state = 1 AND leased_by = $2`, l.id, l.by)
	if err != nil || len(now) == 0 {
		return err
	}
	l = now[0]
	kind := q.byName[l.kind]
	at := db.Micros(o.at)
	switch {
	case o.interrupted:
		return q.requeue(ctx, tx, l, `attempts = attempts - 1`)
	case o.err == nil && kind != nil && kind.Every > 0:
		if l.again {
			return q.requeue(ctx, tx, l, `attempts = 0, last_error = '', finished = $3`, at)
		}
		return q.requeue(ctx, tx, l, `attempts = 0, last_error = '', finished = $3, run_at = $4`, at, l.started+kind.Every.Microseconds())
	case o.err == nil && l.again:
		return q.requeue(ctx, tx, l, `attempts = 0, last_error = '', finished = $3`, at)
	case o.err == nil:
		_, err := tx.Exec(ctx, `DELETE FROM work WHERE id = $1 AND leased_by = $2`, l.id, l.by)
		return err
	}
	text := errorText(o.err)
	next := db.Micros(o.at.Add(o.delay))
	switch {
	case kind != nil && kind.Every > 0, kind == nil || l.attempts < kind.MaxAttempts:
		return q.requeue(ctx, tx, l, `last_error = $3, finished = $4, run_at = $5`, text, at, next)
	case l.again: // it begins anew
		return q.requeue(ctx, tx, l, `last_error = $3, finished = $4, run_at = $5, attempts = 0`, text, at, next)
	}
	_, err = tx.Exec(ctx, `UPDATE work SET state = 2, leased_by = '', last_error = $3, finished = $4 WHERE id = $1 AND leased_by = $2`, l.id, l.by, text, at)
	return err
}

// requeue puts a running job back into the queue.
func (q *Queue) requeue(ctx context.Context, tx *db.Tx, l leased, set string, args ...any) error {
	_, err := tx.Exec(ctx, `UPDATE work SET state = 0, leased_by = '', again = 0, `+set+` WHERE id = $1 AND leased_by = $2`, append([]any{l.id, l.by}, args...)...)
	return err
}

// delayAfter returns how long a job waits after a failed attempt.
func (k *Kind) delayAfter(attempt int) time.Duration {
	if k.Every > 0 {
		return min(k.Every, maxBackoff)
	}
	return jittered(backoff(attempt))
}

// jittered returns between three quarters and five quarters of a time, so that jobs
// that failed together are not all tried again at once.
func jittered(d time.Duration) time.Duration { return d*3/4 + rand.N(d/2+1) }

// errorText is what is kept of an error, without secrets.
func errorText(err error) string {
	return string(redact.Tokens([]byte(truncate.String(err.Error(), maxError))))
}
