package work_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

func every(d time.Duration, r *recorder) work.Kind {
	return work.Kind{Name: "sweep", Every: d, Run: r.run}
}

func TestRecurring_OncePerIntervalOnOneServer(t *testing.T) {
	f, r := open(t), new(recorder)
	a, b := f.server("a", nil, every(time.Hour, r)), f.server("b", nil, every(time.Hour, r))
	for _, step := range []struct {
		forward time.Duration
		want    []string
	}{{0, []string{" #1"}}, {59 * time.Minute, nil}, {time.Minute, []string{" #1"}}, {time.Hour, []string{" #1"}}} {
		f.clock.forward(step.forward)
		for _, q := range []*work.Queue{a, b, a} {
			f.runDue(q)
		}
		r.want(t, step.want...)
	}
}

// Recurring work that failed does not wait for its whole interval, and never ends.
func TestRecurring_Failure(t *testing.T) {
	f, r := open(t), &recorder{fail: errors.New("failed")}
	q := f.server("a", nil, every(24*time.Hour, r))
	for range 20 {
		f.runDue(q)
		f.clock.forward(61 * time.Minute)
	}
	if len(r.runs) != 20 {
		t.Errorf("%d runs", len(r.runs))
	}
	r.fail = nil
	f.runDue(q)
	if items := f.list(q, work.Filter{Kind: "sweep"}); len(items) != 1 || items[0].State != work.Queued || items[0].Attempts != 0 || items[0].LastError != "" {
		t.Errorf("%+v", items)
	}
}

// One start with a clock that is ten years ahead does not stop the work when the clock
// is right again, and neither does one with a clock that is behind.
func TestRecurring_WrongClock(t *testing.T) {
	const decade = 10 * 365 * 24 * time.Hour
	for _, wrong := range []time.Duration{decade, -decade} {
		f, r := open(t), new(recorder)
		q := f.server("a", nil, every(24*time.Hour, r))
		f.clock.forward(wrong)
		f.runDue(q)
		f.clock.forward(-wrong)
		f.runDue(q)
		r.want(t, " #1", " #1")
		f.clock.forward(time.Hour)
		f.runDue(q)
		r.want(t)
	}
}

// A job whose time was written with a clock far ahead runs now, although others of its kind
// wait for their time.
func TestRun_TimeTooFarAhead(t *testing.T) {
	const decade = 10 * 365 * 24 * time.Hour
	f, r := open(t), new(recorder)
	q := f.server("a", nil, work.Kind{Name: "k", Run: r.run})
	f.clock.forward(decade)
	f.enqueue(q, work.Job{Kind: "k", Key: "far"})
	f.clock.forward(-decade)
	f.enqueue(q, work.Job{Kind: "k", Key: "soon", RunAt: f.clock.now().Add(time.Minute)})
	f.runDue(q)
	r.want(t, "far #1")
	f.clock.forward(time.Minute)
	f.runDue(q)
	r.want(t, "soon #1")
}

// Work that the server's shutdown interrupts is due at the next start, and the run does
// not count as an attempt.
func TestRun_InterruptedByShutdown(t *testing.T) {
	f, r := open(t), new(recorder)
	ctx, shutdown := context.WithCancel(t.Context())
	interrupted := func(ctx context.Context, _ work.Run) error {
		shutdown()
		<-ctx.Done()
		return ctx.Err()
	}
	first := f.server("a", nil, work.Kind{Name: "sweep", Every: 24 * time.Hour, Run: interrupted}, work.Kind{Name: "k", Run: interrupted})
	f.enqueue(first, work.Job{Kind: "k", Key: "x"})
	first.Run(ctx)
	for _, i := range f.list(first, work.Filter{}) {
		if i.State != work.Queued || i.Attempts != 0 || i.LastError != "" {
			t.Errorf("%+v", i)
		}
	}
	f.runDue(f.server("b", nil, every(24*time.Hour, r), work.Kind{Name: "k", Run: r.run}))
	if len(r.runs) != 2 {
		t.Errorf("runs %q", r.runs)
	}
}
