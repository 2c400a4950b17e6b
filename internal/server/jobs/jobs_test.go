package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/jobs"
)

type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

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
	d, err := db.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "gatehouse.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestAJobRunsOnceAnIntervalOnOneReplica(t *testing.T) {
	d, c := open(t), &clock{time.Unix(1_000_000, 0)}
	runs := 0
	job := jobs.Job{Name: "sweep", Every: time.Hour, Limit: time.Minute, Run: func(context.Context) error { runs++; return errors.New("a failed run counts") }}
	a, b := runner(t, d, "a", c, job), runner(t, d, "b", c, job)
	for _, step := range []struct {
		forward time.Duration
		want    int
	}{{0, 1}, {59 * time.Minute, 1}, {time.Minute, 2}, {time.Hour, 3}} {
		c.at = c.at.Add(step.forward)
		for _, r := range []*jobs.Runner{a, b, a} {
			if err := r.RunDue(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if runs != step.want {
			t.Fatalf("after %v: %d runs, want %d", step.forward, runs, step.want)
		}
	}
}

func TestALeaseOfADeadReplicaLapses(t *testing.T) {
	d, c := open(t), &clock{time.Unix(1_000_000, 0)}
	var other *jobs.Runner
	runs := 0
	job := jobs.Job{Name: "sweep", Every: time.Second, Limit: time.Hour}
	job.Run = func(ctx context.Context) error { // as if it never came back: the other one looks meanwhile
		runs++
		c.at = c.at.Add(time.Minute)
		if err := other.RunDue(ctx); err != nil {
			return err
		}
		if runs != 1 {
			t.Error("the job ran on two replicas at once")
		}
		c.at = c.at.Add(time.Hour)
		job2 := jobs.Job{Name: "sweep", Every: time.Second, Limit: time.Hour, Run: func(context.Context) error { runs++; return nil }}
		return runner(t, d, "c", c, job2).RunDue(ctx)
	}
	other = runner(t, d, "b", c, jobs.Job{Name: "sweep", Every: time.Second, Limit: time.Hour, Run: func(context.Context) error { runs++; return nil }})
	if err := runner(t, d, "a", c, job).RunDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if runs != 2 {
		t.Fatalf("%d runs: a lapsed lease was not taken over", runs)
	}
}

func TestLoopEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := runner(t, open(t), "a", &clock{time.Unix(1, 0)}, jobs.Job{Name: "j", Every: time.Hour, Limit: time.Hour, Run: func(context.Context) error { cancel(); return nil }})
	r.Loop(ctx, time.Hour)
}
