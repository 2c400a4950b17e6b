package packages_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// A model is the package store in the plainest words: what each repository
// holds, and a search that is written down as the rule says it.
type model struct {
	upstreams map[string][]string
	held      map[string]map[string]*modelPackage // repository, package
}

type modelPackage struct {
	publish, upstream packages.Restriction
	versions          map[string]modelVersion
}

type modelVersion struct {
	content string
	status  packages.Status
}

// found is a version that the search finds, and its repository.
type found struct {
	modelVersion
	repository string
}

func (m *model) search(repo, pkg string) map[string]found {
	out := map[string]found{}
	seen := map[string]bool{}
	var visit func(string)
	visit = func(r string) {
		if seen[r] {
			return
		}
		seen[r] = true
		if p := m.held[r][pkg]; p != nil {
			for v, c := range p.versions {
				if _, has := out[v]; !has {
					out[v] = found{c, r}
				}
			}
			if p.upstream == packages.Block {
				return
			}
		}
		for _, u := range m.upstreams[r] {
			visit(u)
		}
	}
	visit(repo)
	return out
}

func (m *model) listed(repo, pkg string) []string {
	var out []string
	for v, f := range m.search(repo, pkg) {
		if f.status == packages.Published {
			out = append(out, v+" in "+f.repository)
		}
	}
	slices.Sort(out)
	return out
}

// publish says whether publishing succeeds, and does it.
func (m *model) publish(repo, pkg, version, content string) bool {
	p := m.held[repo][pkg]
	if p != nil {
		if v, has := p.versions[version]; has {
			return v.content == content && v.status != packages.Disposed
		}
		if p.publish == packages.Block {
			return false
		}
	}
	if p == nil || p.upstream == packages.Allow {
		for v, f := range m.search(repo, pkg) {
			if v == version && f.repository != repo {
				return false
			}
		}
	}
	if p == nil {
		p = &modelPackage{packages.Allow, packages.Block, map[string]modelVersion{}}
		m.held[repo][pkg] = p
	}
	p.versions[version] = modelVersion{content, packages.Published}
	return true
}

func (m *model) download(repo, pkg, version string) (string, bool) {
	f, ok := m.search(repo, pkg)[version]
	if !ok || f.status == packages.Archived || f.status == packages.Disposed {
		return "", false
	}
	if f.repository != repo {
		p := m.held[repo][pkg]
		if p == nil {
			p = &modelPackage{packages.Block, packages.Allow, map[string]modelVersion{}}
			m.held[repo][pkg] = p
		}
		p.versions[version] = f.modelVersion
	}
	return f.content, true
}

// TestService_Model does what clients do at random and compares the store with
// the model after each step: what is listed, what can be downloaded, what is
// refused, and how many objects there are.
func TestService_Model(t *testing.T) {
	h := open(t)
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		d := packages.DomainID{Owner: account, Region: region, Name: fmt.Sprintf("d%d", run)}
		if _, err := h.CreateDomain(h.ctx, packages.NewDomain{ID: d}); err != nil {
			t.Fatal(err)
		}
		m := &model{upstreams: map[string][]string{}, held: map[string]map[string]*modelPackage{}}
		repositories := []string{"r0", "r1", "r2", "r3"}
		for i, name := range repositories {
			// Upstreams are earlier repositories, so there is no cycle.
			up := slices.Clone(rapid.SliceOfNDistinct(rapid.SampledFrom(repositories[:max(i, 1)]), 0, i, rapid.ID[string]).Draw(t, "upstreams"))
			m.upstreams[name], m.held[name] = up, map[string]*modelPackage{}
			if _, err := h.CreateRepository(h.ctx, packages.NewRepository{ID: d.Repository(name), Upstreams: up}); err != nil {
				t.Fatal(err)
			}
		}
		x := &machine{fixture: h, domain: d, model: m, indexes: map[string]string{}}
		repo := rapid.SampledFrom(repositories)
		pkg := rapid.SampledFrom([]string{"p", "q"})
		version := rapid.SampledFrom([]string{"1.0.0", "1.1.0", "2.0.0-rc.1"})
		actions := map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				x.publish(t, repo.Draw(t, "repository"), pkg.Draw(t, "package"), version.Draw(t, "version"), rapid.SampledFrom([]string{"A", "B"}).Draw(t, "content"))
			},
			"download": func(t *rapid.T) {
				x.download(t, repo.Draw(t, "repository"), pkg.Draw(t, "package"), version.Draw(t, "version"))
			},
			"status": func(t *rapid.T) {
				x.status(t, repo.Draw(t, "repository"), pkg.Draw(t, "package"), version.Draw(t, "version"),
					rapid.SampledFrom([]packages.Status{packages.Published, packages.Unlisted, packages.Archived, packages.Disposed}).Draw(t, "status"))
			},
			"delete": func(t *rapid.T) {
				x.delete(t, repo.Draw(t, "repository"), pkg.Draw(t, "package"), version.Draw(t, "version"))
			},
			"origin": func(t *rapid.T) {
				either := rapid.SampledFrom([]packages.Restriction{packages.Allow, packages.Block})
				x.origin(t, repo.Draw(t, "repository"), pkg.Draw(t, "package"), either.Draw(t, "publish"), either.Draw(t, "upstream"))
			},
		}
		// A walk of rapid's own length would wait for the disk for minutes.
		names := slices.Sorted(maps.Keys(actions))
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			actions[rapid.SampledFrom(names).Draw(t, "action")](t)
			x.check(t)
		}
	})
}

type machine struct {
	*fixture
	domain packages.DomainID
	model  *model
	// indexes are what the revisions of indexes stood for.
	indexes map[string]string
}

