package events

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A Numbered is an event of the log.
type Numbered struct {
	// Number grows with each event of the installation.
	Number int64
	// Body is the event as JSON.
	Body string
}

// A Query chooses events.
type Query struct {
	Filter Filter
	// After is the number after which to read; 0 for all events.
	After int64
	// Since leaves out events from before; the zero time leaves out none.
	Since time.Time
	// Limit is how many events are returned at most.
	Limit int
	// Wait is how long to wait if there is no event yet.
	Wait time.Duration
}

// pollEvery is how often a waiting reader looks for events of other servers.
const pollEvery = time.Second

// Read returns the chosen events in the order of their numbers, and the number after
// which to go on. If there are none, it waits for them as long as the query says, or
// until ctx ends. Fault InvalidParameter: the log has no number so high, because the
// database was restored from a backup.
func (l *Log) Read(ctx context.Context, q Query) (found []Numbered, next int64, err error) {
	next = q.After
	wait := time.NewTimer(q.Wait)
	defer wait.Stop()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		change := l.change() // before reading, so that nothing is missed
		if found, next, err = l.read(ctx, q, next); err != nil || len(found) > 0 || q.Wait <= 0 {
			return found, next, err
		}
		select {
		case <-change:
		case <-l.poll(poll):
		case <-wait.C:
			return nil, next, nil
		case <-l.stopping:
			return nil, next, nil
		case <-ctx.Done():
			return nil, next, nil
		}
	}
}

// poll returns the ticker's channel if other servers may write events.
func (l *Log) poll(t *time.Ticker) <-chan time.Time {
	if !l.c.DB.Shared() {
		return nil
	}
	return t.C
}

func (l *Log) read(ctx context.Context, q Query, after int64) ([]Numbered, int64, error) {
	if err := l.collect(ctx); err != nil {
		return nil, after, err
	}
	last, err := l.last(ctx)
	if err != nil {
		return nil, after, err
	}
	if after > last {
		return nil, after, fault.New(fault.Invalid, "InvalidParameter", "The log has no event after number %d: the database was restored from a backup. Begin again without nextToken.", after)
	}
	condition, args := q.Filter.condition(3)
	since := int64(0)
	if !q.Since.IsZero() {
		since = db.Micros(q.Since)
	}
	found, err := db.All(ctx, l.c.DB, func(r db.Row) (n Numbered, err error) {
		err = r.Scan(&n.Number, &n.Body)
		return n, err
	}, fmt.Sprintf(`SELECT number, body FROM event WHERE number > $1 AND number <= $2 AND at >= $3%s ORDER BY number LIMIT $%d`, condition, len(args)+4),
		append(append([]any{after, last, since}, args...), q.Limit)...)
	if err != nil {
		return nil, after, err
	}
	if len(found) == q.Limit && q.Limit > 0 {
		last = found[len(found)-1].Number
	}
	return found, last, nil
}
