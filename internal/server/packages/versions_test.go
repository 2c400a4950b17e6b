package packages_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func TestPackage_WithUnlisted(t *testing.T) {
	h := open(t)
	h.repositories("store")
	repo, id := domain.Repository("store"), packages.PackageID{Format: packages.Cargo, Name: "left"}
	for _, v := range []string{"1.0.0", "3.0.0-rc.1", "2.0.0", "1.0.1"} {
		h.mustPublish("store", id, v, "left.crate", v)
	}
	check := func(all, highest string) {
		t.Helper()
		p, err := h.Package(h.ctx, repo, id)
		h.ok(err)
		var got []string
		for _, v := range p.WithUnlisted() {
			got = append(got, v.Version)
		}
		best := ""
		if v := p.Highest(); v != nil {
			best = v.Version
		}
		if strings.Join(got, " ") != all || best != highest {
			t.Fatalf("WithUnlisted: %v, Highest: %q; want %s, %s", got, best, all, highest)
		}
	}
	set := func(target packages.Status, versions ...string) {
		t.Helper()
		_, err := h.UpdateVersionsStatus(h.ctx, repo, id, packages.Selection{Versions: versions}, target)
		h.ok(err)
	}
	check("1.0.0 3.0.0-rc.1 2.0.0 1.0.1", "2.0.0")
	set(packages.Unlisted, "2.0.0")
	check("1.0.0 3.0.0-rc.1 2.0.0 1.0.1", "1.0.1")
	set(packages.Archived, "1.0.0")
	check("3.0.0-rc.1 2.0.0 1.0.1", "1.0.1")
	set(packages.Unlisted, "1.0.1", "3.0.0-rc.1")
	check("3.0.0-rc.1 2.0.0 1.0.1", "")
}

func TestUpdateVersionsStatus(t *testing.T) {
	h := open(t)
	h.repositories("base", "store: base")
	repo, id := domain.Repository("store"), npm("lib")
	for _, v := range []string{"1.0.0", "2.0.0", "3.0.0"} {
		h.mustPublish("store", id, v, "a", v)
	}
	h.mustPublish("base", id, "4.0.0", "a", "4")
	set := func(version string, target packages.Status) packages.Outcome {
		t.Helper()
		out, err := h.UpdateVersionsStatus(h.ctx, repo, id, packages.Selection{Versions: []string{version}}, target)
		h.ok(err)
		return out
	}

	// Unlisted can be downloaded and is not listed.
	set("3.0.0", packages.Unlisted)
	if got := h.versions("store", id); got != "1.0.0 2.0.0" {
		t.Fatalf("versions = %q", got)
	}
	if s, err := h.read("store", id, "3.0.0", "a"); s != "3.0.0" || err != nil {
		t.Fatalf("%q, %v", s, err)
	}
	fails(t, h.SetTags(h.ctx, repo, id, map[string]string{"x": "3.0.0"}, nil), "Conflict")

	// Archived cannot be downloaded, and can come back.
	set("2.0.0", packages.Archived)
	_, err := h.read("store", id, "2.0.0", "a")
	fails(t, err, "ResourceNotFound")
	_, _, _, err = h.GetAsset(h.ctx, repo, id, "2.0.0", "", "a")
	fails(t, err, "Conflict")
	set("2.0.0", packages.Published)
	if s, err := h.read("store", id, "2.0.0", "a"); s != "2.0.0" || err != nil {
		t.Fatalf("%q, %v", s, err)
	}

	// Disposed loses its assets for good.
	out, err := h.DisposeVersions(h.ctx, repo, id, packages.Selection{Versions: []string{"2.0.0"}})
	if err != nil || out.Successful["2.0.0"].Status != packages.Disposed {
		t.Fatalf("%+v, %v", out, err)
	}
	if out := set("2.0.0", packages.Published); out.Failed["2.0.0"].Code != "NOT_ALLOWED" {
		t.Fatalf("%+v", out)
	}
	v, err := h.VersionAssets(h.ctx, repo, id, "2.0.0")
	if err != nil || len(v.Assets) != 0 || v.Status != packages.Disposed {
		t.Fatalf("%+v, %v", v, err)
	}
	_, err = h.publish("store", id, "2.0.0", "a", "again")
	fails(t, err, "Conflict")

	// Deleted may be published again.
	h.ok(h.DeleteVersions(h.ctx, repo, id, []string{"2.0.0"}))
	h.mustPublish("store", id, "2.0.0", "a", "again")
	if s, err := h.read("store", id, "2.0.0", "a"); s != "again" || err != nil {
		t.Fatalf("%q, %v", s, err)
	}

	// No version can be made Unfinished, Disposed or Deleted so.
	for _, target := range []packages.Status{packages.Unfinished, packages.Disposed, packages.Deleted, ""} {
		_, err := h.UpdateVersionsStatus(h.ctx, repo, id, packages.Selection{Versions: []string{"1.0.0"}}, target)
		fails(t, err, "Validation")
	}
}

