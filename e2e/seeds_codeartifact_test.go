package e2e

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
	"github.com/aws/smithy-go"
)

const (
	allowToken   = `{"Effect":"Allow","Action":"codeartifact:GetAuthorizationToken","Resource":"*"}`
	allowBearer  = `{"Effect":"Allow","Action":"sts:GetServiceBearerToken","Resource":"*"}`
	allowReading = `{"Effect":"Allow","Action":"codeartifact:ReadFromRepository","Resource":"*"}`
)

// codeArtifactToken calls the operation for the domain acme.
func codeArtifactToken(t *testing.T, c aws.Config, change func(*codeartifact.GetAuthorizationTokenInput)) (*codeartifact.GetAuthorizationTokenOutput, error) {
	t.Helper()
	in := &codeartifact.GetAuthorizationTokenInput{Domain: aws.String("acme")}
	if change != nil {
		change(in)
	}
	return codeartifact.NewFromConfig(c).GetAuthorizationToken(t.Context(), in)
}

func mustToken(t *testing.T, c aws.Config, change func(*codeartifact.GetAuthorizationTokenInput)) (string, time.Time) {
	t.Helper()
	out, err := codeArtifactToken(t, c, change)
	if err != nil {
		t.Fatal(err)
	}
	return *out.AuthorizationToken, *out.Expiration
}

// opens returns the status of a request for a package that does not exist. 404 means
// that the token was accepted.
func (g *fixture) opens(owner, domain, token string) int {
	status, _ := g.get("", "/codeartifact/"+region+"/"+owner+"/"+domain+"/npm/lib/nothing", "Bearer "+token)
	return status
}

// about fails the test if two times differ by more than a few seconds.
func about(t *testing.T, got, want time.Time) {
	t.Helper()
	if math.Abs(got.Sub(want).Seconds()) > 30 {
		t.Errorf("expires at %v, want about %v", got, want)
	}
}

