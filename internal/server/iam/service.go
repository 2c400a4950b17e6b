// Package iam holds who exists and what they may do: accounts, users, groups,
// roles, access keys and policies. Below it, sts has the sessions of AWS STS,
// declare the identities of the configuration file, simulate the policy simulator,
// and report the reports about an account. They reach the snapshot through [Core].
//
// Everything is in memory, in an immutable [Snapshot] behind an atomic pointer.
// Reading means loading the pointer; no request reads the database. A change is
// made on a [Draft] of the snapshot, committed, and then published as the next
// snapshot, so a revocation takes effect at the next request. If several servers
// share a database, each follows the changes of the others through package
// changefeed, and a change returns when all of them have it (follow.go). store.go has
// the tables.
//
// It must not import HTTP handlers, images or packages.
//
// A [Service] is three things:
//
//   - the rules of IAM's operations: its methods take the caller from the context
//     and authorize first, like every domain method;
//   - the [authn.Directory] that credentials are checked against (directory.go);
//   - [Service.Bootstrap], which creates the first accounts and users.
//
// The rules come from the IAM User Guide and the IAM API Reference. The code names
// the section if a rule has one.
package iam

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/resourcetags"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// Config configures a [Service]. Everything is required, unless it says otherwise.
type Config struct {
	DB      *db.DB
	Keyring *token.Keyring
	Authz   authz.Authorizer
	// WebIdentities proves the tokens of OIDC providers.
	WebIdentities WebIdentityVerifier
	Now           func() time.Time
	// URL is the server's own address, below which the accounts are OpenID Connect
	// issuers. Without it none is. Optional.
	URL string
	// Guardrail returns the account-wide policy that limits all of an account, or
	// nil. It always returns the same. Optional.
	Guardrail func(account string) *policy.Policy
	// Feed keeps the servers on the database current. nil means that this service is
	// the only one on it. Optional.
	Feed *changefeed.Feed
	// SessionMemory is about how many bytes of sessions are kept in memory; 0 is
	// [DefaultSessionMemory]. Optional.
	SessionMemory int64
}

// A Service has the identities and the operations of IAM. It is safe for concurrent
// use.
type Service struct {
	db         *db.DB
	keyring    *token.Keyring
	authz      authz.Authorizer
	webIDs     WebIdentityVerifier
	url        string
	now        func() time.Time
	guardrail  func(account string) *policy.Policy
	awsManaged []*Policy

	// current is what every reader sees.
	current atomic.Pointer[Snapshot]
	// changing makes this server's changes one after the other.
	changing changefeed.Turn
	feed     *changefeed.Feed

	sessions sessions
	uses     keyUses
}

// New applies the migrations and loads everything into memory.
func New(ctx context.Context, c Config) (*Service, error) {
	if err := c.DB.Migrate(ctx, Migrations()...); err != nil {
		return nil, fmt.Errorf("iam: %w", err)
	}
	awsManaged, err := awsManagedPolicies()
	if err != nil {
		return nil, err
	}
	s := &Service{db: c.DB, keyring: c.Keyring, authz: c.Authz, webIDs: c.WebIdentities, url: c.URL, now: c.Now, guardrail: c.Guardrail, awsManaged: awsManaged, changing: changefeed.NewTurn(), feed: c.Feed, sessions: newSessions(c.SessionMemory)}
	if s.feed == nil {
		if s.feed, err = changefeed.Alone(ctx, c.DB); err != nil {
			return nil, err
		}
	}
	s.feed.Follow(scope, follower{s})
	loaded, err := s.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("iam: load: %w", err)
	}
	s.current.Store(loaded)
	if err := s.uses.load(ctx, c.DB); err != nil {
		return nil, fmt.Errorf("iam: load: %w", err)
	}
	return s, nil
}

// change is [Service.commit] for an operation, which leaves alone what the
// configuration declares. Fault: UnmodifiableEntity.
func (s *Service) change(ctx context.Context, fn func(*Draft) error) error {
	return s.commit(ctx, func(d *Draft) error {
		if err := fn(d); err != nil {
			return err
		}
		return d.exemptsDeclared()
	})
}

