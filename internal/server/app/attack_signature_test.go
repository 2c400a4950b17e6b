package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

const (
	identityForm = "Action=GetCallerIdentity&Version=2011-06-15"
	formType     = "application/x-www-form-urlencoded"
	jsonType     = "application/x-amz-json-1.1"
	target11     = "AmazonEC2ContainerRegistry_V20150921."
)

// form is an unsigned request of STS or IAM, and its body.
func (g *fixture) form(body string) *http.Request {
	r := g.request(http.MethodPost, "/", body)
	r.Header.Set("Content-Type", formType)
	return r
}

// call is an unsigned request for an operation of ECR.
func (g *fixture) call(operation, body string) *http.Request {
	r := g.request(http.MethodPost, "/", body)
	r.Header.Set("Content-Type", jsonType)
	r.Header.Set("X-Amz-Target", target11+operation)
	return r
}

// What was signed is what is done: nothing can be changed, added, taken away or
// said twice after the signing.
func TestAttack_ChangedSignedRequest(t *testing.T) {
	g := start(t)
	g.repositories(victim, "first")
	admin := g.keys(g.admin(victim))
	out := must(sts.NewFromConfig(g.admin(victim)).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{}))(t).Credentials
	temporary := aws.Credentials{AccessKeyID: *out.AccessKeyId, SecretAccessKey: *out.SecretAccessKey, SessionToken: *out.SessionToken}

	signedForm := func(keys aws.Credentials) *http.Request {
		return g.sign(g.form(identityForm), keys, identityForm, "sts", region, g.now())
	}
	signedCall := func(operation string) *http.Request {
		return g.sign(g.call(operation, "{}"), admin, "{}", "ecr", region, g.now())
	}
	setBody := func(r *http.Request, body string) {
		r.Body = must(http.NewRequest(http.MethodPost, g.url, strings.NewReader(body)))(t).Body
		r.ContentLength = int64(len(body))
	}
	for _, r := range []*http.Request{signedForm(admin), signedForm(temporary), signedCall("DescribeRepositories")} {
		if status, body := g.send(r); status != http.StatusOK {
			t.Fatalf("unchanged: %d %s", status, body)
		}
	}
	for name, r := range map[string]*http.Request{
		"unsigned":        g.form(identityForm),
		"another body":    edit(signedForm(admin), func(r *http.Request) { setBody(r, "Action=GetSessionToken&Version=2011-06-15") }),
		"a longer body":   edit(signedForm(admin), func(r *http.Request) { setBody(r, identityForm+"&A=b") }),
		"a query":         edit(signedForm(admin), func(r *http.Request) { r.URL.RawQuery = "Action=GetSessionToken" }),
		"another method":  edit(signedForm(admin), func(r *http.Request) { r.Method = http.MethodPut }),
		"another host":    edit(signedForm(admin), func(r *http.Request) { r.Host = "other.example" }),
		"another target":  edit(signedCall("DescribeRepositories"), func(r *http.Request) { r.Header.Set("X-Amz-Target", target11+"DescribeRegistry") }),
		"two targets":     edit(signedCall("DescribeRepositories"), func(r *http.Request) { r.Header.Add("X-Amz-Target", target11+"DescribeRegistry") }),
		"no target":       edit(signedCall("DescribeRepositories"), func(r *http.Request) { r.Header.Del("X-Amz-Target") }),
		"added target":    edit(signedForm(admin), func(r *http.Request) { r.Header.Set("X-Amz-Target", target11+"DescribeRegistry") }),
		"another date":    edit(signedForm(admin), func(r *http.Request) { r.Header.Set("X-Amz-Date", "20260101T000000Z") }),
		"two dates":       edit(signedForm(admin), func(r *http.Request) { r.Header.Add("X-Amz-Date", r.Header.Get("X-Amz-Date")) }),
		"two signatures":  edit(signedForm(admin), func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }),
		"added x-amz":     edit(signedForm(admin), func(r *http.Request) { r.Header.Set("X-Amz-Meta", "x") }),
		"another hash":    edit(signedForm(admin), func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", hash("other")) }),
		"an empty hash":   edit(signedForm(admin), func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "") }),
		"an empty target": edit(signedForm(admin), func(r *http.Request) { r.Header.Set("X-Amz-Target", "") }),
		"no token":        edit(signedForm(temporary), func(r *http.Request) { r.Header.Del("X-Amz-Security-Token") }),
		"added token":     edit(signedForm(admin), func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", temporary.SessionToken) }),
		"another's token": signedForm(aws.Credentials{AccessKeyID: admin.AccessKeyID, SecretAccessKey: admin.SecretAccessKey, SessionToken: temporary.SessionToken}),
		"without a token": signedForm(aws.Credentials{AccessKeyID: temporary.AccessKeyID, SecretAccessKey: temporary.SecretAccessKey}),
		"header and query": edit(signedForm(admin), func(r *http.Request) {
			r.URL.RawQuery = "X-Amz-Signature=0&X-Amz-Credential=" + url.QueryEscape(admin.AccessKeyID)
		}),
		"chunked": edit(signedForm(admin), func(r *http.Request) { r.Header.Set("Content-Encoding", "aws-chunked") }),
		"another scheme": edit(signedForm(admin), func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "HMAC-SHA256", "ECDSA-P256-SHA256", 1))
		}),
		"an unsigned host": edit(signedForm(admin), func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "host;", "", 1))
		}),
		"a cut signature": edit(signedForm(admin), func(r *http.Request) {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", a[:len(a)-1])
		}),
		"of another service": g.sign(g.form(identityForm), admin, identityForm, "iam", region, g.now()),
		"of another region":  g.sign(g.form(identityForm), admin, identityForm, "sts", "mars-1", g.now()),
		"too old":            g.sign(g.form(identityForm), admin, identityForm, "sts", region, g.now().Add(-15*time.Minute-5*time.Second)),
		"too new":            g.sign(g.form(identityForm), admin, identityForm, "sts", region, g.now().Add(15*time.Minute+5*time.Second)),
	} {
		if status, body := g.send(r); status < 400 || status >= 500 {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}

	// A replay is good for as long as the clocks may differ, and not after.
	replay := signedForm(admin)
	again := replay.Clone(t.Context())
	setBody(again, identityForm)
	if status, body := g.send(replay); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	g.offset.Add(int64(16 * time.Minute))
	if status, body := g.send(again); status != http.StatusBadRequest || !strings.Contains(body, "RequestExpired") {
		t.Errorf("after 16 minutes: %d %s", status, body)
	}
}

