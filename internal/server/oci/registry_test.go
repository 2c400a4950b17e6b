package oci_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/removal/removaltest"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/oci"
	"github.com/gatehouse-registry/gatehouse/internal/server/ratelimit"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

const (
	account = "000000000001"
	other   = "000000000002"
	region  = "us-east-1"
)

// A registry is the whole endpoint on a real store, behind a real server.
type registry struct {
	url       string
	oci       *oci.Handler
	handler   http.Handler // the same, with an audit trail
	images    *images.Service
	layers    *oci.LayerURLs
	layerKeys [][]byte // of layers, the signing one first
	clock     *clock
	trail     *trail
	log       *serverLog
	db        *db.DB
	users     users
}

// newRegistry starts a registry with host names like those of AWS, below aws.example.
// The server's address works too.
func newRegistry(t testing.TB) *registry {
	t.Helper()
	return newRegistryOn(t, blobtest.Open(t))
}

func newRegistryOn(t testing.TB, blobs blob.Store) *registry {
	t.Helper()
	database := dbtest.Open(t)
	clock := &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	store, err := images.New(context.Background(), images.Config{DB: database, Blobs: blobs, Removals: removaltest.New(t, database, blobs, clock.now), Authz: &authz.PolicyAuthorizer{}, Principals: iamtest.Unbound{}, Now: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	r := &registry{images: store, clock: clock, trail: &trail{}, log: &serverLog{}, db: database, users: users{clock: clock, policies: map[string]*policy.Policy{}}}
	r.users.policies["admin"] = allow("*", "*")

	t.Cleanup(func() {
		if text := r.log.take(); text != "" {
			t.Errorf("the server logged: %s", text)
		}
	})
	server := httptest.NewUnstartedServer(nil)
	t.Cleanup(server.Close)
	r.url = "http://" + server.Listener.Addr().String()
	addresses, err := endpoint.New(r.url, "aws.example")
	if err != nil {
		t.Fatal(err)
	}
	r.layerKeys = [][]byte{bytes.Repeat([]byte{7}, 32)}
	r.layers = oci.NewLayerURLs(func() ([][]byte, error) { return r.layerKeys, nil }, addresses, clock.now)
	r.oci = oci.New(oci.Config{
		Images:    store,
		Authn:     r.users,
		Addresses: addresses,
		LayerURLs: r.layers,
		Now:       clock.now,

		DefaultRegistry: endpoint.Registry{Account: account, Region: region},
		AnonymousRate:   ratelimit.New(100, 1000, clock.now),
		Log:             slog.New(slog.NewTextHandler(r.log, nil)),
	})
	r.handler = r.trail.keep(r.oci)
	server.Config.Handler = r.handler
	server.Start()
	return r
}

// create creates a repository in the account.
func (r *registry) create(t testing.TB, account, name string, settings images.Settings) images.RepositoryID {
	t.Helper()
	if settings.Mutability == "" {
		settings.Mutability = "MUTABLE"
	}
	id := images.RepositoryID{Account: account, Region: region, Name: name}
	if _, err := r.images.CreateRepository(authn.WithCaller(context.Background(), r.users.caller(account, "admin")), id, settings); err != nil {
		t.Fatal(err)
	}
	return id
}

// clock stands still.
type clock struct{ time time.Time }

func (c *clock) now() time.Time { return c.time }

// users authenticates: the password of a user is "account/name", and "expired" is an
// expired token.
type users struct {
	clock    *clock
	policies map[string]*policy.Policy // by user: the identity-based policy
}

func (u users) Bearer(r *http.Request, purpose token.Purpose) (*authn.Caller, error) {
	name, password, ok := r.BasicAuth()
	owner, user, known := strings.Cut(password, "/")
	switch {
	case !ok || purpose != token.ECR:
		return nil, fault.New(fault.Unauthenticated, "MissingAuthenticationToken", "no credentials")
	case name == "AWS" && password == "expired":
		return nil, fault.New(fault.Expired, "ExpiredToken", "the token is expired")
	case name == "AKIA1":
		return nil, fault.New(fault.Unauthenticated, "InvalidLogin", "how to log in")
	case name != "AWS" || !known || u.policies[user] == nil:
		return nil, fault.New(fault.Unauthenticated, "InvalidToken", "not a token")
	}
	return u.caller(owner, user), nil
}

// Unsigned returns the caller of a request without credentials.
func (u users) Unsigned(r *http.Request) (*authn.Caller, error) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return &authn.Caller{Principal: &authn.Principal{Type: authn.Anonymous}, SourceIP: from.Addr(), Time: u.clock.now()}, err
}

func (u users) caller(account, name string) *authn.Caller {
	arn := "arn:aws:iam::" + account + ":user/" + name
	return &authn.Caller{
		Principal: &authn.Principal{
			Type: authn.User, Account: account, ARN: arn, PrincipalARN: arn, Name: name,
			UserID: "AIDA" + strings.ToUpper(name), UniqueID: "AIDA" + strings.ToUpper(name), Policies: []*policy.Policy{u.policies[name]},
		},
		Region: region, Time: u.clock.now(),
	}
}

func allow(action, resource string) *policy.Policy {
	return parse(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}}`)
}

func parse(document string) *policy.Policy {
	p, err := policy.Parse(document, policy.Identity)
	if err != nil {
		panic(err)
	}
	return p
}

// trail keeps the audit record of every request.
type trail struct {
	mu      sync.Mutex
	records []*audit.Record
}

func (l *trail) keep(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := &audit.Entry{ID: "request"}
		next.ServeHTTP(w, r.WithContext(audit.WithEntry(r.Context(), e)))
		l.mu.Lock()
		defer l.mu.Unlock()
		l.records = append(l.records, e.Record(0, time.Time{}))
	})
}

func (l *trail) last() *audit.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.records[len(l.records)-1]
}

// serverLog has what the server logs. It must be empty at the end of a test that does
// not take it.
type serverLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *serverLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *serverLog) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.text.String()
	l.text.Reset()
	return text
}
