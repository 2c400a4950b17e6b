package egress

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errBusy is the cause of a failure because no place at a host became free.
var errBusy = errors.New("too many requests to this host are in progress")

// hostLimits bound how many requests each host of an upstream gets at a time, and how
// many in a second. Hosts that are not in use are forgotten, since documents of the
// upstream can name any number of them.
type hostLimits struct {
	concurrent int
	interval   time.Duration // between requests; 0 means none
	patience   time.Duration // how long a request waits for its turn
	services   Services

	mu    sync.Mutex
	hosts map[string]*hostLimit
}

type hostLimit struct {
	places chan struct{}
	users  int       // requests that wait or are in progress
	next   time.Time // when the next request may be sent
}

func newHostLimits(l Limits, s Services) *hostLimits {
	h := &hostLimits{concurrent: l.Concurrent, patience: l.Header / 2, services: s, hosts: map[string]*hostLimit{}}
	if l.Rate > 0 {
		h.interval = time.Duration(float64(time.Second) / l.Rate)
	}
	return h
}

// acquire waits for a place at a host. release gives it back; it may be called more than
// once.
func (h *hostLimits) acquire(ctx context.Context, host string) (release func(), err error) {
	limit := h.enter(host)
	waiting, cancel := context.WithTimeoutCause(ctx, h.patience, errBusy)
	defer cancel()
	select {
	case limit.places <- struct{}{}:
	case <-waiting.Done():
		h.leave(host, limit)
		return nil, context.Cause(waiting)
	}
	var once sync.Once
	release = func() {
		once.Do(func() {
			<-limit.places
			h.leave(host, limit)
		})
	}
	if err := h.pace(ctx, limit); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// pace waits until the next request may be sent.
func (h *hostLimits) pace(ctx context.Context, limit *hostLimit) error {
	if h.interval == 0 {
		return nil
	}
	now := h.services.Now()
	h.mu.Lock()
	turn := limit.next
	if turn.Before(now) {
		turn = now
	}
	delay := turn.Sub(now)
	if delay > h.patience {
		h.mu.Unlock()
		return errBusy
	}
	limit.next = turn.Add(h.interval)
	h.mu.Unlock()
	if delay == 0 {
		return nil
	}
	return h.services.Wait(ctx, delay)
}

func (h *hostLimits) enter(host string) *hostLimit {
	h.mu.Lock()
	defer h.mu.Unlock()
	limit := h.hosts[host]
	if limit == nil {
		limit = &hostLimit{places: make(chan struct{}, h.concurrent)}
		h.hosts[host] = limit
	}
	limit.users++
	return limit
}

func (h *hostLimits) leave(host string, limit *hostLimit) {
	now := h.services.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if limit.users--; limit.users == 0 && !limit.next.After(now) {
		delete(h.hosts, host)
	}
}