func edit(r *http.Request, change func(*http.Request)) *http.Request {
	change(r)
	return r
}

// Hashes of the body that say something else than the body are refused, even if
// they are signed.
func TestAttack_BodyHash(t *testing.T) {
	g := start(t)
	admin := g.keys(g.admin(victim))
	for _, said := range []string{"UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", hash("other"), strings.ToUpper(hash(identityForm)), "x"} {
		r := g.form(identityForm)
		r.Header.Set("X-Amz-Content-Sha256", said)
		if err := v4.NewSigner().SignHTTP(t.Context(), admin, r, said, "sts", region, g.now()); err != nil {
			t.Fatal(err)
		}
		if status, body := g.send(r); status < 400 || status >= 500 {
			t.Errorf("%s: %d %s", said, status, body)
		}
	}
	// Nor is a presigned address accepted.
	r := g.request(http.MethodGet, "/?"+identityForm, "")
	address, _, err := v4.NewSigner().PresignHTTP(t.Context(), admin, r, hash(""), "sts", region, g.now())
	if err != nil {
		t.Fatal(err)
	}
	if status, body := g.send(must(http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil))(t)); status < 400 || status >= 500 {
		t.Errorf("presigned: %d %s", status, body)
	}
}

// What a request asks for is said in one place, and signed for the service that
// answers.
func TestAttack_ConfusedOperation(t *testing.T) {
	g := start(t)
	g.repositories(victim, "first")
	admin := g.keys(g.admin(victim))
	createUser := "Action=CreateUser&Version=2010-05-08&UserName=smuggled"
	signed := func(r *http.Request, body, service string) *http.Request {
		return g.sign(r, admin, body, service, region, g.now())
	}
	withQuery := func(r *http.Request, query string) *http.Request {
		r.URL.RawQuery = query
		return r
	}
	withHeader := func(r *http.Request, name, value string) *http.Request {
		r.Header.Set(name, value)
		return r
	}
	for name, r := range map[string]*http.Request{
		"the action twice":               signed(withQuery(g.form(createUser), "Action=GetUser"), createUser, "iam"),
		"the version twice":              signed(withQuery(g.form(identityForm), "Version=2010-05-08"), identityForm, "sts"),
		"IAM signed for STS":             signed(g.form(createUser), createUser, "sts"),
		"STS's version for IAM":          signed(g.form(strings.Replace(createUser, "2010-05-08", "2011-06-15", 1)), strings.Replace(createUser, "2010-05-08", "2011-06-15", 1), "iam"),
		"IAM without version for STS":    signed(g.form("Action=CreateUser&UserName=smuggled"), "Action=CreateUser&UserName=smuggled", "sts"),
		"ECR signed for STS":             signed(g.call("DescribeRepositories", "{}"), "{}", "sts"),
		"ECR with an IAM form":           signed(g.call("DescribeRepositories", createUser), createUser, "ecr"),
		"CodeArtifact signed for ECR":    signed(g.request(http.MethodPost, "/v1/domains", "{}"), "{}", "ecr"),
		"CodeArtifact with ECR's target": signed(withHeader(g.request(http.MethodPost, "/v1/domains", "{}"), "X-Amz-Target", target11+"DescribeRegistry"), "{}", "codeartifact"),
		"a method override":              signed(withHeader(g.request(http.MethodGet, "/v1/domain?domain=first", ""), "X-Http-Method-Override", http.MethodDelete), "", "codeartifact"),
		"a domain twice":                 signed(g.request(http.MethodGet, "/v1/domain?domain=first&domain=second", ""), "", "codeartifact"),
		"another service of ECR's":       signed(withHeader(g.request(http.MethodPost, "/", "{}"), "X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921X.DescribeRegistry"), "{}", "ecr"),
	} {
		status, body := g.send(r)
		if name == "a method override" { // the method of the request line counts
			if status != http.StatusOK || !strings.Contains(body, "first") {
				t.Errorf("%s: %d %s", name, status, body)
			}
			continue
		}
		if status < 400 || status >= 500 {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if status, body := g.send(signed(g.form("Action=GetUser&Version=2010-05-08&UserName=smuggled"), "Action=GetUser&Version=2010-05-08&UserName=smuggled", "iam")); status != http.StatusNotFound {
		t.Errorf("the smuggled user: %d %s", status, body)
	}
	if status, body := g.send(signed(g.request(http.MethodGet, "/v1/domain?domain=first", ""), "", "codeartifact")); status != http.StatusOK {
		t.Errorf("the domain is gone: %d %s", status, body)
	}
	// Spellings of a path that clients and servers read differently.
	for _, path := range []string{"//v1/domain", "/v1//domain", "/./v1/domain", "/v1/x/../domain", "/v1/%2e/domain", "/v1/domain/", "/v1%2Fdomain", "/%76%31/domain%00"} {
		r := g.request(http.MethodGet, "/", "")
		r.URL.Opaque, r.URL.RawQuery = "//"+r.URL.Host+path, "domain=first"
		if status, body := g.send(g.sign(r, admin, "", "codeartifact", region, g.now())); status == http.StatusOK || status >= 500 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

// Nobody learns from an answer whether a key exists.
func TestAttack_UnknownKey(t *testing.T) {
	g := start(t)
	c := g.user(victim, "leaver")
	keys := g.keys(c)
	unknown := aws.Credentials{AccessKeyID: "AKIA" + strings.Repeat("A", len(keys.AccessKeyID)-4), SecretAccessKey: "x"}
	answer := func(k aws.Credentials) (int, string) {
		status, body := g.send(g.sign(g.form(identityForm), k, identityForm, "sts", region, g.now()))
		body, _, _ = strings.Cut(body, "<RequestId>")
		return status, body
	}
	if status, body := answer(keys); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	g.drop(victim, "leaver")
	wantStatus, want := answer(unknown)
	for name, k := range map[string]aws.Credentials{"deleted": keys, "another": {AccessKeyID: unknown.AccessKeyID[:19] + "B", SecretAccessKey: "y"}, "temporary": {AccessKeyID: "ASIA" + unknown.AccessKeyID[4:], SecretAccessKey: "x"}} {
		if status, body := answer(k); status != wantStatus || body != want {
			t.Errorf("%s: %d %s\nunknown: %d %s", name, status, body, wantStatus, want)
		}
	}
}
