// Package simulate answers IAM's policy simulator: what would be decided about
// requests that no one makes, and why. The decision itself is [authz.Simulation]'s;
// this package finds the principal and reads the documents of the simulation.
package simulate

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/internal"
)

// A Service runs simulations. It is safe for use by many goroutines.
type Service struct{ core iam.Core }

// New returns the simulations over the identities of s.
func New(s *iam.Service) *Service { return &Service{s.Core(internal.CoreKey{})} }

// A Simulation asks what would be decided about requests that no one makes: every
// action on every resource (IAM User Guide, "Testing IAM policies with the IAM
// policy simulator").
type Simulation struct {
	Actions []string
	// Resources are ARNs or "*", which is also what none is.
	Resources []string
	// Keys are the condition keys of the requests.
	Keys map[string][]string
	// Policies are documents of identity-based policies, beside those that the
	// principal has.
	Policies []string
	// Boundary is a document that takes the place of the principal's permissions
	// boundary. Empty leaves that one.
	Boundary string
	// ResourcePolicy is the document of the resources' policy; for a role, of its
	// trust policy.
	ResourcePolicy string
	// ResourceOwner is the account of resources whose ARN has none, or the ARN of
	// its root.
	ResourceOwner string
	// Caller is the ARN of who makes the requests, with the policies of the
	// principal. Empty is the principal.
	Caller string
}

// A Result is what would be decided, and why.
type Result struct {
	Action, Resource string
	*policy.Trace
}

// The names under which [policy.Source] names the documents of a simulation.
const (
	SourceInput          = "PolicyInputList."
	SourceBoundaryInput  = "PermissionsBoundaryPolicyInputList.1"
	SourceResourcePolicy = "ResourcePolicy"
)

// maxResult is the number of requests that one simulation can have.
const maxResult = 1000

// Principal simulates with the policies of a user, a group or a role of
// the caller's account. Unlike AWS it takes a role's session for the role (what
// session policies it has, no one can know), and root. Faults: InvalidInput,
// NoSuchEntity.
func (s *Service) Principal(ctx context.Context, principalARN string, in Simulation) ([]Result, error) {
	p, err := s.simulatedPrincipal(ctx, "iam:SimulatePrincipalPolicy", principalARN)
	if err != nil {
		return nil, err
	}
	return s.simulate(p, in)
}

// Custom simulates with the policies of in alone. Faults: InvalidInput.
func (s *Service) Custom(ctx context.Context, in Simulation) ([]Result, error) {
	c, err := s.core.Caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.core.Authorize(ctx, &authz.Request{Action: "iam:SimulateCustomPolicy", Resource: "*"}); err != nil {
		return nil, err
	}
	return s.simulate(&authn.Principal{Type: authn.User, Account: c.Account}, in)
}

// ContextKeysForPrincipal returns the condition keys that the policies of a
// principal and the documents look at, in order. Faults: InvalidInput,
// NoSuchEntity.
func (s *Service) ContextKeysForPrincipal(ctx context.Context, principalARN string, documents []string) ([]string, error) {
	p, err := s.simulatedPrincipal(ctx, "iam:GetContextKeysForPrincipalPolicy", principalARN)
	if err != nil {
		return nil, err
	}
	return contextKeys(p.Policies, documents)
}

// ContextKeysForCustom returns the condition keys that the documents look at, in
// order. Faults: InvalidInput.
func (s *Service) ContextKeysForCustom(ctx context.Context, documents []string) ([]string, error) {
	if err := s.core.Authorize(ctx, &authz.Request{Action: "iam:GetContextKeysForCustomPolicy", Resource: "*"}); err != nil {
		return nil, err
	}
	return contextKeys(nil, documents)
}

