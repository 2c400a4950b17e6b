package codeartifactapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/smithy-go"

	"github.com/gatehouse-registry/gatehouse/internal/aws/sdktest"
	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/codeartifactapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/removal/removaltest"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

const (
	account    = "111122223333"
	other      = "444455556666"
	region     = "eu-west-1"
	everything = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// A server is the API behind package wire, with the SDK's client.
type server struct {
	t        *testing.T
	url      string
	packages *packages.Service
	keys     *token.Keyring
	clock    *atomic.Int64
	callers  map[string]*authn.Principal // by access key id
	// admin may do everything in the account.
	admin *sdk.Client
}

func serve(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	d := dbtest.Open(t)
	s := &server{t: t, clock: new(atomic.Int64), callers: map[string]*authn.Principal{}}
	s.clock.Store(start.Unix())
	blobs := blobtest.Open(t)
	var err error
	s.packages, err = packages.New(t.Context(), packages.Config{DB: d, Blobs: blobs, Removals: removaltest.New(t, d, blobs, s.now), Authz: &authz.PolicyAuthorizer{}, Principals: iamtest.Unbound{}, Now: s.now})
	must(t, err)
	s.keys, err = token.CreateKeyring(filepath.Join(dir, "keys"), s.now)
	must(t, err)
	addresses, err := endpoint.New("http://registry.example:4283", "")
	must(t, err)
	service, err := wire.New("codeartifact", wire.Options{Authenticate: s.authenticate, MapError: codeartifactapi.MapError})
	must(t, err)
	codeartifactapi.Register(service, codeartifactapi.New(codeartifactapi.Config{Packages: s.packages, Tokens: s.keys, Addresses: addresses, Now: s.now}))
	h := httptest.NewServer(service)
	t.Cleanup(h.Close)
	s.url = h.URL
	s.admin = s.user(account, "admin", everything)
	return s
}

func (s *server) now() time.Time { return time.Unix(s.clock.Load(), 0).UTC() }

// authenticate accepts any signature: package authn tests signatures.
func (s *server) authenticate(r *http.Request, _ string, _ []byte) (context.Context, error) {
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	key, _, _ := strings.Cut(credential, "/")
	p := s.callers[key]
	if p == nil {
		return nil, fault.New(fault.Unauthenticated, "InvalidClientTokenId", "The security token included in the request is invalid.")
	}
	return authn.WithCaller(r.Context(), &authn.Caller{Principal: p, Region: region, Time: s.now()}), nil
}

// user returns a client of a user with the policies.
func (s *server) user(account, name string, policies ...string) *sdk.Client {
	s.t.Helper()
	arn := "arn:aws:iam::" + account + ":user/" + name
	return s.principal(&authn.Principal{
		Type: authn.User, Account: account, ARN: arn, PrincipalARN: arn, UserID: "AIDAEXAMPLE" + name, UniqueID: "AIDAEXAMPLE" + name, Name: name,
	}, policies...)
}

// role returns a client of a role session that ends at the time.
func (s *server) role(expires time.Time, policies ...string) *sdk.Client {
	s.t.Helper()
	return s.principal(&authn.Principal{
		Type: authn.AssumedRole, Account: account, ARN: "arn:aws:sts::" + account + ":assumed-role/ci/build", PrincipalARN: "arn:aws:iam::" + account + ":role/ci",
		UserID: "AROAEXAMPLE:build", UniqueID: "AROAEXAMPLE", SessionName: "build", IssuedAt: start, ExpiresAt: expires,
	}, policies...)
}

func (s *server) principal(p *authn.Principal, policies ...string) *sdk.Client {
	for _, doc := range policies {
		c, err := policy.Parse(doc, policy.Identity)
		must(s.t, err)
		p.Policies = append(p.Policies, c)
	}
	key := token.NewID(token.LongTermKey)
	p.AccessKeyID = key
	s.callers[key] = p
	return sdk.New(sdk.Options{
		BaseEndpoint: &s.url, Region: region, RetryMaxAttempts: 1, HTTPClient: sdktest.HTTPClient{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: key, SecretAccessKey: "secret"}, nil
		}),
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// get returns the output of an operation that must succeed.
func get[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		must(t, err)
		return v
	}
}

func (s *server) domain() {
	s.t.Helper()
	_, err := s.admin.CreateDomain(s.t.Context(), &sdk.CreateDomainInput{Domain: aws.String("acme")})
	must(s.t, err)
}

func (s *server) repository(name string) {
	s.t.Helper()
	_, err := s.admin.CreateRepository(s.t.Context(), &sdk.CreateRepositoryInput{Domain: aws.String("acme"), Repository: &name})
	must(s.t, err)
}

var acme = packages.DomainID{Owner: account, Region: region, Name: "acme"}

// publish publishes through the store, as a package endpoint does.
func (s *server) publish(p packages.Publication, assets map[string]string) {
	s.t.Helper()
	ctx := s.as()
	for name, content := range assets {
		staged, err := s.packages.Stage(ctx, p.Repository, p.Package, strings.NewReader(content), 1<<20)
		must(s.t, err)
		p.Assets = append(p.Assets, packages.StagedAsset{Name: name, Content: staged})
	}
	_, err := s.packages.Publish(ctx, p)
	must(s.t, err)
	s.clock.Add(1)
}

func (s *server) as() context.Context {
	c, err := policy.Parse(everything, policy.Identity)
	must(s.t, err)
	return authn.WithCaller(s.t.Context(), &authn.Caller{Principal: &authn.Principal{
		Type: authn.User, Account: account, ARN: "arn:aws:iam::" + account + ":user/publisher", Policies: []*policy.Policy{c},
	}, Region: region})
}

// fails checks the type of a modelled error, its status and its text.
func fails[E smithy.APIError](t testing.TB, err error, status int, text string) E {
	t.Helper()
	e, ok := errors.AsType[E](err)
	if !ok {
		t.Fatalf("error %v (%T), want %T", err, err, e)
	}
	if r, ok := errors.AsType[interface {
		error
		HTTPStatusCode() int
	}](err); !ok || r.HTTPStatusCode() != status {
		t.Fatalf("status of %v, want %d", err, status)
	}
	if !strings.Contains(e.ErrorMessage(), text) {
		t.Fatalf("message %q, want %q in it", e.ErrorMessage(), text)
	}
	return e
}
