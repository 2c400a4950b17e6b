package iamapi_test

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/smithy-go"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/iamapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
)

const (
	allowECR = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}`
	denyECR  = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"ecr:*","Resource":"*"}]}`
	account  = iamtest.Account
)

// serve returns a client with the first admin's credentials.
func serve(t *testing.T) (*iamtest.Fixture, *api.Client) {
	t.Helper()
	w := iamtest.New(t)
	s, err := wire.New("iam", w.Options("iam", iamapi.MapError))
	if err != nil {
		t.Fatal(err)
	}
	iamapi.Register(s, iamapi.New(iamapi.Config{IAM: w.IAM}))
	return w, api.NewFromConfig(w.Serve(s))
}

// code is the code of an error that a client got, and "" of none.
func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// must takes the answer of an operation that has to succeed.
func must[O any](t *testing.T) func(*O, error) *O {
	return func(out *O, err error) *O {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// refused checks the code of an operation that has to fail.
func refused[O any](t *testing.T, want string) func(*O, error) {
	return func(_ *O, err error) {
		t.Helper()
		if code(err) != want {
			t.Errorf("the error is %v, want code %s", err, want)
		}
	}
}

func TestUserLifecycle(t *testing.T) {
	_, c := serve(t)
	ctx := t.Context()

	created := must[api.CreateUserOutput](t)(c.CreateUser(ctx, &api.CreateUserInput{
		UserName: aws.String("alice"), Path: aws.String("/dev/"), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("α β")}},
	})).User
	if *created.Arn != "arn:aws:iam::"+account+":user/dev/alice" || !strings.HasPrefix(*created.UserId, "AIDA") || len(*created.UserId) != 21 {
		t.Errorf("created %s %s", *created.Arn, *created.UserId)
	}
	refused[api.CreateUserOutput](t, "EntityAlreadyExists")(c.CreateUser(ctx, &api.CreateUserInput{UserName: aws.String("ALICE")}))

	got := must[api.GetUserOutput](t)(c.GetUser(ctx, &api.GetUserInput{UserName: aws.String("alice")})).User
	if *got.UserId != *created.UserId || !got.CreateDate.Equal(*created.CreateDate) || len(got.Tags) != 1 || *got.Tags[0].Value != "α β" {
		t.Errorf("got %+v, created %+v", got, created)
	}
	self := must[api.GetUserOutput](t)(c.GetUser(ctx, &api.GetUserInput{})).User
	if *self.UserName != "admin" {
		t.Errorf("GetUser without a name is %s", *self.UserName)
	}

	must[api.UpdateUserOutput](t)(c.UpdateUser(ctx, &api.UpdateUserInput{UserName: aws.String("alice"), NewUserName: aws.String("Alice"), NewPath: aws.String("/")}))
	renamed := must[api.GetUserOutput](t)(c.GetUser(ctx, &api.GetUserInput{UserName: aws.String("Alice")})).User
	if *renamed.UserId != *created.UserId || *renamed.Arn != "arn:aws:iam::"+account+":user/Alice" {
		t.Errorf("renamed to %s %s", *renamed.Arn, *renamed.UserId)
	}
	refused[api.GetUserOutput](t, "NoSuchEntity")(c.GetUser(ctx, &api.GetUserInput{UserName: aws.String("alice")}))
	refused[api.UpdateUserOutput](t, "EntityAlreadyExists")(c.UpdateUser(ctx, &api.UpdateUserInput{UserName: aws.String("Alice"), NewUserName: aws.String("Admin")}))

	must[api.TagUserOutput](t)(c.TagUser(ctx, &api.TagUserInput{UserName: aws.String("Alice"), Tags: []types.Tag{{Key: aws.String("TEAM"), Value: aws.String("x")}, {Key: aws.String("b"), Value: aws.String("")}}}))
	must[api.UntagUserOutput](t)(c.UntagUser(ctx, &api.UntagUserInput{UserName: aws.String("Alice"), TagKeys: []string{"b", "none"}}))
	tags := must[api.ListUserTagsOutput](t)(c.ListUserTags(ctx, &api.ListUserTagsInput{UserName: aws.String("Alice")})).Tags
	if len(tags) != 1 || *tags[0].Key != "TEAM" || *tags[0].Value != "x" {
		t.Errorf("tags %+v", tags)
	}

	must[api.DeleteUserOutput](t)(c.DeleteUser(ctx, &api.DeleteUserInput{UserName: aws.String("Alice")}))
	refused[api.DeleteUserOutput](t, "NoSuchEntity")(c.DeleteUser(ctx, &api.DeleteUserInput{UserName: aws.String("Alice")}))
	again := must[api.CreateUserOutput](t)(c.CreateUser(ctx, &api.CreateUserInput{UserName: aws.String("Alice")})).User
	if *again.UserId == *created.UserId {
		t.Error("a user who was created again has the old unique id")
	}
}

