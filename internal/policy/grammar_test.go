package policy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

// statement puts members of a statement into a whole document.
func statement(members string) string {
	return `{"Version":"2012-10-17","Statement":[{` + members + `}]}`
}

const allowAll = `"Effect":"Allow","Action":"*","Resource":"*"`

func TestParse_Accepts(t *testing.T) {
	for name, c := range map[string]struct {
		kind     policy.Kind
		document string
	}{
		"one statement without brackets":     {policy.Identity, `{"Version":"2012-10-17","Statement":{` + allowAll + `}}`},
		"the old version":                    {policy.Identity, `{"Version":"2008-10-17","Id":"x","Statement":[{` + allowAll + `}]}`},
		"no version":                         {policy.Identity, `{"Statement":[{` + allowAll + `}]}`},
		"space around":                       {policy.Identity, "\n {\"Statement\": [ {" + allowAll + "} ] }\n"},
		"lists":                              {policy.Identity, statement(`"Sid":"A1","Effect":"Deny","NotAction":["iam:*","ecr:Get?mage"],"NotResource":["*","arn:aws:ecr:*"]`)},
		"every set prefix and suffix":        {policy.Identity, statement(allowAll + `,"Condition":{"ForAllValues:StringLikeIfExists":{"aws:TagKeys":["a*"]},"ForAnyValue:ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/*"},"Null":{"aws:TokenIssueTime":"true"}}`)},
		"operators in another case":          {policy.Identity, statement(allowAll + `,"Condition":{"stringequals":{"AWS:username":"a"}}`)},
		"numbers and booleans as they are":   {policy.Identity, statement(allowAll + `,"Condition":{"NumericLessThan":{"sts:DurationSeconds":3600},"Bool":{"aws:SecureTransport":[true,"false"]}}`)},
		"conditions without content":         {policy.Identity, statement(allowAll + `,"Condition":{"StringEquals":{}}`)},
		"a variable with a default":          {policy.Identity, statement(`"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:*:*:repository/${aws:PrincipalTag/team, 'no}ne'}/*"`)},
		"a user's whole ARN in a variable":   {policy.Identity, statement(allowAll + `,"Condition":{"ArnEquals":{"aws:SourceArn":"${aws:PrincipalArn}"}}`)},
		"half an ARN":                        {policy.Identity, statement(`"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:us-east-1"`)},
		"a session policy":                   {policy.Session, statement(`"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:us-east-1:*"`)},
		"an ARN that ends early in a star":   {policy.Identity, statement(`"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:us-east-1:*"`)},
		"a resource policy without Resource": {policy.Resource, statement(`"Sid":"allow pull","Effect":"Allow","Principal":{"AWS":["000000000001","arn:aws:iam::000000000001:user/path/alice"]},"Action":"ecr:BatchGetImage"`)},
		"NotPrincipal with Deny":             {policy.Resource, statement(`"Effect":"Deny","NotPrincipal":{"AWS":"000000000001"},"Action":"*","Resource":"*"`)},
		"everybody":                          {policy.Resource, statement(`"Effect":"Allow","Principal":"*","Action":"codeartifact:*","Resource":"*"`)},
		"every principal that there is": {policy.Resource, statement(`"Effect":"Allow","Action":"*","Principal":{"AWS":["*","arn:aws:iam::000000000001:root",
			"arn:aws:iam::000000000001:role/r","arn:aws:sts::000000000001:assumed-role/r/s","arn:aws:sts::000000000001:federated-user/f",
			"AIDAIOSFODNN7EXAMPLE0","AROAIOSFODNN7EXAMPLE0","AROAIOSFODNN7EXAMPLE0:s-1@example.com"],"Service":"replication.example.com","Federated":["arn:aws:iam::000000000001:oidc-provider/issuer.example/id/1","accounts.issuer.example"]}`)},
		"a trust policy": {policy.Trust, statement(`"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::000000000001:oidc-provider/issuer.example"},"Action":["sts:AssumeRoleWithWebIdentity","sts:TagSession"],"Condition":{"StringEquals":{"issuer.example:sub":"repo"}}`)},
	} {
		p, err := policy.Parse(c.document, c.kind)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p.Document() != c.document || p.Kind() != c.kind {
			t.Errorf("%s: the policy does not hold what it was made of", name)
		}
	}
}

