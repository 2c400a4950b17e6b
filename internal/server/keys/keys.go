// Package keys keeps and rotates the keyring of an installation, whose keys package
// token uses.
//
//	Store     where the stored form is: a file, or a row of the shared database
//	Codec     the stored form: plain, or wrapped by a key or an external command
//	Follower  keeps a server's token.Keyring up to date with the store, and reports to
//	          the other servers what it has loaded
//	Service   the operations: list, rotate, retire
//
// A rotation over several servers never refuses a token, because each step waits for
// all servers to have the one before:
//
//  1. The new key is stored as verify-only. Every server loads it.
//  2. It becomes active, and the former key verify-only. A server that does not know
//     yet seals with the former key, which all others open; a server that knows seals
//     with the new key, which all others have.
//  3. When the last token of the former key has expired, it is retired. This is an
//     operation of its own.
//
// Each step is one atomic replacement of what is stored, so a crash leaves the state
// before or after it. Rotating again goes on from there.
//
// The package must not import handlers, nor package iam, whose services use the
// keyring.
package keys

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/installation"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// Config configures a [Service]. All fields are required.
type Config struct {
	Follower  *Follower
	Operators installation.Operators
	// AccessKeys returns the long-term access keys whose secrets are derived from the
	// key with an id.
	AccessKeys func(keyID string) []AccessKey
	Now        func() time.Time
}

// An AccessKey is a long-term access key and whose it is. User is empty for root.
type AccessKey struct {
	Account, User, ID string
	Active            bool
}

// A Service has the operations on the keyring. Each authorizes its caller first.
type Service struct {
	c Config
	// changing makes this server's changes one after the other.
	changing sync.Mutex
}

// New returns the service.
func New(c Config) *Service { return &Service{c: c} }

// A Listing is the state of the keyring.
type Listing struct {
	Location string
	Wrapped  bool
	Revision int64
	Keys     []KeyInfo
	// Servers are those that use the database, this one included. It is empty if the
	// database has one server only.
	Servers []Server
}

// A KeyInfo describes a key, without its secret.
type KeyInfo struct {
	token.Key
	// AccessKeys are those that stop working if the key is lost.
	AccessKeys []AccessKey
}

// A Server is one of those that share the keyring.
type Server struct {
	ID, Host string
	Revision int64
	Seen     time.Time
}

// List returns the keys without their secrets, and which servers have loaded them.
func (s *Service) List(ctx context.Context) (*Listing, error) {
	if err := s.c.Operators.Authorize(ctx, "ListKeys", "key/*"); err != nil {
		return nil, err
	}
	f := s.c.Follower
	if err := f.Refresh(ctx); err != nil {
		return nil, unusable(err)
	}
	keys := f.keyring.Keys()
	l := &Listing{Location: f.c.Store.String(), Wrapped: f.c.Codec.Wrapper != nil, Revision: keys.Revision()}
	for _, k := range keys.List() {
		l.Keys = append(l.Keys, KeyInfo{k, s.c.AccessKeys(k.ID)})
	}
	if !f.shared {
		return l, nil
	}
	all, err := f.servers.all(ctx)
	for _, r := range all {
		l.Servers = append(l.Servers, Server{r.id, r.host, r.revision, r.seen})
	}
	return l, err
}

// A Rotation says how far a rotation is.
type Rotation struct {
	New, Former string // key ids
	Revision    int64
	// Done is false if the new key is not active yet, because servers have not loaded
	// it. Rotating again goes on.
	Done bool
	// Behind are the servers that have not loaded the revision.
	Behind []string
	// OpensUntil is when the former key can be retired. It is zero unless Done.
	OpensUntil time.Time
}

