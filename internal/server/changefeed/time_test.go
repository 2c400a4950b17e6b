package changefeed_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed/changefeedtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/sqlite"
)

// These tests have synthetic time: it passes if a test lets it pass, and then everything
// that is due has happened. Package iam has tests of the same kind for the leases.

func withTime(t *testing.T, test func(t *testing.T, d *db.DB)) {
	synctest.Test(t, func(t *testing.T) {
		// PostgreSQL would stop the synthetic clock: its connection always waits for something.
		d, err := sqlite.OpenScratch(t.Context(), filepath.Join(t.TempDir(), "gatehouse.db"))
		if err != nil {
			t.Fatal(err)
		}
		test(t, d)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// took runs a change and returns how long it took.
func took(t *testing.T, change func() error) time.Duration {
	t.Helper()
	began := time.Now()
	if err := change(); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

// Without wake-ups a server still finds changes, and reports of others, by looking.
func TestFeed_LostWakeUps(t *testing.T) {
	withTime(t, func(t *testing.T, d *db.DB) {
		bus := new(changefeedtest.Bus)
		var all []*server
		for range 3 {
			l := changefeedtest.NewLine(d, bus)
			f, err := changefeed.New(t.Context(), changefeed.Config{DB: d, Store: l})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, start(t, d, f, l))
		}
		pass(time.Second)
		if got := took(t, func() error { return all[0].write("a", 1) }); got > 0 {
			t.Errorf("with wake-ups a change takes %v", got)
		}
		bus.Lose()
		if got := took(t, func() error { return all[0].write("a", 2) }); got == 0 || got > 200*time.Millisecond {
			t.Errorf("without wake-ups a change takes %v", got)
		}
		for i, s := range all {
			if got := s.get("a"); got != 2 {
				t.Errorf("server %d has %d, want 2", i, got)
			}
			s.stop()
		}
	})
}

// A refusal may be due to a change of another call that has not returned yet. It is
// answered when every server has that change.
func TestMake_RefusalWaits(t *testing.T) {
	refusal := fault.New(fault.NotFound, "NumberNotFound", "It was deleted.")
	for _, x := range []struct {
		description string
		change      changefeed.Change
	}{
		{"by Prepare", changefeed.Change{Scope: scope, Prepare: func() error { return refusal }}},
		{"by Run", changefeed.Change{Scope: scope, Run: func(*db.Tx) ([]string, error) { return nil, refusal }}},
	} {
		t.Run(x.description, func(t *testing.T) {
			withTime(t, func(t *testing.T, d *db.DB) {
				all := servers(t, d, 2)
				pass(time.Second)
				all[1].Stall(0)
				written, answered := make(chan error, 1), make(chan error, 1)
				go func() { written <- all[0].write("a", 1) }()
				pass(100 * time.Millisecond)
				go func() { answered <- all[0].Make(t.Context(), x.change) }()
				pass(100 * time.Millisecond)
				if len(answered) > 0 {
					t.Error("the refusal was answered while the other server lacked the change")
				}
				all[1].Flow()
				if err := <-answered; !errors.Is(err, refusal) || all[1].get("a") != 1 {
					t.Errorf("the answer is %v when the other server has %d", err, all[1].get("a"))
				}
				all[0].ok(<-written)
				for _, s := range all {
					s.stop()
				}
			})
		})
	}
}

// Refusals that come while the row of an earlier one is written share the next row, so
// that repeating a request that is refused does not flood the database.
func TestMake_RefusalsShareRows(t *testing.T) {
	refusal := fault.New(fault.Conflict, "NumberExists", "It exists.")
	withTime(t, func(t *testing.T, d *db.DB) {
		all := servers(t, d, 2)
		pass(time.Second)
		before := rows(t, d, "change_feed")
		release := make(chan struct{})
		all[0].On(func(crossing string) error {
			if crossing == "commit" {
				<-release
			}
			return nil
		})
		const more = 20
		answers := make(chan error, 1+more)
		refuse := func() {
			answers <- all[0].Make(t.Context(), changefeed.Change{Scope: scope, Prepare: func() error { return refusal }})
		}
		go refuse()
		pass(100 * time.Millisecond)
		for range more {
			go refuse()
		}
		pass(100 * time.Millisecond)
		if len(answers) > 0 {
			t.Error("a refusal was answered before there is a row")
		}
		close(release)
		for range 1 + more {
			if err := <-answers; !errors.Is(err, refusal) {
				t.Errorf("the answer is %v", err)
			}
		}
		if n := rows(t, d, "change_feed") - before; n != 2 {
			t.Errorf("%d rows for %d refusals, want 2", n, 1+more)
		}
		for _, s := range all {
			s.stop()
		}
	})
}

// heldBack is a store on whose database another transaction is never finished.
type heldBack struct {
	*changefeedtest.Line
	most *atomic.Int64 // rows that were read at once
}

func (s heldBack) Finished(ctx context.Context) (db.Finished, error) {
	f, err := s.Line.Finished(ctx)
	f.Running = []int64{0}
	return f, err
}

func (s heldBack) Since(ctx context.Context, f db.Finished) ([]changefeed.Entry, error) {
	entries, err := s.Line.Since(ctx, f)
	for n := int64(len(entries)); ; {
		if most := s.most.Load(); most >= n || s.most.CompareAndSwap(most, n) {
			return entries, err
		}
	}
}

// A transaction of someone else that does not end must not make changes slow.
func TestFeed_HorizonHeldBack(t *testing.T) {
	withTime(t, func(t *testing.T, d *db.DB) {
		bus := new(changefeedtest.Bus)
		var all []*server
		var most atomic.Int64
		for range 2 {
			l := changefeedtest.NewLine(d, bus)
			f, err := changefeed.New(t.Context(), changefeed.Config{DB: d, Store: heldBack{l, &most}})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, start(t, d, f, l))
		}
		for i := range int64(20) {
			if got := took(t, func() error { return all[i%2].write("a", i) }); got > 0 {
				t.Errorf("the change %d takes %v", i, got)
			}
			if a, b := all[0].get("a"), all[1].get("a"); a != i || b != i {
				t.Errorf("the servers have %d and %d, want %d", a, b, i)
			}
		}
		if n := most.Load(); n > 2 {
			t.Errorf("%d rows were read at once: rows that were applied are read again", n)
		}
		for _, s := range all {
			s.stop()
		}
	})
}

// A server that was away for so long that rows were removed which it has not read loads
// everything.
func TestFeed_TrimmedRows(t *testing.T) {
	withTime(t, func(t *testing.T, d *db.DB) {
		all := servers(t, d, 2)
		a, away := all[0], all[1]
		a.ok(a.write("a", 1))
		away.SetCut(true)
		pass(time.Minute)
		a.ok(a.write("a", 2))
		pass(63 * time.Minute)
		if n := rows(t, d, "change_feed"); n != 0 {
			t.Errorf("%d rows are kept for a server that is gone", n)
		}
		if away.Ready() == nil {
			t.Error("a server that heard nothing for hours decides")
		}
		before := away.reloads
		away.SetCut(false)
		pass(time.Second)
		a.ok(away.Ready())
		if got := away.get("a"); got != 2 || away.reloads != before+1 {
			t.Errorf("the server is back with %d after %d reloads, want 2 after one", got, away.reloads-before)
		}
		a.stop()
		away.stop()
	})
}

// The rows that a server needs are kept for it, and the others are not.
func TestFeed_KeptRows(t *testing.T) {
	withTime(t, func(t *testing.T, d *db.DB) {
		all := servers(t, d, 2)
		a, away := all[0], all[1]
		for i := range int64(20) {
			a.ok(a.write("a", i))
		}
		pass(2 * time.Minute)
		if n := rows(t, d, "change_feed"); n > 1 {
			t.Errorf("%d rows are kept that all servers have", n)
		}
		away.SetCut(true)
		a.ok(a.write("a", 100))
		pass(10 * time.Minute)
		before := away.reloads
		away.SetCut(false)
		pass(time.Second)
		if got := away.get("a"); got != 100 || away.reloads != before {
			t.Errorf("the server is back with %d after %d reloads, want 100 after none", got, away.reloads-before)
		}
		a.stop()
		away.stop()
	})
}

func rows(t *testing.T, d *db.DB, table string) int64 {
	t.Helper()
	n, err := db.One(t.Context(), d, db.Scalar[int64], `SELECT count(*) FROM `+table)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A server that dies between its commit and its answer has made the change, and the
// others have it.
func TestFeed_KilledBeforeAnswer(t *testing.T) {
	withTime(t, func(t *testing.T, d *db.DB) {
		all := servers(t, d, 2)
		dead, b := all[0], all[1]
		dead.On(func(crossing string) error {
			if crossing == "commit" {
				return nil
			}
			return errLost // its process ends: nothing more is heard of it
		})
		if err := dead.write("a", 1); !changefeed.PerhapsMade(err) {
			t.Errorf("the error is %v", err)
		}
		pass(time.Second)
		if got := b.get("a"); got != 1 {
			t.Errorf("the other server has %d, want 1", got)
		}
		if got := took(t, func() error { return b.write("a", 2) }); got > changefeed.DefaultLease+200*time.Millisecond {
			t.Errorf("the next change takes %v", got)
		}
		if dead.Ready() == nil {
			t.Error("the dead server decides without a change that was answered")
		}
		dead.stop()
		b.stop()
	})
}

// What cannot be applied is not reported, and ends the lease.
func TestFeed_CannotApply(t *testing.T) {
	withTime(t, func(t *testing.T, d *db.DB) {
		feeds, lines := changefeedtest.Servers(t, d, 2)
		a, broken := start(t, d, feeds[0], lines[0]), start(t, d, feeds[1], lines[1])
		feeds[1].Follow(scope, cannotApply{})
		if got := took(t, func() error { return a.write("a", 1) }); got < changefeed.DefaultLease {
			t.Errorf("the change is answered after %v, before the lease of a server that lacks it has ended", got)
		}
		if broken.Ready() == nil {
			t.Error("a server that could not apply a change decides")
		}
		feeds[1].Follow(scope, broken)
		pass(time.Second)
		a.ok(broken.Ready())
		if got := broken.get("a"); got != 1 {
			t.Errorf("repaired it has %d, want 1", got)
		}
		a.stop()
		broken.stop()
	})
}

type cannotApply struct{}

func (cannotApply) Apply(context.Context, []string) error { return errors.New("cannot apply") }

func (cannotApply) Reload(context.Context) error { return errors.New("cannot reload") }

// A server that is being started, and loads for long, is not waited for.
func TestFeed_SlowStart(t *testing.T) {
	withTime(t, func(t *testing.T, d *db.DB) {
		a := servers(t, d, 1)[0]
		l := changefeedtest.NewLine(d, nil)
		f, err := changefeed.New(t.Context(), changefeed.Config{DB: d, Store: l})
		a.ok(err)
		if f.Ready() == nil {
			t.Error("a server that has not begun decides")
		}
		pass(time.Minute)
		if got := took(t, func() error { return a.write("a", 1) }); got > 0 {
			t.Errorf("the change takes %v", got)
		}
		b := start(t, d, f, l)
		a.ok(b.Ready())
		if got := b.get("a"); got != 1 {
			t.Errorf("the server begins with %d, want 1", got)
		}
		a.stop()
		b.stop()
	})
}
