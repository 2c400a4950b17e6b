package ociremote_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/ociremote"
)

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// open returns the registry that a handler serves.
func open(t *testing.T, c ociremote.Credential, h http.HandlerFunc) *ociremote.Registry {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	client, err := egress.NewUpstream(egress.UpstreamConfig{Name: "test", URL: server.URL, AllowPrivate: true, Limits: egress.Limits{Attempts: 1}}, egress.Services{})
	if err != nil {
		t.Fatal(err)
	}
	return ociremote.New(client, c, time.Now)
}

// guarded is a registry that wants tokens: the handler behind it gets requests that have one.
func guarded(user, password string, tokens *atomic.Int64, behind http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			tokens.Add(1)
			if u, p, _ := r.BasicAuth(); u != user || p != password {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			fmt.Fprintf(w, `{"token":"for %s at %s","expires_in":300}`, r.FormValue("scope"), r.FormValue("service"))
		case r.Header.Get("Authorization") != "Bearer for repository:a/b:pull at reg":
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",service="reg",scope="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			behind(w, r)
		}
	}
}

func TestRegistry_TokenHandshake(t *testing.T) {
	var tokens atomic.Int64
	body := `{"schemaVersion":2}`
	handler := guarded("me", "secret", &tokens, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", manifestType)
		io.WriteString(w, body)
	})
	r := open(t, ociremote.Credential{Username: "me", Password: "secret"}, handler)
	for range 3 {
		m, err := r.Manifest(t.Context(), "a/b", "latest")
		if err != nil || string(m.Body) != body || m.MediaType != manifestType || m.Digest != digest.FromString(body) {
			t.Fatal(m, err)
		}
	}
	if n := tokens.Load(); n != 1 {
		t.Errorf("%d tokens for three requests", n)
	}
	r = open(t, ociremote.Credential{Username: "me", Password: "wrong"}, handler)
	if _, err := r.Manifest(t.Context(), "a/b", "latest"); !errors.Is(err, ociremote.ErrDenied) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("a wrong password: %v", err)
	}
}

func TestRegistry_BasicAuthentication(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	if err := open(t, ociremote.Credential{Username: "me", Password: "secret"}, handler).Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if err := open(t, ociremote.Credential{}, handler).Ping(t.Context()); !errors.Is(err, ociremote.ErrDenied) {
		t.Errorf("without a credential: %v", err)
	}
}

// TestRegistry_Redirect checks that another host does not get the token.
func TestRegistry_Redirect(t *testing.T) {
	content := "layer"
	var leaked atomic.Bool
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaked.Store(r.Header.Get("Authorization") != "")
		io.WriteString(w, content)
	}))
	defer files.Close()
	var tokens atomic.Int64
	registry := httptest.NewServer(guarded("me", "secret", &tokens, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, files.URL+"/x", http.StatusTemporaryRedirect)
	}))
	defer registry.Close()
	client, err := egress.NewUpstream(egress.UpstreamConfig{Name: "test", URL: registry.URL, AllowPrivate: true, FileHosts: []string{strings.TrimPrefix(files.URL, "http://")}}, egress.Services{})
	if err != nil {
		t.Fatal(err)
	}
	r := ociremote.New(client, ociremote.Credential{Username: "me", Password: "secret"}, time.Now)
	b, err := r.Blob(t.Context(), "a/b", digest.FromString(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if got, err := io.ReadAll(b); err != nil || string(got) != content || leaked.Load() {
		t.Errorf("%q, %v, leaked %v", got, err, leaked.Load())
	}
}

// TestRegistry_WrongBytes checks that no answer is taken for what it is not.
func TestRegistry_WrongBytes(t *testing.T) {
	right := "right"
	d := digest.FromString(right)
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
	}{
		{"another digest", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "wrong") }},
		{"too long", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "right and more") }},
		{"too short", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "righ") }},
		{"cut in the middle", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "ri")
		}},
		{"a login page", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<html>log in</html>")
		}},
		{"redirects for ever", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}},
		{"redirect to this machine", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/x", http.StatusFound)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := open(t, ociremote.Credential{}, c.handler)
			if b, err := r.Blob(t.Context(), "a/b", d, int64(len(right))); err == nil {
				got, err := io.ReadAll(b)
				b.Close()
				if err == nil {
					t.Errorf("the blob %q has no error", got)
				}
			}
			if m, err := r.Manifest(t.Context(), "a/b", string(d)); err == nil {
				t.Errorf("the manifest %q has no error", m.Body)
			}
		})
	}
}
