package packages_test

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/removal/removaltest"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed/changefeedtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/traits"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
	npmsource "github.com/gatehouse-registry/gatehouse/internal/server/source/npm"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/upstreamtest"
)

const npmjs = "public:npmjs"

// tarball is the asset of every version of npm.
const tarball = "package.tgz"

// A registry stands in for the public registry of npm.
type registry struct {
	*upstreamtest.Server
	t     testing.TB
	times time.Time // of the next version
	packs map[string]*packument
}

type packument struct {
	Name     string                    `json:"name"`
	Tags     map[string]string         `json:"dist-tags"`
	Times    map[string]string         `json:"time"`
	Versions map[string]map[string]any `json:"versions"`
}

func newRegistry(t testing.TB) *registry {
	return &registry{Server: upstreamtest.New(t), t: t, times: time.Date(2025, 5, 6, 7, 8, 9, 0, time.UTC), packs: map[string]*packument{}}
}

// add publishes a version there, and tags it latest.
func (r *registry) add(name, version, content string) {
	p := r.packs[name]
	if p == nil {
		p = &packument{name, map[string]string{}, map[string]string{"created": r.times.Format(time.RFC3339)}, map[string]map[string]any{}}
		r.packs[name] = p
	}
	p.Tags["latest"], p.Times[version] = version, r.times.Format(time.RFC3339)
	r.times = r.times.Add(time.Hour)
	s1, s512 := sha1.Sum([]byte(content)), sha512.Sum512([]byte(content))
	path := "/" + name + "/-/" + name[strings.LastIndex(name, "/")+1:] + "-" + version + ".tgz"
	p.Versions[version] = map[string]any{"name": name, "version": version, "description": "It is " + name, "dist": map[string]any{
		"tarball": r.URL + path, "shasum": hex.EncodeToString(s1[:]), "integrity": "sha512-" + base64.StdEncoding.EncodeToString(s512[:]),
	}}
	r.Put(path, upstreamtest.File{Body: []byte(content)})
	r.save(name)
}

// save serves the document as it is now.
func (r *registry) save(name string) {
	body, err := json.Marshal(r.packs[name])
	if err != nil {
		r.t.Fatal(err)
	}
	r.Put(docPath(name), upstreamtest.File{Body: body, Type: "application/json"})
}

func docPath(name string) string { return "/" + strings.Replace(name, "/", "%2f", 1) }

// remotely returns a fixture in which the repository "npm-store" is connected to the
// registry. specs are further repositories.
func remotely(t testing.TB, r *registry, settings source.Settings, specs ...string) *fixture {
	t.Helper()
	h := open(t)
	h.connect(r, settings, false)
	h.repositories(append([]string{"npm-store"}, specs...)...)
	h.ok(second(h.AssociateExternalConnection(h.ctx, domain.Repository("npm-store"), npmjs)))
	return h
}

// connect replaces the fixture's service by one that asks the registry.
func (h *fixture) connect(r *registry, settings source.Settings, shared bool) {
	h.t.Helper()
	h.connectWith(source.Config{Shared: shared, Settings: settings}, r, npmsource.Codec{})
}

// connectWith is connect with further settings and a codec.
func (h *fixture) connectWith(c source.Config, r *registry, codec source.Codec) *source.Cache {
	h.t.Helper()
	c.Registries = []*source.Registry{{Connection: npmjs, Client: r.Upstream(h.t, npmjs), Codec: codec}}
	return h.connectAll(c)
}

// connectAll is connect with all settings but the database and the clock.
func (h *fixture) connectAll(c source.Config) *source.Cache {
	h.t.Helper()
	c.DB, c.Now, c.Log = h.db, h.now, testLog(h.t)
	cache, err := source.New(h.t.Context(), c)
	h.ok(err)
	h.spool = h.t.TempDir()
	removals, queue := removaltest.Open(h.t, h.db, h.blobs, h.now)
	h.work = queue
	h.Service, err = packages.New(h.t.Context(), packages.Config{
		DB: h.db, Blobs: h.blobs, Removals: removals, Authz: h.authorizer(), Principals: iamtest.Unbound{}, Damage: h.damage, Now: h.now,
		Remote: cache, SpoolDir: h.spool, Traits: traits.Reader{},
	})
	h.ok(err)
	service := h.Service
	h.t.Cleanup(func() { cache.Close(); service.Close() })
	return cache
}

