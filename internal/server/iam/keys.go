package iam

import (
	"context"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/resourcetags"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// MaxKeys is the number of access keys that a user or root can have.
const MaxKeys = 2

// A KeyOwner is whose access key is meant: a user or, if User is empty, root.
type KeyOwner struct{ Account, User string }

// owner returns whose keys an operation is about: the named user's, or those of
// the caller if the name is empty, and authorizes req.
func (s *Service) owner(ctx context.Context, sn *Snapshot, user string, req authz.Request) (Entity, error) {
	c, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if user == "" && c.Type == authn.Root {
		if err := s.authz.Authorize(ctx, withResource(req, c.ARN)); err != nil {
			return nil, err
		}
		if a, ok := get[*Account](sn, c.Account); ok {
			return a, nil
		}
		return nil, NoSuchEntity(KindAccount, c.Account)
	}
	if user, err = orCaller(ctx, user); err != nil {
		return nil, err
	}
	return find[*User](ctx, s, sn, KindUser, user, req)
}

func withResource(req authz.Request, resource string) *authz.Request {
	req.Resource = resource
	return &req
}

// CreateAccessKey gives a user of the caller's account, or the caller if the
// name is empty, another access key, and returns its secret, which can be had
// once. Faults: NoSuchEntity, LimitExceeded, ValidationError.
func (s *Service) CreateAccessKey(ctx context.Context, user string) (owner KeyOwner, k AccessKey, secret string, err error) {
	err = s.change(ctx, func(d *Draft) error {
		e, err := s.owner(ctx, d.Snapshot, user, authz.Request{Action: "iam:CreateAccessKey"})
		if err != nil {
			return err
		}
		if err := undeclared(e); err != nil {
			return err
		}
		owner = ownerOf(e)
		k, secret, err = s.addKey(d, e)
		return err
	})
	return owner, k, secret, err
}

// addKey drafts a new key of a user or an account.
func (s *Service) addKey(d *Draft, e Entity) (AccessKey, string, error) {
	if len(e.AccessKeys()) >= MaxKeys {
		return AccessKey{}, "", TooManyKeys()
	}
	k := s.newKey()
	secret, err := s.keyring.AccessKeySecret(k.KeyringID, k.ID)
	if err != nil {
		return AccessKey{}, "", err
	}
	d.setKeys(e, append(slices.Clone(e.AccessKeys()), k))
	return k, secret, nil
}

// newKey returns a new, active key, whose secret the keyring derives.
func (s *Service) newKey() AccessKey {
	return AccessKey{ID: token.NewID(token.LongTermKey), KeyringID: s.keyring.ActiveKeyID(), Active: true, Created: s.second()}
}

func TooManyKeys() error {
	return limit("Cannot exceed quota for AccessKeysPerUser: %d", MaxKeys)
}

func (d *Draft) setKeys(e Entity, keys []AccessKey) {
	switch e := e.(type) {
	case *User:
		u := *e
		u.Keys = keys
		d.set(&u)
	case *Account:
		a := *e
		a.Keys = keys
		d.set(&a)
	}
}

func ownerOf(e Entity) KeyOwner {
	if u, ok := e.(*User); ok {
		return KeyOwner{u.Account, u.Name}
	}
	return KeyOwner{Account: e.Base().Account}
}

// AccessKeys returns the access keys of a user or, with an empty name, of the
// caller. Faults: NoSuchEntity, ValidationError.
func (s *Service) AccessKeys(ctx context.Context, user string) (KeyOwner, []AccessKey, error) {
	e, err := s.owner(ctx, s.current.Load(), user, authz.Request{Action: "iam:ListAccessKeys"})
	if err != nil {
		return KeyOwner{}, nil, err
	}
	return ownerOf(e), e.AccessKeys(), nil
}

// SetAccessKeyActive activates or deactivates an access key. What was signed or
// issued with a key that is inactive is refused from the next request on.
// Faults: NoSuchEntity, ValidationError.
func (s *Service) SetAccessKeyActive(ctx context.Context, user, keyID string, active bool) error {
	return s.editKeys(ctx, "iam:UpdateAccessKey", user, keyID, func(keys []AccessKey, i int) []AccessKey {
		keys[i].Active = active
		return keys
	})
}

// DeleteAccessKey deletes an access key, and with it what was issued to it.
// Faults: NoSuchEntity, ValidationError.
func (s *Service) DeleteAccessKey(ctx context.Context, user, keyID string) error {
	return s.editKeys(ctx, "iam:DeleteAccessKey", user, keyID, func(keys []AccessKey, i int) []AccessKey {
		return slices.Delete(keys, i, i+1)
	})
}

func (s *Service) editKeys(ctx context.Context, action, user, keyID string, edit func(keys []AccessKey, i int) []AccessKey) error {
	return s.change(ctx, func(d *Draft) error {
		e, err := s.owner(ctx, d.Snapshot, user, authz.Request{Action: action})
		if err != nil {
			return err
		}
		i := slices.IndexFunc(e.AccessKeys(), func(k AccessKey) bool { return k.ID == keyID })
		if i < 0 {
			return NoSuchKey(keyID)
		}
		d.setKeys(e, edit(slices.Clone(e.AccessKeys()), i))
		return nil
	})
}

func NoSuchKey(keyID string) error {
	return fault.New(fault.NotFound, "NoSuchEntity", "The Access Key with id %s cannot be found.", keyID)
}

// AccessKeyLastUsed returns when a key of the caller's account was used last,
// and whose it is. The use is nil if there was none. Faults: NoSuchEntity.
func (s *Service) AccessKeyLastUsed(ctx context.Context, keyID string) (KeyOwner, *KeyUse, error) {
	c, err := caller(ctx)
	if err != nil {
		return KeyOwner{}, nil, err
	}
	e, ok := s.current.Load().keys.Get(keyID)
	known := ok && e.Base().Account == c.Account
	req := authz.Request{Action: "iam:GetAccessKeyLastUsed", Resource: "*"}
	if known {
		if u, ok := e.(*User); ok {
			req.Resource, req.ResourceTags = u.ARN(), resourcetags.Map(u.Tags)
		}
	}
	if err := s.authz.Authorize(ctx, &req); err != nil {
		return KeyOwner{}, nil, err
	}
	if !known {
		return KeyOwner{}, nil, NoSuchKey(keyID)
	}
	return ownerOf(e), s.uses.last(keyID), nil
}

// A DerivedKey is an access key whose secret is derived from a key of the keyring.
type DerivedKey struct {
	Owner KeyOwner
	AccessKey
}

// DerivedFrom returns the access keys, of all accounts, whose secrets are derived from
// a key of the keyring, in the order of their ids. It does not authorize: it is for
// the operations on the keyring.
func (s *Service) DerivedFrom(keyringID string) []DerivedKey {
	var derived []DerivedKey
	for i := s.current.Load().keys.Iterator(); !i.Done(); {
		id, owner, _ := i.Next()
		for _, k := range owner.AccessKeys() {
			if k.ID == id && k.KeyringID == keyringID {
				derived = append(derived, DerivedKey{ownerOf(owner), k})
			}
		}
	}
	slices.SortFunc(derived, func(a, b DerivedKey) int { return strings.Compare(a.ID, b.ID) })
	return derived
}
