package npm_test

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/npm"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func start(t testing.TB) (s *formatstest.Server, app string) {
	t.Helper()
	s = formatstest.Start(t, func(p *packages.Service) map[packages.Format]formats.Protocol {
		return map[packages.Format]formats.Protocol{packages.NPM: npm.New(formats.ProtocolConfig{Packages: p, MaxAsset: 1 << 20})}
	})
	return s, s.Endpoint(formatstest.App, packages.NPM)
}

type object = map[string]any

// document is what npm sends to publish a version with the tarball and the tag.
func document(name, version, tag string, tarball []byte) object {
	s1, s5 := sha1.Sum(tarball), sha512.Sum512(tarball)
	return object{
		"_id": name, "name": name, "description": "a library", "dist-tags": object{tag: version}, "access": nil,
		"versions": object{version: object{
			"name": name, "version": version, "_id": name + "@" + version, "description": "a library", "license": "MIT", "readme": "# Lib",
			"dependencies": object{"dep": "^1.0.0"}, "scripts": object{"postinstall": "node x.js"},
			"dist": object{
				"shasum": hex.EncodeToString(s1[:]), "integrity": "sha512-" + base64.StdEncoding.EncodeToString(s5[:]),
				"tarball": "http://elsewhere.example/x.tgz", "fileCount": 3,
			},
		}},
		"_attachments": object{name + "-" + version + ".tgz": object{
			"content_type": "application/octet-stream", "data": base64.StdEncoding.EncodeToString(tarball), "length": len(tarball),
		}},
	}
}

func encode(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func decode(t testing.TB, r formatstest.Response) object {
	t.Helper()
	var v object
	if err := json.Unmarshal([]byte(r.Body), &v); err != nil {
		t.Fatalf("%d %s: %v", r.StatusCode, r.Body, err)
	}
	return v
}

func publish(t testing.TB, s *formatstest.Server, endpoint, name, version, tag string, tarball []byte) {
	t.Helper()
	want(t, http.StatusCreated, s.Do(formatstest.Admin, "PUT", endpoint+strings.Replace(name, "/", "%2f", 1), encode(t, document(name, version, tag, tarball))))
}

// want fails the test unless the response has the status and contains the texts.
func want(t testing.TB, status int, r formatstest.Response, texts ...string) formatstest.Response {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("%s %s: %d, want %d: %.300s", r.Request.Method, r.Request.URL, r.StatusCode, status, r.Body)
	}
	for _, text := range texts {
		if !strings.Contains(r.Body, text) {
			t.Fatalf("%s %s: %q is not in %.500s", r.Request.Method, r.Request.URL, text, r.Body)
		}
	}
	return r
}

func TestPublish_ReadBack(t *testing.T) {
	for _, name := range []string{"lib", "@team/lib"} {
		t.Run(name, func(t *testing.T) {
			s, app := start(t)
			tarball := bytes.Repeat([]byte("tarball "), 4096)
			publish(t, s, app, name, "1.0.0", "latest", tarball)
			publish(t, s, app, name, "1.1.0-rc.1", "next", []byte("another"))

			doc := decode(t, want(t, 200, s.Do(formatstest.Reader, "GET", app+strings.Replace(name, "/", "%2f", 1), "")))
			version := doc["versions"].(object)["1.0.0"].(object)
			dist := version["dist"].(object)
			published := document(name, "1.0.0", "latest", tarball)["versions"].(object)["1.0.0"].(object)["dist"].(object)
			if dist["integrity"] != published["integrity"] || dist["shasum"] != published["shasum"] || dist["fileCount"] != 3.0 {
				t.Errorf("dist is %v", dist)
			}
			if address := dist["tarball"]; address != app+name+"/-/lib-1.0.0.tgz" {
				t.Errorf("the tarball's address is %v", address)
			}
			if doc["_id"] != name || doc["name"] != name || doc["_rev"] == "" || doc["readme"] != "# Lib" || doc["license"] != "MIT" || version["readme"] != nil {
				t.Errorf("the document is %v", doc)
			}
			if tags := doc["dist-tags"].(object); tags["latest"] != "1.0.0" || tags["next"] != "1.1.0-rc.1" {
				t.Errorf("dist-tags are %v", tags)
			}
			if times := slices.Sorted(maps.Keys(doc["time"].(object))); !slices.Equal(times, []string{"1.0.0", "1.1.0-rc.1", "created", "modified"}) {
				t.Errorf("time has %v", times)
			}
			for path, v := range map[string]string{"1.0.0": "1.0.0", "latest": "1.0.0", "next": "1.1.0-rc.1"} {
				one := decode(t, want(t, 200, s.Do(formatstest.Reader, "GET", app+name+"/"+path, "")))
				if one["version"] != v || one["dist"].(object)["tarball"] == nil {
					t.Errorf("%s: %v", path, one)
				}
			}
			got := want(t, 200, s.Do(formatstest.Reader, "GET", dist["tarball"].(string), ""))
			if got.Body != string(tarball) {
				t.Error("the tarball has other bytes")
			}
		})
	}
}