// Rotate makes a new key active: the staged one, if an earlier rotation was
// interrupted. It returns when all servers that answer have loaded it. Faults:
// KeyringReadOnly, KeyringUnusable.
func (s *Service) Rotate(ctx context.Context) (*Rotation, error) {
	if err := s.c.Operators.Authorize(ctx, "RotateKeys", "key/*"); err != nil {
		return nil, err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	f := s.c.Follower
	if err := s.writable(ctx); err != nil {
		return nil, err
	}
	r := &Rotation{Former: f.keyring.ActiveKeyID()}
	staged, err := s.change(ctx, func(k *token.Keys) (*token.Keys, error) {
		if k.Active().ID != r.Former { // another server's rotation was faster
			return k, nil
		}
		return k.Stage(s.c.Now()), nil
	})
	if err != nil {
		return nil, err
	}
	key, ok := staged.Staged()
	if !ok {
		key = staged.Active()
	}
	r.New, r.Revision = key.ID, staged.Revision()
	if r.Behind = s.settle(ctx, staged.Revision()); len(r.Behind) > 0 {
		return r, nil
	}
	promoted, err := s.change(ctx, func(k *token.Keys) (*token.Keys, error) {
		if now, _ := k.Key(key.ID); !now.Staged() { // as above
			return k, nil
		}
		return k.Promote(s.c.Now())
	})
	if err != nil {
		return nil, err
	}
	former, _ := promoted.Key(r.Former)
	r.Done, r.Revision, r.OpensUntil = true, promoted.Revision(), former.OpensUntil()
	r.Behind = s.settle(ctx, promoted.Revision())
	return r, nil
}

// Retire ends what a key has sealed. It is refused while there may be tokens and
// sessions that it would end, unless end is true. When it returns, no server
// accepts one. Faults: NoSuchKey, KeyInUse, KeyringReadOnly, KeyringUnusable.
func (s *Service) Retire(ctx context.Context, id string, end bool) (*KeyInfo, error) {
	if err := s.c.Operators.Authorize(ctx, "RetireKey", "key/"+id); err != nil {
		return nil, err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	if err := s.writable(ctx); err != nil {
		return nil, err
	}
	keys, err := s.change(ctx, func(k *token.Keys) (*token.Keys, error) {
		if err := retirable(k, id, end, s.c.Now()); err != nil {
			return nil, err
		}
		// A server that is behind may still seal with the key.
		if behind := s.settle(ctx, k.Revision()); len(behind) > 0 && !end {
			return nil, fault.New(fault.Unavailable, "ServersBehind", "These servers have not loaded revision %d of the keyring, so they may still use key %s: %s. Nothing has changed. Find out why with 'gatehouse keys list' and their logs, then try again.", k.Revision(), id, strings.Join(behind, ", "))
		}
		return k.Retire(id, s.c.Now())
	})
	if err != nil {
		return nil, err
	}
	if behind := s.settle(ctx, keys.Revision()); len(behind) > 0 {
		return nil, fault.New(fault.Unavailable, "ServersBehind", "Key %s is retired, but these servers have not loaded that yet and may accept its tokens: %s. Retire it again to wait for them, or stop them.", id, strings.Join(behind, ", "))
	}
	key, _ := keys.Key(id)
	return &KeyInfo{key, s.c.AccessKeys(id)}, nil
}

// retirable returns why a key should not be retired at a time, or nil.
func retirable(k *token.Keys, id string, end bool, now time.Time) error {
	key, ok := k.Key(id)
	switch {
	case !ok:
		return fault.New(fault.NotFound, "NoSuchKey", "The keyring has no key %q. Its keys: gatehouse keys list", id)
	case key.State == token.Active:
		return fault.New(fault.Conflict, "KeyInUse", "Key %s is active: it seals every new token. Make another one active first: gatehouse keys rotate", id)
	case end || key.State == token.Retired || key.Staged():
		return nil
	}
	until := key.OpensUntil()
	if until.IsZero() {
		return fault.New(fault.Conflict, "KeyInUse", "It is not known when key %s last sealed a token, so tokens and sessions of all users may depend on it. Rotate the keyring first, or end them all now: gatehouse keys retire %s --end-sessions %s", id, id, id)
	}
	if now.Before(until) {
		return fault.New(fault.Conflict, "KeyInUse", "Key %s was active from %s to %s. Sessions and tokens that anyone obtained in that time can be good until %s, and would end. Access keys would go on working. Retire it after that time, or end them now: gatehouse keys retire %s --end-sessions %s",
			id, stamp(key.Activated), stamp(key.Deactivated), stamp(until), id, id)
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// writable refreshes, and says if this server may not change the keyring.
func (s *Service) writable(ctx context.Context) error {
	f := s.c.Follower
	if err := f.Refresh(ctx); err != nil {
		return unusable(err)
	}
	if f.shared && !f.c.Store.Common() {
		return fault.New(fault.Conflict, "KeyringReadOnly", "The keyring is the file %s, of which each server has its own copy or mount, so no server changes it. Replace it in stages, with 'gatehouse keys rotate --print' as docs/operations.md describes, or use 'keyring: database'.", f.c.Store)
	}
	return nil
}

// change makes a change of the keyring durable, and loads it. fn runs again if another
// server was first.
func (s *Service) change(ctx context.Context, fn func(*token.Keys) (*token.Keys, error)) (*token.Keys, error) {
	f := s.c.Follower
	for {
		before := f.keyring.Keys()
		next, err := fn(before)
		if err != nil || next == before {
			return next, err
		}
		err = f.replace(ctx, next)
		if err == nil {
			return next, nil
		}
		if !errors.Is(err, ErrChanged) {
			return nil, unusable(err)
		}
		if err := f.Refresh(ctx); err != nil {
			return nil, unusable(err)
		}
	}
}

// settle returns the servers that have not loaded a revision.
func (s *Service) settle(ctx context.Context, revision int64) []string {
	f := s.c.Follower
	if !f.shared {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.c.Timing.Settle)
	defer cancel()
	var names []string
	for _, r := range f.servers.settle(ctx, revision, f.c.ID, f.c.Timing.Lease, f.c.Timing.Poll/4) {
		names = append(names, strings.TrimSpace(r.host+" "+r.id))
	}
	return names
}

// unusable is an error of the store or of what is stored. The operator can do
// something about it, so it is not an internal error; it has no secret.
func unusable(err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	return fault.Wrap(err, fault.Unavailable, "KeyringUnusable", "%s", fmt.Sprintf("The keyring cannot be read or replaced: %v. Nothing has changed.", err))
}
