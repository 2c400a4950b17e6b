package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

// alice is who asks if it does not matter who does.
var alice = policy.Principal{
	Type: policy.User, Account: ours, ARN: "arn:aws:iam::" + ours + ":user/alice", UniqueID: "AIDAAAAAAAAAAAAAALICE",
}

// evaluateOne asks one identity-based policy for ecr:PutImage on repository/a.
func evaluateOne(t *testing.T, document string, k keys) policy.Outcome {
	t.Helper()
	return policy.Evaluate(&policy.Input{
		Principal: alice, Action: "ecr:PutImage", Resource: "arn:aws:ecr:us-east-1:" + ours + ":repository/a", Context: k,
		Identity: []*policy.Policy{parse(t, document, policy.Identity)},
	}).Outcome
}

// values is how the tables below write a key's values; absent is a key that the
// request lacks.
const absent = "-"

func keysOf(key, values string) keys {
	if values == absent {
		return keys{}
	}
	return keys{strings.ToLower(key): strings.Split(values, "|")}
}

func TestConditionOperators(t *testing.T) {
	for _, c := range []struct {
		operator, key, want string
		holds, fails        string // space-separated requests
	}{
		{"StringEquals", "aws:username", `["alice","bob"]`, "alice bob", "Alice carol - a*"},
		{"StringEquals", "aws:username", `"a*"`, "a*", "alice"},
		{"StringNotEquals", "aws:username", `["alice","bob"]`, "carol Alice -", "alice bob"},
		{"StringEqualsIgnoreCase", "aws:username", `"ALICE"`, "alice Alice", "alic -"},
		{"StringNotEqualsIgnoreCase", "aws:username", `"ALICE"`, "alic -", "alice"},
		{"StringLike", "aws:username", `"a?i*"`, "alice a*i*", "Alice ai -"},
		{"StringNotLike", "aws:username", `"a*"`, "bob -", "alice a"},
		{"StringEqualsIfExists", "aws:username", `"alice"`, "alice -", "bob"},
		{"NumericEquals", "sts:DurationSeconds", `900`, "900 900.0 +900 0900", "901 - ten"},
		{"NumericNotEquals", "sts:DurationSeconds", `900`, "901 -", "900.00 ten"},
		{"NumericEquals", "a:b", `"9007199254740993"`, "9007199254740993", "9007199254740992"},
		{"NumericLessThan", "sts:DurationSeconds", `"3600"`, "900 -1 3599.999", "3600 3601 -"},
		{"NumericLessThanEquals", "sts:DurationSeconds", `"3600"`, "3600 0", "3600.1 10000"},
		{"NumericGreaterThan", "sts:DurationSeconds", `-1.5`, "-1.4 0 2", "-1.5 -2 -10"},
		{"NumericGreaterThanEquals", "sts:DurationSeconds", `-1.5`, "-1.5 -1.49", "-1.51 - ."},
		{"DateGreaterThan", "aws:CurrentTime", `"2026-01-01T00:00:00Z"`, "2026-01-01T00:00:01Z 1800000000 2027", "2026-01-01T00:00:00Z 2025-12-31 2026-01-01T00:30:00+01:00 soon -"},
		{"DateLessThanEquals", "aws:CurrentTime", `1767225600`, "2026-01-01T00:00:00Z 2026 2026-01 2026-01-01T00:00Z", "2026-01-01T00:00:00.5Z 1767225601"},
		{"DateEquals", "aws:CurrentTime", `"2026-01-01"`, "2026-01-01T01:00:00+01:00", "2026-01-02"},
		{"DateNotEquals", "aws:CurrentTime", `"2026-01-01"`, "2026-01-02 -", "2026-01-01T00:00:00Z soon"},
		{"Bool", "aws:SecureTransport", `true`, "true TRUE", "false - 1"},
		{"BoolIfExists", "aws:MultiFactorAuthPresent", `"false"`, "false -", "true"},
		{"BinaryEquals", "a:b", `"QUI="`, "QUI=", "QUJD QUI QUJ= - ?"},
		{"IpAddress", "aws:SourceIp", `["10.0.0.7/8","2001:db8::/32"]`, "10.255.0.1 2001:db8:1::1 ::ffff:10.1.1.1", "11.0.0.1 2001:db9:: - 10.0.0 ::10.0.0.1"},
		{"NotIpAddress", "aws:SourceIp", `"192.0.2.1"`, "192.0.2.2 -", "192.0.2.1 ::ffff:192.0.2.1 nowhere"},
		{"ArnLike", "aws:SourceArn", `"arn:aws:s3:*:*:b/*"`, "arn:aws:s3:::b/x/y arn:aws:s3:r:1:b/x:y", "arn:aws:s3::b/x arn:aws:s4:::b/x b/x -"},
		{"ArnEquals", "aws:SourceArn", `"arn:*:s?:::b"`, "arn:aws:s3:::b", "arn:aws:s3::1:b arn:aws:sns:::b"},
		{"ArnNotEquals", "aws:SourceArn", `"arn:aws:s3:::b*"`, "arn:aws:s3:::c x -", "arn:aws:s3:::b:c"},
		{"ArnNotLike", "aws:SourceArn", `"arn:aws:s3:::b*"`, "arn:aws:s3:::c -", "arn:aws:s3:::bc"},
		{"Null", "aws:TokenIssueTime", `true`, "-", "2026-01-01"},
		{"Null", "aws:TokenIssueTime", `"false"`, "2026-01-01", "-"},
		{"ForAllValues:StringEquals", "aws:TagKeys", `["a","b"]`, "a a|b b|b -", "c a|c"},
		{"ForAllValues:StringNotEquals", "aws:TagKeys", `["a","b"]`, "c c|d -", "a a|c"},
		{"ForAnyValue:StringEquals", "aws:TagKeys", `["a","b"]`, "a a|c c|b", "c -"},
		{"ForAnyValue:StringNotEquals", "aws:TagKeys", `["a","b"]`, "c a|c", "a a|b -"},
		{"ForAnyValue:StringLikeIfExists", "aws:TagKeys", `"a*"`, "abc|d -", "d"},
		{"ForAllValues:StringLikeIfExists", "aws:TagKeys", `"a*"`, "abc|a -", "a|d"},
		// A key with several values under an operator for one: all must satisfy
		// an Allow.
		{"StringEquals", "aws:TagKeys", `["a","b"]`, "a a|b", "a|c c"},
		{"StringNotEquals", "aws:TagKeys", `["a"]`, "b|c", "a|c"},
	} {
		document := statement(fmt.Sprintf(`%s,"Condition":{%q:{%q:%s}}`, allowAll, c.operator, c.key, c.want))
		for _, request := range strings.Fields(c.holds) {
			if evaluateOne(t, document, keysOf(c.key, request)) != policy.Allowed {
				t.Errorf("%s %s: %s does not hold for %s", c.operator, c.key, c.want, request)
			}
		}
		for _, request := range strings.Fields(c.fails) {
			if evaluateOne(t, document, keysOf(c.key, request)) == policy.Allowed {
				t.Errorf("%s %s: %s holds for %s", c.operator, c.key, c.want, request)
			}
		}
	}
}

