package token

import "time"

// A Purpose is what a token opens. A token of one purpose opens nothing else:
// each has a subkey of its own, and the purpose is authenticated with it.
type Purpose uint8

// The purposes. Their numbers are part of the format.
const (
	// Session is the session token of temporary AWS credentials.
	Session Purpose = 1
	// CodeArtifact opens the package endpoints of one domain.
	CodeArtifact Purpose = 2
	// ECR opens every registry that its principal may reach.
	ECR Purpose = 3
)

// Claims is what a token says: who obtained it, how, and for how long. What its
// bearer may do is not in it; that is decided at each request.
type Claims struct {
	// ID identifies the token in logs and revocations: for a session its access
	// key id ASIA…, for a bearer token one that begins with ABIA.
	ID string
	// Account is the principal's account: 12 digits.
	Account string
	// PrincipalID is the unique id of the user (AIDA…) or role (AROA…), or the
	// account's id for root.
	PrincipalID string
	// SessionName is a role session's or a federated user's name.
	SessionName string
	// SessionID names the stored record of session policies, tags and source
	// identity; empty where the session has none of them.
	SessionID string
	// AccessKeyID is the key that signed the call which issued this token. When
	// it is taken away or deactivated, the token is closed too.
	AccessKeyID string
	// SessionIssued and SessionExpires are those of the temporary credentials
	// that signed the call which issued a bearer token; zero otherwise.
	SessionIssued, SessionExpires time.Time
	// Issued and Expires bound the token itself, to the second.
	Issued, Expires time.Time
	// Region is the one that the token is good for.
	Region string
	// Domain and DomainOwner scope a CodeArtifact token.
	Domain, DomainOwner string
}
