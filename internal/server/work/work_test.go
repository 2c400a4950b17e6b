package work_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// A clock is set by the test.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time           { return time.Unix(1_000_000_000, c.offset.Load()) }
func (c *clock) forward(by time.Duration) { c.offset.Add(int64(by)) }

// A fixture is a database with a clock, on which servers work.
type fixture struct {
	t     *testing.T
	db    *db.DB
	clock clock
}

func open(t *testing.T) *fixture { return &fixture{t: t, db: dbtest.Open(t)} }

// server returns the queue of a server.
func (f *fixture) server(name string, change func(*work.Config), kinds ...work.Kind) *work.Queue {
	f.t.Helper()
	c := work.Config{DB: f.db, Now: f.clock.now, Log: slog.New(slog.DiscardHandler), Server: name}
	if change != nil {
		change(&c)
	}
	q, err := work.New(f.t.Context(), c)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := q.Handle(kinds...); err != nil {
		f.t.Fatal(err)
	}
	return q
}

func (f *fixture) enqueue(q *work.Queue, jobs ...work.Job) {
	f.t.Helper()
	if err := f.db.Tx(f.t.Context(), func(tx *db.Tx) error {
		for _, j := range jobs {
			if err := q.Enqueue(f.t.Context(), tx, j); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) runDue(q *work.Queue) {
	f.t.Helper()
	if err := q.RunDue(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

// list returns the jobs of a kind.
func (f *fixture) list(q *work.Queue, filter work.Filter) []work.Item {
	f.t.Helper()
	items, err := q.List(f.t.Context(), filter, "", 10_000)
	if err != nil {
		f.t.Fatal(err)
	}
	return items
}

// A recorder is a handler that remembers what it ran.
type recorder struct {
	mu   sync.Mutex
	runs []string
	fail error
}

func (r *recorder) run(_ context.Context, run work.Run) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs = append(r.runs, fmt.Sprintf("%s %s#%d", run.Key, run.Payload, run.Attempt))
	return r.fail
}

// want checks what ran since the last call, in any order.
func (r *recorder) want(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(r.runs)
	slices.Sort(want)
	if strings.Join(r.runs, ", ") != strings.Join(want, ", ") {
		t.Errorf("runs %q, want %q", r.runs, want)
	}
	r.runs = nil
}

func TestEnqueue_BelongsToTransaction(t *testing.T) {
	f, r := open(t), new(recorder)
	q := f.server("a", nil, work.Kind{Name: "k", Run: r.run})
	boom := errors.New("boom")
	err := f.db.Tx(t.Context(), func(tx *db.Tx) error {
		if err := q.Enqueue(t.Context(), tx, work.Job{Kind: "k", Key: "rolled back"}); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	f.enqueue(q, work.Job{Kind: "k", Key: "committed", Payload: map[string]int{"n": 1}})
	f.runDue(q)
	r.want(t, `committed {"n":1}#1`)
	if items := f.list(q, work.Filter{Kind: "k"}); len(items) != 0 {
		t.Errorf("%+v is left", items)
	}
}

// The process dies after the commit, before anything ran: the next one runs it.
func TestEnqueue_CrashBeforeRun(t *testing.T) {
	f, r := open(t), new(recorder)
	f.enqueue(f.server("a", nil, work.Kind{Name: "k", Run: r.run}), work.Job{Kind: "k", Key: "x"})
	f.runDue(f.server("b", nil, work.Kind{Name: "k", Run: r.run}))
	r.want(t, "x #1")
}

func TestEnqueue_Bounds(t *testing.T) {
	f := open(t)
	q := f.server("a", nil, work.Kind{Name: "k", Run: new(recorder).run, MaxDelay: time.Hour})
	for name, j := range map[string]work.Job{
		"no kind":         {Key: "x"},
		"a long key":      {Kind: "k", Key: strings.Repeat("x", 513)},
		"a large payload": {Kind: "k", Payload: strings.Repeat("x", 64<<10)},
		"a bad payload":   {Kind: "k", Payload: func() {}},
		"too far ahead":   {Kind: "k", RunAt: f.clock.now().Add(2 * time.Hour)},
	} {
		if err := f.db.Tx(t.Context(), func(tx *db.Tx) error { return q.Enqueue(t.Context(), tx, j) }); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestHandle_IncompleteKinds(t *testing.T) {
	q := open(t).server("a", nil, work.Kind{Name: "k", Run: new(recorder).run})
	for name, k := range map[string]work.Kind{
		"no name": {Run: new(recorder).run}, "no handler": {Name: "other"}, "twice": {Name: "k", Run: new(recorder).run}, "negative": {Name: "n", Run: new(recorder).run, Timeout: -1},
	} {
		if err := q.Handle(k); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// Jobs of one key are one job while it waits, with the later payload and the earlier
// time.
func TestEnqueue_UniqueWhileQueued(t *testing.T) {
	f, r := open(t), new(recorder)
	q := f.server("a", nil, work.Kind{Name: "k", Run: r.run, Concurrency: 1}, work.Kind{Name: "other", Run: r.run})
	later := f.clock.now().Add(time.Hour)
	f.enqueue(q, work.Job{Kind: "k", Key: "x", Payload: 1, RunAt: later}, work.Job{Kind: "k", Key: "y", RunAt: later})
	f.enqueue(q, work.Job{Kind: "k", Key: "x", Payload: 2, RunAt: later.Add(time.Hour)})
	f.runDue(q)
	r.want(t)
	f.enqueue(q, work.Job{Kind: "k", Key: "x", Payload: 3}, work.Job{Kind: "other", Key: "x"})
	f.runDue(q)
	r.want(t, "x #1", "x 3#1")
	f.clock.forward(time.Hour)
	f.runDue(q)
	r.want(t, "y #1")
}

func TestEnqueue_WithoutKeyIsAlwaysNew(t *testing.T) {
	f, r := open(t), new(recorder)
	q := f.server("a", nil, work.Kind{Name: "k", Run: r.run})
	f.enqueue(q, work.Job{Kind: "k"}, work.Job{Kind: "k"})
	f.runDue(q)
	r.want(t, " #1", " #1")
}

// A job that is put into the queue while it runs, runs again: the run may not have
// seen what the transaction wrote.
func TestEnqueue_UniqueWhileRunning(t *testing.T) {
	for name, fail := range map[string]error{"the run succeeds": nil, "the run fails": errors.New("failed")} {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			var q *work.Queue
			var runs []string
			q = f.server("a", nil, work.Kind{Name: "k", Run: func(_ context.Context, r work.Run) error {
				runs = append(runs, string(r.Payload))
				if len(runs) == 1 {
					f.enqueue(q, work.Job{Kind: "k", Key: "x", Payload: "second"})
					return fail
				}
				return nil
			}})
			f.enqueue(q, work.Job{Kind: "k", Key: "x", Payload: "first"})
			f.runDue(q)
			f.clock.forward(time.Minute)
			f.runDue(q)
			if fmt.Sprint(runs) != `["first" "second"]` {
				t.Errorf("runs %v", runs)
			}
			if items := f.list(q, work.Filter{Kind: "k"}); len(items) != 0 {
				t.Errorf("%+v is left", items)
			}
		})
	}
}

// A job that fails is tried again later each time, and stays as failed in the end.
func TestRun_Backoff(t *testing.T) {
	f, r := open(t), &recorder{fail: errors.New("no such thing")}
	q := f.server("a", nil, work.Kind{Name: "k", Run: r.run, MaxAttempts: 4})
	f.enqueue(q, work.Job{Kind: "k", Key: "x"})
	f.runDue(q)
	r.want(t, "x #1")
	for attempt, wait := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second} {
		f.clock.forward(wait * 3 / 4 / 2)
		f.runDue(q)
		r.want(t) // too early
		f.clock.forward(wait)
		f.runDue(q)
		r.want(t, fmt.Sprintf("x #%d", attempt+2))
	}
	f.clock.forward(24 * time.Hour)
	f.runDue(q)
	r.want(t)
	items := f.list(q, work.Filter{State: work.Failed})
	if len(items) != 1 || items[0].Attempts != 4 || items[0].LastError != "no such thing" || items[0].Finished.IsZero() || items[0].Key != "x" {
		t.Fatalf("%+v", items)
	}

	// A person tries again.
	r.fail = nil
	if n, err := q.RetryFailed(t.Context(), "other"); err != nil || n != 0 {
		t.Errorf("%d, %v", n, err)
	}
	if err := q.RetryOne(t.Context(), items[0].ID); err != nil {
		t.Fatal(err)
	}
	f.runDue(q)
	r.want(t, "x #1")
	if err := q.RetryOne(t.Context(), items[0].ID); !fault.Is(err, "WorkNotFound") {
		t.Errorf("err = %v", err)
	}
}

// Whoever asks for a job all the time does not keep the queue from it: a server that was slow
// to take a job found it changed each time.
func TestRetryOne_DueAlready(t *testing.T) {
	f, r := open(t), new(recorder)
	q := f.server("a", nil, work.Kind{Name: "k", Run: r.run})
	f.enqueue(q, work.Job{Kind: "k", Key: "x"})
	before := f.list(q, work.Filter{Kind: "k"})
	f.clock.forward(time.Second)
	if err := q.RetryOne(t.Context(), before[0].ID); err != nil {
		t.Fatal(err)
	}
	if after := f.list(q, work.Filter{Kind: "k"}); !after[0].RunAt.Equal(before[0].RunAt) {
		t.Errorf("it is due at %v, and was at %v", after[0].RunAt, before[0].RunAt)
	}
	f.runDue(q)
	r.want(t, "x #1")
}

func TestEnqueue_FailedJobBeginsAnew(t *testing.T) {
	f, r := open(t), &recorder{fail: errors.New("failed")}
	q := f.server("a", nil, work.Kind{Name: "k", Run: r.run, MaxAttempts: 1})
	f.enqueue(q, work.Job{Kind: "k", Key: "x", Payload: 1})
	f.runDue(q)
	f.enqueue(q, work.Job{Kind: "k", Key: "x", Payload: 2})
	f.runDue(q)
	r.want(t, "x 1#1", "x 2#1")
}

// A panic and a run that takes too long are failures, and jobs that always fail do not
// keep others from running.
func TestRun_PoisonedJobs(t *testing.T) {
	f, r := open(t), new(recorder)
	q := f.server("a", func(c *work.Config) { c.Concurrency = 2 },
		work.Kind{Name: "panics", Run: func(context.Context, work.Run) error { panic("no") }, MaxAttempts: 1},
		work.Kind{Name: "hangs", Timeout: time.Millisecond, MaxAttempts: 1, Run: func(ctx context.Context, _ work.Run) error { <-ctx.Done(); return ctx.Err() }},
		work.Kind{Name: "good", Run: r.run})
	for range 5 {
		f.enqueue(q, work.Job{Kind: "panics"}, work.Job{Kind: "hangs"})
	}
	f.enqueue(q, work.Job{Kind: "good", Key: "x"}, work.Job{Kind: "unknown", Key: "of a newer version"})
	f.runDue(q)
	r.want(t, "x #1")
	failed := f.list(q, work.Filter{State: work.Failed})
	if len(failed) != 10 || failed[0].LastError != "panic: no" || failed[1].LastError != context.DeadlineExceeded.Error() {
		t.Errorf("%+v", failed)
	}
	if n, err := q.RetryFailed(t.Context(), ""); n != 10 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if queued := f.list(q, work.Filter{State: work.Queued}); len(queued) < 11 {
		t.Errorf("%+v", queued)
	}
}

// The error that is kept has no secrets, and is not endless.
// A kind with many jobs does not keep another one waiting.
func TestRun_KindsTakeTurns(t *testing.T) {
	f := open(t)
	var ran []string // one job at a time
	kind := func(name string) work.Kind {
		return work.Kind{Name: name, Run: func(context.Context, work.Run) error { ran = append(ran, name); return nil }}
	}
	q := f.server("a", func(c *work.Config) { c.Concurrency, c.Exclusive = 1, true }, kind("many"), kind("one"))
	for range 5 {
		f.enqueue(q, work.Job{Kind: "many"})
	}
	f.enqueue(q, work.Job{Kind: "one"})
	f.runDue(q)
	if at := slices.Index(ran, "one"); len(ran) != 6 || at < 0 || at > 1 {
		t.Errorf("ran %q, want the other kind among the first two", ran)
	}
}

func TestRun_ErrorText(t *testing.T) {
	f := open(t)
	q := f.server("a", nil, work.Kind{Name: "k", MaxAttempts: 1, Run: func(context.Context, work.Run) error {
		return errors.New(strings.Repeat("long ", 1000))
	}})
	f.enqueue(q, work.Job{Kind: "k"})
	f.runDue(q)
	if items := f.list(q, work.Filter{State: work.Failed}); len(items) != 1 || len(items[0].LastError) > 1100 {
		t.Errorf("%d bytes", len(items[0].LastError))
	}
}

func TestRetention(t *testing.T) {
	f, r := open(t), &recorder{fail: errors.New("failed")}
	q := f.server("a", nil, work.Kind{Name: "k", Run: r.run, MaxAttempts: 1})
	f.enqueue(q, work.Job{Kind: "k", Key: "old"})
	f.runDue(q)
	f.clock.forward(20 * 24 * time.Hour)
	f.enqueue(q, work.Job{Kind: "k", Key: "new"})
	f.runDue(q)
	f.clock.forward(11 * 24 * time.Hour)
	f.runDue(q)
	if items := f.list(q, work.Filter{State: work.Failed}); len(items) != 1 || items[0].Key != "new" {
		t.Errorf("%+v", items)
	}
}

func TestList_Pages(t *testing.T) {
	f := open(t)
	q := f.server("a", nil, work.Kind{Name: "k", Run: new(recorder).run})
	for i := range 5 {
		f.clock.forward(time.Millisecond)
		f.enqueue(q, work.Job{Kind: "k", Key: fmt.Sprint(i)}, work.Job{Kind: "other"})
	}
	var keys []string
	after := ""
	for {
		page, err := q.List(t.Context(), work.Filter{Kind: "k", State: work.Queued}, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range page {
			keys, after = append(keys, i.Key), i.ID
		}
		if len(page) < 2 {
			break
		}
	}
	if fmt.Sprint(keys) != "[0 1 2 3 4]" {
		t.Errorf("keys %v", keys)
	}
	if _, err := q.List(t.Context(), work.Filter{State: "gone"}, "", 1); !fault.Is(err, "InvalidParameter") {
		t.Errorf("err = %v", err)
	}
}