func TestCreate_NamesAndPaths(t *testing.T) {
	_, c := serve(t)
	for _, name := range []string{"", "a b", "a/b", "ü", strings.Repeat("x", 65)} {
		_, err := c.CreateUser(t.Context(), &api.CreateUserInput{UserName: &name})
		if got := code(err); got != "ValidationError" {
			t.Errorf("user name %q: %v", name, err)
		}
	}
	for _, path := range []string{"x", "/x", "x/", "//x y/"} {
		_, err := c.CreateUser(t.Context(), &api.CreateUserInput{UserName: aws.String("u"), Path: &path})
		if got := code(err); got != "ValidationError" {
			t.Errorf("path %q: %v", path, err)
		}
	}
	for key, want := range map[string]string{"aws:x": "InvalidInput", "a\tb": "ValidationError", "": "ValidationError"} {
		_, err := c.CreateUser(t.Context(), &api.CreateUserInput{UserName: aws.String("u"), Tags: []types.Tag{{Key: &key, Value: aws.String("")}}})
		if got := code(err); got != want {
			t.Errorf("tag key %q: %v, want %s", key, err, want)
		}
	}
}

func TestLists_Paging(t *testing.T) {
	_, c := serve(t)
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("user-%d", i)
		path := []string{"/a/", "/b/"}[i%2]
		must[api.CreateUserOutput](t)(c.CreateUser(t.Context(), &api.CreateUserInput{UserName: &name, Path: &path}))
		want = append(want, name)
	}
	want = append([]string{"admin"}, want...)
	for _, size := range []int32{1, 2, 3, 7, 8, 1000} {
		var got []string
		for p := api.NewListUsersPaginator(c, &api.ListUsersInput{MaxItems: &size}); p.HasMorePages(); {
			page := must[api.ListUsersOutput](t)(p.NextPage(t.Context()))
			if len(page.Users) > int(size) {
				t.Fatalf("a page of %d users, want at most %d", len(page.Users), size)
			}
			for _, u := range page.Users {
				got = append(got, *u.UserName)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %v, want %v", size, got, want)
		}
	}
	b := must[api.ListUsersOutput](t)(c.ListUsers(t.Context(), &api.ListUsersInput{PathPrefix: aws.String("/b/")})).Users
	if len(b) != 3 || *b[0].UserName != "user-1" {
		t.Errorf("below /b/: %d users", len(b))
	}
	refused[api.ListUsersOutput](t, "ValidationError")(c.ListUsers(t.Context(), &api.ListUsersInput{Marker: aws.String("§")}))

	var policies int
	for p := api.NewListPoliciesPaginator(c, &api.ListPoliciesInput{MaxItems: aws.Int32(2)}); p.HasMorePages(); {
		policies += len(must[api.ListPoliciesOutput](t)(p.NextPage(t.Context())).Policies)
	}
	whole := must[api.ListPoliciesOutput](t)(c.ListPolicies(t.Context(), &api.ListPoliciesInput{MaxItems: aws.Int32(1000)})).Policies
	if policies != len(whole) || policies == 0 {
		t.Errorf("%d policies in pages, and %d in one", policies, len(whole))
	}
}

