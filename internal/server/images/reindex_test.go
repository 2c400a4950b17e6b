package images_test

import (
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// A database of before version 1 lacks the references of foreign layers, media types,
// and the sizes of caches. Opening it adds them.
func TestNew_ReindexesManifests(t *testing.T) {
	dir, clock := t.TempDir(), newClock()
	same := func(b blob.Store) blob.Store { return b }
	s := openStore(t, dir, clock, same)
	s.create(t, app)
	layer := s.push(t, app, "layer")
	foreign := s.push(t, app, "foreign")
	foreign.URLs = []string{"https://registry.example/layer"}
	s.put(t, app, image(layer, layer, foreign), "v1")
	for i := range 120 { // more than one transaction
		s.put(t, app, manifest("manifests", []ocispec.Descriptor{layer}, "annotations", map[string]string{"i": string(rune('a' + i))}))
	}
	err := s.db.Tx(t.Context(), func(tx *db.Tx) error {
		for _, statement := range []string{
			`DELETE FROM image_reference WHERE digest = '` + string(foreign.Digest) + `'`,
			`UPDATE image_reference SET media_type = ''`,
			`UPDATE image_manifest SET size = 0`,
			`DELETE FROM image_index_version`,
		} {
			if _, err := tx.Exec(t.Context(), statement); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.close()
	s = openStore(t, dir, clock, same)
	clock.advance(72 * time.Hour)
	if _, err := s.SweepBlobs(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	s.wantBlob(t, app, "foreign")
	wantFault(t, s.DeleteBlob(t.Context(), app, foreign.Digest), "BlobReferenced")
	found, err := s.LayerAvailability(t.Context(), app, []digest.Digest{layer.Digest})
	if got := found[layer.Digest].MediaType; err != nil || got == "" {
		t.Errorf("media type %q, %v", got, err)
	}
	list, _, err := s.DescribeImages(t.Context(), app, images.ImageFilter{}, "", 1000)
	if err != nil || len(list) != 121 {
		t.Fatalf("%d images, %v", len(list), err)
	}
	for _, d := range list {
		want := layer.Size
		if d.MediaType == ocispec.MediaTypeImageManifest {
			want = 2*layer.Size + foreign.Size
		}
		if d.Size != want {
			t.Errorf("size of %s: %d, want %d", d.MediaType, d.Size, want)
		}
	}
}