// kept are the versions that a repository itself contains.
func (h *fixture) kept(repo string, id packages.PackageID) string {
	h.t.Helper()
	v, err := h.ListVersions(h.ctx, domain.Repository(repo), id)
	if fault.Is(err, "ResourceNotFound") {
		return "none"
	}
	h.ok(err)
	var out []string
	for _, v := range v.All {
		out = append(out, v.Version)
	}
	return strings.Join(out, " ")
}

func (h *fixture) wantRead(repo string, id packages.PackageID, version, want string) {
	h.t.Helper()
	if got, err := h.read(repo, id, version, tarball); err != nil || got != want {
		h.t.Fatalf("%s of version %s from %s: %q, %v", id, version, repo, got, err)
	}
	h.ok(h.Maintain(h.ctx)) // waits until what was read is stored
}

func TestRemote_Retention(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", "one")
	r.add("left-pad", "1.1.0", "two")
	h := remotely(t, r, source.Settings{}, "between: npm-store", "app: between")
	pad := npm("left-pad")
	if got := h.versions("app", pad); got != "1.0.0 1.1.0" {
		t.Fatalf("clients see %s", got)
	}
	p, err := h.Package(h.ctx, domain.Repository("app"), pad)
	h.ok(err)
	if v := p.Version("1.0.0"); !v.External() || v.EntryPoint != npmjs || !v.Published.Equal(time.Date(2025, 5, 6, 7, 8, 9, 0, time.UTC)) || v.Asset(tarball).SHA512 == "" {
		t.Errorf("the version is %+v", v)
	}
	if p.Tags["latest"] != "1.1.0" {
		t.Errorf("tags %v", p.Tags)
	}
	for _, repo := range []string{"app", "between", "npm-store"} {
		if got := h.kept(repo, pad); got != "none" {
			t.Errorf("%s has %s before anything was downloaded", repo, got)
		}
	}
	h.wantRead("app", pad, "1.0.0", "one")
	for repo, want := range map[string]string{"app": "1.0.0", "between": "none", "npm-store": "1.0.0"} {
		if got := h.kept(repo, pad); got != want {
			t.Errorf("%s keeps %s, want %s", repo, got, want)
		}
	}
	s, err := h.DescribePackage(h.ctx, domain.Repository("app"), pad)
	h.ok(err)
	if s.Origin != (packages.Origin{Publish: packages.Block, Upstream: packages.Allow}) {
		t.Errorf("the origin is %+v", s.Origin)
	}
	v, d, err := h.DescribeVersion(h.ctx, domain.Repository("npm-store"), pad, "1.0.0")
	h.ok(err)
	if v.EntryPoint != npmjs || d.Summary != "It is left-pad" || !v.Published.Equal(time.Date(2025, 5, 6, 7, 8, 9, 0, time.UTC)) {
		t.Errorf("the kept version is %+v, %+v", v, d)
	}
	// With the registry switched off, what is kept is served, and the document too.
	r.Close()
	h.pass(time.Hour)
	h.wantRead("app", pad, "1.0.0", "one")
	h.wantRead("between", pad, "1.0.0", "one")
	if got := h.versions("app", pad); got != "1.0.0 1.1.0" {
		t.Errorf("clients see %s", got)
	}
	if _, err := h.read("app", pad, "1.1.0", tarball); fault.From(err).Kind != fault.BadGateway || !strings.Contains(err.Error(), npmjs) {
		t.Errorf("what is not kept: %v", err)
	}
}

func TestRemote_Revalidation(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", "one")
	h := remotely(t, r, source.Settings{Background: time.Nanosecond})
	pad := npm("left-pad")
	h.versions("npm-store", pad)
	h.pass(5 * time.Second)
	h.versions("npm-store", pad)
	if n := r.Count("/left-pad"); n != 1 {
		t.Errorf("%d questions within the time of freshness", n)
	}
	p, err := h.Package(h.ctx, domain.Repository("npm-store"), pad)
	h.ok(err)
	h.pass(30 * time.Second)
	again, err := h.Package(h.ctx, domain.Repository("npm-store"), pad)
	h.ok(err)
	questions := r.Requests()
	if last := questions[len(questions)-1]; len(questions) != 2 || last.Header.Get("If-None-Match") == "" {
		t.Errorf("the questions are %v, want a conditional one", questions)
	}
	if p.Revision != again.Revision {
		t.Error("the package has another revision although nothing has changed")
	}
	r.add("left-pad", "1.1.0", "two")
	h.pass(30 * time.Second)
	if got := h.versions("npm-store", pad); got != "1.0.0 1.1.0" {
		t.Errorf("after a publication there: %s", got)
	}
}

