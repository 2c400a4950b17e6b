package iamapi_test

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/iam"
)

// The fields that AWS leaves out of an answer, and those that it always sends, as
// they were recorded there.
func TestAnswers_FieldsAsAWS(t *testing.T) {
	_, c := serve(t)
	ctx := t.Context()
	role := must[api.CreateRoleOutput](t)(c.CreateRole(ctx, &api.CreateRoleInput{RoleName: aws.String("r"), AssumeRolePolicyDocument: trusting(account), Description: aws.String("d")})).Role
	if role.MaxSessionDuration != nil || aws.ToString(role.Description) != "d" {
		t.Errorf("CreateRole: MaxSessionDuration %v, Description %v", role.MaxSessionDuration, role.Description)
	}
	p := must[api.CreatePolicyOutput](t)(c.CreatePolicy(ctx, &api.CreatePolicyInput{PolicyName: aws.String("p"), PolicyDocument: aws.String(allowECR), Description: aws.String("d")})).Policy
	if p.Description != nil || p.Tags != nil {
		t.Errorf("CreatePolicy: Description %v, Tags %v", p.Description, p.Tags)
	}
	got := must[api.GetPolicyOutput](t)(c.GetPolicy(ctx, &api.GetPolicyInput{PolicyArn: p.Arn})).Policy
	if aws.ToString(got.Description) != "d" || got.Tags == nil || len(got.Tags) != 0 {
		t.Errorf("GetPolicy: Description %v, Tags %v, want an empty list of tags", got.Description, got.Tags)
	}
	u := must[api.CreateUserOutput](t)(c.CreateUser(ctx, &api.CreateUserInput{UserName: aws.String("u"), PermissionsBoundary: p.Arn})).User
	if u.PermissionsBoundary.PermissionsBoundaryType != "Policy" {
		t.Errorf("PermissionsBoundaryType: %s", u.PermissionsBoundary.PermissionsBoundaryType)
	}
	linked := must[api.CreateServiceLinkedRoleOutput](t)(c.CreateServiceLinkedRole(ctx, &api.CreateServiceLinkedRoleInput{AWSServiceName: aws.String("replication.ecr.amazonaws.com")})).Role
	attached := must[api.ListAttachedRolePoliciesOutput](t)(c.ListAttachedRolePolicies(ctx, &api.ListAttachedRolePoliciesInput{RoleName: linked.RoleName})).AttachedPolicies
	const servicePolicy = "arn:aws:iam::aws:policy/aws-service-role/ECRReplicationServiceRolePolicy"
	if len(attached) != 1 || *attached[0].PolicyArn != servicePolicy {
		t.Errorf("the service-linked role has %+v", attached)
	}
	refused[api.AttachUserPolicyOutput](t, "PolicyNotAttachable")(c.AttachUserPolicy(ctx, &api.AttachUserPolicyInput{UserName: aws.String("u"), PolicyArn: aws.String(servicePolicy)}))

	summary := must[api.GetAccountSummaryOutput](t)(c.GetAccountSummary(ctx, &api.GetAccountSummaryInput{})).SummaryMap
	for _, key := range []string{
		"Users", "UsersQuota", "Groups", "GroupsQuota", "GroupsPerUserQuota", "Roles", "RolesQuota", "Policies", "PoliciesQuota", "PolicySizeQuota",
		"PolicyVersionsInUse", "PolicyVersionsInUseQuota", "VersionsPerPolicyQuota", "Providers", "AssumeRolePolicySizeQuota",
		"AttachedPoliciesPerUserQuota", "AttachedPoliciesPerGroupQuota", "AttachedPoliciesPerRoleQuota", "UserPolicySizeQuota", "GroupPolicySizeQuota", "RolePolicySizeQuota",
		"AccessKeysPerUserQuota", "AccountAccessKeysPresent", "AccountMFAEnabled", "AccountPasswordPresent", "AccountSigningCertificatesPresent", "SigningCertificatesPerUserQuota",
		"MFADevices", "MFADevicesInUse", "InstanceProfiles", "InstanceProfilesQuota", "ServerCertificates", "ServerCertificatesQuota", "GlobalEndpointTokenVersion",
	} {
		if _, ok := summary[key]; !ok {
			t.Errorf("GetAccountSummary lacks %s", key)
		}
	}
}

