package iamapi_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/iamapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
)

func trusting(principal string) *string {
	return aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + principal + `"},"Action":"sts:AssumeRole"}]}`)
}

func TestRoleLifecycle(t *testing.T) {
	_, c := serve(t)
	ctx, name := t.Context(), aws.String("deploy")
	r := must[api.CreateRoleOutput](t)(c.CreateRole(ctx, &api.CreateRoleInput{
		RoleName: name, Path: aws.String("/ci/"), AssumeRolePolicyDocument: trusting(account), Description: aws.String("d"),
		Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}},
	})).Role
	if *r.Arn != "arn:aws:iam::"+account+":role/ci/deploy" || !strings.HasPrefix(*r.RoleId, "AROA") || r.MaxSessionDuration != nil || len(r.Tags) != 1 {
		t.Errorf("created %+v", r)
	}
	refused[api.CreateRoleOutput](t, "EntityAlreadyExists")(c.CreateRole(ctx, &api.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: trusting(account)}))
	must[api.UpdateRoleOutput](t)(c.UpdateRole(ctx, &api.UpdateRoleInput{RoleName: name, MaxSessionDuration: aws.Int32(43200)}))
	refused[api.UpdateRoleOutput](t, "ValidationError")(c.UpdateRole(ctx, &api.UpdateRoleInput{RoleName: name, MaxSessionDuration: aws.Int32(60)}))
	got := must[api.GetRoleOutput](t)(c.GetRole(ctx, &api.GetRoleInput{RoleName: name})).Role
	if *got.MaxSessionDuration != 43200 || *got.Description != "d" || got.RoleLastUsed == nil {
		t.Errorf("got %+v", got)
	}
	described := must[api.UpdateRoleDescriptionOutput](t)(c.UpdateRoleDescription(ctx, &api.UpdateRoleDescriptionInput{RoleName: name, Description: aws.String("e")})).Role
	if *described.Description != "e" || *described.MaxSessionDuration != 43200 {
		t.Errorf("described %+v", described)
	}
	must[api.PutRolePolicyOutput](t)(c.PutRolePolicy(ctx, &api.PutRolePolicyInput{RoleName: name, PolicyName: aws.String("p"), PolicyDocument: aws.String(allowECR)}))
	must[api.AttachRolePolicyOutput](t)(c.AttachRolePolicy(ctx, &api.AttachRolePolicyInput{RoleName: name, PolicyArn: aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess")}))
	attached := must[api.ListAttachedRolePoliciesOutput](t)(c.ListAttachedRolePolicies(ctx, &api.ListAttachedRolePoliciesInput{RoleName: name})).AttachedPolicies
	if len(attached) != 1 || *attached[0].PolicyName != "ReadOnlyAccess" {
		t.Errorf("attached %+v", attached)
	}
	if profiles := must[api.ListInstanceProfilesForRoleOutput](t)(c.ListInstanceProfilesForRole(ctx, &api.ListInstanceProfilesForRoleInput{RoleName: name})).InstanceProfiles; len(profiles) != 0 {
		t.Errorf("profiles %+v", profiles)
	}
	refused[api.DeleteRoleOutput](t, "DeleteConflict")(c.DeleteRole(ctx, &api.DeleteRoleInput{RoleName: name}))
	must[api.DetachRolePolicyOutput](t)(c.DetachRolePolicy(ctx, &api.DetachRolePolicyInput{RoleName: name, PolicyArn: attached[0].PolicyArn}))
	refused[api.DeleteRoleOutput](t, "DeleteConflict")(c.DeleteRole(ctx, &api.DeleteRoleInput{RoleName: name}))
	must[api.DeleteRolePolicyOutput](t)(c.DeleteRolePolicy(ctx, &api.DeleteRolePolicyInput{RoleName: name, PolicyName: aws.String("p")}))
	must[api.DeleteRoleOutput](t)(c.DeleteRole(ctx, &api.DeleteRoleInput{RoleName: name}))
	refused[api.GetRoleOutput](t, "NoSuchEntity")(c.GetRole(ctx, &api.GetRoleInput{RoleName: name}))
}

// TestTrustPolicy_UniqueIDs: what was written by ARN reads as the ARN while
// the principal exists, and as its id afterwards, even if there is another of
// that name.
func TestTrustPolicy_UniqueIDs(t *testing.T) {
	_, c := serve(t)
	ctx, alice, name := t.Context(), aws.String("alice"), aws.String("deploy")
	arn := "arn:aws:iam::" + account + ":user/dev/alice"
	create := func() string {
		u := must[api.CreateUserOutput](t)(c.CreateUser(ctx, &api.CreateUserInput{UserName: alice, Path: aws.String("/dev/")})).User
		return *u.UserId
	}
	trust := func() string {
		r := must[api.GetRoleOutput](t)(c.GetRole(ctx, &api.GetRoleInput{RoleName: name})).Role
		text, err := url.PathUnescape(*r.AssumeRolePolicyDocument)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, missing := range []string{arn, "arn:aws:iam::" + account + ":role/none", "arn:aws:sts::" + account + ":assumed-role/none/s"} {
		refused[api.CreateRoleOutput](t, "MalformedPolicyDocument")(c.CreateRole(ctx, &api.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: trusting(missing)}))
	}
	id := create()
	must[api.CreateRoleOutput](t)(c.CreateRole(ctx, &api.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: trusting(arn)}))
	if got := trust(); got != *trusting(arn) {
		t.Errorf("trust policy %s, want it as it was written", got)
	}
	must[api.UpdateUserOutput](t)(c.UpdateUser(ctx, &api.UpdateUserInput{UserName: alice, NewPath: aws.String("/")}))
	if got := trust(); !strings.Contains(got, "user/alice") {
		t.Errorf("the user moved, and the trust policy says %s", got)
	}
	must[api.DeleteUserOutput](t)(c.DeleteUser(ctx, &api.DeleteUserInput{UserName: alice}))
	create()
	if got := trust(); got != *trusting(id) {
		t.Errorf("the user was deleted, and the trust policy says %s, want %s", got, id)
	}
	must[api.UpdateAssumeRolePolicyOutput](t)(c.UpdateAssumeRolePolicy(ctx, &api.UpdateAssumeRolePolicyInput{RoleName: name, PolicyDocument: trusting(arn)}))
	if got := trust(); got != *trusting(arn) {
		t.Errorf("trust policy %s after it was written again", got)
	}
}

// TestOperations_Authorization checks that the action, the ARN with its path and
// the condition keys reach the decision.
func TestOperations_Authorization(t *testing.T) {
	w, c := serve(t)
	ctx, bob := t.Context(), aws.String("bob")
	must[api.CreateUserOutput](t)(c.CreateUser(ctx, &api.CreateUserInput{UserName: bob}))
	must[api.CreateUserOutput](t)(c.CreateUser(ctx, &api.CreateUserInput{UserName: aws.String("bot"), Path: aws.String("/bots/")}))
	key := must[api.CreateAccessKeyOutput](t)(c.CreateAccessKey(ctx, &api.CreateAccessKeyInput{UserName: bob})).AccessKey
	must[api.PutUserPolicyOutput](t)(c.PutUserPolicy(ctx, &api.PutUserPolicyInput{UserName: bob, PolicyName: aws.String("p"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["iam:GetUser","iam:UpdateUser","iam:CreateUser"],"Resource":"arn:aws:iam::` + account + `:user/bots/*"},
		{"Effect":"Allow","Action":"iam:AttachUserPolicy","Resource":"*","Condition":{"ArnEquals":{"iam:PolicyARN":"arn:aws:iam::aws:policy/ReadOnlyAccess"}}},
		{"Effect":"Allow","Action":"iam:TagUser","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/team":"x"}}}
	]}`)}))
	as := func(o *api.Options) {
		o.Credentials = iamtest.Static(*key.AccessKeyId, *key.SecretAccessKey, "")
	}
	must[api.GetUserOutput](t)(c.GetUser(ctx, &api.GetUserInput{UserName: aws.String("bot")}, as))
	refused[api.GetUserOutput](t, "AccessDenied")(c.GetUser(ctx, &api.GetUserInput{UserName: aws.String("admin")}, as))
	refused[api.GetUserOutput](t, "AccessDenied")(c.GetUser(ctx, &api.GetUserInput{UserName: aws.String("none")}, as)) // and not NoSuchEntity
	must[api.CreateUserOutput](t)(c.CreateUser(ctx, &api.CreateUserInput{UserName: aws.String("new"), Path: aws.String("/bots/")}, as))
	refused[api.CreateUserOutput](t, "AccessDenied")(c.CreateUser(ctx, &api.CreateUserInput{UserName: aws.String("new2")}, as))
	refused[api.CreateUserOutput](t, "AccessDenied")(c.CreateUser(ctx, &api.CreateUserInput{UserName: aws.String("new3"), Path: aws.String("/bots/"), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("y")}}}, as))
	must[api.UpdateUserOutput](t)(c.UpdateUser(ctx, &api.UpdateUserInput{UserName: aws.String("new"), NewPath: aws.String("/bots/x/")}, as))
	refused[api.UpdateUserOutput](t, "AccessDenied")(c.UpdateUser(ctx, &api.UpdateUserInput{UserName: aws.String("new"), NewPath: aws.String("/")}, as))
	must[api.AttachUserPolicyOutput](t)(c.AttachUserPolicy(ctx, &api.AttachUserPolicyInput{UserName: aws.String("bot"), PolicyArn: aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess")}, as))
	refused[api.AttachUserPolicyOutput](t, "AccessDenied")(c.AttachUserPolicy(ctx, &api.AttachUserPolicyInput{UserName: bob, PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")}, as))
	refused[api.ListUsersOutput](t, "AccessDenied")(c.ListUsers(ctx, &api.ListUsersInput{}, as))
	must[api.TagUserOutput](t)(c.TagUser(ctx, &api.TagUserInput{UserName: bob, Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("x")}}}, as))

	// Another account's admin sees and touches nothing here.
	other := func(o *api.Options) {
		o.Credentials = iamtest.Static(w.OtherAdmin.AccessKeyID, w.OtherAdmin.Secret, "")
	}
	refused[api.GetUserOutput](t, "NoSuchEntity")(c.GetUser(ctx, &api.GetUserInput{UserName: bob}, other))
	refused[api.GetAccessKeyLastUsedOutput](t, "NoSuchEntity")(c.GetAccessKeyLastUsed(ctx, &api.GetAccessKeyLastUsedInput{AccessKeyId: key.AccessKeyId}, other))
	p := must[api.CreatePolicyOutput](t)(c.CreatePolicy(ctx, &api.CreatePolicyInput{PolicyName: aws.String("mine"), PolicyDocument: aws.String(allowECR)})).Policy
	refused[api.AttachUserPolicyOutput](t, "NoSuchEntity")(c.AttachUserPolicy(ctx, &api.AttachUserPolicyInput{UserName: aws.String("admin"), PolicyArn: p.Arn}, other))
	refused[api.GetPolicyOutput](t, "NoSuchEntity")(c.GetPolicy(ctx, &api.GetPolicyInput{PolicyArn: p.Arn}, other))
}

func TestOperations_UnsignedAndUnknown(t *testing.T) {
	_, c := serve(t)
	in := &api.GetUserInput{}
	refused[api.GetUserOutput](t, "InvalidClientTokenId")(c.GetUser(t.Context(), in, func(o *api.Options) {
		o.Credentials = iamtest.Static("AKIAAAAAAAAAAAAAAAAA", "x", "")
	}))
	unsigned, err := http.PostForm(*c.Options().BaseEndpoint, url.Values{"Action": {"GetUser"}, "Version": {"2010-05-08"}})
	if err != nil {
		t.Fatal(err)
	}
	defer unsigned.Body.Close()
	body, err := io.ReadAll(unsigned.Body)
	if err != nil || unsigned.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "<Code>MissingAuthenticationToken</Code>") {
		t.Errorf("an unsigned request: %s %s %v", unsigned.Status, body, err)
	}
	refused[api.ListVirtualMFADevicesOutput](t, "InvalidClientTokenId")(c.ListVirtualMFADevices(t.Context(), &api.ListVirtualMFADevicesInput{}, func(o *api.Options) {
		o.Credentials = iamtest.Static("ASIAAAAAAAAAAAAAAAAA", "x", "garbled")
	}))
}

// TestOperations_EmptyRequest with what is wrong or with a result:
// never with a failure of the server.
func TestOperations_EmptyRequest(t *testing.T) {
	w, c := serve(t)
	s, err := wire.New("iam", w.Options("iam", iamapi.MapError))
	if err != nil {
		t.Fatal(err)
	}
	iamapi.Register(s, iamapi.New(iamapi.Config{IAM: w.IAM}))
	handled := 0
	for _, op := range s.Operations() {
		status, body := w.Post(*c.Options().BaseEndpoint, "iam", url.Values{"Action": {op}, "Version": {"2010-05-08"}})
		switch {
		case !s.Handled(op) && (status != http.StatusNotImplemented || !strings.Contains(body, op)):
			t.Errorf("%s, which is not built: %d %s", op, status, body)
		case s.Handled(op) && status >= 500:
			t.Errorf("%s: %d %s", op, status, body)
		}
		if s.Handled(op) {
			handled++
		}
	}
	if handled < 70 {
		t.Errorf("%d operations are built", handled)
	}
}

func TestErrors_Status(t *testing.T) {
	w, c := serve(t)
	for want, form := range map[int]url.Values{
		http.StatusNotFound:   {"Action": {"DeleteUser"}, "UserName": {"none"}},
		http.StatusConflict:   {"Action": {"CreateUser"}, "UserName": {"admin"}},
		http.StatusBadRequest: {"Action": {"CreatePolicy"}, "PolicyName": {"p"}, "PolicyDocument": {"{}"}},
	} {
		form.Set("Version", "2010-05-08")
		if status, body := w.Post(*c.Options().BaseEndpoint, "iam", form); status != want {
			t.Errorf("%v: %d %s, want %d", form, status, body, want)
		}
	}
}
