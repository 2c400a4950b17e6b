package policy_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

// The generated policies use a small set of names, so that what they say and what
// is asked often meet.
const (
	ours   = "000000000001"
	theirs = "000000000002"

	wholeARN = "${aws:PrincipalArn}"
)

var (
	worldActions   = []string{"ecr:PutImage", "ecr:PutImageTagMutability", "ecr:BatchGetImage", "ecr:GetAuthorizationToken", "iam:GetUser", "sts:AssumeRole"}
	actionPatterns = []string{"*", "*:*", "ecr:*", "ECR:put*", "ecr:*Image", "ecr:PutImage", "ecr:?utImage", "ecr:*a*t*", "iam:Get*", "sts:*", "sts:AssumeRole"}
	trustActions   = []string{"sts:AssumeRole", "sts:*", "STS:assume*", "sts:TagSession"}

	worldResources = []string{
		"*", "arn:aws:ecr:us-east-1:000000000001:repository/a", "arn:aws:ecr:us-east-1:000000000001:repository/a/b",
		"arn:aws:ecr:us-east-1:000000000001:repository/*", "arn:aws:ecr:eu-west-1:000000000002:repository/alice",
		"arn:aws:iam::000000000001:role/ops",
	}
	resourcePatterns = []string{
		"*", "arn:aws:ecr:*", "arn:aws:ecr:us-east-1:*:repository/*", "arn:aws:ecr:*:000000000001:repository/a",
		"arn:aws:ecr:*:*:repository/a*", "arn:aws:ecr:us-*-1:00000000000?:repository/?", "arn:aws:ecr:*:*:repository/${aws:username}",
		"arn:aws:ecr:*:*:repository/${aws:PrincipalTag/team, 'a'}/*", "arn:aws:ecr:*:*:repository/${*}", "arn:aws:iam::000000000001:role/*",
		"arn:aws:ecr:*:*:repository/*${aws:PrincipalTag/team}",
	}
	incompleteARNs = []string{"arn:aws:ecr", "arn:aws:ecr:us-east-1", "arn:aws:ecr:*-1:000000000001", "arn:aws:iam::000000000001"}

	worldPrincipals = []policy.Principal{
		{Type: policy.User, Account: ours, ARN: "arn:aws:iam::000000000001:user/alice", UniqueID: "AIDAAAAAAAAAAAAAALICE"},
		{Type: policy.User, Account: theirs, ARN: "arn:aws:iam::000000000002:user/bob", UniqueID: "AIDAAAAAAAAAAAAAAABOB"},
		{
			Type: policy.RoleSession, Account: ours, ARN: "arn:aws:sts::000000000001:assumed-role/ops/s",
			RoleARN: "arn:aws:iam::000000000001:role/ops", UniqueID: "AROAAAAAAAAAAAAAAAOPS",
		},
		{Type: policy.RootUser, Account: ours, ARN: "arn:aws:iam::000000000001:root", UniqueID: ours},
		{Type: policy.FederatedUser, Account: ours, ARN: "arn:aws:sts::000000000001:federated-user/fred"},
		{Type: policy.WebIdentity, Provider: "arn:aws:iam::000000000001:oidc-provider/issuer.example"},
		{Type: policy.Service, Provider: "replication.example.com"},
		{Type: policy.Anonymous},
	}
	awsPrincipals = []string{
		"*", ours, theirs, "arn:aws:iam::000000000001:root", "arn:aws:iam::000000000001:user/alice",
		"arn:aws:iam::000000000002:user/bob", "arn:aws:iam::000000000001:role/ops", "AIDAAAAAAAAAAAAAALICE", "AROAAAAAAAAAAAAAAAOPS", "AROAAAAAAAAAAAAAAAOPS:s", "AROAAAAAAAAAAAAAAAOPS:t",
		"arn:aws:sts::000000000001:assumed-role/ops/s", "arn:aws:sts::000000000001:federated-user/fred",
	}

	worldKeys = map[string][]string{
		"aws:username":          {"alice", "a", "*", "A"},
		"aws:principaltag/team": {"a", "b", "*", "${aws:username}", "ä"},
		"aws:tagkeys":           {"a", "b", "A*"},
		"aws:sourceip":          {"10.0.0.1", "192.0.2.7", "2001:db8::1", "::ffff:10.0.0.1", "nowhere"},
		"aws:currenttime":       {"2025-01-01T00:00:00Z", "2026-06-01T12:00:00Z", "soon"},
		"sts:durationseconds":   {"900", "3600", "-1", "3600.0", "many"},
		"aws:securetransport":   {"true", "False", "maybe"},
		"aws:principalarn":      {"arn:aws:iam::000000000001:user/alice", "arn:aws:iam::000000000001:role/x:y", "alice"},
		"test:binary":           {"QUJD", "QUI=", "?"},
	}
	keySpellings = map[string]string{
		"aws:username": "aws:UserName", "aws:principaltag/team": "aws:PrincipalTag/Team", "aws:tagkeys": "aws:TagKeys",
		"aws:sourceip": "aws:SourceIp", "aws:currenttime": "aws:CurrentTime", "sts:durationseconds": "sts:DurationSeconds",
		"aws:securetransport": "aws:SecureTransport", "aws:principalarn": "aws:PrincipalArn", "test:binary": "test:Binary",
	}

	texts = []any{"alice", "a", "A", "a*", "?", "*", "*l*e", "${aws:username}", "${aws:PrincipalTag/team, 'a'}", "x${aws:username}", "${*}", "${$}{a}", "ä", ""}
	arns  = []any{
		"arn:aws:iam::000000000001:user/alice", "arn:aws:iam::*:user/*", "arn:aws:*:*:*:*", "arn:*:iam::00000000000?:role/*",
		"arn:aws:iam::000000000001:user/${aws:username}", wholeARN,
	}
	numbers  = []any{"900", 3600, "3600.00", "-1", "0.5", 43200}
	dates    = []any{"2025-01-01T00:00:00Z", "2026-01-01T00:00:00+01:00", "2027-01-01T00:00:00Z"}
	families = []struct {
		operators []string
		values    []any
		keys      []string
	}{
		{
			[]string{"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike"},
			texts,
			[]string{"aws:username", "aws:principaltag/team", "aws:tagkeys"},
		},
		{[]string{"ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"}, arns, []string{"aws:principalarn"}},
		{
			[]string{"NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals"},
			numbers,
			[]string{"sts:durationseconds"},
		},
		{
			[]string{"DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals"},
			dates,
			[]string{"aws:currenttime"},
		},
		{[]string{"Bool"}, []any{"true", "false", true, false}, []string{"aws:securetransport"}},
		{[]string{"IpAddress", "NotIpAddress"}, []any{"10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "0.0.0.0/0"}, []string{"aws:sourceip"}},
		{[]string{"BinaryEquals"}, []any{"QUJD", "QUI="}, []string{"test:binary"}},
	}
)

func drawSome[T any](t *rapid.T, from []T, most int, label string) []T {
	return rapid.SliceOfN(rapid.SampledFrom(from), 1, most).Draw(t, label)
}

// oneOrMany is a list, or what is in a list of one.
func oneOrMany[T any](t *rapid.T, list []T) any {
	if len(list) == 1 && rapid.Bool().Draw(t, "without brackets") {
		return list[0]
	}
	return list
}

func either(t *rapid.T, element string) string {
	if rapid.IntRange(0, 5).Draw(t, "negate "+element) == 0 {
		return "Not" + element
	}
	return element
}

func drawCondition(t *rapid.T) map[string]any {
	condition := map[string]any{}
	for range rapid.SampledFrom([]int{0, 0, 0, 1, 1, 2}).Draw(t, "conditions") {
		family := rapid.SampledFrom(families).Draw(t, "family")
		key := rapid.SampledFrom(family.keys).Draw(t, "key")
		operator := rapid.SampledFrom(family.operators).Draw(t, "operator")
		values := family.values
		if rapid.IntRange(0, 9).Draw(t, "null") == 0 {
			operator, values = "Null", []any{"true", "false", true, false}
		} else {
			operator = rapid.SampledFrom([]string{"", "", "ForAllValues:", "ForAnyValue:"}).Draw(t, "set") + operator +
				rapid.SampledFrom([]string{"", "", "IfExists"}).Draw(t, "if exists")
		}
		if rapid.Bool().Draw(t, "spelling") {
			key = keySpellings[key]
		}
		condition[operator] = map[string]any{key: oneOrMany(t, drawSome(t, values, 3, "values"))}
	}
	return condition
}

func drawStatement(t *rapid.T, kind policy.Kind) map[string]any {
	effect := rapid.SampledFrom([]string{"Allow", "Allow", "Allow", "Deny"}).Draw(t, "effect")
	s := map[string]any{"Effect": effect}
	if kind == policy.Trust {
		s["Action"] = oneOrMany(t, drawSome(t, trustActions, 2, "actions"))
	} else {
		s[either(t, "Action")] = oneOrMany(t, drawSome(t, actionPatterns, 3, "actions"))
	}
	named := kind == policy.Resource || kind == policy.Trust
	if !named || kind == policy.Resource && rapid.Bool().Draw(t, "has resource") {
		patterns := resourcePatterns
		if kind == policy.Identity {
			patterns = slices.Concat(patterns, incompleteARNs)
		}
		s[either(t, "Resource")] = oneOrMany(t, drawSome(t, patterns, 3, "resources"))
	}
	if named {
		element := "Principal"
		if effect == "Deny" && kind == policy.Resource {
			element = either(t, element)
		}
		s[element] = rapid.Custom(func(t *rapid.T) any {
			switch rapid.IntRange(0, 5).Draw(t, "principal") {
			case 0:
				return "*"
			case 1:
				return map[string]any{"Service": "replication.example.com", "AWS": drawSome(t, awsPrincipals, 2, "aws")}
			case 2:
				return map[string]any{"Federated": "arn:aws:iam::000000000001:oidc-provider/issuer.example"}
			}
			return map[string]any{"AWS": oneOrMany(t, drawSome(t, awsPrincipals, 3, "aws"))}
		}).Draw(t, "principals")
	}
	if condition := drawCondition(t); len(condition) > 0 {
		s["Condition"] = condition
	}
	return s
}

func drawDocument(t *rapid.T, kind policy.Kind) string {
	d := map[string]any{"Version": "2012-10-17"}
	switch rapid.IntRange(0, 5).Draw(t, "version") {
	case 0:
		d["Version"] = "2008-10-17"
	case 1:
		delete(d, "Version")
	}
	var statements []any
	for range rapid.IntRange(1, 3).Draw(t, "statements") {
		statements = append(statements, drawStatement(t, kind))
	}
	d["Statement"] = oneOrMany(t, statements)
	b, err := json.Marshal(d)
	if err == nil && bytes.Contains(b, []byte(wholeARN)) {
		d["Version"] = "2012-10-17" // in an older version it is not an ARN
		b, err = json.Marshal(d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func drawDocuments(t *rapid.T, kind policy.Kind, most int) []string {
	var documents []string
	for range rapid.IntRange(0, most).Draw(t, "documents") {
		documents = append(documents, drawDocument(t, kind))
	}
	return documents
}

func drawPolicies(t *rapid.T) request {
	r := request{identity: drawDocuments(t, policy.Identity, 2)}
	if rapid.IntRange(0, 4).Draw(t, "guardrail") == 0 {
		r.guardrail = drawDocument(t, policy.Identity)
	}
	if rapid.IntRange(0, 2).Draw(t, "boundary") == 0 {
		r.boundary = drawDocument(t, policy.Identity)
	}
	if r.hasSession = rapid.IntRange(0, 2).Draw(t, "session") == 0; r.hasSession {
		r.session = drawDocuments(t, policy.Session, 2)
	}
	switch rapid.IntRange(0, 4).Draw(t, "resource policies") {
	case 0:
		r.trust = []string{drawDocument(t, policy.Trust)}
	case 1, 2:
		r.resources = []string{drawDocument(t, policy.Resource)}
	case 3:
		r.resources = []string{drawDocument(t, policy.Resource), drawDocument(t, policy.Resource)}
	}
	return r
}

func drawKeys(t *rapid.T) keys {
	k := keys{}
	for key, values := range worldKeys {
		n := rapid.SampledFrom([]int{0, 1, 1, 1}).Draw(t, "values of "+key)
		if key == "aws:tagkeys" {
			n = rapid.IntRange(0, 3).Draw(t, "values of "+key)
		}
		if n > 0 {
			k[key] = rapid.SliceOfN(rapid.SampledFrom(values), n, n).Draw(t, key)
		}
	}
	return k
}

// Every principal asks for every action, in each of a few situations.
const situations = 8

func TestEvaluate_Reference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawPolicies(t)
		in := r.compile(t)
		for range situations {
			r.resource = rapid.SampledFrom(worldResources).Draw(t, "resource")
			r.resourceAccount = rapid.SampledFrom([]string{"", ours, ours, theirs}).Draw(t, "owner")
			r.keys = drawKeys(t)
			in.Resource, in.ResourceAccount, in.Context = r.resource, r.resourceAccount, r.keys
			for _, r.principal = range worldPrincipals {
				for _, r.action = range worldActions {
					in.Principal, in.Action = r.principal, r.action
					compareWithReference(t, in, &r)
				}
			}
		}
	})
}

func compareWithReference(t *rapid.T, in *policy.Input, r *request) {
	got, want := policy.Evaluate(in), reference(r)
	if got.Outcome != want.outcome || got.Type != want.by {
		t.Fatalf("Evaluate: %v by %v, the reference: %v by %v\n%+v", got.Outcome, got.Type, want.outcome, want.by, *r)
	}
	if got.Policy == nil {
		return
	}
	effect := r.statements(got.Policy.Document())[got.Statement].effect
	if (effect == "Allow") != got.Allowed() {
		t.Fatalf("%v was decided by a statement of effect %s", got.Outcome, effect)
	}
}
