package proxy_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Documents name the proxy; everything else is what the upstream has.
func TestProxy_RewritesAddresses(t *testing.T) {
	const up, here = "UPSTREAM", "PROXY"
	for name, c := range map[string]struct{ path, media, answer, want string }{
		"npm": {
			"/acme-lib/npm/left", "application/json", `{"dist":{"tarball":"UPSTREAM/npm/lib/left/-/left-1.0.0.tgz"}}`,
			`{"dist":{"tarball":"PROXY/acme-lib/npm/left/-/left-1.0.0.tgz"}}`,
		},
		"npm, abbreviated": {
			"/acme-lib/npm/left", "application/vnd.npm.install-v1+json; charset=utf-8", `"UPSTREAM/npm/lib/x"`, `"PROXY/acme-lib/npm/x"`,
		},
		"npm, slashes escaped": {"/acme-lib/npm/left", "application/json", `"` + `ESCAPED\/npm\/lib\/left"`, `"LOCAL\/acme-lib\/npm\/left"`},
		"npm, another's":       {"/acme-lib/npm/left", "application/json", `"https://registry.example/npm/lib/x"`, `"https://registry.example/npm/lib/x"`},
		"npm, a tarball":       {"/acme-lib/npm/left/-/left.tgz", "application/octet-stream", "UPSTREAM/npm/lib/", "UPSTREAM/npm/lib/"},
		"another endpoint's":   {"/acme-lib/npm/left", "application/json", `"UPSTREAM/pypi/lib/x"`, `"PROXY/acme-lib/pypi/x"`},
		"PyPI, HTML": {
			"/acme-lib/pypi/simple/a/", "text/html", `<a href="UPSTREAM/pypi/lib/a.whl"><a href="/pypi/lib/b.whl"><a href='/pypi/lib/c.whl'><a href="../d.whl">`,
			`<a href="PROXY/acme-lib/pypi/a.whl"><a href="/acme-lib/pypi/b.whl"><a href='/acme-lib/pypi/c.whl'><a href="../d.whl">`,
		},
		"PyPI, JSON": {
			"/acme-lib/pypi/simple/a/", "application/vnd.pypi.simple.v1+json", `{"files":[{"url":"UPSTREAM/pypi/lib/a.whl"}]}`, `{"files":[{"url":"PROXY/acme-lib/pypi/a.whl"}]}`,
		},
		"PyPI, a file": {"/acme-lib/pypi/a/1/a.json", "application/json", `"UPSTREAM/pypi/lib/"`, `"UPSTREAM/pypi/lib/"`},
		"cargo": {
			"/acme-lib/cargo/config.json", "application/json", `{"dl":"UPSTREAM/cargo/lib/d","api":"UPSTREAM/cargo/lib","auth-required":true}`,
			`{"dl":"PROXY/acme-lib/cargo/d","api":"PROXY/acme-lib/cargo","auth-required":false}`,
		},
		"cargo, the index": {"/acme-lib/cargo/le/ft/left", "application/json", `"UPSTREAM/cargo/lib/"`, `"UPSTREAM/cargo/lib/"`},
		"NuGet":            {"/acme-lib/nuget/v3/index.json", "application/json", `{"@id":"UPSTREAM/nuget/lib/v3/x/"}`, `{"@id":"PROXY/acme-lib/nuget/v3/x/"}`},
		"Maven":            {"/acme-lib/maven/a/a.pom", "text/xml", `<url>UPSTREAM/maven/lib/</url>`, `<url>UPSTREAM/maven/lib/</url>`},
		"a manifest":       {"/v2/app/manifests/v1", "application/vnd.oci.image.manifest.v1+json", `"UPSTREAM/npm/lib/"`, `"UPSTREAM/npm/lib/"`},
	} {
		for _, zipped := range []bool{false, true} {
			var answer []byte
			r := start(t, func(w http.ResponseWriter, q *http.Request) {
				w.Header().Set("Content-Type", c.media)
				w.Header().Set("ETag", `"1"`)
				if zipped && q.Header.Get("Accept-Encoding") == "gzip" {
					w.Header().Set("Content-Encoding", "gzip")
					z := gzip.NewWriter(w)
					_, _ = z.Write(answer)
					_ = z.Close()
					return
				}
				_, _ = w.Write(answer)
			}, "npm", "pypi", "cargo", "nuget", "maven")
			isOwnHost := strings.NewReplacer(
				up, r.upstream.URL, here, r.url,
				"ESCAPED", strings.ReplaceAll(r.upstream.URL, "/", `\/`), "LOCAL", strings.ReplaceAll(r.url, "/", `\/`))
			answer = []byte(isOwnHost.Replace(c.answer))
			want := isOwnHost.Replace(c.want)
			encoding := "br, gzip;q=0.5"
			if !zipped {
				encoding = "br"
			}
			res, text := r.get(c.path, "Accept-Encoding", encoding)
			r.want(http.StatusOK, res, text)
			if res.Header.Get("Content-Encoding") == "gzip" { // as it was
				z, err := gzip.NewReader(strings.NewReader(text))
				if err != nil {
					t.Fatal(err)
				}
				plain, err := io.ReadAll(z)
				if err != nil {
					t.Fatal(err)
				}
				text = string(plain)
			}
			if text != want {
				t.Errorf("%s: %s; want %s", name, text, want)
			}
			if changed := text != string(answer); changed && res.Header.Get("ETag") != `W/"1"` || changed && res.Header.Get("Content-Length") != "" && zipped {
				t.Errorf("%s: %v", name, res.Header)
			}
			res, _ = r.do(http.MethodHead, c.path, nil)
			if text != string(answer) && res.ContentLength >= 0 {
				t.Errorf("%s: HEAD says %d bytes", name, res.ContentLength)
			}
		}
	}
}