// A package that is in use is revalidated in the background.
func TestRemote_RevalidationInBackground(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", "one")
	h := remotely(t, r, source.Settings{})
	pad := npm("left-pad")
	h.versions("npm-store", pad)
	r.add("left-pad", "1.1.0", "two")
	release := make(chan struct{})
	r.Fail("/left-pad", upstreamtest.Hold(release))
	h.pass(30 * time.Second)
	if got := h.versions("npm-store", pad); got != "1.0.0" { // does not wait
		t.Errorf("while the registry is asked: %s", got)
	}
	r.Await(t, "/left-pad", 2)
	close(release)
	eventually(t, func() bool { return h.versions("npm-store", pad) == "1.0.0 1.1.0" })
}

// eventually waits for a condition.
func eventually(t testing.TB, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !condition(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("the condition does not come true")
		}
	}
}

func TestRemote_Missing(t *testing.T) {
	r := newRegistry(t)
	h := remotely(t, r, source.Settings{})
	pad := npm("left-pad")
	for range 3 {
		if got := h.versions("npm-store", pad); got != "none" {
			t.Fatal(got)
		}
	}
	if n := r.Count("/left-pad"); n != 1 {
		t.Errorf("%d questions for a package that does not exist", n)
	}
	// What is published here is seen at once.
	h.mustPublish("npm-store", pad, "0.1.0", tarball, "own")
	if got := h.versions("npm-store", pad); got != "0.1.0" {
		t.Errorf("after a publication here: %s", got)
	}
	r.add("right-pad", "1.0.0", "one")
	h.pass(time.Minute)
	if got := h.versions("npm-store", npm("right-pad")); got != "1.0.0" {
		t.Errorf("after a publication there: %s", got)
	}
}

// Every fault of a registry is answered as its fault, and never with a 404. Afterwards
// everything works, and nothing wrong was kept.
func TestRemote_DocumentFaults(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	for name, tt := range map[string]struct {
		fault upstreamtest.Fault
		kind  fault.Kind
	}{
		"500":                  {upstreamtest.Status(500), fault.BadGateway},
		"403":                  {upstreamtest.Status(403), fault.BadGateway},
		"401":                  {upstreamtest.Status(401), fault.BadGateway},
		"429":                  {upstreamtest.Throttle(429, "1"), fault.BadGateway},
		"hangs up":             {upstreamtest.Hangup(), fault.BadGateway},
		"cut":                  {upstreamtest.Cut(50), fault.BadGateway},
		"shorter":              {upstreamtest.Shorter(5), fault.BadGateway},
		"HTML":                 {upstreamtest.HTML(), fault.BadGateway},
		"redirect loop":        {upstreamtest.RedirectLoop(), fault.BadGateway},
		"redirect to metadata": {upstreamtest.Redirect("http://169.254.169.254/latest"), fault.BadGateway},
		"bomb":                 {upstreamtest.Bomb(64 << 20), fault.BadGateway},
		"not JSON": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"name": "left-pad", "versions": {"1.0.0": `)
		}, fault.BadGateway},
		"another package": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"name":"evil","versions":{}}`)
		}, fault.BadGateway},
		"slow": {upstreamtest.Hold(hold), fault.GatewayTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			r.add("left-pad", "1.0.0", "one")
			timeout := 30 * time.Second // a busy machine takes seconds for the bomb
			if name == "slow" {
				timeout = time.Second
			}
			h := remotely(t, r, source.Settings{MaxDocument: 1 << 20, Timeout: timeout, Patience: 50 * time.Millisecond, Background: time.Nanosecond})
			pad := npm("left-pad")
			path := "/left-pad"
			if name == "redirect loop" {
				path = ""
			}
			r.Fail(path, tt.fault)
			_, err := h.Package(h.ctx, domain.Repository("npm-store"), pad)
			f := fault.From(err)
			if f == nil || f.Kind != tt.kind || !strings.Contains(f.Message, npmjs) {
				t.Fatalf("the error is %v", err)
			}
			_, again := h.Package(h.ctx, domain.Repository("npm-store"), pad)
			if fault.From(again) == nil || fault.From(again).Kind == fault.NotFound {
				t.Errorf("the second answer is %v", again)
			}
			r.Heal()
			h.pass(time.Minute)
			eventually(t, func() bool { return h.versions("npm-store", pad) == "1.0.0" })
			// Now there is an answer to fall back on. The registry has another one.
			r.add("left-pad", "1.1.0", "two")
			r.Fail(path, tt.fault)
			h.pass(3 * 24 * time.Hour)
			var notice packages.StaleNotice
			ctx := packages.WithStaleNotice(h.ctx, func(n packages.StaleNotice) { notice = n })
			p, err := h.Package(ctx, domain.Repository("npm-store"), pad)
			if err != nil || p.Version("1.0.0") == nil {
				t.Fatalf("the stale answer: %v", err)
			}
			if notice.Connection != npmjs || notice.Age < 71*time.Hour {
				t.Errorf("the notice is %+v", notice)
			}
			h.pass(5 * 24 * time.Hour)
			if _, err := h.Package(h.ctx, domain.Repository("npm-store"), pad); fault.From(err) == nil || fault.From(err).Kind != tt.kind {
				t.Errorf("after more than a week: %v", err)
			}
		})
	}
}

