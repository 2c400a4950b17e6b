package oci_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// discard is a ResponseWriter that discards everything.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// BenchmarkRequest measures one request in this package and the domain, without a
// network.
func BenchmarkRequest(b *testing.B) {
	r := newRegistry(b)
	r.create(b, account, "team/app", images.Settings{})
	c := r.client(b, "admin").in("team/app")
	body := c.manifest(nil)
	d := c.pushManifest("latest", body)
	for i := range 1000 {
		c.pushManifest(fmt.Sprintf("v%d", i), body)
	}
	layer := digest.FromString("a layer").String()
	for _, request := range []struct{ name, method, path string }{
		{"Ping", "GET", "/v2/"},
		{"ManifestByTag", "GET", "/v2/team/app/manifests/latest"},
		{"ManifestByDigest", "GET", "/v2/team/app/manifests/" + d.String()},
		{"HeadBlob", "HEAD", "/v2/team/app/blobs/" + layer},
		{"Tags", "GET", "/v2/team/app/tags/list?n=100&last=v5"},
		{"NotFound", "GET", "/v2/team/app/manifests/absent"},
	} {
		b.Run(request.name, func(b *testing.B) {
			req := httptest.NewRequest(request.method, request.path, nil)
			req.SetBasicAuth("AWS", account+"/admin")
			b.ReportAllocs()
			for b.Loop() {
				w := &discard{header: http.Header{}}
				r.oci.ServeHTTP(w, req)
				if w.status >= 500 {
					b.Fatal(w.status)
				}
			}
		})
	}
}

// BenchmarkBlob sends blobs over loopback.
func BenchmarkBlob(b *testing.B) {
	r := newRegistry(b)
	r.create(b, account, "app", images.Settings{})
	c := r.client(b, "admin").in("app")
	for _, size := range []int{64 << 10, 16 << 20} {
		d := c.pushBlob(strings.Repeat("x", size), "").Digest
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			req, err := http.NewRequest("GET", r.url+"/v2/app/blobs/"+d.String(), nil)
			if err != nil {
				b.Fatal(err)
			}
			req.SetBasicAuth("AWS", account+"/admin")
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				resp, err := http.DefaultTransport.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != int64(size) {
					b.Fatal(n, err)
				}
				_ = resp.Body.Close()
			}
		})
	}
}

// BenchmarkChallenge is a request without credentials: it does little more than parse
// the path.
func BenchmarkChallenge(b *testing.B) {
	r := newRegistry(b)
	req := httptest.NewRequest("GET", "/v2/team/app/manifests/sha256:"+strings.Repeat("0", 64), nil)
	b.ReportAllocs()
	for b.Loop() {
		r.oci.ServeHTTP(&discard{header: http.Header{}}, req)
	}
}
