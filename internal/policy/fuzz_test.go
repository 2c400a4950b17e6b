package policy_test

import (
	"encoding/json"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

// What Parse accepts is JSON, can be evaluated, and gives a principal who is
// named in no Allow nothing.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		statement(allowAll),
		statement(`"Sid":"A","Effect":"Deny","NotAction":["iam:*"],"NotResource":"arn:aws:ecr:*:*:repository/${aws:username, 'x'}"`),
		statement(allowAll + `,"Condition":{"ForAnyValue:StringLikeIfExists":{"aws:TagKeys":["a*"]},"Null":{"aws:x":true}}`),
		statement(allowAll + `,"Condition":{"ArnLike":{"a:b":"arn:aws:iam::*:${a:c}"},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"},"DateLessThan":{"a:d":1}}`),
		statement(`"Effect":"Allow","Principal":{"AWS":["000000000001","*"],"Service":"a.b"},"Action":"sts:AssumeRole"`),
		`{"Version":"2008-10-17","Id":"x","Statement":{"Effect":"Allow","NotPrincipal":"*","Action":[],"Resource":[]}}`,
		`{"Statement":[{"Effect":"\u0041llow"}]} x`,
	} {
		for kind := policy.Identity; kind <= policy.Session; kind++ {
			f.Add(seed, uint8(kind))
		}
	}
	f.Fuzz(func(t *testing.T, document string, k uint8) {
		kind := policy.Kind(k % 4)
		p, err := policy.Parse(document, kind)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("the error says nothing")
			}
			return
		}
		if !json.Valid([]byte(document)) {
			t.Fatalf("accepted, and not JSON: %q", document)
		}
		in := &policy.Input{
			Principal: policy.Principal{Type: policy.WebIdentity, Provider: "nobody named like this"},
			Action:    "ecr:PutImage", Resource: aRepository + "a", ResourceAccount: ours,
			Context: keys{"aws:tagkeys": {"a", "b"}, "aws:username": {"*"}, "a:b": {"arn:aws:iam::1:user/x"}, "aws:sourceip": {"10.0.0.1"}},
		}
		if kind == policy.Identity || kind == policy.Session {
			in.Identity, in.Boundary, in.Session, in.Guardrail = []*policy.Policy{p}, p, []*policy.Policy{p}, p
		} else {
			in.Resources = []*policy.Policy{p}
		}
		if policy.Evaluate(in).Allowed() {
			t.Fatalf("somebody who is not named is allowed by %s", document)
		}
		in.Principal = alice
		policy.Evaluate(in)
	})
}