func TestInlinePolicies(t *testing.T) {
	_, c := serve(t)
	ctx, alice := t.Context(), aws.String("alice")
	must[api.CreateUserOutput](t)(c.CreateUser(ctx, &api.CreateUserInput{UserName: alice}))
	put := func(name, document string) (*api.PutUserPolicyOutput, error) {
		return c.PutUserPolicy(ctx, &api.PutUserPolicyInput{UserName: alice, PolicyName: &name, PolicyDocument: &document})
	}
	must[api.PutUserPolicyOutput](t)(put("b", allowECR))
	must[api.PutUserPolicyOutput](t)(put("a", denyECR))
	must[api.PutUserPolicyOutput](t)(put("a", allowECR))
	names := must[api.ListUserPoliciesOutput](t)(c.ListUserPolicies(ctx, &api.ListUserPoliciesInput{UserName: alice}))
	if !slices.Equal(names.PolicyNames, []string{"a", "b"}) || names.IsTruncated {
		t.Errorf("policies %v", names.PolicyNames)
	}
	got := must[api.GetUserPolicyOutput](t)(c.GetUserPolicy(ctx, &api.GetUserPolicyInput{UserName: alice, PolicyName: aws.String("a")}))
	if strings.ContainsAny(*got.PolicyDocument, `{" +`) {
		t.Errorf("the document is not escaped: %s", *got.PolicyDocument)
	}
	if plain, err := url.PathUnescape(*got.PolicyDocument); err != nil || plain != allowECR {
		t.Errorf("the document is %s, %v", plain, err)
	}
	refused[api.PutUserPolicyOutput](t, "MalformedPolicyDocument")(put("c", `{"Version":"2012-10-17"}`))
	refused[api.PutUserPolicyOutput](t, "LimitExceeded")(put("c", strings.Replace(allowECR, `"ecr:*"`, `"ecr:`+strings.Repeat("x", 1950)+`"`, 1)))
	refused[api.DeleteUserOutput](t, "DeleteConflict")(c.DeleteUser(ctx, &api.DeleteUserInput{UserName: alice}))
	refused[api.DeleteUserPolicyOutput](t, "NoSuchEntity")(c.DeleteUserPolicy(ctx, &api.DeleteUserPolicyInput{UserName: alice, PolicyName: aws.String("c")}))
	for _, name := range names.PolicyNames {
		must[api.DeleteUserPolicyOutput](t)(c.DeleteUserPolicy(ctx, &api.DeleteUserPolicyInput{UserName: alice, PolicyName: &name}))
	}
	must[api.DeleteUserOutput](t)(c.DeleteUser(ctx, &api.DeleteUserInput{UserName: alice}))
}

