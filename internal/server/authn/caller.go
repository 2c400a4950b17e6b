// Package authn turns credentials into a [Caller]: who makes a request.
//
// There are two kinds of credentials: a SigV4 signature made with an access key
// (the AWS APIs) and a bearer token that [token] opens (the registry and the
// package endpoints). Both lead to a [Principal] as IAM has it at this moment, so
// deleting a key, a user or a role ends what was issued to it at the next request.
// Nothing here reads a database.
//
// A handler authenticates once and puts the caller into the request's context.
// Package authz, called by the domain, decides what the caller may do.
package authn

import (
	"context"
	"net/netip"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// A PrincipalType is one of the values of the condition key aws:PrincipalType
// (IAM User Guide, "AWS global condition context keys").
type PrincipalType string

// The principal types.
const (
	Root          PrincipalType = "Account"
	User          PrincipalType = "User"
	AssumedRole   PrincipalType = "AssumedRole"
	FederatedUser PrincipalType = "FederatedUser"
	// WebIdentity is a subject of an OIDC provider that asks for the session of a
	// role, and is of no account (CloudTrail's name for it).
	WebIdentity PrincipalType = "WebIdentityUser"
	// Anonymous is who has not proven anything; see [Authenticator.Unsigned].
	Anonymous PrincipalType = "Anonymous"
)

// A Principal is an identity together with everything that decides what it may
// do. It is a value of one moment: hold on to it for one request, not longer.
type Principal struct {
	Type    PrincipalType
	Account string
	// ARN is what GetCallerIdentity answers: a role session's is
	// arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION.
	ARN string
	// UserID is what GetCallerIdentity answers and aws:userid holds: AIDA…,
	// AROA…:session, or the account's id for root.
	UserID string
	// PrincipalARN is aws:PrincipalArn: the role's own ARN for a role session,
	// and otherwise ARN.
	PrincipalARN string
	// UniqueID is the identity's id, AIDA… or AROA…: the part of UserID that a
	// deleted and recreated identity does not get again. Root's is the account.
	UniqueID string
	// Name is aws:username, of a user alone.
	Name string
	// SessionName is of a role session or a federated user.
	SessionName string
	// Policies are the identity-based policies in force: inline, attached and
	// from the user's groups. Empty for root, which needs none.
	Policies []*policy.Policy
	// Boundary is the permissions boundary; nil if there is none.
	Boundary *policy.Policy
	// Guardrail is the account-wide policy that limits everyone of the account,
	// root too; nil if there is none.
	Guardrail *policy.Policy
	// SessionPolicies limit a session: nil if it has none, and an empty,
	// non-nil slice allows nothing.
	SessionPolicies []*policy.Policy
	// Tags are aws:PrincipalTag/*: the identity's, overridden by the session's.
	Tags map[string]string
	// TransitiveTagKeys are the session's tags that the next role
	// inherits when this session assumes it.
	TransitiveTagKeys []string
	// SourceIdentity is aws:SourceIdentity.
	SourceIdentity string
	// Federation is where a web identity comes from, and the session that it
	// began; nil for everyone else.
	Federation *Federation
	// AccessKeyID is the key that signed, or that obtained the bearer token.
	AccessKeyID string
	// IssuerKeyID is the long-term key behind the temporary credentials of a
	// user or of root (GetSessionToken, GetFederationToken): they end with it.
	// It is empty for a role session, which outlives the key that assumed the
	// role, and for a long-term key itself.
	IssuerKeyID string
	// SessionID names the stored record of the session; see [token.Claims].
	SessionID string
	// IssuedAt and ExpiresAt belong to temporary credentials, and are zero for
	// a user's or root's long-term key. IssuedAt is aws:TokenIssueTime.
	IssuedAt, ExpiresAt time.Time
}

// A Federation is what an OIDC provider said about a web identity. It is immutable.
type Federation struct {
	// Provider is the provider's ARN: aws:FederatedProvider.
	Provider string
	// Keys are the values of the condition keys ISSUER:CLAIM, in lower case: all
	// that the token has for a web identity, and sub, aud and amr for a session
	// (IAM User Guide, "Available keys for AWS OIDC federation").
	Keys map[string][]string
}

// Temporary reports whether the principal came with temporary credentials.
func (p *Principal) Temporary() bool { return !p.IssuedAt.IsZero() }

// A Caller is a principal making one request.
type Caller struct {
	*Principal
	// Region is the one that the signature or the token is for.
	Region string
	// Token is what the bearer token says, and nil for a signed request. Handlers
	// that accept tokens check the scope in it.
	Token *token.Claims
	// SourceIP, Secure and UserAgent describe the connection.
	SourceIP  netip.Addr
	Secure    bool
	UserAgent string
	// Time is the moment of the request, the same for every decision about it.
	Time time.Time
}

// BearerClaims returns what a bearer token for the caller says about the caller:
// everything but the token's own id, lifetime and scope.
func (c *Caller) BearerClaims() token.Claims {
	claims := token.Claims{
		Account:        c.Account,
		PrincipalID:    c.UniqueID,
		SessionName:    c.SessionName,
		SessionID:      c.SessionID,
		AccessKeyID:    c.AccessKeyID,
		SessionIssued:  c.IssuedAt,
		SessionExpires: c.ExpiresAt,
		Region:         c.Region,
	}
	if c.IssuerKeyID != "" {
		claims.AccessKeyID = c.IssuerKeyID
	}
	return claims
}

type callerKey struct{}

// WithCaller returns a context that carries c.
func WithCaller(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// IsAnonymous reports whether the caller in a context has not proven anything.
func IsAnonymous(ctx context.Context) bool {
	c := FromContext(ctx)
	return c != nil && c.Principal != nil && c.Type == Anonymous
}

// FromContext returns the caller, or nil if the request was not authenticated.
func FromContext(ctx context.Context) *Caller {
	c, _ := ctx.Value(callerKey{}).(*Caller)
	return c
}
