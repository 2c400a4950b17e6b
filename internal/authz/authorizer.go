package authz

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/authn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/iam/policy"
)

// An Authorizer decides for the domain. Its zero value works.
type Authorizer struct {
	// Observe is called with every decision, before Authorize returns: metrics
	// and audit. Optional.
	Observe func(context.Context, *Request, policy.Decision)
}

// Authorize reports whether the caller in ctx may do what req says: nil, or a
// fault of kind Denied and code "AccessDenied". Nobody in ctx is denied.
func (a *Authorizer) Authorize(ctx context.Context, req *Request) error {
	if authn.FromContext(ctx) == nil {
		return fault.New(fault.Denied, "AccessDenied", "nobody is authenticated")
	}
	return fault.New(fault.Denied, "AccessDenied", "not authorized to perform: %s", req.Action)
}
