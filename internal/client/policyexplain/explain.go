// Package policyexplain answers why somebody may or may not do something. It is a
// client like any other: it asks IAM's policy simulator (SimulatePrincipalPolicy)
// through the AWS SDK, with the credentials of whoever asks, reads the policies
// that the answer names, and shows the statements that decided.
//
// What it may not read, it leaves out and says so. It never decides itself.
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

// A Question is what somebody wants to do.
type Question struct {
	// Principal is the ARN of a user, a role, a session of a role, a group or
	// root; empty is who asks.
	Principal string
	// Action is "service:Operation".
	Action string
	// Resource is an ARN; empty is "*".
	Resource string
	// Context are condition keys of the request.
	Context map[string][]string
	// ResourcePolicy is the document of the resource's policy. Where it is empty
	// the policy is read: that of a repository or a domain, or a role's trust
	// policy; and so are the resource's tags.
	ResourcePolicy string
}

// An Answer is what is decided, and why.
type Answer struct {
	Principal string `json:"principal"`
	Action    string `json:"action"`
	Resource  string `json:"resource"`
	// Decision is "allowed", "implicitDeny" or "explicitDeny".
	Decision string `json:"decision"`
	// Statements are those that decide: that deny, or all that allow.
	Statements []Statement `json:"statements"`
	// Missing are the types of policies that would each have to allow, and do not.
	Missing []string `json:"missing"`
	// MissingContext are condition keys that policies look at and that are not
	// known: give them in the question.
	MissingContext []string `json:"missingContext"`
	// Notes are what could not be read, and what is legal but dangerous in the
	// policies that were.
	Notes []string `json:"notes"`
}

// Allowed reports whether it is allowed.
func (a *Answer) Allowed() bool {
	return a.Decision == string(types.PolicyEvaluationDecisionTypeAllowed)
}

// A Statement is one that applies.
type Statement struct {
	// Policy is its policy's name or ARN, and Type whose policy it is: "user",
	// "group", "role", "aws-managed", "user-managed" or "resource".
	Policy string `json:"policy"`
	Type   string `json:"type"`
	// Line is where it begins in the document.
	Line int `json:"line"`
	// Index is its place among the statements, from 0, or -1 where the document
	// could not be read; then Sid and Text are empty as well.
	Index int    `json:"index"`
	Sid   string `json:"sid,omitempty"`
	Text  string `json:"text,omitempty"`
}

// Ask asks the server of the configuration. An error is the
// server's.
func Ask(ctx context.Context, c aws.Config, q Question) (*Answer, error) {
	q.Resource = cmp.Or(q.Resource, "*")
	if q.Principal == "" {
		me, err := sts.NewFromConfig(c).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			return nil, fmt.Errorf("who asks: %w", err)
		}
		q.Principal = *me.Arn
	}
	a := &Answer{Principal: q.Principal, Action: q.Action, Resource: q.Resource, Statements: []Statement{}, Missing: []string{}}
	var tags map[string][]string
	if q.ResourcePolicy == "" {
		var notes []string
		q.ResourcePolicy, tags, notes = readResource(ctx, c, q.Resource)
		a.Notes = append(a.Notes, notes...)
	}
	result, err := simulate(ctx, iam.NewFromConfig(c), q, tags)
	if err != nil {
		return nil, err
	}
	a.Decision = string(result.EvalDecision)
	a.MissingContext = append([]string{}, result.MissingContextValues...)
	a.Missing = missing(result)
	documents := &documents{client: iam.NewFromConfig(c), principal: q.Principal, resourcePolicy: q.ResourcePolicy}
	for _, s := range result.MatchedStatements {
		statement, notes := documents.statement(ctx, s)
		a.Statements = append(a.Statements, statement)
		a.Notes = append(a.Notes, notes...)
	}
	slices.Sort(a.Notes)
	a.Notes = append([]string{}, slices.Compact(a.Notes)...)
	return a, nil
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

// missing names the types of policies that would have to allow. The names are
// those of EvalDecisionDetails, and Gatehouse's where AWS has none.
func missing(r *types.EvaluationResult) []string {
	names := []string{}
	for _, name := range slices.Sorted(maps.Keys(r.EvalDecisionDetails)) {
		if r.EvalDecision == types.PolicyEvaluationDecisionTypeImplicitDeny && r.EvalDecisionDetails[name] == types.PolicyEvaluationDecisionTypeImplicitDeny {
			names = append(names, name)
		}
	}
	return names
}
