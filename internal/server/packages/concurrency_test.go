package packages_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/removal/removaltest"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Whoever published sees it in the next read, whatever others read meanwhile,
// and a view never loses what an earlier one had.
func TestPackage_ReadYourWrites(t *testing.T) {
	h := open(t)
	h.repositories("base", "app: base")
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for r := range 3 {
		repo := domain.Repository([]string{"base", "app"}[r%2])
		readers.Go(func() {
			last := 0
			for {
				select {
				case <-done:
					return
				default:
				}
				p, err := h.Package(h.ctx, repo, npm("lib"))
				if err != nil && !fault.Is(err, "ResourceNotFound") {
					t.Error(err)
					return
				}
				if err != nil {
					continue
				}
				if len(p.Versions) < last {
					t.Errorf("%d versions after %d", len(p.Versions), last)
					return
				}
				last = len(p.Versions)
			}
		})
	}
	for w := range 4 {
		writers.Go(func() {
			for i := range 8 {
				version := fmt.Sprintf("%d.%d.0", w, i)
				if _, err := h.publish("base", npm("lib"), version, "a", version); err != nil {
					t.Error(err)
					return
				}
				for _, repo := range []string{"base", "app"} {
					p, err := h.Package(h.ctx, domain.Repository(repo), npm("lib"))
					if err != nil || p.Version(version) == nil {
						t.Errorf("%s does not show %s after it was published: %v", repo, version, err)
						return
					}
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
}

// Of several concurrent publications of one version with different bytes, exactly
// one succeeds.
func TestPublish_Concurrent(t *testing.T) {
	h := open(t)
	h.repositories("store")
	var wg sync.WaitGroup
	results := make([]error, 8)
	for i := range results {
		wg.Go(func() { _, results[i] = h.publish("store", npm("lib"), "1.0.0", "a", fmt.Sprint("content ", i)) })
	}
	wg.Wait()
	winner := -1
	for i, err := range results {
		if err == nil {
			if winner >= 0 {
				t.Fatal("two succeeded")
			}
			winner = i
			continue
		}
		fails(t, err, "Conflict")
	}
	s, err := h.read("store", npm("lib"), "1.0.0", "a")
	if err != nil || s != fmt.Sprint("content ", winner) || h.objects() != 1 {
		t.Fatalf("%q, %v, winner %d, %d objects", s, err, winner, h.objects())
	}
}

// Concurrent downloads of a version that is upstream retain it once.
func TestOpenAsset_ConcurrentRetention(t *testing.T) {
	h := open(t)
	h.repositories("base", "app: base")
	h.mustPublish("base", npm("lib"), "1.0.0", "a", "x")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if s, err := h.read("app", npm("lib"), "1.0.0", "a"); s != "x" || err != nil {
				t.Errorf("%q, %v", s, err)
			}
		})
	}
	wg.Wait()
	v, err := h.ListVersions(h.ctx, domain.Repository("app"), npm("lib"))
	if err != nil || len(v.All) != 1 || len(v.All[0].Assets) != 1 {
		t.Fatalf("%+v, %v", v, err)
	}
}

// With room for next to nothing the store answers the same.
func TestPackage_TinyCache(t *testing.T) {
	h := open(t)
	s, err := packages.New(h.ctx, packages.Config{DB: h.db, Blobs: h.blobs, Removals: removaltest.New(t, h.db, h.blobs, h.now), Authz: h.authorizer(), Principals: iamtest.Unbound{}, Now: h.now, CacheBytes: 1})
	h.ok(err)
	h.Service = s
	h.repositories("base", "app: base")
	for i := range 5 {
		h.mustPublish("base", npm(fmt.Sprint("lib", i)), "1.0.0", "a", "x")
	}
	for i := range 5 {
		if got := h.versions("app", npm(fmt.Sprint("lib", i))); got != "1.0.0" {
			t.Fatalf("%q", got)
		}
	}
}
