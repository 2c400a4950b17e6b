package iamapi_test

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	accountreport "github.com/gatehouse-registry/gatehouse/internal/server/iam/report"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// fill creates a user in a group, a role and a managed policy, all of them with
// each other.
func fill(t *testing.T, c *api.Client) (policyARN *string) {
	t.Helper()
	ctx, ops := t.Context(), aws.String("ops")
	alice(t, c, allowECR)
	policyARN = must[api.CreatePolicyOutput](t)(c.CreatePolicy(ctx, &api.CreatePolicyInput{PolicyName: aws.String("managed"), Path: aws.String("/x/"), PolicyDocument: aws.String(allowECR), Description: aws.String("d")})).Policy.Arn
	must[api.CreatePolicyVersionOutput](t)(c.CreatePolicyVersion(ctx, &api.CreatePolicyVersionInput{PolicyArn: policyARN, PolicyDocument: aws.String(denyECR), SetAsDefault: true}))
	must[api.CreateGroupOutput](t)(c.CreateGroup(ctx, &api.CreateGroupInput{GroupName: ops}))
	must[api.AddUserToGroupOutput](t)(c.AddUserToGroup(ctx, &api.AddUserToGroupInput{GroupName: ops, UserName: aws.String("alice")}))
	must[api.AttachGroupPolicyOutput](t)(c.AttachGroupPolicy(ctx, &api.AttachGroupPolicyInput{GroupName: ops, PolicyArn: policyARN}))
	must[api.CreateRoleOutput](t)(c.CreateRole(ctx, &api.CreateRoleInput{RoleName: aws.String("ci"), AssumeRolePolicyDocument: trusting(aliceARN), PermissionsBoundary: policyARN}))
	must[api.AttachRolePolicyOutput](t)(c.AttachRolePolicy(ctx, &api.AttachRolePolicyInput{RoleName: aws.String("ci"), PolicyArn: aws.String("arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly")}))
	return policyARN
}

func TestGetAccountAuthorizationDetails(t *testing.T) {
	_, c := serve(t)
	policyARN := fill(t, c)
	out := must[api.GetAccountAuthorizationDetailsOutput](t)(c.GetAccountAuthorizationDetails(t.Context(), &api.GetAccountAuthorizationDetailsInput{}))
	if out.IsTruncated || len(out.UserDetailList) != 2 || len(out.GroupDetailList) != 1 || len(out.RoleDetailList) != 1 || len(out.Policies) != 3 {
		t.Fatalf("%d users, %d groups, %d roles, %d policies", len(out.UserDetailList), len(out.GroupDetailList), len(out.RoleDetailList), len(out.Policies))
	}
	user := out.UserDetailList[1]
	if *user.UserName != "alice" || !slices.Equal(user.GroupList, []string{"ops"}) || len(user.UserPolicyList) != 1 || !strings.Contains(*user.UserPolicyList[0].PolicyDocument, "ecr%3A") || len(user.Tags) != 1 {
		t.Errorf("user %+v", user)
	}
	if g := out.GroupDetailList[0]; *g.GroupName != "ops" || len(g.AttachedManagedPolicies) != 1 || *g.AttachedManagedPolicies[0].PolicyArn != *policyARN {
		t.Errorf("group %+v", g)
	}
	if r := out.RoleDetailList[0]; *r.RoleName != "ci" || !strings.Contains(*r.AssumeRolePolicyDocument, "alice") || *r.PermissionsBoundary.PermissionsBoundaryArn != *policyARN || len(r.AttachedManagedPolicies) != 1 {
		t.Errorf("role %+v", r)
	}
	p := out.Policies[0]
	if *p.PolicyName != "managed" || *p.DefaultVersionId != "v2" || len(p.PolicyVersionList) != 2 || *p.AttachmentCount != 1 || *p.PermissionsBoundaryUsageCount != 1 || !strings.Contains(*p.PolicyVersionList[1].Document, "Deny") {
		t.Errorf("policy %+v", p)
	}
	if *out.Policies[1].PolicyName != "AdministratorAccess" || *out.Policies[2].PolicyName != "AmazonEC2ContainerRegistryReadOnly" {
		t.Errorf("of AWS's, those in use: %s, %s", *out.Policies[1].PolicyName, *out.Policies[2].PolicyName)
	}
}

