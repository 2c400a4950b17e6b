package policy_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

// TestTrace_SameDecision over generated policies and requests.
func TestTrace_SameDecision(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawPolicies(t)
		in := r.compile(t)
		in.Resource = rapid.SampledFrom(worldResources).Draw(t, "resource")
		in.ResourceAccount = rapid.SampledFrom([]string{"", ours, theirs}).Draw(t, "owner")
		in.Context = drawKeys(t)
		for _, in.Principal = range worldPrincipals {
			for _, in.Action = range worldActions {
				checkTrace(t, in, policy.Explain(in))
			}
		}
	})
}

func checkTrace(t *rapid.T, in *policy.Input, trace *policy.Trace) {
	if want := policy.Evaluate(in); trace.Decision != want {
		t.Fatalf("the trace says %v, the evaluator %v", trace.Decision, want)
	}
	denies := slices.ContainsFunc(trace.Matches, func(m policy.Match) bool { return m.Denies })
	if denies != (trace.Outcome == policy.ExplicitDeny) {
		t.Fatalf("%v, and a Deny among the matches: %v", trace.Outcome, denies)
	}
	if (len(trace.Missing) > 0) != (trace.Outcome == policy.ImplicitDeny) {
		t.Fatalf("%v, and missing: %v", trace.Outcome, trace.Missing)
	}
	if len(trace.Missing) > 0 && trace.Missing[0] != trace.Type {
		t.Fatalf("%v decided, and missing first is %v", trace.Type, trace.Missing)
	}
	if trace.Policy == nil {
		return
	}
	decided := policy.Match{Type: trace.Type, Policy: trace.Policy, Statement: trace.Statement, Denies: !trace.Allowed()}
	if !slices.Contains(trace.Matches, decided) {
		t.Fatalf("what decided is not among the matches: %+v", trace)
	}
}

func TestTrace_MissingTypes(t *testing.T) {
	other := parse(t, statement(`"Effect":"Allow","Action":"iam:GetUser","Resource":"*"`), policy.Identity)
	all := parse(t, statement(allowAll), policy.Identity)
	trust := parse(t, statement(`"Effect":"Allow","Principal":{"AWS":"000000000003"},"Action":"sts:AssumeRole"`), policy.Trust)
	for name, c := range map[string]struct {
		in   policy.Input
		want []policy.Type
	}{
		"an identity's permission": {policy.Input{Principal: alice}, []policy.Type{policy.IdentityBased}},
		"everything": {
			policy.Input{Principal: session, ResourceAccount: theirs, Guardrail: other, Boundary: other, Session: []*policy.Policy{}},
			[]policy.Type{policy.ServiceControl, policy.ResourceBased, policy.IdentityBased, policy.PermissionsBoundary, policy.SessionPolicy},
		},
		"the other account's":  {policy.Input{Principal: alice, ResourceAccount: theirs, Identity: []*policy.Policy{all}}, []policy.Type{policy.ResourceBased}},
		"a role's trust":       {policy.Input{Principal: alice, Identity: []*policy.Policy{all}, Resources: []*policy.Policy{trust}}, []policy.Type{policy.RoleTrust}},
		"a provider's trust":   {policy.Input{Principal: webIdentity, Resources: []*policy.Policy{trust}}, []policy.Type{policy.RoleTrust}},
		"a boundary":           {policy.Input{Principal: alice, Identity: []*policy.Policy{all}, Boundary: other}, []policy.Type{policy.PermissionsBoundary}},
		"anything for nobody":  {policy.Input{}, []policy.Type{policy.ResourceBased}},
		"nothing where denied": {policy.Input{Principal: alice, Identity: []*policy.Policy{parse(t, deniesPut, policy.Identity)}}, nil},
	} {
		c.in.Action, c.in.Resource = "ecr:PutImage", aRepository+"a"
		if got := policy.Explain(&c.in).Missing; !slices.Equal(got, c.want) {
			t.Errorf("%s: missing %v, want %v", name, got, c.want)
		}
	}
}

func TestTrace_StatementsAndMissingKeys(t *testing.T) {
	p := parse(t, `{"Version":"2012-10-17","Statement":[{`+allowAll+`},
		{"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}},
		{"Effect":"Allow","Action":"ecr:PutImage","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"${aws:username}"}}}]}`, policy.Identity)
	in := &policy.Input{
		Principal: alice, Action: "ecr:PutImage", Resource: "*", Identity: []*policy.Policy{p},
		Context: keys{"aws:username": {"alice"}, "aws:principaltag/team": {"alice"}},
	}
	trace := policy.Explain(in)
	if len(trace.Matches) != 2 || trace.Matches[0].Statement != 0 || trace.Matches[1].Statement != 2 {
		t.Errorf("matches %+v, want statements 0 and 2", trace.Matches)
	}
	if !slices.Equal(trace.MissingKeys, []string{"aws:sourceip"}) {
		t.Errorf("missing keys %v", trace.MissingKeys)
	}
}

func TestPolicy_StatementPosition(t *testing.T) {
	const first, second = `{"Sid":"Ä","Effect":"Allow","Principal":"*","Action":"*"}`, "{\n\t\"Effect\": \"Deny\",\n\t\"Principal\": \"*\",\n\t\"Action\": \"*\"\n}"
	document := "{\n\"Id\": \"ü\", \"Statement\": [" + first + ", " + second + "]}"
	p := parse(t, document, policy.Resource)
	if p.Statements() != 2 || p.StatementText(0) != first || p.StatementText(1) != second {
		t.Errorf("%d statements: %q, %q", p.Statements(), p.StatementText(0), p.StatementText(1))
	}
	for i, want := range [][2]policy.Position{{{2, 27}, {2, 83}}, {{2, 86}, {6, 2}}} {
		if start, end := p.StatementPosition(i); start != want[0] || end != want[1] {
			t.Errorf("statement %d stands at %v to %v, want %v", i, start, end, want)
		}
	}
	alone := parse(t, ` { "Statement" :  `+first+` } `, policy.Resource)
	if alone.StatementText(0) != first || alone.StatementText(1) != "" {
		t.Errorf("a statement without brackets: %q", alone.StatementText(0))
	}
	unreadable := policy.Unreadable("", policy.Identity)
	if start, end := unreadable.StatementPosition(0); start != (policy.Position{}) || end != start || unreadable.StatementText(0) != "" {
		t.Error("a document that cannot be read has positions")
	}
}