// A redirect within what is served stays here; any other is the client's to
// follow, without a token.
func TestProxy_Redirects(t *testing.T) {
	r := start(t, func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Location", q.URL.Query().Get("to"))
		w.Header().Set("Link", q.URL.Query().Get("link"))
		w.WriteHeader(http.StatusTemporaryRedirect)
	}, "npm")
	for to, want := range map[string]string{
		r.upstream.URL + "/npm/lib/left?a=b": r.url + "/acme-lib/npm/left?a=b",
		"/npm/lib/@a%2fb":                    r.url + "/acme-lib/npm/@a%2fb",
		"other":                              r.url + "/acme-lib/npm/other",
		"/v2/app/blobs/uploads/1":            r.url + "/v2/app/blobs/uploads/1",
		"https://bucket.s3.example/object?X-Amz-Signature=": "https://bucket.s3.example/object?X-Amz-Signature=",
		"//evil.example/npm/lib/":                           "http://evil.example/npm/lib/",
		"/elsewhere":                                        r.upstream.URL + "/elsewhere",
	} {
		res, text := r.get("/acme-lib/npm/left?to=" + strings.ReplaceAll(strings.ReplaceAll(to, "%", "%25"), "&", "%26") + "&link=%3C" + r.upstream.URL + "/npm/lib/2%3E%3B+rel=next")
		r.want(http.StatusTemporaryRedirect, res, text)
		if got := res.Header.Get("Location"); got != want {
			t.Errorf("%s: %s; want %s", to, got, want)
		}
		if got := res.Header.Get("Link"); got != "<"+r.url+"/acme-lib/npm/2>; rel=next" {
			t.Error(got)
		}
	}
}

// What a client has from before is still good: validators go both ways.
func TestProxy_NotModified(t *testing.T) {
	r := start(t, func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("If-None-Match") == `W/"1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.Copy(w, bytes.NewReader([]byte("{}")))
	}, "npm")
	res, text := r.get("/acme-lib/npm/left")
	r.want(http.StatusOK, res, text)
	res, text = r.get("/acme-lib/npm/left", "If-None-Match", res.Header.Get("ETag"))
	r.want(http.StatusNotModified, res, text)
}
