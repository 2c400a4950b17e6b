package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

// allows asks whether a statement with these members, of the version, allows
// action on resource.
func allows(t *testing.T, version, members, action, resource string, k keys) bool {
	t.Helper()
	document := `{"Version":"` + version + `","Statement":{"Effect":"Allow",` + members + `}}`
	return policy.Evaluate(&policy.Input{
		Principal: alice, Action: action, Resource: resource, Context: k,
		Identity: []*policy.Policy{parse(t, document, policy.Identity)},
	}).Allowed()
}

const (
	v2008 = "2008-10-17"
	v2012 = "2012-10-17"

	aRepository = "arn:aws:ecr:us-east-1:000000000001:repository/"
)

func TestVariables_Version2008(t *testing.T) {
	const members = `"Action":"*","Resource":"arn:aws:ecr:*:*:repository/${aws:username}"`
	k := keys{"aws:username": {"alice"}}
	for _, c := range []struct {
		version, name string
		want          bool
	}{
		{v2012, "alice", true},
		{v2012, "${aws:username}", false},
		{v2008, "alice", false},
		{v2008, "${aws:username}", true},
	} {
		if got := allows(t, c.version, members, "ecr:PutImage", aRepository+c.name, k); got != c.want {
			t.Errorf("version %s, repository %s: allowed is %v", c.version, c.name, got)
		}
	}
	noVersion := parse(t, `{"Statement":{"Effect":"Allow",`+members+`}}`, policy.Identity)
	in := &policy.Input{Principal: alice, Action: "a:b", Resource: aRepository + "alice", Context: k, Identity: []*policy.Policy{noVersion}}
	if policy.Evaluate(in).Allowed() {
		t.Error("without a version variables are replaced")
	}
}

func TestVariables_StarInValue(t *testing.T) {
	const members = `"Action":"*","Resource":"arn:aws:ecr:*:*:repository/${aws:username}/*"`
	for name, want := range map[string]bool{"*/x": true, "bob/x": false, "**/x": false} {
		if got := allows(t, v2012, members, "ecr:PutImage", aRepository+name, keys{"aws:username": {"*"}}); got != want {
			t.Errorf("user * on repository %s: allowed is %v", name, got)
		}
	}
	const like = `"Action":"*","Resource":"*","Condition":{"StringLike":{"aws:PrincipalTag/team":"${aws:username}*"}}`
	for team, want := range map[string]bool{"?": true, "?x": true, "ax": false} {
		if got := allows(t, v2012, like, "ecr:PutImage", "*", keys{"aws:username": {"?"}, "aws:principaltag/team": {team}}); got != want {
			t.Errorf("user ? of team %s: allowed is %v", team, got)
		}
	}
}

func TestVariables_LiteralCharacters(t *testing.T) {
	const members = `"Action":"*","Resource":"arn:aws:ecr:*:*:repository/${*}-${?}-${$}{x}"`
	for name, want := range map[string]bool{"*-?-${x}": true, "a-b-${x}": false, "*-b-${x}": false} {
		if got := allows(t, v2012, members, "ecr:PutImage", aRepository+name, nil); got != want {
			t.Errorf("repository %s: allowed is %v", name, got)
		}
	}
}

func TestVariables_Default(t *testing.T) {
	const members = `"Action":"*","Resource":"arn:aws:ecr:*:*:repository/${aws:PrincipalTag/team, 'shared*'}/x"`
	for _, c := range []struct {
		k    keys
		name string
		want bool
	}{
		{nil, "shared*/x", true},
		{nil, "sharedness/x", false},
		{keys{"aws:principaltag/team": {"red"}}, "red/x", true},
		{keys{"aws:principaltag/team": {"red"}}, "shared*/x", false},
		{keys{"aws:principaltag/team": {"red", "blue"}}, "shared*/x", false},
		{keys{"aws:principaltag/team": {"red", "blue"}}, "red/x", false},
	} {
		if got := allows(t, v2012, members, "ecr:PutImage", aRepository+c.name, c.k); got != c.want {
			t.Errorf("with %v on %s: allowed is %v", c.k, c.name, got)
		}
	}
}

func TestVariables_MissingValue(t *testing.T) {
	for _, members := range []string{
		`"Action":"*","Resource":"arn:aws:ecr:*:*:repository/${aws:username}"`,
		`"Action":"*","NotResource":"arn:aws:ecr:*:*:repository/${aws:username}"`,
		`"Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:userid":"${aws:username}"}}`,
		`"Action":"*","Resource":"*","Condition":{"StringNotEquals":{"aws:userid":"${aws:username}"}}`,
		`"Action":"*","Resource":"*","Condition":{"StringEqualsIgnoreCase":{"aws:userid":"${aws:username}"}}`,
		`"Action":"*","Resource":"*","Condition":{"ArnNotLike":{"aws:userid":"arn:aws:iam::1:user/${aws:username}"}}`,
	} {
		for _, name := range []string{"x", "", "${aws:username}"} {
			if allows(t, v2012, members, "ecr:PutImage", aRepository+name, keys{"aws:userid": {"arn:aws:iam::1:user/x"}}) {
				t.Errorf("%s allows repository %q", members, name)
			}
		}
	}
}

