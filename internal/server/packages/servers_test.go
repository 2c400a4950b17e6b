package packages_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/removal/removaltest"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed/changefeedtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// newServers returns n package stores on one database, each with its own memory, and
// their lines to each other.
func newServers(t testing.TB, n int) ([]*fixture, []*changefeedtest.Line) {
	t.Helper()
	dir := t.TempDir()
	d := dbtest.OpenAt(t, dir)
	blobs := blobtest.OpenAt(t, dir)
	clock := new(atomic.Int64)
	clock.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Unix())
	feeds, lines := changefeedtest.Servers(t, d, n)
	var all []*fixture
	for _, feed := range feeds {
		h := &fixture{t: t, dir: dir, db: d, blobs: blobs, clock: clock}
		var err error
		removals, queue := removaltest.Open(t, d, blobs, h.now)
		h.work = queue
		h.Service, err = packages.New(t.Context(), packages.Config{DB: d, Feed: feed, Blobs: blobs, Removals: removals, Work: queue, Authz: h.authorizer(), Principals: iamtest.Unbound{}, Now: h.now})
		if err != nil {
			t.Fatal(err)
		}
		h.ctx = as(t, account, "admin", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
		h.ok(queue.Handle(h.RetentionWork()...))
		changefeedtest.Run(t, feed)
		all = append(all, h)
	}
	return all, lines
}