func contextKeys(policies []*policy.Policy, documents []string) ([]string, error) {
	parsed, err := inputs(documents)
	if err != nil {
		return nil, err
	}
	keys := map[string]struct{}{}
	for _, p := range append(slices.Clip(policies), parsed...) {
		for _, k := range p.ContextKeys() {
			keys[k] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(keys)), nil
}

// simulatedPrincipal authorizes an action on a principal of the caller's account
// and returns it.
func (s *Service) simulatedPrincipal(ctx context.Context, action, principalARN string) (*authn.Principal, error) {
	c, err := s.core.Caller(ctx)
	if err != nil {
		return nil, err
	}
	sn := s.core.Snapshot()
	p, found := sn.Principal(principalARN)
	req := &authz.Request{Action: action, Resource: principalARN}
	if found {
		req.Resource, req.ResourceTags = p.PrincipalARN, p.Tags
	}
	if err := s.core.Authorize(ctx, req); err != nil {
		return nil, err
	}
	switch {
	case p == nil:
		return nil, invalidInput("Invalid Entity Arn: %s does not clearly define entity type and name.", principalARN)
	case !found || p.Account != c.Account:
		return nil, fault.New(fault.NotFound, "NoSuchEntity", "%s does not exist in account %s.", principalARN, c.Account)
	}
	return p, nil
}

// as returns the principal who makes the simulated requests: p, or who has the
// ARN, with the policies of p.
func as(sn *iam.Snapshot, p *authn.Principal, callerARN string) (*authn.Principal, error) {
	if callerARN == "" {
		return p, nil
	}
	who, _ := sn.Principal(callerARN)
	if who == nil || who.ARN == "" {
		return nil, invalidInput("Invalid CallerArn: %s is not the ARN of a user, a role or a session.", callerARN)
	}
	who.Policies, who.Boundary, who.Guardrail = p.Policies, p.Boundary, p.Guardrail
	return who, nil
}

func (s *Service) simulate(p *authn.Principal, in Simulation) ([]Result, error) {
	who, err := as(s.core.Snapshot(), p, in.Caller)
	if err != nil {
		return nil, err
	}
	if in.ResourcePolicy != "" && who.ARN == "" {
		return nil, invalidInput("CallerArn is required if there is a ResourcePolicy but no user or role. It says who makes the request.")
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	who = new(*who)
	more, err := inputs(in.Policies)
	if err != nil {
		return nil, err
	}
	who.Policies = append(slices.Clip(who.Policies), more...)
	if in.Boundary != "" {
		if who.Boundary, err = input(in.Boundary, policy.Identity, SourceBoundaryInput); err != nil {
			return nil, err
		}
	}
	keys := make(map[string][]string, len(in.Keys))
	for name, values := range in.Keys {
		keys[strings.ToLower(name)] = values
	}
	var out []Result
	for _, action := range in.Actions {
		for _, resource := range in.Resources {
			req, err := in.request(action, resource)
			if err != nil {
				return nil, err
			}
			simulation := authz.Simulation{Principal: who, Request: req, Keys: keys}
			out = append(out, Result{action, resource, simulation.Explain()})
		}
	}
	return out, nil
}

var actionPattern = lazyregexp.New(`^[a-zA-Z0-9-]+:[a-zA-Z0-9]+$`)

// check checks the form, and puts "*" if there is no resource.
func (in *Simulation) check() error {
	if len(in.Resources) == 0 {
		in.Resources = []string{"*"}
	}
	if n := len(in.Actions) * len(in.Resources); n > maxResult {
		return invalidInput("The simulation has %d actions on resources, and at most %d are accepted.", n, maxResult)
	}
	for _, a := range in.Actions {
		if !actionPattern.MatchString(a) {
			return invalidInput("Invalid action: %s is not of the form service:Operation.", a)
		}
	}
	for _, r := range in.Resources {
		if _, err := arn.Parse(r); r != "*" && err != nil {
			return invalidInput("Invalid resource: %s is neither an ARN nor *.", r)
		}
	}
	if a, err := arn.Parse(in.ResourceOwner); err == nil {
		in.ResourceOwner = a.AccountID
	}
	if in.ResourceOwner != "" && !arn.IsAccountID(in.ResourceOwner) {
		return invalidInput("Invalid ResourceOwner: want an account of twelve digits, or the ARN of its root.")
	}
	return nil
}

// request is one of the requests of a simulation.
func (in *Simulation) request(action, resource string) (authz.Request, error) {
	req := authz.Request{Action: action, Resource: resource, Account: in.ResourceOwner}
	kind := policy.Resource
	if a, err := arn.Parse(resource); err == nil {
		if arn.IsAccountID(a.AccountID) {
			req.Account = a.AccountID
		}
		if a.Service == "iam" && strings.HasPrefix(a.Resource, "role/") {
			kind = policy.Trust
		}
	}
	if in.ResourcePolicy == "" {
		return req, nil
	}
	p, err := input(in.ResourcePolicy, kind, SourceResourcePolicy)
	req.Policies = []*policy.Policy{p}
	return req, err
}

// inputs are documents that a simulation brings.
func inputs(documents []string) ([]*policy.Policy, error) {
	policies := make([]*policy.Policy, len(documents))
	for i, d := range documents {
		var err error
		if policies[i], err = input(d, policy.Identity, SourceInput+strconv.Itoa(i+1)); err != nil {
			return nil, err
		}
	}
	return policies, nil
}

func input(document string, kind policy.Kind, name string) (*policy.Policy, error) {
	p, err := policy.Parse(document, kind)
	if err != nil {
		return nil, invalidInput("%s is not valid: %s", name, err)
	}
	return p.WithSource(policy.Source{Name: name}), nil
}

func invalidInput(format string, args ...any) error {
	return fault.New(fault.Invalid, "InvalidInput", format, args...)
}
