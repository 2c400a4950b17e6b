package packages_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/integrity"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/removal/removaltest"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/traits"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

const (
	account = "111122223333"
	other   = "444455556666"
	region  = "eu-west-1"
)

var domain = packages.DomainID{Owner: account, Region: region, Name: "acme"}

// A fixture is the package store on a real database and a real blob store.
type fixture struct {
	*packages.Service
	t     testing.TB
	dir   string
	spool string // the folder of temporary files
	db    *db.DB
	blobs *blobtest.Store
	work  *work.Queue // removes objects
	log   *events.Log
	// damage counts damaged objects.
	damage *integrity.Monitor
	// ctx carries an administrator of the account.
	ctx   context.Context
	clock *atomic.Int64 // seconds since 1970
	// onNow is called when the service asks for the time. Optional.
	onNow func()
	// audited are the audit records of background work: event, resource and versions.
	audited *auditLog
}

func open(t testing.TB) *fixture {
	t.Helper()
	clock := new(atomic.Int64)
	clock.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Unix())
	return reopen(t, t.TempDir(), clock)
}

// reopen opens the data of an earlier fixture, as the next process does.
func reopen(t testing.TB, dir string, clock *atomic.Int64) *fixture {
	t.Helper()
	d := dbtest.OpenAt(t, dir)
	blobs := blobtest.OpenAt(t, dir)
	h := &fixture{t: t, dir: dir, db: d, blobs: blobs, clock: clock, audited: new(auditLog), damage: integrity.NewMonitor(testLog(t))}
	var err error
	removals, queue := removaltest.Open(t, d, h.blobs, h.now)
	h.work = queue
	h.log, err = events.New(t.Context(), events.Config{DB: d, Work: queue, Now: h.now, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	h.Service, err = packages.New(t.Context(), packages.Config{DB: d, Blobs: blobs, Removals: removals, Events: h.log, Work: queue, Audit: h.record, Authz: h.authorizer(), Principals: iamtest.Unbound{}, Damage: h.damage, Now: h.now, CheckRelease: checkRelease, Traits: traits.Reader{}})
	if err != nil {
		t.Fatal(err)
	}
	h.ok(queue.Handle(h.RetentionWork()...))
	h.ctx = as(t, account, "admin", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
	return h
}

// An auditLog has audit records as texts.
type auditLog struct {
	mu  sync.Mutex
	all []string
}

func (h *fixture) record(_ context.Context, event, resource string, params map[string]any) error {
	h.audited.mu.Lock()
	defer h.audited.mu.Unlock()
	h.audited.all = append(h.audited.all, fmt.Sprint(event, " ", resource[strings.LastIndex(resource, ":")+1:], " ", params["versions"]))
	return nil
}

func (h *fixture) authorizer() authz.Authorizer { return &authz.PolicyAuthorizer{} }

func (h *fixture) now() time.Time {
	if h.onNow != nil {
		h.onNow()
	}
	return time.Unix(h.clock.Load(), 0).UTC()
}

// runWork runs the background work that is due.
func (h *fixture) runWork() {
	h.t.Helper()
	h.ok(h.work.RunDue(h.t.Context()))
}

func (h *fixture) pass(d time.Duration) { h.clock.Add(int64(d / time.Second)) }

// as returns a context with a user of the account that has the policies.
func as(t testing.TB, account, user string, policies ...string) context.Context {
	t.Helper()
	p := &authn.Principal{
		Type: authn.User, Account: account, ARN: "arn:aws:iam::" + account + ":user/" + user, PrincipalARN: "arn:aws:iam::" + account + ":user/" + user,
		UserID: "AIDA" + strings.ToUpper(user), UniqueID: "AIDA" + strings.ToUpper(user), Name: user, AccessKeyID: "AKIAEXAMPLE",
	}
	for _, doc := range policies {
		c, err := policy.Parse(doc, policy.Identity)
		if err != nil {
			t.Fatal(err)
		}
		p.Policies = append(p.Policies, c)
	}
	return authn.WithCaller(t.Context(), &authn.Caller{Principal: p, Region: region, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)})
}

// repositories creates the domain and the repositories, each written as
// "name" or "name: upstream upstream"; upstreams come first.
func (h *fixture) repositories(specs ...string) {
	h.t.Helper()
	h.ok(second(h.CreateDomain(h.ctx, packages.NewDomain{ID: domain})))
	for _, spec := range specs {
		name, upstreams, _ := strings.Cut(spec, ":")
		h.ok(second(h.CreateRepository(h.ctx, packages.NewRepository{ID: domain.Repository(name), Upstreams: strings.Fields(upstreams)})))
	}
}

func second[T any](_ T, err error) error { return err }

func (h *fixture) ok(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// fails checks the code of a domain error.
func fails(t testing.TB, err error, code string) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Fatalf("error %v, want %s", err, code)
	}
}

func npm(name string) packages.PackageID {
	return packages.PackageID{Format: packages.NPM, Name: name}
}

// publish publishes one asset.
func (h *fixture) publish(repo string, id packages.PackageID, version, asset, content string) (*packages.Version, error) {
	h.t.Helper()
	return h.publishAs(h.ctx, packages.Publication{Repository: domain.Repository(repo), Package: id, Version: version}, asset, content)
}

func (h *fixture) publishAs(ctx context.Context, p packages.Publication, asset, content string) (*packages.Version, error) {
	h.t.Helper()
	staged, err := h.Stage(ctx, p.Repository, p.Package, strings.NewReader(content), 1<<20)
	if err != nil {
		return nil, err
	}
	defer staged.Discard()
	p.Assets = []packages.StagedAsset{{Name: asset, Content: staged}}
	return h.Publish(ctx, p)
}

func (h *fixture) mustPublish(repo string, id packages.PackageID, version, asset, content string) *packages.Version {
	h.t.Helper()
	v, err := h.publish(repo, id, version, asset, content)
	h.ok(err)
	h.pass(time.Second)
	return v
}

// versions are those that a repository's clients see, the oldest first.
func (h *fixture) versions(repo string, id packages.PackageID) string {
	h.t.Helper()
	p, err := h.Package(h.ctx, domain.Repository(repo), id)
	if fault.Is(err, "ResourceNotFound") {
		return "none"
	}
	h.ok(err)
	var out []string
	for _, v := range p.Versions {
		out = append(out, v.Version)
	}
	return strings.Join(out, " ")
}

// read downloads an asset as clients do.
func (h *fixture) read(repo string, id packages.PackageID, version, asset string) (string, error) {
	_, o, err := h.OpenAsset(h.ctx, domain.Repository(repo), id, version, asset)
	if err != nil {
		return "", err
	}
	defer o.Close()
	b, err := io.ReadAll(o)
	return string(b), err
}

// objects counts what the blob store holds.
func (h *fixture) objects() int {
	h.t.Helper()
	n := 0
	for _, err := range h.blobs.List(h.t.Context(), "") {
		h.ok(err)
		n++
	}
	return n
}

var errBroken = errors.New("the connection broke")

// checkRelease is a rule of formats: no name has the word forbidden.
func checkRelease(id packages.PackageID, version string) error {
	if strings.Contains(id.Name+version, "forbidden") {
		return fault.New(fault.Invalid, "InvalidName", "%s %s is forbidden.", id, version)
	}
	return nil
}
