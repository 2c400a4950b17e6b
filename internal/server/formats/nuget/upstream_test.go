package nuget_test

import (
	"encoding/json"
	"math/rand/v2"
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

// The hash of a package is not known when its manifest is asked for first. It was the key
// of the manifest, so a second package was answered with the manifest of the first.
func TestGetContent_ManifestOfArrivingPackage(t *testing.T) {
	const gallery = "public:nuget-org"
	g := upstreamtest.New(t)
	put := func(path string, v any) {
		body, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		g.Put(path, upstreamtest.File{Body: body, Type: "application/json"})
	}
	put("/index.json", map[string]any{"version": "3.0.0", "resources": []any{
		map[string]string{"@id": g.URL + "/registration/", "@type": "RegistrationsBaseUrl/3.6.0"},
		map[string]string{"@id": g.URL + "/flat/", "@type": "PackageBaseAddress/3.0.0"},
	}})
	data := make([]byte, 1<<20) // a small package is answered only when all of it is here
	rand.NewChaCha8([32]byte{}).Read(data)
	names := []string{"acme.one", "acme.two"}
	for _, id := range names {
		put("/registration/"+id+"/index.json", map[string]any{"items": []any{map[string]any{"items": []any{
			map[string]any{"catalogEntry": map[string]any{"id": id, "version": "1.0.0", "published": "2025-05-06T07:08:09Z"}},
		}}}})
		g.Put("/flat/"+id+"/1.0.0/"+id+".1.0.0.nupkg", upstreamtest.File{Body: nupkg(t, id, "1.0.0", "", "lib/data.bin", string(data))})
	}
	s := formatstest.StartWith(t, func(p *packages.Service) map[packages.Format]formats.Protocol {
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
	admin := authn.WithCaller(t.Context(), s.Caller(formatstest.Admin))
	if _, err := s.Packages.AssociateExternalConnection(admin, formatstest.Shared, gallery); err != nil {
		t.Fatal(err)
	}
	app := s.Endpoint(formatstest.App, packages.NuGet)
	for range 2 { // while it arrives, and after it was kept
		for _, id := range names {
			got := s.Do(formatstest.Reader, "GET", app+"v3/flatcontainer/"+id+"/1.0.0/"+id+".nuspec", "")
			if got.StatusCode != 200 || !strings.Contains(got.Body, "<id>"+id+"</id>") {
				t.Errorf("the manifest of %s: %d, %s", id, got.StatusCode, got.Body)
			}
		}
	}
}
