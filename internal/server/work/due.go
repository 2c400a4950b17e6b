package work

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A candidate is a job that may be due.
type candidate struct {
	kind, id string
	runAt    int64
}

func scanCandidate(r db.Row) (c candidate, err error) {
	err = r.Scan(&c.kind, &c.id, &c.runAt)
	return c, err
}

// A kindWaiting is a kind that has jobs in the queue.
type kindWaiting struct {
	kind        string
	first, last int64 // when the first and the last of them are due
}

func scanWaiting(r db.Row) (w kindWaiting, err error) {
	err = r.Scan(&w.kind, &w.first, &w.last)
	return w, err
}

// kindsWaiting finds the kinds that have jobs in the queue. It reads a few entries of the
// index for each, however many jobs there are. The text is always the same, so the database
// parses it once: the queue is read after each change that leaves work, and each run.
const kindsWaiting = `WITH RECURSIVE waiting (kind) AS (
		SELECT min(kind) FROM work WHERE state = 0
		UNION ALL
		SELECT (SELECT min(kind) FROM work WHERE state = 0 AND kind > waiting.kind) FROM waiting WHERE waiting.kind IS NOT NULL
	)
	SELECT kind, (SELECT min(run_at) FROM work WHERE state = 0 AND work.kind = waiting.kind),
		(SELECT max(run_at) FROM work WHERE state = 0 AND work.kind = waiting.kind)
	FROM waiting WHERE kind IS NOT NULL`

// due looks for jobs that are due, without a transaction. It also returns how long it takes
// until the next one is.
func (q *Queue) due(ctx context.Context, free map[string]int) (due []candidate, next time.Duration, err error) {
	waiting, err := db.All(ctx, q.c.DB, scanWaiting, kindsWaiting)
	if err != nil {
		return nil, q.c.Poll, err
	}
	now, next := q.c.Now(), q.c.Poll
	for _, w := range waiting {
		if free[w.kind] == 0 { // also if it is a kind of a newer version
			continue
		}
		jobs, wait, err := q.dueOf(ctx, w, now, free[w.kind])
		if err != nil {
			return nil, q.c.Poll, err
		}
		due, next = append(due, jobs...), min(next, wait)
	}
	if !q.c.Exclusive {
		rand.Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] })
	}
	q.takeTurns(due)
	return due, next, nil
}

// dueOf is due for one kind, of which so many jobs may begin.
func (q *Queue) dueOf(ctx context.Context, w kindWaiting, now time.Time, free int) (due []candidate, next time.Duration, err error) {
	if !q.c.Exclusive {
		free *= 16 // servers that look at the same time must not all want the same jobs
	}
	// A time after this one was written while a clock was wrong, and the job is due.
	far := now.Add(max(q.byName[w.kind].MaxDelay, maxBackoff) + maxSkew)
	next = q.c.Poll
	if first := db.Time(w.first); first.After(now) {
		next = first.Sub(now)
	} else {
		jobs, err := q.waitingAfter(ctx, w.kind, time.Time{}, free)
		if err != nil {
			return nil, next, err
		}
		later := slices.IndexFunc(jobs, func(c candidate) bool { return db.Time(c.runAt).After(now) })
		if later >= 0 {
			next, jobs = db.Time(jobs[later].runAt).Sub(now), jobs[:later]
		}
		due = jobs
	}
	if db.Time(w.last).After(far) {
		jobs, err := q.waitingAfter(ctx, w.kind, far, free)
		if err != nil {
			return nil, next, err
		}
		due = append(due, jobs...)
	}
	return due, next, nil
}

// waitingAfter returns the first jobs of a kind that are due after a time.
func (q *Queue) waitingAfter(ctx context.Context, kind string, after time.Time, limit int) ([]candidate, error) {
	return db.All(ctx, q.c.DB, scanCandidate, `SELECT kind, id, run_at FROM work WHERE state = 0 AND kind = $1 AND run_at > $2 ORDER BY run_at LIMIT $3`,
		kind, db.Micros(after), limit)
}

// takeTurns sorts jobs so that the kind comes first whose last job began longest ago.
// Otherwise kinds with many slow jobs, such as deliveries to receivers that do not answer,
// would take every place that gets free, and other kinds would never run.
func (q *Queue) takeTurns(due []candidate) {
	q.mu.Lock()
	defer q.mu.Unlock()
	slices.SortStableFunc(due, func(a, b candidate) int { return cmp.Compare(q.begunAt[a.kind], q.begunAt[b.kind]) })
}
