package packages_test

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func TestPublish_ReadBack(t *testing.T) {
	h := open(t)
	h.repositories("store")
	repo := domain.Repository("store")
	id := packages.PackageID{Format: packages.NPM, Namespace: "acme", Name: "lib"}
	v, err := h.publishAs(h.ctx, packages.Publication{
		Repository: repo, Package: id, Version: "1.0.0", Metadata: json.RawMessage(`{"a":1}`), Attributes: json.RawMessage(`{"b":2}`), Tags: []string{"beta"},
		Description: &packages.Description{Summary: "a library", Readme: "read me", Dependencies: []packages.Dependency{{Package: "x", Type: "regular", VersionRequirement: "^1"}}},
	}, "lib-1.0.0.tgz", "hello")
	h.ok(err)
	want := packages.Asset{
		Name: "lib-1.0.0.tgz", Size: 5, MD5: "5d41402abc4b2a76b9719d911017c592", SHA1: "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d",
		SHA256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
		SHA512: "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043",
	}
	got := *v.Asset("lib-1.0.0.tgz")
	if got.Name != want.Name || got.Size != want.Size || got.MD5 != want.MD5 || got.SHA1 != want.SHA1 || got.SHA256 != want.SHA256 || got.SHA512 != want.SHA512 {
		t.Fatalf("asset = %+v", got)
	}
	p, err := h.Package(h.ctx, repo, id)
	h.ok(err)
	if p.ID != id || string(p.Attributes) != `{"b":2}` || p.Tags["beta"] != "1.0.0" || len(p.Versions) != 1 {
		t.Fatalf("package = %+v", p)
	}
	if pv := p.Versions[0]; string(pv.Metadata) != `{"a":1}` || pv.Status != packages.Published || pv.EntryPoint != "store" || pv.Revision != v.Revision {
		t.Fatalf("version = %+v", pv)
	}
	if s, err := h.read("store", id, "1.0.0", "lib-1.0.0.tgz"); s != "hello" || err != nil {
		t.Fatalf("%q, %v", s, err)
	}
	_, d, err := h.DescribeVersion(h.ctx, repo, id, "1.0.0")
	if err != nil || d.Summary != "a library" {
		t.Fatalf("%+v, %v", d, err)
	}
	if _, readme, err := h.VersionReadme(h.ctx, repo, id, "1.0.0"); readme != "read me" || err != nil {
		t.Fatalf("%q, %v", readme, err)
	}
	if _, deps, err := h.VersionDependencies(h.ctx, repo, id, "1.0.0"); len(deps) != 1 || deps[0].Package != "x" || err != nil {
		t.Fatalf("%v, %v", deps, err)
	}
}

// The same asset name and bytes again succeeds, other bytes are a conflict.
func TestPublish_Again(t *testing.T) {
	h := open(t)
	h.repositories("store")
	first := h.mustPublish("store", npm("lib"), "1.0.0", "lib.tgz", "hello")
	again := h.mustPublish("store", npm("lib"), "1.0.0", "lib.tgz", "hello")
	if first.Revision != again.Revision || !first.Published.Equal(again.Published) {
		t.Fatalf("publishing the same changed the version: %+v, then %+v", first, again)
	}
	_, err := h.publish("store", npm("lib"), "1.0.0", "lib.tgz", "other")
	fails(t, err, "Conflict")
	_, err = h.publish("store", npm("lib"), "1.0.0", "more.tgz", "more")
	fails(t, err, "Conflict") // npm's published versions take no more assets
	if s, _ := h.read("store", npm("lib"), "1.0.0", "lib.tgz"); s != "hello" {
		t.Fatalf("content %q", s)
	}
	if n := h.objects(); n != 1 {
		t.Fatalf("%d objects are left; what was refused must go", n)
	}
	// Semantic versions that differ in build metadata are one version.
	_, err = h.publish("store", npm("lib"), "1.0.0+build.7", "lib.tgz", "other")
	fails(t, err, "Conflict")
}

