package policy

// An Outcome is the answer to a request.
type Outcome uint8

// The outcomes. The zero value denies.
const (
	ImplicitDeny Outcome = iota // nothing allows it
	ExplicitDeny                // a statement denies it
	Allowed
)

// A Type is the role that a policy plays in a decision; the IAM User Guide calls
// it the policy type ("Policies and permissions", "Policy types").
type Type uint8

// The policy types.
const (
	IdentityBased Type = iota
	ResourceBased
	RoleTrust
	PermissionsBoundary
	SessionPolicy
	ServiceControl // the account-wide guardrail
)

// A Decision is an outcome and what brought it about.
type Decision struct {
	Outcome Outcome
	// Type is the type of the policy that allowed or denied; for an implicit
	// deny, the type that has no policy which allows the request.
	Type Type
	// Policy is the one that decided. It is nil for an implicit deny, and where
	// root is allowed because it is root.
	Policy *Policy
	// Statement is the index of the statement in Policy that decided.
	Statement int
}

// Allowed reports whether the request may go on.
func (d Decision) Allowed() bool { return d.Outcome == Allowed }
