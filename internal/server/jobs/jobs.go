// Package jobs runs background work, such as sweeps, at intervals. Each [Job] runs
// on one replica at a time, and jobs run independently of each other.
//
// A lease in the database decides which replica runs a job. The replica renews it
// while the job runs. If a replica dies, its lease lapses within minutes and
// another one runs the job, so a job must be able to start again in the middle of
// its work. A job that a shutdown interrupts is due at once.
//
// Times come from the clock given to [New], which may have been wrong. A lease or a
// due time that lies further in the future than any that this program writes does
// not count. Otherwise one start with a wrong clock would stop a job for years.
//
// The package knows no job. Package app lists them.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

const (
	// lease is how long a replica that does not renew its lease keeps it.
	lease = 5 * time.Minute
	// renewEvery is how often a lease is renewed while its job runs.
	renewEvery = time.Minute
	// skew is how far the clocks of replicas may be apart.
	skew = 5 * time.Minute
	// retryAfter is when a job that failed runs again, if that is before it is due.
	retryAfter = time.Hour
	// releaseTimeout bounds the release of a lease during a shutdown.
	releaseTimeout = 5 * time.Second
)

// A Job is one kind of background work.
type Job struct {
	// Name identifies the job in the database, the log and the metrics.
	Name string
	// Every is the time from one start to the next.
	Every time.Duration
	// Limit bounds one run.
	Limit time.Duration
	// Run does the work. An error is logged, and the job runs again in an hour, or
	// when it is due if that is earlier.
	Run func(ctx context.Context) error
}

// A Runner runs jobs for one replica.
type Runner struct {
	db      *db.DB
	holder  string // this replica
	now     func() time.Time
	log     *slog.Logger
	jobs    []Job
	metrics *metrics
}

// Migrations returns the schema of this package.
func Migrations() []db.Migration { return []db.Migration{leaseMigration} }

var leaseMigration = db.Migration{Name: "jobs/001-lease", SQL: `CREATE TABLE job_lease (
	name   {text} NOT NULL PRIMARY KEY,
	holder {text} NOT NULL,
	until  {int} NOT NULL, -- when the lease lapses
	due    {int} NOT NULL  -- when the job is to start next
)`}

// New applies the migration and returns a runner. holder identifies the replica
// among the others.
func New(ctx context.Context, d *db.DB, holder string, now func() time.Time, log *slog.Logger, jobs ...Job) (*Runner, error) {
	err := d.Migrate(ctx, Migrations()...)
	if err != nil {
		return nil, err
	}
	return &Runner{d, holder, now, log, jobs, newMetrics()}, nil
}

// Metrics returns the runner's metrics, for one registration.
func (r *Runner) Metrics() []prometheus.Collector { return r.metrics.all() }

// RunDue runs the jobs that are due and that no other replica runs, all at the same
// time, and returns when they have ended. The error is the database's; a job's own
// is logged.
func (r *Runner) RunDue(ctx context.Context) error {
	errs := make([]error, len(r.jobs))
	var wg sync.WaitGroup
	for i, job := range r.jobs {
		wg.Go(func() { errs[i] = r.runIfDue(ctx, job) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Loop runs each job when it is due, and looks at every tick whether it is, until
// ctx ends. It returns when all jobs have ended.
func (r *Runner) Loop(ctx context.Context, tick time.Duration) {
	var wg sync.WaitGroup
	for _, job := range r.jobs {
		wg.Go(func() { r.loop(ctx, job, tick) })
	}
	wg.Wait()
}

func (r *Runner) loop(ctx context.Context, job Job, tick time.Duration) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		if err := r.runIfDue(ctx, job); err != nil && ctx.Err() == nil {
			r.log.ErrorContext(ctx, "background work", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (r *Runner) runIfDue(ctx context.Context, job Job) error {
	took, err := r.take(ctx, job)
	if err != nil {
		return fmt.Errorf("lease of job %s: %w", job.Name, err)
	}
	if !took {
		return nil
	}
	started := r.now()
	due := started.Add(job.Every)
	switch err := r.run(ctx, job); {
	case ctx.Err() != nil: // the server is shutting down
		due = started
	case err != nil:
		due = started.Add(min(job.Every, retryAfter))
	}
	if err := r.release(ctx, job, due); err != nil {
		return fmt.Errorf("lease of job %s: %w", job.Name, err)
	}
	return nil
}

// run runs a job and renews its lease meanwhile.
func (r *Runner) run(ctx context.Context, job Job) error {
	jobCtx, cancel := context.WithTimeout(ctx, job.Limit)
	defer cancel()
	renewing := make(chan struct{})
	go func() {
		defer close(renewing)
		r.renew(jobCtx, job, cancel)
	}()
	began := time.Now()
	err := job.Run(jobCtx)
	cancel()
	<-renewing
	took := time.Since(began)
	r.metrics.ended(job.Name, err, r.now(), took)
	switch {
	case err == nil:
		r.log.DebugContext(ctx, "job done", "job", job.Name, "duration", took)
	case ctx.Err() == nil:
		r.log.ErrorContext(ctx, "job failed", "job", job.Name, "error", err)
	}
	return err
}

// renew renews the lease of a job until ctx ends. If another replica has it, the job
// is stopped.
func (r *Runner) renew(ctx context.Context, job Job, stop context.CancelFunc) {
	t := time.NewTicker(renewEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		var n int64
		err := r.db.Tx(ctx, func(tx *db.Tx) (err error) {
			n, err = tx.Exec(ctx, `UPDATE job_lease SET until = $3 WHERE name = $1 AND holder = $2`, job.Name, r.holder, db.Micros(r.now().Add(lease)))
			return err
		})
		if err == nil && n == 0 {
			stop()
			return
		}
	}
}

// take leases a job that is due. A lease that this replica left when it died lapses
// like any other's.
func (r *Runner) take(ctx context.Context, job Job) (took bool, err error) {
	now := r.now()
	// What lies beyond these was written while the clock was wrong.
	lastUntil, lastDue := db.Micros(now.Add(lease+skew)), db.Micros(now.Add(job.Every+skew))
	const free = `(due <= $2 OR due > $4) AND (until <= $2 OR until > $3)`
	// Look first, since a transaction that finds nothing to do still takes its turn.
	n, err := db.One(ctx, r.db, db.Scalar[int64], `SELECT count(*) FROM job_lease WHERE name = $1 AND NOT (`+free+`)`, job.Name, db.Micros(now), lastUntil, lastDue)
	if err != nil || n > 0 {
		return false, err
	}
	err = r.db.Tx(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO job_lease (name, holder, until, due) VALUES ($1, $5, $6, $2)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until, due = excluded.due
			WHERE (job_lease.due <= $2 OR job_lease.due > $4) AND (job_lease.until <= $2 OR job_lease.until > $3)`,
			job.Name, db.Micros(now), lastUntil, lastDue, r.holder, db.Micros(now.Add(lease)))
		took = n == 1
		return err
	})
	return took, err
}

// release ends the lease and sets when the job is due. It works during a shutdown.
func (r *Runner) release(ctx context.Context, job Job, due time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	return r.db.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE job_lease SET until = 0, due = $3 WHERE name = $1 AND holder = $2`, job.Name, r.holder, db.Micros(due))
		return err
	})
}