func TestParse_Refuses(t *testing.T) {
	with := func(condition string) string { return statement(allowAll + `,"Condition":` + condition) }
	resource := func(r string) string { return statement(`"Effect":"Allow","Action":"*","Resource":` + r) }
	principal := func(p string) string {
		return statement(`"Effect":"Allow","Action":"ecr:*","Principal":` + p)
	}
	trust := `"Effect":"Allow","Principal":{"AWS":"000000000001"},`
	for _, c := range []struct {
		name     string
		kind     policy.Kind
		document string
		path     string
		message  string
	}{
		{"nothing", policy.Identity, ``, "", "Syntax errors in policy"},
		{"no object", policy.Identity, `[]`, "", "must be an object"},
		{"not JSON", policy.Identity, `{"Statement":}`, "Statement", "invalid character"},
		{"text after the document", policy.Identity, statement(allowAll) + `{}`, "", "Syntax errors in policy"},
		{"a name twice", policy.Identity, statement(`"Effect":"Deny",` + allowAll), "Statement", "duplicate"},
		{"a name twice, spelled with an escape", policy.Identity, statement(`"\u0045ffect":"Deny",` + allowAll), "Statement", "duplicate"},
		{"invalid UTF-8", policy.Identity, resource("\"arn:aws:s3:::\xff\""), "Statement", "invalid UTF-8"},
		{"too long", policy.Identity, strings.Repeat(" ", policy.MaxDocument) + statement(allowAll), "", "longer than"},
		{"an unknown element above", policy.Identity, `{"Statements":[]}`, "Statements", "unknown element"},
		{"an element in another case", policy.Identity, statement(`"effect":"Allow","Action":"*","Resource":"*"`), "Statement[0].effect", "unknown element"},
		{"an unknown version", policy.Identity, `{"Version":"2012-10-18","Statement":{` + allowAll + `}}`, "Version", "2012-10-17"},
		{"a version that is not a string", policy.Identity, `{"Version":2012,"Statement":{` + allowAll + `}}`, "Version", "must be a string"},
		{"no statement", policy.Identity, `{"Version":"2012-10-17"}`, "", "no Statement"},
		{"no statements", policy.Identity, `{"Statement":[]}`, "Statement", "no statement"},
		{"a statement that is not an object", policy.Identity, `{"Statement":["x"]}`, "Statement[0]", "must be an object"},
		{"no effect", policy.Identity, statement(`"Action":"*","Resource":"*"`), "Statement[0]", "Effect"},
		{"an effect in another case", policy.Identity, statement(`"Effect":"allow","Action":"*","Resource":"*"`), "Statement[0].Effect", "failed legacy parsing"},
		{"no action", policy.Identity, statement(`"Effect":"Allow","Resource":"*"`), "Statement[0]", "must contain actions"},
		{"no actions", policy.Identity, statement(`"Effect":"Allow","Action":[],"Resource":"*"`), "Statement[0]", "must contain actions"},
		{"an action without service", policy.Identity, statement(`"Effect":"Allow","Action":"GetImage","Resource":"*"`), "Statement[0].Action", "prefaced by a vendor"},
		{"a service with a wildcard", policy.Identity, statement(`"Effect":"Allow","Action":"ec*:Get","Resource":"*"`), "Statement[0].Action", "Vendor ec* is not valid"},
		{"two actions in one", policy.Identity, statement(`"Effect":"Allow","Action":"ecr:Get,ecr:Put","Resource":"*"`), "Statement[0].Action", "only one colon"},
		{"an action that is not a string", policy.Identity, statement(`"Effect":"Allow","Action":[1],"Resource":"*"`), "Statement[0].Action", "must be a string"},
		{"Action and NotAction", policy.Identity, statement(allowAll + `,"NotAction":"*"`), "Statement[0]", "both Action and NotAction"},
		{"Resource and NotResource", policy.Identity, statement(allowAll + `,"NotResource":"*"`), "Statement[0]", "both Resource and NotResource"},
		{"no resource", policy.Identity, statement(`"Effect":"Allow","Action":"*"`), "Statement[0]", "must contain resources"},
		{"no resources", policy.Identity, resource(`[]`), "Statement[0].Resource", "must contain resources"},
		{"a resource that is not an ARN", policy.Identity, resource(`"repository/a"`), "Statement[0].Resource", `must be in ARN format or "*"`},
		{"a resource of any service", policy.Identity, resource(`"arn:aws:*:us-east-1:*:x"`), "Statement[0].Resource", "vendor must be fully qualified"},
		{"an ARN without service", policy.Identity, resource(`"arn:aws"`), "Statement[0].Resource", "must be in ARN format"},
		{"half an ARN in a session policy", policy.Session, resource(`"arn:aws:ecr:us-east-1:000000000001"`), "Statement[0].Resource", "not a whole ARN"},
		{"half an ARN in a resource's policy", policy.Resource, statement(`"Effect":"Allow","Action":"*","Principal":"*","Resource":"arn:aws:ecr"`), "Statement[0].Resource", "not a whole ARN"},
		{"a variable in half an ARN", policy.Identity, resource(`"arn:aws:ecr:${aws:RequestedRegion}"`), "Statement[0].Resource", "before its fifth colon"},
		{"a principal in a session policy", policy.Session, statement(allowAll + `,"Principal":"*"`), "Statement[0].Principal", "should not specify a principal"},
		{"no resource in a session policy", policy.Session, statement(`"Effect":"Allow","Action":"*"`), "Statement[0]", "must contain resources"},
		{"a variable in the account", policy.Identity, resource(`"arn:aws:ecr:*:${aws:PrincipalAccount}:repository/a"`), "Statement[0].Resource", "before its fifth colon"},
		{"a variable that does not end", policy.Identity, resource(`"arn:aws:ecr:*:*:repository/${aws:username"`), "Statement[0].Resource", "not closed"},
		{"a variable without a key", policy.Identity, resource(`"arn:aws:ecr:*:*:repository/${username}"`), "Statement[0].Resource", "does not name a condition key"},
		{"a variable with a bare default", policy.Identity, resource(`"arn:aws:ecr:*:*:repository/${aws:username, x}"`), "Statement[0].Resource", "single quotes"},
		{"a variable with an open default", policy.Identity, resource(`"arn:aws:ecr:*:*:repository/${aws:username, 'x}"`), "Statement[0].Resource", "single quotes"},
		{"a principal in an identity's policy", policy.Identity, statement(allowAll + `,"Principal":"*"`), "Statement[0].Principal", "should not specify a principal"},
		{"a Sid with a space", policy.Identity, statement(`"Sid":"a b",` + allowAll), "Statement[0].Sid", "alpha-numeric"},
		{"a Sid twice", policy.Identity, `{"Statement":[{"Sid":"a",` + allowAll + `},{"Sid":"a",` + allowAll + `}]}`, "Statement[1].Sid", "unique"},
		{"an unknown operator", policy.Identity, with(`{"StringMatches":{"aws:username":"a"}}`), "Statement[0].Condition.StringMatches", "no condition operator"},
		{"an unknown set prefix", policy.Identity, with(`{"ForSomeValues:StringEquals":{"aws:username":"a"}}`), "Statement[0].Condition.ForSomeValues:StringEquals", "no condition operator"},
		{"Null of a set", policy.Identity, with(`{"ForAnyValue:Null":{"aws:username":"true"}}`), "Statement[0].Condition.ForAnyValue:Null", "no condition operator"},
		{"a value that is an object", policy.Identity, with(`{"StringEquals":{"aws:username":{}}}`), "Statement[0].Condition.StringEquals", "must be a string"},
		{"an operator without keys", policy.Identity, with(`{"StringEquals":"a"}`), "Statement[0].Condition.StringEquals", "must be an object"},
		{"no number", policy.Identity, with(`{"NumericEquals":{"a:b":"1e3"}}`), "Statement[0].Condition.NumericEquals", "not a number"},
		{"no date", policy.Identity, with(`{"DateEquals":{"aws:CurrentTime":"tomorrow"}}`), "Statement[0].Condition.DateEquals", "not a date"},
		{"no boolean", policy.Identity, with(`{"Bool":{"aws:SecureTransport":"yes"}}`), "Statement[0].Condition.Bool", "not true or false"},
		{"no boolean of Null", policy.Identity, with(`{"Null":{"aws:username":""}}`), "Statement[0].Condition.Null", "not true or false"},
		{"no base64", policy.Identity, with(`{"BinaryEquals":{"a:b":"?"}}`), "Statement[0].Condition.BinaryEquals", "not base64"},
		{"no address", policy.Identity, with(`{"IpAddress":{"aws:SourceIp":"10.0.0.*"}}`), "Statement[0].Condition.IpAddress", "not an IP address"},
		{"no ARN", policy.Identity, with(`{"ArnLike":{"aws:PrincipalArn":"*"}}`), "Statement[0].Condition.ArnLike", "not an ARN"},
		{"half an ARN in a condition", policy.Identity, with(`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::000000000001"}}`), "Statement[0].Condition.ArnLike", "not an ARN"},
		{"no principal", policy.Resource, statement(allowAll), "Statement[0]", "Principal"},
		{"both principals", policy.Resource, statement(`"Effect":"Deny","Action":"*","Principal":"*","NotPrincipal":"*"`), "Statement[0]", "both Principal and NotPrincipal"},
		{"NotPrincipal with Allow", policy.Resource, statement(`"Effect":"Allow","Action":"*","NotPrincipal":{"AWS":"000000000001"}`), "Statement[0]", "effect Deny"},
		{"an empty list of principals", policy.Resource, principal(`{"AWS":[]}`), "Statement[0].Principal", "it is empty"},
		{"a principal that is a text", policy.Resource, principal(`"000000000001"`), "Statement[0].Principal", "Invalid principal"},
		{"part of a principal", policy.Resource, principal(`{"AWS":"arn:aws:iam::000000000001:user/*"}`), "Statement[0].Principal", `Invalid principal in policy: "AWS":"arn:aws:iam::000000000001:user/*"`},
		{"a group", policy.Resource, principal(`{"AWS":"arn:aws:iam::000000000001:group/g"}`), "Statement[0].Principal", "Invalid principal"},
		{"an account of 11 digits", policy.Resource, principal(`{"AWS":"00000000001"}`), "Statement[0].Principal", "Invalid principal"},
		{"an account with dashes", policy.Resource, principal(`{"AWS":"arn:aws:iam::0000-0000-0001:root"}`), "Statement[0].Principal", "Invalid principal"},
		{"a role session by id without name", policy.Resource, principal(`{"AWS":"AROAIOSFODNN7EXAMPLE0:"}`), "Statement[0].Principal", "Invalid principal"},
		{"a role session by id with two names", policy.Resource, principal(`{"AWS":"AROAIOSFODNN7EXAMPLE0:s:t"}`), "Statement[0].Principal", "Invalid principal"},
		{"a user's session by id", policy.Resource, principal(`{"AWS":"AIDAIOSFODNN7EXAMPLE0:s"}`), "Statement[0].Principal", "Invalid principal"},
		{"every session of a role by id", policy.Resource, principal(`{"AWS":"AROAIOSFODNN7EXAMPLE0:*"}`), "Statement[0].Principal", "Invalid principal"},
		{"a role session without name", policy.Resource, principal(`{"AWS":"arn:aws:sts::000000000001:assumed-role/r"}`), "Statement[0].Principal", "Invalid principal"},
		{"any service", policy.Resource, principal(`{"Service":"*"}`), "Statement[0].Principal", "Invalid principal"},
		{"any provider", policy.Resource, principal(`{"Federated":"*"}`), "Statement[0].Principal", "Invalid principal"},
		{"an unknown type of principal", policy.Resource, principal(`{"CanonicalUser":"x"}`), "Statement[0].Principal", "Invalid principal type"},
		{"Resource in a trust policy", policy.Trust, statement(trust + `"Action":"sts:AssumeRole","Resource":"*"`), "Statement[0].Resource", "prohibited field Resource"},
		{"NotAction in a trust policy", policy.Trust, statement(trust + `"NotAction":"sts:AssumeRole"`), "Statement[0]", "prohibited field NotAction"},
		{"NotPrincipal in a trust policy", policy.Trust, statement(`"Effect":"Deny","NotPrincipal":"*","Action":"sts:AssumeRole"`), "Statement[0]", "prohibited field NotPrincipal"},
		{"another service in a trust policy", policy.Trust, statement(trust + `"Action":["sts:AssumeRole","ecr:*"]`), "Statement[0].Action", "AssumeRole policy may only specify STS"},
	} {
		p, err := policy.Parse(c.document, c.kind)
		var malformed *policy.MalformedError
		if !errors.As(err, &malformed) || p != nil {
			t.Errorf("%s: Parse = %v, %v: want a MalformedError", c.name, p, err)
			continue
		}
		if malformed.Path != c.path || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: %q at %q, want %q at %q", c.name, err, malformed.Path, c.message, c.path)
		}
		if !strings.Contains(err.Error(), strings.TrimSuffix(malformed.Message, ".")) || !strings.Contains(err.Error(), malformed.Detail) || !strings.Contains(err.Error(), malformed.Path) {
			t.Errorf("%s: the error's text leaves something out: %v", c.name, err)
		}
	}
}

