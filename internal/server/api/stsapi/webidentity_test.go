package stsapi_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	iamapi "github.com/aws/aws-sdk-go-v2/service/iam"
	api "github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	serverapi "github.com/gatehouse-registry/gatehouse/internal/server/api"
	iamedge "github.com/gatehouse-registry/gatehouse/internal/server/api/iamapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/stsapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/webidentity"
	"github.com/gatehouse-registry/gatehouse/internal/server/webidentity/issuertest"
)

const (
	subject  = "repo:acme/app:ref:refs/heads/main"
	audience = "sts.amazonaws.com"
)

// A federation is a fixture whose account trusts an issuer, behind the middleware that
// the server has.
type federation struct {
	*fixture
	issuer   *issuertest.Issuer
	url      string
	name     string // of the issuer, as condition keys have it
	provider string // its ARN
}

func federate(t *testing.T) *federation {
	t.Helper()
	w := iamtest.New(t)
	issuer := issuertest.Start()
	t.Cleanup(issuer.Close)
	s := &serverapi.Middleware{Authn: w.Authn, Messages: w.Keyring, Log: slog.New(slog.DiscardHandler)}
	sts, err := wire.New("sts", s.Options("sts", stsapi.MapError))
	if err != nil {
		t.Fatal(err)
	}
	stsapi.Register(sts, stsapi.New(stsapi.Config{IAM: w.IAM}))
	i, err := wire.New("iam", s.Options("iam", iamedge.MapError))
	if err != nil {
		t.Fatal(err)
	}
	iamedge.Register(i, iamedge.New(iamedge.Config{IAM: w.IAM}))
	c := w.Serve(sts, i)
	c.Credentials = aws.AnonymousCredentials{}
	p, err := w.IAM.CreateOIDCProvider(w.AsAdmin(), iam.NewOIDCProvider{Issuer: issuer.URL, ClientIDs: []string{audience}})
	if err != nil {
		t.Fatal(err)
	}
	return &federation{
		&fixture{w, t, api.NewFromConfig(c), iamapi.NewFromConfig(c)}, issuer,
		*c.BaseEndpoint, webidentity.Name(issuer.URL), p.ARN(),
	}
}

// trust is a statement that trusts the issuer with the actions, if the
// conditions hold. ISSUER in them is its name.
func (f *federation) trust(actions, conditions string) string {
	return `{"Effect":"Allow","Principal":{"Federated":"` + f.provider + `"},"Action":` + actions + `,"Condition":{` + strings.ReplaceAll(conditions, "ISSUER", f.name) + `}}`
}

const (
	mayFederate = `["sts:AssumeRoleWithWebIdentity","sts:TagSession","sts:SetSourceIdentity"]`
	onlyMain    = `"StringEquals":{"ISSUER:sub":"` + subject + `","ISSUER:aud":"` + audience + `"}`
)

func (f *federation) token(changes map[string]any) string {
	return f.issuer.Token(f.issuer.Claims(f.Now(), subject, audience, changes))
}

func (f *federation) assumeWeb(role, token string, change ...func(*api.AssumeRoleWithWebIdentityInput)) (*api.AssumeRoleWithWebIdentityOutput, error) {
	in := &api.AssumeRoleWithWebIdentityInput{RoleArn: &role, RoleSessionName: aws.String("build-7"), WebIdentityToken: &token}
	for _, c := range change {
		c(in)
	}
	return f.sts.AssumeRoleWithWebIdentity(f.t.Context(), in)
}