// large has more bytes than are waited for before a client gets the first.
var large = strings.Repeat("0123456789abcdef", 1<<16)

func TestRemote_FileFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		fault  upstreamtest.Fault
		passes bool // the client does not notice
	}{
		"wrong bytes":   {upstreamtest.WrongBytes(), false},
		"shorter":       {upstreamtest.Shorter(100), false},
		"longer":        {upstreamtest.Longer(100), false},
		"cut once":      {upstreamtest.Times(1, upstreamtest.Cut(400_000)), true},
		"cut always":    {upstreamtest.Cut(1000), false},
		"404":           {upstreamtest.Status(404), false},
		"500":           {upstreamtest.Status(500), false},
		"redirect loop": {upstreamtest.RedirectLoop(), false},
		"to loopback":   {upstreamtest.Redirect("http://127.0.0.1:1/x"), false},
	} {
		for _, content := range []string{large, "small"} {
			t.Run(fmt.Sprintf("%s, %d bytes", name, len(content)), func(t *testing.T) {
				r := newRegistry(t)
				r.add("left-pad", "1.0.0", content)
				h := remotely(t, r, source.Settings{}, "app: npm-store")
				pad := npm("left-pad")
				r.Fail("/left-pad/-/left-pad-1.0.0.tgz", tt.fault)
				got, err := h.read("app", pad, "1.0.0", tarball)
				if passes := err == nil && got == content; passes != tt.passes && !(content == "small" && strings.HasPrefix(name, "cut")) {
					t.Fatalf("%d bytes, %v", len(got), err)
				}
				if err != nil {
					if f := fault.From(err); f.Kind != fault.BadGateway || !strings.Contains(f.Message, npmjs) {
						t.Errorf("the error is %v", err)
					}
					if len(got) == len(content) {
						t.Error("the client has a complete file")
					}
					if h.kept("npm-store", pad) != "none" || h.kept("app", pad) != "none" || h.objects() != 0 {
						t.Errorf("something was kept: %d objects", h.objects())
					}
				}
				r.Heal()
				h.wantRead("app", pad, "1.0.0", content)
			})
		}
	}
}

func TestRemote_MismatchIsCounted(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", large)
	h := remotely(t, r, source.Settings{})
	r.Fail("/left-pad/-/left-pad-1.0.0.tgz", upstreamtest.WrongBytes())
	_, err := h.read("npm-store", npm("left-pad"), "1.0.0", tarball)
	fails(t, err, "UpstreamMismatch")
	if n := h.Ingested(); n.Mismatches != 1 || n.Files != 0 {
		t.Errorf("the counters are %+v", n)
	}
}

