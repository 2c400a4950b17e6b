package nuget_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/nuget"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
	nugetsource "github.com/gatehouse-registry/gatehouse/internal/server/source/nuget"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/upstreamtest"
)

const gallery = "public:nuget-org"

// A searchedGallery is a registry with a search, behind the repository app.
type searchedGallery struct {
	*upstreamtest.Server
	t     testing.TB
	s     *formatstest.Server
	app   string
	found []string // ids that it finds
	asked []string
}

func startGallery(t *testing.T) *searchedGallery {
	g := &searchedGallery{Server: upstreamtest.New(t), t: t}
	g.putJSON("/index.json", map[string]any{"version": "3.0.0", "resources": []any{
		map[string]string{"@id": g.URL + "/registration/", "@type": "RegistrationsBaseUrl/3.6.0"},
		map[string]string{"@id": g.URL + "/flat/", "@type": "PackageBaseAddress/3.0.0"},
		map[string]string{"@id": g.URL + "/old", "@type": "SearchQueryService"},
		map[string]string{"@id": g.URL + "/query?key=1", "@type": "SearchQueryService/3.5.0"},
		map[string]string{"@id": g.URL + "/complete", "@type": "SearchAutocompleteService"},
	}})
	for _, path := range []string{"/query", "/complete"} {
		g.Handle("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			g.asked = append(g.asked, strings.TrimPrefix(path, "/")+"?"+r.URL.Query().Encode())
			data := []any{}
			for _, id := range g.found {
				if path == "/complete" {
					data = append(data, id)
					continue
				}
				data = append(data, map[string]any{
					"id": id, "version": "9.9.9", "description": "It is " + id, "authors": "Ann", "tags": []string{"json"}, "totalDownloads": 7, "projectUrl": "javascript:x",
					"@id": g.URL, "registration": g.URL, "versions": []any{map[string]any{"version": "9.9.9", "downloads": 7, "@id": g.URL}, map[string]any{"version": "?"}},
				})
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{"totalHits": len(data), "data": data})
		})
	}
	g.s = formatstest.StartWith(t, func(p *packages.Service) map[packages.Format]formats.Protocol {
		return map[packages.Format]formats.Protocol{packages.NuGet: nuget.New(formats.ProtocolConfig{Packages: p})}
	}, func(database *db.DB, now func() time.Time) packages.Remote {
		c, err := source.New(t.Context(), source.Config{
			DB: database, Dir: t.TempDir(), Now: now,
			Registries: []*source.Registry{{Connection: gallery, Client: g.Upstream(t, gallery), Codec: nugetsource.New(nugetsource.Config{Now: now})}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	})
	if _, err := g.s.Packages.AssociateExternalConnection(authn.WithCaller(t.Context(), g.s.Caller(formatstest.Admin)), formatstest.Shared, gallery); err != nil {
		t.Fatal(err)
	}
	g.app = g.s.Endpoint(formatstest.App, packages.NuGet)
	return g
}

func (g *searchedGallery) putJSON(path string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		g.t.Fatal(err)
	}
	g.Put(path, upstreamtest.File{Body: body, Type: "application/json"})
}

// addPackage publishes a version in the registry.
func (g *searchedGallery) addPackage(id, version string) {
	g.putJSON("/registration/"+id+"/index.json", map[string]any{"items": []any{map[string]any{"items": []any{
		map[string]any{"catalogEntry": map[string]any{"id": id, "version": version, "description": "It is " + id, "published": "2025-05-06T07:08:09Z"}},
	}}}})
	g.Put("/flat/"+id+"/"+version+"/"+id+"."+version+".nupkg", upstreamtest.File{Body: nupkg(g.t, id, version, "")})
}

// search returns what the repository finds: the number and the packages with their versions.
func (g *searchedGallery) search(query string) string {
	g.t.Helper()
	g.s.Advance(3 * time.Minute)
	g.asked = nil
	r := g.s.Do(formatstest.Reader, "GET", g.app+query, "")
	if strings.Contains(r.Body, g.URL) {
		g.t.Errorf("%s tells the address of the registry: %s", query, r.Body)
	}
	var answer struct {
		TotalHits int
		Data      []json.RawMessage
	}
	if err := json.Unmarshal([]byte(r.Body), &answer); err != nil || r.StatusCode != 200 {
		g.t.Fatal(query, r.StatusCode, r.Body, err)
	}
	out := fmt.Sprint(answer.TotalHits, ":")
	for _, raw := range answer.Data {
		var id string
		var p struct{ ID, Version string }
		if json.Unmarshal(raw, &id) != nil {
			if err := json.Unmarshal(raw, &p); err != nil {
				g.t.Fatal(err)
			}
			id = p.ID + "@" + p.Version
		}
		out += " " + id
	}
	return out
}

func (g *searchedGallery) expect(query, want string, asked ...string) {
	g.t.Helper()
	if got := g.search(query); got != want || !slices.Equal(g.asked, asked) {
		g.t.Errorf("%s finds\n%s, want\n%s; the registry was asked for %q, want %q", query, got, want, g.asked, asked)
	}
}

func TestSearch_Upstream(t *testing.T) {
	g := startGallery(t)
	admin := authn.WithCaller(t.Context(), g.s.Caller(formatstest.Admin))
	mustPush(t, g.s, g.app, nupkg(t, "Json.Own", "1.0.0", ""))
	mustPush(t, g.s, g.app, nupkg(t, "Json.Too", "1.0.0", ""))
	// What was published here comes first. Its id at the registry is not shown, nor what is
	// no id, nor an id twice.
	g.found = []string{"Pub.Json", "json.OWN", "../x", "pub.json", "Other.Json"}
	g.expect("v3/query?q=json&take=10", "7: Json.Own@1.0.0 Json.Too@1.0.0 Pub.Json@9.9.9 Other.Json@9.9.9", "query?key=1&prerelease=false&q=json&skip=0&take=8")
	g.expect("v3/autocomplete?q=json", "7: Json.Own Json.Too Pub.Json Other.Json", "complete?prerelease=false&q=json&skip=0&take=18")
	// What a client says of versions and types is told, and pages go on at the registry.
	g.expect("v3/query?q=json&skip=1&take=2&prerelease=TRUE&semVerLevel=2.0.0&packageType=Dependency", "7: Json.Too@1.0.0 Pub.Json@9.9.9",
		"query?key=1&packageType=Dependency&prerelease=true&q=json&semVerLevel=2.0.0&skip=0&take=1")
	if g.search("v3/query?q=json&skip=5&take=1000"); g.asked[0] != "query?key=1&prerelease=false&q=json&skip=3&take=250" {
		t.Errorf("the third page was asked for with %q", g.asked)
	}
	// An id of ours is not told, however it is asked for, and neither is what our packages
	// answer, or nothing.
	g.expect("v3/query?q=json.own", "1: Json.Own@1.0.0")
	g.expect("v3/query?q=packageid:Json.Own", "1: Json.Own@1.0.0")
	g.expect("v3/autocomplete?q=JSON.TOO", "1: Json.Too")
	g.expect("v3/query?q=json&take=2", "2: Json.Own@1.0.0 Json.Too@1.0.0")
	g.expect("v3/query?q=", "2: Json.Own@1.0.0 Json.Too@1.0.0")
	// What a package group blocks is not shown.
	group := packages.GroupID{Domain: formatstest.Shared.Domain, Pattern: "/nuget//other.*"}
	if _, err := g.s.Packages.CreateGroup(admin, packages.NewGroup{ID: group}); err != nil {
		t.Fatal(err)
	}
	blocked := packages.OriginUpdate{Modes: map[packages.OriginType]packages.OriginMode{packages.ByExternalUpstream: packages.BlockAll}}
	if _, _, err := g.s.Packages.UpdateGroupOrigin(admin, group, blocked); err != nil {
		t.Fatal(err)
	}
	g.found = []string{"Pub.Json", "Other.Json"}
	if got := g.search("v3/query?q=json"); got != "4: Json.Own@1.0.0 Json.Too@1.0.0 Pub.Json@9.9.9" {
		t.Errorf("with a group that blocks: %s", got)
	}
	// Admission decides by the versions that the registry has, and not by its search.
	g.addPackage("pub.json", "1.5.0")
	g.found = []string{"Pub.Json", "Never.Seen"}
	deny := func(condition string) {
		t.Helper()
		if _, err := g.s.Packages.SetRepositoryPolicy(admin, formatstest.App, `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Resource":"*","Action":"codeartifact:ReadFromRepository","Condition":`+condition+`}]}`, ""); err != nil {
			t.Fatal(err)
		}
	}
	deny(`{"NumericLessThan":{"gatehouse:VersionAge":"7"},"StringEquals":{"gatehouse:PackageOrigin":"external"}}`)
	if got := g.search("v3/query?q=json"); got != "4: Json.Own@1.0.0 Json.Too@1.0.0 pub.json@1.5.0" {
		t.Errorf("with a rule that admits: %s", got)
	}
	deny(`{"StringEquals":{"gatehouse:PackageOrigin":"external"}}`)
	if got := g.search("v3/query?q=json"); got != "4: Json.Own@1.0.0 Json.Too@1.0.0" {
		t.Errorf("with a rule that denies: %s", got)
	}
	if _, err := g.s.Packages.DeleteRepositoryPolicy(admin, formatstest.App, ""); err != nil {
		t.Fatal(err)
	}
	// Without the registry, our packages are found, and the client is told.
	g.Close()
	g.s.Advance(30 * 24 * time.Hour)
	got := g.s.Do(formatstest.Reader, "GET", g.app+"v3/query?q=json", "")
	if !strings.Contains(got.Body, "Json.Too") || strings.Contains(got.Body, "Pub.Json") || !strings.Contains(got.Header.Get("Cache-Status"), gallery) {
		t.Errorf("without the registry: %d %v %s", got.StatusCode, got.Header, got.Body)
	}
	if r := g.s.Do(formatstest.Publisher, "GET", g.app+"v3/query?q=json", ""); r.StatusCode != 403 {
		t.Errorf("who may not read gets %d: %s", r.StatusCode, r.Body)
	}
}

// A package that is kept here is shown with the versions that this server knows, also if
// the registry finds it by its own rules; never twice.
func TestSearch_UpstreamKept(t *testing.T) {
	g := startGallery(t)
	g.addPackage("pub.json", "1.5.0")
	g.found = []string{"Pub.Json"}
	if r := g.s.Do(formatstest.Reader, "GET", g.app+"v3/flatcontainer/pub.json/1.5.0/pub.json.1.5.0.nupkg", ""); r.StatusCode != 200 {
		t.Fatal(r.StatusCode, r.Body)
	}
	for _, text := range []string{"serializer", "json", "packageid:pub.json"} {
		if got := g.search("v3/query?q=" + text); strings.Count(got, "pub.json@1.5.0") != 1 || strings.Contains(got, "9.9.9") {
			t.Errorf("%s finds %s", text, got)
		}
	}
}
