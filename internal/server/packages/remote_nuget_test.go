package packages_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
	nugetsource "github.com/gatehouse-registry/gatehouse/internal/server/source/nuget"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/upstreamtest"
)

const nugetOrg = "public:nuget-org"

func nuget(name string) packages.PackageID {
	return packages.PackageID{Format: packages.NuGet, Name: name}
}

// A gallery stands in for the public registry of NuGet. Its packages are on another host
// than its documents.
type gallery struct {
	*upstreamtest.Server
	files *upstreamtest.Server
	t     testing.TB
	packs map[string][]map[string]any // the catalog entries by id
}

func newGallery(t testing.TB) *gallery {
	g := &gallery{Server: upstreamtest.New(t), files: upstreamtest.New(t), t: t, packs: map[string][]map[string]any{}}
	g.putJSON("/v3/index.json", map[string]any{"version": "3.0.0", "resources": []any{
		map[string]string{"@id": g.URL + "/v3/registration/", "@type": "RegistrationsBaseUrl/3.6.0"},
		map[string]string{"@id": g.files.URL + "/flat/", "@type": "PackageBaseAddress/3.0.0"},
	}})
	return g
}

func (g *gallery) putJSON(path string, v any) {
	g.Put(path, upstreamtest.File{Body: []byte(mustJSON(g.t, v)), Type: "application/json"})
}