func TestManagedPolicies(t *testing.T) {
	_, c := serve(t)
	ctx := t.Context()
	p := must[api.CreatePolicyOutput](t)(c.CreatePolicy(ctx, &api.CreatePolicyInput{
		PolicyName: aws.String("pull"), PolicyDocument: aws.String(allowECR), Description: aws.String("d"), Path: aws.String("/x/"),
	})).Policy
	if *p.Arn != "arn:aws:iam::"+account+":policy/x/pull" || *p.DefaultVersionId != "v1" || *p.AttachmentCount != 0 || !strings.HasPrefix(*p.PolicyId, "ANPA") {
		t.Errorf("created %+v", p)
	}
	for i := 2; i <= 5; i++ {
		v := must[api.CreatePolicyVersionOutput](t)(c.CreatePolicyVersion(ctx, &api.CreatePolicyVersionInput{PolicyArn: p.Arn, PolicyDocument: aws.String(denyECR), SetAsDefault: i == 5})).PolicyVersion
		if *v.VersionId != fmt.Sprintf("v%d", i) || v.IsDefaultVersion != (i == 5) {
			t.Errorf("version %s, default %v", *v.VersionId, v.IsDefaultVersion)
		}
	}
	refused[api.CreatePolicyVersionOutput](t, "LimitExceeded")(c.CreatePolicyVersion(ctx, &api.CreatePolicyVersionInput{PolicyArn: p.Arn, PolicyDocument: aws.String(denyECR)}))
	refused[api.DeletePolicyVersionOutput](t, "DeleteConflict")(c.DeletePolicyVersion(ctx, &api.DeletePolicyVersionInput{PolicyArn: p.Arn, VersionId: aws.String("v5")}))
	must[api.DeletePolicyVersionOutput](t)(c.DeletePolicyVersion(ctx, &api.DeletePolicyVersionInput{PolicyArn: p.Arn, VersionId: aws.String("v2")}))
	must[api.SetDefaultPolicyVersionOutput](t)(c.SetDefaultPolicyVersion(ctx, &api.SetDefaultPolicyVersionInput{PolicyArn: p.Arn, VersionId: aws.String("v1")}))
	next := must[api.CreatePolicyVersionOutput](t)(c.CreatePolicyVersion(ctx, &api.CreatePolicyVersionInput{PolicyArn: p.Arn, PolicyDocument: aws.String(allowECR)})).PolicyVersion
	if *next.VersionId != "v6" {
		t.Errorf("a version's number was given again: %s", *next.VersionId)
	}
	var ids []string
	for _, v := range must[api.ListPolicyVersionsOutput](t)(c.ListPolicyVersions(ctx, &api.ListPolicyVersionsInput{PolicyArn: p.Arn})).Versions {
		ids = append(ids, *v.VersionId)
	}
	if !slices.Equal(ids, []string{"v6", "v5", "v4", "v3", "v1"}) {
		t.Errorf("versions %v", ids)
	}
	v := must[api.GetPolicyVersionOutput](t)(c.GetPolicyVersion(ctx, &api.GetPolicyVersionInput{PolicyArn: p.Arn, VersionId: aws.String("v5")})).PolicyVersion
	if text, err := url.PathUnescape(*v.Document); err != nil || text != denyECR {
		t.Errorf("v5 is %s", text)
	}

	// In use.
	must[api.CreateUserOutput](t)(c.CreateUser(ctx, &api.CreateUserInput{UserName: aws.String("alice"), PermissionsBoundary: p.Arn}))
	must[api.AttachUserPolicyOutput](t)(c.AttachUserPolicy(ctx, &api.AttachUserPolicyInput{UserName: aws.String("alice"), PolicyArn: p.Arn}))
	must[api.AttachUserPolicyOutput](t)(c.AttachUserPolicy(ctx, &api.AttachUserPolicyInput{UserName: aws.String("alice"), PolicyArn: p.Arn}))
	got := must[api.GetPolicyOutput](t)(c.GetPolicy(ctx, &api.GetPolicyInput{PolicyArn: p.Arn})).Policy
	if *got.AttachmentCount != 1 || *got.PermissionsBoundaryUsageCount != 1 || *got.Description != "d" {
		t.Errorf("in use: %+v", got)
	}
	users := must[api.ListEntitiesForPolicyOutput](t)(c.ListEntitiesForPolicy(ctx, &api.ListEntitiesForPolicyInput{PolicyArn: p.Arn})).PolicyUsers
	if len(users) != 1 || *users[0].UserName != "alice" {
		t.Errorf("entities %+v", users)
	}
	refused[api.DeletePolicyOutput](t, "DeleteConflict")(c.DeletePolicy(ctx, &api.DeletePolicyInput{PolicyArn: p.Arn}))
	must[api.DetachUserPolicyOutput](t)(c.DetachUserPolicy(ctx, &api.DetachUserPolicyInput{UserName: aws.String("alice"), PolicyArn: p.Arn}))
	refused[api.DetachUserPolicyOutput](t, "NoSuchEntity")(c.DetachUserPolicy(ctx, &api.DetachUserPolicyInput{UserName: aws.String("alice"), PolicyArn: p.Arn}))
	refused[api.DeletePolicyOutput](t, "DeleteConflict")(c.DeletePolicy(ctx, &api.DeletePolicyInput{PolicyArn: p.Arn}))
	must[api.DeleteUserPermissionsBoundaryOutput](t)(c.DeleteUserPermissionsBoundary(ctx, &api.DeleteUserPermissionsBoundaryInput{UserName: aws.String("alice")}))
	refused[api.DeletePolicyOutput](t, "DeleteConflict")(c.DeletePolicy(ctx, &api.DeletePolicyInput{PolicyArn: p.Arn})) // versions
	for _, id := range []string{"v3", "v4", "v5", "v6"} {
		must[api.DeletePolicyVersionOutput](t)(c.DeletePolicyVersion(ctx, &api.DeletePolicyVersionInput{PolicyArn: p.Arn, VersionId: &id}))
	}
	must[api.DeletePolicyOutput](t)(c.DeletePolicy(ctx, &api.DeletePolicyInput{PolicyArn: p.Arn}))
	refused[api.GetPolicyOutput](t, "NoSuchEntity")(c.GetPolicy(ctx, &api.GetPolicyInput{PolicyArn: p.Arn}))
}

