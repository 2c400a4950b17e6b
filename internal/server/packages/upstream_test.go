package packages_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func TestPackage_UpstreamOrder(t *testing.T) {
	h := open(t)
	// The search from app is depth first: app, left, deep, right.
	h.repositories("deep", "right", "left: deep", "app: left right")
	id := npm("lib")
	h.mustPublish("right", id, "1.0.0", "a", "right")
	h.mustPublish("right", id, "3.0.0", "a", "right")
	h.mustPublish("deep", id, "1.0.0", "a", "deep")
	h.mustPublish("deep", id, "2.0.0", "a", "deep")
	if got := h.versions("app", id); got != "3.0.0 1.0.0 2.0.0" {
		t.Fatalf("versions = %q", got)
	}
	if got := h.versions("left", id); got != "1.0.0 2.0.0" {
		t.Fatalf("left has %q", got)
	}
	if s, err := h.read("app", id, "1.0.0", "a"); s != "deep" || err != nil {
		t.Fatalf("%q, %v", s, err)
	}
	h.ok(second(h.UpdateRepository(h.ctx, domain.Repository("left"), packages.RepositoryUpdate{Upstreams: []string{}})))
	if got := h.versions("app", id); got != "3.0.0 1.0.0" {
		t.Fatalf("after deep is not an upstream any more: %q", got)
	}
}

// What is fetched stays in the most downstream repository, and not between.
func TestOpenAsset_Retention(t *testing.T) {
	h := open(t)
	h.repositories("origin", "middle: origin", "app: middle")
	id := npm("lib")
	h.ok(second(h.publishAs(h.ctx, packages.Publication{
		Repository: domain.Repository("origin"), Package: id, Version: "1.0.0", Metadata: json.RawMessage(`{"m":1}`), Attributes: json.RawMessage(`{"r":1}`), Tags: []string{"latest"},
	}, "a", "one")))
	h.mustPublish("origin", id, "2.0.0", "a", "two")
	objects := h.objects()
	for range 2 {
		if s, err := h.read("app", id, "1.0.0", "a"); s != "one" || err != nil {
			t.Fatalf("%q, %v", s, err)
		}
	}
	held := func(repo string) string {
		v, err := h.ListVersions(h.ctx, domain.Repository(repo), id)
		if err != nil {
			return "none"
		}
		var out string
		for _, v := range v.All {
			out += v.Version + " from " + v.EntryPoint
		}
		return out
	}
	if held("app") != "1.0.0 from origin" || held("middle") != "none" {
		t.Fatalf("app holds %q, middle %q", held("app"), held("middle"))
	}
	if h.objects() != objects {
		t.Fatal("the bytes were kept twice")
	}
	o, err := h.DescribePackage(h.ctx, domain.Repository("app"), id)
	h.ok(err)
	if o.Origin != (packages.Origin{Publish: packages.Block, Upstream: packages.Allow}) {
		t.Fatalf("origin = %+v", o.Origin)
	}
	if got := h.versions("app", id); got != "1.0.0 2.0.0" {
		t.Fatalf("after retaining one, app shows %q", got)
	}
	p, err := h.Package(h.ctx, domain.Repository("app"), id)
	h.ok(err)
	if string(p.Attributes) != `{"r":1}` || p.Tags["latest"] != "1.0.0" {
		t.Fatalf("attributes %s, tags %v", p.Attributes, p.Tags)
	}
	// Whatever happens upstream.
	h.ok(second(h.DeletePackage(h.ctx, domain.Repository("origin"), id)))
	if s, err := h.read("app", id, "1.0.0", "a"); s != "one" || err != nil {
		t.Fatalf("%q, %v", s, err)
	}
	_, err = h.read("app", id, "2.0.0", "a")
	fails(t, err, "ResourceNotFound")
	_, err = h.publish("app", id, "9.0.0", "a", "x")
	fails(t, err, "Conflict") // publish is blocked until somebody allows it
	h.ok(h.SetOrigin(h.ctx, domain.Repository("app"), id, packages.Origin{Publish: packages.Allow, Upstream: packages.Allow}))
	h.mustPublish("app", id, "9.0.0", "a", "x")
}

