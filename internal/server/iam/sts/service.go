// Package sts has the rules of AWS STS: who gets a session, what it may do, and
// how long it lasts. A [Service] has one method for each operation; it authorizes
// the caller in the context, as every domain method does.
//
// A session has no row of its own unless it has more than fits into its token
// (session policies, tags, a source identity, a web identity); then package iam
// keeps an [iam.SessionRecord], which [authn] reads back. Access key id, secret
// and session token come from the keyring.
//
// The rules come from the STS API Reference and the IAM User Guide. The code names
// the section if a rule has one.
package sts

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/internal"
)

// A Service has the operations of STS. It is safe for use by many goroutines.
type Service struct{ core iam.Core }

// New returns the operations over the identities of s.
func New(s *iam.Service) *Service { return &Service{s.Core(internal.CoreKey{})} }

// caller returns who calls an operation of STS.
func caller(ctx context.Context) (*authn.Caller, error) {
	c := authn.FromContext(ctx)
	if c == nil || c.Type == authn.Anonymous {
		return nil, errAnonymous()
	}
	return c, nil
}

func errAnonymous() error {
	return fault.New(fault.Unauthenticated, "MissingAuthenticationToken", "Request is missing Authentication Token")
}

func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, "ValidationError", format, args...)
}