func TestManagedPolicies_AWSUnmodifiable(t *testing.T) {
	_, c := serve(t)
	arn := aws.String("arn:aws:iam::aws:policy/AdministratorAccess")
	p := must[api.GetPolicyOutput](t)(c.GetPolicy(t.Context(), &api.GetPolicyInput{PolicyArn: arn})).Policy
	if *p.AttachmentCount != 1 {
		t.Errorf("attached %d times: another account's uses must not count", *p.AttachmentCount)
	}
	must[api.GetPolicyVersionOutput](t)(c.GetPolicyVersion(t.Context(), &api.GetPolicyVersionInput{PolicyArn: arn, VersionId: p.DefaultVersionId}))
	refused[api.DeletePolicyOutput](t, "AccessDenied")(c.DeletePolicy(t.Context(), &api.DeletePolicyInput{PolicyArn: arn}))
	refused[api.CreatePolicyVersionOutput](t, "AccessDenied")(c.CreatePolicyVersion(t.Context(), &api.CreatePolicyVersionInput{PolicyArn: arn, PolicyDocument: aws.String(allowECR), SetAsDefault: true}))
	local := must[api.ListPoliciesOutput](t)(c.ListPolicies(t.Context(), &api.ListPoliciesInput{Scope: types.PolicyScopeTypeLocal})).Policies
	attached := must[api.ListPoliciesOutput](t)(c.ListPolicies(t.Context(), &api.ListPoliciesInput{OnlyAttached: true})).Policies
	if len(local) != 0 || len(attached) != 1 || *attached[0].Arn != *arn {
		t.Errorf("%d local policies, attached %+v", len(local), attached)
	}
}