func TestSeed01OneDomain(t *testing.T) {
	g := newFixture(t)
	g.repositories(account, "acme")
	c := codeartifact.NewFromConfig(g.profile(account))
	for _, err := range []error{
		second(c.CreateDomain(t.Context(), &codeartifact.CreateDomainInput{Domain: aws.String("rival")})),
		second(c.CreateRepository(t.Context(), &codeartifact.CreateRepositoryInput{Domain: aws.String("rival"), Repository: aws.String("lib")})),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	token, _ := mustToken(t, g.profile(account), nil)
	if got := g.opens(account, "acme", token); got != http.StatusNotFound {
		t.Errorf("its own domain: %d", got)
	}
	if got := g.opens(account, "rival", token); got != http.StatusUnauthorized && got != http.StatusForbidden {
		t.Errorf("another domain: %d", got)
	}
	_, err := codeArtifactToken(t, g.profile(account), func(in *codeartifact.GetAuthorizationTokenInput) { in.Domain = aws.String("nowhere") })
	if notFound := (*types.ResourceNotFoundException)(nil); !errors.As(err, &notFound) {
		t.Errorf("an unknown domain: %v", err)
	}
	// The SDK sends no request without a domain.
	if status, body := g.signed("codeartifact", http.MethodPost, "/v1/authorization-token", "", nil); status != http.StatusBadRequest || !strings.Contains(body, "ValidationException") {
		t.Errorf("no domain: %d %s", status, body)
	}
	var validation *types.ValidationException
	for _, bad := range []string{"", "A", "a", "-a", "a_b"} {
		_, err := codeArtifactToken(t, g.profile(account), func(in *codeartifact.GetAuthorizationTokenInput) { in.Domain = &bad })
		if !errors.As(err, &validation) {
			t.Errorf("domain %q: %v", bad, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestSeed02BothPermissions(t *testing.T) {
	g := newFixture(t)
	g.repositories(account, "acme")
	bob := g.user("bob")
	for _, try := range []struct {
		statements []string
		want       string // part of the denial; "" is success
	}{
		{nil, "codeartifact:GetAuthorizationToken"},
		{[]string{allowToken}, "sts:GetServiceBearerToken"},
		{[]string{allowBearer}, "codeartifact:GetAuthorizationToken"},
		{[]string{allowToken, allowBearer}, ""},
	} {
		g.allow("bob", try.statements...)
		_, err := codeArtifactToken(t, bob, nil)
		var denied *types.AccessDeniedException
		switch {
		case try.want == "" && err != nil:
			t.Errorf("with both: %v", err)
		case try.want != "" && (!errors.As(err, &denied) || !strings.Contains(denied.ErrorMessage(), "user/bob is not authorized to perform: "+try.want)):
			t.Errorf("%v: %v", try.statements, err)
		}
	}
}

func TestSeed03LoginMakesTwelveHours(t *testing.T) {
	g := newFixture(t)
	g.repositories(account, "acme")
	for _, aws := range []string{"aws1", "aws2", "aws2"} { // the second call refreshes
		said := g.run("", aws, "codeartifact", "login", "--tool", "pip", "--domain", "acme", "--repository", "lib")
		if !strings.Contains(said, "expires in 12 hours") && !strings.Contains(said, "expires in 11 hours and 59 minutes") {
			t.Errorf("%s: %s", aws, said)
		}
	}
}

func TestSeed04Durations(t *testing.T) {
	g := newFixture(t)
	g.repositories(account, "acme")
	ask := func(c aws.Config, seconds *int64) (*codeartifact.GetAuthorizationTokenOutput, error) {
		return codeArtifactToken(t, c, func(in *codeartifact.GetAuthorizationTokenInput) { in.DurationSeconds = seconds })
	}
	for seconds, ok := range map[int64]bool{900: true, 901: true, 43200: true, 899: false, 1: false, 43201: false, -1: false} {
		out, err := ask(g.profile(account), &seconds)
		if !ok {
			if validation := (*types.ValidationException)(nil); !errors.As(err, &validation) {
				t.Errorf("%d seconds: %v", seconds, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%d seconds: %v", seconds, err)
			continue
		}
		about(t, *out.Expiration, time.Now().Add(time.Duration(seconds)*time.Second))
	}
	out, err := ask(g.profile(account), nil)
	if err != nil {
		t.Fatal(err)
	}
	about(t, *out.Expiration, time.Now().Add(12*time.Hour))

	// 0 takes the expiry of the caller's role session.
	c, session := g.session("ci", "build")
	if out, err = ask(c, aws.Int64(0)); err != nil {
		t.Fatal(err)
	}
	if got, want := out.Expiration.Unix(), session.Credentials.Expiration.Unix(); got != want {
		t.Errorf("duration 0 expires at %d, the session at %d", got, want)
	}
}

func TestSeed05PeriodStartsAtTheCall(t *testing.T) {
	g := newFixture(t)
	g.repositories(account, "acme")
	before := g.now()
	_, expires := mustToken(t, g.profile(account), func(in *codeartifact.GetAuthorizationTokenInput) { in.DurationSeconds = aws.Int64(900) })
	after := g.now()
	if expires.Before(before.Add(899*time.Second)) || expires.After(after.Add(901*time.Second)) {
		t.Errorf("called between %v and %v, expires at %v", before, after, expires)
	}
}

func TestSeed06LifetimeIndependentOfTheSession(t *testing.T) {
	g := newFixture(t)
	g.repositories(account, "acme")
	c, session := g.session("ci", "build")
	token, expires := mustToken(t, c, nil)
	about(t, expires, time.Now().Add(12*time.Hour))
	if session.Credentials.Expiration.After(time.Now().Add(16 * time.Minute)) {
		t.Fatalf("the session lasts until %v", session.Credentials.Expiration)
	}
	for _, step := range []struct {
		forward time.Duration
		want    int
	}{{0, 404}, {time.Hour, 404}, {10*time.Hour + 59*time.Minute, 404}, {2 * time.Minute, 401}} {
		g.advance(step.forward)
		if got := g.opens(account, "acme", token); got != step.want {
			t.Errorf("after another %v: %d, want %d", step.forward, got, step.want)
		}
	}
	status, body := g.get("", "/codeartifact/"+region+"/"+account+"/acme/npm/lib/nothing", "Bearer "+token)
	if status != http.StatusUnauthorized || !strings.Contains(body, "expired") {
		t.Errorf("an expired token must be told so: %d %s", status, body)
	}
}

func TestSeed07DomainOwner(t *testing.T) {
	g := newFixture(t)
	g.repositories(other, "acme") // of the other account
	ask := func(owner string) error {
		_, err := codeArtifactToken(t, g.profile(account), func(in *codeartifact.GetAuthorizationTokenInput) { in.DomainOwner = &owner })
		return err
	}
	for _, bad := range []string{"0000-0000-0002", "000000 000002", "2"} {
		if validation := (*types.ValidationException)(nil); !errors.As(ask(bad), &validation) {
			t.Errorf("owner %q was accepted", bad)
		}
	}
	if denied := (*types.AccessDeniedException)(nil); !errors.As(ask(other), &denied) {
		t.Error("another account's domain opened without its leave")
	}
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + account + `:root"},"Action":["codeartifact:GetAuthorizationToken","sts:GetServiceBearerToken"],"Resource":"*"}]}`
	owner := codeartifact.NewFromConfig(g.profile(other))
	if _, err := owner.PutDomainPermissionsPolicy(t.Context(), &codeartifact.PutDomainPermissionsPolicyInput{Domain: aws.String("acme"), PolicyDocument: &policy}); err != nil {
		t.Fatal(err)
	}
	if err := ask(other); err != nil {
		t.Error(err)
	}
}

func TestSeed08Answer(t *testing.T) {
	g := newFixture(t)
	g.repositories(account, "acme")
	status, body := g.signed("codeartifact", http.MethodPost, "/v1/authorization-token?domain=acme&domain-owner="+account+"&duration=900", "", nil)
	var answer struct {
		AuthorizationToken string  `json:"authorizationToken"`
		Expiration         float64 `json:"expiration"` // seconds since 1970, as a number
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	about(t, time.Unix(int64(answer.Expiration), 0), time.Now().Add(900*time.Second))
	if !regexp.MustCompile(`"expiration":[0-9]+\.[0-9]+[,}]`).MatchString(body) {
		t.Errorf("the expiration has no fraction: %s", body)
	}
	if g.opens(account, "acme", answer.AuthorizationToken) != http.StatusNotFound {
		t.Error("the token opens nothing")
	}
}

// signed sends a request with a signature of the SDK's signer and returns the
// answer's body.
func (g *fixture) signed(service, method, path, body string, header http.Header) (int, string) {
	g.t.Helper()
	c := g.profile(account)
	credentials, err := c.Credentials.Retrieve(g.t.Context())
	if err != nil {
		g.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(g.t.Context(), method, g.url+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	if err := v4.NewSigner().SignHTTP(g.t.Context(), credentials, r, sha256Hex(body), service, region, time.Now()); err != nil {
		g.t.Fatal(err)
	}
	return g.do(r)
}

func TestSeed09EverySDK(t *testing.T) {
	g := newFixture(t)
	g.repositories(account, "acme")
	const python = `
import boto3
t = boto3.client("codeartifact").get_authorization_token(domain="acme", durationSeconds=900)
print(t["authorizationToken"])`
	const javascript = `
const { CodeartifactClient, GetAuthorizationTokenCommand } = require("@aws-sdk/client-codeartifact");
new CodeartifactClient({}).send(new GetAuthorizationTokenCommand({ domain: "acme" }))
  .then(t => { if (!(t.expiration instanceof Date)) process.exit(1); console.log(t.authorizationToken); });`
	cli := []string{"codeartifact", "get-authorization-token", "--domain", "acme", "--query", "authorizationToken", "--output", "text"}
	goToken, _ := mustToken(t, g.profile(account), nil)
	for client, token := range map[string]string{
		"Go":         goToken,
		"CLI 1":      g.run("", "aws1", cli...),
		"CLI 2":      g.run("", "aws2", cli...),
		"boto3":      g.run("", "python", "-c", python),
		"JavaScript": g.run("", "node", "-e", javascript),
	} {
		if got := g.opens(account, "acme", strings.TrimSpace(token)); got != http.StatusNotFound {
			t.Errorf("%s: the token was answered with %d", client, got)
		}
	}
	// An error that no SDK models still reaches the caller with code and message.
	_, err := codeArtifactToken(t, g.with("AKIAAAAAAAAAAAAAAAAA", "wrong", ""), nil)
	if api := smithy.APIError(nil); !errors.As(err, &api) || api.ErrorCode() != "UnrecognizedClientException" || api.ErrorMessage() == "" {
		t.Errorf("err = %v", err)
	}
}
