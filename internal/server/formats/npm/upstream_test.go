package npm_test

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/npm"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
	npmsource "github.com/gatehouse-registry/gatehouse/internal/server/source/npm"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/upstreamtest"
)

const npmjs = "public:npmjs"

// A registry stands in for the public registry.
type registry struct {
	*upstreamtest.Server
	t testing.TB
}

// add publishes version 1.0.0 of a package there. dist has further members of the object of
// that name.
func (r *registry) add(name string, dist map[string]any) {
	content := []byte("content of " + name)
	sum := sha512.Sum512(content)
	path := "/" + name + "/-/" + name[strings.LastIndex(name, "/")+1:] + "-1.0.0.tgz"
	all := map[string]any{"tarball": r.URL + path, "integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum[:])}
	for k, v := range dist {
		all[k] = v
	}
	r.Put(path, upstreamtest.File{Body: content})
	r.json("/"+strings.Replace(name, "/", "%2f", 1), map[string]any{
		"name": name, "dist-tags": map[string]string{"latest": "1.0.0"}, "time": map[string]string{"1.0.0": "2025-05-06T07:08:09Z"},
		"versions": map[string]any{"1.0.0": map[string]any{"name": name, "version": "1.0.0", "description": "It is " + name, "dist": all}},
	})
}

func (r *registry) json(path string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Put(path, upstreamtest.File{Body: body, Type: "application/json"})
}

// startConnected starts a server whose shared repository is connected to the registry.
func startConnected(t testing.TB) (r *registry, s *formatstest.Server, app string) {
	t.Helper()
	r = &registry{upstreamtest.New(t), t}
	s = formatstest.StartWith(t, func(p *packages.Service) map[packages.Format]formats.Protocol {
		return map[packages.Format]formats.Protocol{packages.NPM: npm.New(formats.ProtocolConfig{Packages: p})}
	}, func(database *db.DB, now func() time.Time) packages.Remote {
		c, err := source.New(t.Context(), source.Config{
			DB: database, Now: now, Settings: source.Settings{Background: time.Nanosecond},
			Registries: []*source.Registry{{Connection: npmjs, Client: r.Upstream(t, npmjs), Codec: npmsource.Codec{}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	})
	if _, err := s.Packages.AssociateExternalConnection(authn.WithCaller(t.Context(), s.Caller(formatstest.Admin)), formatstest.Shared, npmjs); err != nil {
		t.Fatal(err)
	}
	return r, s, s.Endpoint(formatstest.App, packages.NPM)
}

func TestGetKeys(t *testing.T) {
	r, s, app := startConnected(t)
	get := func(who formatstest.User) formatstest.Response {
		s.Advance(time.Minute)
		return s.Do(who, "GET", app+"-/npm/v1/keys", "")
	}
	want(t, 404, get(formatstest.Reader), "has no external connection to a registry that has such a document")
	const keys = `{"keys":[{"expires":null,"keyid":"SHA256:x","keytype":"ecdsa-sha2-nistp256","scheme":"ecdsa-sha2-nistp256","key":"MFk="}]}`
	r.Put("/-/npm/v1/keys", upstreamtest.File{Body: []byte(keys), Type: "application/json", ETag: `"1"`})
	if got := get(formatstest.Reader); got.StatusCode != 200 || got.Body != keys {
		t.Errorf("keys are %d, %s", got.StatusCode, got.Body)
	}
	want(t, 403, get(formatstest.Publisher), "codeartifact:ReadFromRepository")
	// A login page is not a list of keys, and what was told before is used.
	r.Put("/-/npm/v1/keys", upstreamtest.File{Body: []byte(`{"login":true}`), Type: "application/json"})
	if got := get(formatstest.Reader); got.Body != keys || !strings.Contains(got.Header.Get("Cache-Status"), npmjs) {
		t.Errorf("while the registry fails, keys are %v, %s", got.Header, got.Body)
	}
	s.Advance(30 * 24 * time.Hour)
	want(t, 502, get(formatstest.Reader), "its keys that cannot be used")
}

func TestGetAttestations_Upstream(t *testing.T) {
	r, s, app := startConnected(t)
	const path = "/-/npm/v1/attestations/@pub%2fright@1.0.0"
	signatures := []map[string]string{{"keyid": "SHA256:x", "sig": "MEUC"}}
	r.add("@pub/right", map[string]any{"signatures": signatures, "attestations": map[string]any{
		"url": r.URL + path, "provenance": map[string]string{"predicateType": "https://slsa.dev/provenance/v1"},
	}})
	r.add("plain", nil)
	const body = `{"attestations":[{"predicateType":"https://slsa.dev/provenance/v1","bundle":{"a":1}}]}`
	r.Put(path, upstreamtest.File{Body: []byte(body), Type: "application/json"})
	address := app[strings.Index(app, "://")+3:]
	host := "http://" + address[:strings.Index(address, "/")]
	for _, state := range []string{"before it is kept", "after it is kept"} {
		got := s.Do(formatstest.Reader, "GET", app+"@pub%2fright", "")
		for _, text := range []string{`"signatures":[{"keyid":"SHA256:x","sig":"MEUC"}]`, `"url":"` + host + `/-/npm/v1/attestations/@pub/right@1.0.0"`, `"predicateType":"https://slsa.dev/provenance/v1"`} {
			if !strings.Contains(got.Body, text) {
				t.Errorf("%s: the document lacks %s: %s", state, text, got.Body)
			}
		}
		if got := s.Do(formatstest.Reader, "GET", app+"-/npm/v1/attestations/@pub/right@1.0.0", ""); got.StatusCode != 200 || got.Body != body {
			t.Errorf("%s: attestations are %d, %s", state, got.StatusCode, got.Body)
		}
		want(t, 200, s.Do(formatstest.Reader, "GET", app+"@pub/right/-/right-1.0.0.tgz", ""))
	}
	want(t, 404, s.Do(formatstest.Reader, "GET", app+"-/npm/v1/attestations/plain@1.0.0", ""), "plain@1.0.0 has no attestations")
	want(t, 403, s.Do(formatstest.Publisher, "GET", app+"-/npm/v1/attestations/@pub/right@1.0.0", ""), "codeartifact:ReadFromRepository")
	// The package belongs to us from now on: the registry is not asked for it.
	admin := authn.WithCaller(t.Context(), s.Caller(formatstest.Admin))
	id := packages.PackageID{Format: packages.NPM, Namespace: "pub", Name: "right"}
	if err := s.Packages.SetOrigin(admin, formatstest.App, id, packages.Origin{Publish: packages.Allow, Upstream: packages.Block}); err != nil {
		t.Fatal(err)
	}
	s.Advance(time.Hour)
	before := r.Count(path)
	want(t, 404, s.Do(formatstest.Reader, "GET", app+"-/npm/v1/attestations/@pub/right@1.0.0", ""), "no such document")
	if r.Count(path) != before {
		t.Error("the registry was asked for a package that upstream BLOCK protects")
	}
}