func (x *machine) publish(t *rapid.T, repo, pkg, version, content string) {
	staged, err := x.Stage(x.ctx, x.domain.Repository(repo), npm(pkg), strings.NewReader(content), 10)
	if err != nil {
		t.Fatal(err)
	}
	_, err = x.Publish(x.ctx, packages.Publication{
		Repository: x.domain.Repository(repo), Package: npm(pkg), Version: version, Assets: []packages.StagedAsset{{Name: "a", Content: staged}},
	})
	if want := x.model.publish(repo, pkg, version, content); want != (err == nil) || err != nil && !fault.Is(err, "Conflict") {
		t.Fatalf("publish: %v, want success %v", err, want)
	}
	x.pass(time.Second)
}

func (x *machine) download(t *rapid.T, repo, pkg, version string) {
	want, ok := x.model.download(repo, pkg, version)
	a, o, err := x.OpenAsset(x.ctx, x.domain.Repository(repo), npm(pkg), version, "a")
	if ok != (err == nil) || err != nil && !fault.Is(err, "ResourceNotFound") {
		t.Fatalf("download: %v, want success %v", err, ok)
	}
	if err != nil {
		return
	}
	defer o.Close()
	got := make([]byte, a.Size)
	if _, err := o.Read(got); err != nil || string(got) != want {
		t.Fatalf("content %q, %v, want %q", got, err, want)
	}
}

func (x *machine) status(t *rapid.T, repo, pkg, version string, target packages.Status) {
	sel := packages.Selection{Versions: []string{version}}
	var out packages.Outcome
	var err error
	if target == packages.Disposed {
		out, err = x.DisposeVersions(x.ctx, x.domain.Repository(repo), npm(pkg), sel)
	} else {
		out, err = x.UpdateVersionsStatus(x.ctx, x.domain.Repository(repo), npm(pkg), sel, target)
	}
	p := x.model.held[repo][pkg]
	if p == nil {
		if !fault.Is(err, "ResourceNotFound") {
			t.Fatalf("status of what is not there: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	v, has := p.versions[version]
	ok := has && (v.status != packages.Disposed || target == packages.Disposed)
	if _, did := out.Successful[version]; did != ok {
		t.Fatalf("%+v, want success %v", out, ok)
	}
	if ok {
		p.versions[version] = modelVersion{v.content, target}
	}
}

func (x *machine) delete(t *rapid.T, repo, pkg, version string) {
	err := x.DeleteVersions(x.ctx, x.domain.Repository(repo), npm(pkg), []string{version})
	p := x.model.held[repo][pkg]
	has := false
	if p != nil {
		_, has = p.versions[version]
		delete(p.versions, version)
	}
	if has != (err == nil) || err != nil && !fault.Is(err, "ResourceNotFound") {
		t.Fatalf("delete: %v, want success %v", err, has)
	}
}

func (x *machine) origin(t *rapid.T, repo, pkg string, publish, upstream packages.Restriction) {
	err := x.SetOrigin(x.ctx, x.domain.Repository(repo), npm(pkg), packages.Origin{Publish: publish, Upstream: upstream})
	if err != nil {
		t.Fatalf("origin: %v", err)
	}
	p := x.model.held[repo][pkg]
	if p == nil { // which keeps a name without versions
		p = &modelPackage{versions: map[string]modelVersion{}}
		x.model.held[repo][pkg] = p
	}
	p.publish, p.upstream = publish, upstream
}

// check compares everything that clients see.
func (x *machine) check(t *rapid.T) {
	contents := map[string]bool{}
	for repo, held := range x.model.held {
		revision, err := x.IndexRevision(x.ctx, x.domain.Repository(repo), packages.NPM)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := x.IndexRevision(x.ctx, x.domain.Repository(repo), packages.NPM); again != revision {
			t.Fatalf("the index of %s has the revisions %s and %s without a change", repo, revision, again)
		}
		index := ""
		var names []string
		for _, pkg := range []string{"p", "q"} {
			want := x.model.listed(repo, pkg)
			var got []string
			p, err := x.Package(x.ctx, x.domain.Repository(repo), npm(pkg))
			if err != nil && !fault.Is(err, "ResourceNotFound") {
				t.Fatal(err)
			}
			if err == nil {
				for _, v := range p.Versions {
					got = append(got, v.Version+" in "+v.Repository)
				}
				if _, latest := p.Tags["latest"]; latest != (len(got) > 0) {
					t.Fatalf("tags %v of %v", p.Tags, got)
				}
			}
			slices.Sort(got)
			index += fmt.Sprintln(pkg, got)
			if !slices.Equal(got, want) {
				t.Fatalf("%s shows of %s %v, want %v", repo, pkg, got, want)
			}
			if len(want) > 0 {
				names = append(names, pkg)
			}
		}
		ids, _, err := x.PackageNames(x.ctx, x.domain.Repository(repo), packages.NPM, packages.PackageID{}, 10)
		var listed []string
		for _, id := range ids {
			listed = append(listed, id.Name)
		}
		if err != nil || !slices.Equal(listed, names) {
			t.Fatalf("%s lists %v, %v, want %v", repo, listed, err, names)
		}
		if before, met := x.indexes[revision]; met && before != index {
			t.Fatalf("the revision %s of %s stands for %s and %s", revision, repo, before, index)
		}
		x.indexes[revision] = index
		for p := range maps.Values(held) {
			for v := range maps.Values(p.versions) {
				if v.status != packages.Disposed {
					contents[v.content] = true
				}
			}
		}
	}
	d, err := x.DescribeDomain(x.ctx, x.domain)
	if err != nil || d.AssetBytes != int64(len(contents)) {
		t.Fatalf("%d bytes, %v, want %d", d.AssetBytes, err, len(contents))
	}
}
