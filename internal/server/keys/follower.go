package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// Timing of a [Follower]. Tests have shorter ones.
type Timing struct {
	// Poll is how often a server looks whether the keyring was changed.
	Poll time.Duration
	// Lease is how long a server goes on if the keyring in the database cannot be
	// read. All servers of an installation have the same.
	Lease time.Duration
	// Settle is how long a rotation waits for servers that have not loaded the newest
	// revision.
	Settle time.Duration
}

// DefaultTiming is what servers use.
var DefaultTiming = Timing{Poll: 2 * time.Second, Lease: 15 * time.Second, Settle: 45 * time.Second}

// FollowerConfig configures a [Follower]. All fields are required.
type FollowerConfig struct {
	DB    *db.DB
	Store Store
	Codec *Codec
	// Create says whether a keyring is created if there is none. It must be false for
	// an installation in use: a new keyring would invalidate everything it issued.
	Create bool
	// Shared says whether other servers use the database: see [db.DB.Shared].
	Shared bool
	// ID is this server's, new after each start. Host names it for people.
	ID, Host string
	Now      func() time.Time // the clock by which tokens expire
	Log      *slog.Logger
	Timing   Timing
}

// A Follower keeps a [token.Keyring] up to date with what is stored. It is safe for
// use by many goroutines.
//
// If other servers may use the database, the follower is one of the servers whose
// reports servers.go describes. If the keyring is in the database too, the follower
// holds a lease, as servers do in package changefeed:
//
//   - It reports which revision it has loaded, and reads what is stored after the
//     report is committed. Once it has loaded that, it goes on for a lease, counted
//     from before the report began.
//   - Who rotates commits a revision, and waits until each server has reported it or
//     has not reported for a lease.
//
// A report is committed before who rotates looks, and then it is waited for; or after
// that, and then the reading that follows finds the new revision.
type Follower struct {
	c       FollowerConfig
	keyring *token.Keyring
	servers servers
	shared  bool // other servers use the database
	leased  bool // and may change the keyring

	mu       sync.Mutex // one refresh, replacement or report at a time
	stored   []byte     // the form of what is loaded
	refused  string     // why the last form that differs was not loaded
	reports  int64
	reported int64 // the revision of the last report

	renewed atomic.Pointer[time.Time] // when the report began that gave the lease
}

// NewFollower loads the keyring, or creates it. When it returns, the keyring is the
// newest one.
func NewFollower(ctx context.Context, c FollowerConfig) (*Follower, error) {
	if err := c.DB.Migrate(ctx, migrations...); err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	f := &Follower{c: c, servers: servers{c.DB}, shared: c.Shared}
	f.leased = f.shared && c.Store.Common()
	if f.shared { // before it is read, so that who rotates knows of this server
		if err := f.report(ctx); err != nil {
			return nil, fmt.Errorf("keyring: %w", err)
		}
	}
	err := f.open(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the keyring is missing beside a database in use, and should be in %s: restore it from a backup, or copy it from another server of the installation; if the servers share it elsewhere, such as in the database, say so with the setting keyring; to start with an empty installation, remove the data", c.Store)
	}
	if err != nil {
		return nil, fmt.Errorf("keyring in %s: %w", c.Store, err)
	}
	return f, f.heartbeat(ctx)
}

// open loads the keyring for the first time.
func (f *Follower) open(ctx context.Context) error {
	stored, err := f.c.Store.Load(ctx)
	if errors.Is(err, fs.ErrNotExist) && f.c.Create {
		if stored, err = f.create(ctx); errors.Is(err, fs.ErrExist) {
			stored, err = f.c.Store.Load(ctx) // of another server, which was first
		}
	}
	if err != nil {
		return err
	}
	keys, err := f.c.Codec.Decode(ctx, stored)
	if err != nil {
		return err
	}
	ready := f.Ready
	if !f.leased {
		ready = nil
	}
	f.stored = stored
	f.keyring, err = token.NewKeyring(keys, f.c.Now, ready)
	return err
}

func (f *Follower) create(ctx context.Context) ([]byte, error) {
	stored, err := f.c.Codec.Encode(ctx, token.NewKeys(f.c.Now()))
	if err != nil {
		return nil, err
	}
	return stored, f.c.Store.Create(ctx, stored)
}

// Keyring is the keyring that the follower keeps up to date.
func (f *Follower) Keyring() *token.Keyring { return f.keyring }

