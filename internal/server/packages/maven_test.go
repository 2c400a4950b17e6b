package packages_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func maven(name string) packages.PackageID {
	return packages.PackageID{Format: packages.Maven, Namespace: "com.acme", Name: name}
}

// put adds a file to a version, as Maven's clients publish.
func (h *fixture) put(repo string, id packages.PackageID, version, asset, content string) error {
	h.t.Helper()
	_, err := h.publishAs(h.ctx, packages.Publication{Repository: domain.Repository(repo), Package: id, Version: version, Status: packages.Unfinished}, asset, content)
	return err
}

// states are all versions with their status, the oldest first.
func (h *fixture) states(repo string, id packages.PackageID) string {
	h.t.Helper()
	all, err := h.ListVersions(h.ctx, domain.Repository(repo), id)
	h.ok(err)
	var out []string
	for _, v := range all.All {
		out = append(out, v.Version+"="+string(v.Status))
	}
	return strings.Join(out, " ")
}

func (h *fixture) assets(repo string, id packages.PackageID, version string) string {
	h.t.Helper()
	v, err := h.VersionAssets(h.ctx, domain.Repository(repo), id, version)
	h.ok(err)
	var out []string
	for _, a := range v.Assets {
		out = append(out, a.Name)
	}
	return strings.Join(out, " ")
}

func TestFinish_Release(t *testing.T) {
	h := open(t)
	h.repositories("store")
	repo, id := domain.Repository("store"), maven("app")
	h.ok(h.put("store", id, "1.0", "app-1.0.jar", "jar"))
	h.ok(h.put("store", id, "1.0", "app-1.0.pom", "pom"))
	if got := h.versions("store", id); got != "" {
		t.Fatalf("listed before it is finished: %s", got)
	}
	// A version that is not there is not an error: the client lists those upstream, too.
	h.ok(h.Finish(h.ctx, repo, id, []string{"0.9", "1.0"}))
	if got := h.versions("store", id); got != "1.0" {
		t.Fatalf("versions = %q", got)
	}
	// More files may come, and the version stays Published.
	h.ok(h.put("store", id, "1.0", "app-1.0-sources.jar", "sources"))
	if got := h.states("store", id); got != "1.0=Published" {
		t.Fatal(got)
	}
	h.ok(h.put("store", id, "1.0", "app-1.0.jar", "jar"))
	fails(t, h.put("store", id, "1.0", "app-1.0.jar", "other"), "Conflict")

	// What the status says otherwise, Finish leaves.
	_, err := h.UpdateVersionsStatus(h.ctx, repo, id, packages.Selection{Versions: []string{"1.0"}}, packages.Unlisted)
	h.ok(err)
	h.ok(h.Finish(h.ctx, repo, id, []string{"1.0"}))
	if got := h.states("store", id); got != "1.0=Unlisted" {
		t.Fatal(got)
	}
}

