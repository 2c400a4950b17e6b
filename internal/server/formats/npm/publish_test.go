package npm_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
)

func TestPublish_InvalidDocument(t *testing.T) {
	s, app := start(t)
	const name, version = "lib", "1.0.0"
	file := name + "-" + version + ".tgz"
	change := func(f func(doc, version, dist, attachment object)) string {
		doc := document(name, version, "latest", []byte("tarball"))
		v := doc["versions"].(object)[version].(object)
		f(doc, v, v["dist"].(object), doc["_attachments"].(object)[file].(object))
		return encode(t, doc)
	}
	whole := change(func(_, _, _, _ object) {})
	for what, c := range map[string]struct {
		body   string
		status int
		text   string
	}{
		"another name":          {change(func(doc, _, _, _ object) { doc["name"] = "other" }), 400, "other"},
		"another name inside":   {change(func(_, v, _, _ object) { v["name"] = "other" }), 400, "other"},
		"another version":       {change(func(_, v, _, _ object) { v["version"] = "2.0.0" }), 400, "2.0.0"},
		"another shasum":        {change(func(_, _, dist, _ object) { dist["shasum"] = strings.Repeat("0", 40) }), 400, "shasum"},
		"another integrity":     {change(func(_, _, dist, _ object) { dist["integrity"] = "sha512-AAAA" }), 400, "integrity"},
		"another length":        {change(func(_, _, _, a object) { a["length"] = 3 }), 400, "bytes"},
		"no base64":             {change(func(_, _, _, a object) { a["data"] = "?" }), 400, "base64"},
		"a tag like a version":  {change(func(doc, _, _, _ object) { doc["dist-tags"] = object{"1.0.0": version} }), 400, "dist-tag"},
		"a version that is not": {change(func(doc, v, _, _ object) { doc["versions"] = object{"1.0": v} }), 400, "not a version"},
		"two tarballs":          {change(func(doc, _, _, a object) { doc["_attachments"].(object)["lib-2.0.0.tgz"] = a }), 400, "more than one"},
		"provenance beside it": {change(func(doc, _, _, _ object) {
			doc["_attachments"].(object)["lib-1.0.0.sigstore"] = object{"data": "{}", "length": 2}
		}), 400, "provenance"},
		"provenance":        {change(func(doc, _, _, a object) { doc["_attachments"] = object{"lib-1.0.0.sigstore": a} }), 400, "provenance"},
		"no versions":       {change(func(doc, _, _, _ object) { doc["versions"] = object{} }), 400, "does not belong to a version"},
		"a version a list":  {change(func(doc, _, _, _ object) { doc["versions"] = object{version: []int{}} }), 400, "list"},
		"a truncated body":  {whole[:len(whole)-20], 400, ""},
		"truncated base64":  {whole[:strings.Index(whole, `"data":"`)+12], 400, ""},
		"something after":   {whole + "x", 400, ""},
		"not a document":    {"hello", 400, "document"},
		"a large tarball":   {encode(t, document(name, version, "latest", make([]byte, 1<<20+1))), 413, "larger"},
		"a large document":  {change(func(doc, _, _, _ object) { doc["description"] = strings.Repeat("x", 33<<20) }), 413, "larger"},
		"no tarball at all": {change(func(doc, _, _, _ object) { delete(doc, "_attachments") }), 404, ""},
	} {
		t.Run(what, func(t *testing.T) {
			r := want(t, c.status, s.Do(formatstest.Admin, "PUT", app+name, c.body), c.text)
			if decode(t, r)["error"] == "" {
				t.Error("no error in", r.Body)
			}
			want(t, 404, s.Do(formatstest.Admin, "GET", app+name, ""))
			if n := s.Objects(); n != 0 {
				t.Errorf("%d objects are left behind", n)
			}
		})
	}
	for _, path := range []string{".hidden", "a%20b", "@scope", "@scope/"} {
		want(t, 404, s.Do(formatstest.Admin, "PUT", app+path, whole))
	}
	want(t, 400, s.Do(formatstest.Admin, "PUT", app+name, whole, "Content-Encoding: gzip"), "coding")
	want(t, 201, s.Do(formatstest.Admin, "PUT", app+name, whole))
}

func TestPublish_ExistingVersion(t *testing.T) {
	s, app := start(t)
	publish(t, s, app, "lib", "1.0.0", "latest", []byte("x"))
	publish(t, s, app, "lib", "1.0.0", "latest", []byte("x"))
	want(t, 409, s.Do(formatstest.Admin, "PUT", app+"lib", encode(t, document("lib", "1.0.0", "latest", []byte("y")))),
		"You cannot publish over the previously published versions: 1.0.0")
	want(t, 200, s.Do(formatstest.Admin, "GET", app+"lib/-/lib-1.0.0.tgz", ""), "x")
}

// A client that found the package changed sends the document of all versions
// with its own added.
func TestPublish_DocumentListsOtherVersions(t *testing.T) {
	s, app := start(t)
	publish(t, s, app, "lib", "1.0.0", "latest", []byte("x"))
	doc := document("lib", "2.0.0", "latest", []byte("y"))
	doc["versions"].(object)["1.0.0"] = object{"name": "lib", "version": "1.0.0", "description": "changed"}
	want(t, 201, s.Do(formatstest.Admin, "PUT", app+"lib", encode(t, doc)))
	old := decode(t, want(t, 200, s.Do(formatstest.Admin, "GET", app+"lib/1.0.0", "")))
	if old["description"] != "a library" {
		t.Error("the other version was changed:", old)
	}
	want(t, 200, s.Do(formatstest.Admin, "GET", app+"lib/latest", ""), `"2.0.0"`)
}
