package authn

import (
	"context"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

// A Directory is what package iam knows at this moment. It answers from memory.
type Directory interface {
	// Ready reports whether what it knows is what holds: nil, or a fault
	// ServiceUnavailable if something may have been taken away that this server
	// has not heard of. It is asked before everything else about a request.
	Ready() error
	// KeyOwner returns whose a long-term access key is: the user's unique id, or
	// the account's id for a key of root. It is false unless the key exists and
	// is active.
	KeyOwner(accessKeyID string) (account, uniqueID string, ok bool)
	// Secret returns the secret of a long-term access key that exists.
	Secret(accessKeyID string) (secret string, ok bool)
	// Identity returns the user (AIDA…), the role (AROA…) or, with the account's
	// own id, the root of the account, as it is by itself, without a session.
	// It is shared: copy it before setting a field. It is nil if there is no
	// such identity in the account (any more).
	Identity(account, uniqueID string) *Principal
	// Session returns the record of a session. It reads the database once for
	// each session and replica, and needs no lock after. The error is a fault
	// InvalidToken if there is no such record.
	Session(ctx context.Context, id string) (*Session, error)
	// Used notes that a long-term access key was used, for GetAccessKeyLastUsed, or a
	// session of the role or user with the unique id. IAM's reports and GetRole show it.
	Used(id string, at time.Time, service, region string)
}

// A Session is what a session has beyond its token. It is immutable.
type Session struct {
	// Policies limit the session: see [Principal.SessionPolicies].
	Policies []*policy.Policy
	// Tags are the session's own; they override the identity's.
	Tags map[string]string
	// TransitiveTagKeys are the tags that a role which is assumed next inherits.
	TransitiveTagKeys []string
	// SourceIdentity stays for every role that is assumed from here.
	SourceIdentity string
	// Federation is the web identity that began the session; nil for others.
	Federation *Federation
}