// Two spellings of one crate in an index would be two crates to cargo.
func TestPublish_OtherSpelling(t *testing.T) {
	h := open(t)
	h.repositories("base", "store: base")
	crate := func(name string) packages.PackageID { return packages.PackageID{Format: packages.Cargo, Name: name} }
	h.mustPublish("base", crate("Left-pad"), "1.0.0", "a.crate", "a")
	for _, repo := range []string{"base", "store"} {
		for _, name := range []string{"left-pad", "Left_pad"} {
			_, err := h.publish(repo, crate(name), "1.1.0", "b.crate", "b")
			fails(t, err, "Conflict")
		}
	}
	h.mustPublish("base", crate("Left-pad"), "1.1.0", "b.crate", "b")
	if got := h.versions("store", crate("left_pad")); got != "1.0.0 1.1.0" {
		t.Fatalf("versions = %q", got)
	}
	// Names of other formats have no second spelling, or are stored under one.
	h.mustPublish("store", packages.PackageID{Format: packages.PyPI, Name: "Left-pad"}, "1.0", "a", "a")
	h.mustPublish("store", packages.PackageID{Format: packages.PyPI, Name: "left_pad"}, "1.1", "b", "b")
}

func TestPublish_AddAssets(t *testing.T) {
	h := open(t)
	h.repositories("store")
	id := packages.PackageID{Format: packages.PyPI, Name: "Acme_Lib.Core"}
	h.mustPublish("store", id, "1.0", "a.whl", "wheel")
	h.mustPublish("store", packages.PackageID{Format: packages.PyPI, Name: "acme-lib--core"}, "1.0.0", "a.tar.gz", "sdist")
	p, err := h.Package(h.ctx, domain.Repository("store"), packages.PackageID{Format: packages.PyPI, Name: "ACME.lib.core"})
	h.ok(err)
	if p.ID.Name != "acme-lib-core" || len(p.Versions) != 1 || p.Versions[0].Version != "1.0" || len(p.Versions[0].Assets) != 2 {
		t.Fatalf("package = %+v with %+v", p.ID, p.Versions[0])
	}
	if p.Version("v1.0.0") == nil || p.Version("1.1") != nil {
		t.Fatal("PEP 440 spellings of one version are one version")
	}
	if s, err := h.read("store", id, "1.0", "a.tar.gz"); s != "sdist" || err != nil {
		t.Fatalf("%q, %v", s, err)
	}
}

func TestPublish_Unfinished(t *testing.T) {
	h := open(t)
	h.repositories("store")
	id := packages.PackageID{Format: packages.Generic, Namespace: "ns", Name: "tool"}
	p := packages.Publication{Repository: domain.Repository("store"), Package: id, Version: "1", Status: packages.Unfinished}
	h.ok(second(h.publishAs(h.ctx, p, "a", "A")))
	h.ok(second(h.publishAs(h.ctx, p, "b", "B")))
	if got := h.versions("store", id); got != "" {
		t.Fatalf("an unfinished version is listed: %q", got)
	}
	if s, err := h.read("store", id, "1", "b"); s != "B" || err != nil {
		t.Fatalf("%q, %v", s, err)
	}
	p.Status = packages.Published
	h.ok(second(h.publishAs(h.ctx, p, "a", "A"))) // the same asset finishes the version
	if got := h.versions("store", id); got != "1" {
		t.Fatalf("versions = %q", got)
	}
	p.Status = packages.Unfinished
	_, err := h.publishAs(h.ctx, p, "c", "C")
	fails(t, err, "Conflict")
}

