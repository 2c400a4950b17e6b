package iam

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/internal"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// A Core is what the packages below this one (sts, declare, simulate, report)
// need of a [Service]: the snapshot, and changes to it. Nothing in it authorizes:
// these packages do that first, in each of their own operations.
type Core struct{ s *Service }

// Core returns the core of s. The key limits it to the packages below iam.
func (s *Service) Core(internal.CoreKey) Core { return Core{s} }

// Caller returns who calls an operation of IAM. Faults: MissingAuthenticationToken;
// InvalidClientTokenId for credentials of GetSessionToken and GetFederationToken.
func (Core) Caller(ctx context.Context) (*authn.Caller, error) { return caller(ctx) }

// Authorize is [authz.Authorizer].
func (c Core) Authorize(ctx context.Context, req *authz.Request) error {
	return c.s.authz.Authorize(ctx, req)
}

// Account authorizes an action on the caller's account and returns it.
func (c Core) Account(ctx context.Context, sn *Snapshot, action string) (*Account, error) {
	return c.s.account(ctx, sn, action)
}

// Snapshot returns what this server knows at this moment.
func (c Core) Snapshot() *Snapshot { return c.s.current.Load() }

// Commit lets fn make a change on the newest snapshot, and publishes it once it
// is durable and every server has it. fn may run more than once. Unlike IAM's own
// operations, it may change what the configuration declares.
func (c Core) Commit(ctx context.Context, fn func(*Draft) error) error { return c.s.commit(ctx, fn) }

// SaveSession makes the record of a session durable, under the id of its access
// key. It reports false if another session has the id.
func (c Core) SaveSession(ctx context.Context, id string, r SessionRecord, expires time.Time) (bool, error) {
	err := c.s.sessions.save(ctx, c.s.db, id, r, expires)
	if c.s.db.IsUnique(err) {
		return false, nil
	}
	return err == nil, err
}

// LastUse is the last use of an access key or a role, or nil.
func (c Core) LastUse(id string) *KeyUse { return c.s.uses.last(id) }

// NewKey returns a new, active access key. Its secret is [Core.Secret].
func (c Core) NewKey() AccessKey { return c.s.newKey() }

// Secret derives the secret of an access key.
func (c Core) Secret(k AccessKey) (string, error) {
	return c.s.keyring.AccessKeySecret(k.KeyringID, k.ID)
}

// Keyring seals session tokens and encoded authorization messages.
func (c Core) Keyring() *token.Keyring { return c.s.keyring }

// WebIdentities proves the tokens of OIDC providers.
func (c Core) WebIdentities() WebIdentityVerifier { return c.s.webIDs }

// Issuer is the URL of an account as an OpenID Connect issuer, and IssuerBase is what the
// URLs of all accounts begin with. They are empty if the server knows no address.
func (c Core) Issuer(account string) string { return c.s.issuer(account) }

// IssuerBase is described at [Core.Issuer].
func (c Core) IssuerBase() string { return c.s.issuer("") }

// Issues reports whether the account is an OpenID Connect issuer.
func (s *Snapshot) Issues(account string) bool {
	a, ok := get[*Account](s, account)
	return ok && a.Issues
}

// DB is the database, for tables that no snapshot holds.
func (c Core) DB() *db.DB { return c.s.db }

// Now is the clock, and Second is its time as exactly as IAM shows it.
func (c Core) Now() time.Time { return c.s.now() }

// Second is described at [Core.Now].
func (c Core) Second() time.Time { return c.s.second() }

// HasAccount reports whether the account exists.
func (s *Snapshot) HasAccount(id string) bool {
	_, ok := get[*Account](s, id)
	return ok
}

// KeyAccount returns the account of a long-term access key.
func (s *Snapshot) KeyAccount(keyID string) (account string, ok bool) {
	e, ok := s.keys.Get(keyID)
	if !ok {
		return "", false
	}
	return e.Base().Account, true
}

// Role returns the role with the ARN, or nil.
func (s *Snapshot) Role(roleARN string) *Role {
	e, _ := s.byARN(roleARN)
	r, _ := e.(*Role)
	return r
}

// AttachablePolicy returns a managed policy of the account or of AWS. Fault:
// NoSuchEntity.
func (s *Snapshot) AttachablePolicy(account, policyARN string) (*Policy, error) {
	return usable(s, account, policyARN)
}

// OIDCProvider returns a provider by its issuer's URL without the scheme, or nil.
func (s *Snapshot) OIDCProvider(account, name string) *OIDCProvider {
	return s.providerNamed(account, name)
}

// Named returns the entity with that name, whose case matters, as in its ARN.
func (s *Snapshot) Named(account string, kind Kind, name string) (Entity, bool) {
	return s.named(account, kind, name)
}

// Taken returns the entity that has a name in any case.
func (s *Snapshot) Taken(account string, kind Kind, name string) (Entity, bool) {
	return s.byName.Get(nameKey{account, kind, strings.ToLower(name)})
}

