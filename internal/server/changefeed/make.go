package changefeed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A Change is a change of what domains have in memory. It has either Publish or
// Forget.
type Change struct {
	// Scope is the domain's, as in [Feed.Follow].
	Scope string
	// Turn is held from before Prepare until Publish has returned. The [Follower] of
	// the scope takes it in Apply and Reload too. So what is published follows the
	// order of commits. It is only needed with Publish.
	Turn *Turn
	// Prepare is called once before the transaction. Its error ends the change, and
	// [ErrUnchanged] ends it without an error. Optional.
	Prepare func() error
	// Run makes the change in a transaction, perhaps more than once, and returns the
	// keys of what it changed, if anything. After an error nothing is changed.
	Run func(tx *db.Tx) (keys []string, err error)
	// Publish puts what was committed into memory, for example the next snapshot.
	Publish func()
	// Forget removes from caches what may have changed. It is also called if the
	// outcome of the commit is unclear.
	Forget func()
}

// ErrUnchanged is returned by [Change.Prepare] if there is nothing to change.
var ErrUnchanged = errors.New("changefeed: there is nothing to change")

// errPerhaps is in the chain of errors after which the change may have been made.
var errPerhaps = errors.New("changefeed: the change may have been made")

// PerhapsMade reports whether the change of a [Feed.Make] that returned err was made,
// or may have been. If it is false, nothing was changed.
func PerhapsMade(err error) bool { return errors.Is(err, errPerhaps) }

// A perhaps is an error with errPerhaps in its chain and not in its text.
type perhaps struct{ error }

func (p perhaps) Unwrap() []error { return []error{p.error, errPerhaps} }

// resolveTime bounds the search for a commit whose answer was lost.
const resolveTime = 5 * time.Second

// Make makes a change. When it returns nil, the change is durable and no server
// decides without it any more, and neither without any change that this one has seen.
// An error of Prepare or Run is returned as it is, and then nothing was changed. A fault
// NotFound or Conflict may say what only this server knows yet, so it is returned when the
// others know it too. After an error of the commit the feed says what became of it.
//
// If ctx ends while the other servers are waited for, the change was made, and the
// error says so.
func (f *Feed) Make(ctx context.Context, c Change) error {
	o := &ownChange{id: randid.Text(), scope: c.Scope, finished: make(chan struct{})}
	if f.shared { // otherwise nothing reads the feed beside this
		f.register(o)
	}
	err := f.attempt(ctx, &c, o)
	if err != nil && o.refusal == nil {
		err = f.resolve(ctx, o, err)
	}
	if err == nil {
		err = f.settle(ctx, o.position)
	}
	if f.shared && isRefusal(o.refusal) {
		f.settleRefusal(ctx, c.Scope)
	}
	if err != nil && o.refusal == nil {
		return perhaps{err}
	}
	return err
}

// settleRefusal waits until no server decides without what a change that was refused has
// read: the work of another call, which has not returned yet. Otherwise a client learns that
// something is gone and then finds it at another server; the history test found that. If the
// others cannot be waited for, the refusal is still the answer.
func (f *Feed) settleRefusal(ctx context.Context, scope string) {
	if position, ok := f.refusals.position(ctx, f, scope); ok {
		_ = f.settle(ctx, position)
	}
}

// An ownChange is a change that this server makes.
type ownChange struct {
	id, scope string
	position  int64 // 0 if there is no row
	refusal   error // of Prepare or Run
	// finished is closed when it is known whether the change is in this server's
	// memory. Then published says it.
	finished  chan struct{}
	published bool
}

// attempt runs the transaction. An error without a refusal leaves the outcome unclear.
func (f *Feed) attempt(ctx context.Context, c *Change, o *ownChange) (err error) {
	defer func() {
		if err != nil { // before another reading: it must apply the change if there is one
			f.unregister(o)
		}
		close(o.finished)
	}()
	if c.Turn != nil {
		if err := c.Turn.Lock(ctx); err != nil {
			o.refusal = err
			return err
		}
		defer c.Turn.Unlock()
	}
	if c.Prepare != nil {
		if err := c.Prepare(); errors.Is(err, ErrUnchanged) {
			c.Run, c.Publish, c.Forget = func(*db.Tx) ([]string, error) { return nil, nil }, nil, nil
			if !f.shared {
				return nil
			}
		} else if err != nil {
			o.refusal = err
			return err
		}
	}
	err = f.store.Tx(ctx, func(tx *db.Tx) error {
		o.refusal = f.run(ctx, tx, c, o)
		return o.refusal
	})
	if err == nil {
		if c.Publish != nil {
			c.Publish()
		}
		o.published = true
	}
	if c.Forget != nil && o.refusal == nil {
		c.Forget()
	}
	return err
}

// isRefusal reports whether an error is about what is there or not.
func isRefusal(err error) bool {
	var f *fault.Error
	return errors.As(err, &f) && (f.Kind == fault.NotFound || f.Kind == fault.Conflict)
}

// run is the transaction. On a shared database even a change that found nothing to do
// writes a row: what it found may be the work of a change that other servers do not
// have yet.
func (f *Feed) run(ctx context.Context, tx *db.Tx, c *Change, o *ownChange) (err error) {
	o.position = 0
	keys, err := c.Run(tx)
	if err != nil {
		return err
	}
	if !f.shared && (len(keys) == 0 || c.Forget != nil) {
		return nil
	}
	o.position, err = f.store.Record(ctx, tx, Entry{ID: o.id, Scope: c.Scope, Keys: keys})
	return err
}

// resolve finds out what became of a change whose commit failed with cause, and makes
// memory right.
func (f *Feed) resolve(ctx context.Context, o *ownChange, cause error) error {
	if o.position == 0 { // Forget made memory right
		return cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resolveTime)
	defer cancel()
	// If the row is there, this applies it. If it comes later, Run does.
	if err := f.CatchUp(ctx); err != nil {
		f.fallBehind()
		return errors.Join(cause, err)
	}
	position, found, err := f.store.Find(ctx, o.id)
	if err != nil {
		f.fallBehind()
		return errors.Join(cause, err)
	}
	if !found {
		return cause
	}
	o.position = position
	return nil
}

// fallBehind stops a server that is alone from deciding until [Feed.Run] has read
// its own changes.
func (f *Feed) fallBehind() {
	if f.shared {
		return
	}
	f.behind.Store(true)
	select {
	case f.kick <- struct{}{}:
	default:
	}
}

// register makes readings of this server leave the change to Make.
func (f *Feed) register(o *ownChange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.own[o.id] = o
}

func (f *Feed) unregister(o *ownChange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.own, o.id)
}

// published waits until it is known whether this server itself has put a change into
// its memory, and reports it. It is false for the changes of others.
func (f *Feed) published(ctx context.Context, id string) (bool, error) {
	f.mu.Lock()
	o := f.own[id]
	f.mu.Unlock()
	if o == nil {
		return false, nil
	}
	select {
	case <-o.finished:
		return o.published, nil
	case <-ctx.Done():
		return false, fmt.Errorf("changefeed: wait for a change of this server: %w", context.Cause(ctx))
	}
}