func (f *federation) assumedWeb(role, token string, change ...func(*api.AssumeRoleWithWebIdentityInput)) *api.AssumeRoleWithWebIdentityOutput {
	f.t.Helper()
	out, err := f.assumeWeb(role, token, change...)
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

func (f *federation) refusedWeb(want, role, token string, change ...func(*api.AssumeRoleWithWebIdentityInput)) {
	f.t.Helper()
	if _, err := f.assumeWeb(role, token, change...); code(err) != want {
		f.t.Errorf("AssumeRoleWithWebIdentity: %v, want %s", err, want)
	}
}

func TestAssumeRoleWithWebIdentity(t *testing.T) {
	f := federate(t)
	role := f.role("ci", f.trust(mayFederate, onlyMain), allowIAM)
	out := f.assumedWeb(role, f.token(nil))
	got := []string{*out.SubjectFromWebIdentityToken, *out.Audience, *out.Provider, *out.AssumedRoleUser.Arn}
	want := []string{subject, audience, f.provider, "arn:aws:sts::" + account + ":assumed-role/ci/build-7"}
	if !slices.Equal(got, want) || out.SourceIdentity != nil {
		t.Errorf("got %q, want %q", got, want)
	}
	if left := out.Credentials.Expiration.Sub(f.Now()); left < 59*time.Minute || left > time.Hour {
		t.Errorf("the session lasts %v", left)
	}
	if id := f.identity(session(out.Credentials)); !strings.HasPrefix(id, want[3]+" AROA") {
		t.Errorf("the session is %s", id)
	}
	if _, err := f.iam.ListUsers(t.Context(), &iamapi.ListUsersInput{}, iamSession(out.Credentials)); err != nil {
		t.Error(err)
	}
}

func TestAssumeRoleWithWebIdentity_ConditionKeys(t *testing.T) {
	f := federate(t)
	n := 0
	role := func(actions, conditions string) string {
		n++
		return f.role(fmt.Sprintf("role-%d", n), f.trust(actions, conditions), "")
	}
	only := `["sts:AssumeRoleWithWebIdentity"]`
	all := role(mayFederate, onlyMain)
	const tags, source = "https://aws.amazon.com/tags", "https://aws.amazon.com/source_identity"
	tagged := map[string]any{tags: map[string]any{"principal_tags": map[string]any{"team": []string{"red"}}}}
	for _, c := range []struct {
		name, want, role string
		changes          map[string]any
	}{
		{"another branch", "AccessDenied", all, map[string]any{"sub": "repo:acme/app:ref:refs/heads/evil"}},
		{"a pattern", "<nil>", role(only, `"StringLike":{"ISSUER:sub":"repo:acme/*:ref:refs/heads/main"}`), nil},
		{"a pattern of others", "AccessDenied", role(only, `"StringLike":{"ISSUER:sub":"repo:other/*"}`), nil},
		{"keys in another case", "<nil>", role(only, strings.ToUpper(`"StringEquals":{"ISSUER:`)+`sub":"`+subject+`"}`), nil},
		{"another claim", "<nil>", role(only, `"StringEquals":{"ISSUER:repository_owner":"acme"}`), map[string]any{"repository_owner": "acme"}},
		{"another claim that is missing", "AccessDenied", role(only, `"StringEquals":{"ISSUER:repository_owner":"acme"}`), nil},
		{"amr", "<nil>", role(only, `"ForAnyValue:StringEquals":{"ISSUER:amr":"mfa"}`), map[string]any{"amr": []string{"pwd", "mfa"}}},
		{"another issuer's key", "AccessDenied", role(only, `"StringEquals":{"issuer.example:sub":"`+subject+`"}`), nil},
		{"the provider's ARN", "<nil>", role(only, `"StringEquals":{"aws:FederatedProvider":"`+f.provider+`"}`), nil},
		{"the session's name", "<nil>", role(only, `"StringEquals":{"sts:RoleSessionName":"build-7"}`), nil},
		{"the connection", "<nil>", role(only, `"IpAddress":{"aws:SourceIp":"127.0.0.0/8"},"Bool":{"aws:SecureTransport":"false"}`), nil},
		{"another connection", "AccessDenied", role(only, `"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}`), nil},
		{"a user's name, which it has not", "AccessDenied", role(only, `"StringLike":{"aws:username":"*"}`), nil},
		{"an account, which it has not", "AccessDenied", role(only, `"StringLike":{"aws:PrincipalAccount":"*"}`), nil},
		{"another action", "AccessDenied", role(`"sts:AssumeRole"`, onlyMain), nil},
		{"tags", "<nil>", role(mayFederate, `"StringEquals":{"aws:RequestTag/team":"red"}`), tagged},
		{"other tags", "AccessDenied", role(mayFederate, `"StringEquals":{"aws:RequestTag/team":"blue"}`), tagged},
		{"tags that are not allowed", "AccessDenied", role(only, onlyMain), tagged},
		{"a source identity", "<nil>", role(mayFederate, `"StringEquals":{"sts:SourceIdentity":"alice"}`), map[string]any{source: "alice"}},
		{"a source identity that is not allowed", "AccessDenied", role(only, onlyMain), map[string]any{source: "alice"}},
		{"an invalid source identity", "IDPRejectedClaim", all, map[string]any{source: "a b"}},
		{"an invalid tag", "IDPRejectedClaim", all, map[string]any{tags: map[string]any{"principal_tags": map[string]any{"aws:a": "1"}}}},
		{"a transitive key without its tag", "IDPRejectedClaim", all, map[string]any{tags: map[string]any{"transitive_tag_keys": []string{"a"}}}},
	} {
		if _, err := f.assumeWeb(c.role, f.token(c.changes)); code(err) != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

func TestAssumeRoleWithWebIdentity_NotNamed(t *testing.T) {
	f := federate(t)
	token := f.token(nil)
	for name, principal := range map[string]string{
		"everybody": `"*"`, "every AWS principal": `{"AWS":"*"}`, "the account": `{"AWS":"` + account + `"}`,
		"a host":           `{"Federated":"issuer.example"}`,
		"another provider": `{"Federated":"arn:aws:iam::` + account + `:oidc-provider/issuer.example"}`,
		"another account":  `{"Federated":"arn:aws:iam::` + iamtest.Other + `:oidc-provider/` + f.name + `"}`,
	} {
		role := f.role(strings.ReplaceAll(name, " ", "-"), `{"Effect":"Allow","Principal":`+principal+`,"Action":"sts:AssumeRoleWithWebIdentity"}`, "")
		if _, err := f.assumeWeb(role, token); code(err) != "AccessDenied" {
			t.Errorf("a role that trusts %s: %v", name, err)
		}
	}
	// A role that does not exist answers like one that does not trust.
	_, err := f.assumeWeb("arn:aws:iam::"+account+":role/nobody", token)
	if code(err) != "AccessDenied" || !strings.Contains(err.Error(), "is not authorized to perform: sts:AssumeRoleWithWebIdentity on resource: arn:aws:iam::"+account+":role/nobody") {
		t.Error(err)
	}
	// The provider is looked for in the account of the role.
	f.refusedWeb("InvalidIdentityToken", "arn:aws:iam::"+iamtest.Other+":role/ci", token)
}

func TestAssumeRoleWithWebIdentity_Errors(t *testing.T) {
	f := federate(t)
	role := f.role("ci", f.trust(mayFederate, onlyMain), "")
	f.refusedWeb("InvalidIdentityToken", role, "not.a.token")
	f.refusedWeb("InvalidIdentityToken", role, f.token(map[string]any{"aud": "else"}))
	f.refusedWeb("ExpiredTokenException", role, f.token(map[string]any{"exp": f.Now().Add(-time.Hour).Unix()}))
	f.refusedWeb("IDPRejectedClaim", role, f.token(map[string]any{"nbf": f.Now().Add(time.Hour).Unix()}))
	f.refusedWeb("ValidationError", "arn:aws:iam::"+account+":user/admin", f.token(nil))
	f.refusedWeb("ValidationError", role, f.token(nil), func(in *api.AssumeRoleWithWebIdentityInput) { in.RoleSessionName = aws.String("a b") })
	f.refusedWeb("InvalidParameterValue", role, f.token(nil), func(in *api.AssumeRoleWithWebIdentityInput) { in.ProviderId = aws.String("www.amazon.com") })
	f.refusedWeb("MalformedPolicyDocument", role, f.token(nil), func(in *api.AssumeRoleWithWebIdentityInput) { in.Policy = aws.String("{}") })
	f.refusedWeb("ValidationError", role, f.token(nil), func(in *api.AssumeRoleWithWebIdentityInput) { in.DurationSeconds = aws.Int32(7201) })
	f.issuer.Answer(http.NotFound)
	f.Advance(2 * time.Hour)
	f.refusedWeb("IDPCommunicationError", role, f.token(nil))
	f.issuer.Answer(nil)
	f.Advance(5 * time.Second)
	long := f.assumedWeb(role, f.token(nil), func(in *api.AssumeRoleWithWebIdentityInput) { in.DurationSeconds = aws.Int32(7200) })
	if left := long.Credentials.Expiration.Sub(f.Now()); left < 119*time.Minute {
		t.Errorf("the session lasts %v", left)
	}

	// The statuses, as they are on the wire.
	for _, c := range []struct {
		token  string
		status int
	}{
		{"not.a.token", 400},
		{f.token(map[string]any{"exp": f.Now().Add(-time.Hour).Unix()}), 400},
		{f.token(map[string]any{"iat": f.Now().Add(time.Hour).Unix()}), 403},
		{f.token(map[string]any{"sub": "else"}), 403},
		{f.token(nil), 200},
	} {
		status, body := f.post("AssumeRoleWithWebIdentity", url.Values{"RoleArn": {role}, "RoleSessionName": {"s-1"}, "WebIdentityToken": {c.token}})
		if status != c.status {
			t.Errorf("%d, want %d: %s", status, c.status, body)
		}
		if strings.Contains(body, c.token) {
			t.Error("the answer repeats the token")
		}
	}
}

// post sends an unsigned form to STS.
func (f *federation) post(action string, form url.Values) (int, string) {
	f.t.Helper()
	form = maps.Clone(form)
	form.Set("Action", action)
	form.Set("Version", "2011-06-15")
	res, err := http.PostForm(f.url, form)
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close()
	var b strings.Builder
	if err := res.Write(&b); err != nil {
		f.t.Fatal(err)
	}
	return res.StatusCode, b.String()
}

// Only the operations that carry their proof in them come in without a signature.
func TestOperations_NeedSignature(t *testing.T) {
	f := federate(t)
	for _, action := range []string{"GetCallerIdentity", "AssumeRole", "GetSessionToken", "GetFederationToken", "GetAccessKeyInfo", "DecodeAuthorizationMessage"} {
		status, body := f.post(action, url.Values{"RoleArn": {"arn:aws:iam::" + account + ":role/ci"}, "RoleSessionName": {"s-1"}, "Name": {"bob"}, "AccessKeyId": {f.Admin.AccessKeyID}, "EncodedMessage": {"x"}})
		if status != http.StatusForbidden || !strings.Contains(body, "MissingAuthenticationToken") {
			t.Errorf("%s without a signature: %d %s", action, status, body)
		}
	}
	status, body := f.post("AssumeRoleWithSAML", url.Values{"RoleArn": {"arn:aws:iam::" + account + ":role/ci"}, "PrincipalArn": {"arn:aws:iam::" + account + ":saml-provider/x"}, "SAMLAssertion": {"abcd"}})
	if status != http.StatusBadRequest || !strings.Contains(body, "InvalidIdentityToken") || !strings.Contains(body, "does not support SAML") {
		t.Errorf("AssumeRoleWithSAML: %d %s", status, body)
	}
}

// What the token says stays with the session, and what sessions hold limits it.
func TestAssumeRoleWithWebIdentity_Session(t *testing.T) {
	f := federate(t)
	may := func(name, condition string) {
		document := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:ListUsers","Resource":"*","Condition":{` + strings.ReplaceAll(condition, "ISSUER", f.name) + `}}}`
		if err := f.IAM.PutInlinePolicy(f.AsAdmin(), iam.KindRole, "ci", "p", document); err != nil {
			t.Fatal(name, err)
		}
	}
	role := f.role("ci", f.trust(mayFederate, onlyMain), allowIAM)
	token := f.token(map[string]any{
		"environment": "prod",
		"https://aws.amazon.com/tags": map[string]any{
			"principal_tags": map[string]any{"team": []string{"red"}}, "transitive_tag_keys": []string{"team"},
		},
		"https://aws.amazon.com/source_identity": "alice",
	})
	out := f.assumedWeb(role, token)
	//lint:ignore SA1019 all clients but the newest read this one
	packed := out.PackedPolicySize
	if *out.SourceIdentity != "alice" || packed == nil {
		t.Errorf("source identity %s, packed %v", *out.SourceIdentity, packed)
	}
	lists := func() error {
		_, err := f.iam.ListUsers(t.Context(), &iamapi.ListUsersInput{}, iamSession(out.Credentials))
		return err
	}
	for condition, want := range map[string]string{
		`"StringEquals":{"aws:FederatedProvider":"` + f.provider + `"}`: "<nil>",
		`"StringEquals":{"aws:FederatedProvider":"issuer.example"}`:     "AccessDenied",
		`"StringEquals":{"ISSUER:sub":"` + subject + `"}`:               "<nil>",
		`"StringEquals":{"ISSUER:aud":"` + audience + `"}`:              "<nil>",
		`"Null":{"ISSUER:environment":"true"}`:                          "<nil>",
		`"StringEquals":{"aws:PrincipalTag/team":"red"}`:                "<nil>",
		`"StringEquals":{"aws:SourceIdentity":"alice"}`:                 "<nil>",
		`"StringLike":{"aws:userid":"AROA*:build-7"}`:                   "<nil>",
	} {
		may(condition, condition)
		if err := lists(); code(err) != want {
			t.Errorf("%s: %v, want %s", condition, err, want)
		}
	}
	// Another server on the database knows it too.
	if s, err := f.Start().Session(t.Context(), *out.Credentials.AccessKeyId); err != nil || s.Federation == nil || s.Federation.Provider != f.provider {
		t.Errorf("on another server: %+v, %v", s, err)
	}

	limited := f.assumedWeb(role, token, func(in *api.AssumeRoleWithWebIdentityInput) { in.Policy = aws.String(denyAll) })
	if _, err := f.iam.ListUsers(t.Context(), &iamapi.ListUsersInput{}, iamSession(limited.Credentials)); code(err) != "AccessDenied" {
		t.Errorf("beyond the session policy: %v", err)
	}

	// A session does not end with the provider, and no new one begins.
	may("all", `"Null":{"aws:PrincipalTag/team":"false"}`)
	if err := f.IAM.DeleteOIDCProvider(f.AsAdmin(), f.provider); err != nil {
		t.Fatal(err)
	}
	if err := lists(); err != nil {
		t.Errorf("after the provider was deleted: %v", err)
	}
	f.refusedWeb("InvalidIdentityToken", role, token)
}

// A chained role does not pass for the web identity's.
func TestAssumeRoleWithWebIdentity_Chaining(t *testing.T) {
	f := federate(t)
	first := f.role("ci", f.trust(mayFederate, onlyMain), mayAssume)
	second := f.role("deploy", trusts(first), `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:ListUsers","Resource":"*","Condition":{"Null":{"aws:FederatedProvider":"false"}}}}`)
	out := f.assumedWeb(first, f.token(nil))
	chained := f.assumed(second, session(out.Credentials))
	if _, err := f.iam.ListUsers(t.Context(), &iamapi.ListUsersInput{}, iamSession(chained.Credentials)); code(err) != "AccessDenied" {
		t.Errorf("aws:FederatedProvider in a chained session: %v", err)
	}
	f.refused("ValidationError", second, session(out.Credentials), func(in *api.AssumeRoleInput) { in.DurationSeconds = aws.Int32(3601) })
}

// The record says who came, and never with what.
func TestAssumeRoleWithWebIdentity_AuditRecord(t *testing.T) {
	f := federate(t)
	role := f.role("ci", f.trust(mayFederate, onlyMain), "")
	token := f.token(map[string]any{"sub": "repo:acme/other"})
	s := &serverapi.Middleware{Authn: f.Authn, Log: slog.New(slog.DiscardHandler)}
	sts, err := wire.New("sts", s.Options("sts", stsapi.MapError))
	if err != nil {
		t.Fatal(err)
	}
	stsapi.Register(sts, stsapi.New(stsapi.Config{IAM: f.IAM}))
	e := &audit.Entry{Started: f.Now()}
	mux := wire.NewMux(sts)
	r, err := http.NewRequestWithContext(audit.WithEntry(t.Context(), e), http.MethodPost, "/", strings.NewReader(url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {role}, "RoleSessionName": {"s-1"}, "WebIdentityToken": {token},
	}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := &discard{header: http.Header{}}
	mux.ServeHTTP(w, r)
	text, err := json.Marshal(e.Record(w.status, f.Now()))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), token) || strings.Contains(string(text), strings.Split(token, ".")[2]) {
		t.Error("the record has the token")
	}
	if !strings.Contains(string(text), "AssumeRoleWithWebIdentity") || !strings.Contains(string(text), "AccessDenied") {
		t.Errorf("the record is %s", text)
	}
}

// discard is an answer that no one reads.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