// nupkgOf is a package with nothing but its manifest.
func nupkgOf(t testing.TB, id, version string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create(id + ".nuspec")
	if err == nil {
		_, err = fmt.Fprintf(w, `<package><metadata><id>%s</id><version>%s</version><authors>Ann</authors><description>It is %[1]s</description></metadata></package>`, id, version)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// add publishes a version whose file has content, and returns its catalog entry.
func (g *gallery) add(id, version string, content []byte) map[string]any {
	lower := strings.ToLower(id)
	g.files.Put("/flat/"+lower+"/"+version+"/"+lower+"."+version+".nupkg", upstreamtest.File{Body: content})
	entry := map[string]any{"@id": g.URL + "/catalog/" + lower + "." + version + ".json", "id": id, "version": version, "listed": true, "published": "2025-05-06T07:08:09Z"}
	g.packs[id] = append(g.packs[id], entry)
	g.save(id)
	return entry
}

func (g *gallery) save(id string) {
	var leaves []any
	for _, entry := range g.packs[id] {
		leaves = append(leaves, map[string]any{"catalogEntry": entry})
	}
	g.putJSON("/v3/registration/"+strings.ToLower(id)+"/index.json", map[string]any{"items": []any{map[string]any{"items": leaves}}})
}

// throughGallery returns a fixture in which "nuget-store" is connected to the gallery, and
// "app" is downstream of it.
func throughGallery(t testing.TB, g *gallery) *fixture {
	t.Helper()
	h := open(t)
	c := g.Config(nugetOrg, g.files)
	c.URL += "/v3/index.json"
	h.connectAll(source.Config{
		Settings:   source.Settings{Background: time.Nanosecond, Patience: 200 * time.Millisecond},
		Registries: []*source.Registry{{Connection: nugetOrg, Client: upstreamtest.Open(t, c), Codec: nugetsource.New(nugetsource.Config{Now: h.now})}},
	})
	h.repositories("nuget-store", "app: nuget-store")
	h.ok(second(h.AssociateExternalConnection(h.ctx, domain.Repository("nuget-store"), nugetOrg)))
	return h
}

func TestRemoteNuGet(t *testing.T) {
	g := newGallery(t)
	lib := nuget("acme.lib")
	one := g.add("Acme.Lib", "1.0.0", nupkgOf(t, "Acme.Lib", "1.0.0"))
	h := throughGallery(t, g)
	content, err := h.read("app", lib, "1.0", "acme.lib.1.0.0.nupkg")
	if err != nil || content != string(nupkgOf(t, "Acme.Lib", "1.0.0")) {
		t.Fatalf("%d bytes, %v", len(content), err)
	}
	for _, repo := range []string{"app", "nuget-store"} {
		v, d, err := h.DescribeVersion(h.ctx, domain.Repository(repo), lib, "1.0.0")
		h.ok(err)
		if v.EntryPoint != nugetOrg || !v.Published.Equal(time.Date(2025, 5, 6, 7, 8, 9, 0, time.UTC)) || d.DisplayName != "Acme.Lib" || d.Summary != "It is Acme.Lib" {
			t.Errorf("%s keeps %+v, %+v", repo, v, d)
		}
	}
	ids, _, err := h.Search(h.ctx, domain.Repository("nuget-store"), packages.NuGet, packages.SearchPage{Size: 10}, func(_ packages.PackageID, text string) bool { return strings.Contains(text, "it is acme.lib") })
	if err != nil || len(ids) != 1 {
		t.Errorf("a search finds %v, %v", ids, err)
	}
	// What is kept follows the gallery.
	one["listed"], one["deprecation"] = false, map[string]any{"reasons": []string{"Legacy"}}
	g.save("Acme.Lib")
	h.pass(time.Minute)
	p, err := h.Package(h.ctx, domain.Repository("app"), lib)
	h.ok(err)
	if v := p.Version("1.0.0"); v.Status != packages.Unlisted || !strings.Contains(string(v.Metadata), "Legacy") {
		t.Errorf("the version that was unlisted and deprecated there is %+v, %s", v, v.Metadata)
	}
	// Other bytes that the gallery has now are never fetched.
	g.files.Put("/flat/acme.lib/1.0.0/acme.lib.1.0.0.nupkg", upstreamtest.File{Body: nupkgOf(t, "Evil", "1.0.0")})
	if again, err := h.read("app", lib, "1.0.0", "acme.lib.1.0.0.nupkg"); err != nil || again != content {
		t.Errorf("%d bytes, %v", len(again), err)
	}
	g.Close()
	g.files.Close()
	h.pass(time.Hour)
	if again, err := h.read("app", lib, "1.0.0", "acme.lib.1.0.0.nupkg"); err != nil || again != content {
		t.Errorf("without the gallery: %d bytes, %v", len(again), err)
	}
}

// A file that is not the package of its version, or not the one of the catalog, is not
// kept.
func TestRemoteNuGet_WrongFiles(t *testing.T) {
	right := nupkgOf(t, "Acme.Lib", "1.0.0")
	hashOf := func(content []byte) map[string]any {
		sum := sha512.Sum512(content)
		return map[string]any{"packageHash": base64.StdEncoding.EncodeToString(sum[:]), "packageHashAlgorithm": "SHA512", "packageSize": len(content)}
	}
	for name, tt := range map[string]struct {
		content []byte
		inEntry map[string]any // of the registration
		catalog map[string]any
		fails   string
	}{
		"right":                        {content: right},
		"right, with its hash":         {content: right, inEntry: hashOf(right)},
		"right, with the catalog":      {content: right, catalog: hashOf(right)},
		"no zip, with the catalog":     {content: []byte("odd"), catalog: hashOf([]byte("odd"))},
		"catalog of something else":    {content: right, catalog: map[string]any{"packageHash": 7}},
		"no zip":                       {content: []byte("odd"), fails: "UpstreamMismatch"},
		"another version":              {content: nupkgOf(t, "Acme.Lib", "2.0.0"), fails: "UpstreamMismatch"},
		"another package":              {content: nupkgOf(t, "Evil", "1.0.0"), fails: "UpstreamMismatch"},
		"another one than the catalog": {content: right, catalog: hashOf([]byte("other")), fails: "UpstreamMismatch"},
		"another one than the entry":   {content: right, inEntry: hashOf([]byte("other")), fails: "UpstreamMismatch"},
		"another package, with a hash": {content: nupkgOf(t, "Evil", "1.0.0"), inEntry: hashOf(nupkgOf(t, "Evil", "1.0.0")), fails: "UpstreamMismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGallery(t)
			entry := g.add("Acme.Lib", "1.0.0", tt.content)
			for k, v := range tt.inEntry {
				entry[k] = v
			}
			g.save("Acme.Lib")
			if tt.catalog != nil {
				g.putJSON("/catalog/acme.lib.1.0.0.json", tt.catalog)
			}
			h := throughGallery(t, g)
			got, err := h.read("app", nuget("acme.lib"), "1.0.0", "acme.lib.1.0.0.nupkg")
			if tt.fails == "" {
				if err != nil || got != string(tt.content) {
					t.Fatalf("%d bytes, %v", len(got), err)
				}
				return
			}
			fails(t, err, tt.fails)
			if !strings.Contains(err.Error(), nugetOrg) || h.kept("nuget-store", nuget("acme.lib")) != "none" || h.objects() != 0 {
				t.Errorf("%v; kept %s, %d objects", err, h.kept("nuget-store", nuget("acme.lib")), h.objects())
			}
		})
	}
	// While the catalog cannot be read, nothing is kept.
	g := newGallery(t)
	g.add("Acme.Lib", "1.0.0", right)
	h := throughGallery(t, g)
	g.Fail("/catalog/", upstreamtest.Status(500))
	_, err := h.read("app", nuget("acme.lib"), "1.0.0", "acme.lib.1.0.0.nupkg")
	if f := fault.From(err); f == nil || f.Kind != fault.BadGateway {
		t.Errorf("the error is %v", err)
	}
	g.Heal()
	h.ok(second(h.read("app", nuget("acme.lib"), "1.0.0", "acme.lib.1.0.0.nupkg")))
}

// Every fault of the documents is answered as such, and never with a 404.
func TestRemoteNuGet_Faults(t *testing.T) {
	for name, f := range map[string]upstreamtest.Fault{
		"500": upstreamtest.Status(500), "429": upstreamtest.Throttle(429, "1"), "cut": upstreamtest.Cut(20), "HTML": upstreamtest.HTML(),
		"shorter": upstreamtest.Shorter(5), "hangs up": upstreamtest.Hangup(), "to the metadata service": upstreamtest.Redirect("http://169.254.169.254/latest"),
	} {
		for _, path := range []string{"/v3/index.json", "/v3/registration/acme.lib/index.json", "/v3/registration/acme.lib/page.json"} {
			t.Run(name+" "+path, func(t *testing.T) {
				g := newGallery(t)
				g.add("Acme.Lib", "1.0.0", nupkgOf(t, "Acme.Lib", "1.0.0"))
				g.putJSON("/v3/registration/acme.lib/page.json", map[string]any{"items": []any{map[string]any{"catalogEntry": g.packs["Acme.Lib"][0]}}})
				g.putJSON("/v3/registration/acme.lib/index.json", map[string]any{"items": []any{map[string]any{"@id": "page.json"}}})
				h := throughGallery(t, g)
				g.Fail(path, f)
				_, err := h.Package(h.ctx, domain.Repository("app"), nuget("acme.lib"))
				if e := fault.From(err); e == nil || e.Kind != fault.BadGateway || !strings.Contains(e.Message, nugetOrg) {
					t.Fatalf("the error is %v", err)
				}
				g.Heal()
				h.pass(time.Minute)
				eventually(t, func() bool { return h.versions("app", nuget("acme.lib")) == "1.0.0" })
			})
		}
	}
}