// AWS's own sentences, as they were recorded there.
func TestErrors_SentencesAsAWS(t *testing.T) {
	_, c := serve(t)
	ctx := t.Context()
	name := aws.String("p")
	must[api.CreatePolicyOutput](t)(c.CreatePolicy(ctx, &api.CreatePolicyInput{PolicyName: name, PolicyDocument: aws.String(allowECR)}))
	must[api.CreateUserOutput](t)(c.CreateUser(ctx, &api.CreateUserInput{UserName: aws.String("u")}))
	must[api.CreateAccountAliasOutput](t)(c.CreateAccountAlias(ctx, &api.CreateAccountAliasInput{AccountAlias: aws.String("an-alias")}))
	noARN := aws.String("a-name-that-is-not-an-arn")
	old := strings.Replace(allowECR, `"Version":"2012-10-17",`, "", 1)
	noJSON := aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",}]}`)
	for _, e := range []struct {
		name, code, message string
		call                func(context.Context) error
	}{
		{"a policy of that name", "EntityAlreadyExists", "A policy called p already exists. Duplicate names are not allowed.", func(ctx context.Context) error {
			return second(c.CreatePolicy(ctx, &api.CreatePolicyInput{PolicyName: name, PolicyDocument: aws.String(allowECR)}))
		}},
		{"no ARN to attach", "ValidationError", "Invalid ARN:  Could not be parsed!", func(ctx context.Context) error {
			return second(c.AttachUserPolicy(ctx, &api.AttachUserPolicyInput{UserName: aws.String("u"), PolicyArn: noARN}))
		}},
		{"no ARN to detach", "ValidationError", "Invalid ARN:  Could not be parsed!", func(ctx context.Context) error {
			return second(c.DetachUserPolicy(ctx, &api.DetachUserPolicyInput{UserName: aws.String("u"), PolicyArn: noARN}))
		}},
		{"no ARN to get", "ValidationError", "Invalid ARN:  Could not be parsed!", func(ctx context.Context) error {
			return second(c.GetPolicy(ctx, &api.GetPolicyInput{PolicyArn: noARN}))
		}},
		{"a managed policy without a version", "MalformedPolicyDocument", "Policy document must be version 2012-10-17 or greater.", func(ctx context.Context) error {
			return second(c.CreatePolicy(ctx, &api.CreatePolicyInput{PolicyName: aws.String("old"), PolicyDocument: &old}))
		}},
		{"a policy that is not JSON", "MalformedPolicyDocument", "Syntax errors in policy.", func(ctx context.Context) error {
			return second(c.PutUserPolicy(ctx, &api.PutUserPolicyInput{UserName: aws.String("u"), PolicyName: name, PolicyDocument: noJSON}))
		}},
		{"a trust policy that is not JSON", "MalformedPolicyDocument", "This policy contains invalid Json", func(ctx context.Context) error {
			return second(c.CreateRole(ctx, &api.CreateRoleInput{RoleName: aws.String("r"), AssumeRolePolicyDocument: noJSON}))
		}},
		{"the alias that the account has", "EntityAlreadyExists", "The account alias an-alias already exists.", func(ctx context.Context) error {
			return second(c.CreateAccountAlias(ctx, &api.CreateAccountAliasInput{AccountAlias: aws.String("an-alias")}))
		}},
	} {
		if err := e.call(ctx); code(err) != e.code || !strings.HasSuffix(err.Error(), ": "+e.message) {
			t.Errorf("%s: %v, want %s: %s", e.name, err, e.code, e.message)
		}
	}
	// An inline policy may be without a version, as on AWS.
	must[api.PutUserPolicyOutput](t)(c.PutUserPolicy(ctx, &api.PutUserPolicyInput{UserName: aws.String("u"), PolicyName: name, PolicyDocument: &old}))
}

func second[T any](_ T, err error) error { return err }