func TestMatch_CaseOfActionsAndResources(t *testing.T) {
	const members = `"Action":"ECR:put*","Resource":"arn:aws:ecr:*:*:repository/Aa"`
	if !allows(t, v2012, members, "ecr:PutImage", aRepository+"Aa", nil) || !allows(t, v2012, members, "Ecr:pUTiMAGE", aRepository+"Aa", nil) {
		t.Error("the case of an action matters")
	}
	if allows(t, v2012, members, "ecr:PutImage", aRepository+"aa", nil) {
		t.Error("the case of a resource does not matter")
	}
	if allows(t, v2012, `"Action":"ecr:PutImage","Resource":"*"`, "ecr:PutImageTagMutability", "*", nil) {
		t.Error("an action allows all that begin like it")
	}
	// Letters that some alphabets fold to ASCII are others.
	if allows(t, v2012, `"Action":"kms:sign","Resource":"*"`, "\u212Ams:\u017Fign", "*", nil) {
		t.Error("the Kelvin sign is a k")
	}
	if !allows(t, v2012, `"Action":"*","Resource":"*","Condition":{"StringEquals":{"AWS:UserName":"a"}}`, "a:b", "*", keys{"aws:username": {"a"}}) {
		t.Error("the case of a condition key matters")
	}
}

func TestResource_StarCrossesSeparators(t *testing.T) {
	for pattern, want := range map[string]bool{
		"*":                                        true,
		"arn:aws:ecr:*":                            true,
		"arn:aws:ecr:us-east-1:*:repository/a*":    true,
		"arn:aws:ecr:us-east-1:*:repository/a/*":   true,
		"arn:aws:ecr:*:*:repository/*/c":           true,
		"arn:aws:ecr:us-east-?:*:repository/a?b?c": true,
		"arn:aws:ecr:us-east-1:*:repository/?":     false,
		"arn:aws:ecr:us-east-1:*:repository/b*":    false,
		"arn:aws:ecr:eu-*:*:repository/*":          false,
		"arn:aws:codeartifact:*":                   false,
	} {
		if got := allows(t, v2012, `"Action":"*","Resource":"`+pattern+`"`, "ecr:PutImage", aRepository+"a/b/c", nil); got != want {
			t.Errorf("%s: allowed is %v", pattern, got)
		}
	}
}

func TestResource_IncompleteARN(t *testing.T) {
	for _, c := range []struct {
		pattern, resource string
		want              bool
	}{
		{"arn:aws:ecr", aRepository + "a/b", true},
		{"arn:aws:ecr:us-east-1", aRepository + "a", true},
		{"arn:aws:ecr:us-east-1:000000000001", aRepository + "a", true},
		{"arn:aws:ecr:*-1", aRepository + "a", true},
		{"arn:aws:e", aRepository + "a", false},
		{"arn:aws:ecr:us-east", aRepository + "a", false},
		{"arn:aws:ecr:us-east-1:000000000002", aRepository + "a", false},
		{"arn:aws:ecr::000000000001", aRepository + "a", false},
		{"arn:aws:ecr", "*", false},
	} {
		if got := allows(t, v2012, `"Action":"*","Resource":"`+c.pattern+`"`, "ecr:PutImage", c.resource, nil); got != c.want {
			t.Errorf("%s on %s: allowed is %v", c.pattern, c.resource, got)
		}
		if got := allows(t, v2012, `"Action":"*","NotResource":"`+c.pattern+`"`, "ecr:PutImage", c.resource, nil); got == c.want {
			t.Errorf("all but %s on %s: allowed is %v", c.pattern, c.resource, got)
		}
	}
}

func TestResource_ActionWithoutResource(t *testing.T) {
	for members, want := range map[string]bool{
		`"Action":"*","Resource":"*"`:                                 true,
		`"Action":"*","Resource":["arn:aws:ecr:*"]`:                   false,
		`"Action":"*","NotResource":"arn:aws:ecr:*"`:                  true,
		`"Action":"*","NotResource":"*"`:                              false,
		`"NotAction":"iam:*","Resource":"*"`:                          true,
		`"NotAction":"ecr:*","Resource":"*"`:                          false,
		`"NotAction":["iam:*","ecr:GetAuth*"],"Resource":"*"`:         false,
		`"Action":["ecr:GetAuthorizationToken"],"Resource":["a","*"]`: true,
	} {
		members = strings.Replace(members, `"a"`, `"arn:aws:s3:::a"`, 1)
		if got := allows(t, v2012, members, "ecr:GetAuthorizationToken", "*", nil); got != want {
			t.Errorf("%s: allowed is %v", members, got)
		}
	}
}