// An archived version does not shine through from upstream.
func TestPackage_HiddenVersionHidesUpstream(t *testing.T) {
	h := open(t)
	h.repositories("base", "store: base")
	h.mustPublish("base", npm("lib"), "1.0.0", "a", "x")
	_, err := h.read("store", npm("lib"), "1.0.0", "a") // retained
	h.ok(err)
	_, err = h.UpdateVersionsStatus(h.ctx, domain.Repository("store"), npm("lib"), packages.Selection{Versions: []string{"1.0.0"}}, packages.Archived)
	h.ok(err)
	if got := h.versions("store", npm("lib")); got != "" {
		t.Fatalf("versions = %q", got)
	}
	_, err = h.read("store", npm("lib"), "1.0.0", "a")
	fails(t, err, "ResourceNotFound")
}

func TestUpdateVersionsStatus_Selection(t *testing.T) {
	h := open(t)
	h.repositories("store")
	repo, id := domain.Repository("store"), npm("lib")
	a := h.mustPublish("store", id, "1.0.0", "a", "1")
	h.mustPublish("store", id, "2.0.0", "a", "2")
	h.mustPublish("store", id, "3.0.0", "a", "3")
	// If one version cannot be changed, none is.
	sel := packages.Selection{
		Versions:  []string{"1.0.0", "2.0.0", "3.0.0", "4.0.0"},
		Revisions: map[string]string{"1.0.0": a.Revision, "2.0.0": "another"},
		Expected:  packages.Published,
	}
	out, err := h.UpdateVersionsStatus(h.ctx, repo, id, sel, packages.Unlisted)
	h.ok(err)
	if len(out.Successful) != 0 || out.Failed["1.0.0"].Code != "SKIPPED" || out.Failed["3.0.0"].Message != "version 3.0.0 is skipped" ||
		out.Failed["2.0.0"].Code != "MISMATCHED_REVISION" || !strings.HasSuffix(out.Failed["2.0.0"].Message, "expected revision: another") || out.Failed["4.0.0"].Code != "NOT_FOUND" {
		t.Fatalf("%+v", out)
	}
	if got := h.versions("store", id); got != "1.0.0 2.0.0 3.0.0" {
		t.Fatalf("versions = %q", got)
	}
	sel.Versions, sel.Revisions["2.0.0"] = []string{"1.0.0", "3.0.0"}, ""
	out, err = h.UpdateVersionsStatus(h.ctx, repo, id, sel, packages.Unlisted)
	h.ok(err)
	if len(out.Successful) != 2 || out.Successful["1.0.0"].Status != packages.Unlisted || out.Successful["1.0.0"].Revision == a.Revision {
		t.Fatalf("%+v", out)
	}
	if out, err = h.UpdateVersionsStatus(h.ctx, repo, id, sel, packages.Archived); err != nil || out.Failed["1.0.0"].Message != "current status: Unlisted, expected status: Published" && out.Failed["1.0.0"].Code != "MISMATCHED_REVISION" {
		t.Fatalf("%+v, %v", out, err)
	}
	del, err := h.DeleteSelectedVersions(h.ctx, repo, id, packages.Selection{Versions: []string{"1.0.0", "2.0.0"}, Expected: packages.Published})
	h.ok(err)
	if del.Failed["1.0.0"].Code != "MISMATCHED_STATUS" || del.Successful["2.0.0"].Status != packages.Deleted {
		t.Fatalf("%+v", del)
	}
	// All or none.
	fails(t, h.DeleteVersions(h.ctx, repo, id, []string{"3.0.0", "9.0.0"}), "ResourceNotFound")
	if left, err := h.ListVersions(h.ctx, repo, id); err != nil || len(left.All) != 2 {
		t.Fatalf("%+v, %v", left, err)
	}
	_, err = h.DeleteSelectedVersions(h.ctx, repo, id, packages.Selection{})
	fails(t, err, "Validation")
	_, err = h.DeleteSelectedVersions(h.ctx, repo, id, packages.Selection{Versions: make([]string, 101)})
	fails(t, err, "Validation")
	// The package stays, with its origin configuration.
	h.ok(h.DeleteVersions(h.ctx, repo, id, []string{"3.0.0", "1.0.0"}))
	o, err := h.DescribePackage(h.ctx, repo, id)
	if err != nil || o.Origin.Upstream != packages.Block {
		t.Fatalf("%+v, %v", o, err)
	}
	h.ok(second(h.DeletePackage(h.ctx, repo, id)))
	fails(t, second(h.DescribePackage(h.ctx, repo, id)), "ResourceNotFound")
	fails(t, second(h.DeletePackage(h.ctx, repo, id)), "ResourceNotFound")
}