func TestDocument_Abbreviated(t *testing.T) {
	s, app := start(t)
	publish(t, s, app, "lib", "1.0.0", "latest", []byte("x"))
	r := want(t, 200, s.Do(formatstest.Reader, "GET", app+"lib", "", "Accept: application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"))
	if ct := r.Header.Get("Content-Type"); ct != "application/vnd.npm.install-v1+json" {
		t.Error(ct)
	}
	doc := decode(t, r)
	if doc["readme"] != nil || doc["modified"] == nil || doc["time"].(object)["1.0.0"] == nil {
		t.Errorf("%v", doc)
	}
	version := doc["versions"].(object)["1.0.0"].(object)
	if got := slices.Sorted(maps.Keys(version)); !slices.Equal(got, []string{"dependencies", "dist", "hasInstallScript", "name", "version"}) {
		t.Errorf("the version has %v", got)
	}
}

func TestTarball(t *testing.T) {
	s, app := start(t)
	publish(t, s, app, "lib", "1.0.0", "latest", []byte("0123456789"))
	address := app + "lib/-/lib-1.0.0.tgz"
	r := want(t, 200, s.Do(formatstest.Reader, "GET", address, ""))
	if cc := r.Header.Get("Cache-Control"); !strings.Contains(cc, "immutable") || r.ContentLength != 10 {
		t.Errorf("Cache-Control: %s, Content-Length: %d", cc, r.ContentLength)
	}
	want(t, 404, s.Do(formatstest.Reader, "GET", app+"lib/-/lib-2.0.0.tgz", ""), `"error"`)
	want(t, 404, s.Do(formatstest.Reader, "GET", app+"lib/-/other.tgz", ""), `"error"`)
	want(t, 404, s.Do(formatstest.Reader, "GET", app+"none", ""), `"error"`)
}

