package policy_test

import (
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

// The situations that the IAM User Guide explains evaluation with, beside those
// of examples_test.go, in documents of our own about an artifact platform.

// A guideCase is a request, and who decides it how.
type guideCase struct {
	name string
	request
	want verdict
}

func checkGuide(t *testing.T, cases []guideCase) {
	t.Helper()
	for _, c := range cases {
		r := c.request
		if r.principal.Type == policy.Anonymous {
			r.principal = alice
		}
		in := r.compile(t)
		in.Principal, in.Action, in.Resource, in.ResourceAccount, in.Context = r.principal, r.action, r.resource, r.resourceAccount, r.keys
		d := policy.Evaluate(in)
		if got := (verdict{d.Outcome, d.Type}); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if want := reference(&r); want.outcome != c.want.outcome || want.by != c.want.by {
			t.Errorf("%s: the reference says %v by %v, want %v", c.name, want.outcome, want.by, c.want)
		}
	}
}

var (
	byIdentity = verdict{policy.Allowed, policy.IdentityBased}
	byResource = verdict{policy.Allowed, policy.ResourceBased}
	nothing    = verdict{policy.ImplicitDeny, policy.IdentityBased}
	forbidden  = verdict{policy.ExplicitDeny, policy.IdentityBased}
)

func one(document string) []string { return []string{document} }

// "Policy evaluation logic", "Example of identity-based and resource-based policy
// evaluation": a developer has a broad policy with a Deny, and a repository has
// one that names the developer.
func TestGuide_IdentityAndResource(t *testing.T) {
	developer := one(`{"Version":"2012-10-17","Statement":[
		{"Sid":"Lists","Effect":"Allow","Action":["ecr:Describe*","ecr:List*"],"Resource":"*"},
		{"Sid":"OwnRepositories","Effect":"Allow","Action":"ecr:*","Resource":"` + aRepository + `alice/*"},
		{"Sid":"NeverTheLogs","Effect":"Deny","Action":"ecr:*","Resource":"` + aRepository + `*log*"}]}`)
	shared := one(statement(`"Effect":"Allow","Principal":` + aws(alice.ARN) + `,"Action":["ecr:BatchGetImage","ecr:PutImage"]`))
	checkGuide(t, []guideCase{
		{"her own repository", request{identity: developer, action: "ecr:PutImage", resource: aRepository + "alice/app"}, byIdentity},
		{"a list", request{identity: developer, action: "ecr:DescribeRepositories", resource: aRepository + "*"}, byIdentity},
		{"another's repository", request{identity: developer, action: "ecr:PutImage", resource: aRepository + "bob/app"}, nothing},
		{"another's, which lets her in", request{identity: developer, resources: shared, action: "ecr:PutImage", resource: aRepository + "bob/app"}, byResource},
		{"another's, for more than it says", request{identity: developer, resources: shared, action: "ecr:DeleteRepository", resource: aRepository + "bob/app"}, nothing},
		{"logs of her own", request{identity: developer, action: "ecr:PutImage", resource: aRepository + "alice/log-shipper"}, forbidden},
		{"logs that let her in", request{identity: developer, resources: shared, action: "ecr:PutImage", resource: aRepository + "access-logs"}, forbidden},
	})
}

// "How AWS enforcement code logic evaluates requests to allow or deny access":
// each kind of policy in turn has the last word.
func TestGuide_DecisionSteps(t *testing.T) {
	push := request{principal: session, action: "ecr:PutImage", resource: aRepository + "a"}
	all, other := statement(allowAll), statement(`"Effect":"Allow","Action":"codeartifact:*","Resource":"*"`)
	never := statement(`"Effect":"Deny","Action":"ecr:PutImage","Resource":"*"`)
	with := func(change func(*request)) request {
		r := push
		r.identity, r.guardrail, r.boundary, r.session, r.hasSession = one(all), all, all, one(all), true
		change(&r)
		return r
	}
	checkGuide(t, []guideCase{
		{"everything allows", with(func(*request) {}), byIdentity},
		{"the guardrail does not", with(func(r *request) { r.guardrail = other }), verdict{policy.ImplicitDeny, policy.ServiceControl}},
		{"the guardrail denies", with(func(r *request) { r.guardrail = never }), verdict{policy.ExplicitDeny, policy.ServiceControl}},
		{"the identity does not", with(func(r *request) { r.identity = one(other) }), nothing},
		{"the identity denies", with(func(r *request) { r.identity = []string{all, never} }), forbidden},
		{"the boundary does not", with(func(r *request) { r.boundary = other }), verdict{policy.ImplicitDeny, policy.PermissionsBoundary}},
		{"the boundary denies", with(func(r *request) { r.boundary = never }), verdict{policy.ExplicitDeny, policy.PermissionsBoundary}},
		{"the session does not", with(func(r *request) { r.session = one(other) }), verdict{policy.ImplicitDeny, policy.SessionPolicy}},
		{"the session denies", with(func(r *request) { r.session = []string{all, never} }), verdict{policy.ExplicitDeny, policy.SessionPolicy}},
	})
}

// "Session policies" and "Permissions boundaries", evaluating effective
// permissions: whom a resource's policy names says what still limits.
func TestGuide_ResourceGrantLimits(t *testing.T) {
	other := statement(`"Effect":"Allow","Action":"codeartifact:*","Resource":"*"`)
	names := func(principal string) []string {
		return one(statement(`"Effect":"Allow","Principal":` + principal + `,"Action":"ecr:PutImage"`))
	}
	pushes := func(who policy.Principal, resources []string, boundary string, limited bool) request {
		return request{principal: who, action: "ecr:PutImage", resource: aRepository + "a", resources: resources, boundary: boundary, hasSession: limited, session: one(other)}
	}
	checkGuide(t, []guideCase{
		{"a user by name, in spite of a boundary", pushes(alice, names(aws(alice.ARN)), other, false), byResource},
		{"a role by name, in a boundary", pushes(session, names(aws(session.RoleARN)), other, false), verdict{policy.ImplicitDeny, policy.PermissionsBoundary}},
		{"a role by name, in a limited session", pushes(session, names(aws(session.RoleARN)), "", true), verdict{policy.ImplicitDeny, policy.SessionPolicy}},
		{"a role by name, without limits", pushes(session, names(aws(session.RoleARN)), "", false), byResource},
		{"a session by name, in spite of a boundary", pushes(session, names(aws(session.ARN)), other, false), byResource},
		{"the account, which alone gives nothing", pushes(alice, names(aws(ours)), "", false), nothing},
		{"the account's root, likewise", pushes(session, names(aws("arn:aws:iam::"+ours+":root")), "", false), nothing},
		{"everybody", pushes(alice, names(`"*"`), other, false), byResource},
	})
}

// "Cross-account policy evaluation logic": the account of the resource lets the
// other account in, and that one says who of its own may go.
func TestGuide_AcrossAccounts(t *testing.T) {
	ourPull := one(statement(`"Effect":"Allow","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Resource":"arn:aws:ecr:*:` + theirs + `:repository/base/*"`))
	lets := func(principal string) []string {
		return one(statement(`"Effect":"Allow","Principal":` + aws(principal) + `,"Action":["ecr:BatchGetImage","ecr:PutImage"]`))
	}
	abroad := func(action string, identity, resources []string) request {
		return request{principal: alice, action: action, resource: "arn:aws:ecr:us-east-1:" + theirs + ":repository/base/go", resourceAccount: theirs, identity: identity, resources: resources}
	}
	outside := verdict{policy.ImplicitDeny, policy.ResourceBased}
	checkGuide(t, []guideCase{
		{"both sides", abroad("ecr:BatchGetImage", ourPull, lets(ours)), byIdentity},
		{"both sides, by name", abroad("ecr:BatchGetImage", ourPull, lets(alice.ARN)), byIdentity},
		{"the identity's side alone", abroad("ecr:BatchGetImage", ourPull, nil), outside},
		{"the resource's side alone, by name", abroad("ecr:BatchGetImage", nil, lets(alice.ARN)), nothing},
		{"more than the identity may", abroad("ecr:PutImage", ourPull, lets(ours)), nothing},
		{"more than the resource gives", abroad("ecr:GetDownloadUrlForLayer", ourPull, lets(ours)), outside},
		{"another account is let in", abroad("ecr:BatchGetImage", ourPull, lets("000000000003")), outside},
		{"denied over there", abroad("ecr:BatchGetImage", ourPull, append(lets(ours), statement(`"Effect":"Deny","Principal":"*","Action":"ecr:BatchGetImage"`))), verdict{policy.ExplicitDeny, policy.ResourceBased}},
	})
}

// "IAM tutorial: Define permissions to access AWS resources based on tags": one
// policy for all teams, which compares the principal's tags with the resource's.
func TestGuide_AccessByTags(t *testing.T) {
	abac := one(`{"Version":"2012-10-17","Statement":[
		{"Sid":"OwnProjectAndTeam","Effect":"Allow","Action":["ecr:BatchGetImage","ecr:PutImage","ecr:DeleteRepository"],"Resource":"*","Condition":{"StringEquals":{
			"aws:ResourceTag/project":"${aws:PrincipalTag/project}","aws:ResourceTag/team":"${aws:PrincipalTag/team}"}}},
		{"Sid":"CreateWithOwnTags","Effect":"Allow","Action":["ecr:CreateRepository","ecr:TagResource"],"Resource":"*","Condition":{"StringEquals":{
			"aws:RequestTag/project":"${aws:PrincipalTag/project}","aws:RequestTag/team":"${aws:PrincipalTag/team}"},
			"ForAllValues:StringEquals":{"aws:TagKeys":["project","team","name"]}}},
		{"Sid":"ReadAnyOfTheProject","Effect":"Allow","Action":"ecr:DescribeImages","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/project":"${aws:PrincipalTag/project}"}}},
		{"Sid":"KeepTheTags","Effect":"Deny","Action":"ecr:UntagResource","Resource":"*"}]}`)
	me := keys{"aws:principaltag/project": {"red"}, "aws:principaltag/team": {"build"}}
	having := func(more keys) keys {
		k := keys{}
		for _, from := range []keys{me, more} {
			for name, values := range from {
				k[name] = values
			}
		}
		return k
	}
	asks := func(action string, k keys) request {
		return request{principal: session, identity: abac, action: action, resource: aRepository + "a", keys: k}
	}
	checkGuide(t, []guideCase{
		{"the same tags", asks("ecr:PutImage", having(keys{"aws:resourcetag/project": {"red"}, "aws:resourcetag/team": {"build"}})), byIdentity},
		{"another team's", asks("ecr:PutImage", having(keys{"aws:resourcetag/project": {"red"}, "aws:resourcetag/team": {"test"}})), nothing},
		{"another team's, to look at", asks("ecr:DescribeImages", having(keys{"aws:resourcetag/project": {"red"}, "aws:resourcetag/team": {"test"}})), byIdentity},
		{"without tags", asks("ecr:PutImage", having(nil)), nothing},
		{"neither side has tags", asks("ecr:PutImage", keys{}), nothing},
		{"created with one's own", asks("ecr:CreateRepository", having(keys{"aws:requesttag/project": {"red"}, "aws:requesttag/team": {"build"}, "aws:tagkeys": {"project", "team"}})), byIdentity},
		{"created with one tag too many", asks("ecr:CreateRepository", having(keys{"aws:requesttag/project": {"red"}, "aws:requesttag/team": {"build"}, "aws:tagkeys": {"project", "team", "owner"}})), nothing},
		{"created without a team", asks("ecr:CreateRepository", having(keys{"aws:requesttag/project": {"red"}, "aws:tagkeys": {"project"}})), nothing},
		{"taking tags away", asks("ecr:UntagResource", having(keys{"aws:resourcetag/project": {"red"}, "aws:resourcetag/team": {"build"}})), forbidden},
	})
}

// "AWS JSON policy elements: NotPrincipal", "NotAction" and "NotResource".
func TestGuide_NotElements(t *testing.T) {
	everyone := statement(`"Effect":"Allow","Principal":` + aws(ours) + `,"Action":"*"`)
	onlyAlice := []string{everyone, statement(`"Effect":"Deny","NotPrincipal":{"AWS":["` + alice.ARN + `","` + ours + `"]},"Action":"*"`)}
	bob := alice
	bob.ARN, bob.UniqueID = "arn:aws:iam::"+ours+":user/bob", "AIDAAAAAAAAAAAAAAAABOB"
	all := one(statement(allowAll))
	notIAM := one(statement(`"Effect":"Allow","NotAction":["iam:*","sts:*"],"Resource":"*"`))
	onlyOneRegion := []string{statement(allowAll), statement(`"Effect":"Deny","NotAction":["iam:*","sts:*"],"Resource":"*","Condition":{"StringNotEquals":{"aws:RequestedRegion":"eu-central-1"}}`)}
	notSecret := one(statement(`"Effect":"Allow","Action":"ecr:*","NotResource":["` + aRepository + `secret/*","` + aRepository + `keys"]`))
	ownOnly := []string{statement(allowAll), statement(`"Effect":"Deny","Action":"ecr:*","NotResource":"` + aRepository + `alice/*"`)}
	byResourceDenied := verdict{policy.ExplicitDeny, policy.ResourceBased}
	checkGuide(t, []guideCase{
		{"NotPrincipal exempts who is named", request{identity: all, resources: onlyAlice, action: "ecr:PutImage", resource: aRepository + "a"}, byIdentity},
		{"NotPrincipal denies the others", request{principal: bob, identity: all, resources: onlyAlice, action: "ecr:PutImage", resource: aRepository + "a"}, byResourceDenied},
		{"NotPrincipal denies a role's session that is not named", request{principal: session, identity: all, resources: onlyAlice, action: "ecr:PutImage", resource: aRepository + "a"}, byResourceDenied},
		{"NotPrincipal denies who has a boundary", request{identity: all, boundary: statement(allowAll), resources: onlyAlice, action: "ecr:PutImage", resource: aRepository + "a"}, byResourceDenied},

		{"NotAction allows what it does not name", request{identity: notIAM, action: "ecr:PutImage", resource: "*"}, byIdentity},
		{"NotAction allows nothing that it names", request{identity: notIAM, action: "iam:CreateUser", resource: "*"}, nothing},
		{"NotAction with Deny, inside", request{identity: onlyOneRegion, action: "ecr:PutImage", resource: "*", keys: keys{"aws:requestedregion": {"eu-central-1"}}}, byIdentity},
		{"NotAction with Deny, outside", request{identity: onlyOneRegion, action: "ecr:PutImage", resource: "*", keys: keys{"aws:requestedregion": {"us-east-1"}}}, forbidden},
		{"NotAction with Deny, what it exempts", request{identity: onlyOneRegion, action: "iam:GetUser", resource: "*", keys: keys{"aws:requestedregion": {"us-east-1"}}}, byIdentity},

		{"NotResource allows what it does not name", request{identity: notSecret, action: "ecr:PutImage", resource: aRepository + "a"}, byIdentity},
		{"NotResource allows nothing that it names", request{identity: notSecret, action: "ecr:PutImage", resource: aRepository + "secret/a"}, nothing},
		{"NotResource with Deny exempts", request{identity: ownOnly, action: "ecr:PutImage", resource: aRepository + "alice/a"}, byIdentity},
		{"NotResource with Deny denies", request{identity: ownOnly, action: "ecr:PutImage", resource: aRepository + "bob/a"}, forbidden},
	})
}

// "Conditions with multiple context keys or values": keys and operators are
// joined with AND, values with OR, and the values of a negated operator with NOR.
func TestGuide_SeveralKeysAndValues(t *testing.T) {
	members := `"Effect":"Allow","Action":"ecr:PutImage","Resource":"*","Condition":{
		"StringEquals":{"aws:PrincipalTag/team":["build","test"],"aws:PrincipalTag/role":"developer"},
		"StringNotEquals":{"aws:PrincipalTag/state":["left","on-leave"]},
		"IpAddress":{"aws:SourceIp":["192.0.2.0/24","198.51.100.0/24"]},
		"DateGreaterThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"},"DateLessThan":{"aws:CurrentTime":"2026-12-31T23:59:59Z"}}`
	fits := keys{
		"aws:principaltag/team": {"test"}, "aws:principaltag/role": {"developer"}, "aws:sourceip": {"198.51.100.7"}, "aws:currenttime": {"2026-06-01T12:00:00Z"},
	}
	but := func(name string, values ...string) request {
		k := keys{}
		for n, v := range fits {
			k[n] = v
		}
		if delete(k, name); len(values) > 0 {
			k[name] = values
		}
		return request{identity: one(statement(members)), action: "ecr:PutImage", resource: "*", keys: k}
	}
	checkGuide(t, []guideCase{
		{"everything fits", but(""), byIdentity},
		{"the other value", but("aws:principaltag/team", "build"), byIdentity},
		{"none of the values", but("aws:principaltag/team", "sales"), nothing},
		{"one key of an operator does not fit", but("aws:principaltag/role", "guest"), nothing},
		{"one key is missing", but("aws:sourceip"), nothing},
		{"one operator does not fit", but("aws:sourceip", "203.0.113.1"), nothing},
		{"one of the values of a negated operator", but("aws:principaltag/state", "on-leave"), nothing},
		{"none of the values of a negated operator", but("aws:principaltag/state", "here"), byIdentity},
		{"too early", but("aws:currenttime", "2025-12-31T23:59:59Z"), nothing},
		{"too late", but("aws:currenttime", "2027-01-01T00:00:00Z"), nothing},
	})
}

// "…IfExists condition operators" and "Condition operator to check existence of
// condition keys".
func TestGuide_MissingKeys(t *testing.T) {
	asks := func(condition string, k keys) request {
		return request{identity: one(statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":` + condition)), action: "ecr:PutImage", resource: "*", keys: k}
	}
	const ifExists, notMissing, missing = `{"StringEqualsIfExists":{"aws:PrincipalTag/team":"red"}}`, `{"Null":{"aws:TokenIssueTime":"false"}}`, `{"Null":{"aws:TokenIssueTime":"true"}}`
	const deny = `"Effect":"Deny","Action":"*","Resource":"*","Condition":`
	longTerm := []string{statement(allowAll), statement(deny + `{"NumericGreaterThanIfExists":{"sts:DurationSeconds":3600}}`)}
	noTag := []string{statement(allowAll), statement(deny + `{"StringNotEquals":{"aws:RequestTag/team":"red"}}`)}
	checkGuide(t, []guideCase{
		{"IfExists: the value", asks(ifExists, keys{"aws:principaltag/team": {"red"}}), byIdentity},
		{"IfExists: another value", asks(ifExists, keys{"aws:principaltag/team": {"blue"}}), nothing},
		{"IfExists: none", asks(ifExists, nil), byIdentity},
		{"Null false: there", asks(notMissing, keys{"aws:tokenissuetime": {"2026-01-01T00:00:00Z"}}), byIdentity},
		{"Null false: missing", asks(notMissing, nil), nothing},
		{"Null true: there", asks(missing, keys{"aws:tokenissuetime": {"2026-01-01T00:00:00Z"}}), nothing},
		{"Null true: missing", asks(missing, nil), byIdentity},
		{"a Deny with IfExists denies where the key is missing", request{identity: longTerm, action: "sts:AssumeRole", resource: "*"}, forbidden},
		{"a Deny with IfExists exempts a good value", request{identity: longTerm, action: "sts:AssumeRole", resource: "*", keys: keys{"sts:durationseconds": {"900"}}}, byIdentity},
		{"a negated Deny denies where the key is missing", request{identity: noTag, action: "ecr:CreateRepository", resource: "*"}, forbidden},
		{"a negated Deny exempts the value", request{identity: noTag, action: "ecr:CreateRepository", resource: "*", keys: keys{"aws:requesttag/team": {"red"}}}, byIdentity},
	})
}

// "Set operators for multivalued context keys".
func TestGuide_SetOperators(t *testing.T) {
	tags := func(effect, operator string, values ...string) request {
		r := request{action: "ecr:TagResource", resource: "*", keys: keys{}}
		members := `"Effect":"` + effect + `","Action":"*","Resource":"*","Condition":{"` + operator + `":{"aws:TagKeys":["team","cost"]}}`
		if r.identity = one(statement(members)); effect == "Deny" {
			r.identity = append(r.identity, statement(allowAll))
		}
		if len(values) > 0 {
			r.keys["aws:tagkeys"] = values
		}
		return r
	}
	const every, some, someNot, everyNot = "ForAllValues:StringEquals", "ForAnyValue:StringEquals", "ForAnyValue:StringNotEquals", "ForAllValues:StringNotEquals"
	checkGuide(t, []guideCase{
		{"all: some of them", tags("Allow", every, "team"), byIdentity},
		{"all: all of them", tags("Allow", every, "team", "cost"), byIdentity},
		{"all: one more", tags("Allow", every, "team", "owner"), nothing},
		{"all: none", tags("Allow", every), byIdentity},
		{"any: one of them", tags("Allow", some, "owner", "cost"), byIdentity},
		{"any: only others", tags("Allow", some, "owner"), nothing},
		{"any: none", tags("Allow", some), nothing},
		{"denied where any is another: one more", tags("Deny", someNot, "team", "owner"), forbidden},
		{"denied where any is another: none more", tags("Deny", someNot, "team", "cost"), byIdentity},
		{"denied where any is another: none", tags("Deny", someNot), byIdentity},
		{"all are others", tags("Allow", everyNot, "owner", "name"), byIdentity},
		{"all are others, but one", tags("Allow", everyNot, "owner", "team"), nothing},
	})
}

// "IAM policy elements: Variables and tags": one policy for all users.
func TestGuide_Variables(t *testing.T) {
	home := one(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"ecr:*","Resource":"` + aRepository + `home/${aws:username}/*"},
		{"Effect":"Allow","Action":"ecr:BatchGetImage","Resource":"` + aRepository + `${aws:PrincipalTag/team, 'public'}/*"},
		{"Effect":"Allow","Action":"ecr:ListImages","Resource":"` + aRepository + `${*}${$}${?}"}]}`)
	asks := func(action, name string, k keys) request {
		return request{identity: home, action: action, resource: aRepository + name, keys: k}
	}
	me := keys{"aws:username": {"alice"}}
	checkGuide(t, []guideCase{
		{"her home", asks("ecr:PutImage", "home/alice/app", me), byIdentity},
		{"another's", asks("ecr:PutImage", "home/bob/app", me), nothing},
		{"a principal without a name has no home", asks("ecr:PutImage", "home//app", nil), nothing},
		{"a default", asks("ecr:BatchGetImage", "public/app", me), byIdentity},
		{"a default gives way to the value", asks("ecr:BatchGetImage", "public/app", keys{"aws:principaltag/team": {"red"}}), nothing},
		{"the value", asks("ecr:BatchGetImage", "red/app", keys{"aws:principaltag/team": {"red"}}), byIdentity},
		{"the characters themselves", asks("ecr:ListImages", "*$?", me), byIdentity},
		{"and no others", asks("ecr:ListImages", "a$b", me), nothing},
	})
}

// "Principal": a service and an outside identity are let in by a role's trust,
// and by nothing else.
func TestGuide_Trust(t *testing.T) {
	const role = "arn:aws:iam::" + ours + ":role/ci"
	trusts := func(principal, action, condition string) []string {
		return one(statement(`"Effect":"Allow","Principal":` + principal + `,"Action":"` + action + `"` + condition))
	}
	web := trusts(`{"Federated":"`+webIdentity.Provider+`"}`, "sts:AssumeRoleWithWebIdentity",
		`,"Condition":{"StringEquals":{"issuer.example:aud":"sts.amazonaws.com"},"StringLike":{"issuer.example:sub":"repo:acme/*:ref:refs/heads/main"}}`)
	asks := func(who policy.Principal, action string, trust []string, k keys) request {
		return request{principal: who, action: action, resource: role, resourceAccount: ours, trust: trust, keys: k}
	}
	untrusted := verdict{policy.ImplicitDeny, policy.RoleTrust}
	trusted := verdict{policy.Allowed, policy.RoleTrust}
	claims := func(aud, sub string) keys { return keys{"issuer.example:aud": {aud}, "issuer.example:sub": {sub}} }
	checkGuide(t, []guideCase{
		{"a service", asks(service, "sts:AssumeRole", trusts(`{"Service":"`+service.Provider+`"}`, "sts:AssumeRole", ""), nil), trusted},
		{"another service", asks(service, "sts:AssumeRole", trusts(`{"Service":"other.example.com"}`, "sts:AssumeRole", ""), nil), untrusted},
		{"a service where everybody of AWS's is trusted", asks(service, "sts:AssumeRole", trusts(`"*"`, "sts:AssumeRole", ""), nil), untrusted},
		{"a pipeline", asks(webIdentity, "sts:AssumeRoleWithWebIdentity", web, claims("sts.amazonaws.com", "repo:acme/app:ref:refs/heads/main")), trusted},
		{"a pipeline of a branch", asks(webIdentity, "sts:AssumeRoleWithWebIdentity", web, claims("sts.amazonaws.com", "repo:acme/app:ref:refs/heads/x")), untrusted},
		{"a pipeline of others", asks(webIdentity, "sts:AssumeRoleWithWebIdentity", web, claims("sts.amazonaws.com", "repo:evil/app:ref:refs/heads/main")), untrusted},
		{"for another audience", asks(webIdentity, "sts:AssumeRoleWithWebIdentity", web, claims("registry.example", "repo:acme/app:ref:refs/heads/main")), untrusted},
		{"without claims", asks(webIdentity, "sts:AssumeRoleWithWebIdentity", web, nil), untrusted},
		{"a user by name, who needs no policy of her own", asks(alice, "sts:AssumeRole", trusts(aws(alice.ARN), "sts:AssumeRole", ""), nil), trusted},
		{"a user by account, who does", asks(alice, "sts:AssumeRole", trusts(aws(ours), "sts:AssumeRole", ""), nil), nothing},
		{"nobody is trusted", asks(alice, "sts:AssumeRole", trusts(aws("000000000003"), "sts:AssumeRole", ""), nil), untrusted},
	})
}
