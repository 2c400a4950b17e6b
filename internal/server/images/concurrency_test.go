package images_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// Sweeps run concurrently with pushes, and a fast clock makes everything old. A push
// may fail because a blob is missing, but an acknowledged image has all its blobs.
func TestSweep_ConcurrentPushes(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	ctx, stop := context.WithCancel(t.Context())
	var sweeping, pushing sync.WaitGroup
	sweeping.Go(func() {
		for ctx.Err() == nil {
			s.clock.advance(3 * time.Hour)
			if _, err := s.SweepBlobs(t.Context(), 0); err != nil {
				t.Error(err)
			}
			if _, err := s.SweepUploads(t.Context(), time.Hour); err != nil {
				t.Error(err)
			}
		}
	})
	const pushers, each = 4, 12
	var mu sync.Mutex
	acknowledged := map[string]string{} // tag → content
	for p := range pushers {
		pushing.Go(func() {
			for i := range each {
				content, tag := fmt.Sprintf("shared %d", i), fmt.Sprintf("v%d-%d", p, i)
				config := describe("", []byte(content))
				if _, err := s.PutBlob(t.Context(), app, config.Digest, reader(content)); err != nil {
					t.Error(err)
				}
				_, err := s.PutManifest(t.Context(), app, images.PutManifest{Tags: []string{tag}, Body: bytes.NewReader(manifest("config", config, "layers", []any{}, "annotations", map[string]string{"tag": tag}))})
				switch {
				case err == nil:
					mu.Lock()
					acknowledged[tag] = content
					mu.Unlock()
				case !fault.Is(err, "LayersNotFound"):
					t.Error(err)
				}
			}
		})
	}
	pushing.Wait()
	stop()
	sweeping.Wait()
	if len(acknowledged) == 0 {
		t.Error("no push came through")
	}
	for tag, content := range acknowledged {
		if _, err := s.Manifest(t.Context(), app, images.Reference{Tag: tag}); err != nil {
			t.Errorf("%s: %v", tag, err)
		}
		s.wantBlob(t, app, content)
	}
}

// After a tag was moved, every reader gets the new image, even if others read the tag
// into the caches meanwhile.
func TestPutManifest_ReadersSeeAcknowledgedTag(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	bodies := [][]byte{manifest("manifests", []any{}, "n", 1), manifest("manifests", []any{}, "n", 2)}
	s.put(t, app, bodies[0], "latest")
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				if _, err := s.Manifest(t.Context(), app, images.Reference{Tag: "latest"}); err != nil && !fault.Is(err, "ImageNotFound") {
					t.Error(err)
				}
				if _, _, err := s.Tags(t.Context(), app, "", 10); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 60 {
		body := bodies[i%2]
		s.put(t, app, body, "latest", fmt.Sprint("move-", i))
		if tags, _, err := s.Tags(t.Context(), app, "latest", 100); err != nil || !slices.Contains(tags, fmt.Sprint("move-", i)) {
			t.Fatalf("move %d is not listed: %v, %v", i, tags, err)
		}
		if m, err := s.Manifest(t.Context(), app, images.Reference{Tag: "latest"}); err != nil || m.Digest != digest.FromBytes(body) {
			t.Fatalf("move %d is not seen: %v", i, err)
		}
		if i%3 == 0 {
			if err := s.DeleteImage(t.Context(), app, images.Reference{Digest: digest.FromBytes(body)}); err != nil {
				t.Fatal(err)
			}
			for _, ref := range []images.Reference{{Tag: "latest"}, {Digest: digest.FromBytes(body)}} {
				_, err := s.Manifest(t.Context(), app, ref)
				wantFault(t, err, "ImageNotFound")
			}
			if tags, _, err := s.Tags(t.Context(), app, "latest", 100); err != nil || slices.Contains(tags, fmt.Sprint("move-", i)) {
				t.Fatalf("deletion %d is not seen: %v, %v", i, tags, err)
			}
		}
	}
	stop()
	readers.Wait()
}
