package policy

// An Outcome is the answer to a request.
type Outcome uint8

// The outcomes. The zero value denies.
const (
	ImplicitDeny Outcome = iota // nothing allows it
	ExplicitDeny                // a statement denies it
	Allowed
)

// String is the value that IAM's policy simulator gives as its evaluation
// decision.
func (o Outcome) String() string {
	switch o {
	case Allowed:
		return "allowed"
	case ExplicitDeny:
		return "explicitDeny"
	}
	return "implicitDeny"
}

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

// String is AWS's name of the type, as its messages use it.
func (t Type) String() string {
	return [...]string{
		IdentityBased:       "identity-based policy",
		ResourceBased:       "resource-based policy",
		RoleTrust:           "role trust policy",
		PermissionsBoundary: "permissions boundary",
		SessionPolicy:       "session policy",
		ServiceControl:      "service control policy",
	}[t]
}

// article goes before the name of a type.
func (t Type) article() string {
	switch t {
	case IdentityBased:
		return "an"
	case RoleTrust: // a role has one
		return "the"
	}
	return "a"
}

// A Decision is an outcome and what brought it about.
type Decision struct {
	Outcome Outcome
	// Type is the type of the policy that allowed or denied; for an implicit
	// deny, the type that has no policy which allows the request.
	Type Type
	// Policy is the one that decided. It is nil for an implicit deny, and if
	// root is allowed because it is root.
	Policy *Policy
	// Statement is the index of the statement in Policy that decided.
	Statement int
}

// Allowed reports whether the request may go on.
func (d Decision) Allowed() bool { return d.Outcome == Allowed }

// Because says why the action is denied, in the words that end AWS's message
// (IAM User Guide, "Troubleshoot access denied error messages"). It is empty for
// what is allowed.
func (d Decision) Because(action string) string {
	switch d.Outcome {
	case Allowed:
		return ""
	case ExplicitDeny:
		return "with an explicit deny in " + d.Type.article() + " " + d.Type.String()
	}
	return "because no " + d.Type.String() + " allows the " + action + " action"
}
