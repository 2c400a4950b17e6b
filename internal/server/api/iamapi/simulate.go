package iamapi

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/simulate"
)

func registerSimulation(s *wire.Service, a *API) {
	wire.Handle(s, a.SimulatePrincipalPolicy)
	wire.Handle(s, a.SimulateCustomPolicy)
	wire.Handle(s, a.GetContextKeysForPrincipalPolicy)
	wire.Handle(s, a.GetContextKeysForCustomPolicy)
}

// SimulatePrincipalPolicy says what would be decided with the policies of a user,
// a group or a role.
func (a *API) SimulatePrincipalPolicy(ctx context.Context, in *api.SimulatePrincipalPolicyInput) (*api.SimulatePrincipalPolicyOutput, error) {
	if len(in.PolicyExclusionList) > 0 {
		return nil, fault.New(fault.Unimplemented, "NotImplemented", "PolicyExclusionList is not supported: simulate with SimulateCustomPolicy and the policies that are left.")
	}
	simulation, err := simulationIn(in.ContextEntries, in.PermissionsBoundaryPolicyInputList)
	if err != nil {
		return nil, err
	}
	simulation.Actions, simulation.Resources, simulation.Policies = in.ActionNames, in.ResourceArns, in.PolicyInputList
	simulation.ResourcePolicy, simulation.ResourceOwner = aws.ToString(in.ResourcePolicy), aws.ToString(in.ResourceOwner)
	simulation.Caller = aws.ToString(in.CallerArn)
	results, err := a.simulate.Principal(ctx, *in.PolicySourceArn, simulation)
	if err != nil {
		return nil, err
	}
	list := pagetoken.NewScope("SimulatePrincipalPolicy", *in.PolicySourceArn)
	entries, next, err := pageOf(list, results, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.SimulatePrincipalPolicyOutput{EvaluationResults: convert(entries, principalEvaluationOut), IsTruncated: next != nil, Marker: next}, nil
}

// SimulateCustomPolicy says what would be decided with the policies of the
// request.
func (a *API) SimulateCustomPolicy(ctx context.Context, in *api.SimulateCustomPolicyInput) (*api.SimulateCustomPolicyOutput, error) {
	simulation, err := simulationIn(in.ContextEntries, in.PermissionsBoundaryPolicyInputList)
	if err != nil {
		return nil, err
	}
	simulation.Actions, simulation.Resources, simulation.Policies = in.ActionNames, in.ResourceArns, in.PolicyInputList
	simulation.ResourcePolicy, simulation.ResourceOwner = aws.ToString(in.ResourcePolicy), aws.ToString(in.ResourceOwner)
	simulation.Caller = aws.ToString(in.CallerArn)
	results, err := a.simulate.Custom(ctx, simulation)
	if err != nil {
		return nil, err
	}
	list := pagetoken.NewScope("SimulateCustomPolicy")
	entries, next, err := pageOf(list, results, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.SimulateCustomPolicyOutput{EvaluationResults: convert(entries, evaluationOut), IsTruncated: next != nil, Marker: next}, nil
}

// simulationIn reads what both simulations have and what is not one text.
func simulationIn(entries []types.ContextEntry, boundaries []string) (simulate.Simulation, error) {
	s := simulate.Simulation{Keys: map[string][]string{}}
	for _, e := range entries {
		s.Keys[aws.ToString(e.ContextKeyName)] = e.ContextKeyValues
	}
	switch len(boundaries) {
	case 0:
	case 1:
		s.Boundary = boundaries[0]
	default:
		return s, fault.New(fault.Invalid, "InvalidInput", "PermissionsBoundaryPolicyInputList has %d policies, and a principal has one permissions boundary.", len(boundaries))
	}
	return s, nil
}

// principalEvaluationOut is one result about a principal, which is of an account:
// AWS says whether the account's organization allows, even if there is none.
func principalEvaluationOut(s simulate.Result) types.EvaluationResult {
	out := evaluationOut(s)
	if out.OrganizationsDecisionDetail == nil {
		out.OrganizationsDecisionDetail = &types.OrganizationsDecisionDetail{AllowedByOrganizations: true}
	}
	return out
}

// evaluationOut is one result. What is about one resource, ResourceSpecificResults
// has as well (IAM API Reference, EvaluationResult).
func evaluationOut(s simulate.Result) types.EvaluationResult {
	out := types.EvaluationResult{
		EvalActionName: &s.Action, EvalResourceName: &s.Resource, EvalDecision: types.PolicyEvaluationDecisionType(s.Outcome.String()),
		EvalDecisionDetails: decisionDetails(s.Trace), MatchedStatements: statementsOut(s.Trace), MissingContextValues: s.MissingKeys,
		PermissionsBoundaryDecisionDetail: boundaryDetail(s.Trace),
	}
	if took, allowed := contribution(s.Trace, policy.ServiceControl); took {
		out.OrganizationsDecisionDetail = &types.OrganizationsDecisionDetail{AllowedByOrganizations: allowed}
	}
	if out.MissingContextValues == nil {
		out.MissingContextValues = []string{}
	}
	if s.Resource != "*" {
		out.ResourceSpecificResults = []types.ResourceSpecificResult{{
			EvalResourceName: out.EvalResourceName, EvalResourceDecision: out.EvalDecision,
			EvalDecisionDetails: out.EvalDecisionDetails, MatchedStatements: out.MatchedStatements, MissingContextValues: out.MissingContextValues,
			PermissionsBoundaryDecisionDetail: out.PermissionsBoundaryDecisionDetail,
		}}
	}
	return out
}

// detailNames are the types of policies in EvalDecisionDetails.
var detailNames = map[policy.Type]string{
	policy.IdentityBased:       "IAM Policy",
	policy.ResourceBased:       "Resource Policy",
	policy.RoleTrust:           "Role Trust Policy",
	policy.PermissionsBoundary: "Permissions Boundary Policy",
	policy.SessionPolicy:       "Session Policy",
	policy.ServiceControl:      "Service Control Policy",
}

// decisionDetails are what each type of policy had to say: that it denies, that
// it would have to allow and does not, or that it allows. AWS has them for
// requests across accounts alone.
func decisionDetails(t *policy.Trace) map[string]types.PolicyEvaluationDecisionType {
	details := map[string]types.PolicyEvaluationDecisionType{}
	for _, m := range t.Matches {
		name := detailNames[m.Type]
		if m.Denies {
			details[name] = types.PolicyEvaluationDecisionTypeExplicitDeny
		} else if details[name] == "" {
			details[name] = types.PolicyEvaluationDecisionTypeAllowed
		}
	}
	for _, missing := range t.Missing {
		details[detailNames[missing]] = types.PolicyEvaluationDecisionTypeImplicitDeny
	}
	return details
}

// boundaryDetail says whether the permissions boundary allows, if there is one
// that was asked.
func boundaryDetail(t *policy.Trace) *types.PermissionsBoundaryDecisionDetail {
	if took, allowed := contribution(t, policy.PermissionsBoundary); took {
		return &types.PermissionsBoundaryDecisionDetail{AllowedByPermissionsBoundary: allowed}
	}
	return nil
}

// contribution reports whether a type of policy took part in a decision, and
// whether it allowed.
func contribution(t *policy.Trace, of policy.Type) (took, allowed bool) {
	if slices.Contains(t.Missing, of) {
		return true, false
	}
	for _, m := range t.Matches {
		if m.Type == of {
			if m.Denies {
				return true, false
			}
			took, allowed = true, true
		}
	}
	return took, allowed
}

// statementsOut are the statements that determine the decision: if one denies,
// those that deny.
func statementsOut(t *policy.Trace) []types.Statement {
	out := []types.Statement{}
	for _, m := range t.Matches {
		if !m.Denies && t.Outcome == policy.ExplicitDeny {
			continue
		}
		start, end := m.Policy.StatementPosition(m.Statement)
		id, kind := sourceOut(m)
		out = append(out, types.Statement{
			SourcePolicyId: &id, SourcePolicyType: kind,
			StartPosition: &types.Position{Line: int32(start.Line), Column: int32(start.Column)},
			EndPosition:   &types.Position{Line: int32(end.Line), Column: int32(end.Column)},
		})
	}
	return out
}

// identityPolicy is the type that AWS gives every identity-based policy of a
// principal, although its model has a word for each kind of holder.
const identityPolicy types.PolicySourceType = "IAM Policy"

// sourceOut names a policy: a managed one by its ARN, which says which of the
// accounts and paths it is in, and others by their name.
func sourceOut(m policy.Match) (id string, kind types.PolicySourceType) {
	source := m.Policy.Source()
	switch {
	case m.Type == policy.ResourceBased || m.Type == policy.RoleTrust:
		return source.Name, types.PolicySourceTypeResource
	case source.ARN != "":
		return source.ARN, identityPolicy
	case source.Attachment != "":
		return source.Name, identityPolicy
	}
	return source.Name, types.PolicySourceTypeNone
}

// GetContextKeysForPrincipalPolicy lists the condition keys that policies use.
func (a *API) GetContextKeysForPrincipalPolicy(ctx context.Context, in *api.GetContextKeysForPrincipalPolicyInput) (*api.GetContextKeysForPrincipalPolicyOutput, error) {
	keys, err := a.simulate.ContextKeysForPrincipal(ctx, *in.PolicySourceArn, in.PolicyInputList)
	if err != nil {
		return nil, err
	}
	return &api.GetContextKeysForPrincipalPolicyOutput{ContextKeyNames: convert(keys, identity)}, nil
}

// GetContextKeysForCustomPolicy lists the condition keys that documents use.
func (a *API) GetContextKeysForCustomPolicy(ctx context.Context, in *api.GetContextKeysForCustomPolicyInput) (*api.GetContextKeysForCustomPolicyOutput, error) {
	keys, err := a.simulate.ContextKeysForCustom(ctx, in.PolicyInputList)
	if err != nil {
		return nil, err
	}
	return &api.GetContextKeysForCustomPolicyOutput{ContextKeyNames: convert(keys, identity)}, nil
}

func identity(s string) string { return s }