func TestPublish_Refused(t *testing.T) {
	h := open(t)
	h.repositories("store")
	for name, c := range map[string]struct {
		p     packages.Publication
		asset string
		code  string
	}{
		"no version":       {packages.Publication{Package: npm("lib")}, "a", "Validation"},
		"slash in version": {packages.Publication{Package: npm("lib"), Version: "1/2"}, "a", "Validation"},
		"slash in name":    {packages.Publication{Package: npm("li/b"), Version: "1.0.0"}, "a", "Validation"},
		"no name":          {packages.Publication{Package: npm(""), Version: "1.0.0"}, "a", "Validation"},
		"not ASCII":        {packages.Publication{Package: packages.PackageID{Format: packages.PyPI, Name: "foo-é"}, Version: "1"}, "a", "Validation"},
		"ends in a dot":    {packages.Publication{Package: packages.PackageID{Format: packages.PyPI, Name: "foo."}, Version: "1"}, "a", "Validation"},
		"tag":              {packages.Publication{Package: npm("lib"), Version: "1.0.0", Tags: []string{"a b"}}, "a", "Validation"},
		"unknown format":   {packages.Publication{Package: packages.PackageID{Format: "deb", Name: "x"}, Version: "1.0.0"}, "a", "Validation"},
		"asset is a path":  {packages.Publication{Package: npm("lib"), Version: "1.0.0"}, "../a", "Validation"},
		"asset is dots":    {packages.Publication{Package: npm("lib"), Version: "1.0.0"}, "..", "Validation"},
		"status":           {packages.Publication{Package: npm("lib"), Version: "1.0.0", Status: packages.Archived}, "a", "Validation"},
		"repository":       {packages.Publication{Repository: domain.Repository("none"), Package: npm("lib"), Version: "1.0.0"}, "a", "ResourceNotFound"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.p.Repository.Name == "" {
				c.p.Repository = domain.Repository("store")
			}
			_, err := h.publishAs(h.ctx, c.p, c.asset, "x")
			fails(t, err, c.code)
		})
	}
	if n := h.objects(); n != 0 {
		t.Fatalf("%d objects are left behind", n)
	}
}

func TestStage_Limit(t *testing.T) {
	h := open(t)
	h.repositories("store")
	repo := domain.Repository("store")
	s, err := h.Stage(h.ctx, repo, npm("lib"), strings.NewReader("12345"), 5)
	h.ok(err)
	s.Discard()
	s.Discard()
	_, err = h.Stage(h.ctx, repo, npm("lib"), strings.NewReader("123456"), 5)
	fails(t, err, "TooLarge")
	_, err = h.Stage(h.ctx, repo, npm("lib"), io.MultiReader(strings.NewReader("123"), iotest.ErrReader(errBroken)), 5)
	fails(t, err, "Validation")
	if n := h.objects(); n != 0 {
		t.Fatalf("%d objects are left behind", n)
	}
}

func TestPublish_StagedOnce(t *testing.T) {
	h := open(t)
	h.repositories("store")
	repo := domain.Repository("store")
	s, err := h.Stage(h.ctx, repo, npm("lib"), strings.NewReader("x"), 5)
	h.ok(err)
	p := packages.Publication{Repository: repo, Package: npm("lib"), Version: "1.0.0", Assets: []packages.StagedAsset{{Name: "a", Content: s}}}
	h.ok(second(h.Publish(h.ctx, p)))
	p.Version = "2.0.0"
	fails(t, second(h.Publish(h.ctx, p)), "InternalError")

	old, err := h.Stage(h.ctx, repo, npm("lib"), strings.NewReader("y"), 5)
	h.ok(err)
	h.pass(25 * time.Hour)
	p.Assets[0].Content = old
	fails(t, second(h.Publish(h.ctx, p)), "Validation")
	if n := h.objects(); n != 1 {
		t.Fatalf("%d objects", n)
	}
}

func TestSetTags(t *testing.T) {
	h := open(t)
	h.repositories("store")
	repo, id := domain.Repository("store"), npm("lib")
	tags := func() map[string]string {
		p, err := h.Package(h.ctx, repo, id)
		h.ok(err)
		return p.Tags
	}
	h.mustPublish("store", id, "1.10.0", "a", "1")
	h.mustPublish("store", id, "2.0.0-rc.1", "a", "2")
	h.mustPublish("store", id, "1.9.0", "a", "3")
	if got := tags()["latest"]; got != "1.10.0" {
		t.Fatalf("latest = %q, want the highest release", got)
	}
	h.ok(h.SetTags(h.ctx, repo, id, map[string]string{"latest": "1.9.0", "next": "2.0.0-rc.1"}, nil))
	if got := tags(); got["latest"] != "1.9.0" || got["next"] != "2.0.0-rc.1" {
		t.Fatalf("tags = %v", got)
	}
	fails(t, h.SetTags(h.ctx, repo, id, map[string]string{"old": "0.1.0"}, nil), "ResourceNotFound")
	h.ok(h.SetTags(h.ctx, repo, id, nil, []string{"next", "never"}))
	h.ok(h.DeleteVersions(h.ctx, repo, id, []string{"1.9.0"}))
	if got := tags(); len(got) != 1 || got["latest"] != "1.10.0" {
		t.Fatalf("tags = %v: those of a deleted version go with it", got)
	}
	fails(t, h.SetTags(h.ctx, repo, npm("none"), nil, []string{"x"}), "ResourceNotFound")
}

