package authz_test

import (
	"slices"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
)

// TestSimulation_SameDecision if it is told the circumstances.
func TestSimulation_SameDecision(t *testing.T) {
	req := authz.Request{Action: "ecr:PutImage", Resource: repository}
	for name, document := range map[string]string{
		"the principal's tag":  statement(`"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"red"}}`),
		"the principal's name": statement(`"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"StringEquals":{"aws:username":"alice","aws:PrincipalAccount":"` + ours + `"}}`),
		"another's name":       statement(`"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"StringEquals":{"aws:username":"bob"}}`),
		"the address":          statement(`"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`),
	} {
		caller := user(parse(t, document, policy.Identity))
		s := authz.Simulation{Principal: caller.Principal, Request: req, Keys: map[string][]string{"aws:sourceip": {"10.1.2.3"}}}
		if got, want := s.Explain().Decision, authz.Decide(caller, &req); got != want {
			t.Errorf("%s: the simulation says %v, the request %v", name, got, want)
		}
	}
}

func TestSimulation_NoRequestContext(t *testing.T) {
	p := parse(t, statement(`"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{
		"DateGreaterThan":{"aws:CurrentTime":"0001-01-01"},"Bool":{"aws:SecureTransport":"false"},
		"StringEquals":{"aws:PrincipalTag/Team":"red","aws:PrincipalTag/none":"x"}}`), policy.Identity)
	s := authz.Simulation{Principal: user(p).Principal, Request: authz.Request{Action: "ecr:PutImage", Resource: repository}}
	trace := s.Explain()
	if want := []string{"aws:currenttime", "aws:principaltag/none", "aws:securetransport"}; trace.Allowed() || !slices.Equal(trace.MissingKeys, want) {
		t.Errorf("%v, missing keys %v, want %v", trace.Outcome, trace.MissingKeys, want)
	}
	s.Principal = &authn.Principal{}
	if s.Explain().Allowed() {
		t.Error("nobody is allowed")
	}
}