func TestGetAccountAuthorizationDetails_PagingAndFilter(t *testing.T) {
	_, c := serve(t)
	fill(t, c)
	collect := func(in *api.GetAccountAuthorizationDetailsInput) (names []string) {
		for p := api.NewGetAccountAuthorizationDetailsPaginator(c, in); p.HasMorePages(); {
			out := must[api.GetAccountAuthorizationDetailsOutput](t)(p.NextPage(t.Context()))
			if n := len(out.UserDetailList) + len(out.GroupDetailList) + len(out.RoleDetailList) + len(out.Policies); in.MaxItems != nil && n > int(*in.MaxItems) {
				t.Errorf("a page of %d has %d", *in.MaxItems, n)
			}
			for _, u := range out.UserDetailList {
				names = append(names, *u.UserName)
			}
			for _, g := range out.GroupDetailList {
				names = append(names, *g.GroupName)
			}
			for _, r := range out.RoleDetailList {
				names = append(names, *r.RoleName)
			}
			for _, p := range out.Policies {
				names = append(names, *p.PolicyName)
			}
		}
		return names
	}
	whole := []string{"admin", "alice", "ops", "ci", "managed", "AdministratorAccess", "AmazonEC2ContainerRegistryReadOnly"}
	for size := int32(1); size <= 8; size++ {
		if got := collect(&api.GetAccountAuthorizationDetailsInput{MaxItems: &size}); !slices.Equal(got, whole) {
			t.Errorf("in pages of %d: %q", size, got)
		}
	}
	for want, filter := range map[string][]types.EntityType{
		"ci":          {types.EntityTypeRole},
		"admin alice": {types.EntityTypeUser},
		"ops managed": {types.EntityTypeLocalManagedPolicy, types.EntityTypeGroup},
		"AdministratorAccess AmazonEC2ContainerRegistryReadOnly": {types.EntityTypeAWSManagedPolicy},
	} {
		if got := collect(&api.GetAccountAuthorizationDetailsInput{Filter: filter, MaxItems: aws.Int32(1)}); strings.Join(got, " ") != want {
			t.Errorf("%v: %q, want %s", filter, got, want)
		}
	}
}

