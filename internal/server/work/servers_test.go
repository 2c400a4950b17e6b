package work_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// lease makes servers notice quickly that another one has stopped.
func lease(d time.Duration) func(*work.Config) {
	return func(c *work.Config) { c.Lease, c.Poll = d, d/10 }
}

// run runs a server until the returned function is called.
func (f *fixture) run(q *work.Queue) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); q.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	f.t.Cleanup(stop)
	return stop
}

// receive waits for a value.
func receive[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(2 * time.Minute):
		t.Fatal("waited for " + what + " in vain")
	}
	return v
}

// A job that is committed while servers wait runs at once, on the same server.
func TestRun_WokenByEnqueue(t *testing.T) {
	f := open(t)
	ran := make(chan string, 1)
	q := f.server("a", func(c *work.Config) { c.Poll = time.Hour }, work.Kind{Name: "k", Run: func(_ context.Context, r work.Run) error { ran <- r.Key; return nil }})
	f.run(q)
	f.enqueue(q, work.Job{Kind: "k", Key: "x"})
	receive(t, ran, "the job")
	f.enqueue(q, work.Job{Kind: "k", Key: "y"})
	receive(t, ran, "the second job")
}

// The server stops without a word while it runs a job: another one runs it within the
// lease.
func TestRun_KilledServer(t *testing.T) {
	f := open(t)
	begun, never := make(chan struct{}), make(chan struct{})
	defer close(never)
	// A server that runs a job and is never heard of again: RunDue does not count.
	killed := f.server("killed", lease(time.Hour), work.Kind{Name: "k", Run: func(context.Context, work.Run) error { close(begun); <-never; return nil }})
	f.enqueue(killed, work.Job{Kind: "k", Key: "x"})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { _ = killed.RunDue(ctx) }()
	receive(t, begun, "the first run")

	ran := make(chan work.Run, 1)
	other := f.server("other", lease(500*time.Millisecond), work.Kind{Name: "k", Run: func(_ context.Context, r work.Run) error { ran <- r; return nil }})
	started := time.Now()
	f.run(other)
	r := receive(t, ran, "the second run")
	if took := time.Since(started); took < 500*time.Millisecond || r.Attempt != 2 {
		t.Errorf("attempt %d after %v, which is within the lease", r.Attempt, took)
	}
}

// A server that lives keeps its job for longer than a lease.
func TestRun_LongJob(t *testing.T) {
	f := open(t)
	const period = 400 * time.Millisecond
	var runs atomic.Int64
	ended := make(chan struct{}, 2)
	kind := work.Kind{Name: "k", Run: func(ctx context.Context, _ work.Run) error {
		runs.Add(1)
		select {
		case <-time.After(4 * period): // the work
		case <-ctx.Done():
		}
		ended <- struct{}{}
		return ctx.Err()
	}}
	a, b := f.server("a", lease(period), kind), f.server("b", lease(period), kind)
	f.run(a)
	f.run(b)
	f.enqueue(a, work.Job{Kind: "k", Key: "x"})
	receive(t, ended, "the end of the run")
	if n := runs.Load(); n != 1 {
		t.Errorf("%d runs of a job that one server ran all the time", n)
	}
}

// A server whose session was taken learns it: the handler's context ends, and what it
// says afterwards does not count.
func TestRun_LeaseLost(t *testing.T) {
	f := open(t)
	begun, cause := make(chan struct{}, 2), make(chan error, 1)
	q := f.server("a", lease(500*time.Millisecond), work.Kind{Name: "k", Run: func(ctx context.Context, r work.Run) error {
		begun <- struct{}{}
		if r.Attempt > 1 {
			return nil
		}
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return nil // says that it is done, but it may not have been
	}})
	f.run(q)
	f.enqueue(q, work.Job{Kind: "k", Key: "x"})
	receive(t, begun, "the run")
	if err := f.db.Tx(t.Context(), func(tx *db.Tx) error { // as another server does
		if _, err := tx.Exec(t.Context(), `DELETE FROM work_session`); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), `UPDATE work SET state = 0, leased_by = '' WHERE kind = 'k'`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, cause, "the end of the context"); !errors.Is(err, work.ErrLeaseLost) {
		t.Errorf("the cause is %v", err)
	}
	receive(t, begun, "the second run")
}

