package changefeed

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

const (
	// settleEvery is how often the reports of the others are read while a change
	// waits for them, if nothing wakes this server.
	settleEvery = 50 * time.Millisecond
	// settleRead bounds one such reading.
	settleRead = time.Second
)

// A settler waits until the other servers have what this one has changed. One reading
// of the reports serves all changes that wait.
type settler struct {
	feed *Feed
	look chan struct{} // there may be something new to read

	mu      sync.Mutex
	running bool
	waiting []*waiter
}

// A waiter is a change that waits.
type waiter struct {
	position int64
	done     chan struct{}
	// lacking are the servers that lacked the change at the first reading, with the
	// reports that they had made, and began is a time after that reading.
	lacking []Report
	began   time.Time
}

// settle returns when no server decides without the change at the position.
func (f *Feed) settle(ctx context.Context, position int64) error {
	if !f.shared || position == 0 {
		return nil
	}
	f.store.Wake(ctx)
	began := f.now()
	w := &waiter{position: position, done: make(chan struct{})}
	f.settler.add(w)
	select {
	case <-w.done:
		f.metrics.settle.Observe(f.now().Sub(began).Seconds())
		return nil
	case <-ctx.Done():
		f.settler.remove(w)
		return fmt.Errorf("the change was made, but some servers may not have it yet: %w", context.Cause(ctx))
	}
}

func (s *settler) add(w *waiter) {
	s.mu.Lock()
	s.waiting = append(s.waiting, w)
	start := !s.running
	s.running = true
	s.mu.Unlock()
	s.wake()
	if start {
		go s.run()
	}
}

func (s *settler) remove(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = slices.DeleteFunc(s.waiting, func(other *waiter) bool { return other == w })
	s.wake() // which ends the goroutine if nothing waits any more
}

// wake makes the settler read the reports now.
func (s *settler) wake() {
	select {
	case s.look <- struct{}{}:
	default:
	}
}

// run reads the reports while a change waits.
func (s *settler) run() {
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.look:
		case <-tick.C:
		}
		s.mu.Lock()
		waiting := slices.Clone(s.waiting)
		s.mu.Unlock()
		s.release(waiting)
		s.mu.Lock()
		if len(s.waiting) == 0 {
			s.running = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}

// release ends the waiting of those changes that all other servers have, or that have
// waited for a lease.
func (s *settler) release(waiting []*waiter) {
	if len(waiting) == 0 {
		return
	}
	f := s.feed
	ctx, cancel := context.WithTimeout(context.Background(), settleRead)
	defer cancel()
	readers, err := f.store.Readers(ctx)
	// Positions only grow. A report of higher ones is from before the database was
	// restored, and says nothing about the changes since.
	var finished db.Finished
	if err == nil {
		finished, err = f.store.Finished(ctx)
	}
	readers = slices.DeleteFunc(readers, func(r Report) bool { return !r.Live || r.Reader == f.id })
	// Only now, so that what was read is at least as old as the wait will be long.
	now := f.now()
	for _, w := range waiting {
		lacking := slices.DeleteFunc(slices.Clone(readers), func(r Report) bool { return r.Finished.Below <= finished.Below && r.Finished.Has(w.position) })
		switch {
		case err == nil && len(lacking) == 0:
			s.finish(w)
		case w.began.IsZero():
			// An error changes nothing: the leases end all the same.
			w.began, w.lacking = now, lacking
		case now.Sub(w.began) >= f.lease:
			s.retire(ctx, w.lacking)
			s.finish(w)
		}
	}
}

// retire tells that nothing has to wait for servers that have not reported for a lease.
func (s *settler) retire(ctx context.Context, reports []Report) {
	for _, r := range reports {
		// A failure costs the next change a lease, and nothing else.
		_ = s.feed.store.Retire(ctx, r)
	}
}

func (s *settler) finish(w *waiter) {
	s.remove(w)
	close(w.done)
}