// Ready reports whether the keyring is known to be the newest: nil, or a fault
// ServiceUnavailable. It reads no database.
func (f *Follower) Ready() error {
	if !f.leased {
		return nil
	}
	if renewed := f.renewed.Load(); renewed != nil {
		now := time.Now()
		// A machine that was asleep may find its monotonic clock standing where it was.
		if passed := max(now.Sub(*renewed), now.Round(0).Sub(renewed.Round(0))); passed < f.c.Timing.Lease-f.c.Timing.Lease/10 {
			return nil
		}
	}
	return errStale
}

var errStale = fault.New(fault.Unavailable, "ServiceUnavailable",
	"This server cannot read the keyring, so it may not know about a key that was retired. Try again in a few seconds, or use another server.")

// Refresh loads what is stored, if that is not what is loaded. If it cannot be used,
// nothing changes.
func (f *Follower) Refresh(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refresh(ctx)
}

func (f *Follower) refresh(ctx context.Context) error {
	stored, err := f.c.Store.Load(ctx)
	if err != nil {
		return fmt.Errorf("keyring in %s: %w", f.c.Store, err)
	}
	if bytes.Equal(stored, f.stored) {
		return nil
	}
	keys, err := f.c.Codec.Decode(ctx, stored)
	if err == nil {
		err = f.keyring.Load(keys)
	}
	if err != nil {
		return fmt.Errorf("keyring in %s: %w", f.c.Store, err)
	}
	f.loaded(stored)
	return nil
}

func (f *Follower) loaded(stored []byte) {
	f.stored = stored
	f.c.Log.Info("keyring loaded", "revision", f.keyring.Keys().Revision(), "active key", f.keyring.ActiveKeyID())
}

// replace stores keys in the place of what is loaded, and loads them. If the answer of
// the store is lost, what is stored says what became of it.
func (f *Follower) replace(ctx context.Context, keys *token.Keys) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	next, err := f.c.Codec.Encode(ctx, keys)
	if err != nil {
		return err
	}
	if err := f.c.Store.Replace(ctx, f.stored, next); err != nil {
		found, again := f.c.Store.Load(context.WithoutCancel(ctx))
		if again != nil || !bytes.Equal(found, next) {
			return fmt.Errorf("keyring in %s: %w", f.c.Store, err)
		}
	}
	if err := f.keyring.Load(keys); err != nil {
		return err
	}
	f.loaded(next)
	return nil
}

// report says which revision is loaded.
func (f *Follower) report(ctx context.Context) error {
	var revision int64
	if f.keyring != nil {
		revision = f.keyring.Keys().Revision()
	}
	f.reports++
	if err := f.servers.report(ctx, report{f.c.ID, f.c.Host, revision, f.reports, time.Now()}); err != nil {
		return err
	}
	f.reported = revision
	return nil
}

// heartbeat loads what is stored and, if there are other servers, reports it and
// renews the lease. A server that cannot load what is stored does not report, so
// that no one waits for it.
func (f *Follower) heartbeat(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, f.c.Timing.Lease)
	defer cancel()
	if err := f.refresh(ctx); err != nil || !f.shared {
		return err
	}
	renewed := f.renewed.Load()
	if renewed != nil && f.reported == f.keyring.Keys().Revision() && time.Since(*renewed) < f.c.Timing.Lease/3 {
		return nil
	}
	began := time.Now()
	if err := f.report(ctx); err != nil {
		return err
	}
	if err := f.refresh(ctx); err != nil {
		return err
	}
	if f.reported != f.keyring.Keys().Revision() { // it changed in between
		if err := f.report(ctx); err != nil {
			return err
		}
	}
	f.renewed.Store(&began)
	return nil
}

// Run keeps the keyring up to date until ctx ends. Stop serving before that.
func (f *Follower) Run(ctx context.Context) {
	if f.c.Store.Common() && !f.shared {
		return // no one else changes it
	}
	defer f.leave(context.WithoutCancel(ctx))
	tick := time.NewTicker(f.c.Timing.Poll)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		f.log(ctx, f.heartbeat(ctx))
	}
}

// log logs why the keyring is not up to date: once for each reason.
func (f *Follower) log(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil && err.Error() != f.refused:
		f.refused = err.Error()
		f.c.Log.Error("the keyring was not loaded; nothing has changed", "error", err)
	case err == nil && f.refused != "":
		f.refused = ""
		f.c.Log.Info("the keyring is up to date again")
	}
}

// leave gives the lease up, so that no one waits for this server.
func (f *Follower) leave(ctx context.Context) {
	if !f.shared {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.renewed.Store(nil)
	ctx, cancel := context.WithTimeout(ctx, f.c.Timing.Lease)
	defer cancel()
	// A failure costs the next rotation a lease, and nothing else.
	_ = f.servers.forget(ctx, report{id: f.c.ID, n: f.reports})
}
