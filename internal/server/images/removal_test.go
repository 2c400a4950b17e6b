package images_test

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// The process is killed right after the commit of a deletion: the next one removes what
// the deletion left, without a sweep of all objects.
func TestDeleteRepository_KilledBeforeRemoval(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	same := func(b blob.Store) blob.Store { return b }
	s := openStore(t, dir, c, same)
	s.create(t, app)
	u, err := s.StartUpload(t.Context(), app, digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AppendUpload(t.Context(), app, u.ID, 0, strings.NewReader(noise(blob.MaxState))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DeleteRepository(t.Context(), app, images.DeleteContents); err != nil {
		t.Fatal(err)
	}
	s.close() // nothing was removed yet

	next := openStore(t, dir, c, same)
	n := 0
	for _, err := range next.blobs.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 1 {
		t.Fatalf("%d objects before the work, want the upload's", n)
	}
	if n := next.objects(t); n != 0 {
		t.Errorf("%d objects after the work", n)
	}
}
