package authz

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
)

// An Authorizer decides whether the caller in a context may do something. The
// domain packages take this interface; [PolicyAuthorizer] is the server's own.
type Authorizer interface {
	// Authorize returns nil, a fault of kind Denied and code "AccessDenied", or a
	// fault of kind Unavailable if the server cannot do now what is allowed.
	Authorize(ctx context.Context, req *Request) error
}

// Principals ties a resource policy to the users and roles that it names, so
// that a new user or role does not inherit what a deleted one of the same name
// was given. It is *iam.Service.
type Principals interface {
	// BindPrincipals replaces the ARNs of users and roles by their unique ids.
	// Fault: MalformedPolicyDocument if one of them does not exist.
	BindPrincipals(document string) (string, error)
	// ShowPrincipals is the inverse for those that still exist.
	ShowPrincipals(document string) string
}

// A PolicyAuthorizer decides from the policies of the caller and of the resource.
// Its zero value is ready for use.
type PolicyAuthorizer struct {
	// Observe is called with every decision, before Authorize returns: metrics
	// and audit. Optional. It must not keep the request.
	Observe func(context.Context, *Request, policy.Decision)
	// Refuse is asked about every action that is allowed, and returns a fault if the
	// server cannot do it now: a change whose audit record could not be written.
	// Optional.
	Refuse func(action string) error
}

// Authorize reports whether the caller in ctx may do what req says: nil, or a
// fault of kind Denied and code "AccessDenied" with AWS's wording, whose cause is a
// [*Denial]. A context without a caller is denied.
func (a *PolicyAuthorizer) Authorize(ctx context.Context, req *Request) error {
	caller := authn.FromContext(ctx)
	decision := Decide(caller, req)
	if a.Observe != nil {
		a.Observe(ctx, req, decision)
	}
	if decision.Allowed() {
		if a.Refuse != nil {
			return a.Refuse(req.Action)
		}
		return nil
	}
	return fault.Wrap(&Denial{caller, *req, decision}, fault.Denied, "AccessDenied", "User: %s is not authorized to perform: %s on resource: %s %s",
		name(caller), req.Action, req.Resource, decision.Because(req.Action))
}

// Decide is the decision alone, without an observer. A nil caller is anonymous, and
// denied. See [Simulation.Explain] for what a caller would be allowed, and why.
func Decide(caller *authn.Caller, req *Request) policy.Decision {
	if caller == nil || caller.Principal == nil {
		return policy.Decision{}
	}
	return policy.Evaluate(input(caller.Principal, req, &conditionKeys{caller: caller, req: req}))
}

// input is everything that a decision depends on.
func input(p *authn.Principal, req *Request, keys policy.Context) *policy.Input {
	provider := ""
	if p.Federation != nil {
		provider = p.Federation.Provider
	}
	in := &policy.Input{
		Principal: policy.Principal{
			Type:     principalType(p.Type),
			Account:  p.Account,
			ARN:      p.ARN,
			RoleARN:  p.PrincipalARN,
			UniqueID: p.UniqueID,
			Provider: provider,
		},
		Action:          req.Action,
		Resource:        req.Resource,
		ResourceAccount: req.Account,
		Context:         keys,
		Identity:        p.Policies,
		Boundary:        p.Boundary,
		Guardrail:       p.Guardrail,
		Session:         p.SessionPolicies,
		Resources:       req.Policies,
	}
	if req.PerVersion {
		in.Deferred = isVersionKey
	}
	return in
}

// principalType translates; an unknown type is anonymous.
func principalType(t authn.PrincipalType) policy.PrincipalType {
	switch t {
	case authn.Root:
		return policy.RootUser
	case authn.User:
		return policy.User
	case authn.AssumedRole:
		return policy.RoleSession
	case authn.FederatedUser:
		return policy.FederatedUser
	case authn.WebIdentity:
		return policy.WebIdentity
	}
	return policy.Anonymous
}

// name is how a message calls the caller.
func name(caller *authn.Caller) string {
	if caller == nil || caller.Principal == nil {
		return "anonymous"
	}
	return caller.ARN
}
