package policy_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

// Deferring keys changes when a Deny is decided, and not whether: what Evaluate leaves out
// and the rules deny together is what Evaluate denies with all keys. An Allow that looks
// at a deferred key allows nothing.
func TestDeferredDenies_Property(t *testing.T) {
	deferred := func(key string) bool {
		return slices.Contains([]string{"aws:username", "sts:durationseconds", "aws:securetransport"}, key)
	}
	rapid.Check(t, func(t *rapid.T) {
		r := drawPolicies(t)
		in := r.compile(t)
		for range situations {
			in.Resource = rapid.SampledFrom(worldResources).Draw(t, "resource")
			in.ResourceAccount = rapid.SampledFrom([]string{"", ours, theirs}).Draw(t, "owner")
			in.Principal = rapid.SampledFrom(worldPrincipals).Draw(t, "principal")
			in.Action = rapid.SampledFrom(worldActions).Draw(t, "action")
			all := drawKeys(t)
			in.Context, in.Deferred = all, nil
			whole := policy.Evaluate(in)

			in.Deferred = deferred
			early := policy.Evaluate(in)
			denied := early.Outcome == policy.ExplicitDeny
			for _, rule := range policy.DeferredDenies(in) {
				if !slices.Contains(policy.AllDeferredDenies(in), rule) {
					t.Fatal("AllDeferredDenies lacks a rule")
				}
				denied = denied || rule.Denies(all, deferred)
			}
			if denied != (whole.Outcome == policy.ExplicitDeny) {
				t.Fatalf("denied in two steps: %v, at once: %v", denied, whole.Outcome)
			}
			if early.Allowed() && !denied && !whole.Allowed() {
				t.Fatal("deferring allows more")
			}
			if explained := policy.Explain(in); explained.Outcome != early.Outcome {
				t.Fatalf("Explain says %v, Evaluate %v", explained.Outcome, early.Outcome)
			}
		}
	})
}

func TestDeferredDenies_OtherResource(t *testing.T) {
	p, err := policy.Parse(`{"Version":"2012-10-17","Statement":[
		{"Sid":"Named","Effect":"Deny","Action":"*","Resource":"arn:aws:ecr:us-east-1:000000000001:repository/a","Condition":{"Bool":{"x:Late":"true"}}},
		{"Sid":"Others","Effect":"Deny","Action":"*","NotResource":"arn:aws:ecr:us-east-1:000000000001:repository/a","Condition":{"StringEquals":{"x:Late":"${x:Late}"}}}]}`, policy.Identity)
	if err != nil {
		t.Fatal(err)
	}
	in := &policy.Input{
		Principal: policy.Principal{Type: policy.User, Account: ours}, Action: "ecr:PutImage", Resource: "arn:aws:ecr:us-east-1:000000000001:repository/b",
		Identity: []*policy.Policy{p.WithSource(policy.Source{Name: "P"})}, Deferred: func(key string) bool { return key == "x:late" },
	}
	names := func(rules []policy.Rule) (out []string) {
		for _, r := range rules {
			if r.Source().Name != "P" || r.Type != policy.IdentityBased || !slices.Equal(r.Keys(), []string{"x:late"}) || r.Varies() != (r.SID() == "Others") {
				t.Errorf("the rule is %+v", r)
			}
			out = append(out, r.SID())
		}
		return out
	}
	if got := names(policy.DeferredDenies(in)); !slices.Equal(got, []string{"Others"}) {
		t.Errorf("%v", got)
	}
	if got := names(policy.DeferredDenies(in, "arn:aws:ecr:us-east-1:000000000001:repository/a")); !slices.Equal(got, []string{"Named"}) {
		t.Errorf("%v", got)
	}
	if got := names(policy.AllDeferredDenies(in)); len(got) != 2 {
		t.Errorf("%v", got)
	}
	in.Deferred = nil
	if got := names(policy.DeferredDenies(in)); got != nil {
		t.Errorf("%v", got)
	}
}
