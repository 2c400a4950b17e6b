package images_test

import (
	"bytes"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// Any bytes that are pushed as a manifest are refused with a fault of the client, or
// stored byte for byte.
func FuzzPutManifest(f *testing.F) {
	s := newStore(f)
	s.create(f, app)
	config := s.push(f, app, "config")
	for _, body := range [][]byte{
		image(config), image(config, config), index(), index(config), manifest("manifests", nil),
		manifest("mediaType", ocispec.MediaTypeImageIndex, "manifests", []any{}, "subject", config, "annotations", map[string]string{"a": "b"}),
		[]byte(`{"schemaVersion":2,"config":{"digest":"sha256:x","size":-1},"layers":[{}]}`), []byte(`{"blobs":[{"urls":["x"]}]}`), []byte(`null`), nil,
	} {
		f.Add("", body)
		f.Add(ocispec.MediaTypeImageManifest, body)
	}
	f.Fuzz(func(t *testing.T, mediaType string, body []byte) {
		m, err := s.PutManifest(t.Context(), app, images.PutManifest{MediaType: mediaType, Body: bytes.NewReader(body)})
		if err != nil {
			if fault.From(err).Kind == fault.Internal {
				t.Fatal(err)
			}
			return
		}
		got, err := s.Manifest(t.Context(), app, images.Reference{Digest: digest.FromBytes(body)})
		if err != nil || string(got.Body) != string(body) || got.MediaType != m.MediaType || got.MediaType == "" {
			t.Fatalf("%+v, %v", got, err)
		}
	})
}
