// Package iamtest is a fixture for tests: a database, a keyring, IAM with its first
// users, and an authenticator. All of them are the real ones.
package iamtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/gatehouse-registry/gatehouse/internal/aws/sdktest"
	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
	"github.com/gatehouse-registry/gatehouse/internal/server/webidentity"
)

// Account and Other are the accounts of a fixture, and Region is its region.
const (
	Account = "000000000001"
	Other   = "000000000002"
	Region  = "eu-central-1"
)

// URL is the address below which the accounts of a fixture are issuers.
const URL = "https://gatehouse.example"

// A Fixture has IAM and everything that it needs.
type Fixture struct {
	IAM     *iam.Service
	Authn   *authn.Authenticator
	Keyring *token.Keyring
	DB      *db.DB
	// Admin and OtherAdmin are the first users' keys.
	Admin, OtherAdmin iam.Credentials

	t      testing.TB
	offset atomic.Int64
}

// New returns a fixture with two accounts, as the first start of a server creates
// them.
func New(t testing.TB) *Fixture {
	t.Helper()
	w := &Fixture{t: t}
	dir := t.TempDir()
	var err error
	if w.Keyring, err = token.CreateKeyring(filepath.Join(dir, "keyring"), w.Now); err != nil {
		t.Fatal(err)
	}
	w.DB = dbtest.Open(t)
	w.IAM = w.Start()
	first, err := w.IAM.Bootstrap(t.Context(), []string{Account, Other})
	if err != nil {
		t.Fatal(err)
	}
	w.Admin, w.OtherAdmin = first[0], first[1]
	w.Authn = authn.New(authn.Config{
		Directory: w.IAM, Keyring: w.Keyring, Now: w.Now,
		Serves: func(region string) bool { return region == Region },
	})
	return w
}

// Start returns another IAM on the same database, as a second server would have.
func (w *Fixture) Start() *iam.Service {
	w.t.Helper()
	s, err := iam.New(w.t.Context(), iam.Config{DB: w.DB, Keyring: w.Keyring, Authz: &authz.PolicyAuthorizer{}, WebIdentities: w.webIdentities(), URL: URL, Now: w.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// webIdentities proves the tokens of issuers on this machine.
func (w *Fixture) webIdentities() *webidentity.Verifier {
	return webidentity.New(webidentity.Config{Upstream: egress.New(egress.Config{LoopbackHTTP: true}), Now: w.Now})
}

// Now is the fixture's clock: the machine's, plus what [Fixture.Advance] added.
func (w *Fixture) Now() time.Time { return time.Now().Add(time.Duration(w.offset.Load())) }

// Advance moves the clock.
func (w *Fixture) Advance(d time.Duration) { w.offset.Add(int64(d)) }

// As is a context of the identity with the unique id, as a request signed with
// its long-term key has it.
func (w *Fixture) As(account, uniqueID, accessKeyID string) context.Context {
	w.t.Helper()
	p := w.IAM.Identity(account, uniqueID)
	if p == nil {
		w.t.Fatalf("no identity %s in account %s", uniqueID, account)
	}
	caller := *p
	caller.AccessKeyID = accessKeyID
	return authn.WithCaller(w.t.Context(), &authn.Caller{Principal: &caller, Region: Region, Time: w.Now()})
}

// AsAdmin is a context of the first user of the first account.
func (w *Fixture) AsAdmin() context.Context { return w.as(w.Admin) }

// AsOtherAdmin is one of the first user of the second account.
func (w *Fixture) AsOtherAdmin() context.Context { return w.as(w.OtherAdmin) }

func (w *Fixture) as(c iam.Credentials) context.Context {
	w.t.Helper()
	account, id, ok := w.IAM.KeyOwner(c.AccessKeyID)
	if !ok {
		w.t.Fatalf("the key of %s in account %s is not active", c.User, c.Account)
	}
	return w.As(account, id, c.AccessKeyID)
}

// Options are for a service whose requests are really authenticated.
func (w *Fixture) Options(service string, mapError func(error) error) wire.Options {
	return wire.Options{
		Authenticate: func(r *http.Request, _ string, body []byte) (context.Context, error) {
			c, err := w.Authn.Signed(r, service, body)
			if err != nil {
				return nil, err
			}
			return authn.WithCaller(r.Context(), c), nil
		},
		MapError: mapError,
	}
}

// Serve serves the services and returns an SDK configuration for them.
func (w *Fixture) Serve(services ...*wire.Service) aws.Config {
	w.t.Helper()
	server := httptest.NewServer(wire.NewMux(services...))
	w.t.Cleanup(server.Close)
	return aws.Config{
		Region:       Region,
		BaseEndpoint: aws.String(server.URL),
		HTTPClient:   sdktest.HTTPClient{},
		Credentials:  Static(w.Admin.AccessKeyID, w.Admin.Secret, ""),
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} },
	}
}

// Post sends a form to an awsQuery service, signed as the first admin, and
// returns the status and the body of the answer.
func (w *Fixture) Post(endpoint, service string, form url.Values) (status int, body string) {
	w.t.Helper()
	text := form.Encode()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, endpoint, strings.NewReader(text))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	sum := sha256.Sum256([]byte(text))
	err = v4.NewSigner().SignHTTP(w.t.Context(), aws.Credentials{AccessKeyID: w.Admin.AccessKeyID, SecretAccessKey: w.Admin.Secret},
		r, hex.EncodeToString(sum[:]), service, Region, w.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer.StatusCode, string(all)
}

// Unbound takes the principals of policies as they are named, for tests whose
// users IAM does not know.
type Unbound struct{}

// BindPrincipals returns the document.
func (Unbound) BindPrincipals(document string) (string, error) { return document, nil }

// ShowPrincipals returns the document.
func (Unbound) ShowPrincipals(document string) string { return document }

// Static are credentials for an SDK configuration.
func Static(id, secret, session string) aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(id, secret, session)
}
