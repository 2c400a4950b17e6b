package changefeed

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// DefaultLease is how long a server goes on without its database, and so how long a
// change waits at most for a server that died.
const DefaultLease = 5 * time.Second

// A Config configures a [Feed].
type Config struct {
	DB *db.DB
	// Log gets a line if the database stops answering. Optional.
	Log *slog.Logger
	// Now is the clock of the leases; nil means [time.Now]. It must not be one that a
	// test moves for other reasons.
	Now func() time.Time
	// Lease is the same for all servers; 0 means [DefaultLease].
	Lease time.Duration
	// Store is where the servers hear of each other; nil means tables of DB. If it is
	// given, the database counts as shared.
	Store Store
	// Woken is called when another server may have committed something, for others
	// than the feed: the database has one channel for all. Optional.
	Woken func()
	// Alone says that there is no other server, whatever the database is.
	Alone bool
}

// A Feed is this process's place among the servers on its database. It is safe for
// concurrent use.
//
// The domains call [Feed.Follow] when they are constructed. Then the process calls
// [Feed.Begin] once, and [Feed.Run] until it ends.
type Feed struct {
	store   Store
	shared  bool
	lease   time.Duration
	now     func() time.Time
	log     *slog.Logger
	id      string
	metrics *metrics
	woken   func()

	// renewed is when the report began that gave the lease; nil means that there is
	// none. Its wall clock counts as well as its monotonic one.
	renewed atomic.Pointer[time.Time]
	// behind says that memory may lack a change of this process, because the database
	// could not be read after a commit with an unclear outcome. Only if not shared: a
	// shared database that cannot be read ends the lease.
	behind atomic.Bool
	kick   chan struct{} // tells Run that behind was set
	// failure is the error of the last reading of Run, or nil.
	failure atomic.Pointer[error]

	settler  settler
	refusals refusals

	reading Turn // held while rows are read and applied; guards what follows
	// finished are the transactions whose changes this server has.
	finished db.Finished
	// applied are further ones that were read already: id of the change → position.
	applied map[string]int64
	// unreported are the positions of changes of others that no report has yet.
	unreported []int64
	reports    int64 // how many there were
	// acknowledged is the number of the last report that was certainly committed.
	acknowledged int64
	incarnation  string // of the database that memory was read from
	mustReload   bool   // memory must be read again before the next lease

	mu        sync.Mutex
	followers map[string]Follower
	own       map[string]*ownChange // changes of this server that it has not read yet
	silent    map[string]silence    // of the goroutine of Run
}

// A Follower is the memory of a domain.
type Follower interface {
	// Apply makes memory as new as the database is now, for the things that keys
	// name, as [Change.Run] returned them. It may be called again for the same keys.
	// After an error it is called again; until then this server decides nothing.
	Apply(ctx context.Context, keys []string) error
	// Reload is Apply for everything.
	Reload(ctx context.Context) error
}

// New joins the servers on the database. Construct the domains after that: what they
// load has everything that was changed before.
func New(ctx context.Context, c Config) (*Feed, error) {
	shared := !c.Alone && (c.Store != nil || c.DB.Shared())
	if c.Store == nil {
		c.Store = NewStore(c.DB)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	f := &Feed{
		store: c.Store, shared: shared, lease: cmp.Or(c.Lease, DefaultLease), now: c.Now, log: c.Log, id: randid.Text(), woken: c.Woken,
		kick: make(chan struct{}, 1), reading: NewTurn(),
		applied: map[string]int64{}, followers: map[string]Follower{}, own: map[string]*ownChange{}, silent: map[string]silence{},
	}
	f.metrics = newMetrics(f)
	f.settler.feed, f.settler.look = f, make(chan struct{}, 1)
	f.refusals.writing = NewTurn()
	if err := c.DB.Migrate(ctx, migrations...); err != nil {
		return nil, fmt.Errorf("changefeed: %w", err)
	}
	if err := f.join(ctx); err != nil {
		return nil, fmt.Errorf("changefeed: join the servers on the database: %w", err)
	}
	return f, nil
}

// Alone returns a feed for the only server on a database.
func Alone(ctx context.Context, d *db.DB) (*Feed, error) {
	return New(ctx, Config{DB: d, Alone: true})
}

func (f *Feed) join(ctx context.Context) (err error) {
	if f.finished, err = f.store.Finished(ctx); err != nil || !f.shared {
		return err
	}
	if f.incarnation, err = f.store.Incarnation(ctx); err != nil {
		return err
	}
	return f.store.Join(ctx, f.id, f.reports, f.finished)
}

// Follow registers the memory of a domain, before it is loaded. The scope names the
// domain in the rows of the feed.
func (f *Feed) Follow(scope string, m Follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.followers[scope] = m
}

func (f *Feed) follower(scope string) Follower {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.followers[scope]
}

// Shared reports whether other servers may use the database.
func (f *Feed) Shared() bool { return f.shared }

// Ready returns nil if this server may decide by what it has in memory. The fault is
// ServiceUnavailable if it has not heard from its database for so long that something
// may have been changed elsewhere. Ask before reading anything of which a decision is
// made. It reads no database and allocates nothing.
func (f *Feed) Ready() error {
	if f.shared && !f.live() || f.behind.Load() {
		return errNotLive
	}
	return nil
}

var errNotLive = fault.New(fault.Unavailable, "ServiceUnavailable",
	"This server cannot reach its database, so it may not know about a permission that was revoked. Try again in a few seconds, or use another server.")

// Failure returns why the feed cannot be read at the moment, or nil. It is for
// operators.
func (f *Feed) Failure() error {
	if err := f.failure.Load(); err != nil {
		return *err
	}
	return nil
}

func (f *Feed) live() bool {
	renewed := f.renewed.Load()
	return renewed != nil && f.since(*renewed) < f.lease-f.lease/10
}

// since returns how much time has passed. A machine that was suspended may find that
// its monotonic clock stood still, so the wall clock counts too.
func (f *Feed) since(t time.Time) time.Duration {
	now := f.now()
	return max(now.Sub(t), now.Round(0).Sub(t.Round(0)))
}

// A Turn lets one goroutine after the other do something. Unlike a mutex, it can be
// waited for until a context ends.
type Turn struct{ held chan struct{} }

// NewTurn returns a Turn that is free.
func NewTurn() Turn { return Turn{make(chan struct{}, 1)} }

// Lock waits for the turn. After an error the caller does not have it.
func (t Turn) Lock(ctx context.Context) error {
	select {
	case t.held <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Unlock gives the turn to the next one.
func (t Turn) Unlock() { <-t.held }
