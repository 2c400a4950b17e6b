package policy_test

import (
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

// The section "Example IAM identity-based policies" of the IAM User Guide, and
// the policies in the guide's procedures, with the actions of ECR and CodeArtifact
// and in our own words.

// "AWS: Denies access to AWS based on the requested Region".
func TestExample_Regions(t *testing.T) {
	both := one(`{"Version":"2012-10-17","Statement":[{` + allowAll + `},
		{"Sid":"OutsideOurRegions","Effect":"Deny","NotAction":["iam:*","sts:*"],"Resource":"*",
			"Condition":{"StringNotEquals":{"aws:RequestedRegion":["eu-central-1","eu-west-1"]}}}]}`)
	in := func(action, region string) request {
		return request{identity: both, action: action, resource: "*", keys: keys{"aws:requestedregion": {region}}}
	}
	checkGuide(t, []guideCase{
		{"in one", in("ecr:PutImage", "eu-west-1"), byIdentity},
		{"in another", in("ecr:PutImage", "us-east-1"), forbidden},
		{"a service without regions", in("iam:CreateUser", "us-east-1"), byIdentity},
		{"a region that begins so", in("ecr:PutImage", "eu-west-10"), forbidden},
		{"no region at all", request{identity: both, action: "ecr:PutImage", resource: "*"}, forbidden},
	})
}

// "AWS: Allows access based on date and time", and "Revoke IAM role temporary
// security credentials", which is a Deny of what is older than a moment.
func TestExample_Dates(t *testing.T) {
	window := one(statement(`"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{
		"DateGreaterThan":{"aws:CurrentTime":"2026-04-01T00:00:00Z"},"DateLessThan":{"aws:CurrentTime":"2026-06-30T23:59:59Z"}}`))
	at := func(moment string) request {
		return request{identity: window, action: "ecr:PutImage", resource: "*", keys: keys{"aws:currenttime": {moment}}}
	}
	revoke := one(`{"Version":"2012-10-17","Statement":[{` + allowAll + `},
		{"Effect":"Deny","Action":["*"],"Resource":["*"],"Condition":{"DateLessThan":{"aws:TokenIssueTime":"2026-05-01T12:00:00.000Z"}}}]}`)
	issued := func(moment string) request {
		return request{principal: session, identity: revoke, action: "ecr:PutImage", resource: "*", keys: keys{"aws:tokenissuetime": {moment}}}
	}
	checkGuide(t, []guideCase{
		{"before", at("2026-03-31T23:59:59Z"), nothing},
		{"within", at("2026-05-01T00:00:00Z"), byIdentity},
		{"within, as a number", at("1777593600"), byIdentity},
		{"after", at("2026-07-01T00:00:00Z"), nothing},
		{"at its end", at("2026-06-30T23:59:59Z"), nothing},
		{"issued before", issued("2026-05-01T11:59:59Z"), forbidden},
		{"issued at that moment", issued("2026-05-01T12:00:00Z"), byIdentity},
		{"issued after", issued("2026-05-01T12:00:01Z"), byIdentity},
		{"a long-term key, which was not issued", request{identity: revoke, action: "ecr:PutImage", resource: "*"}, byIdentity},
	})
}

// "AWS: Allows IAM users to manage their own password, access keys…".
func TestExample_OwnAccessKeys(t *testing.T) {
	own := one(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["iam:CreateAccessKey","iam:DeleteAccessKey","iam:ListAccessKeys","iam:UpdateAccessKey"],
			"Resource":"arn:aws:iam::*:user/${aws:username}"},
		{"Effect":"Allow","Action":"iam:ListUsers","Resource":"*"}]}`)
	of := func(user, name string) request {
		return request{identity: own, action: "iam:CreateAccessKey", resource: "arn:aws:iam::000000000001:user/" + user, keys: keys{"aws:username": {name}}}
	}
	checkGuide(t, []guideCase{
		{"one's own", of("alice", "alice"), byIdentity},
		{"another's", of("bob", "alice"), nothing},
		{"another's whose name begins so", of("alice2", "alice"), nothing},
		{"one's own below a path", of("people/alice", "alice"), nothing},
		{"a user named by a star", of("bob", "*"), nothing},
		{"a session, which has no username", request{principal: session, identity: own, action: "iam:CreateAccessKey", resource: "arn:aws:iam::000000000001:user/"}, nothing},
		{"an action without a resource", request{identity: own, action: "iam:ListUsers", resource: "*"}, byIdentity},
	})
}

// "Establish permissions guardrails using data perimeters": one's identities reach
// the resources of one's own accounts.
func TestExample_DataPerimeter(t *testing.T) {
	perimeter := one(`{"Version":"2012-10-17","Statement":[{` + allowAll + `},
		{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringNotEqualsIfExists":{"aws:ResourceAccount":"${aws:PrincipalAccount}"}}}]}`)
	on := func(account string) request {
		return request{identity: perimeter, action: "ecr:BatchGetImage", resource: "*", keys: keys{"aws:resourceaccount": {account}, "aws:principalaccount": {ours}}}
	}
	checkGuide(t, []guideCase{
		{"one's own", on(ours), byIdentity},
		{"another's", on(theirs), forbidden},
		{"what is of no account, since IfExists holds then", request{identity: perimeter, action: "ecr:BatchGetImage", resource: "*", keys: keys{"aws:principalaccount": {ours}}}, forbidden},
	})
}

// "IAM tutorial: Define permissions to access AWS resources based on tags":
// creating with the tags of one's own, and no way to change them afterwards.
func TestExample_OwnTags(t *testing.T) {
	abac := one(`{"Version":"2012-10-17","Statement":[
		{"Sid":"Create","Effect":"Allow","Action":["ecr:CreateRepository","ecr:TagResource"],"Resource":"*","Condition":{
			"StringEquals":{"aws:RequestTag/project":"${aws:PrincipalTag/project}"},
			"ForAllValues:StringEquals":{"aws:TagKeys":["project","name"]},
			"StringEqualsIfExists":{"aws:ResourceTag/project":"${aws:PrincipalTag/project}"}}},
		{"Sid":"Use","Effect":"Allow","Action":["ecr:BatchGetImage","ecr:DeleteRepository"],"Resource":"*","Condition":{
			"StringEquals":{"aws:ResourceTag/project":"${aws:PrincipalTag/project}"}}},
		{"Sid":"NoUntag","Effect":"Deny","Action":"ecr:UntagResource","Resource":"*"}]}`)
	with := func(action string, k keys) request {
		k["aws:principaltag/project"] = []string{"peg"}
		return request{identity: abac, action: action, resource: aRepository + "a", keys: k}
	}
	checkGuide(t, []guideCase{
		{"creates with its project", with("ecr:CreateRepository", keys{"aws:requesttag/project": {"peg"}, "aws:tagkeys": {"project"}}), byIdentity},
		{"creates with another's", with("ecr:CreateRepository", keys{"aws:requesttag/project": {"uni"}, "aws:tagkeys": {"project"}}), nothing},
		{"creates without", with("ecr:CreateRepository", keys{}), nothing},
		{"creates with a tag too many", with("ecr:CreateRepository", keys{"aws:requesttag/project": {"peg"}, "aws:tagkeys": {"project", "cost"}}), nothing},
		{"takes another's over by tagging it", with("ecr:TagResource", keys{"aws:requesttag/project": {"peg"}, "aws:tagkeys": {"project"}, "aws:resourcetag/project": {"uni"}}), nothing},
		{"tags its own", with("ecr:TagResource", keys{"aws:requesttag/project": {"peg"}, "aws:tagkeys": {"project", "name"}, "aws:resourcetag/project": {"peg"}}), byIdentity},
		{"uses its own", with("ecr:DeleteRepository", keys{"aws:resourcetag/project": {"peg"}}), byIdentity},
		{"uses another's", with("ecr:DeleteRepository", keys{"aws:resourcetag/project": {"uni"}}), nothing},
		{"a resource without a tag", with("ecr:DeleteRepository", keys{}), nothing},
		{"untags", with("ecr:UntagResource", keys{"aws:resourcetag/project": {"peg"}}), forbidden},
		{"a principal without a project", request{identity: abac, action: "ecr:BatchGetImage", resource: aRepository + "a", keys: keys{"aws:resourcetag/project": {"peg"}}}, nothing},
	})
}

// "Session policies": a session has what its role and the policy that was passed
// both allow, and a Deny in either decides.
func TestExample_SessionPolicy(t *testing.T) {
	role := one(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["ecr:*","codeartifact:*"],"Resource":"*"},{"Effect":"Deny","Action":"ecr:DeleteRepository","Resource":"*"}]}`)
	passed := one(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["ecr:*","iam:*"],"Resource":"*"},{"Effect":"Deny","Action":"ecr:PutImage","Resource":"*"}]}`)
	in := func(action string) request {
		return request{principal: session, identity: role, session: passed, hasSession: true, action: action, resource: "*"}
	}
	checkGuide(t, []guideCase{
		{"both", in("ecr:BatchGetImage"), byIdentity},
		{"the role alone", in("codeartifact:GetPackage"), verdict{policy.ImplicitDeny, policy.SessionPolicy}},
		{"the session alone", in("iam:CreateUser"), nothing},
		{"denied by the role", in("ecr:DeleteRepository"), forbidden},
		{"denied by the session", in("ecr:PutImage"), verdict{policy.ExplicitDeny, policy.SessionPolicy}},
	})
}
