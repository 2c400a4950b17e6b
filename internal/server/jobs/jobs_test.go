package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/jobs"
)

// A clock is set by the test.
type clock struct{ at atomic.Pointer[time.Time] }

func newClock() *clock {
	c := new(clock)
	c.set(time.Unix(1_000_000_000, 0))
	return c
}

func (c *clock) now() time.Time           { return *c.at.Load() }
func (c *clock) set(at time.Time)         { c.at.Store(&at) }
func (c *clock) forward(by time.Duration) { c.set(c.now().Add(by)) }

func runner(t *testing.T, d *db.DB, holder string, c *clock, js ...jobs.Job) *jobs.Runner {
	t.Helper()
	r, err := jobs.New(t.Context(), d, holder, c.now, slog.New(slog.DiscardHandler), js...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func open(t *testing.T) *db.DB {
	t.Helper()
	return dbtest.Open(t)
}

// counting returns a job that counts its runs.
func counting(name string, every time.Duration) (jobs.Job, *int) {
	runs := new(int)
	return jobs.Job{Name: name, Every: every, Limit: time.Hour, Run: func(context.Context) error { *runs++; return nil }}, runs
}

func runDue(t *testing.T, r *jobs.Runner) {
	t.Helper()
	if err := r.RunDue(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestRunDue_OncePerIntervalOnOneReplica(t *testing.T) {
	d, c := open(t), newClock()
	job, runs := counting("sweep", time.Hour)
	a, b := runner(t, d, "a", c, job), runner(t, d, "b", c, job)
	for _, step := range []struct {
		forward time.Duration
		want    int
	}{{0, 1}, {59 * time.Minute, 1}, {time.Minute, 2}, {time.Hour, 3}} {
		c.forward(step.forward)
		for _, r := range []*jobs.Runner{a, b, a} {
			runDue(t, r)
		}
		if *runs != step.want {
			t.Fatalf("after %v: %d runs, want %d", step.forward, *runs, step.want)
		}
	}
}

// A job that failed does not wait for its whole interval.
func TestRunDue_FailedJob(t *testing.T) {
	d, c := open(t), newClock()
	runs := 0
	r := runner(t, d, "a", c, jobs.Job{Name: "sweep", Every: 24 * time.Hour, Limit: time.Minute, Run: func(context.Context) error { runs++; return errors.New("failed") }})
	for _, want := range []int{1, 1, 2} {
		runDue(t, r)
		if runs != want {
			t.Fatalf("%d runs, want %d", runs, want)
		}
		c.forward(40 * time.Minute)
	}
}

// The lease of a replica that dies while it runs a job lapses within minutes.
func TestRunDue_LeaseOfDeadReplica(t *testing.T) {
	d, c := open(t), newClock()
	died := make(chan struct{})
	defer close(died)
	began := make(chan struct{})
	dying := runner(t, d, "a", c, jobs.Job{Name: "sweep", Every: 24 * time.Hour, Limit: 6 * time.Hour, Run: func(context.Context) error {
		close(began)
		<-died // as if it never returned
		return nil
	}})
	go func() { _ = dying.RunDue(context.Background()) }()
	<-began
	job, runs := counting("sweep", 24*time.Hour)
	other := runner(t, d, "b", c, job)
	runDue(t, other)
	if *runs != 0 {
		t.Fatal("the job ran on two replicas at once")
	}
	c.forward(6 * time.Minute)
	runDue(t, other)
	if *runs != 1 {
		t.Fatalf("%d runs: the lapsed lease was not taken over", *runs)
	}
}

// A job that the server's shutdown interrupts is due at the next start, and not one
// interval after it began.
func TestRunDue_InterruptedByShutdown(t *testing.T) {
	d, c := open(t), newClock()
	ctx, shutdown := context.WithCancel(t.Context())
	first := runner(t, d, "a", c, jobs.Job{Name: "objects", Every: 24 * time.Hour, Limit: 6 * time.Hour, Run: func(ctx context.Context) error {
		shutdown()
		<-ctx.Done()
		return ctx.Err()
	}})
	if err := first.RunDue(ctx); err != nil {
		t.Fatal(err)
	}
	c.forward(time.Second)
	job, runs := counting("objects", 24*time.Hour)
	runDue(t, runner(t, d, "b", c, job))
	if *runs != 1 {
		t.Error("the interrupted job waits for its interval")
	}
}

// One start with a clock that is ten years ahead does not stop the job when the
// clock is right again, and neither does one with a clock that is behind.
func TestRunDue_WrongClock(t *testing.T) {
	const decade = 10 * 365 * 24 * time.Hour
	for _, wrong := range []time.Duration{decade, -decade} {
		d, c := open(t), newClock()
		job, runs := counting("sweep", 24*time.Hour)
		r := runner(t, d, "a", c, job)
		c.forward(wrong)
		runDue(t, r)
		c.forward(-wrong)
		runDue(t, r)
		if *runs != 2 {
			t.Errorf("%v: %d runs, want one at each time", wrong, *runs)
		}
		c.forward(time.Hour)
		runDue(t, r)
		if *runs != 2 {
			t.Errorf("%v: the job runs before it is due", wrong)
		}
	}
}

// The server was killed while a job ran and the clock was ahead.
func TestRunDue_LeaseOfWrongClock(t *testing.T) {
	d, c := open(t), newClock()
	job, runs := counting("sweep", time.Hour)
	r := runner(t, d, "a", c, job)
	if err := d.Tx(t.Context(), func(tx *db.Tx) error {
		later := db.Micros(c.now().AddDate(10, 0, 0))
		_, err := tx.Exec(t.Context(), `INSERT INTO job_lease (name, holder, until, due) VALUES ('sweep', 'dead', $1, $1)`, later)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	runDue(t, r)
	if *runs != 1 {
		t.Error("a lease of the future stops the job")
	}
}

func TestRunDue_LongJobDoesNotBlockOthers(t *testing.T) {
	d, c := open(t), newClock()
	short := make(chan struct{})
	long := jobs.Job{Name: "a-long", Every: time.Hour, Limit: time.Hour, Run: func(ctx context.Context) error {
		select {
		case <-short:
			return nil
		case <-time.After(30 * time.Second):
			return errors.New("the other job did not run")
		}
	}}
	failed := make(chan error, 1)
	watched := long
	watched.Run = func(ctx context.Context) error {
		err := long.Run(ctx)
		failed <- err
		return err
	}
	runDue(t, runner(t, d, "a", c, watched, jobs.Job{Name: "b-short", Every: time.Hour, Limit: time.Hour, Run: func(context.Context) error { close(short); return nil }}))
	if err := <-failed; err != nil {
		t.Error(err)
	}
}

func TestLoop_Ends(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := runner(t, open(t), "a", newClock(), jobs.Job{Name: "j", Every: time.Hour, Limit: time.Hour, Run: func(context.Context) error { cancel(); return nil }})
	r.Loop(ctx, time.Hour)
}