// A known engine misses a Deny whose subject has a star in it.
func TestMatch_SubjectWithStar(t *testing.T) {
	deny := parse(t, statement(`"Effect":"Deny","Action":"*","Resource":"arn:aws:ecr:*:*:repository/secret*"`), policy.Identity)
	all := parse(t, statement(allowAll), policy.Identity)
	for _, name := range []string{"secret", "secret*", "secret/*", "secret?", "secret-**?*"} {
		d := policy.Evaluate(&policy.Input{
			Principal: alice, Action: "ecr:PutImage", Resource: aRepository + name, Identity: []*policy.Policy{all, deny},
		})
		if d.Outcome != policy.ExplicitDeny || d.Policy != deny {
			t.Errorf("repository %s: %v", name, d.Outcome)
		}
	}
}

// Another takes 56 s for ten stars on 40 bytes.
func TestMatch_LinearInStars(t *testing.T) {
	pattern := strings.Repeat("*a", 500) + "b"
	p := parse(t, statement(`"Effect":"Allow","Action":"ecr:`+strings.Repeat("*a", 500)+`b","Resource":"arn:aws:ecr:*:*:repository/`+pattern+`",
		"Condition":{"StringLike":{"aws:username":"`+pattern+`"},"ArnLike":{"aws:sourcearn":"arn:aws:s3:::`+pattern+`"}}`), policy.Identity)
	long := strings.Repeat("a", 2000)
	done := make(chan policy.Decision)
	go func() {
		var d policy.Decision
		for _, ending := range []string{"", "b"} {
			d = policy.Evaluate(&policy.Input{
				Principal: alice, Action: "ecr:" + long + "b", Resource: aRepository + long + "b", Identity: []*policy.Policy{p},
				Context: keys{"aws:username": {long + "b"}, "aws:sourcearn": {"arn:aws:s3:::" + long + ending}},
			})
		}
		done <- d
	}()
	select {
	case d := <-done:
		if !d.Allowed() {
			t.Errorf("the pattern does not match: %v", d)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("the match did not end")
	}
}

func TestUnreadable_DeniesEverything(t *testing.T) {
	broken := policy.Unreadable("{", policy.Identity)
	d := policy.Evaluate(&policy.Input{
		Principal: policy.Principal{Type: policy.RootUser, Account: ours}, Action: "ecr:PutImage", Resource: "*",
		Identity: []*policy.Policy{parse(t, statement(allowAll), policy.Identity), broken},
	})
	if d.Outcome != policy.ExplicitDeny || d.Policy != broken || broken.StatementID(d.Statement) != "Unreadable" {
		t.Errorf("got %+v", d)
	}
	if broken.Document() != "{" {
		t.Error("the document is not kept")
	}
}

// Whoever gets a deleted user's or role's name does not get what was given to its
// unique id.
func TestPrincipal_UniqueID(t *testing.T) {
	trust := parse(t, statement(`"Effect":"Allow","Principal":{"AWS":["`+alice.UniqueID+`","`+session.UniqueID+`"]},"Action":"sts:AssumeRole"`), policy.Trust)
	recreated, again := alice, session
	recreated.UniqueID, again.UniqueID = "AIDAAAAAAAAAAAAANEWER", "AROAAAAAAAAAAAAANEWER"
	nameless := alice
	nameless.UniqueID = ""
	for name, c := range map[string]struct {
		who  policy.Principal
		want bool
	}{
		"the user": {alice, true}, "another of that name": {recreated, false}, "one without id": {nameless, false},
		"the role": {session, true}, "another role of that name": {again, false},
	} {
		d := policy.Evaluate(&policy.Input{
			Principal: c.who, Action: "sts:AssumeRole", Resource: "arn:aws:iam::000000000001:role/x", Resources: []*policy.Policy{trust},
		})
		if d.Allowed() != c.want {
			t.Errorf("%s: allowed is %v", name, d.Allowed())
		}
	}
}

// A session that is named by its role's id belongs to this role, and not to a later
// role of the same name.
func TestPrincipal_SessionByID(t *testing.T) {
	again, other, nameless := session, session, session
	again.UniqueID, other.ARN, nameless.UniqueID = "AROAAAAAAAAAAAAANEWER", session.ARN+"-2", ""
	name := session.ARN[strings.LastIndexByte(session.ARN, '/')+1:]
	byID := parse(t, statement(`"Effect":"Allow","Principal":{"AWS":"`+session.UniqueID+":"+name+`"},"Action":"*"`), policy.Resource)
	for what, c := range map[string]struct {
		who  policy.Principal
		want bool
	}{
		"the session": {session, true}, "one of another role of that name": {again, false},
		"another session of the role": {other, false}, "a session of nothing": {nameless, false}, "a user": {alice, false},
	} {
		d := policy.Evaluate(&policy.Input{
			Principal: c.who, Action: "ecr:PutImage", Resource: "arn:aws:ecr:us-east-1:000000000001:repository/x", Resources: []*policy.Policy{byID},
		})
		if d.Allowed() != c.want {
			t.Errorf("%s: allowed is %v", what, d.Allowed())
		}
	}
}