// The first publish sets publish ALLOW and upstream BLOCK, and a package that
// blocks upstream shows nothing of it.
func TestSetOrigin(t *testing.T) {
	h := open(t)
	h.repositories("public", "app: public", "team: app")
	id := npm("lib")
	h.mustPublish("app", id, "1.0.0", "a", "ours")
	h.mustPublish("public", id, "99.0.0", "a", "theirs")
	o, err := h.DescribePackage(h.ctx, domain.Repository("app"), id)
	h.ok(err)
	if o.Origin != (packages.Origin{Publish: packages.Allow, Upstream: packages.Block}) {
		t.Fatalf("origin = %+v", o.Origin)
	}
	if got := h.versions("app", id); got != "1.0.0" {
		t.Fatalf("a blocked upstream shines through: %q", got)
	}
	if got := h.versions("team", id); got != "1.0.0" {
		t.Fatalf("a blocked upstream shines through one further: %q", got)
	}
	_, err = h.read("app", id, "99.0.0", "a")
	fails(t, err, "ResourceNotFound")
	h.ok(h.SetOrigin(h.ctx, domain.Repository("app"), id, packages.Origin{Publish: packages.Block, Upstream: packages.Allow}))
	if got := h.versions("team", id); got != "1.0.0 99.0.0" {
		t.Fatalf("versions = %q", got)
	}
	_, err = h.publish("app", id, "2.0.0", "a", "x")
	fails(t, err, "Conflict")
	fails(t, h.SetOrigin(h.ctx, domain.Repository("app"), id, packages.Origin{Publish: packages.Allow}), "Validation")
}

// A name can be closed before anybody asks for it, or publishes under it.
func TestSetOrigin_NewPackage(t *testing.T) {
	h := open(t)
	h.repositories("public", "app: public")
	h.mustPublish("public", npm("lib"), "1.0.0", "a", "theirs")
	h.ok(h.SetOrigin(h.ctx, domain.Repository("app"), npm("lib"), packages.Origin{Publish: packages.Block, Upstream: packages.Block}))
	if got := h.versions("app", npm("lib")); got != "none" {
		t.Fatalf("versions = %q", got)
	}
	_, err := h.read("app", npm("lib"), "1.0.0", "a")
	fails(t, err, "ResourceNotFound")
	_, err = h.publish("app", npm("lib"), "2.0.0", "a", "x")
	fails(t, err, "Conflict")
	ids, _, err := h.PackageNames(h.ctx, domain.Repository("app"), packages.NPM, packages.PackageID{}, 10)
	if err != nil || len(ids) != 0 {
		t.Fatalf("%v, %v", ids, err)
	}
	h.ok(second(h.DeletePackage(h.ctx, domain.Repository("app"), npm("lib"))))
	if got := h.versions("app", npm("lib")); got != "1.0.0" {
		t.Fatalf("versions = %q", got)
	}
}

// Publishing a version that is reachable upstream is a conflict.
func TestPublish_VersionUpstream(t *testing.T) {
	h := open(t)
	h.repositories("base", "app: base")
	h.mustPublish("base", npm("lib"), "1.0.0", "a", "base")
	_, err := h.publish("app", npm("lib"), "1.0.0", "a", "base")
	fails(t, err, "Conflict")
	_, err = h.DescribePackage(h.ctx, domain.Repository("app"), npm("lib"))
	fails(t, err, "ResourceNotFound") // nothing of it is left
	h.mustPublish("app", npm("lib"), "1.1.0", "a", "app")
}

