package authn_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/sts"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

const (
	account  = iamtest.Account
	allowECR = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecr:*","Resource":"*"}}`
	trustAll = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]}}`
)

// A key is a set of credentials that signs.
type key struct{ id, secret, session string }

// A fixture has a user alice and a role deploy, who may use ECR.
type fixture struct {
	*iamtest.Fixture
	t     testing.TB
	admin context.Context
	alice key
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	w := iamtest.New(t)
	f := &fixture{Fixture: w, t: t, admin: w.AsAdmin()}
	_, err := w.IAM.CreateUser(f.admin, iam.NewEntity{Name: "alice", Tags: []iam.Tag{{Key: "team", Value: "x"}}})
	f.ok(err)
	f.ok(w.IAM.PutInlinePolicy(f.admin, iam.KindUser, "alice", "ecr", allowECR))
	f.ok(w.IAM.PutInlinePolicy(f.admin, iam.KindUser, "alice", "sts", strings.ReplaceAll(allowECR, "ecr:", "sts:")))
	_, k, secret, err := w.IAM.CreateAccessKey(f.admin, "alice")
	f.ok(err)
	f.alice = key{k.ID, secret, ""}
	_, err = w.IAM.CreateRole(f.admin, iam.NewEntity{Name: "deploy", Path: "/ci/"}, "", trustAll, 0)
	f.ok(err)
	f.ok(w.IAM.PutInlinePolicy(f.admin, iam.KindRole, "deploy", "ecr", allowECR))
	return f
}

func (f *fixture) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) as(k key) context.Context {
	f.t.Helper()
	c, err := f.signed(k)
	f.ok(err)
	return authn.WithCaller(f.t.Context(), c)
}

// signed is what a request that k signs amounts to.
func (f *fixture) signed(k key, change ...func(*http.Request)) (*authn.Caller, error) {
	f.t.Helper()
	return f.Authn.Signed(f.request(k, "ecr", iamtest.Region, change...), "ecr", []byte("{}"))
}

func (f *fixture) request(k key, service, region string, change ...func(*http.Request)) *http.Request {
	f.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "http://registry.example/", strings.NewReader("{}"))
	sum := sha256.Sum256([]byte("{}"))
	f.ok(v4.NewSigner().SignHTTP(f.t.Context(), aws.Credentials{AccessKeyID: k.id, SecretAccessKey: k.secret, SessionToken: k.session},
		r, hex.EncodeToString(sum[:]), service, region, f.Now()))
	for _, c := range change {
		c(r)
	}
	return r
}

func credentials(c sts.SessionCredentials) key { return key{c.AccessKeyID, c.Secret, c.Token} }

func (f *fixture) assume(k key, change ...func(*sts.AssumeRole)) key {
	f.t.Helper()
	in := sts.AssumeRole{RoleARN: "arn:aws:iam::" + account + ":role/ci/deploy", SessionName: "build-7"}
	for _, c := range change {
		c(&in)
	}
	out, err := sts.New(f.IAM).AssumeRole(f.as(k), in)
	f.ok(err)
	return credentials(out)
}

func (f *fixture) sessionToken(k key) key {
	f.t.Helper()
	out, err := sts.New(f.IAM).SessionToken(f.as(k), 0)
	f.ok(err)
	return credentials(out)
}

// bearer returns an ECR token that k obtained.
func (f *fixture) bearer(k key) string {
	f.t.Helper()
	c, err := f.signed(k)
	f.ok(err)
	claims := c.BearerClaims()
	claims.ID, claims.Issued, claims.Expires = token.NewID(token.BearerToken), f.Now(), f.Now().Add(12*time.Hour)
	text, err := f.Keyring.Mint(token.ECR, claims)
	f.ok(err)
	return text
}

func (f *fixture) open(text string) (*authn.Caller, error) {
	r := httptest.NewRequest(http.MethodGet, "http://registry.example/v2/", nil)
	r.Header.Set("Authorization", "Bearer "+text)
	return f.Authn.Bearer(r, token.ECR)
}

func code(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestSigned_Principals(t *testing.T) {
	f := newFixture(t)
	f.ok(f.IAM.TagEntity(f.admin, iam.KindRole, "deploy", []iam.Tag{{Key: "Team", Value: "of the role"}, {Key: "k", Value: "of the role"}}))
	role := f.assume(f.alice, func(in *sts.AssumeRole) {
		in.Tags, in.SourceIdentity, in.Policies.Document = []iam.Tag{{Key: "team", Value: "of the session"}}, "alice", allowECR
	})
	user := f.sessionToken(f.alice)
	for name, k := range map[string]key{"user": f.alice, "role": role, "session of a user": user} {
		signed, err := f.signed(k)
		f.ok(err)
		opened, err := f.open(f.bearer(k))
		f.ok(err)
		if opened.ARN != signed.ARN || opened.UserID != signed.UserID || opened.PrincipalARN != signed.PrincipalARN || opened.Type != signed.Type ||
			opened.SourceIdentity != signed.SourceIdentity || len(opened.SessionPolicies) != len(signed.SessionPolicies) || len(opened.Policies) != len(signed.Policies) ||
			!opened.IssuedAt.Equal(signed.IssuedAt) || !opened.ExpiresAt.Equal(signed.ExpiresAt) || opened.Region != iamtest.Region || opened.Token == nil {
			t.Errorf("%s: signed as %+v, opened as %+v", name, signed.Principal, opened.Principal)
		}
		if signed.Temporary() != (name != "user") {
			t.Errorf("%s: issued at %v", name, signed.IssuedAt)
		}
	}
	c, err := f.signed(role)
	f.ok(err)
	if c.ARN != "arn:aws:sts::"+account+":assumed-role/deploy/build-7" || c.PrincipalARN != "arn:aws:iam::"+account+":role/ci/deploy" || c.SessionName != "build-7" || c.Name != "" {
		t.Errorf("role session %+v", c.Principal)
	}
	if len(c.Tags) != 2 || c.Tags["team"] != "of the session" || c.Tags["k"] != "of the role" || c.SourceIdentity != "alice" || len(c.SessionPolicies) != 1 {
		t.Errorf("role session: tags %v, source identity %q, %d session policies", c.Tags, c.SourceIdentity, len(c.SessionPolicies))
	}
}

// TestAuthenticator_Revocation: what was taken away opens nothing any
// more, whether by signature or by a token that was issued before.
func TestAuthenticator_Revocation(t *testing.T) {
	deactivate := func(f *fixture) { f.ok(f.IAM.SetAccessKeyActive(f.admin, "alice", f.alice.id, false)) }
	deleteKey := func(f *fixture) { f.ok(f.IAM.DeleteAccessKey(f.admin, "alice", f.alice.id)) }
	deleteUser := func(f *fixture) {
		deleteKey(f)
		f.ok(f.IAM.DeleteInlinePolicy(f.admin, iam.KindUser, "alice", "ecr"))
		f.ok(f.IAM.DeleteInlinePolicy(f.admin, iam.KindUser, "alice", "sts"))
		f.ok(f.IAM.DeleteUser(f.admin, "alice"))
		_, err := f.IAM.CreateUser(f.admin, iam.NewEntity{Name: "alice"}) // another one
		f.ok(err)
	}
	deleteRole := func(f *fixture) {
		f.ok(f.IAM.DeleteInlinePolicy(f.admin, iam.KindRole, "deploy", "ecr"))
		f.ok(f.IAM.DeleteRole(f.admin, "deploy"))
		_, err := f.IAM.CreateRole(f.admin, iam.NewEntity{Name: "deploy", Path: "/ci/"}, "", trustAll, 0)
		f.ok(err)
	}
	user := func(f *fixture) key { return f.alice }
	role := func(f *fixture) key { return f.assume(f.alice) }
	session := func(f *fixture) key { return f.sessionToken(f.alice) }
	sessionWithRecord := func(f *fixture) key {
		return f.assume(f.alice, func(in *sts.AssumeRole) { in.Policies.Document = allowECR })
	}
	tests := map[string]struct {
		who    func(*fixture) key
		take   func(*fixture)
		closed bool
	}{
		"the user's key is deactivated":                 {user, deactivate, true},
		"the user's key is deleted":                     {user, deleteKey, true},
		"the user is deleted and created again":         {user, deleteUser, true},
		"the key behind a user's session":               {session, deactivate, true},
		"the user behind a user's session":              {session, deleteUser, true},
		"the role is deleted and created again":         {role, deleteRole, true},
		"the role of a session with a record":           {sessionWithRecord, deleteRole, true},
		"a role session outlives the key that began it": {role, deleteKey, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			k := tt.who(f)
			text := f.bearer(k)
			if _, err := f.open(text); err != nil {
				t.Fatal(err)
			}
			tt.take(f)
			_, opened := f.open(text)
			_, signed := f.signed(k)
			if tt.closed && (code(opened) != "InvalidToken" || code(signed) != "InvalidClientTokenId") {
				t.Errorf("opened: %v, signed: %v; want both refused", opened, signed)
			}
			if !tt.closed && (opened != nil || signed != nil) {
				t.Errorf("opened: %v, signed: %v; want both accepted", opened, signed)
			}
		})
	}
}

// TestAuthenticator_RevokedPermission at the next request, for every way to have it.
func TestAuthenticator_RevokedPermission(t *testing.T) {
	f := newFixture(t)
	f.ok(f.IAM.DeleteInlinePolicy(f.admin, iam.KindUser, "alice", "ecr"))
	text := f.bearer(f.alice)
	may := func() bool {
		t.Helper()
		c, err := f.open(text)
		f.ok(err)
		return (&authz.PolicyAuthorizer{}).Authorize(authn.WithCaller(t.Context(), c), &authz.Request{Action: "ecr:PutImage", Resource: "arn:aws:ecr:eu-central-1:" + account + ":repository/app"}) == nil
	}
	check := func(step string, want bool) {
		t.Helper()
		if got := may(); got != want {
			t.Errorf("%s: allowed is %v", step, got)
		}
	}
	check("at first", false)

	p, err := f.IAM.CreatePolicy(f.admin, iam.NewEntity{Name: "push"}, "", allowECR)
	f.ok(err)
	f.ok(f.IAM.AttachPolicy(f.admin, iam.KindUser, "alice", p.ARN()))
	check("a managed policy is attached", true)
	deny := strings.ReplaceAll(allowECR, "Allow", "Deny")
	_, _, err = f.IAM.CreatePolicyVersion(f.admin, p.ARN(), deny, true)
	f.ok(err)
	check("its default version denies", false)
	f.ok(f.IAM.SetDefaultPolicyVersion(f.admin, p.ARN(), 1))
	check("the first version is the default again", true)
	f.ok(f.IAM.DetachPolicy(f.admin, iam.KindUser, "alice", p.ARN()))
	check("the policy is detached", false)

	_, err = f.IAM.CreateGroup(f.admin, "", "ops")
	f.ok(err)
	f.ok(f.IAM.AddUserToGroup(f.admin, "ops", "alice"))
	check("the group gives nothing", false)
	f.ok(f.IAM.AttachPolicy(f.admin, iam.KindGroup, "ops", p.ARN()))
	check("the group gives it", true)
	f.ok(f.IAM.PutBoundary(f.admin, iam.KindUser, "alice", "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"))
	check("a boundary does not", false)
	f.ok(f.IAM.DeleteBoundary(f.admin, iam.KindUser, "alice"))
	check("the boundary is gone", true)
	f.ok(f.IAM.RemoveUserFromGroup(f.admin, "ops", "alice"))
	check("no member any more", false)
}

func TestSigned_Refuses(t *testing.T) {
	f := newFixture(t)
	role := f.assume(f.alice)
	other := f.assume(f.alice)
	wrong := f.alice
	wrong.secret = strings.Repeat("x", 40)
	tests := map[string]struct {
		k      key
		change func(*http.Request)
		want   string
	}{
		"an unknown key":                     {key{"AKIAAAAAAAAAAAAAAAAA", "x", ""}, nil, "InvalidClientTokenId"},
		"a wrong secret":                     {wrong, nil, "SignatureDoesNotMatch"},
		"temporary keys without their token": {key{role.id, role.secret, ""}, nil, "InvalidClientTokenId"},
		"another session's token":            {key{role.id, role.secret, other.session}, nil, "InvalidClientTokenId"},
		"a long-term key with a token":       {key{f.alice.id, f.alice.secret, role.session}, nil, "InvalidClientTokenId"},
		"a bearer token as session token":    {key{role.id, role.secret, f.bearer(f.alice)}, nil, "InvalidClientTokenId"},
		"no signature":                       {f.alice, func(r *http.Request) { r.Header.Del("Authorization") }, "MissingAuthenticationToken"},
		"half a signature":                   {f.alice, func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x") }, "IncompleteSignature"},
		"another request":                    {f.alice, func(r *http.Request) { r.URL.Path = "/other" }, "SignatureDoesNotMatch"},
	}
	for name, tt := range tests {
		change := tt.change
		if change == nil {
			change = func(*http.Request) {}
		}
		if _, err := f.signed(tt.k, change); code(err) != tt.want {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	if _, err := f.Authn.Signed(f.request(f.alice, "ecr", "us-east-1"), "ecr", []byte("{}")); code(err) != "SignatureDoesNotMatch" || !strings.Contains(err.Error(), "add it to the setting regions") {
		t.Errorf("a region that is not served: %v", err)
	}
	if _, err := f.Authn.Signed(f.request(f.alice, "ecr", iamtest.Region), "sts", []byte("{}")); code(err) != "SignatureDoesNotMatch" {
		t.Errorf("another service: %v", err)
	}
	// IAM and STS have no region of their own: aws-global is the name that the SDK
	// for Java has for that.
	for _, c := range []struct{ service, region, want string }{
		{"sts", "us-east-1", ""},
		{"iam", "us-east-1", ""},
		{"sts", "aws-global", ""},
		{"iam", "aws-global", ""},
		{"ecr", "aws-global", "SignatureDoesNotMatch"},
		{"codeartifact", "aws-global", "SignatureDoesNotMatch"},
		{"iam", "aws-cn-global", "SignatureDoesNotMatch"},
	} {
		caller, err := f.Authn.Signed(f.request(f.alice, c.service, c.region), c.service, []byte("{}"))
		if code(err) != c.want || err == nil && caller.Region != "us-east-1" {
			t.Errorf("%s in the region %s: %+v, %v", c.service, c.region, caller, err)
		}
	}
	if _, err := f.Authn.Signed(f.request(f.alice, "ecr", iamtest.Region), "ecr", []byte("[]")); code(err) != "SignatureDoesNotMatch" {
		t.Errorf("another body: %v", err)
	}
	late := f.request(f.alice, "ecr", iamtest.Region)
	f.Advance(16 * time.Minute)
	if _, err := f.Authn.Signed(late, "ecr", []byte("{}")); code(err) != "RequestExpired" {
		t.Errorf("an old signature: %v", err)
	}
	f.Advance(time.Hour)
	if _, err := f.signed(role); code(err) != "ExpiredToken" {
		t.Errorf("a session that is over: %v", err)
	}
}

func TestSigned_StreamedBody(t *testing.T) {
	f := newFixture(t)
	stream := func(sent string) error {
		r := f.request(f.alice, "ecr", iamtest.Region, func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(sent)) })
		sum := sha256.Sum256([]byte("{}"))
		r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
		r.Header.Del("Authorization")
		f.ok(v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: f.alice.id, SecretAccessKey: f.alice.secret}, r, hex.EncodeToString(sum[:]), "ecr", iamtest.Region, f.Now()))
		if _, err := f.Authn.Signed(r, "ecr", nil); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r.Body)
		if err == nil && !bytes.Equal(got, []byte(sent)) {
			t.Errorf("read %q, sent %q", got, sent)
		}
		return err
	}
	if err := stream("{}"); err != nil {
		t.Error(err)
	}
	if err := stream("[]"); code(err) != "SignatureDoesNotMatch" {
		t.Errorf("another body: %v", err)
	}
}

func TestAuthenticator_SessionRecord(t *testing.T) {
	f := newFixture(t)
	k := f.assume(f.alice, func(in *sts.AssumeRole) { in.Policies.Document = allowECR })
	text := f.bearer(k)
	// A second server has never seen the session, and reads it once.
	second := authn.New(authn.Config{Directory: f.Start(), Keyring: f.Keyring, Serves: func(string) bool { return true }, Now: f.Now})
	r := httptest.NewRequest(http.MethodGet, "http://registry.example/v2/", nil)
	r.Header.Set("Authorization", text)
	for range 2 {
		c, err := second.Bearer(r, token.ECR)
		if err != nil || len(c.SessionPolicies) != 1 {
			t.Fatalf("on a second server: %+v, %v", c, err)
		}
	}
	// While a token can name it the record stays, long after the session.
	f.Advance(11 * time.Hour)
	f.ok(f.IAM.Maintain(t.Context()))
	if _, err := f.open(text); err != nil {
		t.Errorf("after 11 hours: %v", err)
	}
	f.Advance(3 * time.Hour)
	f.ok(f.IAM.Maintain(t.Context()))
	if _, err := f.IAM.Session(t.Context(), k.id); code(err) != "InvalidToken" {
		t.Errorf("the record is still there: %v", err)
	}
}

// No request reads the database: with it gone, who is known already is known still,
// by signature and by token, and what they may do is decided.
func TestAuthenticator_NoDatabaseRead(t *testing.T) {
	f := newFixture(t)
	keys := map[string]key{
		"user": f.alice, "role": f.assume(f.alice), "session of a user": f.sessionToken(f.alice),
		"limited role": f.assume(f.alice, func(in *sts.AssumeRole) { in.Policies.Document = allowECR }),
	}
	tokens := map[string]string{}
	for name, k := range keys {
		tokens[name] = f.bearer(k)
	}
	f.ok(f.DB.Close())
	for name, k := range keys {
		signed, err := f.signed(k)
		f.ok(err)
		opened, err := f.open(tokens[name])
		f.ok(err)
		for way, c := range map[string]*authn.Caller{"signed": signed, "opened": opened} {
			ctx := authn.WithCaller(t.Context(), c)
			if err := (&authz.PolicyAuthorizer{}).Authorize(ctx, &authz.Request{Action: "ecr:PutImage", Resource: "arn:aws:ecr:eu-central-1:" + account + ":repository/app"}); err != nil {
				t.Errorf("%s, %s: %v", name, way, err)
			}
			if err := (&authz.PolicyAuthorizer{}).Authorize(ctx, &authz.Request{Action: "iam:CreateUser", Resource: "*"}); code(err) != "AccessDenied" {
				t.Errorf("%s, %s, may do what it may not: %v", name, way, err)
			}
		}
		if _, err := f.signed(key{k.id, strings.Repeat("x", 40), k.session}); err == nil {
			t.Errorf("%s: a wrong secret is accepted", name)
		}
	}
}

// A token says who its bearer is. What they may do, and what the session carries,
// is not in it, and so it is no longer for that.
func TestBearer_TokenHoldsIdentityOnly(t *testing.T) {
	f := newFixture(t)
	plain := f.assume(f.alice)
	laden := f.assume(f.alice, func(in *sts.AssumeRole) {
		in.Policies.Document = strings.Replace(allowECR, "ecr:*", "ecr:"+strings.Repeat("x", 1900), 1)
		in.SourceIdentity = "alice"
		for i := range 50 {
			in.Tags = append(in.Tags, iam.Tag{Key: fmt.Sprint("tag-", i), Value: strings.Repeat("v", 200)})
		}
	})
	// The one more text is the id of the record that keeps all this.
	if more := len(laden.session) - len(plain.session); more < 0 || more > 30 || len(laden.session) > 512 {
		t.Errorf("a session token has %d characters, and with policies, tags and a source identity %d", len(plain.session), len(laden.session))
	}
	claims, err := f.Keyring.Open(token.Session, laden.session)
	f.ok(err)
	text := fmt.Sprintf("%+v", claims)
	for _, what := range []string{"xxx", "vvv", "tag-", "Allow", "ecr:"} {
		if strings.Contains(text, what) {
			t.Errorf("the token says %s: %s", what, text)
		}
	}
	if claims.PrincipalID == "" || claims.Account != account || claims.SessionName != "build-7" || claims.ID != laden.id {
		t.Errorf("the token says %s", text)
	}
}

func TestBearer_Header(t *testing.T) {
	f := newFixture(t)
	text := f.bearer(f.alice)
	basic := func(credentials string) string { return base64.StdEncoding.EncodeToString([]byte(credentials)) }
	tests := map[string]struct {
		values []string
		want   string
	}{
		"none":                    {nil, "MissingAuthenticationToken"},
		"empty":                   {[]string{""}, "MissingAuthenticationToken"},
		"bearer":                  {[]string{"Bearer " + text}, ""},
		"bearer in lower case":    {[]string{"bearer  " + text}, ""},
		"as it is":                {[]string{text}, ""},
		"basic, AWS":              {[]string{"Basic " + basic("AWS:"+text)}, ""},
		"basic, aws":              {[]string{"basic " + basic("aws:"+text)}, ""},
		"basic, another user":     {[]string{"Basic " + basic("bob:"+text)}, "InvalidLogin"},
		"basic, an access key":    {[]string{"Basic " + basic(f.alice.id+":"+f.alice.secret)}, "InvalidLogin"},
		"basic, no user":          {[]string{"Basic " + basic(":"+text)}, "InvalidLogin"},
		"basic, no colon":         {[]string{"Basic " + basic("aws")}, "InvalidToken"},
		"basic, no base64":        {[]string{"Basic §§§"}, "InvalidToken"},
		"basic, very long":        {[]string{"Basic " + basic("aws:"+strings.Repeat("x", 5000))}, "InvalidToken"},
		"another scheme":          {[]string{"Digest " + text}, "InvalidToken"},
		"twice":                   {[]string{"Bearer " + text, "Bearer " + text}, "InvalidToken"},
		"garbled":                 {[]string{"Bearer " + text[:len(text)-1]}, "InvalidToken"},
		"with something after it": {[]string{"Bearer " + text + " x"}, "InvalidToken"},
		"of another purpose":      {[]string{"Bearer " + f.assume(f.alice).session}, "InvalidToken"},
		"an access key's secret":  {[]string{f.alice.secret}, "InvalidToken"},
	}
	for name, tt := range tests {
		r := httptest.NewRequest(http.MethodGet, "http://registry.example/v2/", nil)
		if tt.values != nil {
			r.Header["Authorization"] = tt.values
		}
		c, err := f.Authn.Bearer(r, token.ECR)
		if code(err) != tt.want {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if err == nil && (c.Name != "alice" || c.SourceIP.String() != "192.0.2.1" || c.Secure) {
			t.Errorf("%s: caller %+v", name, c)
		}
		if tt.want == "InvalidLogin" && (!strings.Contains(err.Error(), "aws ecr get-login-password | docker login --username AWS") || strings.Contains(err.Error(), "access key") != strings.Contains(name, "access key")) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (strings.Contains(err.Error(), text[10:40]) || strings.Contains(err.Error(), f.alice.secret)) {
			t.Errorf("%s: the error repeats the token", name)
		}
	}
	f.Advance(12 * time.Hour)
	if _, err := f.open(text); code(err) != "ExpiredToken" {
		t.Errorf("an expired token: %v", err)
	}
}

// Tools for packages have users of their own: only the token counts.
func TestBearer_BasicUserOfPackages(t *testing.T) {
	f := newFixture(t)
	c, err := f.signed(f.alice)
	f.ok(err)
	claims := c.BearerClaims()
	claims.ID, claims.Issued, claims.Expires = token.NewID(token.BearerToken), f.Now(), f.Now().Add(12*time.Hour)
	text, err := f.Keyring.Mint(token.CodeArtifact, claims)
	f.ok(err)
	for user, want := range map[string]string{
		"aws": "", "AWS": "", "token": "", "__token__": "", "": "", "someone@example.com": "",
		strings.Repeat("x", 64): "", strings.Repeat("x", 700): "InvalidToken",
	} {
		r := httptest.NewRequest(http.MethodGet, "http://registry.example/npm/app/", nil)
		r.SetBasicAuth(user, text)
		if _, err := f.Authn.Bearer(r, token.CodeArtifact); code(err) != want {
			t.Errorf("the user %q: %v, want %q", user, err, want)
		}
	}
}

func FuzzBearerHeader(f *testing.F) {
	fx := newFixture(f)
	text := fx.bearer(fx.alice)
	for _, seed := range []string{"", "Basic", "Basic YXdzOg==", "Bearer x", text, "Basic " + base64.StdEncoding.EncodeToString([]byte("aws:"+text))} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest(http.MethodGet, "http://registry.example/v2/", nil)
		r.Header["Authorization"] = []string{header}
		c, err := fx.Authn.Bearer(r, token.ECR)
		if err == nil && c.Name != "alice" {
			t.Errorf("%q is %+v", header, c)
		}
		var fe *fault.Error
		if err != nil && (!errors.As(err, &fe) || fe.Kind == fault.Internal) {
			t.Errorf("%q: %v", header, err)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	f := newFixture(b)
	text := f.bearer(f.alice)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Keyring.Open(token.ECR, text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBearer(b *testing.B) {
	f := newFixture(b)
	for name, k := range map[string]key{
		"user":                     f.alice,
		"role":                     f.assume(f.alice),
		"role with session policy": f.assume(f.alice, func(in *sts.AssumeRole) { in.Policies.Document = allowECR }),
	} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "http://registry.example/v2/", nil)
			r.SetBasicAuth("AWS", f.bearer(k))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Authn.Bearer(r, token.ECR); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSigned(b *testing.B) {
	f := newFixture(b)
	for name, k := range map[string]key{"user": f.alice, "role": f.assume(f.alice)} {
		b.Run(name, func(b *testing.B) {
			r, body := f.request(k, "ecr", iamtest.Region), []byte("{}")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Authn.Signed(r, "ecr", body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
