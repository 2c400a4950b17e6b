package events_test

import (
	"context"
	"encoding/json"
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
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// A fixture is a database on which servers have logs.
type fixture struct {
	t     *testing.T
	db    *db.DB
	clock atomic.Int64 // seconds since 1970
}

func open(t *testing.T) *fixture {
	f := &fixture{t: t, db: dbtest.Open(t)}
	f.clock.Store(1_800_000_000)
	return f
}

func (f *fixture) now() time.Time { return time.Unix(f.clock.Load(), 0).UTC() }

func (f *fixture) pass(d time.Duration) { f.clock.Add(int64(d / time.Second)) }

func (f *fixture) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// A server has a log and a queue of work.
type server struct {
	*events.Log
	f    *fixture
	work *work.Queue
}

func (f *fixture) server(c events.Config) *server {
	f.t.Helper()
	log := slog.New(slog.DiscardHandler)
	queue, err := work.New(f.t.Context(), work.Config{DB: f.db, Now: f.now, Log: log, Server: "test"})
	f.ok(err)
	c.DB, c.Work, c.Now, c.Log = f.db, queue, f.now, log
	l, err := events.New(f.t.Context(), c)
	f.ok(err)
	return &server{l, f, queue}
}

// write commits one event for each name.
func (s *server) write(names ...string) {
	s.f.t.Helper()
	for _, name := range names {
		s.f.ok(s.f.db.Tx(s.f.t.Context(), func(tx *db.Tx) error { return s.Write(s.f.t.Context(), tx, s.f.event(name)) }))
	}
}

func (f *fixture) event(name string) events.Event {
	source, _, _ := strings.Cut(name, "/")
	return events.Event{Source: "aws." + source, DetailType: "Test", Account: "111122223333", Region: "eu-west-1", Time: f.now(), Detail: map[string]string{"name": name}, Domain: "d", Repository: source}
}

// names are the names of events.
func names(t *testing.T, all []events.Numbered) (out []string) {
	t.Helper()
	for _, e := range all {
		var body struct{ Detail struct{ Name string } }
		if err := json.Unmarshal([]byte(e.Body), &body); err != nil {
			t.Fatal(err)
		}
		out = append(out, body.Detail.Name)
	}
	return out
}

// read returns the names of the events after a number.
func (s *server) read(after int64) []string {
	s.f.t.Helper()
	found, _, err := s.Read(s.f.t.Context(), events.Query{After: after, Limit: 10_000})
	s.f.ok(err)
	return names(s.f.t, found)
}

func (s *server) want(after int64, want ...string) {
	s.f.t.Helper()
	if got := s.read(after); !slices.Equal(got, want) {
		s.f.t.Fatalf("events %v, want %v", got, want)
	}
}

func TestWrite_BelongsToTransaction(t *testing.T) {
	f := open(t)
	s := f.server(events.Config{})
	broken := errors.New("broken")
	err := f.db.Tx(t.Context(), func(tx *db.Tx) error {
		f.ok(s.Write(t.Context(), tx, f.event("lost")))
		return broken
	})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	s.want(0)
	f.ok(f.db.Tx(t.Context(), func(tx *db.Tx) error { return s.Write(t.Context(), tx, f.event("one"), f.event("two")) }))
	s.want(0, "one", "two")
	// The next process finds what was committed, whether it was collected or not.
	s.write("three")
	f.server(events.Config{}).want(0, "one", "two", "three")
}

func TestWrite_Bounds(t *testing.T) {
	f := open(t)
	s := f.server(events.Config{})
	for name, detail := range map[string]any{"not JSON": func() {}, "too large": strings.Repeat("x", 50<<10)} {
		err := f.db.Tx(t.Context(), func(tx *db.Tx) error {
			e := f.event(name)
			e.Detail = detail
			return s.Write(t.Context(), tx, e)
		})
		if err == nil {
			t.Errorf("an event that is %s was written", name)
		}
	}
	f.ok(f.db.Tx(t.Context(), func(tx *db.Tx) error { return (*events.Log)(nil).Write(t.Context(), tx, f.event("nowhere")) }))
	s.want(0)
}

func TestRead_Pages(t *testing.T) {
	f := open(t)
	s := f.server(events.Config{})
	var want []string
	for i := range 450 { // more than one transaction collects
		want = append(want, fmt.Sprintf("%s/%03d", []string{"a", "b"}[i%2], i))
	}
	s.write(want...)
	var got []string
	var last, after int64
	for {
		page, next, err := s.Read(t.Context(), events.Query{After: after, Limit: 100})
		f.ok(err)
		for _, e := range page {
			if e.Number <= last {
				t.Fatalf("number %d after %d", e.Number, last)
			}
			last = e.Number
		}
		got, after = append(got, names(t, page)...), next
		if len(page) < 100 {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	filtered, next, err := s.Read(t.Context(), events.Query{Filter: events.Filter{Sources: []string{"aws.b", "aws.c"}, Repositories: []string{"b"}}, After: last - 4, Limit: 100})
	f.ok(err)
	if got := names(t, filtered); !slices.Equal(got, []string{"b/447", "b/449"}) || next != last {
		t.Errorf("%v, next %d", got, next)
	}
	f.pass(time.Hour)
	s.write("a/late")
	late, _, err := s.Read(t.Context(), events.Query{Since: f.now().Add(-time.Minute), Limit: 100})
	f.ok(err)
	if got := names(t, late); !slices.Equal(got, []string{"a/late"}) {
		t.Errorf("%v", got)
	}
	if _, _, err := s.Read(t.Context(), events.Query{After: last + 100, Limit: 1}); !fault.Is(err, "InvalidParameter") {
		t.Errorf("a number that the log does not have: %v", err)
	}
}

// Each server reads all events, in the same order, while all of them write.
func TestRead_Servers(t *testing.T) {
	f := open(t)
	all := []*server{f.server(events.Config{}), f.server(events.Config{}), f.server(events.Config{})}
	const each = 20
	orders := make([][]string, len(all))
	var group sync.WaitGroup
	for i, s := range all {
		group.Go(func() {
			for n := range each {
				if err := f.db.Tx(t.Context(), func(tx *db.Tx) error { return s.Write(t.Context(), tx, f.event(fmt.Sprintf("%d/%d", i, n))) }); err != nil {
					t.Error(err)
				}
			}
		})
		group.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			after := int64(0)
			for len(orders[i]) < each*len(all) && ctx.Err() == nil {
				found, next, err := s.Read(ctx, events.Query{After: after, Limit: 7, Wait: 10 * time.Millisecond})
				if err != nil {
					t.Error(err)
					return
				}
				orders[i], after = append(orders[i], names(t, found)...), next
			}
		})
	}
	group.Wait()
	for i := range orders {
		if len(orders[i]) != each*len(all) || !slices.Equal(orders[i], orders[0]) {
			t.Errorf("server %d: %d events, %v", i, len(orders[i]), orders[i])
		}
	}
}

func TestRead_Wait(t *testing.T) {
	f := open(t)
	s := f.server(events.Config{})
	// Without an event: the time passes, the caller leaves, the server stops.
	if found, _, err := s.Read(t.Context(), events.Query{Limit: 1, Wait: time.Millisecond}); err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, _, err := s.Read(ctx, events.Query{Limit: 1, Wait: time.Hour})
		done <- err
	}()
	cancel()
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// An event that the filter does not choose does not end the waiting.
	got := make(chan []events.Numbered, 1)
	go func() {
		found, _, err := s.Read(t.Context(), events.Query{Filter: events.Filter{Sources: []string{"aws.b"}}, Limit: 1, Wait: time.Hour})
		if err != nil {
			t.Error(err)
		}
		got <- found
	}()
	s.write("a/1", "a/2", "b/1")
	if found := names(t, <-got); !slices.Equal(found, []string{"b/1"}) {
		t.Errorf("%v", found)
	}
	go func() {
		found, _, err := s.Read(t.Context(), events.Query{After: 3, Limit: 1, Wait: time.Hour})
		if err != nil {
			t.Error(err)
		}
		got <- found
	}()
	s.StopWaiting()
	if found := <-got; len(found) != 0 {
		t.Errorf("%v", found)
	}
}

func TestRetention(t *testing.T) {
	f := open(t)
	s := f.server(events.Config{Keep: time.Hour, Max: 3})
	s.write("old/1", "old/2")
	f.pass(2 * time.Hour)
	s.write("new/1", "new/2")
	f.ok(s.work.RunDue(t.Context()))
	s.want(0, "new/1", "new/2")
	s.write("new/3", "new/4", "new/5")
	f.pass(20 * time.Minute) // when it recurs
	f.ok(s.work.RunDue(t.Context()))
	s.want(0, "new/3", "new/4", "new/5")
	// Who reads later goes on, and misses what was removed.
	s.want(1, "new/3", "new/4", "new/5")
}
