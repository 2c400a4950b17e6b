package usage_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/usage"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// A table adds uses up, as the tables of the domains do.
type table struct {
	count map[string]int64
	last  map[string]time.Time
	err   error // of the next call
	after bool  // the error comes although the uses are stored
	calls int
}

func newTable() *table { return &table{count: map[string]int64{}, last: map[string]time.Time{}} }

func (s *table) store(_ context.Context, uses []usage.Use[string]) error {
	s.calls++
	err := s.err
	s.err = nil
	if err != nil && !s.after {
		return err
	}
	for _, u := range uses {
		s.count[u.Key] += u.Count
		s.last[u.Key] = u.Last
	}
	return err
}

func TestRecorder_AddsUp(t *testing.T) {
	var r usage.Recorder[string]
	s := newTable()
	r.Record("a", 1, start)
	r.Record("a", 1, start.Add(-time.Hour)) // the clock of another request
	r.Record("b", 0, start)
	if got := r.Last("a"); !got.Equal(start) {
		t.Errorf("last use: %v", got)
	}
	for range 2 { // the second stores nothing
		if err := r.Flush(t.Context(), s.store); err != nil {
			t.Fatal(err)
		}
	}
	if s.count["a"] != 2 || !s.last["a"].Equal(start) || s.count["b"] != 0 || !s.last["b"].Equal(start) || s.calls != 1 {
		t.Errorf("stored %+v", s)
	}
	if got := r.Last("a"); !got.IsZero() {
		t.Errorf("last use after the flush: %v", got)
	}
	r.Record("a", 3, start.Add(time.Hour))
	if err := r.Flush(t.Context(), s.store); err != nil || s.count["a"] != 5 || !s.last["a"].Equal(start.Add(time.Hour)) {
		t.Errorf("stored %+v, %v", s, err)
	}
}

func TestRecorder_FailedFlush(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		after bool
		want  int64
	}{
		"not stored":           {errors.New("the disk is full"), false, 2},
		"stored, not answered": {fmt.Errorf("lost: %w", db.ErrUnclearCommit), true, 2},
		"perhaps stored":       {fmt.Errorf("lost: %w", db.ErrUnclearCommit), false, 1}, // lost, and not counted twice
	} {
		t.Run(name, func(t *testing.T) {
			var r usage.Recorder[string]
			s := newTable()
			r.Record("a", 1, start)
			s.err, s.after = c.err, c.after
			if err := r.Flush(t.Context(), s.store); !errors.Is(err, c.err) {
				t.Fatalf("error %v", err)
			}
			r.Record("a", 1, start)
			if err := r.Flush(t.Context(), s.store); err != nil || s.count["a"] != c.want {
				t.Errorf("stored %d, want %d; %v", s.count["a"], c.want, err)
			}
		})
	}
}

// Each use is stored exactly once, whatever runs beside it.
func TestRecorder_Concurrent(t *testing.T) {
	var r usage.Recorder[string]
	s := newTable()
	const workers, uses, keys = 8, 5000, 700 // more keys than one batch has
	done := make(chan struct{})
	var flushing, recording sync.WaitGroup
	flushing.Go(func() {
		for {
			if err := r.Flush(t.Context(), s.store); err != nil {
				t.Error(err)
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for w := range workers {
		recording.Go(func() {
			for i := range uses {
				r.Record(fmt.Sprint((w+i)%keys), 1, start)
			}
		})
	}
	recording.Wait()
	close(done)
	flushing.Wait()
	if err := r.Flush(t.Context(), s.store); err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, n := range s.count {
		total += n
	}
	if total != workers*uses || len(s.count) != keys {
		t.Errorf("stored %d uses of %d keys, want %d of %d", total, len(s.count), workers*uses, keys)
	}
}