func TestUpdateRepository_UpstreamLimits(t *testing.T) {
	h := open(t)
	h.repositories("r00")
	for i := 1; i <= 30; i++ {
		h.ok(second(h.CreateRepository(h.ctx, packages.NewRepository{
			ID: domain.Repository(fmt.Sprintf("r%02d", i)), Upstreams: []string{fmt.Sprintf("r%02d", i-1)},
		})))
	}
	h.mustPublish("r00", npm("far"), "1.0.0", "a", "x")
	if got := h.versions("r24", npm("far")); got != "1.0.0" {
		t.Fatalf("the 25th repository of the search is not reached: %q", got)
	}
	if got := h.versions("r25", npm("far")); got != "none" {
		t.Fatalf("a 26th repository is searched: %q", got)
	}
	var eleven []string
	for i := range 11 {
		eleven = append(eleven, fmt.Sprintf("r%02d", i))
	}
	_, err := h.UpdateRepository(h.ctx, domain.Repository("r30"), packages.RepositoryUpdate{Upstreams: eleven})
	fails(t, err, "ServiceQuotaExceeded")
	h.ok(second(h.UpdateRepository(h.ctx, domain.Repository("r30"), packages.RepositoryUpdate{Upstreams: eleven[:10]})))
	for name, upstreams := range map[string][]string{"circle": {"r05"}, "itself": {"r00"}, "twice": {"r30", "r30"}} {
		_, err = h.UpdateRepository(h.ctx, domain.Repository("r00"), packages.RepositoryUpdate{Upstreams: upstreams})
		if err == nil {
			t.Fatalf("%s: accepted", name)
		}
		fails(t, err, "Validation")
	}
	_, err = h.UpdateRepository(h.ctx, domain.Repository("r00"), packages.RepositoryUpdate{Upstreams: []string{"none"}})
	fails(t, err, "ResourceNotFound")
}

func TestDeleteRepository_Upstream(t *testing.T) {
	h := open(t)
	h.repositories("base", "app: base")
	h.mustPublish("base", npm("lib"), "1.0.0", "a", "x")
	h.ok(second(h.DeleteRepository(h.ctx, domain.Repository("base"))))
	if got := h.versions("app", npm("lib")); got != "none" {
		t.Fatalf("versions = %q", got)
	}
	h.ok(second(h.CreateRepository(h.ctx, packages.NewRepository{ID: domain.Repository("base")})))
	h.mustPublish("base", npm("lib"), "2.0.0", "a", "y")
	if got := h.versions("app", npm("lib")); got != "none" {
		t.Fatalf("a new repository of the same name is upstream: %q", got)
	}
	r, err := h.DescribeRepository(h.ctx, domain.Repository("app"))
	if err != nil || len(r.Upstreams) != 0 {
		t.Fatalf("upstreams = %v, %v", r.Upstreams, err)
	}
}

func TestPackageNames(t *testing.T) {
	h := open(t)
	h.repositories("base", "app: base")
	var want []string
	for i := range 20 {
		repo := []string{"base", "app"}[i%2]
		name := fmt.Sprintf("lib%02d", i)
		h.mustPublish(repo, npm(name), "1.0.0", "a", "x")
		want = append(want, name)
	}
	h.mustPublish("base", packages.PackageID{Format: packages.PyPI, Name: "py"}, "1.0", "a", "x")
	// Neither is seen: one has no version left, the other blocks upstream.
	h.mustPublish("base", npm("gone"), "1.0.0", "a", "x")
	h.ok(h.DeleteVersions(h.ctx, domain.Repository("base"), npm("gone"), []string{"1.0.0"}))
	h.mustPublish("app", npm("blocked"), "1.0.0", "a", "x")
	h.mustPublish("base", npm("blocked"), "2.0.0", "a", "x")
	h.ok(h.DeleteVersions(h.ctx, domain.Repository("app"), npm("blocked"), []string{"1.0.0"}))
	for limit := 1; limit < 25; limit++ {
		var got []string
		var after packages.PackageID
		for {
			page, more, err := h.PackageNames(h.ctx, domain.Repository("app"), packages.NPM, after, limit)
			h.ok(err)
			for _, id := range page {
				got = append(got, id.Name)
				after = id
			}
			if !more {
				break
			}
			if len(page) != limit {
				t.Fatalf("a page of %d with more behind, limit %d", len(page), limit)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("limit %d: %v", limit, got)
		}
	}
}
