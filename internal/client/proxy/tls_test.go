package proxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/proxy"
)

// fixed is a source with one token after another.
type fixed struct{ forgotten atomic.Int64 }

func (f *fixed) Token(context.Context) (authtoken.Token, error) {
	value := strings.Repeat("n", int(f.forgotten.Load()))
	return authtoken.Token{Username: "aws", Password: "t" + value, Value: "t" + value, Type: "Bearer", Expires: time.Now().Add(time.Hour)}, nil
}

func (f *fixed) Forget(context.Context) error {
	f.forgotten.Add(1)
	return nil
}

// secure starts a proxy for an upstream with TLS, over either version of HTTP, and
// returns its address.
func secure(t *testing.T, version2 bool, trusted bool, handler http.HandlerFunc) string {
	t.Helper()
	upstream := httptest.NewUnstartedServer(handler)
	upstream.EnableHTTP2 = version2
	upstream.Config.ErrorLog = log.New(io.Discard, "", 0)
	upstream.StartTLS()
	t.Cleanup(upstream.Close)
	u, err := url.Parse(upstream.URL + "/npm/lib/")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if trusted {
		roots.AddCert(upstream.Certificate())
	}
	l, err := proxy.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, err := proxy.New(l, []proxy.Upstream{{
		Name: "lib", Format: "npm", URL: u, Tokens: new(fixed),
		Transport: &http.Transport{ForceAttemptHTTP2: version2, TLSClientConfig: &tls.Config{RootCAs: roots}},
	}}, proxy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	stopped := make(chan error, 1)
	go func() { stopped <- p.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
	return p.Address(0).String()
}

// Over TLS it is the same, with both versions of HTTP: a refused token is
// replaced, and a body sent again.
func TestProxy_TLS(t *testing.T) {
	large := bytes.Repeat([]byte("large"), 1<<20)
	for _, version2 := range []bool{false, true} {
		address := secure(t, version2, true, func(w http.ResponseWriter, q *http.Request) {
			if (q.ProtoMajor == 2) != version2 {
				t.Error(q.Proto)
			}
			if tokenOf(q) != "tn" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			hashed(w, q)
		})
		for _, body := range [][]byte{large, nil, []byte("small")} {
			res, err := http.Post(address+"left", "application/octet-stream", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || res.StatusCode != http.StatusOK || string(text) != hashOf(body) {
				t.Errorf("HTTP/2 %v, %d bytes: %s %s %v", version2, len(body), res.Status, text, err)
			}
		}
	}
}

// An upstream whose certificate is not trusted gets nothing.
func TestProxy_UntrustedCertificate(t *testing.T) {
	address := secure(t, false, false, func(http.ResponseWriter, *http.Request) { t.Error("the upstream was reached") })
	res, err := http.Get(address + "left")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusBadGateway || !strings.Contains(string(text), "certificate") {
		t.Errorf("%s %s %v", res.Status, text, err)
	}
}
