package images_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

func BenchmarkManifest(b *testing.B) {
	s := newStore(b)
	s.create(b, app)
	d := s.pushImage(b, app, "image", "latest")
	for name, ref := range map[string]images.Reference{"tag": {Tag: "latest"}, "digest": {Digest: d}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := s.Manifest(b.Context(), app, ref); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func BenchmarkBlobInfo(b *testing.B) {
	s := newStore(b)
	s.create(b, app)
	s.push(b, app, "x")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.BlobInfo(b.Context(), app, layerX); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenBlob(b *testing.B) {
	s := newStore(b)
	s.create(b, app)
	s.push(b, app, "x")
	b.ReportAllocs()
	for b.Loop() {
		_, o, err := s.OpenBlob(b.Context(), app, layerX)
		if err != nil {
			b.Fatal(err)
		}
		o.Close()
	}
}

// BenchmarkPush pushes 100 MiB as one request, and as docker does: start, one
// chunk, complete.
func BenchmarkPush(b *testing.B) {
	content := []byte(noise(100 << 20))
	push := map[string]func(*store, digest.Digest) error{
		"one request": func(s *store, d digest.Digest) error {
			_, err := s.PutBlob(b.Context(), app, d, bytes.NewReader(content))
			return err
		},
		"docker": func(s *store, d digest.Digest) error {
			u, err := s.StartUpload(b.Context(), app, "")
			if err != nil {
				return err
			}
			if _, err := s.AppendUpload(b.Context(), app, u.ID, images.AnyOffset, bytes.NewReader(content)); err != nil {
				return err
			}
			_, err = s.CompleteUpload(b.Context(), app, u.ID, images.AnyOffset, nil, d)
			return err
		},
	}
	for name, push := range push {
		b.Run(name, func(b *testing.B) {
			s := newStore(b)
			s.create(b, app)
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				copy(content, fmt.Sprintf("%20d", n))
				b.StopTimer()
				d := digest.FromBytes(content)
				b.StartTimer()
				if err := push(s, d); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := s.DeleteBlob(b.Context(), app, d); err != nil {
					b.Fatal(err)
				}
				if _, err := s.SweepBlobs(b.Context(), 0); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkPushSmall pushes small blobs. The syncs take most of the time.
func BenchmarkPushSmall(b *testing.B) {
	s := newStore(b)
	s.create(b, app)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		s.push(b, app, fmt.Sprint(n))
	}
}

func BenchmarkPutManifest(b *testing.B) {
	s := newStore(b)
	s.create(b, app)
	config := s.push(b, app, "config")
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		s.put(b, app, manifest("config", config, "layers", []any{config}, "annotations", map[string]string{"n": fmt.Sprint(n)}), "latest")
	}
}

func BenchmarkTags(b *testing.B) {
	s := newStore(b)
	s.create(b, app)
	var tags []string
	for n := range 10_000 {
		tags = append(tags, fmt.Sprintf("v%05d", n))
	}
	s.put(b, app, index(), tags...)
	b.ReportAllocs()
	for b.Loop() {
		if page, _, err := s.Tags(b.Context(), app, "v05000", 100); err != nil || len(page) != 100 {
			b.Fatal(err)
		}
	}
}