func TestFinish_NeedsPermission(t *testing.T) {
	h := open(t)
	h.repositories("store")
	h.ok(h.put("store", maven("app"), "1.0", "app-1.0.pom", "pom"))
	publisher := as(t, account, "p", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"codeartifact:PublishPackageVersion","Resource":"*"}}`)
	fails(t, h.Finish(publisher, domain.Repository("store"), maven("app"), []string{"1.0"}), "AccessDenied")
	if got := h.states("store", maven("app")); got != "1.0=Unfinished" {
		t.Fatal(got)
	}
}

func TestFinish_Snapshot(t *testing.T) {
	h := open(t)
	h.repositories("store")
	repo, id := domain.Repository("store"), maven("app")
	build := func(version string, files ...string) {
		t.Helper()
		for _, f := range files {
			h.ok(h.put("store", id, version, "app-"+version+f, version+f))
		}
		h.ok(h.Finish(h.ctx, repo, id, []string{version}))
		h.pass(time.Second)
	}
	const one, two = "1.1-20261129.234155-1", "1.1-20261129.234200-2"
	build(one, ".jar", ".pom")
	if got := h.states("store", id); !strings.Contains(got, one+"=Unlisted") || !strings.Contains(got, "1.1-SNAPSHOT=Published") {
		t.Fatal(got)
	}
	build(two, ".pom")
	if got := h.assets("store", id, "1.1-SNAPSHOT"); got != "app-"+two+".pom" {
		t.Fatal(got)
	}
	// A file of the newest build that comes late is one of the snapshot.
	h.ok(h.put("store", id, two, "app-"+two+".jar", "late"))
	if got := h.assets("store", id, "1.1-SNAPSHOT"); got != "app-"+two+".jar app-"+two+".pom" {
		t.Fatal(got)
	}
	// A build that was begun earlier and finished later does not replace it.
	build("1.1-20261129.234159-2", ".pom")
	h.ok(h.put("store", id, one, "app-"+one+"-sources.jar", "late"))
	if got := h.assets("store", id, "1.1-SNAPSHOT"); got != "app-"+two+".jar app-"+two+".pom" {
		t.Fatal(got)
	}
	if got := h.versions("store", id); got != "1.1-SNAPSHOT" {
		t.Fatal(got)
	}
	// Earlier builds can be downloaded.
	if s, err := h.read("store", id, one, "app-"+one+".jar"); s != one+".jar" || err != nil {
		t.Fatalf("%q, %v", s, err)
	}
	// An archived snapshot stays archived.
	_, err := h.UpdateVersionsStatus(h.ctx, repo, id, packages.Selection{Versions: []string{"1.1-SNAPSHOT"}}, packages.Archived)
	h.ok(err)
	build("1.1-20261130.000000-3", ".pom")
	if got := h.versions("store", id); got != "" {
		t.Fatal(got)
	}
}

func TestPublish_SnapshotUpstream(t *testing.T) {
	h := open(t)
	h.repositories("base", "store: base")
	id := maven("app")
	h.ok(h.put("base", id, "1.1-20261129.234155-1", "app.pom", "pom"))
	h.ok(h.Finish(h.ctx, domain.Repository("base"), id, []string{"1.1-20261129.234155-1"}))
	// Another build of the snapshot is the same version for clients.
	fails(t, h.put("store", id, "1.1-20261129.234156-2", "app.pom", "pom"), "Conflict")
	h.ok(h.put("store", id, "1.2-20261129.234156-1", "app.pom", "pom"))
}

// TestOpenAsset_UnfinishedUpstream reads a file of a version that is not finished
// through another repository. It must be listed there when it is finished.
func TestOpenAsset_UnfinishedUpstream(t *testing.T) {
	h := open(t)
	h.repositories("base", "store: base")
	id := maven("app")
	h.ok(h.put("base", id, "1.0", "app-1.0.pom", "pom"))
	if s, err := h.read("store", id, "1.0", "app-1.0.pom"); s != "pom" || err != nil {
		t.Fatalf("%q, %v", s, err)
	}
	h.ok(h.Finish(h.ctx, domain.Repository("base"), id, []string{"1.0"}))
	if got := h.versions("store", id); got != "1.0" {
		t.Fatalf("versions = %q", got)
	}
}

// TestFinish_Concurrent publishes many versions at once, each with several files.
func TestFinish_Concurrent(t *testing.T) {
	h := open(t)
	h.repositories("store")
	repo, id := domain.Repository("store"), maven("app")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			version := fmt.Sprintf("1.%d", i)
			var files sync.WaitGroup
			for _, f := range []string{".jar", ".pom", "-sources.jar"} {
				files.Go(func() {
					if err := h.put("store", id, version, "app-"+version+f, version+f); err != nil {
						t.Error(err)
					}
				})
			}
			files.Wait()
			if err := h.Finish(h.ctx, repo, id, []string{version}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got := strings.Fields(h.versions("store", id))
	slices.Sort(got)
	if want := "1.0 1.1 1.2 1.3 1.4 1.5 1.6 1.7"; strings.Join(got, " ") != want {
		t.Fatalf("versions = %q, want %q", got, want)
	}
	for _, v := range got {
		if n := len(strings.Fields(h.assets("store", id, v))); n != 3 {
			t.Errorf("%s has %d files", v, n)
		}
	}
}

func TestPackagesIn(t *testing.T) {
	h := open(t)
	h.repositories("base", "store: base")
	names := func() string {
		t.Helper()
		all, err := h.PackagesIn(h.ctx, domain.Repository("store"), packages.Maven, "com.acme")
		h.ok(err)
		var out []string
		for _, p := range all {
			out = append(out, p.ID.Name+string(p.Attributes))
		}
		return strings.Join(out, " ")
	}
	if got := names(); got != "" {
		t.Fatal(got)
	}
	h.ok(h.put("base", maven("b"), "1", "b.pom", "b"))
	h.ok(h.put("store", maven("a"), "1", "a.pom", "a"))
	h.ok(h.put("store", packages.PackageID{Format: packages.Maven, Namespace: "com", Name: "acme"}, "1", "acme.pom", "a"))
	if got := names(); got != "a b" {
		t.Fatal(got)
	}
	_, err := h.publishAs(h.ctx, packages.Publication{Repository: domain.Repository("base"), Package: maven("b"), Version: "2", Attributes: []byte(`{"x":1}`)}, "b.pom", "b2")
	h.ok(err)
	if got := names(); got != `a b{"x":1}` {
		t.Fatal(got)
	}
	_, err = h.DeletePackage(h.ctx, domain.Repository("store"), maven("a"))
	h.ok(err)
	if got := names(); got != `b{"x":1}` {
		t.Fatal(got)
	}
	nobody := as(t, account, "n")
	_, err = h.PackagesIn(nobody, domain.Repository("store"), packages.Maven, "com.acme")
	fails(t, err, "AccessDenied")
}

func TestParseMavenBuild(t *testing.T) {
	for _, c := range []struct{ version, snapshot string }{
		{"1.1-20261129.234155-1", "1.1-SNAPSHOT"},
		{"20261129.234155-12", "SNAPSHOT"},
		{"1.1-rc-20261129.234155-1", "1.1-rc-SNAPSHOT"},
		{"-20261129.234155-1", "-SNAPSHOT"},
	} {
		b, ok := packages.ParseMavenBuild(c.version)
		if !ok || b.Snapshot() != c.snapshot || fmt.Sprintf("%s%s-%d", b.Base, b.Timestamp, b.Number) != c.version {
			t.Errorf("%s: %+v, %v", c.version, b, ok)
		}
	}
	for _, version := range []string{"", "1.1", "1.1-SNAPSHOT", "1.1-20261129.234155", "1.120261129.234155-1", "1.1-20261129.234155-01", "1.1-20261129.234155-9999999999999999999"} {
		if b, ok := packages.ParseMavenBuild(version); ok {
			t.Errorf("%s: %+v", version, b)
		}
	}
	if !packages.IsMavenSnapshot("SNAPSHOT") || packages.IsMavenSnapshot("1.0") || packages.IsMavenSnapshot("NOSNAPSHOT") {
		t.Error("IsMavenSnapshot")
	}
}
