package packages_test

import (
	"encoding/json"
	"fmt"
	"strings"
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

// A wheel that is uploaded upstream after the version was retained is seen and retained
// too (AWS: "Requesting Python packages from upstreams and external connections").
func TestOpenAsset_AssetAddedUpstream(t *testing.T) {
	h := open(t)
	h.repositories("origin", "middle: origin", "app: middle")
	id := packages.PackageID{Format: packages.PyPI, Name: "lib"}
	h.mustPublish("origin", id, "1.0", "linux.whl", "linux")
	if s, err := h.read("app", id, "1.0", "linux.whl"); s != "linux" || err != nil {
		t.Fatalf("%q, %v", s, err)
	}
	h.mustPublish("origin", id, "1.0", "mac.whl", "mac")
	own := func() string {
		v, err := h.VersionAssets(h.ctx, domain.Repository("app"), id, "1.0")
		h.ok(err)
		var names []string
		for _, a := range v.Assets {
			names = append(names, a.Name)
		}
		return strings.Join(names, " ")
	}
	if p, err := h.Package(h.ctx, domain.Repository("app"), id); err != nil || len(p.Version("1.0").Assets) != 2 || own() != "linux.whl" {
		t.Fatalf("%v, app contains %s", err, own())
	}
	if s, err := h.read("app", id, "1.0", "mac.whl"); s != "mac" || err != nil {
		t.Fatalf("%q, %v", s, err)
	}
	if own() != "linux.whl mac.whl" {
		t.Fatalf("app contains %s", own())
	}
	h.ok(second(h.DeletePackage(h.ctx, domain.Repository("origin"), id)))
	for _, name := range []string{"linux", "mac"} {
		if s, err := h.read("app", id, "1.0", name+".whl"); s != name || err != nil {
			t.Fatalf("%q, %v", s, err)
		}
	}
}

// A version that was published downstream is not mixed with another one of the same
// number upstream, and an archived one gets no assets from there.
func TestPackage_AssetsOfAnotherPublication(t *testing.T) {
	h := open(t)
	h.repositories("origin", "app: origin")
	repo, id := domain.Repository("app"), packages.PackageID{Format: packages.PyPI, Name: "lib"}
	h.mustPublish("app", id, "1.0", "ours.whl", "ours")
	h.mustPublish("origin", id, "1.0", "theirs.whl", "theirs")
	h.ok(h.SetOrigin(h.ctx, repo, id, packages.Origin{Publish: packages.Allow, Upstream: packages.Allow}))
	p, err := h.Package(h.ctx, repo, id)
	h.ok(err)
	if n := len(p.Version("1.0").Assets); n != 1 {
		t.Fatalf("%d assets", n)
	}
	h.ok(second(h.DeletePackage(h.ctx, repo, id)))
	h.ok(second(h.read("app", id, "1.0", "theirs.whl")))
	h.ok(second(h.UpdateVersionsStatus(h.ctx, repo, id, packages.Selection{Versions: []string{"1.0"}}, packages.Archived)))
	h.mustPublish("origin", id, "1.0", "later.whl", "later")
	fails(t, second(h.read("app", id, "1.0", "later.whl")), "ResourceNotFound")
}

// A tag that is set upstream counts before the same tag downstream (AWS: "npm tag
// handling"), also through several repositories, unless its version is hidden.
func TestPackage_UpstreamTags(t *testing.T) {
	h := open(t)
	h.repositories("deep", "right", "left: deep", "app: left right")
	id := npm("lib")
	tag := func(repo, tag, version string) {
		h.ok(h.SetTags(h.ctx, domain.Repository(repo), id, map[string]string{tag: version}, nil))
	}
	is := func(repo, tag, version string) {
		t.Helper()
		p, err := h.Package(h.ctx, domain.Repository(repo), id)
		h.ok(err)
		if p.Tags[tag] != version {
			t.Fatalf("%s of %s is %q, want %q", tag, repo, p.Tags[tag], version)
		}
	}
	h.mustPublish("deep", id, "1.0.0", "a", "1")
	h.ok(second(h.read("app", id, "1.0.0", "a")))
	tag("app", "latest", "1.0.0")
	tag("app", "own", "1.0.0")
	h.mustPublish("right", id, "3.0.0", "a", "3")
	h.mustPublish("deep", id, "2.0.0", "a", "2")
	is("app", "latest", "1.0.0")
	tag("right", "latest", "3.0.0")
	is("app", "latest", "3.0.0")
	tag("deep", "latest", "2.0.0")
	is("app", "latest", "2.0.0")
	is("left", "latest", "2.0.0")
	is("app", "own", "1.0.0")
	h.ok(second(h.read("app", id, "2.0.0", "a")))
	h.ok(second(h.UpdateVersionsStatus(h.ctx, domain.Repository("app"), id, packages.Selection{Versions: []string{"2.0.0"}}, packages.Archived)))
	is("app", "latest", "3.0.0")
}

// A version that is only seen upstream is retained when it is changed, and not for a
// caller who may not see it.
func TestEditMetadata_UpstreamVersion(t *testing.T) {
	h := open(t)
	h.repositories("origin", "app: origin")
	repo, id := domain.Repository("app"), npm("lib")
	h.mustPublish("origin", id, "1.0.0", "a", "1")
	h.mustPublish("origin", id, "2.0.0", "a", "2")
	h.mustPublish("origin", id, "3.0.0", "a", "3")
	deprecate := func(version string, _ json.RawMessage) (json.RawMessage, error) {
		if version == "3.0.0" {
			return nil, nil
		}
		return json.RawMessage(`{"deprecated":"old"}`), nil
	}
	blind := as(t, account, "blind", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"codeartifact:PutPackageMetadata","Resource":"*"}}`)
	fails(t, h.EditMetadata(blind, repo, id, []string{"1.0.0"}, deprecate), "ResourceNotFound")
	fails(t, h.SetTags(blind, repo, id, map[string]string{"old": "1.0.0"}, nil), "ResourceNotFound")
	h.ok(h.EditMetadata(h.ctx, repo, id, []string{"1.0.0", "3.0.0"}, deprecate))
	h.ok(h.SetTags(h.ctx, repo, id, map[string]string{"old": "2.0.0"}, nil))
	p, err := h.Package(h.ctx, repo, id)
	h.ok(err)
	if string(p.Version("1.0.0").Metadata) != `{"deprecated":"old"}` || p.Version("1.0.0").Repository != "app" || p.Tags["old"] != "2.0.0" ||
		p.Version("2.0.0").Repository != "app" || p.Version("3.0.0").Repository != "origin" {
		t.Fatalf("%+v, %v", p.Version("1.0.0"), p.Tags)
	}
	if p, err := h.Package(h.ctx, domain.Repository("origin"), id); err != nil || p.Version("1.0.0").Metadata != nil {
		t.Fatalf("the upstream version changed: %v", err)
	}
	fails(t, h.SetTags(h.ctx, repo, id, map[string]string{"old": "9.0.0"}, nil), "ResourceNotFound")
}

// The fault of a version that origin controls hide names the repository that has it and
// the one that blocks it.
func TestOpenAsset_BlockedUpstream(t *testing.T) {
	h := open(t)
	h.repositories("origin", "middle: origin", "app: middle")
	id := npm("lib")
	h.mustPublish("origin", id, "1.0.0", "a", "1")
	h.ok(h.SetOrigin(h.ctx, domain.Repository("middle"), id, packages.Origin{Publish: packages.Allow, Upstream: packages.Block}))
	for _, err := range []error{
		second(h.read("app", id, "1.0.0", "a")), h.WhyNotVisible(h.ctx, domain.Repository("app"), id, "1.0.0"), second(h.Package(h.ctx, domain.Repository("app"), id)),
	} {
		fails(t, err, "ResourceNotFound")
		if text := err.Error(); !strings.Contains(text, "upstream repository origin") || !strings.Contains(text, "repository middle blocks") {
			t.Fatal(text)
		}
	}
	if err := h.WhyNotVisible(h.ctx, domain.Repository("app"), id, "9.0.0"); strings.Contains(err.Error(), "origin") {
		t.Fatal(err)
	}
}

func TestSearch(t *testing.T) {
	h := open(t)
	h.repositories("origin", "app: origin")
	for name, text := range map[string]string{"left": "pads strings", "right": "pads numbers", "other": ""} {
		h.ok(second(h.publishAs(h.ctx, packages.Publication{Repository: domain.Repository("origin"), Package: npm(name), Version: "1.0.0", Search: text}, "a", name)))
	}
	h.ok(second(h.read("app", npm("right"), "1.0.0", "a"))) // its text stays upstream
	search := func(page packages.SearchPage, word string) string {
		ids, total, err := h.Search(h.ctx, domain.Repository("app"), packages.NPM, page, func(id packages.PackageID, text string) bool {
			return strings.Contains(id.Name+" "+text, word)
		})
		h.ok(err)
		out := fmt.Sprint(total)
		for _, id := range ids {
			out += " " + id.Name
		}
		return out
	}
	all := packages.SearchPage{Size: 10}
	for got, want := range map[string]string{
		search(all, "pads"): "2 left right", search(all, "numbers"): "1 right", search(all, "other"): "1 other", search(all, "none"): "0",
		search(packages.SearchPage{From: 1, Size: 1}, ""): "3 other", // left, other, right
	} {
		if got != want {
			t.Errorf("found %q, want %q", got, want)
		}
	}
}
