package work

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// Config has what a [Queue] needs. DB, Now and Log are required.
type Config struct {
	DB  *db.DB
	Now func() time.Time
	Log *slog.Logger
	// Server names this process in what people see.
	Server string
	// Exclusive means that no other process works on this database. Then there are no
	// leases and no polling, and what a killed process left is taken at the start.
	Exclusive bool
	// Concurrency is how many jobs of all kinds run at once; 0 means 16.
	Concurrency int
	// Lease is how long another server waits for a sign of life before it takes the
	// jobs of a server; 0 means 30 s. It must be the same on all servers.
	Lease time.Duration
	// Poll is how often the queue is looked at although nothing woke it, to find the
	// jobs of other servers; 0 means 5 s.
	Poll time.Duration
}

const (
	defaultConcurrency = 16
	defaultLease       = 30 * time.Second
	defaultPoll        = 5 * time.Second
	// exclusivePoll is how often a queue without other servers looks for jobs whose
	// time depends on a clock that may have been set.
	exclusivePoll = time.Minute
)

// A Queue is the queue of work of an installation, and the workers of one server. It
// is safe for use by many goroutines.
type Queue struct {
	c       Config
	metrics *metrics
	wake    chan struct{} // holds one value
	lastID  atomic.Int64  // microseconds since 1970

	kinds  []Kind // in the order of registration
	byName map[string]*Kind

	// The scheduler's: one goroutine uses them.
	session  *session
	observed map[string]observation // other servers' sessions

	handlers sync.WaitGroup
	mu       sync.Mutex
	running  map[string]int  // how many jobs of each kind
	begins   int             // how many jobs have begun
	begunAt  map[string]int  // begins when a job of the kind began last
	jobs     map[string]bool // the ids of the running ones
	ended    []endedRun      // to be recorded
}

// New applies the migrations and returns a queue without kinds.
func New(ctx context.Context, c Config) (*Queue, error) {
	if c.Concurrency == 0 {
		c.Concurrency = defaultConcurrency
	}
	if c.Lease == 0 {
		c.Lease = defaultLease
	}
	if c.Poll == 0 {
		c.Poll = defaultPoll
	}
	if c.Exclusive {
		c.Poll = exclusivePoll
	}
	if err := c.DB.Migrate(ctx, migrations...); err != nil {
		return nil, err
	}
	q := &Queue{
		c: c, wake: make(chan struct{}, 1),
		byName: map[string]*Kind{}, running: map[string]int{}, begunAt: map[string]int{}, jobs: map[string]bool{}, observed: map[string]observation{},
	}
	q.metrics = newMetrics(q)
	return q, q.Handle(q.retention())
}

// Handle registers kinds. It must be called before [Queue.Run].
func (q *Queue) Handle(kinds ...Kind) error {
	for _, k := range kinds {
		k, err := k.withDefaults()
		if err != nil {
			return err
		}
		if q.byName[k.Name] != nil {
			return fmt.Errorf("work: two kinds have the name %q", k.Name)
		}
		q.kinds = append(q.kinds, k)
		q.byName[k.Name] = &k
	}
	return nil
}

// Metrics returns the queue's metrics, for one registration.
func (q *Queue) Metrics() []prometheus.Collector { return q.metrics.all() }

// Enqueue puts a job into the queue as part of a transaction. Workers see it when the
// transaction is committed.
func (q *Queue) Enqueue(ctx context.Context, tx *db.Tx, j Job) error {
	now := q.c.Now()
	if j.RunAt.IsZero() {
		j.RunAt = now
	}
	payload, err := j.encode(now, q.maxDelay(j.Kind))
	if err != nil {
		return err
	}
	id := q.newID(now)
	key := j.Key
	if key == "" {
		key = id
	}
	_, err = tx.Exec(ctx, `INSERT INTO work (id, kind, key, payload, state, run_at, created, attempts, leased_by, started, finished, again, last_error)
		VALUES ($1, $2, $3, $4, 0, $5, $6, 0, '', 0, 0, 0, '')
		ON CONFLICT (kind, key) DO UPDATE SET payload = excluded.payload,
			run_at = CASE WHEN work.state = 0 AND work.run_at < excluded.run_at THEN work.run_at ELSE excluded.run_at END,
			again = CASE WHEN work.state = 1 THEN 1 ELSE 0 END,
			attempts = CASE WHEN work.state = 2 THEN 0 ELSE work.attempts END,
			state = CASE WHEN work.state = 2 THEN 0 ELSE work.state END`,
		id, j.Kind, key, payload, db.Micros(j.RunAt), db.Micros(now))
	if err == nil {
		tx.AfterCommit(func() { q.enqueued(ctx) })
	}
	return err
}

// encode checks a job and returns its payload.
func (j Job) encode(now time.Time, maxDelay time.Duration) ([]byte, error) {
	payload := []byte{}
	if j.Payload != nil {
		var err error
		if payload, err = json.Marshal(j.Payload); err != nil {
			return nil, fmt.Errorf("work: the payload of a job %q: %w", j.Kind, err)
		}
	}
	switch {
	case j.Kind == "":
		return nil, errors.New("work: a job without a kind")
	case len(j.Key) > maxKey:
		return nil, fmt.Errorf("work: the key of a job %q has more than %d bytes", j.Kind, maxKey)
	case len(payload) > maxPayload:
		return nil, fmt.Errorf("work: the payload of a job %q has more than %d bytes", j.Kind, maxPayload)
	case j.RunAt.Sub(now) > maxDelay:
		return nil, fmt.Errorf("work: a job %q is more than %v ahead", j.Kind, maxDelay)
	}
	return payload, nil
}

func (q *Queue) maxDelay(kind string) time.Duration {
	if k := q.byName[kind]; k != nil {
		return k.MaxDelay
	}
	return defaultMaxDelay
}

// enqueued is called after a job was committed.
func (q *Queue) enqueued(ctx context.Context) {
	q.Wake()
	if !q.c.Exclusive && q.full() {
		q.c.DB.Wake(context.WithoutCancel(ctx)) // another server may have room
	}
}

// full reports whether this server runs as many jobs as it may.
func (q *Queue) full() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.jobs) >= q.c.Concurrency
}

// Wake makes the workers look at the queue. It returns at once. Call it when another
// server may have put jobs into the queue; without it they are found a few seconds
// later.
func (q *Queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// newID returns the id of a job. The ids of one process are in the order in which they
// were made, and those of several by their clocks.
func (q *Queue) newID(now time.Time) string {
	for {
		last := q.lastID.Load()
		next := max(now.UnixMicro(), last+1)
		if q.lastID.CompareAndSwap(last, next) {
			return strconv.FormatInt(next, 36) + "-" + randid.Text()[:8]
		}
	}
}