// The same conditions in a Deny: what an Allow takes as "not sure" denies.
func TestEvaluate_UndecidableDenies(t *testing.T) {
	for _, c := range []struct {
		name, condition, key, value string
		denied                      bool
	}{
		{"an invalid number", `{"NumericGreaterThan":{"a:b":1}}`, "a:b", "many", true},
		{"its negation", `{"NumericNotEquals":{"a:b":1}}`, "a:b", "many", true},
		{"an invalid date", `{"DateLessThan":{"a:b":"2020-01-01"}}`, "a:b", "soon", true},
		{"an invalid address", `{"IpAddress":{"a:b":"10.0.0.0/8"}}`, "a:b", "here", true},
		{"a variable without value", `{"StringEquals":{"a:b":"${aws:username}"}}`, "a:b", "x", true},
		{"a variable without value, negated", `{"StringNotEquals":{"a:b":"${aws:username}"}}`, "a:b", "x", true},
		{"a variable without value, in an ARN", `{"ArnLike":{"a:b":"arn:aws:iam::1:user/${aws:username}"}}`, "a:b", "arn:aws:iam::1:user/x", true},
		{"another account in that ARN", `{"ArnLike":{"a:b":"arn:aws:iam::2:user/${aws:username}"}}`, "a:b", "arn:aws:iam::1:user/x", false},
		{"a variable of several values", `{"ForAnyValue:StringEquals":{"a:b":"${a:b}"}}`, "a:b", "x|y", true},
		{"one of several values", `{"StringEquals":{"a:b":"x"}}`, "a:b", "x|y", true},
		{"a key that is missing", `{"StringEquals":{"a:b":"x"}}`, "a:c", "x", false},
	} {
		document := `{"Version":"2012-10-17","Statement":[{` + allowAll + `},{"Effect":"Deny","Action":"*","Resource":"*","Condition":` + c.condition + `}]}`
		got := evaluateOne(t, document, keysOf(c.key, c.value))
		if (got == policy.ExplicitDeny) != c.denied {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestCondition_AllKeysAndOperators(t *testing.T) {
	document := statement(allowAll + `,"Condition":{"StringEquals":{"a:b":"1","a:c":"2"},"StringLike":{"a:b":"?"}}`)
	for k, want := range map[string]policy.Outcome{"12": policy.Allowed, "13": policy.ImplicitDeny, "32": policy.ImplicitDeny} {
		if got := evaluateOne(t, document, keys{"a:b": {k[:1]}, "a:c": {k[1:]}}); got != want {
			t.Errorf("with %s: %v, want %v", k, got, want)
		}
	}
}
