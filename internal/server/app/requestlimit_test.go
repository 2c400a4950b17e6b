package app_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// The streams of HTTP/2 connections do not take all requests, or files, that the server
// can have at a time.
func TestLimits_Streams(t *testing.T) {
	const connections, share = 40, 10
	certificate, key, pool := selfSigned(t, t.TempDir())
	g := startWith(t, func(c *config.Config) {
		c.Limits.Connections, c.TLS = connections, &config.TLS{Certificate: certificate, Key: key}
		c.DrainTimeout = time.Second
	})
	connect := func(http2 bool) *http.Client {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: http2}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport, Timeout: time.Minute}
	}
	get := func(c *http.Client, path string) *http.Response {
		t.Helper()
		res := must(c.Get(g.url + path))(t)
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		return res
	}
	first, other, old := connect(true), connect(true), connect(false)
	if res := get(first, "/healthz"); res.ProtoMajor != 2 {
		t.Fatalf("the protocol is %s", res.Proto)
	}
	for range share { // a form that never ends
		body, end := io.Pipe()
		t.Cleanup(func() { end.Close() })
		r := must(http.NewRequestWithContext(t.Context(), http.MethodPost, g.url, body))(t)
		r.ContentLength = 60
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		go func() {
			if res, err := first.Do(r); err == nil {
				res.Body.Close()
			}
		}()
		go io.WriteString(end, "Action=")
	}
	for deadline := time.Now().Add(time.Minute); ; {
		res := get(other, "/v2/")
		if res.StatusCode == http.StatusServiceUnavailable {
			if res.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("there is no limit of streams")
		}
	}
	if res := get(other, "/healthz"); res.StatusCode != http.StatusOK {
		t.Errorf("/healthz: %s", res.Status)
	}
	if res := get(old, "/v2/"); res.StatusCode != http.StatusUnauthorized || res.ProtoMajor != 1 {
		t.Errorf("HTTP/1: %s", res.Status)
	}
}
