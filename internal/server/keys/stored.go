package keys

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// A Stored is a keyring that no running server changes, for commands that work without
// one.
type Stored struct {
	Store Store
	Codec *Codec
	// Shared says whether servers may run that use the store.
	Shared bool
}

// ErrServersMayRun means that a change has to be made through a running server, which
// waits for the others.
var ErrServersMayRun = errors.New("other servers may use this keyring: run the command without --config and --data, so that a running server waits for them; if each server has its own copy of a file, use --file and replace the copies step by step")

// Keys reads the keyring.
func (s *Stored) Keys(ctx context.Context) (*token.Keys, error) {
	_, k, err := s.read(ctx)
	return k, err
}

func (s *Stored) read(ctx context.Context) (stored []byte, k *token.Keys, err error) {
	if stored, err = s.Store.Load(ctx); err != nil {
		return nil, nil, err
	}
	k, err = s.Codec.Decode(ctx, stored)
	return stored, k, err
}

// Change replaces the keyring with what fn makes of it, in one step.
func (s *Stored) Change(ctx context.Context, fn func(*token.Keys) (*token.Keys, error)) (*token.Keys, error) {
	if s.Shared {
		return nil, ErrServersMayRun
	}
	stored, before, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	next, err := fn(before)
	if err != nil || next == before {
		return next, err
	}
	text, err := s.Codec.Encode(ctx, next)
	if err != nil {
		return nil, err
	}
	return next, s.Store.Replace(ctx, stored, text)
}

// Replace stores next in the place of former.
func (s *Stored) Replace(ctx context.Context, former, next *token.Keys) error {
	_, err := s.Change(ctx, func(k *token.Keys) (*token.Keys, error) {
		if k.Revision() != former.Revision() {
			return nil, ErrChanged
		}
		return next, nil
	})
	return err
}

// NextStep returns the keyring after the next step of a rotation: with a staged key, or
// with the staged key active.
func NextStep(k *token.Keys, now time.Time) (*token.Keys, error) {
	if _, staged := k.Staged(); staged {
		return k.Promote(now)
	}
	return k.Stage(now), nil
}

// Rewrap stores the same keys as another codec does: wrapped, wrapped by another key,
// or not wrapped. Servers that run must be able to read both forms.
func (s *Stored) Rewrap(ctx context.Context, to *Codec) error {
	stored, k, err := s.read(ctx)
	if err != nil {
		return err
	}
	text, err := to.Encode(ctx, k)
	if err != nil {
		return err
	}
	// Before anything is replaced: a keyring that cannot be read is lost.
	if _, err := to.Decode(ctx, text); err != nil {
		return err
	}
	return s.Store.Replace(ctx, stored, text)
}

// Rotate makes a new key active at once: no server runs that would need time to load
// it.
func (s *Stored) Rotate(ctx context.Context, now func() time.Time) (*token.Keys, error) {
	return s.Change(ctx, func(k *token.Keys) (*token.Keys, error) { return k.Stage(now()).Promote(now()) })
}

// Retire retires a key under the rules of [Service.Retire].
func (s *Stored) Retire(ctx context.Context, id string, end bool, now func() time.Time) (*token.Keys, error) {
	return s.Change(ctx, func(k *token.Keys) (*token.Keys, error) {
		if err := retirable(k, id, end, now()); err != nil {
			return nil, err
		}
		return k.Retire(id, now())
	})
}
