package images_test

import (
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

const mebibyte = 1 << 20

// uploadParts uploads parts of the given sizes, and returns the upload and the
// content.
func (s *store) uploadParts(t *testing.T, sizes ...int) (id string, content string) {
	t.Helper()
	u, err := s.StartUpload(t.Context(), app, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range sizes {
		part := noise(n)
		first := int64(len(content))
		content += part
		up, err := s.UploadPart(t.Context(), app, u.ID, first, first+int64(n)-1, []byte(part))
		if err != nil || up.Size != int64(len(content)) {
			t.Fatalf("%+v, %v", up, err)
		}
	}
	return u.ID, content
}

func TestUploadPart(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	id, content := s.uploadParts(t, 5*mebibyte, 10*mebibyte, 7)
	wrong, right := digest.FromString("wrong"), digest.FromString(content)
	b, err := s.CompleteLayer(t.Context(), app, id, []digest.Digest{wrong, right})
	if err != nil || b.Digest != right || b.Size != int64(len(content)) {
		t.Fatalf("%+v, %v", b, err)
	}
	s.wantBlob(t, app, content)

	// The same layer again.
	id, _ = s.uploadParts(t, 5*mebibyte, 10*mebibyte, 7)
	_, err = s.CompleteLayer(t.Context(), app, id, []digest.Digest{right})
	wantFault(t, err, "LayerAlreadyExists")
	_, err = s.UploadStatus(t.Context(), app, id)
	wantFault(t, err, "UploadNotFound")

	// Another digest, even of an existing blob.
	id, _ = s.uploadParts(t, 7)
	_, err = s.CompleteLayer(t.Context(), app, id, []digest.Digest{right})
	wantFault(t, err, "InvalidLayer")

	id, content = s.uploadParts(t, 9)
	if _, err = s.CompleteLayer(t.Context(), app, id, []digest.Digest{wrong, digest.SHA512.FromString(content)}); err != nil {
		t.Error(err)
	}
	if n := s.objects(t); n != 2 {
		t.Errorf("%d objects, want 2", n)
	}
}

func TestUploadPart_Rules(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	id, content := s.uploadParts(t, 100)
	for _, c := range []struct{ first, last, size int64 }{
		{0, 99, 100}, {99, 100, 2}, {101, 102, 2}, // not consecutive
		{100, 102, 2}, {100, 99, 0}, {100, 100, 2}, {100, 100 + 20*mebibyte, 20*mebibyte + 1}, // not as declared
	} {
		u, err := s.UploadPart(t.Context(), app, id, c.first, c.last, make([]byte, c.size))
		wantFault(t, err, "InvalidLayerPart")
		if u.Size != int64(len(content)) {
			t.Errorf("the fault came with %+v", u)
		}
	}
	if _, err := s.UploadPart(t.Context(), app, id, 100, 100, []byte("x")); err != nil {
		t.Fatal(err)
	}
	_, err := s.CompleteLayer(t.Context(), app, id, []digest.Digest{digest.FromString(content + "x")})
	wantFault(t, err, "LayerPartTooSmall")
	id, _ = s.uploadParts(t)
	_, err = s.CompleteLayer(t.Context(), app, id, []digest.Digest{layerX})
	wantFault(t, err, "EmptyUpload")
	_, err = s.CompleteLayer(t.Context(), app, id, []digest.Digest{"x"})
	wantFault(t, err, "InvalidDigest")
	_, err = s.CompleteLayer(t.Context(), app, "none", []digest.Digest{layerX})
	wantFault(t, err, "UploadNotFound")
}

func TestLayerAvailability_DownloadableLayer(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	config, loose := s.push(t, app, "config"), s.push(t, app, "loose")
	s.put(t, app, image(config))
	found, err := s.LayerAvailability(t.Context(), app, []digest.Digest{config.Digest, layerX, loose.Digest})
	if err != nil || len(found) != 2 || found[config.Digest].Size != config.Size || found[loose.Digest].Size != loose.Size {
		t.Errorf("%v, %v", found, err)
	}
	if b, err := s.DownloadableLayer(t.Context(), app, config.Digest); err != nil || b != (images.Blob{Digest: config.Digest, Size: config.Size}) {
		t.Errorf("%v, %v", b, err)
	}
	_, err = s.DownloadableLayer(t.Context(), app, loose.Digest)
	wantFault(t, err, "LayerInaccessible")
	_, err = s.DownloadableLayer(t.Context(), app, layerX)
	wantFault(t, err, "LayersNotFound")
	s.authz.denied = map[string]bool{"ecr:GetDownloadUrlForLayer": true}
	_, o, err := s.OpenGrantedBlob(t.Context(), app, config.Digest)
	if err != nil {
		t.Fatal(err)
	}
	o.Close()
	_, _, err = s.OpenGrantedBlob(t.Context(), named("none"), config.Digest)
	wantFault(t, err, "RepositoryNotFound")
}
