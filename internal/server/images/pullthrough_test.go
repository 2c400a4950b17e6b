package images_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/ociremote"
)

// A oneUpstream is the registry of all rules.
type oneUpstream struct{ registry *ociremote.Registry }

func (oneUpstream) CheckURL(images.RegistryID, string) error { return nil }

func (oneUpstream) CheckCredential(context.Context, images.RegistryID, string) error {
	return errors.New("the test has no secrets")
}

func (u oneUpstream) Open(context.Context, images.RegistryID, *images.CacheRule) (*ociremote.Registry, error) {
	return u.registry, nil
}

// TestPullThrough_NeedsNoDatabase checks that an image that is here and was compared lately is
// pulled without the database and without the other registry.
func TestPullThrough_NeedsNoDatabase(t *testing.T) {
	config := []byte(`{}`)
	body := manifest("config", describe(ocispec.MediaTypeImageConfig, config), "layers", []any{})
	d := digest.FromBytes(body)
	mux := http.NewServeMux()
	for _, reference := range []string{"v1", d.String()} {
		mux.HandleFunc("/v2/app/manifests/"+reference, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
			w.Header().Set("Docker-Content-Digest", d.String())
			_, _ = w.Write(body)
		})
	}
	mux.HandleFunc("/v2/app/blobs/"+digest.FromBytes(config).String(), func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(config) })
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		mux.ServeHTTP(w, r)
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
	refs := []images.Reference{{Tag: "v1"}, {Digest: d}, {Tag: "v1", Digest: d}}
	pull := func() {
		t.Helper()
		for _, ref := range refs {
			if _, err := s.PullManifest(t.Context(), named("up/app"), ref); err != nil {
				t.Errorf("%+v: %v", ref, err)
			}
		}
	}
	pull()
	// The other registry does not have what was pushed here, and is not asked again at once.
	s.pushImage(t, named("up/app"), "here", "here")
	refs = append(refs, images.Reference{Tag: "here"})
	pull()
	asked := requests.Load()
	s.clock.advance(time.Hour)
	pull()
	if n := requests.Load() - asked; n != 0 {
		t.Errorf("%d requests", n)
	}
	if err := s.Service.Close(); err != nil {
		t.Fatal(err)
	}
	server.Close()
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	s.clock.advance(time.Hour)
	pull()
}
