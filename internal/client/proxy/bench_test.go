package proxy_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"
)

// BenchmarkRequest is what a request takes by way of the proxy, and without it.
func BenchmarkRequest(b *testing.B) {
	layer := bytes.Repeat([]byte("0123456789abcdef"), 8<<16) // 8 MiB
	document := bytes.Repeat([]byte(`{"dist":{"tarball":"https://registry.example/left/-/left-1.0.0.tgz"}}`), 1000)
	r := start(b, func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/npm/lib/left" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(document)
			return
		}
		if q.URL.Path == "/v2/layer" {
			_, _ = w.Write(layer)
		}
	}, "npm")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	res, text := r.get("/v2/")
	r.want(http.StatusOK, res, text)
	seen := r.requests()
	authorization := seen[len(seen)-1].Header.Get("Authorization")
	for _, c := range []struct{ name, url string }{
		{"small", r.url + "/v2/"},
		{"small, without", r.upstream.URL + "/v2/"},
		{"layer", r.url + "/v2/layer"},
		{"layer, without", r.upstream.URL + "/v2/layer"},
		{"document", r.url + "/acme-lib/npm/left"},
		{"document, without", r.upstream.URL + "/npm/lib/left"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				q, err := http.NewRequestWithContext(b.Context(), http.MethodGet, c.url, nil)
				if err != nil {
					b.Fatal(err)
				}
				q.Header.Set("Authorization", authorization)
				res, err := client.Do(q)
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if err != nil || res.StatusCode != http.StatusOK {
					b.Fatal(res.Status, err)
				}
				b.SetBytes(n)
			}
		})
	}
}
