package stsapi_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	iamapi "github.com/aws/aws-sdk-go-v2/service/iam"
	api "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	iamedge "github.com/gatehouse-registry/gatehouse/internal/server/api/iamapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/stsapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
)

const account = iamtest.Account

// A fixture has the two query APIs.
type fixture struct {
	*iamtest.Fixture
	t   *testing.T
	sts *api.Client
	iam *iamapi.Client
}

func serve(t *testing.T) *fixture {
	t.Helper()
	w := iamtest.New(t)
	s, err := wire.New("sts", w.Options("sts", stsapi.MapError))
	if err != nil {
		t.Fatal(err)
	}
	stsapi.Register(s, stsapi.New(stsapi.Config{IAM: w.IAM}))
	i, err := wire.New("iam", w.Options("iam", iamedge.MapError))
	if err != nil {
		t.Fatal(err)
	}
	iamedge.Register(i, iamedge.New(iamedge.Config{IAM: w.IAM}))
	c := w.Serve(s, i)
	return &fixture{w, t, api.NewFromConfig(c), iamapi.NewFromConfig(c)}
}

// user creates a user with an inline policy (none if it is empty) and returns
// its access key as credentials for the API.
func (f *fixture) user(name, document string) (id string, as func(*api.Options)) {
	f.t.Helper()
	ctx := f.AsAdmin()
	u, err := f.IAM.CreateUser(ctx, iam.NewEntity{Name: name})
	if err != nil {
		f.t.Fatal(err)
	}
	if document != "" {
		if err := f.IAM.PutInlinePolicy(ctx, iam.KindUser, name, "p", document); err != nil {
			f.t.Fatal(err)
		}
	}
	_, k, secret, err := f.IAM.CreateAccessKey(ctx, name)
	if err != nil {
		f.t.Fatal(err)
	}
	return u.ID, static(k.ID, secret, "")
}

// role creates a role that trusts the statement's principals, and may do what
// the document says.
func (f *fixture) role(name, trust, document string) string {
	f.t.Helper()
	r, err := f.IAM.CreateRole(f.AsAdmin(), iam.NewEntity{Name: name}, "", `{"Version":"2012-10-17","Statement":[`+trust+`]}`, 7200)
	if err != nil {
		f.t.Fatal(err)
	}
	if document != "" {
		if err := f.IAM.PutInlinePolicy(f.AsAdmin(), iam.KindRole, name, "p", document); err != nil {
			f.t.Fatal(err)
		}
	}
	return r.ARN()
}

func static(id, secret, session string) func(*api.Options) {
	return func(o *api.Options) { o.Credentials = iamtest.Static(id, secret, session) }
}

func session(c *types.Credentials) func(*api.Options) {
	return static(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
}

func iamSession(c *types.Credentials) func(*iamapi.Options) {
	return func(o *iamapi.Options) {
		o.Credentials = iamtest.Static(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	}
}

func (f *fixture) identity(as func(*api.Options)) string {
	f.t.Helper()
	out, err := f.sts.GetCallerIdentity(f.t.Context(), &api.GetCallerIdentityInput{}, as)
	if err != nil {
		return code(err)
	}
	return *out.Arn + " " + *out.UserId + " " + *out.Account
}

func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return fmt.Sprint(err)
}

// assume is AssumeRole of a role with the session name "s".
func (f *fixture) assume(arn string, as func(*api.Options), change ...func(*api.AssumeRoleInput)) (*api.AssumeRoleOutput, error) {
	in := &api.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("s-1")}
	for _, c := range change {
		c(in)
	}
	return f.sts.AssumeRole(f.t.Context(), in, as)
}

