package packages_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// copy copies versions of npm's lib from base to store and returns the outcome as text.
func (h *fixture) copy(more func(*packages.Copy), versions ...string) string {
	h.t.Helper()
	c := packages.Copy{Source: domain.Repository("base"), Destination: domain.Repository("store"), Package: npm("lib"), Versions: versions}
	if more != nil {
		more(&c)
	}
	out, err := h.CopyVersions(h.ctx, c)
	h.ok(err)
	var text []string
	for _, v := range slices.Sorted(maps.Keys(out.Successful)) {
		text = append(text, fmt.Sprintf("%s %s", v, out.Successful[v].Status))
	}
	for _, v := range slices.Sorted(maps.Keys(out.Failed)) {
		text = append(text, out.Failed[v].Code+" "+out.Failed[v].Message)
	}
	return strings.Join(text, "; ")
}

func wantText(t testing.TB, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCopyVersions(t *testing.T) {
	h := open(t)
	h.repositories("base", "store")
	id, base, store := npm("lib"), domain.Repository("base"), domain.Repository("store")
	first := h.mustPublish("base", id, "1.0.0", "a", "one")
	h.mustPublish("base", id, "2.0.0", "a", "two")
	h.ok(h.SetTags(h.ctx, base, id, map[string]string{"stable": "1.0.0", "next": "2.0.0"}, nil))
	h.ok(second(h.UpdateVersionsStatus(h.ctx, base, id, packages.Selection{Versions: []string{"2.0.0"}}, packages.Unlisted)))

	wantText(t, h.copy(nil, "1.0.0", "2.0.0"), "1.0.0 Published; 2.0.0 Unlisted")
	p, err := h.Package(h.ctx, store, id)
	h.ok(err)
	v := p.Version("1.0.0")
	if v.Revision != first.Revision || v.EntryPoint != "base" || !v.Published.Equal(first.Published) || p.Tags["stable"] != "1.0.0" {
		t.Errorf("%+v, tags %v", v, p.Tags)
	}
	if got, err := h.read("store", id, "2.0.0", "a"); got != "two" {
		t.Errorf("%q, %v", got, err)
	}
	if d, err := h.DescribePackage(h.ctx, store, id); err != nil || d.Origin != (packages.Origin{Publish: packages.Allow, Upstream: packages.Block}) {
		t.Errorf("%+v, %v", d, err)
	}
	wantText(t, h.copy(nil, "1.0.0", "2.0.0"), "") // what is there already is in neither part
	// A copy is independent of its source.
	h.ok(second(h.DeleteRepository(h.ctx, base)))
	h.runWork()
	if got, err := h.read("store", id, "1.0.0", "a"); got != "one" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestCopyVersions_AllOrNone(t *testing.T) {
	h := open(t)
	h.repositories("base", "store")
	id, base := npm("lib"), domain.Repository("base")
	first := h.mustPublish("base", id, "1.0.0", "a", "one")
	for _, v := range []string{"2.0.0", "3.0.0"} {
		h.mustPublish("base", id, v, "a", v)
	}
	wantText(t, h.copy(nil, "1.0.0", "9.0.0"), "SKIPPED Version 1.0.0 was skipped; NOT_FOUND Could not find version 9.0.0")
	wantText(t, h.versions("store", id), "none")
	fails(t, second(h.DescribePackage(h.ctx, domain.Repository("store"), id)), "ResourceNotFound") // not even an empty package

	h.mustPublish("store", id, "2.0.0", "a", "other bytes")
	wantText(t, h.copy(nil, "2.0.0", "1.0.0"), "SKIPPED Version 1.0.0 was skipped; ALREADY_EXISTS Version 2.0.0 already exists")
	h.ok(h.SetTags(h.ctx, domain.Repository("store"), id, map[string]string{"mine": "2.0.0"}, nil))
	wantText(t, h.copy(func(c *packages.Copy) { c.AllowOverwrite = true }, "2.0.0", "1.0.0"), "1.0.0 Published; 2.0.0 Published")
	if got, err := h.read("store", id, "2.0.0", "a"); got != "2.0.0" {
		t.Errorf("%q, %v", got, err)
	}
	if p, err := h.Package(h.ctx, domain.Repository("store"), id); err != nil || p.Tags["mine"] != "2.0.0" {
		t.Errorf("%v, %v", p.Tags, err)
	}

	revisions := func(r map[string]string) func(*packages.Copy) {
		return func(c *packages.Copy) { c.Revisions = r }
	}
	wantText(t, h.copy(revisions(map[string]string{"1.0.0": "old", "3.0.0": ""})),
		"MISMATCHED_REVISION current revision: "+first.Revision+", expected revision: old; MISMATCHED_REVISION current revision: "+h.revision("base", id, "3.0.0")+", expected revision: ")
	wantText(t, h.copy(revisions(map[string]string{"3.0.0": h.revision("base", id, "3.0.0")})), "3.0.0 Published")
	h.ok(second(h.DisposeVersions(h.ctx, base, id, packages.Selection{Versions: []string{"3.0.0"}})))
	wantText(t, h.copy(nil, "3.0.0"), "NOT_ALLOWED Version 3.0.0 is Disposed: it has no assets any more")
}

func (h *fixture) revision(repo string, id packages.PackageID, version string) string {
	h.t.Helper()
	v, _, err := h.DescribeVersion(h.ctx, domain.Repository(repo), id, version)
	h.ok(err)
	return v.Revision
}

// Metadata make two versions of the same bytes different.
func TestCopyVersions_OtherMetadata(t *testing.T) {
	h := open(t)
	h.repositories("base", "store")
	for repo, metadata := range map[string]string{"base": `{"deprecated":"yes"}`, "store": `{}`} {
		h.ok(second(h.publishAs(h.ctx, packages.Publication{Repository: domain.Repository(repo), Package: npm("lib"), Version: "1.0.0", Metadata: json.RawMessage(metadata)}, "a", "x")))
	}
	wantText(t, h.copy(nil, "1.0.0"), "ALREADY_EXISTS Version 1.0.0 already exists")
}

func TestCopyVersions_FromUpstream(t *testing.T) {
	h := open(t)
	h.repositories("far", "near: far", "base: near", "store")
	id := npm("lib")
	h.mustPublish("far", id, "1.0.0", "a", "far")
	h.mustPublish("near", npm("other"), "1.0.0", "a", "x")
	wantText(t, h.copy(nil, "1.0.0"), "NOT_FOUND Could not find version 1.0.0")
	upstream := func(c *packages.Copy) { c.IncludeFromUpstream = true }
	h.ok(h.SetOrigin(h.ctx, domain.Repository("near"), id, packages.Origin{Publish: packages.Allow, Upstream: packages.Block}))
	wantText(t, h.copy(upstream, "1.0.0"), "NOT_FOUND Could not find version 1.0.0")
	h.ok(h.SetOrigin(h.ctx, domain.Repository("near"), id, packages.Origin{Publish: packages.Allow, Upstream: packages.Allow}))
	sel := packages.Selection{Versions: []string{"1.0.0"}}
	h.ok(second(h.UpdateVersionsStatus(h.ctx, domain.Repository("far"), id, sel, packages.Archived)))
	wantText(t, h.copy(upstream, "1.0.0"), "NOT_FOUND Could not find version 1.0.0")
	h.ok(second(h.UpdateVersionsStatus(h.ctx, domain.Repository("far"), id, sel, packages.Published)))
	wantText(t, h.copy(upstream, "1.0.0"), "1.0.0 Published")
	if got, err := h.read("store", id, "1.0.0", "a"); got != "far" {
		t.Errorf("%q, %v", got, err)
	}
	fails(t, second(h.DescribePackage(h.ctx, domain.Repository("base"), id)), "ResourceNotFound")
}

func TestCopyVersions_Refused(t *testing.T) {
	h := open(t)
	h.repositories("base", "store")
	h.mustPublish("base", npm("lib"), "1.0.0", "a", "x")
	whole := packages.Copy{Source: domain.Repository("base"), Destination: domain.Repository("store"), Package: npm("lib"), Versions: []string{"1.0.0"}}
	for name, c := range map[string]struct {
		code   string
		change func(*packages.Copy)
	}{
		"no versions":       {"Validation", func(c *packages.Copy) { c.Versions = nil }},
		"both":              {"Validation", func(c *packages.Copy) { c.Revisions = map[string]string{"1.0.0": "r"} }},
		"too many":          {"Validation", func(c *packages.Copy) { c.Versions = slices.Repeat([]string{"1.0.0"}, 101) }},
		"itself":            {"Validation", func(c *packages.Copy) { c.Destination = c.Source }},
		"one version twice": {"Validation", func(c *packages.Copy) { c.Versions = []string{"1.0.0", "1.0.0+build"} }},
		"no source":         {"ResourceNotFound", func(c *packages.Copy) { c.Source.Name = "none" }},
		"no destination":    {"ResourceNotFound", func(c *packages.Copy) { c.Destination.Name = "none" }},
		"unknown format":    {"Validation", func(c *packages.Copy) { c.Package.Format = "deb" }},
	} {
		bad := whole
		c.change(&bad)
		_, err := h.CopyVersions(h.ctx, bad)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		fails(t, err, c.code)
	}
	const repositories = "arn:aws:codeartifact:" + region + ":" + account + ":repository/acme/"
	read, write := allow("codeartifact:ReadFromRepository", repositories+"base"), allow("codeartifact:CopyPackageVersions", repositories+"store")
	for _, policy := range []string{read, write} {
		fails(t, second(h.CopyVersions(as(t, account, "half", policy), whole)), "AccessDenied")
	}
	h.ok(second(h.CopyVersions(as(t, account, "both", read, write), whole)))
}

// Clients of cargo take foo-bar and foo_bar for one crate and find its files by one of the
// two names.
func TestCopyVersions_Spelling(t *testing.T) {
	h := open(t)
	h.repositories("base", "store", "other")
	crate := func(name string) packages.PackageID { return packages.PackageID{Format: packages.Cargo, Name: name} }
	h.mustPublish("base", crate("foo_bar"), "1.0.0", "a", "one")
	h.mustPublish("other", crate("foo-bar"), "2.0.0", "a", "two")

	asked := packages.Copy{Source: domain.Repository("base"), Destination: domain.Repository("store"), Package: crate("Foo-Bar"), Versions: []string{"1.0.0"}}
	h.ok(second(h.CopyVersions(h.ctx, asked)))
	if p, err := h.Package(h.ctx, domain.Repository("store"), crate("foo-bar")); err != nil || p.ID.Name != "foo_bar" {
		t.Errorf("the copy of foo_bar is %+v, %v", p, err)
	}
	asked.Destination = domain.Repository("other")
	if out, err := h.CopyVersions(h.ctx, asked); err == nil || fault.From(err).Kind != fault.Conflict {
		t.Errorf("foo_bar was copied into foo-bar: %+v, %v", out, err)
	}
}