func TestCredentialReport(t *testing.T) {
	w, c := serve(t)
	ctx := t.Context()
	alice(t, c, allowECR)
	refused[api.GetCredentialReportOutput](t, "ReportNotPresent")(c.GetCredentialReport(ctx, &api.GetCredentialReportInput{}))
	key := must[api.CreateAccessKeyOutput](t)(c.CreateAccessKey(ctx, &api.CreateAccessKeyInput{UserName: aws.String("alice")})).AccessKey
	must[api.UpdateAccessKeyOutput](t)(c.UpdateAccessKey(ctx, &api.UpdateAccessKeyInput{UserName: aws.String("alice"), AccessKeyId: key.AccessKeyId, Status: types.StatusTypeInactive}))
	if state := must[api.GenerateCredentialReportOutput](t)(c.GenerateCredentialReport(ctx, &api.GenerateCredentialReportInput{})).State; state != types.ReportStateTypeComplete {
		t.Errorf("state %s", state)
	}
	report := must[api.GetCredentialReportOutput](t)(c.GetCredentialReport(ctx, &api.GetCredentialReportInput{}))
	if report.ReportFormat != types.ReportFormatTypeTextCsv || report.GeneratedTime.IsZero() {
		t.Errorf("report %+v", report)
	}
	lines, err := csv.NewReader(strings.NewReader(string(report.Content))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	header := strings.Join(lines[0], ",")
	if want := "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,mfa_active," +
		"access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service," +
		"access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service," +
		"cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated"; header != want {
		t.Errorf("columns %s", header)
	}
	value := func(line int, column string) string { return lines[line][slices.Index(lines[0], column)] }
	if len(lines) != 4 || lines[1][0] != "<root_account>" || lines[2][0] != "admin" || lines[3][0] != "alice" {
		t.Fatalf("lines %q", lines)
	}
	if value(1, "password_enabled") != "not_supported" || value(1, "arn") != "arn:aws:iam::"+account+":root" || value(1, "access_key_1_active") != "false" {
		t.Errorf("root: %q", lines[1])
	}
	if value(2, "access_key_1_active") != "true" || value(2, "access_key_1_last_used_service") != "iam" || value(2, "access_key_1_last_used_region") != iamtest.Region {
		t.Errorf("admin: %q", lines[2])
	}
	if value(3, "access_key_1_active") != "false" || value(3, "access_key_1_last_rotated") == "N/A" || value(3, "access_key_1_last_used_date") != "N/A" || value(3, "access_key_2_last_rotated") != "N/A" {
		t.Errorf("alice: %q", lines[3])
	}
	if _, err := time.Parse("2006-01-02T15:04:05+00:00", value(3, "user_creation_time")); err != nil {
		t.Error(err)
	}
	w.Advance(4*time.Hour + time.Minute)
	if _, err := accountreport.New(w.IAM).CredentialReport(w.AsAdmin()); !strings.Contains(fmt.Sprint(err), "older than 4 hours") {
		t.Errorf("an old report: %v", err)
	}
}

func TestGetRole_LastUsed(t *testing.T) {
	w, c := serve(t)
	ctx, name := t.Context(), aws.String("ci")
	role := must[api.CreateRoleOutput](t)(c.CreateRole(ctx, &api.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: trusting(account)})).Role
	must[api.PutRolePolicyOutput](t)(c.PutRolePolicy(ctx, &api.PutRolePolicyInput{RoleName: name, PolicyName: aws.String("p"), PolicyDocument: aws.String(document(`"Effect":"Allow","Action":"iam:*","Resource":"*"`))}))
	lastUsed := func() *types.RoleLastUsed {
		return must[api.GetRoleOutput](t)(c.GetRole(ctx, &api.GetRoleInput{RoleName: name})).Role.RoleLastUsed
	}
	if used := lastUsed(); used == nil || used.LastUsedDate != nil {
		t.Errorf("a role that was never used: %+v", used)
	}
	session, secret, err := w.Keyring.MintSession(token.Claims{
		ID: token.NewID(token.TemporaryKey), Account: account, PrincipalID: *role.RoleId, SessionName: "build", AccessKeyID: w.Admin.AccessKeyID,
		Issued: w.Now(), Expires: w.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	claims, _, err := w.Keyring.OpenSession(session)
	if err != nil {
		t.Fatal(err)
	}
	must[api.ListUsersOutput](t)(c.ListUsers(ctx, &api.ListUsersInput{}, func(o *api.Options) {
		o.Credentials = iamtest.Static(claims.ID, secret, session)
	}))
	used := lastUsed()
	if used.LastUsedDate == nil || time.Since(*used.LastUsedDate) > time.Hour || *used.Region != iamtest.Region {
		t.Fatalf("after a session of it listed users: %+v", used)
	}
	if err := w.IAM.Maintain(ctx); err != nil {
		t.Fatal(err)
	}
	second := w.Start()
	r, err := second.Role(w.AsAdmin(), *name)
	if err != nil {
		t.Fatal(err)
	}
	if use := second.RoleLastUsed(r); use == nil || !use.At.Truncate(time.Millisecond).Equal(*used.LastUsedDate) {
		t.Errorf("after a restart %+v, before it %+v", use, used)
	}
}

func TestServiceLinkedRoles(t *testing.T) {
	_, c := serve(t)
	ctx, service := t.Context(), aws.String("replication.ecr.amazonaws.com")
	refused[api.CreateServiceLinkedRoleOutput](t, "InvalidInput")(c.CreateServiceLinkedRole(ctx, &api.CreateServiceLinkedRoleInput{AWSServiceName: aws.String("ec2.amazonaws.com")}))
	refused[api.CreateServiceLinkedRoleOutput](t, "InvalidInput")(c.CreateServiceLinkedRole(ctx, &api.CreateServiceLinkedRoleInput{AWSServiceName: service, CustomSuffix: aws.String("x")}))
	role := must[api.CreateServiceLinkedRoleOutput](t)(c.CreateServiceLinkedRole(ctx, &api.CreateServiceLinkedRoleInput{AWSServiceName: service, Description: aws.String("d")})).Role
	if *role.Arn != "arn:aws:iam::"+account+":role/aws-service-role/replication.ecr.amazonaws.com/AWSServiceRoleForECRReplication" || *role.Description != "d" {
		t.Errorf("role %s", *role.Arn)
	}
	refused[api.CreateServiceLinkedRoleOutput](t, "InvalidInput")(c.CreateServiceLinkedRole(ctx, &api.CreateServiceLinkedRoleInput{AWSServiceName: service}))
	refused[api.CreateRoleOutput](t, "InvalidInput")(c.CreateRole(ctx, &api.CreateRoleInput{RoleName: aws.String("mine"), Path: aws.String("/aws-service-role/x/"), AssumeRolePolicyDocument: trusting(account)}))

	refused[api.PutRolePolicyOutput](t, "UnmodifiableEntity")(c.PutRolePolicy(ctx, &api.PutRolePolicyInput{RoleName: role.RoleName, PolicyName: aws.String("p"), PolicyDocument: aws.String(allowECR)}))
	refused[api.UpdateAssumeRolePolicyOutput](t, "UnmodifiableEntity")(c.UpdateAssumeRolePolicy(ctx, &api.UpdateAssumeRolePolicyInput{RoleName: role.RoleName, PolicyDocument: trusting(account)}))
	refused[api.DeleteRoleOutput](t, "UnmodifiableEntity")(c.DeleteRole(ctx, &api.DeleteRoleInput{RoleName: role.RoleName}))
	refused[api.DeleteServiceLinkedRoleOutput](t, "NoSuchEntity")(c.DeleteServiceLinkedRole(ctx, &api.DeleteServiceLinkedRoleInput{RoleName: aws.String("none")}))

	task := must[api.DeleteServiceLinkedRoleOutput](t)(c.DeleteServiceLinkedRole(ctx, &api.DeleteServiceLinkedRoleInput{RoleName: role.RoleName})).DeletionTaskId
	if status := must[api.GetServiceLinkedRoleDeletionStatusOutput](t)(c.GetServiceLinkedRoleDeletionStatus(ctx, &api.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: task})).Status; status != types.DeletionTaskStatusTypeSucceeded {
		t.Errorf("status %s", status)
	}
	refused[api.GetRoleOutput](t, "NoSuchEntity")(c.GetRole(ctx, &api.GetRoleInput{RoleName: role.RoleName}))
	refused[api.GetServiceLinkedRoleDeletionStatusOutput](t, "NoSuchEntity")(c.GetServiceLinkedRoleDeletionStatus(ctx, &api.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: aws.String("task/x")}))

	must[api.CreateRoleOutput](t)(c.CreateRole(ctx, &api.CreateRoleInput{RoleName: aws.String("ci"), AssumeRolePolicyDocument: trusting(account)}))
	refused[api.DeleteServiceLinkedRoleOutput](t, "InvalidInput")(c.DeleteServiceLinkedRole(ctx, &api.DeleteServiceLinkedRoleInput{RoleName: aws.String("ci")}))
}