func TestAccessKeys(t *testing.T) {
	w, c := serve(t)
	ctx, alice := t.Context(), aws.String("alice")
	must[api.CreateUserOutput](t)(c.CreateUser(ctx, &api.CreateUserInput{UserName: alice}))
	first := must[api.CreateAccessKeyOutput](t)(c.CreateAccessKey(ctx, &api.CreateAccessKeyInput{UserName: alice})).AccessKey
	second := must[api.CreateAccessKeyOutput](t)(c.CreateAccessKey(ctx, &api.CreateAccessKeyInput{UserName: alice})).AccessKey
	if *first.UserName != "alice" || len(*first.AccessKeyId) != 20 || len(*first.SecretAccessKey) != 40 || *first.SecretAccessKey == *second.SecretAccessKey {
		t.Errorf("keys %s %s", *first.AccessKeyId, *second.AccessKeyId)
	}
	refused[api.CreateAccessKeyOutput](t, "LimitExceeded")(c.CreateAccessKey(ctx, &api.CreateAccessKeyInput{UserName: alice}))
	refused[api.DeleteUserOutput](t, "DeleteConflict")(c.DeleteUser(ctx, &api.DeleteUserInput{UserName: alice}))

	unused := must[api.GetAccessKeyLastUsedOutput](t)(c.GetAccessKeyLastUsed(ctx, &api.GetAccessKeyLastUsedInput{AccessKeyId: first.AccessKeyId}))
	if *unused.UserName != "alice" || unused.AccessKeyLastUsed.LastUsedDate != nil || *unused.AccessKeyLastUsed.ServiceName != "N/A" {
		t.Errorf("an unused key: %+v", unused.AccessKeyLastUsed)
	}
	used := must[api.GetAccessKeyLastUsedOutput](t)(c.GetAccessKeyLastUsed(ctx, &api.GetAccessKeyLastUsedInput{AccessKeyId: &w.Admin.AccessKeyID})).AccessKeyLastUsed
	if used.LastUsedDate == nil || *used.ServiceName != "iam" || *used.Region == "" {
		t.Errorf("the admin's key: %+v", used)
	}

	must[api.UpdateAccessKeyOutput](t)(c.UpdateAccessKey(ctx, &api.UpdateAccessKeyInput{UserName: alice, AccessKeyId: first.AccessKeyId, Status: types.StatusTypeInactive}))
	keys := must[api.ListAccessKeysOutput](t)(c.ListAccessKeys(ctx, &api.ListAccessKeysInput{UserName: alice})).AccessKeyMetadata
	if len(keys) != 2 || keys[0].Status != types.StatusTypeInactive || keys[1].Status != types.StatusTypeActive {
		t.Errorf("keys %+v", keys)
	}
	own := must[api.ListAccessKeysOutput](t)(c.ListAccessKeys(ctx, &api.ListAccessKeysInput{})).AccessKeyMetadata
	if len(own) != 1 || *own[0].AccessKeyId != w.Admin.AccessKeyID || *own[0].UserName != "admin" {
		t.Errorf("own keys %+v", own)
	}
	refused[api.DeleteAccessKeyOutput](t, "NoSuchEntity")(c.DeleteAccessKey(ctx, &api.DeleteAccessKeyInput{UserName: alice, AccessKeyId: &w.Admin.AccessKeyID}))
	for _, k := range keys {
		must[api.DeleteAccessKeyOutput](t)(c.DeleteAccessKey(ctx, &api.DeleteAccessKeyInput{UserName: alice, AccessKeyId: k.AccessKeyId}))
	}
	must[api.DeleteUserOutput](t)(c.DeleteUser(ctx, &api.DeleteUserInput{UserName: alice}))
}

func TestGroups(t *testing.T) {
	_, c := serve(t)
	ctx, ops, alice := t.Context(), aws.String("ops"), aws.String("alice")
	must[api.CreateUserOutput](t)(c.CreateUser(ctx, &api.CreateUserInput{UserName: alice}))
	g := must[api.CreateGroupOutput](t)(c.CreateGroup(ctx, &api.CreateGroupInput{GroupName: ops})).Group
	if !strings.HasPrefix(*g.GroupId, "AGPA") || *g.Arn != "arn:aws:iam::"+account+":group/ops" {
		t.Errorf("group %+v", g)
	}
	must[api.AddUserToGroupOutput](t)(c.AddUserToGroup(ctx, &api.AddUserToGroupInput{GroupName: ops, UserName: alice}))
	must[api.PutGroupPolicyOutput](t)(c.PutGroupPolicy(ctx, &api.PutGroupPolicyInput{GroupName: ops, PolicyName: aws.String("p"), PolicyDocument: aws.String(allowECR)}))
	members := must[api.GetGroupOutput](t)(c.GetGroup(ctx, &api.GetGroupInput{GroupName: ops})).Users
	groups := must[api.ListGroupsForUserOutput](t)(c.ListGroupsForUser(ctx, &api.ListGroupsForUserInput{UserName: alice})).Groups
	if len(members) != 1 || *members[0].UserName != "alice" || len(groups) != 1 || *groups[0].GroupName != "ops" {
		t.Errorf("members %+v, groups %+v", members, groups)
	}
	refused[api.DeleteUserOutput](t, "DeleteConflict")(c.DeleteUser(ctx, &api.DeleteUserInput{UserName: alice}))
	refused[api.DeleteGroupOutput](t, "DeleteConflict")(c.DeleteGroup(ctx, &api.DeleteGroupInput{GroupName: ops}))
	must[api.RemoveUserFromGroupOutput](t)(c.RemoveUserFromGroup(ctx, &api.RemoveUserFromGroupInput{GroupName: ops, UserName: alice}))
	must[api.DeleteGroupPolicyOutput](t)(c.DeleteGroupPolicy(ctx, &api.DeleteGroupPolicyInput{GroupName: ops, PolicyName: aws.String("p")}))
	must[api.DeleteGroupOutput](t)(c.DeleteGroup(ctx, &api.DeleteGroupInput{GroupName: ops}))
}