// 100 clients that miss the same package at once cause one question and one download.
func TestRemote_SingleFlight(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", large)
	h := remotely(t, r, source.Settings{}, "app: npm-store")
	release := make(chan struct{})
	r.Fail("", upstreamtest.Hold(release))
	var done sync.WaitGroup
	for i := range 100 {
		done.Go(func() {
			if got, err := h.read([]string{"npm-store", "app"}[i%2], npm("left-pad"), "1.0.0", tarball); err != nil || got != large {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	r.Await(t, "/left-pad", 1)
	close(release)
	done.Wait()
	if n := r.Count(""); n != 2 {
		t.Errorf("the registry got %d requests, want 2", n)
	}
}

func TestRemote_SingleFlightOfServers(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", large)
	all := remoteServers(t, r, 3)
	all[0].repositories("npm-store")
	all[0].ok(second(all[0].AssociateExternalConnection(all[0].ctx, domain.Repository("npm-store"), npmjs)))
	release := make(chan struct{})
	r.Fail("", upstreamtest.Hold(release))
	var done sync.WaitGroup
	for i := range 99 {
		done.Go(func() {
			if got, err := all[i%3].read("npm-store", npm("left-pad"), "1.0.0", tarball); err != nil || got != large {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	r.Await(t, "/left-pad", 1)
	close(release)
	done.Wait()
	if n := r.Count(""); n != 2 {
		t.Errorf("the registry got %d requests from three servers, want 2", n)
	}
}

// remoteServers returns servers on one database that ask the registry.
func remoteServers(t testing.TB, r *registry, n int) (all []*fixture) {
	t.Helper()
	dir := t.TempDir()
	d, blobs := dbtest.OpenAt(t, dir), blobtest.OpenAt(t, dir)
	clock := new(atomic.Int64)
	clock.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Unix())
	feeds, _ := changefeedtest.Servers(t, d, n)
	for _, feed := range feeds {
		h := &fixture{t: t, dir: dir, db: d, blobs: blobs, clock: clock}
		cache, err := source.New(t.Context(), source.Config{
			DB: d, Shared: true, Now: h.now,
			Registries: []*source.Registry{{Connection: npmjs, Client: r.Upstream(t, npmjs), Codec: npmsource.Codec{}}},
		})
		h.ok(err)
		h.Service, err = packages.New(t.Context(), packages.Config{
			DB: d, Feed: feed, Blobs: blobs, Removals: removaltest.New(t, d, blobs, h.now), Authz: h.authorizer(), Principals: iamtest.Unbound{}, Now: h.now,
			Remote: cache, SpoolDir: t.TempDir(),
		})
		h.ok(err)
		t.Cleanup(func() { cache.Close(); h.Close() })
		h.ctx = as(t, account, "admin", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
		changefeedtest.Run(t, feed)
		all = append(all, h)
	}
	return all
}

// The bytes reach the client while they arrive.
func TestRemote_Streams(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", large)
	h := remotely(t, r, source.Settings{})
	release := make(chan struct{})
	r.Fail("/left-pad/-/left-pad-1.0.0.tgz", func(w http.ResponseWriter, req *http.Request, answer http.Handler) {
		w.Header().Set("Content-Length", fmt.Sprint(len(large)))
		io.WriteString(w, large[:500_000])
		w.(http.Flusher).Flush()
		select {
		case <-release:
		case <-req.Context().Done():
		}
		io.WriteString(w, large[500_000:])
	})
	_, o, err := h.OpenAsset(h.ctx, domain.Repository("npm-store"), npm("left-pad"), "1.0.0", tarball)
	h.ok(err)
	defer o.Close()
	first := make([]byte, 400_000)
	if _, err := io.ReadFull(o, first); err != nil || string(first) != large[:400_000] {
		t.Fatalf("the first bytes: %v", err)
	}
	close(release)
	rest, err := io.ReadAll(o)
	if err != nil || !bytes.Equal(rest, []byte(large[400_000:])) {
		t.Errorf("the rest: %d bytes, %v", len(rest), err)
	}
	part := make([]byte, 10)
	if _, err := o.ReadAt(part, 5); err != nil || string(part) != large[5:15] {
		t.Errorf("a part: %q, %v", part, err)
	}
	if h.kept("npm-store", npm("left-pad")) != "1.0.0" {
		t.Error("the client has the last byte of a file that is not stored")
	}
}

// A publication reads the whole package only if an external registry could have the
// version: with many versions, that is most of its cost.
func TestPublish_ReadsPackageForConnectionOnly(t *testing.T) {
	r := newRegistry(t)
	r.add("lib", "1.0.0", "one")
	h := remotely(t, r, source.Settings{}, "base", "app: base", "connected: npm-store")
	for repo, reads := range map[string]bool{"base": false, "app": false, "connected": true} {
		h.mustPublish(repo, npm(repo), "1.0.0", tarball, "first")
		before := h.Caches()["package_records"].Misses
		h.mustPublish(repo, npm(repo), "2.0.0", tarball, "second")
		if misses := h.Caches()["package_records"].Misses - before; misses > 0 != reads {
			t.Errorf("%s: a publication misses the cache of packages %d times", repo, misses)
		}
	}
}
