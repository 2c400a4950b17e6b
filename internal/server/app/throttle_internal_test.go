package app

import (
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/ratelimit"
)

// Anyone with a token of a provider can be a web identity, so none of them may use up the
// rate of the others.
func TestThrottledAuthorizer_WebIdentitiesDoNotShareARate(t *testing.T) {
	now := time.Now()
	a := throttledAuthorizer{new(authz.PolicyAuthorizer), &rates{principal: ratelimit.New(1, 2, func() time.Time { return now })}}
	authorize := func(subject string) error {
		c := &authn.Caller{Principal: &authn.Principal{Type: authn.WebIdentity, ARN: "arn:aws:iam::000000000001:oidc-provider/ci.example.com:" + subject}}
		return a.Authorize(authn.WithCaller(t.Context(), c), &authz.Request{Action: "sts:AssumeRoleWithWebIdentity", Resource: "*"})
	}
	for range 2 {
		if err := authorize("repo:evil/app"); !fault.Is(err, "AccessDenied") {
			t.Fatal(err)
		}
	}
	if err := authorize("repo:evil/app"); !fault.Is(err, "Throttling") {
		t.Errorf("the rate is used up, and the answer is %v", err)
	}
	throttled := 0
	for _, other := range []string{"repo:acme/app", "repo:acme/lib", "repo:acme/tool"} { // one of them may share a place by chance
		if fault.Is(authorize(other), "Throttling") {
			throttled++
		}
	}
	if throttled > 1 {
		t.Errorf("%d of 3 other web identities are throttled", throttled)
	}
}
