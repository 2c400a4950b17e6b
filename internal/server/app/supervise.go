package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/sdnotify"
)

// readyPoll is how often a server that starts looks whether it is ready.
const readyPoll = 50 * time.Millisecond

// WithNotifier makes the server tell a supervisor that it is ready, reloads, stops, and
// is alive.
func WithNotifier(n *sdnotify.Notifier) Option {
	return func(p *components) { p.notifier = n }
}

// A supervision tells the supervisor what the server does. While it stops, nothing else
// is told than that it is alive.
type supervision struct {
	notifier *sdnotify.Notifier
	log      *slog.Logger

	mu       sync.Mutex
	ready    bool
	stopping bool
}

func (s *supervision) send(states ...string) {
	if err := s.notifier.Send(states...); err != nil {
		s.log.Warn("the supervisor was not told", "error", err)
	}
}

// run tells the supervisor that the server is ready, as soon as it is, and then that it
// is alive, until ctx ends. check returns why the server is not ready. What keeps a
// running server from being ready, such as a database that does not answer, is no reason
// to restart it: a restart would not help.
func (s *supervision) run(ctx context.Context, check func(context.Context) error, status string) {
	for check(ctx) != nil {
		if wait(ctx, readyPoll); ctx.Err() != nil {
			return
		}
	}
	s.started(status)
	interval := s.notifier.WatchdogInterval()
	if interval == 0 {
		return
	}
	for ctx.Err() == nil {
		s.send(sdnotify.Alive)
		wait(ctx, interval)
	}
}

func (s *supervision) started(status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return
	}
	s.ready = true
	s.send(sdnotify.Ready, sdnotify.Status(status))
}

// reload tells the supervisor when a reload begins and ends. A server that is not ready
// yet says so when it is.
func (s *supervision) reload(reload func() error) error {
	s.sendIfRunning(sdnotify.Reloading())
	err := reload()
	status := "the configuration was reloaded"
	if err != nil {
		status = "the configuration was not reloaded: " + err.Error()
	}
	s.sendIfRunning(sdnotify.Ready, sdnotify.Status(status))
	return err
}

func (s *supervision) sendIfRunning(states ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready && !s.stopping {
		s.send(states...)
	}
}

// stop tells the supervisor that the server stops within a time.
func (s *supervision) stop(within time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	s.send(sdnotify.Stopping, sdnotify.ExtendTimeout(within), sdnotify.Status("finishing the requests in flight"))
}
