// Package policyexplain says why a principal may or may not do something, for
// `gatehouse policy explain`. It is a client like any other: [Ask] calls IAM's policy
// simulator (SimulatePrincipalPolicy) through the AWS SDK, with the caller's
// credentials, reads the policies that the answer names, and returns the statements
// that decided.
//
// It leaves out what the caller may not read, and says so in a note. It never decides
// anything itself, and knows nothing of the server.
package policyexplain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// A Question says who wants to do what.
type Question struct {
	// Principal is the ARN of a user, a role, a role session, a group or root; empty
	// means the caller.
	Principal string
	// Action is "service:Operation".
	Action string
	// Resource is an ARN; empty means "*".
	Resource string
	// Context are condition keys of the request.
	Context map[string][]string
	// ResourcePolicy is the document of the resource's policy. If it is empty, the
	// policies that count for the resource are read from the server, together with its
	// tags: those of a repository and of its registry or domain, or the trust policy of a
	// role.
	ResourcePolicy string
}

// An Answer is the decision with its reasons.
type Answer struct {
	Principal string `json:"principal"`
	Action    string `json:"action"`
	Resource  string `json:"resource"`
	// Decision is "allowed", "implicitDeny" or "explicitDeny".
	Decision string `json:"decision"`
	// Statements are the deciding ones: those that deny, or all that allow.
	Statements []Statement `json:"statements"`
	// Missing are the types of policies that would have to allow, but do not.
	Missing []string `json:"missing"`
	// MissingContext are condition keys that policies use and whose values are not
	// known. Set them in the question.
	MissingContext []string `json:"missingContext"`
	// Notes say what could not be read, and what in the policies is valid but
	// dangerous.
	Notes []string `json:"notes"`

	about []string // notes about the statements
}

// Allowed reports whether it is allowed.
func (a *Answer) Allowed() bool {
	return a.Decision == string(types.PolicyEvaluationDecisionTypeAllowed)
}

// A Statement is a statement that applies.
type Statement struct {
	// Policy is the name or ARN of its policy, and Type the kind of policy: "user",
	// "group", "role", "aws-managed", "user-managed" or "resource". A policy of a
	// resource is "ResourcePolicy", or that of its registry or domain, "RegistryPolicy"
	// or "DomainPolicy".
	Policy string `json:"policy"`
	Type   string `json:"type"`
	// Line is where it begins in the document.
	Line int `json:"line"`
	// Index is its place among the statements, from 0; -1 if the document could not be
	// read, and then Sid and Text are empty too.
	Index int    `json:"index"`
	Sid   string `json:"sid,omitempty"`
	Text  string `json:"text,omitempty"`
}

// Ask asks the configuration's endpoint. Errors are the SDK's.
func Ask(ctx context.Context, c aws.Config, q Question) (*Answer, error) {
	q.Resource = cmp.Or(q.Resource, "*")
	if q.Principal == "" {
		me, err := sts.NewFromConfig(c).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			return nil, fmt.Errorf("find out who the caller is: %w", err)
		}
		q.Principal = *me.Arn
	}
	a := &Answer{Principal: q.Principal, Action: q.Action, Resource: q.Resource, Statements: []Statement{}, Missing: []string{}}
	policies := []resourcePolicy{{document: q.ResourcePolicy}}
	var tags map[string][]string
	if q.ResourcePolicy == "" {
		var notes []string
		policies, tags, notes = readResource(ctx, c, q.Resource)
		a.Notes = append(a.Notes, notes...)
	}
	if len(policies) == 0 {
		policies = []resourcePolicy{{}}
	}
	for _, p := range policies {
		q.ResourcePolicy = p.document
		result, err := simulate(ctx, iam.NewFromConfig(c), q, tags)
		if err != nil {
			return nil, err
		}
		a.add(ctx, result, &documents{client: iam.NewFromConfig(c), principal: q.Principal, resourcePolicy: p})
	}
	slices.Sort(a.MissingContext)
	a.MissingContext = append([]string{}, slices.Compact(a.MissingContext)...)
	a.Notes = append(a.Notes, a.about...)
	slices.Sort(a.Notes)
	a.Notes = append([]string{}, slices.Compact(a.Notes)...)
	return a, nil
}

// strength orders the decisions with one resource policy each: together, a denial by
// one decides over all, and one that allows is enough.
var strength = map[string]int{
	string(types.PolicyEvaluationDecisionTypeImplicitDeny): 1,
	string(types.PolicyEvaluationDecisionTypeAllowed):      2,
	string(types.PolicyEvaluationDecisionTypeExplicitDeny): 3,
}

// add adds the result of a simulation with one of the resource policies.
func (a *Answer) add(ctx context.Context, result *types.EvaluationResult, documents *documents) {
	a.MissingContext = append(a.MissingContext, result.MissingContextValues...)
	decision := string(result.EvalDecision)
	if strength[decision] < strength[a.Decision] {
		return
	}
	if decision != a.Decision {
		a.Decision, a.Statements, a.Missing, a.about = decision, []Statement{}, missing(result), nil
	} else { // what is there with one of the policies is not missing
		now := missing(result)
		a.Missing = slices.DeleteFunc(a.Missing, func(name string) bool { return !slices.Contains(now, name) })
	}
	for _, s := range result.MatchedStatements {
		statement, notes := documents.statement(ctx, s)
		if !slices.Contains(a.Statements, statement) {
			a.Statements = append(a.Statements, statement)
		}
		a.about = append(a.about, notes...)
	}
}

func simulate(ctx context.Context, client *iam.Client, q Question, tags map[string][]string) (*types.EvaluationResult, error) {
	in := &iam.SimulatePrincipalPolicyInput{
		PolicySourceArn: &q.Principal, ActionNames: []string{q.Action}, ResourceArns: []string{q.Resource},
	}
	if q.ResourcePolicy != "" {
		in.ResourcePolicy = &q.ResourcePolicy
	}
	keys := maps.Clone(tags)
	if keys == nil {
		keys = map[string][]string{}
	}
	maps.Copy(keys, q.Context)
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		kind := types.ContextKeyTypeEnumString
		if len(keys[name]) > 1 {
			kind = types.ContextKeyTypeEnumStringList
		}
		in.ContextEntries = append(in.ContextEntries, types.ContextEntry{ContextKeyName: &name, ContextKeyType: kind, ContextKeyValues: keys[name]})
	}
	out, err := client.SimulatePrincipalPolicy(ctx, in)
	if err != nil {
		return nil, err
	}
	if len(out.EvaluationResults) != 1 {
		return nil, errors.New("the server's simulation has no result")
	}
	return &out.EvaluationResults[0], nil
}

// missing returns the types of policies that would have to allow. The names are those
// of EvalDecisionDetails, or Gatehouse's own if AWS has none.
func missing(r *types.EvaluationResult) []string {
	names := []string{}
	for _, name := range slices.Sorted(maps.Keys(r.EvalDecisionDetails)) {
		if r.EvalDecision == types.PolicyEvaluationDecisionTypeImplicitDeny && r.EvalDecisionDetails[name] == types.PolicyEvaluationDecisionTypeImplicitDeny {
			names = append(names, name)
		}
	}
	return names
}
