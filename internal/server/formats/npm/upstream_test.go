package npm_test

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
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

// found are the results of a search, as name@version.
func found(t testing.TB, r formatstest.Response) string {
	t.Helper()
	var answer struct {
		Objects []struct {
			Package struct{ Name, Version, Description string }
		}
		Total int
	}
	if err := json.Unmarshal([]byte(r.Body), &answer); err != nil || r.StatusCode != 200 {
		t.Fatal(r.StatusCode, r.Body, err)
	}
	out := fmt.Sprint(answer.Total, ":")
	for _, o := range answer.Objects {
		out += " " + o.Package.Name + "@" + o.Package.Version
	}
	return out
}

func TestSearch_Upstream(t *testing.T) {
	r, s, app := startConnected(t)
	admin := authn.WithCaller(t.Context(), s.Caller(formatstest.Admin))
	var asked []string
	var answer []string // names
	r.Handle("GET /-/v1/search", func(w http.ResponseWriter, req *http.Request) {
		q := req.URL.Query()
		asked = append(asked, q.Get("text")+" "+q.Get("from")+"+"+q.Get("size"))
		var objects []any
		for _, name := range answer {
			objects = append(objects, map[string]any{"package": map[string]any{"name": name, "version": "9.9.9", "description": "It is " + name, "keywords": []string{"pad"}, "date": "2025-05-06T07:08:09.000Z"}})
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"objects": objects, "total": len(objects)})
	})
	search := func(query string) string {
		t.Helper()
		s.Advance(3 * time.Minute)
		asked = nil
		return found(t, s.Do(formatstest.Reader, "GET", app+"-/v1/search?"+query, ""))
	}
	for _, name := range []string{"pad-own", "pad-too"} {
		want(t, 201, s.Do(formatstest.Admin, "PUT", app+name, encode(t, document(name, "1.0.0", "latest", []byte(name)))))
	}
	// What was published here comes first. Its name at the registry is not shown, nor what
	// is no name.
	answer = []string{"left-pad", "pad-own", "../x", "@pub/pad"}
	if got, want := search("text=pad&size=10"), "6: pad-own@1.0.0 pad-too@1.0.0 left-pad@9.9.9 @pub/pad@9.9.9"; got != want || asked[0] != "pad 0+8" {
		t.Errorf("found %s, want %s; the registry was asked for %q", got, want, asked)
	}
	// The next page goes on at the registry.
	if got := search("text=pad&size=3&from=1"); got != "6: pad-too@1.0.0 left-pad@9.9.9" || asked[0] != "pad 0+2" {
		t.Errorf("the second page is %s, asked %q", got, asked)
	}
	if search("text=pad&size=3&from=5"); asked[0] != "pad 3+3" {
		t.Errorf("for the third page, the registry was asked for %q", asked)
	}
	// A name of ours is not told, and neither is a search that our packages answer.
	if got := search("text=pad-own"); got != "1: pad-own@1.0.0" || asked != nil {
		t.Errorf("found %s, asked %q", got, asked)
	}
	if search("text=pad&size=1"); asked != nil {
		t.Errorf("the registry was asked for %q", asked)
	}
	// What a package group blocks is not shown.
	group := packages.GroupID{Domain: formatstest.Shared.Domain, Pattern: "/npm/pub/*"}
	if _, err := s.Packages.CreateGroup(admin, packages.NewGroup{ID: group}); err != nil {
		t.Fatal(err)
	}
	blocked := packages.OriginUpdate{Modes: map[packages.OriginType]packages.OriginMode{packages.ByExternalUpstream: packages.BlockAll}}
	if _, _, err := s.Packages.UpdateGroupOrigin(admin, group, blocked); err != nil {
		t.Fatal(err)
	}
	answer = []string{"left-pad", "@pub/pad"}
	if got := search("text=pad"); got != "4: pad-own@1.0.0 pad-too@1.0.0 left-pad@9.9.9" {
		t.Errorf("with a group that blocks: %s", got)
	}
	// Admission decides by what the registry says of the package, and not by its search.
	r.add("left-pad", nil)
	answer = []string{"left-pad", "never-seen"}
	deny := func(condition string) {
		t.Helper()
		if _, err := s.Packages.SetRepositoryPolicy(admin, formatstest.App, `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Resource":"*","Action":"codeartifact:ReadFromRepository","Condition":`+condition+`}]}`, ""); err != nil {
			t.Fatal(err)
		}
	}
	deny(`{"NumericLessThan":{"gatehouse:VersionAge":"7"},"StringEquals":{"gatehouse:PackageOrigin":"external"}}`)
	if got := search("text=pad"); got != "4: pad-own@1.0.0 pad-too@1.0.0 left-pad@1.0.0" {
		t.Errorf("with a rule that admits: %s", got)
	}
	deny(`{"StringEquals":{"gatehouse:PackageOrigin":"external"}}`)
	if got := search("text=pad"); got != "4: pad-own@1.0.0 pad-too@1.0.0" {
		t.Errorf("with a rule that denies: %s", got)
	}
	if _, err := s.Packages.DeleteRepositoryPolicy(admin, formatstest.App, ""); err != nil {
		t.Fatal(err)
	}
	// Without the registry, our packages are found, and the client is told.
	r.Close()
	s.Advance(30 * 24 * time.Hour)
	got := s.Do(formatstest.Reader, "GET", app+"-/v1/search?text=pad", "")
	if found(t, got) != "2: pad-own@1.0.0 pad-too@1.0.0" || !strings.Contains(got.Header.Get("Cache-Status"), npmjs) {
		t.Errorf("without the registry: %v %s", got.Header, got.Body)
	}
	want(t, 403, s.Do(formatstest.Publisher, "GET", app+"-/v1/search?text=pad", ""), "codeartifact:ReadFromRepository")
}

// What the registry finds by its own rules is shown, also if it is kept here; never twice.
func TestSearch_UpstreamKept(t *testing.T) {
	r, s, app := startConnected(t)
	r.add("left-pad", nil)
	r.json("/-/v1/search", map[string]any{"total": 1, "objects": []any{map[string]any{"package": map[string]string{"name": "left-pad", "version": "1.0.0"}}}})
	want(t, 200, s.Do(formatstest.Reader, "GET", app+"left-pad/-/left-pad-1.0.0.tgz", ""))
	for _, text := range []string{"whitespace", "left"} {
		got := found(t, s.Do(formatstest.Reader, "GET", app+"-/v1/search?text="+text, ""))
		if strings.Count(got, "left-pad@1.0.0") != 1 {
			t.Errorf("%s finds %s", text, got)
		}
	}
}
