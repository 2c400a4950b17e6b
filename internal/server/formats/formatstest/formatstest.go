// Package formatstest tests the protocols of package endpoints. [Start] starts a server
// with the real store on SQLite and local files, the real authentication, and a domain
// with two repositories. [Conformance] is the suite that every protocol passes: a format
// describes itself with a [Format].
package formatstest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/idletimeout"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/advisories"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/removal/removaltest"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/installation"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// What every server has.
const (
	Account = "000000000001"
	Region  = "us-east-1"
	// Suffix ends the AWS-shaped host names.
	Suffix = "aws.registry.example"
)

// Domain holds the repositories: App, whose upstream is Shared.
var (
	Domain = packages.DomainID{Owner: Account, Region: Region, Name: "acme"}
	App    = Domain.Repository("app")
	Shared = Domain.Repository("shared")
)

// A User is an IAM user that the server knows, by the name of its constant.
type User string

// The users: Admin may do everything; Reader may read from every repository;
// Publisher may publish, and nothing else; Stranger may do nothing.
const (
	Admin     User = "admin"
	Reader    User = "reader"
	Publisher User = "publisher"
	Stranger  User = "stranger"
)

// Without returns the user who may do everything except one CodeArtifact action, which
// is one of the actions of routes.
func Without(action string) User { return User("without-" + strings.ToLower(action)) }

// actions are the CodeArtifact actions of routes.
var actions = []string{
	"ReadFromRepository", "PublishPackageVersion", "PutPackageMetadata", "DeletePackageVersions", "DeletePackage", "UpdatePackageVersionsStatus",
	"DisposePackageVersions", "ListPackages", "ListPackageVersions", "DescribePackage", "DescribePackageVersion",
}

var documents = map[User]string{
	Admin:     `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`,
	Reader:    `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"codeartifact:ReadFromRepository","Resource":"*"}}`,
	Publisher: `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"codeartifact:PublishPackageVersion","Resource":"*"}}`,
	Stranger:  `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`,
}

