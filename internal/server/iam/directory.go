package iam

import (
	"context"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/resourcetags"
)

var _ authn.Directory = (*Service)(nil)

// A resolution is what a user or a role amounts to, with everything that managed
// policies and groups give. The entity remembers it, until the snapshot's
// generation says that one of those has changed. So a change of a policy costs
// nothing for the 100,000 users who have it, and a request finds it done.
type resolution struct {
	generation int64
	principal  *authn.Principal
}

// KeyOwner implements [authn.Directory].
func (s *Service) KeyOwner(accessKeyID string) (account, uniqueID string, ok bool) {
	e, k, ok := s.current.Load().key(accessKeyID)
	if !ok || !k.Active {
		return "", "", false
	}
	c := e.Base()
	return c.Account, c.ID, true
}

// key returns an access key and whose it is.
func (s *Snapshot) key(id string) (Entity, AccessKey, bool) {
	e, ok := s.keys.Get(id)
	if !ok {
		return nil, AccessKey{}, false
	}
	for _, k := range e.AccessKeys() {
		if k.ID == id {
			return e, k, true
		}
	}
	return nil, AccessKey{}, false
}

// Secret implements [authn.Directory].
func (s *Service) Secret(accessKeyID string) (string, bool) {
	_, k, ok := s.current.Load().key(accessKeyID)
	if !ok {
		return "", false
	}
	secret, err := s.keyring.AccessKeySecret(k.KeyringID, k.ID)
	return secret, err == nil
}

// Identity implements [authn.Directory].
func (s *Service) Identity(account, uniqueID string) *authn.Principal {
	sn := s.current.Load()
	e, ok := sn.byID.Get(uniqueID)
	if !ok || e.Base().Account != account {
		return nil
	}
	switch e := e.(type) {
	case *User:
		return sn.user(e)
	case *Role:
		return sn.role(e)
	case *Account:
		return &authn.Principal{
			Type: authn.Root, Account: e.ID, ARN: e.ARN(), PrincipalARN: e.ARN(), UserID: e.ID, UniqueID: e.ID,
			Guardrail: sn.guardrail(e.ID),
		}
	}
	return nil
}

func (s *Snapshot) user(u *User) *authn.Principal {
	if r := u.resolved.Load(); r != nil && r.generation == s.generation {
		return r.principal
	}
	p := &authn.Principal{
		Type: authn.User, Account: u.Account, ARN: u.ARN(), PrincipalARN: u.ARN(),
		UserID: u.ID, UniqueID: u.ID, Name: u.Name,
		Policies: s.granted(&u.Permissions), Boundary: s.boundary(&u.Permissions), Tags: resourcetags.Map(u.Tags),
		Guardrail: s.guardrail(u.Account),
	}
	for _, id := range u.Groups {
		if g, ok := get[*Group](s, id); ok {
			p.Policies = append(p.Policies, s.granted(&g.Permissions)...)
		}
	}
	u.resolved.Store(&resolution{s.generation, p})
	return p
}

func (s *Snapshot) role(r *Role) *authn.Principal {
	if r := r.resolved.Load(); r != nil && r.generation == s.generation {
		return r.principal
	}
	p := &authn.Principal{
		Type: authn.AssumedRole, Account: r.Account, ARN: r.ARN(), PrincipalARN: r.ARN(),
		UserID: r.ID, UniqueID: r.ID,
		Policies: s.granted(&r.Permissions), Boundary: s.boundary(&r.Permissions), Tags: resourcetags.Map(r.Tags),
		Guardrail: s.guardrail(r.Account),
	}
	r.resolved.Store(&resolution{s.generation, p})
	return p
}

// granted returns the policies that a principalEntity has itself.
func (s *Snapshot) granted(p *Permissions) []*policy.Policy {
	granted := make([]*policy.Policy, 0, len(p.inline)+len(p.Attached))
	granted = append(granted, p.inline...)
	return append(granted, s.compiled(p.Attached)...)
}

// compiled returns the managed policies that exist of those named.
func (s *Snapshot) compiled(policyARNs []string) []*policy.Policy {
	var out []*policy.Policy
	for _, a := range policyARNs {
		if p, ok := s.policyByARN(a); ok {
			out = append(out, p.compiled)
		}
	}
	return out
}

// boundary returns the permissions boundary, nil if there is none. One that
// does not exist allows nothing.
func (s *Snapshot) boundary(p *Permissions) *policy.Policy {
	if p.Boundary == "" {
		return nil
	}
	if b, ok := s.policyByARN(p.Boundary); ok {
		return b.compiled
	}
	return policy.Unreadable("", policy.Identity)
}

// guardrail returns the account-wide policy of an account, nil if there is none.
func (s *Snapshot) guardrail(account string) *policy.Policy {
	if s.guardrails == nil {
		return nil
	}
	return s.guardrails(account)
}

// Session implements [authn.Directory].
func (s *Service) Session(ctx context.Context, id string) (*authn.Session, error) {
	r, err := s.sessions.get(ctx, s.db, id)
	if err != nil {
		return nil, err
	}
	if !r.expires.After(s.now()) { // its row is gone, or soon will be
		return nil, errNoSession()
	}
	return r.resolve(s.current.Load()), nil
}

// Used implements [authn.Directory].
func (s *Service) Used(id string, at time.Time, service, region string) {
	use := KeyUse{at, service, region}
	owner := id
	switch {
	case strings.HasPrefix(id, "AIDA"): // its keys have uses of their own
	case !s.uses.note(id, use):
		return
	case !strings.HasPrefix(id, "AROA"):
		_, owner, _ = s.KeyOwner(id)
	}
	if strings.HasPrefix(owner, "AIDA") || strings.HasPrefix(owner, "AROA") {
		s.uses.note(serviceUse(owner, service), use)
	}
}
