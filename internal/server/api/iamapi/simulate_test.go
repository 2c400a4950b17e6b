package iamapi_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
)

const (
	aRepository = "arn:aws:ecr:eu-central-1:" + account + ":repository/team/app"
	aliceARN    = "arn:aws:iam::" + account + ":user/alice"
)

// document is a policy of one statement with these members.
func document(members string) string {
	return `{"Version":"2012-10-17","Statement":[{` + members + `}]}`
}

// alice creates a user with an inline policy.
func alice(t *testing.T, c *api.Client, inline string) {
	t.Helper()
	name := aws.String("alice")
	must[api.CreateUserOutput](t)(c.CreateUser(t.Context(), &api.CreateUserInput{UserName: name, Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("red")}}}))
	must[api.PutUserPolicyOutput](t)(c.PutUserPolicy(t.Context(), &api.PutUserPolicyInput{UserName: name, PolicyName: aws.String("inline"), PolicyDocument: &inline}))
}

func simulate(t *testing.T, c *api.Client, in *api.SimulatePrincipalPolicyInput) types.EvaluationResult {
	t.Helper()
	results := must[api.SimulatePrincipalPolicyOutput](t)(c.SimulatePrincipalPolicy(t.Context(), in)).EvaluationResults
	if len(results) != 1 {
		t.Fatalf("%d results", len(results))
	}
	return results[0]
}

func TestSimulatePrincipalPolicy_Statements(t *testing.T) {
	_, c := serve(t)
	alice(t, c, "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [\n    {\"Effect\":\"Allow\",\"Action\":\"ecr:*\",\"Resource\":\"*\"},\n    {\"Effect\":\"Deny\",\"Action\":\"ecr:Delete*\",\"Resource\":\"*\"}\n  ]\n}")
	ctx := t.Context()
	must[api.AttachUserPolicyOutput](t)(c.AttachUserPolicy(ctx, &api.AttachUserPolicyInput{UserName: aws.String("alice"), PolicyArn: aws.String("arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly")}))
	must[api.CreateGroupOutput](t)(c.CreateGroup(ctx, &api.CreateGroupInput{GroupName: aws.String("ops")}))
	must[api.PutGroupPolicyOutput](t)(c.PutGroupPolicy(ctx, &api.PutGroupPolicyInput{GroupName: aws.String("ops"), PolicyName: aws.String("pull"), PolicyDocument: aws.String(document(`"Effect":"Allow","Action":"ecr:BatchGetImage","Resource":"*"`))}))
	must[api.AddUserToGroupOutput](t)(c.AddUserToGroup(ctx, &api.AddUserToGroupInput{GroupName: aws.String("ops"), UserName: aws.String("alice")}))

	pull := simulate(t, c, &api.SimulatePrincipalPolicyInput{PolicySourceArn: aws.String(aliceARN), ActionNames: []string{"ecr:BatchGetImage"}, ResourceArns: []string{aRepository}})
	var sources []string
	for _, s := range pull.MatchedStatements {
		sources = append(sources, string(s.SourcePolicyType)+" "+*s.SourcePolicyId)
	}
	want := []string{"IAM Policy inline", "IAM Policy arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly", "IAM Policy pull"}
	if pull.EvalDecision != types.PolicyEvaluationDecisionTypeAllowed || !slices.Equal(sources, want) {
		t.Errorf("pull: %s by %q, want %q", pull.EvalDecision, sources, want)
	}
	if p := pull.MatchedStatements[0]; p.StartPosition.Line != 4 || p.StartPosition.Column != 6 || p.EndPosition.Line != 4 {
		t.Errorf("the statement stands at %+v to %+v", *p.StartPosition, *p.EndPosition)
	}
	if o := pull.OrganizationsDecisionDetail; o == nil || !o.AllowedByOrganizations {
		t.Errorf("the organization's decision: %+v", o)
	}
	if r := pull.ResourceSpecificResults; len(r) != 1 || r[0].EvalResourceDecision != pull.EvalDecision || *r[0].EvalResourceName != aRepository || len(r[0].MatchedStatements) != 3 {
		t.Errorf("results of the resource: %+v", r)
	}

	remove := simulate(t, c, &api.SimulatePrincipalPolicyInput{PolicySourceArn: aws.String(aliceARN), ActionNames: []string{"ecr:DeleteRepository"}})
	if remove.EvalDecision != types.PolicyEvaluationDecisionTypeExplicitDeny || len(remove.MatchedStatements) != 1 || remove.MatchedStatements[0].StartPosition.Line != 5 || remove.ResourceSpecificResults != nil {
		t.Errorf("delete: %+v", remove)
	}
	none := simulate(t, c, &api.SimulatePrincipalPolicyInput{PolicySourceArn: aws.String("arn:aws:iam::" + account + ":group/ops"), ActionNames: []string{"ecr:PutImage"}})
	if none.EvalDecision != types.PolicyEvaluationDecisionTypeImplicitDeny || none.EvalDecisionDetails["IAM Policy"] != types.PolicyEvaluationDecisionTypeImplicitDeny {
		t.Errorf("a group that may not push: %+v", none)
	}
}

