package images_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/ociremote"
)

// TestAnonymousPulls_NoImport checks that a caller without a token gets what is here, and
// that the other registry of a pull-through cache rule is not asked for anything.
func TestAnonymousPulls_NoImport(t *testing.T) {
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		http.NotFound(w, nil)
	}))
	t.Cleanup(server.Close)
	client, err := egress.NewUpstream(egress.UpstreamConfig{Name: "up", URL: server.URL, AllowPrivate: true}, egress.Services{})
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t)
	up := images.PullThrough{Upstreams: oneUpstream{ociremote.New(client, ociremote.Credential{}, time.Now)}}
	s.Service, err = images.New(t.Context(), images.Config{DB: s.db, Blobs: s.blobs, Work: s.work, Authz: s.authz, Principals: iamtest.Unbound{}, Now: s.clock.now, PullThrough: up})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateCacheRule(t.Context(), home, images.CacheRule{Prefix: "up", URL: "registry.example"}); err != nil {
		t.Fatal(err)
	}
	s.create(t, named("up/app"))
	s.pushImage(t, named("up/app"), "here", "here")
	anonymous := authn.WithCaller(t.Context(), &authn.Caller{Principal: &authn.Principal{Type: authn.Anonymous}})
	pull := func(name, tag string) error {
		_, err := s.PullManifest(anonymous, named(name), images.Reference{Tag: tag})
		return err
	}
	if err := pull("up/app", "here"); !fault.Is(err, "AccessDenied") {
		t.Errorf("without the setting: %v", err)
	}
	if err := s.PutAccountSetting(t.Context(), home, "ANONYMOUS_PULLS", "ENABLED"); err != nil {
		t.Fatal(err)
	}
	s.clock.advance(48 * time.Hour) // the tag is due for a comparison
	for _, tt := range []struct{ name, tag, code string }{
		{"up/app", "here", ""}, {"up/app", "missing", "ImageNotFound"}, {"up/new", "v1", "RepositoryNotFound"},
	} {
		if err := pull(tt.name, tt.tag); tt.code == "" && err != nil || tt.code != "" && !fault.Is(err, tt.code) {
			t.Errorf("%s:%s: %v, want %q", tt.name, tt.tag, err, tt.code)
		}
	}
	if n := requests.Load(); n != 0 {
		t.Errorf("the other registry was asked %d times", n)
	}
	if _, err := s.PullManifest(t.Context(), named("up/app"), images.Reference{Tag: "missing"}); err == nil || requests.Load() == 0 {
		t.Errorf("a caller with a token: %v, %d requests", err, requests.Load())
	}
	if err := s.Service.Close(); err != nil {
		t.Fatal(err)
	}
}
