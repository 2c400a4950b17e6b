package policy_test

import (
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

// Documents for [TestEvaluate], by short names.
var (
	allowsAll     = statement(allowAll)
	allowsNothing = statement(`"Effect":"Allow","Action":"iam:GetUser","Resource":"*"`)
	deniesPut     = statement(`"Effect":"Deny","Action":"ecr:Put*","Resource":"*"`)
)

// grants is a resource policy that allows everything to a principal.
func grants(principal string) []string {
	return []string{statement(`"Effect":"Allow","Action":"*","Principal":` + principal)}
}

func aws(arn string) string { return `{"AWS":"` + arn + `"}` }

var (
	session = policy.Principal{
		Type: policy.RoleSession, Account: ours, ARN: "arn:aws:sts::" + ours + ":assumed-role/ops/s",
		RoleARN: "arn:aws:iam::" + ours + ":role/team/ops", UniqueID: "AROAAAAAAAAAAAAAAAOPS",
	}
	root        = policy.Principal{Type: policy.RootUser, Account: ours, ARN: "arn:aws:iam::" + ours + ":root", UniqueID: ours}
	federated   = policy.Principal{Type: policy.FederatedUser, Account: ours, ARN: "arn:aws:sts::" + ours + ":federated-user/fred"}
	webIdentity = policy.Principal{Type: policy.WebIdentity, Provider: "arn:aws:iam::" + ours + ":oidc-provider/issuer.example"}
	service     = policy.Principal{Type: policy.Service, Provider: "replication.example.com"}
)

// from returns the principal as one of the other account.
func from(account string, p policy.Principal) policy.Principal {
	p.Account = account
	return p
}

func TestEvaluate(t *testing.T) {
	all, none := []string{allowsAll}, []string(nil)
	for _, c := range []struct {
		name string
		request
		want verdict
	}{
		{"nothing", request{principal: alice}, verdict{policy.ImplicitDeny, policy.IdentityBased}},
		{"an identity's Allow", request{principal: alice, identity: all}, verdict{policy.Allowed, policy.IdentityBased}},
		{"one Allow of several policies", request{principal: alice, identity: []string{allowsNothing, allowsAll}}, verdict{policy.Allowed, policy.IdentityBased}},
		{"Deny over Allow", request{principal: alice, identity: []string{allowsAll, deniesPut}}, verdict{policy.ExplicitDeny, policy.IdentityBased}},

		{"a boundary gives nothing", request{principal: alice, boundary: allowsAll}, verdict{policy.ImplicitDeny, policy.IdentityBased}},
		{"a boundary that allows", request{principal: alice, identity: all, boundary: allowsAll}, verdict{policy.Allowed, policy.IdentityBased}},
		{"a boundary that does not", request{principal: alice, identity: all, boundary: allowsNothing}, verdict{policy.ImplicitDeny, policy.PermissionsBoundary}},
		{"a boundary that denies", request{principal: alice, identity: all, boundary: deniesPut}, verdict{policy.ExplicitDeny, policy.PermissionsBoundary}},

		{"a session policy that allows", request{principal: session, identity: all, hasSession: true, session: all}, verdict{policy.Allowed, policy.IdentityBased}},
		{"a session policy that does not", request{principal: session, identity: all, hasSession: true, session: []string{allowsNothing}}, verdict{policy.ImplicitDeny, policy.SessionPolicy}},
		{"a session with an empty list of policies", request{principal: session, identity: all, hasSession: true}, verdict{policy.ImplicitDeny, policy.SessionPolicy}},
		{"a session policy gives nothing", request{principal: session, hasSession: true, session: all}, verdict{policy.ImplicitDeny, policy.IdentityBased}},
		{"a session policy that denies", request{principal: session, identity: all, hasSession: true, session: []string{allowsAll, deniesPut}}, verdict{policy.ExplicitDeny, policy.SessionPolicy}},
		{"all three must allow", request{principal: session, identity: all, boundary: allowsNothing, hasSession: true, session: all}, verdict{policy.ImplicitDeny, policy.PermissionsBoundary}},

		{"a guardrail that allows", request{principal: alice, identity: all, guardrail: allowsAll}, verdict{policy.Allowed, policy.IdentityBased}},
		{"a guardrail that does not", request{principal: alice, identity: all, guardrail: allowsNothing}, verdict{policy.ImplicitDeny, policy.ServiceControl}},
		{"a guardrail that denies", request{principal: alice, identity: all, guardrail: deniesPut}, verdict{policy.ExplicitDeny, policy.ServiceControl}},
		{"a guardrail over root", request{principal: root, guardrail: allowsNothing}, verdict{policy.ImplicitDeny, policy.ServiceControl}},
		{"a guardrail over a resource's grant", request{principal: alice, resources: grants(aws(alice.ARN)), guardrail: allowsNothing}, verdict{policy.ImplicitDeny, policy.ServiceControl}},

		{"root needs nothing", request{principal: root}, verdict{policy.Allowed, policy.IdentityBased}},
		{"root denied by a resource", request{principal: root, resources: []string{statement(`"Effect":"Deny","Principal":"*","Action":"*"`)}}, verdict{policy.ExplicitDeny, policy.ResourceBased}},
		{"root denied as the account", request{principal: root, resources: []string{statement(`"Effect":"Deny","Principal":` + aws(ours) + `,"Action":"*"`)}}, verdict{policy.ExplicitDeny, policy.ResourceBased}},
		{"root of another account", request{principal: root, resourceAccount: theirs}, verdict{policy.ImplicitDeny, policy.ResourceBased}},
		{"root of another account, let in", request{principal: root, resourceAccount: theirs, resources: grants(aws(ours))}, verdict{policy.Allowed, policy.IdentityBased}},

		// A resource's Allow, by whom it names.
		{"a user's ARN is final", request{principal: alice, resources: grants(aws(alice.ARN)), boundary: allowsNothing}, verdict{policy.Allowed, policy.ResourceBased}},
		{"a user's id is final", request{principal: alice, resources: grants(aws(alice.UniqueID)), boundary: allowsNothing}, verdict{policy.Allowed, policy.ResourceBased}},
		{"a federated user's ARN is final", request{principal: federated, resources: grants(aws(federated.ARN)), hasSession: true}, verdict{policy.Allowed, policy.ResourceBased}},
		{"a session's ARN passes the boundary", request{principal: session, resources: grants(aws(session.ARN)), boundary: allowsNothing}, verdict{policy.Allowed, policy.ResourceBased}},
		{"a session's ARN does not pass session policies", request{principal: session, resources: grants(aws(session.ARN)), hasSession: true}, verdict{policy.ImplicitDeny, policy.SessionPolicy}},
		{"a role's ARN replaces the identity's policies", request{principal: session, resources: grants(aws(session.RoleARN))}, verdict{policy.Allowed, policy.ResourceBased}},
		{"a role's id does too", request{principal: session, resources: grants(aws(session.UniqueID))}, verdict{policy.Allowed, policy.ResourceBased}},
		{"a role's ARN does not pass the boundary", request{principal: session, resources: grants(aws(session.RoleARN)), boundary: allowsNothing}, verdict{policy.ImplicitDeny, policy.PermissionsBoundary}},
		{"a role's ARN does not pass session policies", request{principal: session, resources: grants(aws(session.RoleARN)), hasSession: true, session: []string{allowsNothing}}, verdict{policy.ImplicitDeny, policy.SessionPolicy}},
		{"everybody is final", request{principal: alice, resources: grants(`"*"`), boundary: allowsNothing}, verdict{policy.Allowed, policy.ResourceBased}},
		{"everybody, as AWS", request{principal: session, resources: grants(aws("*")), boundary: allowsNothing}, verdict{policy.Allowed, policy.ResourceBased}},
		{"everybody does not pass session policies", request{principal: session, resources: grants(`"*"`), hasSession: true, session: []string{allowsNothing}}, verdict{policy.ImplicitDeny, policy.SessionPolicy}},
		{"an account delegates", request{principal: alice, resources: grants(aws(ours))}, verdict{policy.ImplicitDeny, policy.IdentityBased}},
		{"root delegates", request{principal: alice, resources: grants(aws("arn:aws:iam::" + ours + ":root"))}, verdict{policy.ImplicitDeny, policy.IdentityBased}},
		{"an account delegates, and the identity's policy allows", request{principal: alice, identity: all, resources: grants(aws(ours))}, verdict{policy.Allowed, policy.IdentityBased}},
		{"somebody else", request{principal: alice, resources: grants(aws("arn:aws:iam::" + ours + ":user/bob"))}, verdict{policy.ImplicitDeny, policy.IdentityBased}},
		{"a resource's Deny", request{principal: session, identity: all, resources: []string{statement(`"Effect":"Deny","Principal":` + aws(session.RoleARN) + `,"Action":"*"`)}}, verdict{policy.ExplicitDeny, policy.ResourceBased}},
		{"a resource's Deny for others", request{principal: session, identity: all, resources: []string{statement(`"Effect":"Deny","Principal":` + aws(alice.ARN) + `,"Action":"*"`)}}, verdict{policy.Allowed, policy.IdentityBased}},

		// Across accounts.
		{"no resource policy", request{principal: alice, identity: all, resourceAccount: theirs}, verdict{policy.ImplicitDeny, policy.ResourceBased}},
		{"only the resource's side", request{principal: alice, resourceAccount: theirs, resources: grants(aws(alice.ARN))}, verdict{policy.ImplicitDeny, policy.IdentityBased}},
		{"both sides", request{principal: alice, identity: all, resourceAccount: theirs, resources: grants(aws(alice.ARN))}, verdict{policy.Allowed, policy.IdentityBased}},
		{"both sides, by account", request{principal: alice, identity: all, resourceAccount: theirs, resources: grants(aws(ours))}, verdict{policy.Allowed, policy.IdentityBased}},
		{"both sides, by everybody", request{principal: alice, identity: all, resourceAccount: theirs, resources: grants(`"*"`)}, verdict{policy.Allowed, policy.IdentityBased}},
		{"both sides, and a boundary", request{principal: alice, identity: all, boundary: allowsNothing, resourceAccount: theirs, resources: grants(aws(alice.ARN))}, verdict{policy.ImplicitDeny, policy.PermissionsBoundary}},
		{"both sides, and session policies", request{principal: session, identity: all, hasSession: true, resourceAccount: theirs, resources: grants(aws(session.ARN))}, verdict{policy.ImplicitDeny, policy.SessionPolicy}},
		{"the owner's own account is named", request{principal: alice, identity: all, resourceAccount: theirs, resources: grants(aws(theirs))}, verdict{policy.ImplicitDeny, policy.ResourceBased}},

		// Trust policies.
		{"an identity's Allow does not replace trust", request{principal: alice, identity: all, trust: trusts(aws(theirs))}, verdict{policy.ImplicitDeny, policy.RoleTrust}},
		{"root is not trusted by itself", request{principal: root, trust: trusts(aws(theirs))}, verdict{policy.ImplicitDeny, policy.RoleTrust}},
		{"trust of the user", request{principal: alice, trust: trusts(aws(alice.ARN))}, verdict{policy.Allowed, policy.RoleTrust}},
		{"trust of the account", request{principal: alice, trust: trusts(aws(ours))}, verdict{policy.ImplicitDeny, policy.IdentityBased}},
		{"trust of the account, and the identity's Allow", request{principal: alice, identity: all, trust: trusts(aws(ours))}, verdict{policy.Allowed, policy.IdentityBased}},
		{"trust across accounts needs both", request{principal: alice, resourceAccount: theirs, trust: trusts(aws(alice.ARN))}, verdict{policy.ImplicitDeny, policy.IdentityBased}},
		{"distrust", request{principal: alice, identity: all, trust: []string{statement(`"Effect":"Deny","Principal":"*","Action":"sts:*"`)}}, verdict{policy.ExplicitDeny, policy.RoleTrust}},
		{"trust of a provider", request{principal: webIdentity, resourceAccount: ours, trust: trusts(`{"Federated":"` + webIdentity.Provider + `"}`)}, verdict{policy.Allowed, policy.RoleTrust}},
		{"trust of another provider", request{principal: webIdentity, resourceAccount: ours, trust: trusts(`{"Federated":"` + webIdentity.Provider + `2"}`)}, verdict{policy.ImplicitDeny, policy.RoleTrust}},
		{"trust of everybody is not of every provider", request{principal: webIdentity, resourceAccount: ours, trust: trusts(`"*"`)}, verdict{policy.ImplicitDeny, policy.RoleTrust}},
		{"a Deny of everybody is of providers too", request{principal: webIdentity, resourceAccount: ours, trust: append(trusts(`{"Federated":"`+webIdentity.Provider+`"}`), statement(`"Effect":"Deny","Principal":"*","Action":"sts:*"`))}, verdict{policy.ExplicitDeny, policy.RoleTrust}},

		{"a service", request{principal: service, resourceAccount: ours, resources: grants(`{"Service":"replication.example.com"}`)}, verdict{policy.Allowed, policy.ResourceBased}},
		{"everybody is not every service", request{principal: service, resourceAccount: ours, resources: grants(`"*"`)}, verdict{policy.ImplicitDeny, policy.ResourceBased}},
		{"anonymous", request{resourceAccount: ours, identity: all}, verdict{policy.ImplicitDeny, policy.ResourceBased}},
		{"anonymous, allowed for everybody", request{resourceAccount: ours, resources: grants(`"*"`)}, verdict{policy.Allowed, policy.ResourceBased}},
		{"anonymous, claims an account", request{principal: policy.Principal{Account: ours}, identity: all}, verdict{policy.ImplicitDeny, policy.ResourceBased}},

		// NotPrincipal with Deny.
		{"exempt: user and account", request{principal: alice, identity: all, resources: denysAllBut(alice.ARN, ours)}, verdict{policy.Allowed, policy.IdentityBased}},
		{"not exempt: user without account", request{principal: alice, identity: all, resources: denysAllBut(alice.ARN)}, verdict{policy.ExplicitDeny, policy.ResourceBased}},
		{"not exempt: another user of the account", request{principal: alice, identity: all, resources: denysAllBut("arn:aws:iam::"+ours+":user/bob", ours)}, verdict{policy.ExplicitDeny, policy.ResourceBased}},
		{"not exempt: a user with a boundary", request{principal: alice, identity: all, boundary: allowsAll, resources: denysAllBut(alice.ARN, ours)}, verdict{policy.ExplicitDeny, policy.ResourceBased}},
		{"exempt: session, role and account", request{principal: session, identity: all, resources: denysAllBut(session.ARN, session.RoleARN, ours)}, verdict{policy.Allowed, policy.IdentityBased}},
		{"not exempt: session without its role", request{principal: session, identity: all, resources: denysAllBut(session.ARN, ours)}, verdict{policy.ExplicitDeny, policy.ResourceBased}},
		{"not exempt: role without the session", request{principal: session, identity: all, resources: denysAllBut(session.RoleARN, ours)}, verdict{policy.ExplicitDeny, policy.ResourceBased}},
		{"not exempt: another session of the role", request{principal: session, identity: all, resources: denysAllBut(session.ARN+"2", session.RoleARN, ours)}, verdict{policy.ExplicitDeny, policy.ResourceBased}},
		{"not exempt: another account", request{principal: from(theirs, alice), identity: all, resourceAccount: theirs, resources: denysAllBut(alice.ARN, ours)}, verdict{policy.ExplicitDeny, policy.ResourceBased}},
		{"exempt: root", request{principal: root, resources: denysAllBut(ours)}, verdict{policy.Allowed, policy.IdentityBased}},
		{"not exempt: anonymous", request{resourceAccount: ours, resources: append(grants(`"*"`), denysAllBut(ours)...)}, verdict{policy.ExplicitDeny, policy.ResourceBased}},
		{"no guardrail for those without account", request{principal: service, guardrail: deniesPut, resourceAccount: ours, identity: none, resources: grants(`{"Service":"replication.example.com"}`)}, verdict{policy.Allowed, policy.ResourceBased}},
	} {
		c.action, c.resource = "ecr:PutImage", aRepository+"a"
		if len(c.trust) > 0 {
			c.action, c.resource = "sts:AssumeRole", "arn:aws:iam::000000000001:role/x"
		}
		d := policy.Evaluate(c.compile(t))
		if got := (verdict{d.Outcome, d.Type}); got != c.want {
			t.Errorf("%s: %v by %v, want %v by %v", c.name, got.outcome, got.by, c.want.outcome, c.want.by)
		}
		if got := reference(&c.request); got != c.want {
			t.Errorf("%s: the reference says %v by %v", c.name, got.outcome, got.by)
		}
	}
}

func trusts(principal string) []string {
	return []string{statement(`"Effect":"Allow","Action":"sts:AssumeRole","Principal":` + principal)}
}

func denysAllBut(names ...string) []string {
	list := ""
	for i, n := range names {
		if i > 0 {
			list += ","
		}
		list += `"` + n + `"`
	}
	return []string{statement(`"Effect":"Deny","Action":"*","NotPrincipal":{"AWS":[` + list + `]}`)}
}

// A policy of the wrong kind in the wrong place gives nothing, and still denies.
func TestEvaluate_PolicyOfOtherKind(t *testing.T) {
	allows := parse(t, grants(`"*"`)[0], policy.Resource)
	denies := parse(t, statement(`"Effect":"Deny","Principal":"*","Action":"*"`), policy.Resource)
	identity := parse(t, allowsAll, policy.Identity)
	for name, c := range map[string]struct {
		in   policy.Input
		want policy.Outcome
	}{
		"a resource's policy as an identity's":       {policy.Input{Identity: []*policy.Policy{allows}}, policy.ImplicitDeny},
		"a resource's policy as a boundary":          {policy.Input{Identity: []*policy.Policy{identity}, Boundary: allows}, policy.ImplicitDeny},
		"a resource's policy as a session's":         {policy.Input{Identity: []*policy.Policy{identity}, Session: []*policy.Policy{allows}}, policy.ImplicitDeny},
		"a resource's Deny as an identity's":         {policy.Input{Identity: []*policy.Policy{identity, denies}}, policy.ExplicitDeny},
		"an identity's policy as that of a resource": {policy.Input{Resources: []*policy.Policy{identity}}, policy.ImplicitDeny},
	} {
		c.in.Principal, c.in.Action, c.in.Resource = alice, "ecr:PutImage", aRepository+"a"
		if got := policy.Evaluate(&c.in).Outcome; got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestDecision_Statement(t *testing.T) {
	first := parse(t, allowsNothing, policy.Identity)
	second := parse(t, `{"Version":"2012-10-17","Statement":[
		{"Sid":"Guard","Effect":"Deny","Action":"ecr:Delete*","Resource":"*"},
		{"Sid":"Other","Effect":"Allow","Action":"iam:*","Resource":"*"},
		{"Sid":"Registry","Effect":"Allow","Action":"ecr:*","Resource":"*"}]}`, policy.Identity).WithSource(policy.Source{Name: "registry"})
	for action, sid := range map[string]string{"ecr:PutImage": "Registry", "ecr:DeleteRepository": "Guard"} {
		d := policy.Evaluate(&policy.Input{Principal: alice, Action: action, Resource: "*", Identity: []*policy.Policy{first, second}})
		if d.Policy != second || d.Policy.Source().Name != "registry" || d.Policy.StatementID(d.Statement) != sid {
			t.Errorf("%s: decided by statement %d of %+v, want %s", action, d.Statement, d.Policy.Source(), sid)
		}
	}
}

func TestDecision_Because(t *testing.T) {
	const a = "ecr:PutImage"
	for d, want := range map[policy.Decision]string{
		{Outcome: policy.Allowed}:                                        "",
		{Type: policy.IdentityBased}:                                     "because no identity-based policy allows the ecr:PutImage action",
		{Type: policy.ResourceBased}:                                     "because no resource-based policy allows the ecr:PutImage action",
		{Type: policy.RoleTrust}:                                         "because no role trust policy allows the ecr:PutImage action",
		{Type: policy.PermissionsBoundary}:                               "because no permissions boundary allows the ecr:PutImage action",
		{Type: policy.SessionPolicy}:                                     "because no session policy allows the ecr:PutImage action",
		{Type: policy.ServiceControl}:                                    "because no service control policy allows the ecr:PutImage action",
		{Outcome: policy.ExplicitDeny, Type: policy.IdentityBased}:       "with an explicit deny in an identity-based policy",
		{Outcome: policy.ExplicitDeny, Type: policy.ResourceBased}:       "with an explicit deny in a resource-based policy",
		{Outcome: policy.ExplicitDeny, Type: policy.RoleTrust}:           "with an explicit deny in the role trust policy",
		{Outcome: policy.ExplicitDeny, Type: policy.PermissionsBoundary}: "with an explicit deny in a permissions boundary",
		{Outcome: policy.ExplicitDeny, Type: policy.SessionPolicy}:       "with an explicit deny in a session policy",
		{Outcome: policy.ExplicitDeny, Type: policy.ServiceControl}:      "with an explicit deny in a service control policy",
	} {
		if got := d.Because(a); got != want {
			t.Errorf("%v by %v: %q, want %q", d.Outcome, d.Type, got, want)
		}
	}
}
