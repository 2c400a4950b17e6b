package iam_test

import (
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/simulate"
)

// TestGuardrail_EveryPrincipal: users, roles, root and the simulation of
// them, and of no other account (AWS Organizations User Guide, "Service control
// policies": they limit the root user of a member account too).
func TestGuardrail_EveryPrincipal(t *testing.T) {
	w := iamtest.New(t)
	guardrail, err := policy.Parse(allowECR, policy.Identity)
	ok(t, err)
	limited, err := iam.New(t.Context(), iam.Config{
		DB: w.DB, Keyring: w.Keyring, Authz: &authz.PolicyAuthorizer{}, Now: w.Now,
		Guardrail: func(a string) *policy.Policy {
			if a == account {
				return guardrail
			}
			return nil
		},
	})
	ok(t, err)
	role, err := w.IAM.CreateRole(w.AsAdmin(), iam.NewEntity{Name: "r"}, "", trustAccount, 0)
	ok(t, err)
	ok(t, w.IAM.AttachPolicy(w.AsAdmin(), iam.KindRole, "r", "arn:aws:iam::aws:policy/AdministratorAccess"))
	admin, err := w.IAM.User(w.AsAdmin(), iam.AdminUser)
	ok(t, err)
	ok(t, iam.Follow(t.Context(), limited)) // which keeps it

	for _, id := range []string{admin.ID, role.ID, account} {
		c := &authn.Caller{Principal: limited.Identity(account, id)}
		if d := authz.Decide(c, &authz.Request{Action: "ecr:PutImage", Resource: "*"}); !d.Allowed() {
			t.Errorf("%s: %s", c.ARN, d.Because("ecr:PutImage"))
		}
		d := authz.Decide(c, &authz.Request{Action: "sts:AssumeRole", Resource: "*"})
		if d.Allowed() || d.Because("sts:AssumeRole") != "because no service control policy allows the sts:AssumeRole action" {
			t.Errorf("%s may step out of the guardrail, or %q", c.ARN, d.Because("sts:AssumeRole"))
		}
	}
	if p := limited.Identity(iamtest.Other, iamtest.Other); p.Guardrail != nil {
		t.Error("it limits another account")
	}
	for _, principal := range []string{admin.ARN(), role.ARN(), "arn:aws:iam::" + account + ":root"} {
		out, err := simulate.New(limited).Principal(w.AsAdmin(), principal, simulate.Simulation{Actions: []string{"sts:AssumeRole"}})
		if err != nil || out[0].Allowed() {
			t.Errorf("%s: %+v, %v", principal, out, err)
		}
	}
}