func TestEditMetadata(t *testing.T) {
	h := open(t)
	h.repositories("store")
	repo, id := domain.Repository("store"), npm("lib")
	before := h.mustPublish("store", id, "1.0.0", "a", "1")
	h.mustPublish("store", id, "2.0.0", "a", "2")
	p1, err := h.Package(h.ctx, repo, id)
	h.ok(err)
	set := func(metadata string) func(string, json.RawMessage) (json.RawMessage, error) {
		return func(string, json.RawMessage) (json.RawMessage, error) { return json.RawMessage(metadata), nil }
	}
	h.ok(h.EditMetadata(h.ctx, repo, id, []string{"1.0.0"}, set(`{"deprecated":"old"}`)))
	p2, err := h.Package(h.ctx, repo, id)
	h.ok(err)
	if string(p2.Version("1.0.0").Metadata) != `{"deprecated":"old"}` {
		t.Fatalf("%s", p2.Version("1.0.0").Metadata)
	}
	if p1.Revision == p2.Revision || before.Revision == p2.Version("1.0.0").Revision {
		t.Fatal("a change leaves the revision as it was")
	}
	if p1.Version("1.0.0").Metadata != nil {
		t.Fatal("what was returned before changed")
	}
	if p1.Version("2.0.0") != p2.Version("2.0.0") {
		t.Fatal("what did not change was read again")
	}
	err = h.EditMetadata(h.ctx, repo, id, []string{"1.0.0", "3.0.0"}, set(`{}`))
	fails(t, err, "ResourceNotFound")
	p3, err := h.Package(h.ctx, repo, id)
	h.ok(err)
	if p3.Revision != p2.Revision {
		t.Fatal("what failed left a change behind")
	}
	h.ok(h.EditMetadata(h.ctx, repo, id, []string{"1.0.0"}, func(_ string, old json.RawMessage) (json.RawMessage, error) {
		if string(old) != `{"deprecated":"old"}` {
			t.Errorf("the old metadata are %s", old)
		}
		return nil, nil
	}))
	if p4, err := h.Package(h.ctx, repo, id); err != nil || p4.Revision != p2.Revision {
		t.Fatalf("an edit without a change changed the package: %v", err)
	}
}

