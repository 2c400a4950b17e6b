package policy_test

import (
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

// The situations that the IAM User Guide works through, with the actions of an
// artifact platform.

// "Permissions boundaries for IAM entities": the boundary limits and gives
// nothing.
func TestExample_Boundary(t *testing.T) {
	boundary := parse(t, statement(`"Effect":"Allow","Action":["ecr:*","codeartifact:*","cloudwatch:*"],"Resource":"*"`), policy.Identity)
	identity := parse(t, statement(`"Effect":"Allow","Action":["iam:CreateUser","ecr:PutImage"],"Resource":"*"`), policy.Identity)
	for action, want := range map[string]verdict{
		"iam:CreateUser":          {policy.ImplicitDeny, policy.PermissionsBoundary},
		"ecr:PutImage":            {policy.Allowed, policy.IdentityBased},
		"codeartifact:GetPackage": {policy.ImplicitDeny, policy.IdentityBased},
	} {
		d := policy.Evaluate(&policy.Input{Principal: alice, Action: action, Resource: "*", Identity: []*policy.Policy{identity}, Boundary: boundary})
		if got := (verdict{d.Outcome, d.Type}); got != want {
			t.Errorf("%s: %v, want %v", action, got, want)
		}
	}
}

// "Delegating responsibility to others using permissions boundaries": users may
// be created by those who give them the boundary, and no one may take it away.
func TestExample_DelegatedAdministrator(t *testing.T) {
	const boundaryARN = "arn:aws:iam::000000000001:policy/Boundary"
	identity := parse(t, `{"Version":"2012-10-17","Statement":[
		{"Sid":"CreateOrChangeOnlyWithBoundary","Effect":"Allow","Action":["iam:AttachUserPolicy","iam:CreateUser","iam:PutUserPolicy"],"Resource":"*",
			"Condition":{"StringEquals":{"iam:PermissionsBoundary":"`+boundaryARN+`"}}},
		{"Sid":"Read","Effect":"Allow","Action":["iam:Get*","iam:List*"],"Resource":"*"},
		{"Sid":"NoBoundaryPolicyEdit","Effect":"Deny","Action":["iam:CreatePolicyVersion","iam:DeletePolicy"],"Resource":"`+boundaryARN+`"},
		{"Sid":"NoBoundaryUserDelete","Effect":"Deny","Action":"iam:DeleteUserPermissionsBoundary","Resource":"*"}]}`, policy.Identity)
	all := parse(t, statement(allowAll), policy.Identity)
	with := keys{"iam:permissionsboundary": {boundaryARN}}
	for name, c := range map[string]struct {
		action, resource string
		k                keys
		policies         []*policy.Policy
		want             policy.Outcome
	}{
		"creates with the boundary":    {"iam:CreateUser", "arn:aws:iam::000000000001:user/new", with, []*policy.Policy{identity}, policy.Allowed},
		"creates without":              {"iam:CreateUser", "arn:aws:iam::000000000001:user/new", nil, []*policy.Policy{identity}, policy.ImplicitDeny},
		"creates with another":         {"iam:CreateUser", "arn:aws:iam::000000000001:user/new", keys{"iam:permissionsboundary": {boundaryARN + "2"}}, []*policy.Policy{identity}, policy.ImplicitDeny},
		"edits the boundary":           {"iam:CreatePolicyVersion", boundaryARN, nil, []*policy.Policy{all, identity}, policy.ExplicitDeny},
		"edits another policy":         {"iam:CreatePolicyVersion", boundaryARN + "2", nil, []*policy.Policy{all, identity}, policy.Allowed},
		"takes a user's boundary away": {"iam:DeleteUserPermissionsBoundary", "arn:aws:iam::000000000001:user/new", with, []*policy.Policy{all, identity}, policy.ExplicitDeny},
	} {
		in := &policy.Input{Principal: alice, Action: c.action, Resource: c.resource, Context: c.k, Identity: c.policies}
		if got := policy.Evaluate(in).Outcome; got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// "AWS: denies access to AWS based on the source IP", which exempts what AWS's
// services do for the caller.
func TestExample_SourceIP(t *testing.T) {
	identity := parse(t, `{"Version":"2012-10-17","Statement":[{`+allowAll+`},
		{"Effect":"Deny","Action":"*","Resource":"*","Condition":{
			"NotIpAddress":{"aws:SourceIp":["192.0.2.0/24","2001:db8:1::/48"]},"Bool":{"aws:ViaAWSService":"false"}}}]}`, policy.Identity)
	for ip, want := range map[string]policy.Outcome{
		"192.0.2.200": policy.Allowed, "2001:db8:1::5": policy.Allowed, "203.0.113.9": policy.ExplicitDeny, "": policy.ExplicitDeny,
	} {
		k := keys{"aws:viaawsservice": {"false"}}
		if ip != "" {
			k["aws:sourceip"] = []string{ip}
		}
		in := &policy.Input{Principal: alice, Action: "ecr:PutImage", Resource: "*", Context: k, Identity: []*policy.Policy{identity}}
		if got := policy.Evaluate(in).Outcome; got != want {
			t.Errorf("from %q: %v, want %v", ip, got, want)
		}
	}
}

// "AWS: denies all requests without MFA": IfExists makes long-term keys, which
// have no such key, be denied too.
func TestExample_MFA(t *testing.T) {
	identity := parse(t, `{"Version":"2012-10-17","Statement":[{`+allowAll+`},
		{"Effect":"Deny","NotAction":["iam:CreateVirtualMFADevice","sts:GetSessionToken"],"Resource":"*",
			"Condition":{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}}]}`, policy.Identity)
	for name, c := range map[string]struct {
		action string
		k      keys
		want   policy.Outcome
	}{
		"with MFA":               {"ecr:PutImage", keys{"aws:multifactorauthpresent": {"true"}}, policy.Allowed},
		"without":                {"ecr:PutImage", keys{"aws:multifactorauthpresent": {"false"}}, policy.ExplicitDeny},
		"with a long-term key":   {"ecr:PutImage", nil, policy.ExplicitDeny},
		"what one needs for MFA": {"sts:GetSessionToken", nil, policy.Allowed},
	} {
		in := &policy.Input{Principal: alice, Action: c.action, Resource: "*", Context: c.k, Identity: []*policy.Policy{identity}}
		if got := policy.Evaluate(in).Outcome; got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// "Using multiple keys and values", of the tags in a request: some tags must be
// there, and no others may.
func TestExample_RequiredTags(t *testing.T) {
	identity := parse(t, statement(`"Effect":"Allow","Action":"ecr:CreateRepository","Resource":"*","Condition":{
		"StringEquals":{"aws:RequestTag/environment":["preprod","production"]},
		"ForAllValues:StringEquals":{"aws:TagKeys":["environment","cost"]},
		"Null":{"aws:RequestTag/environment":"false"}}`), policy.Identity)
	for name, c := range map[string]struct {
		k    keys
		want policy.Outcome
	}{
		"one":             {keys{"aws:requesttag/environment": {"preprod"}, "aws:tagkeys": {"environment"}}, policy.Allowed},
		"both":            {keys{"aws:requesttag/environment": {"production"}, "aws:tagkeys": {"environment", "cost"}}, policy.Allowed},
		"another value":   {keys{"aws:requesttag/environment": {"test"}, "aws:tagkeys": {"environment"}}, policy.ImplicitDeny},
		"one too many":    {keys{"aws:requesttag/environment": {"preprod"}, "aws:tagkeys": {"environment", "team"}}, policy.ImplicitDeny},
		"none":            {nil, policy.ImplicitDeny},
		"another instead": {keys{"aws:tagkeys": {"cost"}}, policy.ImplicitDeny},
	} {
		in := &policy.Input{Principal: alice, Action: "ecr:CreateRepository", Resource: aRepository + "a", Context: c.k, Identity: []*policy.Policy{identity}}
		if got := policy.Evaluate(in).Outcome; got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// "How to use an external ID", against the confused deputy.
func TestExample_ExternalID(t *testing.T) {
	trust := parse(t, statement(`"Effect":"Allow","Principal":{"AWS":"`+ours+`"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"12345"}}`), policy.Trust)
	identity := parse(t, statement(`"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::*:role/deploy"`), policy.Identity)
	for id, want := range map[string]verdict{
		"12345": {policy.Allowed, policy.IdentityBased},
		"54321": {policy.ImplicitDeny, policy.RoleTrust},
		"":      {policy.ImplicitDeny, policy.RoleTrust},
	} {
		k := keys{}
		if id != "" {
			k["sts:externalid"] = []string{id}
		}
		d := policy.Evaluate(&policy.Input{
			Principal: alice, Action: "sts:AssumeRole", Resource: "arn:aws:iam::" + theirs + ":role/deploy", ResourceAccount: theirs,
			Context: k, Identity: []*policy.Policy{identity}, Resources: []*policy.Policy{trust},
		})
		if got := (verdict{d.Outcome, d.Type}); got != want {
			t.Errorf("external id %q: %v, want %v", id, got, want)
		}
	}
}