// commit lets fn decide and draft a change on the newest snapshot, commits it,
// and publishes it. fn may run more than once; what it returns is returned. When
// it returns nil, no server decides without the change any more.
func (s *Service) commit(ctx context.Context, fn func(*Draft) error) error {
	for {
		err := s.attempt(ctx, fn)
		if !errors.Is(err, errStale) {
			return err
		}
		// Another server changed something first. Decide anew with it.
		if err := s.feed.CatchUp(ctx); err != nil {
			return fmt.Errorf("iam: %w", err)
		}
	}
}

// attempt is commit on the snapshot as it is. It returns errStale if that is not the
// newest.
func (s *Service) attempt(ctx context.Context, fn func(*Draft) error) error {
	var d *Draft
	err := s.feed.Make(ctx, changefeed.Change{
		Scope: scope, Turn: &s.changing,
		Prepare: func() error {
			base := s.current.Load()
			d = &Draft{Snapshot: base, base: base}
			if err := fn(d); err != nil {
				return err
			}
			if len(d.changed) == 0 {
				return changefeed.ErrUnchanged
			}
			return nil
		},
		Run:     func(tx *db.Tx) ([]string, error) { return d.keys(), d.save(ctx, tx) },
		Publish: func() { s.current.Store(d.next()) },
	})
	if err == nil {
		d.warn()
	}
	return err
}

// RefreshGuardrails makes every decision from now on use what [Config].Guardrail
// returns now.
func (s *Service) RefreshGuardrails() {
	_ = s.changing.Lock(context.Background()) // without an end it cannot fail
	defer s.changing.Unlock()
	next := *s.current.Load()
	next.generation++ // what was resolved has the old ones
	s.current.Store(&next)
}

// caller returns who calls an operation of IAM.
func caller(ctx context.Context) (*authn.Caller, error) {
	c := authn.FromContext(ctx)
	if c == nil || c.Type == authn.Anonymous {
		return nil, errAnonymous()
	}
	// IAM User Guide, "Compare AWS STS credentials": without MFA, which does not
	// exist here, these call no operation of IAM.
	if c.Temporary() && c.Type != authn.AssumedRole {
		return nil, fault.New(fault.Unauthenticated, "InvalidClientTokenId", "The security token included in the request is invalid: credentials of GetSessionToken and GetFederationToken cannot call IAM.")
	}
	return c, nil
}

// authorize checks that the caller may do req.Action on the entity of the
// caller's account, and returns the caller. The resource is the entity's ARN,
// or what that would be without a path if there is no such entity.
func (s *Service) authorize(ctx context.Context, sn *Snapshot, kind Kind, name string, req authz.Request) (*authn.Caller, error) {
	c, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	req.Resource = arn.New("iam", "", c.Account, kind.Noun()+"/"+name).String()
	if e, ok := sn.named(c.Account, kind, name); ok {
		req.Resource, req.ResourceTags = ARNOf(e), resourcetags.Map(e.Base().Tags)
		req.Keys = withBoundary(req.Keys, req.Action, e)
	}
	return c, s.authz.Authorize(ctx, &req)
}

// authorizeList checks that the caller may list what there is of a kind, and
// returns the caller. Lists have the path prefix as resource (Service
// Authorization Reference, "AWS IAM").
func (s *Service) authorizeList(ctx context.Context, action string, kind Kind, pathPrefix string) (*authn.Caller, error) {
	c, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if pathPrefix == "" {
		pathPrefix = "/"
	}
	return c, s.authz.Authorize(ctx, &authz.Request{Action: action, Resource: arn.New("iam", "", c.Account, kind.Noun()+pathPrefix).String()})
}

// find is [Service.authorize] and the entity itself, or a fault NoSuchEntity.
func find[E Entity](ctx context.Context, s *Service, sn *Snapshot, kind Kind, name string, req authz.Request) (E, error) {
	var none E
	c, err := s.authorize(ctx, sn, kind, name, req)
	if err != nil {
		return none, err
	}
	e, ok := sn.named(c.Account, kind, name)
	if !ok {
		return none, NoSuchEntity(kind, name)
	}
	return e.(E), nil
}

func NoSuchEntity(kind Kind, name string) error {
	return fault.New(fault.NotFound, "NoSuchEntity", "The %s with name %s cannot be found.", kind.Noun(), name).About(kind.Noun(), name)
}

func invalidInput(format string, args ...any) error {
	return fault.New(fault.Invalid, "InvalidInput", format, args...)
}

// errAnonymous answers a request that no one signed.
func errAnonymous() error {
	return fault.New(fault.Unauthenticated, "MissingAuthenticationToken", "Request is missing Authentication Token")
}
