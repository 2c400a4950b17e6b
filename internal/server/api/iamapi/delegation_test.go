package iamapi_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
)

// TestCreateRole_DelegatedWithBoundary is the recipe of docs/iam.md: who may
// make roles with a boundary makes none without it, gives nothing to those that
// have none, and does not take it off.
func TestCreateRole_DelegatedWithBoundary(t *testing.T) {
	_, c := serve(t)
	ctx := t.Context()
	boundary := must[api.CreatePolicyOutput](t)(c.CreatePolicy(ctx, &api.CreatePolicyInput{PolicyName: aws.String("services"), PolicyDocument: aws.String(allowECR)})).Policy.Arn
	alice(t, c, `{"Version":"2012-10-17","Statement":[
		{"Sid":"RolesWithTheBoundary","Effect":"Allow","Action":["iam:CreateRole","iam:PutRolePolicy","iam:AttachRolePolicy","iam:PutRolePermissionsBoundary"],
			"Resource":"arn:aws:iam::`+account+`:role/services/*","Condition":{"StringEquals":{"iam:PermissionsBoundary":"`+*boundary+`"}}},
		{"Sid":"TheBoundaryStays","Effect":"Deny","Action":["iam:DeleteRolePermissionsBoundary","iam:CreatePolicyVersion","iam:SetDefaultPolicyVersion","iam:DeletePolicy"],
			"Resource":["arn:aws:iam::`+account+`:role/services/*","`+*boundary+`"]}]}`)
	key := must[api.CreateAccessKeyOutput](t)(c.CreateAccessKey(ctx, &api.CreateAccessKeyInput{UserName: aws.String("alice")})).AccessKey
	as := func(o *api.Options) {
		o.Credentials = iamtest.Static(*key.AccessKeyId, *key.SecretAccessKey, "")
	}
	create := func(name string, boundary *string) error {
		_, err := c.CreateRole(ctx, &api.CreateRoleInput{RoleName: &name, Path: aws.String("/services/"), AssumeRolePolicyDocument: trusting(account), PermissionsBoundary: boundary}, as)
		return err
	}
	if err := create("app", boundary); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*string{"none": nil, "other": aws.String("arn:aws:iam::aws:policy/AdministratorAccess")} {
		if err := create(name, b); code(err) != "AccessDenied" {
			t.Errorf("a role with the boundary %s: %v", name, err)
		}
	}
	must[api.CreateRoleOutput](t)(c.CreateRole(ctx, &api.CreateRoleInput{RoleName: aws.String("old"), Path: aws.String("/services/"), AssumeRolePolicyDocument: trusting(account)}))
	put := func(role string) error {
		_, err := c.PutRolePolicy(ctx, &api.PutRolePolicyInput{RoleName: &role, PolicyName: aws.String("p"), PolicyDocument: aws.String(allowECR)}, as)
		return err
	}
	if err := put("app"); err != nil {
		t.Errorf("permissions within the boundary: %v", err)
	}
	if err := put("old"); code(err) != "AccessDenied" {
		t.Errorf("permissions for a role without a boundary: %v", err)
	}
	refused[api.DeleteRolePermissionsBoundaryOutput](t, "AccessDenied")(c.DeleteRolePermissionsBoundary(ctx, &api.DeleteRolePermissionsBoundaryInput{RoleName: aws.String("app")}, as))
	refused[api.PutRolePermissionsBoundaryOutput](t, "AccessDenied")(c.PutRolePermissionsBoundary(ctx, &api.PutRolePermissionsBoundaryInput{RoleName: aws.String("app"), PermissionsBoundary: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")}, as))
	refused[api.CreatePolicyVersionOutput](t, "AccessDenied")(c.CreatePolicyVersion(ctx, &api.CreatePolicyVersionInput{PolicyArn: boundary, PolicyDocument: aws.String(allowECR)}, as))
}