// without is the policy of a user who lacks one action.
const without = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"codeartifact:%s","Resource":"*"}]}`

// A Server serves the protocols on a loopback address.
type Server struct {
	*httptest.Server
	Packages *packages.Service
	// Advisories has none at the beginning. Its operator is Admin.
	Advisories *advisories.Service

	blobs   blob.Store
	t       testing.TB
	users   directory
	keyring *token.Keyring
	offset  atomic.Int64 // how far the clock is ahead, in nanoseconds
	records chan *audit.Record
}

// Start starts a server with the protocols that open makes.
func Start(t testing.TB, open func(*packages.Service) map[packages.Format]formats.Protocol) *Server {
	t.Helper()
	return StartWith(t, open, func(*db.DB, func() time.Time) packages.Remote { return nil })
}

// StartWith is Start with external registries.
func StartWith(t testing.TB, open func(*packages.Service) map[packages.Format]formats.Protocol, remote func(*db.DB, func() time.Time) packages.Remote) *Server {
	t.Helper()
	dir := t.TempDir()
	ctx := context.Background()
	s := &Server{t: t, records: make(chan *audit.Record, 1000)}

	database := dbtest.Open(t)
	s.blobs = blobtest.Open(t)
	var err error
	s.keyring, err = token.CreateKeyring(filepath.Join(dir, "keyring"), s.Now)
	check(t, err)

	s.Advisories, err = advisories.New(ctx, advisories.Config{DB: database, Operators: installation.Operators{Authz: &authz.PolicyAuthorizer{}, Account: Domain.Owner}, Now: s.Now})
	check(t, err)
	s.Packages, err = packages.New(ctx, packages.Config{DB: database, Blobs: s.blobs, Removals: removaltest.New(t, database, s.blobs, s.Now), Authz: &authz.PolicyAuthorizer{}, Principals: iamtest.Unbound{}, Now: s.Now, Advisories: s.Advisories, Remote: remote(database, s.Now), SpoolDir: dir})
	check(t, err)
	t.Cleanup(func() { check(t, s.Packages.Close()) }) // files that clients have are being stored
	s.users = newDirectory(t)
	admin := authn.WithCaller(ctx, s.Caller(Admin))
	_, err = s.Packages.CreateDomain(admin, packages.NewDomain{ID: Domain})
	check(t, err)
	_, err = s.Packages.CreateRepository(admin, packages.NewRepository{ID: Shared})
	check(t, err)
	_, err = s.Packages.CreateRepository(admin, packages.NewRepository{ID: App, Upstreams: []string{Shared.Name}})
	check(t, err)

	s.Server = httptest.NewUnstartedServer(nil)
	addresses, err := endpoint.New("http://"+s.Listener.Addr().String(), Suffix)
	check(t, err)
	h := formats.New(formats.Config{
		Authenticator: authn.New(authn.Config{Directory: s.users, Keyring: s.keyring, Serves: func(r string) bool { return r == Region }, Now: s.Now}),
		Hosts:         addresses,
		Protocols:     open(s.Packages),
		Log:           slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	// As in the real server, a client that sends a large body before it reads gets the
	// answer.
	s.Config.Handler = idletimeout.Handler(s.audited(h), idletimeout.Limits{Idle: time.Minute, MaxDrain: 1 << 30, DrainTime: time.Minute})
	s.Server.Start()
	s.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(s.Close)
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// audited keeps the record of each request.
func (s *Server) audited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := &audit.Entry{Started: s.Now()}
		next.ServeHTTP(w, r.WithContext(audit.WithEntry(r.Context(), e)))
		select {
		case s.records <- e.Record(0, s.Now()):
		default: // a benchmark does not read them
		}
	})
}

// Objects returns how many objects the blob store has, finished or not.
func (s *Server) Objects() int {
	s.t.Helper()
	n := 0
	for _, err := range s.blobs.List(context.Background(), "") {
		check(s.t, err)
		n++
	}
	return n
}

// Record returns the audit records one after the other, the oldest first.
func (s *Server) Record() *audit.Record { return <-s.records }

// Forget drops the audit records of the requests that were answered.
func (s *Server) Forget() {
	for {
		select {
		case <-s.records:
		default:
			return
		}
	}
}

// Now is the server's clock.
func (s *Server) Now() time.Time { return time.Now().Add(time.Duration(s.offset.Load())) }

// Advance moves the clock.
func (s *Server) Advance(d time.Duration) { s.offset.Add(int64(d)) }

// Caller is the user as the store sees the caller of a request.
func (s *Server) Caller(u User) *authn.Caller {
	return &authn.Caller{Principal: s.users.Identity(Account, string(u)), Region: Region, Time: s.Now()}
}

// Token returns a token of the user for the domain, valid for 12 hours.
func (s *Server) Token(u User, d packages.DomainID) string {
	s.t.Helper()
	now := s.Now().Truncate(time.Second)
	t, err := s.keyring.Mint(token.CodeArtifact, token.Claims{
		ID: token.NewID("ABIA"), Account: Account, PrincipalID: string(u), AccessKeyID: "AKIA" + strings.ToUpper(string(u)),
		Issued: now, Expires: now.Add(12 * time.Hour), Region: d.Region, Domain: d.Name, DomainOwner: d.Owner,
	})
	check(s.t, err)
	return t
}

// Endpoint is the address of a repository, ending in "/".
func (s *Server) Endpoint(r packages.RepositoryID, f packages.Format) string {
	return s.URL + formats.RepositoryEndpoint{Repository: r, Format: f}.Path()
}

// A Response is a response whose body was read.
type Response struct {
	*http.Response
	Body string
}

// Do makes a request as the user; without credentials if the user is empty. Each
// header is "Name: value".
func (s *Server) Do(u User, method, url, body string, headers ...string) Response {
	s.t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	check(s.t, err)
	if u != "" {
		r.Header.Set("Authorization", "Bearer "+s.Token(u, Domain))
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	res, err := s.send(r)
	check(s.t, err)
	return res
}

// send sends a request and reads the response.
func (s *Server) send(r *http.Request) (Response, error) {
	res, err := s.Client().Do(r)
	if err != nil {
		return Response{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return Response{res, string(text)}, err
}

// directory knows the users.
type directory map[string]*authn.Principal

func newDirectory(t testing.TB) directory {
	d := directory{}
	all := maps.Clone(documents)
	for _, action := range actions {
		all[Without(action)] = fmt.Sprintf(without, action)
	}
	for u, document := range all {
		p, err := policy.Parse(document, policy.Identity)
		check(t, err)
		arn := "arn:aws:iam::" + Account + ":user/" + string(u)
		d[string(u)] = &authn.Principal{
			Type: authn.User, Account: Account, ARN: arn, PrincipalARN: arn, UserID: string(u), UniqueID: string(u), Name: string(u),
			Policies: []*policy.Policy{p},
		}
	}
	return d
}

func (directory) Ready() error { return nil }

func (d directory) KeyOwner(id string) (account, uniqueID string, ok bool) {
	name := strings.ToLower(strings.TrimPrefix(id, "AKIA"))
	return Account, name, d[name] != nil
}

func (d directory) Secret(string) (string, bool) { return "", false }

func (d directory) Identity(_, uniqueID string) *authn.Principal { return d[uniqueID] }

func (d directory) Session(context.Context, string) (*authn.Session, error) {
	return nil, fault.New(fault.Unauthenticated, "InvalidToken", "no sessions here")
}

func (d directory) Used(string, time.Time, string, string) {}