// The commit that leases a job is done, and its answer is lost: the job runs all the
// same, and the attempt that never began does not count.
func TestRun_UnclearCommit(t *testing.T) {
	for _, exclusive := range []bool{false, true} {
		t.Run(fmt.Sprintf("exclusive %v", exclusive), func(t *testing.T) {
			f := open(t)
			var r recorder
			first := func(context.Context, work.Run) error {
				f.clock.forward(2 * time.Minute) // the second job is due
				f.db.LoseAnswer()
				return nil
			}
			q := f.server("a", func(c *work.Config) { c.Exclusive = exclusive }, work.Kind{Name: "first", Run: first}, work.Kind{Name: "k", Run: r.run})
			f.runDue(q) // what recurs
			f.enqueue(q, work.Job{Kind: "first"}, work.Job{Kind: "k", Key: "x", Payload: 1, RunAt: f.clock.now().Add(time.Minute)})
			if err := q.RunDue(t.Context()); !errors.Is(err, db.ErrUnclearCommit) {
				t.Fatalf("err = %v", err)
			}
			f.runDue(q)
			r.want(t, "x 1#1")
			for _, item := range f.list(q, work.Filter{}) {
				if item.State != work.Queued {
					t.Errorf("%+v", item)
				}
			}
		})
	}
}

// What a killed process left on a database of its own is taken at the next start,
// without a wait for a lease.
func TestRun_ExclusiveStart(t *testing.T) {
	f := open(t)
	begun, never := make(chan struct{}), make(chan struct{})
	defer close(never)
	exclusive := func(c *work.Config) { c.Exclusive = true }
	killed := f.server("killed", exclusive, work.Kind{Name: "k", Run: func(context.Context, work.Run) error { close(begun); <-never; return nil }})
	f.enqueue(killed, work.Job{Kind: "k", Key: "x"})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { _ = killed.RunDue(ctx) }()
	receive(t, begun, "the first run")
	ran := make(chan work.Run, 1)
	f.run(f.server("next", exclusive, work.Kind{Name: "k", Run: func(_ context.Context, r work.Run) error { ran <- r; return nil }}))
	if r := receive(t, ran, "the second run"); r.Attempt != 2 {
		t.Errorf("attempt %d", r.Attempt)
	}
}

// Three servers work on three thousand jobs. None fails and no server stops, so each
// job runs exactly once, and no server exceeds its limits.
func TestRun_ThreeServers(t *testing.T) {
	const servers, each = 3, 1000
	f := open(t)
	var mu sync.Mutex
	runs, byServer, running := map[string]int{}, map[string]int{}, map[string]int{}
	done := make(chan struct{})
	kind := func(server string) work.Kind {
		return work.Kind{Name: "k", Concurrency: 5, Run: func(_ context.Context, r work.Run) error {
			mu.Lock()
			running[server]++
			if running[server] > 5 {
				t.Errorf("%d jobs of the kind run on %s", running[server], server)
			}
			runs[r.Key]++
			byServer[server]++
			all := len(runs) == servers*each
			mu.Unlock()
			mu.Lock()
			running[server]--
			mu.Unlock()
			if all {
				close(done)
			}
			return nil
		}}
	}
	var queues []*work.Queue
	for i := range servers {
		name := fmt.Sprint("server", i)
		queues = append(queues, f.server(name, func(c *work.Config) { c.Poll = 50 * time.Millisecond }, kind(name)))
	}
	started := time.Now()
	var producers sync.WaitGroup
	for i, q := range queues {
		f.run(q)
		producers.Go(func() {
			for n := 0; n < each; n += 50 {
				var jobs []work.Job
				for j := range 50 {
					jobs = append(jobs, work.Job{Kind: "k", Key: fmt.Sprint(i, "-", n+j)})
				}
				f.enqueue(q, jobs...)
			}
		})
	}
	producers.Wait()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		t.Fatalf("%d jobs ran", len(runs))
	}
	took := time.Since(started)
	mu.Lock()
	defer mu.Unlock()
	for key, n := range runs {
		if n != 1 {
			t.Errorf("%s ran %d times", key, n)
		}
	}
	t.Logf("%d jobs in %v: %v", servers*each, took, byServer)
	if len(byServer) != servers {
		t.Errorf("only %v worked", byServer)
	}
}