// A client cannot fill the cache of documents with hosts that it makes up.
func TestDocument_CacheOfMadeUpHosts(t *testing.T) {
	documents := formats.NewDocumentCache(1 << 20)
	s := formatstest.Start(t, func(p *packages.Service) map[packages.Format]formats.Protocol {
		return map[packages.Format]formats.Protocol{packages.NPM: npm.New(formats.ProtocolConfig{Packages: p, Documents: documents})}
	})
	app := s.Endpoint(formatstest.App, packages.NPM)
	publish(t, s, app, "lib", "1.0.0", "latest", []byte("x"))
	for i := range 20 {
		host := fmt.Sprintf("host-%d.example", i)
		for _, path := range []string{"lib", "lib/1.0.0"} {
			want(t, 200, s.Do(formatstest.Reader, "GET", app+path, "", "Host: "+host), "http://"+host+"/")
		}
	}
	if st := documents.For(packages.NPM).Stats(); st.Entries != 0 {
		t.Fatalf("%d documents are kept", st.Entries)
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
	aws := "acme-000000000001.d.codeartifact.us-east-1." + formatstest.Suffix + ":" + port
	for range 2 {
		want(t, 200, s.Do(formatstest.Reader, "GET", app+"lib", ""))
		want(t, 200, s.Do(formatstest.Reader, "GET", s.URL+"/npm/app/lib", "", "Host: "+aws))
	}
	if st := documents.For(packages.NPM).Stats(); st.Entries != 2 || st.Hits != 2 {
		t.Fatalf("%+v", st)
	}
}

func TestDocument_TarballAddress(t *testing.T) {
	s, app := start(t)
	publish(t, s, app, "lib", "1.0.0", "latest", []byte("x"))
	host := "acme-000000000001.d.codeartifact.us-east-1." + formatstest.Suffix
	doc := decode(t, want(t, 200, s.Do(formatstest.Reader, "GET", s.URL+"/npm/app/lib", "", "Host: "+host)))
	address := doc["versions"].(object)["1.0.0"].(object)["dist"].(object)["tarball"]
	if address != "http://"+host+"/npm/app/lib/-/lib-1.0.0.tgz" {
		t.Errorf("the tarball is at %v", address)
	}
	want(t, 200, s.Do(formatstest.Reader, "GET", s.URL+"/npm/app/lib/-/lib-1.0.0.tgz", "", "Host: "+host))
	doc = decode(t, want(t, 200, s.Do(formatstest.Reader, "GET", app+"lib", "")))
	if address := doc["versions"].(object)["1.0.0"].(object)["dist"].(object)["tarball"]; address != app+"lib/-/lib-1.0.0.tgz" {
		t.Errorf("the tarball is at %v", address)
	}
}

func TestDocument_UpstreamTarballAddress(t *testing.T) {
	s, app := start(t)
	publish(t, s, s.Endpoint(formatstest.Shared, packages.NPM), "lib", "1.0.0", "latest", []byte("from upstream"))
	doc := decode(t, want(t, 200, s.Do(formatstest.Reader, "GET", app+"lib", "")))
	address := doc["versions"].(object)["1.0.0"].(object)["dist"].(object)["tarball"].(string)
	if !strings.HasPrefix(address, app) {
		t.Fatalf("the tarball is at %s", address)
	}
	want(t, 200, s.Do(formatstest.Reader, "GET", address, ""), "from upstream")
}

func TestDeprecate(t *testing.T) {
	s, app := start(t)
	publish(t, s, app, "lib", "1.0.0", "latest", []byte("x"))
	publish(t, s, app, "lib", "2.0.0", "latest", []byte("y"))
	change := func(message any) {
		t.Helper()
		doc := decode(t, want(t, 200, s.Do(formatstest.Admin, "GET", app+"lib?write=true", "")))
		v := doc["versions"].(object)["1.0.0"].(object)
		v["deprecated"], v["license"] = message, "changed"
		want(t, 200, s.Do(formatstest.Admin, "PUT", app+"lib", encode(t, doc)))
	}
	change("use 2")
	for _, accept := range []string{"*/*", "application/vnd.npm.install-v1+json"} {
		versions := decode(t, s.Do(formatstest.Reader, "GET", app+"lib", "", "Accept: "+accept))["versions"].(object)
		if got := versions["1.0.0"].(object); got["deprecated"] != "use 2" || got["license"] == "changed" || got["dist"].(object)["fileCount"] != 3.0 {
			t.Errorf("%v", got)
		}
		if got := versions["2.0.0"].(object)["deprecated"]; got != nil {
			t.Errorf("2.0.0 is deprecated: %v", got)
		}
	}
	for _, message := range []any{"", "again", false} {
		change(message)
		got, has := decode(t, s.Do(formatstest.Reader, "GET", app+"lib/1.0.0", ""))["deprecated"]
		if message == "again" && got != "again" || message != "again" && has {
			t.Errorf("deprecated with %q: %v", message, got)
		}
	}
	want(t, 400, s.Do(formatstest.Admin, "PUT", app+"lib", `{"name":"lib","versions":{"3.0.0":{}}}`), "3.0.0")
	want(t, 400, s.Do(formatstest.Admin, "PUT", app+"lib", `{"name":"lib"}`), "no versions")
	want(t, 403, s.Do(formatstest.Reader, "PUT", app+"lib", `{"name":"lib","versions":{"1.0.0":{"deprecated":"no"}}}`), "AccessDenied")
}

func TestUnpublish(t *testing.T) {
	s, app := start(t)
	for _, v := range []string{"1.0.0", "1.1.0", "2.0.0"} {
		publish(t, s, app, "lib", v, "latest", []byte(v))
	}
	doc := decode(t, s.Do(formatstest.Admin, "GET", app+"lib?write=true", ""))
	rev := doc["_rev"].(string)
	delete(doc["versions"].(object), "2.0.0")
	doc["dist-tags"] = object{"latest": "1.0.0"}
	want(t, 409, s.Do(formatstest.Admin, "PUT", app+"lib/-rev/1-other", encode(t, doc)), "Try again")
	want(t, 403, s.Do(formatstest.Reader, "PUT", app+"lib/-rev/"+rev, encode(t, doc)), "codeartifact:DeletePackageVersions")
	want(t, 409, s.Do(formatstest.Admin, "DELETE", app+"lib/-/lib-2.0.0.tgz/-rev/"+rev, ""), "still in the document")
	want(t, 201, s.Do(formatstest.Admin, "PUT", app+"lib/-rev/"+rev, encode(t, doc)))

	doc = decode(t, s.Do(formatstest.Admin, "GET", app+"lib?write=true", ""))
	if got := slices.Sorted(maps.Keys(doc["versions"].(object))); !slices.Equal(got, []string{"1.0.0", "1.1.0"}) || doc["dist-tags"].(object)["latest"] != "1.0.0" {
		t.Errorf("left are %v, %v", got, doc["dist-tags"])
	}
	want(t, 200, s.Do(formatstest.Admin, "DELETE", app+"lib/-/lib-2.0.0.tgz/-rev/"+doc["_rev"].(string), ""))
	want(t, 404, s.Do(formatstest.Admin, "GET", app+"lib/-/lib-2.0.0.tgz", ""))

	want(t, 409, s.Do(formatstest.Admin, "DELETE", app+"lib/-rev/"+rev, ""))
	want(t, 403, s.Do(formatstest.Reader, "DELETE", app+"lib/-rev/"+doc["_rev"].(string), ""), "codeartifact:DeletePackage")
	want(t, 200, s.Do(formatstest.Admin, "DELETE", app+"lib/-rev/"+doc["_rev"].(string), ""))
	want(t, 404, s.Do(formatstest.Admin, "GET", app+"lib", ""))
	publish(t, s, app, "lib", "2.0.0", "latest", []byte("anew"))
}

// npm deletes the whole package to unpublish the last version that it sees. What it does
// not see stays.
func TestUnpublish_HiddenVersions(t *testing.T) {
	s, app := start(t)
	for _, v := range []string{"1.0.0", "1.1.0", "2.0.0"} {
		publish(t, s, app, "lib", v, "latest", []byte(v))
	}
	admin := authn.WithCaller(t.Context(), s.Caller(formatstest.Admin))
	id := packages.PackageID{Format: packages.NPM, Name: "lib"}
	for version, target := range map[string]packages.Status{"1.0.0": packages.Unlisted, "1.1.0": packages.Archived} {
		if _, err := s.Packages.UpdateVersionsStatus(admin, formatstest.App, id, packages.Selection{Versions: []string{version}}, target); err != nil {
			t.Fatal(err)
		}
	}
	revision := func() string {
		t.Helper()
		return decode(t, s.Do(formatstest.Admin, "GET", app+"lib?write=true", ""))["_rev"].(string)
	}
	want(t, 200, s.Do(formatstest.Admin, "DELETE", app+"lib/-rev/"+revision(), ""))
	want(t, 404, s.Do(formatstest.Admin, "GET", app+"lib/-/lib-2.0.0.tgz", ""))
	want(t, 200, s.Do(formatstest.Admin, "GET", app+"lib/-/lib-1.0.0.tgz", ""))
	versions, err := s.Packages.ListVersions(admin, formatstest.App, id)
	if err != nil || len(versions.All) != 2 {
		t.Errorf("left are %+v, %v", versions, err)
	}
	want(t, 409, s.Do(formatstest.Admin, "DELETE", app+"lib/-rev/"+revision(), ""), "not listed")
}

func TestDistTags(t *testing.T) {
	s, app := start(t)
	publish(t, s, app, "@team/lib", "1.0.0", "latest", []byte("x"))
	publish(t, s, app, "@team/lib", "2.0.0", "latest", []byte("y"))
	tags := app + "-/package/@team%2flib/dist-tags"
	check := func(want string) {
		t.Helper()
		if got := s.Do(formatstest.Reader, "GET", tags, "").Body; got != want {
			t.Errorf("the tags are %s, not %s", got, want)
		}
	}
	want(t, 201, s.Do(formatstest.Admin, "PUT", tags+"/next", `"1.0.0"`))
	check(`{"latest":"2.0.0","next":"1.0.0"}`)
	want(t, 201, s.Do(formatstest.Admin, "POST", tags, `{"beta":"1.0.0"}`))
	check(`{"beta":"1.0.0","latest":"2.0.0","next":"1.0.0"}`)
	want(t, 200, s.Do(formatstest.Admin, "DELETE", tags+"/next", ""))
	want(t, 200, s.Do(formatstest.Admin, "PUT", tags, `{"latest":"1.0.0"}`))
	check(`{"latest":"1.0.0"}`)

	want(t, 400, s.Do(formatstest.Admin, "DELETE", tags+"/latest", ""), "cannot be removed")
	want(t, 400, s.Do(formatstest.Admin, "PUT", tags+"/1.x", `"1.0.0"`), "dist-tag")
	want(t, 400, s.Do(formatstest.Admin, "PUT", tags+"/next", `{"not":"a string"}`))
	want(t, 400, s.Do(formatstest.Admin, "PUT", tags+"/next", `"^1"`), "not a version")
	want(t, 404, s.Do(formatstest.Admin, "PUT", tags+"/next", `"9.9.9"`))
	want(t, 413, s.Do(formatstest.Admin, "PUT", tags, `"`+strings.Repeat("x", 1<<20)+`"`))
	want(t, 403, s.Do(formatstest.Reader, "PUT", tags+"/next", `"1.0.0"`), "codeartifact:PutPackageMetadata")
	check(`{"latest":"1.0.0"}`)
}

func TestPingAndWhoami(t *testing.T) {
	s, app := start(t)
	want(t, 200, s.Do(formatstest.Reader, "GET", app+"-/ping", ""), "{}")
	want(t, 200, s.Do(formatstest.Reader, "GET", app+"-/whoami", ""), `"reader"`)
	want(t, 403, s.Do(formatstest.Publisher, "GET", app+"-/ping", ""), "codeartifact:ReadFromRepository")
	want(t, 404, s.Do(formatstest.Reader, "POST", app+"-/npm/v1/security/advisories/bulk", "{}"), "nothing was audited")
	want(t, 404, s.Do(formatstest.Reader, "PUT", app+"-/user/org.couchdb.user:x", "{}"), "aws codeartifact login")
	want(t, 404, s.Do(formatstest.Reader, "GET", app+"-/all", ""), `"error"`)
	want(t, 405, s.Do(formatstest.Reader, "PATCH", app+"lib", ""), "PATCH")
}

// What npm's users do in a repository with versions that it only sees upstream.
func TestUpstreamVersion_Changes(t *testing.T) {
	s, app := start(t)
	shared := s.Endpoint(formatstest.Shared, packages.NPM)
	publish(t, s, shared, "lib", "1.0.0", "latest", []byte("one"))
	publish(t, s, shared, "lib", "1.1.0", "latest", []byte("two"))
	get := func() object { return decode(t, want(t, 200, s.Do(formatstest.Admin, "GET", app+"lib", ""))) }
	want(t, 201, s.Do(formatstest.Admin, "PUT", app+"-/package/lib/dist-tags/stable", `"1.0.0"`))
	doc := get()
	for _, v := range doc["versions"].(object) {
		v.(object)["deprecated"] = "old"
	}
	want(t, 200, s.Do(formatstest.Admin, "PUT", app+"lib", encode(t, doc)))
	doc = get()
	for version, v := range doc["versions"].(object) {
		if v.(object)["deprecated"] != "old" {
			t.Errorf("%s is not deprecated", version)
		}
	}
	if tags := doc["dist-tags"].(object); tags["stable"] != "1.0.0" || tags["latest"] != "1.1.0" {
		t.Error(tags)
	}
	publish(t, s, shared, "lib", "1.2.0", "latest", []byte("three"))
	doc = get()
	delete(doc["versions"].(object), "1.2.0")
	want(t, 409, s.Do(formatstest.Admin, "PUT", app+"lib/-rev/"+doc["_rev"].(string), encode(t, doc)), "upstream repository shared")
	publish(t, s, shared, "other", "1.0.0", "latest", []byte("one"))
	other := decode(t, want(t, 200, s.Do(formatstest.Admin, "GET", app+"other", "")))
	want(t, 409, s.Do(formatstest.Admin, "DELETE", app+"other/-rev/"+other["_rev"].(string), ""), "upstream repository shared")
}

// A publication that origin controls block is not one over an existing version.
func TestPublish_OriginBlocked(t *testing.T) {
	s, app := start(t)
	publish(t, s, s.Endpoint(formatstest.Shared, packages.NPM), "lib", "1.0.0", "latest", []byte("one"))
	want(t, 200, s.Do(formatstest.Reader, "GET", app+"lib/-/lib-1.0.0.tgz", ""))
	r := want(t, 409, s.Do(formatstest.Admin, "PUT", app+"lib", encode(t, document("lib", "2.0.0", "latest", []byte("two")))), "origin configuration", "PutPackageOriginConfiguration")
	if strings.Contains(r.Body, "previously published") {
		t.Error(r.Body)
	}
	publish(t, s, app, "own", "1.0.0", "latest", []byte("own"))
	publish(t, s, s.Endpoint(formatstest.Shared, packages.NPM), "own", "2.0.0", "latest", []byte("theirs"))
	for _, path := range []string{"own/2.0.0", "own/-/own-2.0.0.tgz"} {
		want(t, 404, s.Do(formatstest.Reader, "GET", app+path, ""), "upstream repository shared has it", "blocks upstream versions")
	}
}

func TestPublish_SameBytesOtherTag(t *testing.T) {
	s, app := start(t)
	publish(t, s, app, "lib", "1.0.0", "latest", []byte("one"))
	publish(t, s, app, "lib", "1.0.0", "beta", []byte("one"))
	want(t, 200, s.Do(formatstest.Reader, "GET", app+"-/package/lib/dist-tags", ""), `{"beta":"1.0.0","latest":"1.0.0"}`)
}

func TestSearch(t *testing.T) {
	s, app := start(t)
	for name, description := range map[string]string{"red-lib": "", "green-lib": "", "@team/lib": "", "other": "Pads strings"} {
		doc := document(name, "1.0.0", "latest", []byte(name))
		version := doc["versions"].(object)["1.0.0"].(object)
		version["description"], version["keywords"] = description, []string{"Yellow", name + "-key"}
		want(t, 201, s.Do(formatstest.Admin, "PUT", app+strings.Replace(name, "/", "%2f", 1), encode(t, doc)))
	}
	find := func(query string) (names []string, total any) {
		r := decode(t, want(t, 200, s.Do(formatstest.Reader, "GET", app+"-/v1/search?"+query, "")))
		for _, o := range r["objects"].([]any) {
			names = append(names, o.(object)["package"].(object)["name"].(string))
		}
		return names, r["total"]
	}
	for query, c := range map[string]struct {
		names []string
		total float64
	}{
		"text=LIB":               {[]string{"green-lib", "red-lib", "@team/lib"}, 3},
		"text=lib&size=1&from=1": {[]string{"red-lib"}, 3},
		"text=red+lib":           {[]string{"red-lib"}, 1},
		"text=none":              {nil, 0},
		"text=pads":              {[]string{"other"}, 1},
		"text=other+yellow":      {[]string{"other"}, 1},
		"text=yellow&size=0":     {nil, 4},
	} {
		if names, total := find(query); !slices.Equal(names, c.names) || total != c.total {
			t.Errorf("%s: %v of %v", query, names, total)
		}
	}
}

// Who does not see the version of the tag latest, because it is in quarantine, unpublishes
// another one: npm then sends a tag that it chose among the versions that it saw.
func TestUnpublish_LatestIsHidden(t *testing.T) {
	s, app := start(t)
	for _, v := range []string{"1.0.0", "1.1.0", "2.0.0"} {
		publish(t, s, app, "lib", v, "latest", []byte(v))
	}
	admin := authn.WithCaller(t.Context(), s.Caller(formatstest.Admin))
	id := packages.PackageID{Format: packages.NPM, Name: "lib"}
	entry, err := s.Packages.PutQuarantine(admin, packages.NewEntry{Domain: formatstest.App.Domain, Package: id, Version: "2.0.0", Reason: "looked at"})
	if err != nil {
		t.Fatal(err)
	}
	doc := decode(t, s.Do(formatstest.Admin, "GET", app+"lib?write=true", ""))
	if latest := doc["dist-tags"].(object)["latest"]; latest != "1.1.0" {
		t.Fatalf("latest is %v", latest)
	}
	delete(doc["versions"].(object), "1.1.0")
	doc["dist-tags"] = object{"latest": "1.0.0"}
	want(t, 201, s.Do(formatstest.Admin, "PUT", app+"lib/-rev/"+doc["_rev"].(string), encode(t, doc)))
	if _, err := s.Packages.ReleaseQuarantine(admin, formatstest.App.Domain, "", entry.ID); err != nil {
		t.Fatal(err)
	}
	doc = decode(t, s.Do(formatstest.Admin, "GET", app+"lib?write=true", ""))
	if tags := doc["dist-tags"].(object); tags["latest"] != "2.0.0" {
		t.Errorf("the tags are %v", tags)
	}
}
