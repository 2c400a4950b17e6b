package policy

// A PrincipalType says what kind of principal makes a request.
type PrincipalType uint8

// The types of principals. The zero value is anonymous.
const (
	Anonymous PrincipalType = iota
	RootUser
	User
	RoleSession
	FederatedUser
	// WebIdentity is who calls AssumeRoleWithWebIdentity: a subject of an OIDC
	// provider, and of no account.
	WebIdentity
	// Service is an AWS service's principal.
	Service
)

// A Principal is who asks.
type Principal struct {
	Type PrincipalType
	// Account is the principal's: 12 digits. Empty for Anonymous, WebIdentity
	// and Service.
	Account string
	// ARN is what GetCallerIdentity answers; of a role session the session's.
	ARN string
	// RoleARN is the ARN of the role, for a role session.
	RoleARN string
	// UniqueID is the user's or role's: AIDA… or AROA….
	UniqueID string
	// Provider is the ARN of a web identity's provider, or a service's name.
	Provider string
}

// account is the account whose policies decide for the principal, and empty for
// who has none, whatever it claims.
func (p *Principal) account() string {
	switch p.Type {
	case RootUser, User, RoleSession, FederatedUser:
		return p.Account
	}
	return ""
}

// A Context gives the condition keys of a request.
type Context interface {
	// Lookup returns the values of a key, and false if the request has no
	// such key. The key comes in lower case. The slice is read at once and not
	// kept, so that an implementation may use it again.
	Lookup(key string) (values []string, ok bool)
}

// An Input is everything that a decision depends on.
type Input struct {
	Principal Principal
	// Action is "service:Operation".
	Action string
	// Resource is an ARN, or "*" for an action without resource.
	Resource string
	// ResourceAccount owns the resource; empty means the principal's account.
	ResourceAccount string
	// Context may be nil: a request without keys.
	Context Context
	// Deferred reports whether a key, in lower case, is tested later: see
	// [DeferredDenies]. nil means that none is.
	Deferred func(key string) bool

	// Identity holds the identity-based policies.
	Identity []*Policy
	// Boundary is the permissions boundary, nil if there is none.
	Boundary *Policy
	// Session holds the session policies: nil if the session has none, and an
	// empty slice, which is not nil, allows nothing.
	Session []*Policy
	// Guardrail is the account-wide policy that limits all of the principal's
	// account, as a service control policy does. nil if there is none.
	Guardrail *Policy
	// Resources holds the resource-based policies, among them a role's trust
	// policy.
	Resources []*Policy
}
