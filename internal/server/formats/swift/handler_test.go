package swift_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/swift"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

const (
	jsonAccept = "Accept: application/vnd.swift.registry.v1+json"
	plain      = "// swift-tools-version:5.7\nimport PackageDescription\n"
	forSwift6  = "// swift-tools-version: 6.0\nimport PackageDescription\n// six\n"
)

func start(t testing.TB) (s *formatstest.Server, app string) {
	t.Helper()
	s = formatstest.Start(t, func(p *packages.Service) map[packages.Format]formats.Protocol {
		return map[packages.Format]formats.Protocol{packages.Swift: swift.New(formats.ProtocolConfig{Packages: p, MaxAsset: 1 << 20})}
	})
	return s, s.Endpoint(formatstest.App, packages.Swift)
}

// zipOf returns a source archive with the files.
func zipOf(t testing.TB, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(files[name]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func sources(t testing.TB, content string) string {
	return zipOf(t, map[string]string{
		"acme.Sample/Package.swift": plain, "acme.Sample/Package@swift-6.0.swift": forSwift6, "acme.Sample/Sources/Sample/a.swift": content, "acme.Sample/Examples/Package.swift": "another",
	})
}

// body is a publication as Swift 6.0 was observed to send it: the boundary is quoted, the header lines
// of the parts vary in their order, and the metadata claim to be quoted-printable.
func body(archive string, others ...string) (text string, headers []string) {
	const boundary = "6F1A-boundary"
	var b strings.Builder
	part := func(name, headers, content string) {
		fmt.Fprintf(&b, "--%s\r\n%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n", boundary, headers, name, content)
	}
	part("source-archive", "Content-Type: application/zip\r\nContent-Transfer-Encoding: binary", archive)
	for i := 0; i+1 < len(others); i += 2 {
		part(others[i], "Content-Type: application/json\r\nContent-Transfer-Encoding: quoted-printable", others[i+1])
	}
	b.WriteString("--" + boundary + "--\r\n")
	return b.String(), []string{`Content-Type: multipart/form-data;boundary="` + boundary + `"`, jsonAccept, "Prefer: respond-async", "X-Swift-Package-Signature-Format: cms-1.0.0"}
}

func publish(t testing.TB, s *formatstest.Server, u formatstest.User, address, archive string, others ...string) formatstest.Response {
	t.Helper()
	text, headers := body(archive, others...)
	return s.Do(u, "PUT", address, text, headers...)
}

// want fails the test unless the response has the status and contains the texts. Every
// answer names the version of the API.
func want(t testing.TB, status int, r formatstest.Response, texts ...string) formatstest.Response {
	t.Helper()
	if r.StatusCode != status || r.Header.Get("Content-Version") != "1" {
		t.Fatalf("%s %s: %d, want %d; Content-Version %q: %.300s", r.Request.Method, r.Request.URL, r.StatusCode, status, r.Header.Get("Content-Version"), r.Body)
	}
	if status >= 400 && r.Header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%s %s: %s", r.Request.Method, r.Request.URL, r.Header.Get("Content-Type"))
	}
	for _, text := range texts {
		if !strings.Contains(r.Body, text) {
			t.Fatalf("%s %s: %q is not in %.800s", r.Request.Method, r.Request.URL, text, r.Body)
		}
	}
	return r
}

func TestConformance(t *testing.T) {
	formatstest.Conformance(t, formatstest.Format{
		Open:    func(p *packages.Service) formats.Protocol { return swift.New(formats.ProtocolConfig{Packages: p}) },
		Package: packages.PackageID{Format: packages.Swift, Namespace: "acme", Name: "sample"},
		Version: func(n int) string { return fmt.Sprintf("1.%d.0", n) },
		Publish: func(t testing.TB, version, content string) []formatstest.Call {
			text, headers := body(sources(t, content), "metadata", `{"repositoryURLs":["https://git.example/sample"]}`)
			return []formatstest.Call{{Method: "PUT", Path: "acme/sample/" + version, Body: text, Headers: headers}}
		},
		Published: 201, Conflict: 409,
		Document: formatstest.Call{Method: "GET", Path: "acme/sample"},
		Lists: func(t testing.TB, document, version string) bool {
			var d struct{ Releases map[string]any }
			if err := json.Unmarshal([]byte(document), &d); err != nil {
				t.Fatal(err)
			}
			return d.Releases[version] != nil
		},
		Asset: func(version string) string { return "acme/sample/" + version + ".zip" },
		Refusal: func(t testing.TB, r formatstest.Response) string {
			var p struct {
				Status int
				Detail string
			}
			if err := json.Unmarshal([]byte(r.Body), &p); err != nil || p.Status != r.StatusCode {
				t.Errorf("%s: %v", r.Body, err)
			}
			return p.Detail
		},
		Body: func(t testing.TB, r formats.RouteInfo) (string, []string) {
			if r.Method == "PUT" {
				return body(sources(t, "another"))
			}
			return "", nil
		},
	})
}

// The requests of swift package resolve, in the order in which Swift 6.0.3 and 6.2.3
// were observed to send them. They are rebuilt here; no client runs.
func TestResolve(t *testing.T) {
	s, app := start(t)
	archive := sources(t, "one")
	r := want(t, 201, publish(t, s, formatstest.Publisher, app+"Acme/LinkedList/1.0.0", archive))
	if to := r.Header.Get("Location"); to != app+"Acme/LinkedList/1.0.0" {
		t.Errorf("Location: %s", to)
	}
	want(t, 201, publish(t, s, formatstest.Publisher, app+"acme/linkedlist/1.1.0-beta", sources(t, "two")))

	r = want(t, 200, s.Do(formatstest.Reader, "GET", app+"acme/LinkedList", "", jsonAccept), `"1.0.0":{"url":"`+app+`acme/LinkedList/1.0.0"}`, `"1.1.0-beta"`)
	if link := r.Header.Get("Link"); link != "<"+app+`acme/LinkedList/1.0.0>; rel="latest-version"` || r.Header.Get("Content-Type") != "application/json" {
		t.Error(link, r.Header.Get("Content-Type"))
	}
	want(t, 200, s.Do(formatstest.Reader, "GET", app+"acme/linkedlist.json", "", jsonAccept))

	sum := sha256.Sum256([]byte(archive))
	about := want(t, 200, s.Do(formatstest.Reader, "GET", app+"acme/LinkedList/1.0.0", "", jsonAccept),
		`{"id":"Acme.LinkedList","version":"1.0.0","resources":[{"name":"source-archive","type":"application/zip","checksum":"`+hex.EncodeToString(sum[:])+`"}],"metadata":{}`)
	var document struct{ PublishedAt string }
	if err := json.Unmarshal([]byte(about.Body), &document); err != nil {
		t.Fatal(err)
	}
	if _, err := time.Parse("2006-01-02T15:04:05Z", document.PublishedAt); err != nil { // Swift 6.0 reads no fraction
		t.Error(err)
	}

	accept := "Accept: application/vnd.swift.registry.v1+swift"
	m := want(t, 200, s.Do(formatstest.Reader, "GET", app+"acme/LinkedList/1.0.0/Package.swift", "", accept))
	if m.Body != plain || m.Header.Get("Content-Type") != "text/x-swift" ||
		!strings.HasSuffix(m.Header.Get("Link"), `/Package.swift?swift-version=6.0>; rel="alternate"; filename="Package@swift-6.0.swift"; swift-tools-version="6.0"`) {
		t.Errorf("%q %v", m.Body, m.Header)
	}
	if m := want(t, 200, s.Do(formatstest.Reader, "GET", app+"acme/LinkedList/1.0.0/Package.swift?swift-version=6.0", "", accept)); m.Body != forSwift6 {
		t.Errorf("%q", m.Body)
	}
	m = s.Do(formatstest.Reader, "GET", app+"acme/LinkedList/1.0.0/Package.swift?swift-version=5.9", "", accept)
	if m.StatusCode != 303 || m.Header.Get("Location") != app+"acme/LinkedList/1.0.0/Package.swift" {
		t.Errorf("%d %v", m.StatusCode, m.Header)
	}
	want(t, 400, s.Do(formatstest.Reader, "GET", app+"acme/LinkedList/1.0.0/Package.swift?swift-version=../x", "", accept))

	z := want(t, 200, s.Do(formatstest.Reader, "GET", app+"acme/LinkedList/1.0.0.zip", "", "Accept: application/vnd.swift.registry.v1+zip"))
	if z.Body != archive || z.Header.Get("Content-Type") != "application/zip" || z.Header.Get("Digest") != "sha-256="+base64.StdEncoding.EncodeToString(sum[:]) ||
		z.Header.Get("Content-Disposition") != `attachment; filename="linkedlist-1.0.0.zip"` || z.Header.Get("X-Swift-Package-Signature") != "" {
		t.Errorf("%v", z.Header)
	}
}

// A signature is of the bytes that were sent. They are not quoted-printable, whatever
// their header says.
func TestPublish_Signed(t *testing.T) {
	s, app := start(t)
	const metadata = `{"description":"a=3Db is not a=b","repositoryURLs":["https://Git.example/acme/List.git"],"licenseURL":"https://git.example/license"}`
	want(t, 201, publish(t, s, formatstest.Admin, app+"acme/List/1.0.0", sources(t, "one"), "source-archive-signature", "\x30\x82=3D", "metadata", metadata, "metadata-signature", "\x30"))
	want(t, 200, s.Do(formatstest.Reader, "GET", app+"acme/List/1.0.0", "", jsonAccept), `"metadata":`+metadata,
		`"signing":{"signatureBase64Encoded":"`+base64.StdEncoding.EncodeToString([]byte("\x30\x82=3D"))+`","signatureFormat":"cms-1.0.0"}`)
	z := want(t, 200, s.Do(formatstest.Reader, "GET", app+"acme/List/1.0.0.zip", ""))
	if z.Header.Get("X-Swift-Package-Signature-Format") != "cms-1.0.0" || z.Header.Get("X-Swift-Package-Signature") != base64.StdEncoding.EncodeToString([]byte("\x30\x82=3D")) {
		t.Errorf("%v", z.Header)
	}
	for _, address := range []string{"https://git.example/acme/List", "git@git.example:acme/List.git", "ssh://git@GIT.example/acme/List/"} {
		want(t, 200, s.Do(formatstest.Reader, "GET", app+"identifiers?url="+address, "", jsonAccept), `{"identifiers":["acme.list"]}`)
	}
	want(t, 404, s.Do(formatstest.Reader, "GET", app+"identifiers?url=https://git.example/acme/other", "", jsonAccept))
	_, d, err := s.Packages.DescribeVersion(authn.WithCaller(t.Context(), s.Caller(formatstest.Admin)), formatstest.App, packages.PackageID{Format: packages.Swift, Namespace: "acme", Name: "list"}, "1.0.0")
	if err != nil || d.DisplayName != "acme.List" || d.Summary != "a=3Db is not a=b" || d.Licenses[0].URL == "" || d.SourceCodeRepository == "" {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestPublish_Invalid(t *testing.T) {
	s, app := start(t)
	address := app + "acme/sample/1.0.0"
	for name, c := range map[string]struct {
		archive string
		others  []string
		message string
		status  int
	}{
		"not a zip":         {"sources", nil, "archive", 422},
		"no manifest":       {zipOf(t, map[string]string{"a/b.swift": ""}), nil, "no Package.swift", 422},
		"a manifest below":  {zipOf(t, map[string]string{"a/b/Package.swift": plain}), nil, "no Package.swift", 422},
		"no folder":         {zipOf(t, map[string]string{"Package.swift": plain}), nil, "not in one folder", 422},
		"two folders":       {zipOf(t, map[string]string{"a/Package.swift": plain, "b/c.swift": ""}), nil, "not in one folder", 422},
		"a path upwards":    {zipOf(t, map[string]string{"a/../../Package.swift": plain}), nil, "archive", 422},
		"a large manifest":  {zipOf(t, map[string]string{"a/Package.swift": strings.Repeat("/", 2<<20)}), nil, "Package.swift", 422},
		"a large archive":   {strings.Repeat("x", 1<<20+1), nil, "larger", 413},
		"metadata":          {sources(t, ""), []string{"metadata", "{"}, "not JSON", 422},
		"metadata of types": {sources(t, ""), []string{"metadata", `{"repositoryURLs":1}`}, "cannot be read", 422},
		"an unknown part":   {sources(t, ""), []string{"else", "x"}, "not known", 422},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, c.status, publish(t, s, formatstest.Admin, address, c.archive, c.others...), c.message)
		})
	}
	want(t, 422, s.Do(formatstest.Admin, "PUT", address, "x", "Content-Type: application/zip"), "multipart/form-data")
	text, headers := body(sources(t, ""))
	want(t, 422, s.Do(formatstest.Admin, "PUT", address, text[:len(text)/2], headers...), "to its end")
	want(t, 422, s.Do(formatstest.Admin, "PUT", address, strings.ReplaceAll(text, "source-archive", "metadata"), headers...), "")
	if n := s.Objects(); n != 0 {
		t.Errorf("%d objects are left of what was refused", n)
	}
	want(t, 404, s.Do(formatstest.Reader, "GET", app+"acme/sample", "", jsonAccept))
}