// Declared yields the entities that the configuration declares, in order.
func (s *Snapshot) Declared() iter.Seq[Entity] { return s.declared() }

// Users, Groups, Roles and Policies yield an account's entities in the order of
// their names, those after a name. AWS's policies have the account [AWSAccount].
func (s *Snapshot) Users(account, after string) iter.Seq[*User] {
	return list[*User](s, account, KindUser, after)
}

// Entities is described at [Snapshot.Users].
func (s *Snapshot) Entities(account string, kind Kind, after string) iter.Seq[Entity] {
	return list[Entity](s, account, kind, after)
}

// GroupsOf returns the groups of a user.
func (s *Snapshot) GroupsOf(u *User) []*Group {
	var groups []*Group
	for _, id := range u.Groups {
		if g, ok := get[*Group](s, id); ok {
			groups = append(groups, g)
		}
	}
	return groups
}

// AttachedTo returns the managed policies that are attached to an entity.
func (s *Snapshot) AttachedTo(e Entity) []*Policy {
	h, ok := e.(principalEntity)
	if !ok {
		return nil
	}
	var attached []*Policy
	for _, a := range h.permissions().Attached {
		if p, ok := s.policyByARN(a); ok {
			attached = append(attached, p)
		}
	}
	return attached
}

// Use counts the uses of a managed policy in an account.
func (s *Snapshot) Use(account string, p *Policy) PolicyUse { return s.use(account, p) }

// BindTrust checks a trust policy and replaces the users and roles in it by their
// unique ids. Faults: MalformedPolicyDocument, LimitExceeded.
func (s *Snapshot) BindTrust(document string) (string, error) { return s.bindTrust(document) }

// CheckProviders checks the number of an account's OIDC providers. Fault:
// LimitExceeded.
func (s *Snapshot) CheckProviders(account string) error { return s.checkProviders(account) }

// UsedBy returns which entities of an account use e, a policy or a group:
// "user/alice".
func (s *Snapshot) UsedBy(e Entity) []string {
	for _, reference := range referencesTo(e) {
		if s.uses(reference) > 0 {
			return s.users(e.Base().Account, reference)
		}
	}
	return nil
}

// referencesTo returns the names under which the snapshot counts who uses e.
func referencesTo(e Entity) []string {
	switch e := e.(type) {
	case *Policy:
		return []string{attachmentOf(e.Account, e.ARN()), boundaryOf(e.Account, e.ARN())}
	case *Group:
		return []string{membershipOf(e.ID)}
	}
	return nil
}

// users returns which entities of an account have a reference.
func (s *Snapshot) users(account, reference string) []string {
	var names []string
	for _, kind := range []Kind{KindGroup, KindRole, KindUser} {
		for e := range list[Entity](s, account, kind, "") {
			if slices.Contains(e.references(), reference) {
				names = append(names, attachment(e))
			}
		}
	}
	return names
}

// Set puts e, which no snapshot holds yet, into the draft.
func (d *Draft) Set(e Entity) { d.set(e) }

// Remove takes e out of the draft.
func (d *Draft) Remove(e Entity) { d.remove(e) }

// ServiceUses returns when a user or a role used each service last, by the service's prefix.
func (c Core) ServiceUses(ctx context.Context, uniqueID string) (map[string]KeyUse, error) {
	return c.s.uses.services(ctx, c.s.db, uniqueID)
}

// ByARN returns the user, group, role or managed policy with the ARN.
func (s *Snapshot) ByARN(text string) (Entity, bool) { return s.byARN(text) }

// PoliciesOf returns the identity-based policies that an entity has: of a user with those of
// its groups, and of a policy itself.
func (s *Snapshot) PoliciesOf(e Entity) []*policy.Policy {
	switch e := e.(type) {
	case *User:
		return s.user(e).Policies
	case *Role:
		return s.role(e).Policies
	case *Group:
		return s.granted(&e.Permissions)
	case *Policy:
		return []*policy.Policy{e.compiled}
	}
	return nil
}

// Holders returns the users and the roles that have what an entity has: the user or the role
// itself, the members of a group, and those to whom a policy is attached, also by a group.
func (s *Snapshot) Holders(account string, e Entity) []Entity {
	switch e := e.(type) {
	case *User, *Role:
		return []Entity{e}
	}
	wanted := referencesTo(e)[0]
	if p, ok := e.(*Policy); ok {
		wanted = attachmentOf(account, p.ARN())
	}
	var holders []Entity
	for u := range list[*User](s, account, KindUser, "") {
		if slices.Contains(u.references(), wanted) || slices.ContainsFunc(s.GroupsOf(u), func(g *Group) bool { return slices.Contains(g.references(), wanted) }) {
			holders = append(holders, u)
		}
	}
	for r := range list[*Role](s, account, KindRole, "") {
		if slices.Contains(r.references(), wanted) {
			holders = append(holders, r)
		}
	}
	return holders
}