// The same bytes with another tag set the tag, as npm dist-tag does.
func TestPublish_SameBytesOtherTag(t *testing.T) {
	h := open(t)
	h.repositories("store")
	repo, id := domain.Repository("store"), npm("lib")
	tagged := func(tag string) packages.Publication {
		return packages.Publication{Repository: repo, Package: id, Version: "1.0.0", Tags: []string{tag}}
	}
	h.ok(second(h.publishAs(h.ctx, tagged("latest"), "a", "1")))
	h.ok(second(h.publishAs(h.ctx, tagged("beta"), "a", "1")))
	p, err := h.Package(h.ctx, repo, id)
	h.ok(err)
	if p.Tags["beta"] != "1.0.0" || p.Tags["latest"] != "1.0.0" {
		t.Fatal(p.Tags)
	}
	publisher := as(t, account, "publisher", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"codeartifact:PublishPackageVersion","Resource":"*"}}`)
	h.ok(second(h.publishAs(publisher, tagged("beta"), "a", "1"))) // nothing to change
	fails(t, second(h.publishAs(publisher, tagged("other"), "a", "1")), "AccessDenied")
	h.ok(second(h.UpdateVersionsStatus(h.ctx, repo, id, packages.Selection{Versions: []string{"1.0.0"}}, packages.Unlisted)))
	fails(t, second(h.publishAs(h.ctx, tagged("other"), "a", "1")), "Conflict")
}

// Sidecars are served, and are no assets for the API or the quota.
func TestPublish_Sidecar(t *testing.T) {
	h := open(t)
	h.repositories("origin", "app: origin")
	repo, id := domain.Repository("origin"), packages.PackageID{Format: packages.PyPI, Name: "lib"}
	stage := func(content string) *packages.Staged {
		c, err := h.Stage(h.ctx, repo, id, strings.NewReader(content), 1<<20)
		h.ok(err)
		return c
	}
	wheel, about := stage("wheel"), stage("about")
	var assets []packages.StagedAsset
	for i := range 350 {
		name := fmt.Sprintf("lib-1.0-%d-py3-none-any.whl", i)
		assets = append(assets, packages.StagedAsset{Name: name + ".metadata", Beside: name, Content: about}, packages.StagedAsset{Name: name, Content: wheel})
	}
	h.ok(second(h.Publish(h.ctx, packages.Publication{Repository: repo, Package: id, Version: "1.0", Assets: assets})))
	fails(t, second(h.publish("origin", id, "1.0", "one-more.whl", "x")), "ServiceQuotaExceeded")
	v, err := h.VersionAssets(h.ctx, repo, id, "1.0")
	h.ok(err)
	if len(v.Assets) != 350 || len(v.Sidecars) != 350 {
		t.Fatalf("%d assets, %d sidecars", len(v.Assets), len(v.Sidecars))
	}
	const name = "lib-1.0-7-py3-none-any.whl.metadata"
	_, _, _, err = h.GetAsset(h.ctx, repo, id, "1.0", "", name)
	fails(t, err, "ResourceNotFound")
	for _, from := range []string{"origin", "app"} {
		if s, err := h.read(from, id, "1.0", name); s != "about" || err != nil {
			t.Fatalf("%s: %q, %v", from, s, err)
		}
	}
	c := stage("x")
	fails(t, second(h.Publish(h.ctx, packages.Publication{Repository: repo, Package: id, Version: "2.0", Assets: []packages.StagedAsset{{Name: "a.metadata", Beside: "a", Content: c}}})), "Validation")
}

// A NuGet package is sealed, but its symbols are pushed after it. npm's are sealed whole.
func TestPublish_LateSidecar(t *testing.T) {
	h := open(t)
	h.repositories("store")
	repo := domain.Repository("store")
	late := func(id packages.PackageID, beside, name string) error {
		c, err := h.Stage(h.ctx, repo, id, strings.NewReader(name), 1<<20)
		h.ok(err)
		return second(h.Publish(h.ctx, packages.Publication{Repository: repo, Package: id, Version: "1.0.0", Assets: []packages.StagedAsset{{Name: name, Beside: beside, Content: c}}}))
	}
	lib := packages.PackageID{Format: packages.NuGet, Name: "Acme.Lib"}
	before := h.mustPublish("store", lib, "1.0.0", "acme.lib.1.0.0.nupkg", "package")
	h.ok(late(lib, "acme.lib.1.0.0.nupkg", "acme.lib.1.0.0.snupkg"))
	v, err := h.VersionAssets(h.ctx, repo, lib, "1.0.0")
	h.ok(err)
	if len(v.Assets) != 1 || len(v.Sidecars) != 1 || v.Revision == before.Revision {
		t.Fatalf("version %+v", v)
	}
	fails(t, late(lib, "missing.nupkg", "other.snupkg"), "Validation")
	fails(t, late(lib, "acme.lib.1.0.0.snupkg", "other.snupkg"), "Validation") // not an asset
	fails(t, second(h.publish("store", lib, "1.0.0", "second.nupkg", "x")), "Conflict")
	h.mustPublish("store", npm("lib"), "1.0.0", "lib.tgz", "package")
	fails(t, late(npm("lib"), "lib.tgz", "lib.sidecar"), "Conflict")
}