func (f *fixture) assumed(arn string, as func(*api.Options), change ...func(*api.AssumeRoleInput)) *api.AssumeRoleOutput {
	f.t.Helper()
	out, err := f.assume(arn, as, change...)
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

func (f *fixture) refused(want string, arn string, as func(*api.Options), change ...func(*api.AssumeRoleInput)) {
	f.t.Helper()
	if _, err := f.assume(arn, as, change...); code(err) != want {
		f.t.Errorf("AssumeRole: %v, want %s", err, want)
	}
}

const (
	mayAssume    = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"],"Resource":"*"}}`
	denyAll      = `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`
	allowIAM     = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:*","Resource":"*"}}`
	allowGetUser = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:GetUser","Resource":"*"}}`
)

func trusts(principal string) string {
	return `{"Effect":"Allow","Principal":{"AWS":"` + principal + `"},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]}`
}

func TestGetCallerIdentity_NoPermission(t *testing.T) {
	f := serve(t)
	id, as := f.user("alice", denyAll)
	if got, want := f.identity(as), "arn:aws:iam::"+account+":user/alice "+id+" "+account; got != want {
		t.Errorf("identity %s, want %s", got, want)
	}
}

func TestAssumeRole_OneAccount(t *testing.T) {
	f := serve(t)
	_, alice := f.user("alice", "")
	_, bob := f.user("bob", mayAssume)
	named := f.role("named", trusts("arn:aws:iam::"+account+":user/alice"), "")
	whole := f.role("whole", trusts(account), "")

	f.assumed(named, alice)                 // the trust policy names the user: that is enough
	f.refused("AccessDenied", whole, alice) // the account delegates, and alice has no policy
	f.assumed(whole, bob)
	f.refused("AccessDenied", named, bob) // bob's policy does not make the role trust him
	out := f.assumed(named, alice)
	arn := "arn:aws:sts::" + account + ":assumed-role/named/s-1"
	if *out.AssumedRoleUser.Arn != arn || !strings.HasSuffix(*out.AssumedRoleUser.AssumedRoleId, ":s-1") {
		t.Errorf("assumed %s %s", *out.AssumedRoleUser.Arn, *out.AssumedRoleUser.AssumedRoleId)
	}
	if left := time.Until(*out.Credentials.Expiration); left < 59*time.Minute || left > time.Hour {
		t.Errorf("the session lasts %v, want an hour", left)
	}
	if got := f.identity(session(out.Credentials)); got != arn+" "+*out.AssumedRoleUser.AssumedRoleId+" "+account {
		t.Errorf("identity %s", got)
	}
}

func TestAssumeRole_MissingRoleAnswersLikeUntrusting(t *testing.T) {
	f := serve(t)
	_, bob := f.user("bob", mayAssume)
	exists := f.role("exists", trusts("arn:aws:iam::"+account+":user/admin"), "")
	_, err := f.assume(exists, bob)
	_, none := f.assume(strings.Replace(exists, "exists", "absent", 1), bob)
	var a, b smithy.APIError
	if !errors.As(err, &a) || !errors.As(none, &b) {
		t.Fatal(err, none)
	}
	if strings.ReplaceAll(a.ErrorMessage(), "exists", "absent") != b.ErrorMessage() || a.ErrorCode() != b.ErrorCode() {
		t.Errorf("the answers differ:\n%v\n%v", a, b)
	}
}

// TestAssumeRole_Path: whoever may assume the roles below a path must
// not get at another one by giving it that path.
func TestAssumeRole_Path(t *testing.T) {
	f := serve(t)
	role := f.role("top", trusts(account), "")
	_, bob := f.user("bob", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::`+account+`:role/dev/*"}}`)
	for _, arn := range []string{role, strings.Replace(role, "role/", "role/dev/", 1), strings.Replace(role, "top", "dev/../top", 1), strings.Replace(role, "top", "dev/TOP", 1)} {
		f.refused("AccessDenied", arn, bob)
	}
}

func TestAssumeRole_AcrossAccounts(t *testing.T) {
	f := serve(t)
	_, bob := f.user("bob", mayAssume)
	_, carol := f.user("carol", "")
	ctx := f.AsOtherAdmin()
	create := func(name, trust string) string {
		r, err := f.IAM.CreateRole(ctx, iam.NewEntity{Name: name}, "", `{"Version":"2012-10-17","Statement":`+trust+`}`, 0)
		if err != nil {
			t.Fatal(err)
		}
		return r.ARN()
	}
	account := create("account", `{"Effect":"Allow","Principal":{"AWS":"`+account+`"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"42"}}}`)
	person := create("person", trusts("arn:aws:iam::"+iamtest.Account+":user/carol"))
	nobody := create("nobody", trusts(iamtest.Other))
	external := func(id string) func(*api.AssumeRoleInput) {
		return func(in *api.AssumeRoleInput) { in.ExternalId = &id }
	}
	f.assumed(account, bob, external("42"))
	f.refused("AccessDenied", account, bob)
	f.refused("AccessDenied", account, bob, external("43"))
	f.refused("AccessDenied", account, carol, external("42")) // no policy of her own
	f.refused("AccessDenied", person, carol)                  // named, and still no policy of her own
	f.refused("AccessDenied", nobody, bob)
}

func TestAssumeRole_RootAndFederatedUser(t *testing.T) {
	f := serve(t)
	role := f.role("r", trusts(account), "")
	ctx := f.As(account, account, "")
	_, k, secret, err := f.IAM.CreateAccessKey(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	root := static(k.ID, secret, "")
	if got := f.identity(root); got != "arn:aws:iam::"+account+":root "+account+" "+account {
		t.Errorf("root is %s", got)
	}
	f.refused("AccessDenied", role, root)
	federated, err := f.sts.GetFederationToken(t.Context(), &api.GetFederationTokenInput{Name: aws.String("guest"), Policy: aws.String(mayAssume)})
	if err != nil {
		t.Fatal(err)
	}
	f.refused("AccessDenied", role, session(federated.Credentials))
}

func TestSessions_Durations(t *testing.T) {
	f := serve(t)
	_, alice := f.user("alice", mayAssume)
	first := f.role("first", trusts(account), mayAssume) // MaxSession two hours
	second := f.role("second", trusts(account), "")
	seconds := func(n int32) func(*api.AssumeRoleInput) {
		return func(in *api.AssumeRoleInput) { in.DurationSeconds = &n }
	}
	for n, want := range map[int32]time.Duration{900: 15 * time.Minute, 7200: 2 * time.Hour} {
		left := time.Until(*f.assumed(first, alice, seconds(n)).Credentials.Expiration)
		if left > want || left < want-time.Minute {
			t.Errorf("%d seconds: %v left", n, left)
		}
	}
	f.refused("ValidationError", first, alice, seconds(899))
	f.refused("ValidationError", first, alice, seconds(7201))
	chained := session(f.assumed(first, alice).Credentials)
	f.assumed(second, chained, seconds(3600))
	f.refused("ValidationError", second, chained, seconds(3601))

	own := func(n int32, as func(*api.Options)) (time.Duration, string) {
		out, err := f.sts.GetSessionToken(t.Context(), &api.GetSessionTokenInput{DurationSeconds: &n}, as)
		if err != nil {
			return 0, code(err)
		}
		return time.Until(*out.Credentials.Expiration).Round(time.Minute), ""
	}
	if d, c := own(129600, alice); d != 36*time.Hour {
		t.Errorf("GetSessionToken for 36 hours: %v %s", d, c)
	}
	if _, c := own(129601, alice); c != "ValidationError" {
		t.Errorf("GetSessionToken for more than 36 hours: %s", c)
	}
	if _, c := own(900, chained); c != "AccessDenied" {
		t.Errorf("GetSessionToken from a role session: %s", c)
	}
}

func packed(out *api.AssumeRoleOutput) *int32 {
	//lint:ignore SA1019 what released clients read
	return out.PackedPolicySize
}

func TestAssumeRole_SessionPolicies(t *testing.T) {
	f := serve(t)
	_, alice := f.user("alice", mayAssume)
	role := f.role("r", trusts(account), allowIAM)
	list := func(c *types.Credentials) string {
		_, err := f.iam.ListUsers(t.Context(), &iamapi.ListUsersInput{}, iamSession(c))
		return code(err)
	}
	get := func(c *types.Credentials) string {
		_, err := f.iam.GetUser(t.Context(), &iamapi.GetUserInput{UserName: aws.String("alice")}, iamSession(c))
		return code(err)
	}
	const ok = "<nil>"
	free := f.assumed(role, alice)
	if list(free.Credentials) != ok || get(free.Credentials) != ok || packed(free) != nil {
		t.Errorf("without a session policy: %s %s", list(free.Credentials), get(free.Credentials))
	}
	limited := f.assumed(role, alice, func(in *api.AssumeRoleInput) { in.Policy = aws.String(allowGetUser) })
	if list(limited.Credentials) != "AccessDenied" || get(limited.Credentials) != ok || packed(limited) == nil {
		t.Errorf("with a session policy: %s %s", list(limited.Credentials), get(limited.Credentials))
	}

	// A managed policy counts as it is now, and as nothing once it is gone.
	p, err := f.IAM.CreatePolicy(f.AsAdmin(), iam.NewEntity{Name: "get"}, "", allowGetUser)
	if err != nil {
		t.Fatal(err)
	}
	managed := f.assumed(role, alice, func(in *api.AssumeRoleInput) {
		in.PolicyArns = []types.PolicyDescriptorType{{Arn: aws.String(p.ARN())}}
	})
	if list(managed.Credentials) != "AccessDenied" || get(managed.Credentials) != ok {
		t.Errorf("with a managed session policy: %s %s", list(managed.Credentials), get(managed.Credentials))
	}
	if err := f.IAM.DeletePolicy(f.AsAdmin(), p.ARN()); err != nil {
		t.Fatal(err)
	}
	if got := get(managed.Credentials); got != "AccessDenied" {
		t.Errorf("after the session policy was deleted: %s", got)
	}

	f.refused("MalformedPolicyDocument", role, alice, func(in *api.AssumeRoleInput) { in.Policy = aws.String(`{}`) })
	f.refused("MalformedPolicyDocument", role, alice, func(in *api.AssumeRoleInput) { // half an ARN
		in.Policy = aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr"}}`)
	})
	f.refused("ValidationError", role, alice, func(in *api.AssumeRoleInput) {
		in.PolicyArns = []types.PolicyDescriptorType{{Arn: aws.String("arn:aws:iam::" + account + ":policy/none")}}
	})
}

func TestAssumeRole_TagsAndSourceIdentity(t *testing.T) {
	f := serve(t)
	_, alice := f.user("alice", mayAssume)
	tagged := `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"],"Resource":"*"},
		{"Effect":"Allow","Action":"iam:GetUser","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"x","aws:SourceIdentity":"alice"}}}]}`
	first := f.role("first", trusts(account), tagged)
	second := f.role("second", trusts(account), tagged)
	plain := f.role("plain", `{"Effect":"Allow","Principal":{"AWS":"`+account+`"},"Action":"sts:AssumeRole"}`, tagged)
	tags := func(transitive ...string) func(*api.AssumeRoleInput) {
		return func(in *api.AssumeRoleInput) {
			in.Tags = []types.Tag{{Key: aws.String("team"), Value: aws.String("x")}, {Key: aws.String("b"), Value: aws.String("y")}}
			in.TransitiveTagKeys = transitive
		}
	}
	source := func(in *api.AssumeRoleInput) { in.SourceIdentity = aws.String("alice") }
	get := func(c *types.Credentials) string {
		_, err := f.iam.GetUser(t.Context(), &iamapi.GetUserInput{UserName: aws.String("alice")}, iamSession(c))
		return code(err)
	}

	f.refused("AccessDenied", plain, alice, tags()) // the trust policy does not allow sts:TagSession
	f.refused("AccessDenied", plain, alice, source) // nor sts:SetSourceIdentity
	f.refused("InvalidParameterValue", first, alice, tags("none"))

	one := f.assumed(first, alice, tags("TEAM"), source)
	if got := get(one.Credentials); got != "<nil>" || *one.SourceIdentity != "alice" {
		t.Errorf("tags and source identity of the first session: %s", got)
	}
	two := f.assumed(second, session(one.Credentials))
	if got := get(two.Credentials); got != "<nil>" || *two.SourceIdentity != "alice" {
		t.Errorf("what the second session inherits: %s", got)
	}
	f.refused("AccessDenied", second, session(one.Credentials), func(in *api.AssumeRoleInput) { in.SourceIdentity = aws.String("mallory") })
	f.refused("InvalidParameterValue", second, session(one.Credentials), tags()) // team is transitive
	loose := f.assumed(first, alice, tags(), source)
	if got := get(f.assumed(second, session(loose.Credentials)).Credentials); got != "AccessDenied" {
		t.Errorf("a tag that is not transitive was inherited: %s", got)
	}
}

func TestGetSessionToken_CannotCallIAM(t *testing.T) {
	f := serve(t)
	out, err := f.sts.GetSessionToken(t.Context(), &api.GetSessionTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.identity(session(out.Credentials)); !strings.HasPrefix(got, "arn:aws:iam::"+account+":user/admin ") {
		t.Errorf("identity %s", got)
	}
	if _, err := f.iam.ListUsers(t.Context(), &iamapi.ListUsersInput{}, iamSession(out.Credentials)); code(err) != "InvalidClientTokenId" {
		t.Errorf("IAM with session credentials of a user: %v", err)
	}
	role := f.role("r", trusts(account), "")
	f.assumed(role, session(out.Credentials))
}

func TestGetFederationToken_Permissions(t *testing.T) {
	f := serve(t)
	out, err := f.sts.GetFederationToken(t.Context(), &api.GetFederationTokenInput{
		Name: aws.String("guest"), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "arn:aws:sts::" + account + ":federated-user/guest " + account + ":guest " + account
	if got := f.identity(session(out.Credentials)); got != want || *out.FederatedUser.Arn+" "+*out.FederatedUser.FederatedUserId+" "+account != want {
		t.Errorf("identity %s, want %s", got, want)
	}
	// Without session policies nothing is allowed, whatever the admin may do.
	if _, err := f.sts.GetAccessKeyInfo(t.Context(), &api.GetAccessKeyInfoInput{AccessKeyId: &f.Admin.AccessKeyID}, session(out.Credentials)); code(err) != "AccessDenied" {
		t.Errorf("a federated user without session policies: %v", err)
	}
	may, err := f.sts.GetFederationToken(t.Context(), &api.GetFederationTokenInput{
		Name: aws.String("guest"), Policy: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:*","Resource":"*"}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.sts.GetAccessKeyInfo(t.Context(), &api.GetAccessKeyInfoInput{AccessKeyId: &f.Admin.AccessKeyID}, session(may.Credentials)); err != nil {
		t.Errorf("a federated user with a session policy: %v", err)
	}
	_, carol := f.user("carol", "")
	if _, err := f.sts.GetFederationToken(t.Context(), &api.GetFederationTokenInput{Name: aws.String("guest")}, carol); code(err) != "AccessDenied" {
		t.Errorf("GetFederationToken without permission: %v", err)
	}
}

func TestGetAccessKeyInfo(t *testing.T) {
	f := serve(t)
	out, err := f.sts.GetSessionToken(t.Context(), &api.GetSessionTokenInput{}, static(f.OtherAdmin.AccessKeyID, f.OtherAdmin.Secret, ""))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		f.Admin.AccessKeyID: iamtest.Account, f.OtherAdmin.AccessKeyID: iamtest.Other, *out.Credentials.AccessKeyId: iamtest.Other,
	} {
		got, err := f.sts.GetAccessKeyInfo(t.Context(), &api.GetAccessKeyInfoInput{AccessKeyId: &key})
		if err != nil || *got.Account != want {
			t.Errorf("%s: %+v %v, want %s", key, got, err, want)
		}
	}
	for _, key := range []string{"AKIAAAAAAAAAAAAAAAAA", "ASIAAAAAAAAAAAAAAAAA", "ASIA7777777777777777"} {
		if _, err := f.sts.GetAccessKeyInfo(t.Context(), &api.GetAccessKeyInfoInput{AccessKeyId: &key}); code(err) != "ValidationError" {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestOperations_NotImplemented(t *testing.T) {
	f := serve(t)
	_, err := f.sts.AssumeRoot(t.Context(), &api.AssumeRootInput{
		TargetPrincipal: aws.String(account), TaskPolicyArn: &types.PolicyDescriptorType{Arn: aws.String("arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials")},
	})
	if err == nil || !strings.Contains(err.Error(), "AssumeRoot") || !strings.Contains(err.Error(), "501") {
		t.Errorf("an operation that is not built: %v", err)
	}
	if _, err := f.sts.GetSessionToken(t.Context(), &api.GetSessionTokenInput{SerialNumber: aws.String("arn:aws:iam::" + account + ":mfa/x"), TokenCode: aws.String("123456")}); code(err) != "AccessDenied" {
		t.Errorf("with an MFA code: %v", err)
	}
}
