package token

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// LongestLife is how long a token can be good at the most: the session of a user
// (STS API Reference, GetSessionToken). Mint refuses to exceed it, since a key may be
// retired once whatever it sealed has expired.
const LongestLife = 36 * time.Hour

// handoverTime is how long, at the most, a server may go on sealing with a key after
// another became active, and how far the clocks of servers may differ.
const handoverTime = 15 * time.Minute

// A State is what a key is still good for.
type State string

const (
	// Active mints, opens and derives. Exactly one key of a keyring is.
	Active State = "active"
	// VerifyOnly opens and derives. A new key is verify-only until every server
	// has it, the former active one until the last token that it sealed has
	// expired.
	VerifyOnly State = "verify-only"
	// Retired only derives the secrets of the long-term access keys that were
	// created under it.
	Retired State = "retired"
)

// Keys is the content of a keyring, with the secrets. It is immutable: [Keys.Stage],
// [Keys.Promote] and [Keys.Retire] return another one with the next revision.
//
// A rotation has three steps, and servers whose content is one step apart accept
// each other's tokens:
//
//	Stage    a new key is verify-only: every server gets ready for its tokens
//	Promote  it becomes active, and the former active key verify-only
//	Retire   the former key opens nothing any more
type Keys struct {
	revision int64
	keys     []Key
}

// A Key is one key of a keyring. Times that are unknown or in the future are zero.
type Key struct {
	// ID has 8 hexadecimal digits.
	ID          string
	State       State
	Created     time.Time
	Activated   time.Time // when it began to seal tokens
	Deactivated time.Time // when it ceased to

	number uint32
	secret []byte
}

// Staged reports whether the key has not been active yet.
func (k *Key) Staged() bool { return k.State == VerifyOnly && k.Activated.IsZero() }

// OpensUntil is when the last token that the key sealed has expired. It is zero while
// that is not known: the key is active, or was active in a file of an older version.
func (k *Key) OpensUntil() time.Time {
	if k.Deactivated.IsZero() {
		return time.Time{}
	}
	return k.Deactivated.Add(LongestLife + handoverTime)
}

// NewKeys returns the content of a new keyring: revision 1, one active key.
func NewKeys(now time.Time) *Keys {
	k := &Keys{revision: 1, keys: []Key{newSecretKey(now)}}
	k.keys[0].State, k.keys[0].Activated = Active, k.keys[0].Created
	return k
}

func newSecretKey(now time.Time) Key {
	k := Key{State: VerifyOnly, Created: second(now), secret: make([]byte, keySize)}
	id := make([]byte, keyIDSize)
	_, _ = rand.Read(k.secret) // cannot fail
	_, _ = rand.Read(id)
	k.number = binary.BigEndian.Uint32(id)
	k.ID = formatKeyID(k.number)
	return k
}

func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// Revision grows by one with each change. It is 0 for a file of version 1, which is
// edited by hand.
func (k *Keys) Revision() int64 { return k.revision }

// List returns the keys in the order in which they were added.
func (k *Keys) List() []Key { return slices.Clone(k.keys) }

// Key returns the key with an id.
func (k *Keys) Key(id string) (Key, bool) {
	for _, key := range k.keys {
		if key.ID == id {
			return key, true
		}
	}
	return Key{}, false
}

// Active returns the key that seals tokens.
func (k *Keys) Active() Key {
	return k.keys[slices.IndexFunc(k.keys, func(key Key) bool { return key.State == Active })]
}

// Staged returns the key that the next [Keys.Promote] makes active.
func (k *Keys) Staged() (Key, bool) {
	for _, key := range k.keys {
		if key.Staged() {
			return key, true
		}
	}
	return Key{}, false
}

// Stage adds a verify-only key. If one is staged already, it returns k.
func (k *Keys) Stage(now time.Time) *Keys {
	if _, ok := k.Staged(); ok {
		return k
	}
	added := newSecretKey(now)
	for _, taken := k.Key(added.ID); taken; _, taken = k.Key(added.ID) { // one in four billion
		added = newSecretKey(now)
	}
	next := k.next(now)
	next.keys = append(next.keys, added)
	return next
}

// ErrNotStaged means that there is no key that could become active.
var ErrNotStaged = errors.New("keyring: no key is staged")

// Promote makes the staged key active, and the active one verify-only. Do it only
// when every server has loaded k. The error is [ErrNotStaged].
func (k *Keys) Promote(now time.Time) (*Keys, error) {
	staged, ok := k.Staged()
	if !ok {
		return nil, ErrNotStaged
	}
	next := k.next(now)
	for i := range next.keys {
		switch key := &next.keys[i]; {
		case key.State == Active:
			key.State, key.Deactivated = VerifyOnly, second(now)
		case key.ID == staged.ID:
			key.State, key.Activated = Active, second(now)
		}
	}
	return next, nil
}

// Retire ends the tokens and sessions that a key sealed. It returns k if the key is
// retired already. The errors are [ErrUnknownKey] and [ErrActiveKey].
func (k *Keys) Retire(id string, now time.Time) (*Keys, error) {
	key, ok := k.Key(id)
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: %q", ErrUnknownKey, id)
	case key.State == Active:
		return nil, fmt.Errorf("%w: %s", ErrActiveKey, id)
	case key.State == Retired:
		return k, nil
	}
	next := k.next(now)
	for i := range next.keys {
		if next.keys[i].ID == id {
			next.keys[i].State = Retired
		}
	}
	return next, nil
}

var (
	// ErrUnknownKey means that the keyring has no key with an id.
	ErrUnknownKey = errors.New("keyring: no such key")
	// ErrActiveKey means that a key cannot be retired because it is active.
	ErrActiveKey = errors.New("keyring: the key is active")
)

// next is a copy with the next revision. A key that a file of version 1 had as
// verify-only may have been active until now.
func (k *Keys) next(now time.Time) *Keys {
	n := &Keys{revision: k.revision + 1, keys: slices.Clone(k.keys)}
	for i := range n.keys {
		if key := &n.keys[i]; key.State == VerifyOnly && !key.Staged() && key.Deactivated.IsZero() {
			key.Deactivated = second(now)
		}
	}
	return n
}
