// Package jobs runs background work (sweeps, and later lifecycle rules and
// scans) at intervals, each job on one replica at a time.
//
// Which replica runs a job is settled by a lease in the database. A replica
// that dies lets its lease lapse, and another one takes over; so a job must bear
// being started again after half of its work.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A Job is one kind of background work.
type Job struct {
	// Name identifies the job in the database and the log.
	Name string
	// Every is the time from one start to the next.
	Every time.Duration
	// Limit bounds one run; it is the length of the lease.
	Limit time.Duration
	// Run does the work. An error is logged; the job runs again when it is due.
	Run func(ctx context.Context) error
}

// A Runner runs jobs for one replica.
type Runner struct {
	db     *db.DB
	holder string // this replica
	now    func() time.Time
	log    *slog.Logger
	jobs   []Job
}

// New applies the migration and returns a runner. holder identifies the replica
// among the others.
func New(ctx context.Context, d *db.DB, holder string, now func() time.Time, log *slog.Logger, jobs ...Job) (*Runner, error) {
	err := d.Migrate(ctx, db.Migration{Name: "jobs/001-lease", SQL: `CREATE TABLE job_lease (
		name   {text} NOT NULL PRIMARY KEY,
		holder {text} NOT NULL,
		until  {int} NOT NULL, -- when the lease lapses
		due    {int} NOT NULL  -- when the job is to start next
	)`})
	if err != nil {
		return nil, err
	}
	return &Runner{d, holder, now, log, jobs}, nil
}

// RunDue runs the jobs that are due and that no other replica holds, one after
// the other. The error is the database's; a job's own is logged.
func (r *Runner) RunDue(ctx context.Context) error {
	for _, job := range r.jobs {
		took, err := r.take(ctx, job)
		if err != nil {
			return fmt.Errorf("lease of job %s: %w", job.Name, err)
		}
		if !took {
			continue
		}
		r.run(ctx, job)
		if err := r.giveBack(ctx, job); err != nil {
			return fmt.Errorf("lease of job %s: %w", job.Name, err)
		}
	}
	return nil
}

func (r *Runner) run(ctx context.Context, job Job) {
	ctx, cancel := context.WithTimeout(ctx, job.Limit)
	defer cancel()
	started := r.now()
	if err := job.Run(ctx); err != nil {
		if errors.Is(err, context.Canceled) { // the server ends; what is left is done after the next start
			return
		}
		r.log.ErrorContext(ctx, "job failed", "job", job.Name, "error", err)
		return
	}
	r.log.DebugContext(ctx, "job done", "job", job.Name, "duration", r.now().Sub(started))
}

// take leases a job that is due. What a replica of this very name left behind,
// when it died, lapses like any other's.
func (r *Runner) take(ctx context.Context, job Job) (took bool, err error) {
	now := r.now()
	err = r.db.Tx(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO job_lease (name, holder, until, due) VALUES ($1, $2, $3, $4)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until, due = excluded.due
			WHERE job_lease.due <= $5 AND job_lease.until <= $5`,
			job.Name, r.holder, db.Micros(now.Add(job.Limit)), db.Micros(now.Add(job.Every)), db.Micros(now))
		took = n == 1
		return err
	})
	return took, err
}

func (r *Runner) giveBack(ctx context.Context, job Job) error {
	return r.db.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE job_lease SET until = 0 WHERE name = $1 AND holder = $2`, job.Name, r.holder)
		return err
	})
}

// Loop calls RunDue at once and then at every tick, until ctx ends.
func (r *Runner) Loop(ctx context.Context, tick time.Duration) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		if err := r.RunDue(ctx); err != nil && ctx.Err() == nil {
			r.log.ErrorContext(ctx, "background work", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}