// Read and list operations of the API do not look upstream.
func TestListing_OwnVersionsOnly(t *testing.T) {
	h := open(t)
	h.repositories("base", "store: base")
	repo, id := domain.Repository("store"), npm("lib")
	h.mustPublish("base", id, "1.0.0", "a", "x")
	fails(t, second(h.DescribePackage(h.ctx, repo, id)), "ResourceNotFound")
	fails(t, second(h.ListVersions(h.ctx, repo, id)), "ResourceNotFound")
	fails(t, second(h.VersionAssets(h.ctx, repo, id, "1.0.0")), "ResourceNotFound")
	_, _, _, err := h.GetAsset(h.ctx, repo, id, "1.0.0", "", "a")
	fails(t, err, "ResourceNotFound")
	page, more, err := h.ListPackages(h.ctx, repo, packages.PackageFilter{}, packages.PackageID{}, 10)
	if err != nil || more || len(page) != 0 {
		t.Fatalf("%v %v %v", page, more, err)
	}
}

func TestListPackages(t *testing.T) {
	h := open(t)
	h.repositories("store")
	repo := domain.Repository("store")
	for _, id := range []packages.PackageID{
		npm("b"), npm("a"),
		{Format: packages.NPM, Namespace: "acme", Name: "z"},
		{Format: packages.NPM, Namespace: "acorn", Name: "y"},
		{Format: packages.PyPI, Name: "a-py"},
		{Format: packages.Generic, Namespace: "g", Name: "tool"},
	} {
		h.mustPublish("store", id, "1.0.0", "a", "x")
	}
	h.ok(h.SetOrigin(h.ctx, repo, npm("b"), packages.Origin{Publish: packages.Block, Upstream: packages.Allow}))
	list := func(f packages.PackageFilter, limit int) (out []string) {
		var after packages.PackageID
		for {
			page, more, err := h.ListPackages(h.ctx, repo, f, after, limit)
			h.ok(err)
			for _, p := range page {
				out = append(out, fmt.Sprintf("%s/%s/%s", p.ID.Format, p.ID.Namespace, p.ID.Name))
				after = p.ID
			}
			if !more {
				return out
			}
		}
	}
	all := "[generic/g/tool npm//a npm//b npm/acme/z npm/acorn/y pypi//a-py]"
	for limit := 1; limit < 8; limit++ {
		if got := fmt.Sprint(list(packages.PackageFilter{}, limit)); got != all {
			t.Fatalf("limit %d: %s", limit, got)
		}
	}
	for want, f := range map[string]packages.PackageFilter{
		"[npm//a npm//b npm/acme/z npm/acorn/y]": {Format: packages.NPM},
		"[npm/acme/z npm/acorn/y]":               {NamespacePrefix: "ac"},
		"[npm//a pypi//a-py]":                    {NamePrefix: "a"},
		"[npm//b]":                               {Publish: packages.Block, Upstream: packages.Allow},
	} {
		if got := fmt.Sprint(list(f, 2)); got != want {
			t.Errorf("%+v: %s, want %s", f, got, want)
		}
	}
}

func TestListVersions_Default(t *testing.T) {
	h := open(t)
	h.repositories("store")
	repo, id := domain.Repository("store"), npm("lib")
	def := func() string {
		v, err := h.ListVersions(h.ctx, repo, id)
		h.ok(err)
		return v.Default
	}
	h.mustPublish("store", id, "2.0.0", "a", "1")
	h.mustPublish("store", id, "1.0.1", "a", "2")
	if got := def(); got != "1.0.1" {
		t.Fatalf("default = %q, want the one published last", got)
	}
	h.ok(h.SetTags(h.ctx, repo, id, map[string]string{"latest": "2.0.0"}, nil))
	if got := def(); got != "2.0.0" {
		t.Fatalf("default = %q, want the one tagged latest", got)
	}
}

// The bytes of an asset are stored once a domain, and go with the last use.
func TestSweep_SharedContent(t *testing.T) {
	h := open(t)
	h.repositories("one", "two")
	size := func() int64 {
		d, err := h.DescribeDomain(h.ctx, domain)
		h.ok(err)
		return d.AssetBytes
	}
	h.mustPublish("one", npm("lib"), "1.0.0", "a", "hello")
	h.mustPublish("two", npm("other"), "1.0.0", "b", "hello")
	if h.objects() != 1 || size() != 5 {
		t.Fatalf("%d objects, %d bytes", h.objects(), size())
	}
	h.ok(second(h.DeletePackage(h.ctx, domain.Repository("one"), npm("lib"))))
	h.pass(time.Hour)
	h.runWork()
	if s, err := h.read("two", npm("other"), "1.0.0", "b"); s != "hello" || err != nil {
		t.Fatalf("%q, %v", s, err)
	}
	h.ok(second(h.DeleteRepository(h.ctx, domain.Repository("two"))))
	if size() != 0 {
		t.Fatalf("%d bytes", size())
	}
	h.runWork()
	if h.objects() != 1 {
		t.Fatal("who just began to read must still find the object")
	}
	h.pass(time.Hour)
	h.runWork()
	if h.objects() != 0 {
		t.Fatalf("%d objects are left", h.objects())
	}
	h.mustPublish("one", npm("lib"), "1.0.0", "a", "hello")
	if s, err := h.read("one", npm("lib"), "1.0.0", "a"); s != "hello" || err != nil {
		t.Fatalf("%q, %v", s, err)
	}
}