func TestSimulatePrincipalPolicy_ContextKeys(t *testing.T) {
	_, c := serve(t)
	alice(t, c, document(`"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"},"StringEquals":{"aws:PrincipalTag/team":"red","ecr:ResourceTag/team":["red","blue"]}}`))
	in := &api.SimulatePrincipalPolicyInput{PolicySourceArn: aws.String(aliceARN), ActionNames: []string{"ecr:PutImage"}, ResourceArns: []string{aRepository}}
	without := simulate(t, c, in)
	if missing := without.MissingContextValues; without.EvalDecision != types.PolicyEvaluationDecisionTypeImplicitDeny || !slices.Equal(missing, []string{"aws:sourceip", "ecr:resourcetag/team"}) {
		t.Errorf("without keys: %s, missing %v", without.EvalDecision, missing)
	}
	in.ContextEntries = []types.ContextEntry{
		{ContextKeyName: aws.String("aws:SourceIp"), ContextKeyType: types.ContextKeyTypeEnumIp, ContextKeyValues: []string{"10.1.2.3"}},
		{ContextKeyName: aws.String("ecr:ResourceTag/team"), ContextKeyType: types.ContextKeyTypeEnumString, ContextKeyValues: []string{"blue"}},
	}
	if with := simulate(t, c, in); with.EvalDecision != types.PolicyEvaluationDecisionTypeAllowed || len(with.MissingContextValues) != 0 {
		t.Errorf("with its keys: %+v", with)
	}
	keys := must[api.GetContextKeysForPrincipalPolicyOutput](t)(c.GetContextKeysForPrincipalPolicy(t.Context(), &api.GetContextKeysForPrincipalPolicyInput{
		PolicySourceArn: aws.String(aliceARN), PolicyInputList: []string{document(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Null":{"aws:TokenIssueTime":"true"}}`)},
	})).ContextKeyNames
	if want := []string{"aws:principaltag/team", "aws:sourceip", "aws:tokenissuetime", "ecr:resourcetag/team"}; !slices.Equal(keys, want) {
		t.Errorf("keys %v, want %v", keys, want)
	}
	custom := must[api.GetContextKeysForCustomPolicyOutput](t)(c.GetContextKeysForCustomPolicy(t.Context(), &api.GetContextKeysForCustomPolicyInput{PolicyInputList: []string{allowECR}})).ContextKeyNames
	if len(custom) != 0 {
		t.Errorf("keys %v of a policy without any", custom)
	}
}

func TestSimulatePrincipalPolicy_BoundaryAndResourcePolicy(t *testing.T) {
	_, c := serve(t)
	ctx := t.Context()
	alice(t, c, allowECR)
	must[api.PutUserPermissionsBoundaryOutput](t)(c.PutUserPermissionsBoundary(ctx, &api.PutUserPermissionsBoundaryInput{UserName: aws.String("alice"), PermissionsBoundary: aws.String("arn:aws:iam::aws:policy/IAMReadOnlyAccess")}))
	in := &api.SimulatePrincipalPolicyInput{PolicySourceArn: aws.String(aliceARN), ActionNames: []string{"ecr:PutImage"}, ResourceArns: []string{aRepository}}
	limited := simulate(t, c, in)
	if d := limited.PermissionsBoundaryDecisionDetail; limited.EvalDecision != types.PolicyEvaluationDecisionTypeImplicitDeny || d == nil || d.AllowedByPermissionsBoundary || len(limited.MatchedStatements) != 1 {
		t.Errorf("with her own boundary: %+v", limited)
	}
	in.PermissionsBoundaryPolicyInputList = []string{allowECR}
	wide := simulate(t, c, in)
	if d := wide.PermissionsBoundaryDecisionDetail; wide.EvalDecision != types.PolicyEvaluationDecisionTypeAllowed || d == nil || !d.AllowedByPermissionsBoundary {
		t.Errorf("with another boundary: %+v", wide)
	}

	// In another account's repository.
	in.ResourceArns = []string{strings.Replace(aRepository, account, iamtest.Other, 1)}
	abroad := simulate(t, c, in)
	if abroad.EvalDecision != types.PolicyEvaluationDecisionTypeImplicitDeny || abroad.EvalDecisionDetails["Resource Policy"] != types.PolicyEvaluationDecisionTypeImplicitDeny || abroad.EvalDecisionDetails["IAM Policy"] != types.PolicyEvaluationDecisionTypeAllowed {
		t.Errorf("without the other side: %+v", abroad)
	}
	in.ResourcePolicy = aws.String(document(`"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"ecr:*"`))
	if both := simulate(t, c, in); both.EvalDecision != types.PolicyEvaluationDecisionTypeAllowed {
		t.Errorf("with both sides: %+v", both)
	}
	in.ResourceArns, in.ResourceOwner = nil, aws.String("arn:aws:iam::"+iamtest.Other+":root")
	in.ResourcePolicy = nil
	if owned := simulate(t, c, in); owned.EvalDecision != types.PolicyEvaluationDecisionTypeImplicitDeny {
		t.Errorf("a resource that another account owns: %+v", owned)
	}
}

func TestSimulatePrincipalPolicy_RolesSessionsTrust(t *testing.T) {
	_, c := serve(t)
	ctx, role := t.Context(), aws.String("ci")
	must[api.CreateRoleOutput](t)(c.CreateRole(ctx, &api.CreateRoleInput{RoleName: role, Path: aws.String("/build/"), AssumeRolePolicyDocument: trusting(account)}))
	must[api.PutRolePolicyOutput](t)(c.PutRolePolicy(ctx, &api.PutRolePolicyInput{RoleName: role, PolicyName: aws.String("p"), PolicyDocument: aws.String(document(`"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"StringLike":{"aws:userid":"*:build"}}`))}))
	alice(t, c, document(`"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"`))
	for source, want := range map[string]types.PolicyEvaluationDecisionType{
		"arn:aws:iam::" + account + ":role/build/ci":         types.PolicyEvaluationDecisionTypeImplicitDeny, // without a session it has no aws:userid
		"arn:aws:sts::" + account + ":assumed-role/ci/build": types.PolicyEvaluationDecisionTypeAllowed,
		"arn:aws:sts::" + account + ":assumed-role/ci/other": types.PolicyEvaluationDecisionTypeImplicitDeny,
		"arn:aws:iam::" + account + ":root":                  types.PolicyEvaluationDecisionTypeAllowed,
		"arn:aws:iam::" + account + ":user/admin":            types.PolicyEvaluationDecisionTypeAllowed,
		"arn:aws:iam::" + account + ":user/alice":            types.PolicyEvaluationDecisionTypeImplicitDeny,
	} {
		if got := simulate(t, c, &api.SimulatePrincipalPolicyInput{PolicySourceArn: &source, ActionNames: []string{"ecr:PutImage"}}); got.EvalDecision != want {
			t.Errorf("%s: %s, want %s", source, got.EvalDecision, want)
		}
	}
	assume := &api.SimulatePrincipalPolicyInput{
		PolicySourceArn: aws.String(aliceARN), ActionNames: []string{"sts:AssumeRole"}, ResourceArns: []string{"arn:aws:iam::" + account + ":role/build/ci"},
		ResourcePolicy: trusting("arn:aws:iam::" + account + ":user/bob"),
	}
	if got := simulate(t, c, assume); got.EvalDecision != types.PolicyEvaluationDecisionTypeImplicitDeny || got.EvalDecisionDetails["Role Trust Policy"] != types.PolicyEvaluationDecisionTypeImplicitDeny {
		t.Errorf("a role that does not trust her: %+v", got)
	}
	assume.ResourcePolicy = trusting(account)
	if got := simulate(t, c, assume); got.EvalDecision != types.PolicyEvaluationDecisionTypeAllowed {
		t.Errorf("a role that trusts the account: %+v", got)
	}
	// As someone else, with her policies.
	assume.CallerArn, assume.ResourcePolicy = aws.String("arn:aws:iam::"+account+":user/bob"), trusting("arn:aws:iam::"+account+":user/bob")
	if got := simulate(t, c, assume); got.EvalDecision != types.PolicyEvaluationDecisionTypeAllowed {
		t.Errorf("as bob: %+v", got)
	}
}

func TestSimulateCustomPolicy(t *testing.T) {
	_, c := serve(t)
	in := &api.SimulateCustomPolicyInput{
		PolicyInputList: []string{document(`"Effect":"Allow","Action":"ecr:*","Resource":"*"`), document(`"Effect":"Deny","Action":"ecr:Put*","Resource":"` + aRepository + `"`)},
		ActionNames:     []string{"ecr:PutImage", "ecr:BatchGetImage"}, ResourceArns: []string{aRepository, aRepository + "2"}, MaxItems: aws.Int32(3),
	}
	var decisions []string
	for p := api.NewSimulateCustomPolicyPaginator(c, in); p.HasMorePages(); {
		for _, r := range must[api.SimulateCustomPolicyOutput](t)(p.NextPage(t.Context())).EvaluationResults {
			decisions = append(decisions, *r.EvalActionName+" "+string(r.EvalDecision)+" "+*r.MatchedStatements[0].SourcePolicyId)
		}
	}
	want := []string{
		"ecr:PutImage explicitDeny PolicyInputList.2", "ecr:PutImage allowed PolicyInputList.1",
		"ecr:BatchGetImage allowed PolicyInputList.1", "ecr:BatchGetImage allowed PolicyInputList.1",
	}
	if !slices.Equal(decisions, want) {
		t.Errorf("decisions %q, want %q", decisions, want)
	}
	withCaller := &api.SimulateCustomPolicyInput{
		PolicyInputList: []string{allowECR}, ActionNames: []string{"codeartifact:ReadFromRepository"},
		ResourcePolicy: aws.String(document(`"Effect":"Allow","Principal":{"AWS":"` + aliceARN + `"},"Action":"codeartifact:*","Resource":"*"`)),
		CallerArn:      aws.String(aliceARN),
	}
	result := must[api.SimulateCustomPolicyOutput](t)(c.SimulateCustomPolicy(t.Context(), withCaller)).EvaluationResults[0]
	if result.EvalDecision != types.PolicyEvaluationDecisionTypeAllowed || *result.MatchedStatements[0].SourcePolicyId != "ResourcePolicy" || result.MatchedStatements[0].SourcePolicyType != types.PolicySourceTypeResource {
		t.Errorf("by the resource's policy: %+v", result)
	}
}

func TestSimulatePrincipalPolicy_Refuses(t *testing.T) {
	w, c := serve(t)
	ctx := t.Context()
	alice(t, c, allowECR)
	action := []string{"ecr:PutImage"}
	for name, in := range map[string]*api.SimulatePrincipalPolicyInput{
		"no principal":            {PolicySourceArn: aws.String("arn:aws:ecr:eu-central-1:" + account + ":repository/r"), ActionNames: action},
		"an action with stars":    {PolicySourceArn: aws.String(aliceARN), ActionNames: []string{"ecr:*"}},
		"a resource without form": {PolicySourceArn: aws.String(aliceARN), ActionNames: action, ResourceArns: []string{"repository/r"}},
		"an invalid document":     {PolicySourceArn: aws.String(aliceARN), ActionNames: action, PolicyInputList: []string{"{}"}},
		"two boundaries":          {PolicySourceArn: aws.String(aliceARN), ActionNames: action, PermissionsBoundaryPolicyInputList: []string{allowECR, denyECR}},
		"an invalid caller ARN":   {PolicySourceArn: aws.String(aliceARN), ActionNames: action, CallerArn: aws.String("arn:aws:iam::aws:policy/x")},
		"an owner without form":   {PolicySourceArn: aws.String(aliceARN), ActionNames: action, ResourceOwner: aws.String("me")},
		"too much": {
			PolicySourceArn: aws.String(aliceARN), ActionNames: slices.Repeat(action, 101), ResourceArns: slices.Repeat([]string{aRepository}, 10),
		},
	} {
		if _, err := c.SimulatePrincipalPolicy(ctx, in); code(err) != "InvalidInput" {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused[api.SimulateCustomPolicyOutput](t, "InvalidInput")(c.SimulateCustomPolicy(ctx, &api.SimulateCustomPolicyInput{
		PolicyInputList: []string{allowECR}, ActionNames: action, ResourcePolicy: aws.String(document(`"Effect":"Allow","Principal":"*","Action":"*"`)),
	}))
	other := func(o *api.Options) {
		o.Credentials = iamtest.Static(w.OtherAdmin.AccessKeyID, w.OtherAdmin.Secret, "")
	}
	refused[api.SimulatePrincipalPolicyOutput](t, "NoSuchEntity")(c.SimulatePrincipalPolicy(ctx, &api.SimulatePrincipalPolicyInput{PolicySourceArn: aws.String(aliceARN), ActionNames: action}, other))
	refused[api.SimulatePrincipalPolicyOutput](t, "NoSuchEntity")(c.SimulatePrincipalPolicy(ctx, &api.SimulatePrincipalPolicyInput{PolicySourceArn: aws.String(aliceARN + "2"), ActionNames: action}))

	// Who may not simulate learns nothing.
	key := must[api.CreateAccessKeyOutput](t)(c.CreateAccessKey(ctx, &api.CreateAccessKeyInput{UserName: aws.String("alice")})).AccessKey
	asAlice := func(o *api.Options) {
		o.Credentials = iamtest.Static(*key.AccessKeyId, *key.SecretAccessKey, "")
	}
	for _, who := range []string{aliceARN, aliceARN + "2"} {
		refused[api.SimulatePrincipalPolicyOutput](t, "AccessDenied")(c.SimulatePrincipalPolicy(ctx, &api.SimulatePrincipalPolicyInput{PolicySourceArn: &who, ActionNames: action}, asAlice))
		refused[api.GetContextKeysForPrincipalPolicyOutput](t, "AccessDenied")(c.GetContextKeysForPrincipalPolicy(ctx, &api.GetContextKeysForPrincipalPolicyInput{PolicySourceArn: &who}, asAlice))
	}
	refused[api.SimulateCustomPolicyOutput](t, "AccessDenied")(c.SimulateCustomPolicy(ctx, &api.SimulateCustomPolicyInput{PolicyInputList: []string{allowECR}, ActionNames: action}, asAlice))
	refused[api.GetContextKeysForCustomPolicyOutput](t, "AccessDenied")(c.GetContextKeysForCustomPolicy(ctx, &api.GetContextKeysForCustomPolicyInput{PolicyInputList: []string{allowECR}}, asAlice))
}