func TestAccountAliasAndSummary(t *testing.T) {
	_, c := serve(t)
	ctx := t.Context()
	must[api.CreateAccountAliasOutput](t)(c.CreateAccountAlias(ctx, &api.CreateAccountAliasInput{AccountAlias: aws.String("gate-house")}))
	refused[api.CreateAccountAliasOutput](t, "ValidationError")(c.CreateAccountAlias(ctx, &api.CreateAccountAliasInput{AccountAlias: aws.String("Gate--house")}))
	if got := must[api.ListAccountAliasesOutput](t)(c.ListAccountAliases(ctx, &api.ListAccountAliasesInput{})).AccountAliases; !slices.Equal(got, []string{"gate-house"}) {
		t.Errorf("aliases %v", got)
	}
	must[api.DeleteAccountAliasOutput](t)(c.DeleteAccountAlias(ctx, &api.DeleteAccountAliasInput{AccountAlias: aws.String("gate-house")}))
	refused[api.DeleteAccountAliasOutput](t, "NoSuchEntity")(c.DeleteAccountAlias(ctx, &api.DeleteAccountAliasInput{AccountAlias: aws.String("gate-house")}))
	if got := must[api.GetAccountSummaryOutput](t)(c.GetAccountSummary(ctx, &api.GetAccountSummaryInput{})).SummaryMap; got["Users"] != 1 || got["Roles"] != 0 {
		t.Errorf("summary %v", got)
	}
}

// TestLists_UnsupportedCredentials is what Terraform asks when it destroys a user.
func TestLists_UnsupportedCredentials(t *testing.T) {
	_, c := serve(t)
	ctx, admin, nobody := t.Context(), aws.String("admin"), aws.String("nobody")
	refused[api.GetLoginProfileOutput](t, "NoSuchEntity")(c.GetLoginProfile(ctx, &api.GetLoginProfileInput{UserName: admin}))
	refused[api.DeleteLoginProfileOutput](t, "NoSuchEntity")(c.DeleteLoginProfile(ctx, &api.DeleteLoginProfileInput{UserName: admin}))
	if n := len(must[api.ListMFADevicesOutput](t)(c.ListMFADevices(ctx, &api.ListMFADevicesInput{UserName: admin})).MFADevices); n != 0 {
		t.Errorf("%d MFA devices", n)
	}
	must[api.ListSigningCertificatesOutput](t)(c.ListSigningCertificates(ctx, &api.ListSigningCertificatesInput{UserName: admin}))
	must[api.ListSSHPublicKeysOutput](t)(c.ListSSHPublicKeys(ctx, &api.ListSSHPublicKeysInput{UserName: admin}))
	must[api.ListServiceSpecificCredentialsOutput](t)(c.ListServiceSpecificCredentials(ctx, &api.ListServiceSpecificCredentialsInput{UserName: admin}))
	must[api.ListVirtualMFADevicesOutput](t)(c.ListVirtualMFADevices(ctx, &api.ListVirtualMFADevicesInput{}))
	refused[api.ListMFADevicesOutput](t, "NoSuchEntity")(c.ListMFADevices(ctx, &api.ListMFADevicesInput{UserName: nobody}))
}