// What one server changes, no other serves as it was, from the moment of the answer.
func TestServers_ChangeIsSeen(t *testing.T) {
	all, _ := newServers(t, 3)
	a, others := all[0], all[1:]
	lib := npm("lib")
	each := func(what, want string, get func(*fixture) string) {
		t.Helper()
		for i, h := range others {
			if got := get(h); got != want {
				t.Errorf("server %d, %s: %q, want %q", i+2, what, got, want)
			}
		}
	}
	versions := func(repo string) func(*fixture) string {
		return func(h *fixture) string { return h.versions(repo, lib) }
	}
	a.repositories("base", "app: base")
	each("nothing published", "none", versions("app"))
	a.mustPublish("base", lib, "1.0.0", "lib.tgz", "one")
	each("published", "1.0.0", versions("app"))
	a.mustPublish("base", lib, "2.0.0", "lib.tgz", "two")
	each("published again", "1.0.0 2.0.0", versions("base"))
	group := func(h *fixture) string { return h.belongs(lib) }
	a.groups("/npm//lib$")
	each("package group", "/npm//lib$", group)
	a.restrict("/npm//lib$", "INTERNAL_UPSTREAM BLOCK")
	each("hidden by its package group", "none", versions("app"))
	a.ok(second(a.DeleteGroup(a.ctx, groupID("/npm//lib$"))))
	each("no package group", "/*", group)
	revisions := map[string]bool{}
	newIndex := func(h *fixture) string {
		revision, err := h.IndexRevision(h.ctx, domain.Repository("app"), packages.NPM)
		h.ok(err)
		key := fmt.Sprintf("%p %s", h, revision)
		if revisions[key] {
			return "as before"
		}
		revisions[key] = true
		return "new"
	}
	each("index", "new", newIndex)
	each("index unchanged", "as before", newIndex)
	a.mustPublish("base", lib, "1.0.1", "lib.tgz", "one")
	each("index after a publication upstream", "new", newIndex)
	a.ok(a.DeleteVersions(a.ctx, domain.Repository("base"), lib, []string{"1.0.1"}))
	each("index after a deletion", "new", newIndex)
	a.groups("/npm/other~")
	each("index after a change of groups", "new", newIndex)
	a.ok(second(a.DeleteGroup(a.ctx, groupID("/npm/other~"))))
	each("index without the group", "new", newIndex)
	each("index unchanged again", "as before", newIndex)
	tag := func(h *fixture) string {
		p, err := h.Package(h.ctx, domain.Repository("base"), lib)
		h.ok(err)
		return p.Tags["latest"]
	}
	each("tag", "2.0.0", tag)
	a.ok(a.SetTags(a.ctx, domain.Repository("base"), lib, map[string]string{"latest": "1.0.0"}, nil))
	each("tag moved", "1.0.0", tag)
	a.ok(second(a.UpdateVersionsStatus(a.ctx, domain.Repository("base"), lib, packages.Selection{Versions: []string{"2.0.0"}}, packages.Unlisted)))
	each("unlisted", "1.0.0", versions("base"))
	a.ok(a.DeleteVersions(a.ctx, domain.Repository("base"), lib, []string{"1.0.0"}))
	each("deleted", "", versions("base"))

	// As a caller of another account, who has nothing but the policy of the domain.
	visitor := as(t, other, "visitor", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
	describe := func(h *fixture) string {
		_, err := h.DescribeDomain(visitor, domain)
		if err == nil {
			return "allowed"
		}
		return fault.From(err).Code
	}
	each("no policy", "AccessDenied", describe)
	p, err := a.SetDomainPolicy(a.ctx, domain, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"codeartifact:DescribeDomain","Resource":"*"}}`, "")
	a.ok(err)
	each("policy", "allowed", describe)
	a.ok(second(a.DeleteDomainPolicy(a.ctx, domain, p.Revision)))
	each("policy removed", "AccessDenied", describe)

	upstreams := func(h *fixture) string {
		r, err := h.DescribeRepository(h.ctx, domain.Repository("app"))
		if err != nil {
			return fault.From(err).Code
		}
		return strings.Join(r.Upstreams, " ")
	}
	each("upstream", "base", upstreams)
	a.ok(second(a.DeleteRepository(a.ctx, domain.Repository("base"))))
	each("upstream deleted", "", upstreams)
	a.ok(second(a.DeleteRepository(a.ctx, domain.Repository("app"))))
	each("repository deleted", "ResourceNotFound", upstreams)
	a.ok(third(a.DeleteDomain(a.ctx, domain)))
	each("domain deleted", "ResourceNotFound", func(h *fixture) string {
		_, err := h.DescribeDomain(h.ctx, domain)
		return fault.From(err).Code
	})
}

func third[A, B any](_ A, _ B, err error) error { return err }

// Two servers must not make two repositories each other's upstreams at the same time.
func TestServers_UpstreamCycle(t *testing.T) {
	all, _ := newServers(t, 2)
	all[0].repositories("one", "two")
	errs := make(chan error, 2)
	for i, names := range [][2]string{{"one", "two"}, {"two", "one"}} {
		go func() {
			_, err := all[i].UpdateRepository(all[i].ctx, domain.Repository(names[0]), packages.RepositoryUpdate{Upstreams: []string{names[1]}})
			errs <- err
		}()
	}
	if failed := errors.Join(<-errs, <-errs); !fault.Is(failed, "Validation") {
		t.Errorf("the errors are %v, want one Validation", failed)
	}
}

// A commit whose answer is lost is found, and what it changed is seen by all.
func TestServers_AnswerLost(t *testing.T) {
	all, lines := newServers(t, 2)
	lost := errors.New("connection reset")
	lines[0].On(func(crossing string) error {
		if crossing == "commit answered" {
			return lost
		}
		return nil
	})
	all[0].repositories("base")
	all[0].mustPublish("base", npm("lib"), "1.0.0", "lib.tgz", "one")
	for i, h := range all {
		if got, err := h.read("base", npm("lib"), "1.0.0", "lib.tgz"); got != "one" {
			t.Errorf("server %d: %q, %v", i+1, got, err)
		}
	}
}

// TestServers_Property makes changes at any of three servers. After each answer, all of
// them show what a model says.
func TestServers_Property(t *testing.T) {
	all, _ := newServers(t, 3)
	all[0].repositories()
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		m := &serversModel{all: all, name: fmt.Sprint("property-", round)}
		t.Repeat(map[string]func(*rapid.T){
			"publish": m.publish, "status": m.status, "delete": m.delete, "tag": m.tag, "repository": m.repository,
			"": m.check,
		})
	})
}

type serversModel struct {
	all      []*fixture
	name     string // of the repository
	exists   bool
	statuses map[string]packages.Status // version → status
	tagged   string                     // the version with the tag beta
}

func (m *serversModel) server(t *rapid.T) *fixture {
	return m.all[rapid.IntRange(0, len(m.all)-1).Draw(t, "server")]
}

func (m *serversModel) id() packages.RepositoryID { return domain.Repository(m.name) }

func (m *serversModel) version(t *rapid.T) string {
	return rapid.SampledFrom([]string{"1.0.0", "2.0.0", "3.0.0"}).Draw(t, "version")
}

func (m *serversModel) repository(t *rapid.T) {
	h := m.server(t)
	if m.exists {
		want(t, second(h.DeleteRepository(h.ctx, m.id())), "")
	} else {
		want(t, second(h.CreateRepository(h.ctx, packages.NewRepository{ID: m.id()})), "")
	}
	m.exists, m.statuses, m.tagged = !m.exists, map[string]packages.Status{}, ""
}

func want(t *rapid.T, err error, code string) {
	t.Helper()
	if code == "" && err != nil || code != "" && !fault.Is(err, code) {
		t.Fatalf("err = %v, want %q", err, code)
	}
}

func (m *serversModel) publish(t *rapid.T) {
	h, version := m.server(t), m.version(t)
	if !m.exists || m.statuses[version] != "" {
		return
	}
	want(t, second(h.publish(m.name, npm("lib"), version, "lib.tgz", version)), "")
	h.pass(time.Second)
	m.statuses[version] = packages.Published
}

func (m *serversModel) status(t *rapid.T) {
	h, version := m.server(t), m.version(t)
	if m.statuses[version] == "" {
		return
	}
	to := rapid.SampledFrom([]packages.Status{packages.Published, packages.Unlisted}).Draw(t, "status")
	out, err := h.UpdateVersionsStatus(h.ctx, m.id(), npm("lib"), packages.Selection{Versions: []string{version}}, to)
	want(t, err, "")
	if len(out.Successful) == 1 {
		m.statuses[version] = to
	}
}

func (m *serversModel) delete(t *rapid.T) {
	h, version := m.server(t), m.version(t)
	if m.statuses[version] == "" {
		return
	}
	want(t, h.DeleteVersions(h.ctx, m.id(), npm("lib"), []string{version}), "")
	delete(m.statuses, version)
	if m.tagged == version {
		m.tagged = ""
	}
}

func (m *serversModel) tag(t *rapid.T) {
	h, version := m.server(t), m.version(t)
	if m.statuses[version] != packages.Published {
		return
	}
	want(t, h.SetTags(h.ctx, m.id(), npm("lib"), map[string]string{"beta": version}, nil), "")
	m.tagged = version
}

func (m *serversModel) check(t *rapid.T) {
	for i, h := range m.all {
		_, err := h.DescribeRepository(h.ctx, m.id())
		if !m.exists {
			want(t, err, "ResourceNotFound")
			continue
		}
		want(t, err, "")
		p, err := h.Package(h.ctx, m.id(), npm("lib"))
		if len(m.statuses) == 0 {
			want(t, err, "ResourceNotFound")
			continue
		}
		want(t, err, "")
		var got []string
		for _, v := range p.Versions {
			got = append(got, v.Version)
		}
		slices.Sort(got)
		published := slices.DeleteFunc(slices.Sorted(maps.Keys(m.statuses)), func(v string) bool { return m.statuses[v] != packages.Published })
		if !slices.Equal(got, published) {
			t.Fatalf("server %d shows %q, want %q", i, got, published)
		}
		tagged := m.tagged
		if m.statuses[tagged] != packages.Published {
			tagged = ""
		}
		if p.Tags["beta"] != tagged {
			t.Fatalf("server %d: beta is %q, want %q", i, p.Tags["beta"], tagged)
		}
		for version := range m.statuses {
			if got, err := h.read(m.name, npm("lib"), version, "lib.tgz"); got != version {
				t.Fatalf("server %d: version %s is %q, %v", i, version, got, err)
			}
		}
	}
}