func TestAccept(t *testing.T) {
	s, app := start(t)
	want(t, 201, publish(t, s, formatstest.Admin, app+"acme/sample/1.0.0", sources(t, "")))
	for accept, status := range map[string]int{
		"application/vnd.swift.registry.v1+json": 200, "application/vnd.swift.registry+json": 200, "*/*": 200, "application/json": 200,
		"application/vnd.swift.registry.v2+json":                                         415,
		"application/vnd.swift.registry.v2+json, application/vnd.swift.registry.v1+json": 200,
		"application/vnd.swift.registry.1+json":                                          400,
	} {
		want(t, status, s.Do(formatstest.Reader, "GET", app+"acme/sample", "", "Accept: "+accept))
	}
}

// With Basic in the challenge of a 401, Swift on Linux waits forever.
func TestLogin(t *testing.T) {
	s, app := start(t)
	want(t, 200, s.Do(formatstest.Reader, "POST", app+"login", ""))
	want(t, 200, s.Do(formatstest.Reader, "GET", app+"availability", ""))
	token := s.Token(formatstest.Reader, formatstest.Domain)
	want(t, 200, s.Do("", "POST", app+"login", "", "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("token:"+token))))
	s.Advance(13 * time.Hour)
	r := want(t, 401, s.Do("", "POST", app+"login", "", "Authorization: Bearer "+token), "expired", "--tool swift")
	if c := r.Header.Values("WWW-Authenticate"); len(c) != 1 || !strings.HasPrefix(c[0], "Bearer ") {
		t.Errorf("%q", c)
	}
	want(t, 403, s.Do(formatstest.Publisher, "POST", app+"login", ""), "codeartifact:ReadFromRepository")
}