func TestSize_WhiteSpace(t *testing.T) {
	if n := policy.Size("{ \"a\" :\n\t\"ä\" }"); n != 9 {
		t.Errorf("Size = %d, want 9", n)
	}
}

func TestPolicy_ContextKeys(t *testing.T) {
	p := parse(t, `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"*","Resource":"arn:aws:ecr:*:*:repository/${aws:username}"},
		{"Effect":"Deny","Action":"*","Resource":"*","Condition":{
			"StringNotEqualsIgnoreCase":{"aws:PrincipalTag/Team":"${aws:PrincipalTag/other}"},
			"StringLike":{"aws:UserName":"x"},
			"ArnLike":{"aws:PrincipalArn":["arn:aws:iam::000000000001:user/${aws:userid}","${aws:SourceArn}"]}}}]}`, policy.Identity)
	want := []string{"aws:principalarn", "aws:principaltag/other", "aws:principaltag/team", "aws:sourcearn", "aws:userid", "aws:username"}
	if got := p.ContextKeys(); !slices.Equal(got, want) {
		t.Errorf("ContextKeys = %v, want %v", got, want)
	}
}

func TestPolicy_WithSource(t *testing.T) {
	p := parse(t, statement(`"Sid":"Everything",`+allowAll), policy.Identity)
	labelled := p.WithSource(policy.Source{Name: "n", ARN: "a", Attachment: "user/u"})
	if p.Source() != (policy.Source{}) || labelled.Source().Name != "n" || labelled.StatementID(0) != "Everything" || labelled.StatementID(1) != "" {
		t.Errorf("got %+v of %+v", labelled, p)
	}
}
