package policy_test

import (
	"errors"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

// The sentences are IAM's own, as clients of AWS have recorded them.
func TestCheck_AWSSentences(t *testing.T) {
	one := func(elements string) string {
		return `{"Version":"2012-10-17","Statement":{"Effect":"Allow",` + elements + `}}`
	}
	resource := func(arn string) string { return one(`"Action":"ecr:PutImage","Resource":"` + arn + `"`) }
	const syntax, legacy = "Syntax errors in policy.", "The policy failed legacy parsing"
	for _, c := range []struct{ name, document, want string }{
		{"no JSON", `ecr:PutImage`, syntax},
		{"a comma too many", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",}]}`, syntax},
		{"an unknown element", one(`"Action":"*","Resource":"*","Reason":"x"`), syntax},
		{"an unknown version", `{"Version":"2020-01-01","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, syntax},
		{"no statement", `{"Version":"2012-10-17"}`, syntax},
		{"an unknown effect", `{"Version":"2012-10-17","Statement":{"Effect":"Permit","Action":"*","Resource":"*"}}`, syntax},
		{"an effect in another case", `{"Version":"2012-10-17","Statement":{"Effect":"ALLOW","Action":"*","Resource":"*"}}`, legacy},
		{"no effect", `{"Version":"2012-10-17","Statement":{"Action":"*","Resource":"*"}}`, syntax},
		{"Action and NotAction", one(`"Action":"*","NotAction":"ecr:*","Resource":"*"`), syntax},
		{"no action", one(`"Resource":"*"`), "Policy statement must contain actions."},
		{"no resource", one(`"Action":"*"`), "Policy statement must contain resources."},
		{"an action without a vendor", one(`"Action":"PutImage","Resource":"*"`), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."},
		{"a vendor with a space", one(`"Action":"e cr:PutImage","Resource":"*"`), "Vendor e cr is not valid"},
		{"two colons", one(`"Action":"ecr:Put:Image","Resource":"*"`), "Actions/Condition can contain only one colon."},
		{"one Sid twice", `{"Version":"2012-10-17","Statement":[{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"}]}`, "Statement IDs (SID) in a single policy must be unique."},
		{"no ARN", resource("team/app"), `Resource team/app must be in ARN format or "*".`},
		{"no ARN and two colons in the action", one(`"Action":"ecr:Put:Image","Resource":"app"`), `Resource app must be in ARN format or "*".`},
		{"an unknown partition", resource("arn:amazon:ecr:::x"), `Partition "amazon" is not valid for resource "arn:amazon:ecr:::x".`},
		{"an ARN without arn", resource("aws:ecr:::x"), `Partition "ecr" is not valid for resource "arn:ecr:::x:*".`},
		{"no vendor", resource("arn:aws"), "Resource vendor must be fully qualified and cannot contain regexes."},
		{"a vendor with a star", resource("arn:aws:e*:us-east-1:000000000001:x"), "Resource vendor must be fully qualified and cannot contain regexes."},
		{"an empty vendor", resource("arn:aws::::x"), legacy},
		{"an ARN of five parts", resource("arn:aws:s3::bucket"), legacy},
		{"a region of IAM", resource("arn:aws:iam:us-east-1::user/a"), "IAM resource arn:aws:iam:us-east-1::user/a cannot contain region information."},
		{"a region of S3", resource("arn:aws:s3:us-east-1::bucket"), "Resource arn:aws:s3:us-east-1::bucket can not contain region information."},
		{"an invalid IAM path", resource("arn:aws:iam:::alice"), `IAM resource path must either be "*" or start with user/, federated-user/, role/, group/, instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, access-report/.`},
		{"an unknown operator", one(`"Action":"*","Resource":"*","Condition":{"StringMatches":{"aws:username":"a"}}`), syntax},
		{"an invalid date", one(`"Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"tomorrow"}}`), legacy},
		{"a principal", one(`"Action":"*","Resource":"*","Principal":"*"`), "Policy document should not specify a principal."},
	} {
		var malformed *policy.MalformedError
		if err := policy.Check(c.document, policy.Identity); !errors.As(err, &malformed) || malformed.Message != c.want {
			t.Errorf("%s: %v, want the sentence %q", c.name, err, c.want)
		}
	}
}

func TestCheck_TrustPolicyNoJSON(t *testing.T) {
	var malformed *policy.MalformedError
	err := policy.Check(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",}]}`, policy.Trust)
	if !errors.As(err, &malformed) || malformed.Message != "This policy contains invalid Json" {
		t.Errorf("Check: %v", err)
	}
}

// What AWS takes, although it can match nothing.
func TestCheck_Accepts(t *testing.T) {
	for _, statement := range []string{
		`"Action":"ecr.api:PutImage","Resource":"*"`,
		`"Action":"iam: no such action ","Resource":"*"`,
		`"Action":"ecr:*","Resource":"arn:aws:ecr"`,
		`"Action":"ecr:*","Resource":"arn:aws:ecr:*"`,
		`"Action":"ecr:*","Resource":["arn:aws:no-service:::x","*"]`,
		`"Action":"iam:*","Resource":"arn:aws:iam::*:${aws:username}"`,
		`"Action":"*","NotResource":"*"`,
		`"Action":"*","Resource":"*","Condition":{}`,
		`"Action":"*","Resource":"*","Condition":{"StringLike":{}}`,
		`"Action":"*","Resource":"*","Condition":{"StringLike":{"aws:username":[]}}`,
		`"Action":"*","Resource":"*","Condition":{"StringLike":{"username":"a"}}`,
	} {
		if err := policy.Check(`{"Version":"2012-10-17","Statement":{"Effect":"Allow",`+statement+`}}`, policy.Identity); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

func TestCheckVersion(t *testing.T) {
	for document, want := range map[string]bool{
		`{"Version":"2012-10-17","Statement":[]}`: true,
		`{"Version":"2008-10-17","Statement":[]}`: false,
		`{"Statement":[]}`:                        false,
	} {
		if err := policy.CheckVersion(document); (err == nil) != want {
			t.Errorf("%s: %v", document, err)
		}
	}
}

// A policy that IAM would refuse today goes on working if it is stored.
func TestParse_ReadsStoredPolicies(t *testing.T) {
	const document = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:us-east-1::bucket"}}`
	if _, err := policy.Parse(document, policy.Identity); err != nil {
		t.Errorf("Parse: %v", err)
	}
	if policy.Check(document, policy.Identity) == nil {
		t.Error("Check accepts it, and so this test shows nothing")
	}
}
