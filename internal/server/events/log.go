package events

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// Config has what a [Log] needs. DB, Work, Now and Log are required.
type Config struct {
	DB   *db.DB
	Work *work.Queue
	Now  func() time.Time
	Log  *slog.Logger
	// Keep is how long events can be read; 0 means [DefaultKeep].
	Keep time.Duration
	// Max is how many events are kept; 0 means [DefaultMax].
	Max int64
	// Webhooks get the events that their filters choose.
	Webhooks []Webhook
	// Client returns the client for requests to an origin, such as
	// "https://example.com". Required if there are webhooks.
	Client func(origin string) (*http.Client, error)
}

// The defaults of Config.
const (
	DefaultKeep = 24 * time.Hour
	DefaultMax  = 100_000
)

// A Log is the log of events of an installation. It is safe for use by many goroutines.
// Nothing is written to a nil one.
type Log struct {
	c        Config
	webhooks []*webhook
	ids      ids
	wake     chan struct{} // for Run; holds one value

	stopping chan struct{} // closed by StopWaiting
	stop     sync.Once

	mu      sync.Mutex
	changed chan struct{} // closed when an event was written; nil if no reader waits
}

// New applies the migrations, registers the kinds of work with the queue, and returns
// the log. [work.Queue.Run] must not have been called.
func New(ctx context.Context, c Config) (*Log, error) {
	if c.Keep == 0 {
		c.Keep = DefaultKeep
	}
	if c.Max == 0 {
		c.Max = DefaultMax
	}
	if err := c.DB.Migrate(ctx, migrations...); err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	l := &Log{c: c, wake: make(chan struct{}, 1), stopping: make(chan struct{})}
	for _, w := range c.Webhooks {
		hook, err := newWebhook(w, c)
		if err != nil {
			return nil, err
		}
		l.webhooks = append(l.webhooks, hook)
		if err := c.Work.Handle(hook.kind()); err != nil {
			return nil, err
		}
	}
	if err := l.handleFormer(ctx); err != nil {
		return nil, err
	}
	return l, c.Work.Handle(work.Kind{Name: "events/retention", Every: retentionEvery, Run: func(ctx context.Context, _ work.Run) error { return l.retain(ctx) }})
}

// Write adds events to the log as part of a transaction.
func (l *Log) Write(ctx context.Context, tx *db.Tx, events ...Event) error {
	if l == nil || len(events) == 0 {
		return nil
	}
	for i := range events {
		e := &events[i]
		id := l.ids.next(l.c.Now())
		body, err := e.body(id)
		if err != nil {
			return err
		}
		row := stored{id, db.Micros(e.Time), e.Source, e.DetailType, e.Account, e.Domain, e.Repository, string(body)}
		if _, err := tx.Exec(ctx, `INSERT INTO event_outbox (`+storedColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, row.values()...); err != nil {
			return err
		}
	}
	tx.AfterCommit(l.written)
	return nil
}

// written wakes who waits for events of this server.
func (l *Log) written() {
	if len(l.webhooks) > 0 {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// change returns a channel that is closed when this server writes an event.
func (l *Log) change() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

// StopWaiting ends the waiting of readers, now and later. A server calls it when it
// shuts down.
func (l *Log) StopWaiting() { l.stop.Do(func() { close(l.stopping) }) }
