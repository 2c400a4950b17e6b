package pypi_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/pypi"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
	pypisource "github.com/gatehouse-registry/gatehouse/internal/server/source/pypi"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/upstreamtest"
)

const index = "public:pypi"

// startConnected starts a server whose shared repository is connected to an index, which
// has one wheel with its metadata beside it.
func startConnected(t testing.TB) (r *upstreamtest.Server, s *formatstest.Server, app string) {
	t.Helper()
	r = upstreamtest.New(t)
	hash := func(content string) string {
		sum := sha256.Sum256([]byte(content))
		return hex.EncodeToString(sum[:])
	}
	page := map[string]any{"meta": map[string]string{"api-version": "1.1"}, "name": "lib", "files": []any{map[string]any{
		"filename": libWheel, "url": "../../files/" + libWheel, "hashes": map[string]string{"sha256": hash("the wheel")}, "size": 9,
		"upload-time": "2025-01-02T03:04:05.000000Z", "core-metadata": map[string]string{"sha256": hash(metadata("lib", "1.0"))},
	}}}
	body, err := json.Marshal(page)
	if err != nil {
		t.Fatal(err)
	}
	r.Put("/simple/lib/", upstreamtest.File{Body: body, Type: "application/vnd.pypi.simple.v1+json"})
	r.Put("/files/"+libWheel, upstreamtest.File{Body: []byte("the wheel")})
	r.Put("/files/"+libWheel+".metadata", upstreamtest.File{Body: []byte(metadata("lib", "1.0"))})
	s = formatstest.StartWith(t, func(p *packages.Service) map[packages.Format]formats.Protocol {
		return map[packages.Format]formats.Protocol{packages.PyPI: pypi.New(formats.ProtocolConfig{Packages: p})}
	}, func(database *db.DB, now func() time.Time) packages.Remote {
		c := r.Config(index)
		c.URL += "/simple/"
		cache, err := source.New(t.Context(), source.Config{
			DB: database, Now: now, Registries: []*source.Registry{{Connection: index, Client: upstreamtest.Open(t, c), Codec: pypisource.Codec{}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cache.Close() })
		return cache
	})
	if _, err := s.Packages.AssociateExternalConnection(authn.WithCaller(t.Context(), s.Caller(formatstest.Admin)), formatstest.Shared, index); err != nil {
		t.Fatal(err)
	}
	return r, s, s.Endpoint(formatstest.App, packages.PyPI)
}

const libWheel = "lib-1.0-py3-none-any.whl"

// kept are the names of the versions that a repository itself contains.
func kept(t testing.TB, s *formatstest.Server, repo packages.RepositoryID) string {
	t.Helper()
	v, err := s.Packages.ListVersions(authn.WithCaller(t.Context(), s.Caller(formatstest.Admin)), repo, packages.PackageID{Format: packages.PyPI, Name: "lib"})
	if formats.IsNotFound(err) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(len(v.All))
}

func TestUpstream_CoreMetadata(t *testing.T) {
	r, s, app := startConnected(t)
	sum := sha256.Sum256([]byte(metadata("lib", "1.0")))
	told := hex.EncodeToString(sum[:])
	pages := func(state string) {
		t.Helper()
		for media, text := range map[string]string{
			"application/vnd.pypi.simple.v1+json": `"core-metadata":{"sha256":"` + told + `"}`,
			"text/html":                           `data-core-metadata="sha256=` + told + `"`,
		} {
			if got := s.Do(formatstest.Reader, "GET", app+"simple/lib/", "", "Accept: "+media); !strings.Contains(got.Body, text) {
				t.Errorf("%s: the page lacks %s: %s", state, text, got.Body)
			}
		}
	}
	const file = "simple/lib/1.0/" + libWheel
	pages("before")
	// The metadata alone make nobody keep the version.
	for range 2 {
		if got := s.Do(formatstest.Reader, "GET", app+file+".metadata", ""); got.StatusCode != 200 || got.Body != metadata("lib", "1.0") {
			t.Fatalf("the metadata are %d, %s", got.StatusCode, got.Body)
		}
	}
	if kept(t, s, formatstest.Shared)+kept(t, s, formatstest.App) != "" || r.Count("/files/"+libWheel) != 0 || r.Count("/files/"+libWheel+".metadata") != 1 {
		t.Errorf("after the metadata, %q and %q are kept, and the wheel was asked for %d times", kept(t, s, formatstest.Shared), kept(t, s, formatstest.App), r.Count("/files/"+libWheel))
	}
	want(t, 403, s.Do(formatstest.Publisher, "GET", app+file+".metadata", ""))
	// With the wheel they are kept, and stay when the index is gone for long.
	want(t, 200, s.Do(formatstest.Reader, "GET", app+file, ""))
	kept(t, s, formatstest.Shared) // waits until the wheel is stored
	r.Close()
	s.Advance(30 * 24 * time.Hour)
	pages("without the index")
	if got := s.Do(formatstest.Reader, "GET", app+file+".metadata", ""); got.StatusCode != 200 || got.Body != metadata("lib", "1.0") {
		t.Errorf("without the index, the metadata are %d, %s", got.StatusCode, got.Body)
	}
}

// Metadata that are not what the index tells are not served, and a wheel is served without.
func TestUpstream_CoreMetadataWrong(t *testing.T) {
	r, s, app := startConnected(t)
	r.Put("/files/"+libWheel+".metadata", upstreamtest.File{Body: []byte(metadata("lib", "6.6.6"))})
	const file = "simple/lib/1.0/" + libWheel
	want(t, 502, s.Do(formatstest.Reader, "GET", app+file+".metadata", ""), "SHA-256")
	want(t, 200, s.Do(formatstest.Reader, "GET", app+file, ""))
	want(t, 502, s.Do(formatstest.Reader, "GET", app+file+".metadata", ""), "SHA-256")
}

// An index that replaces a wheel does not get its metadata beside the wheel that is kept.
func TestUpstream_CoreMetadataOfAnotherWheel(t *testing.T) {
	r, s, app := startConnected(t)
	page := func(content, more string) {
		r.Put("/simple/lib/", upstreamtest.File{Type: "application/vnd.pypi.simple.v1+json", Body: fmt.Appendf(nil,
			`{"meta":{"api-version":"1.1"},"name":"lib","files":[{"filename":%q,"url":"../../files/%s","hashes":{"sha256":"%x"}%s}]}`, libWheel, libWheel, sha256.Sum256([]byte(content)), more)})
	}
	page("the wheel", "")
	want(t, 200, s.Do(formatstest.Reader, "GET", app+"simple/lib/1.0/"+libWheel, ""))
	kept(t, s, formatstest.Shared) // waits until the wheel is stored
	told := fmt.Sprintf(`,"core-metadata":{"sha256":"%x"}`, sha256.Sum256([]byte(metadata("lib", "1.0"))))
	for content, wanted := range map[string]bool{"another": false, "the wheel": true} {
		page(content, told)
		s.Advance(24 * time.Hour)
		got := s.Do(formatstest.Reader, "GET", app+"simple/lib/", "", "Accept: application/vnd.pypi.simple.v1+json")
		if !strings.Contains(got.Body, fmt.Sprintf("%x", sha256.Sum256([]byte("the wheel")))) || strings.Contains(got.Body, `"core-metadata":{`) != wanted {
			t.Errorf("the index has %s: %s", content, got.Body)
		}
		status := 404
		if wanted {
			status = 200
		}
		want(t, status, s.Do(formatstest.Reader, "GET", app+"simple/lib/1.0/"+libWheel+".metadata", ""))
	}
}

// A quarantine of a wheel is one of its metadata.
func TestUpstream_CoreMetadataDenied(t *testing.T) {
	_, s, app := startConnected(t)
	admin := authn.WithCaller(t.Context(), s.Caller(formatstest.Admin))
	if _, err := s.Packages.SetRepositoryPolicy(admin, formatstest.App, `{"Version":"2012-10-17","Statement":[{"Sid":"Old","Effect":"Deny","Principal":"*","Resource":"*","Action":"codeartifact:ReadFromRepository","Condition":{"NumericLessThan":{"gatehouse:VersionAge":"100000"}}}]}`, ""); err != nil {
		t.Fatal(err)
	}
	want(t, 403, s.Do(formatstest.Reader, "GET", app+"simple/lib/1.0/"+libWheel+".metadata", ""), "the rule Old")
}
