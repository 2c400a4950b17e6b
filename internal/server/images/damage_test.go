package images_test

import (
	"maps"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// damages are what a fault of the disk does to the bytes of an object; nil removes it.
var damages = map[string]func(content string) []byte{
	"missing": func(string) []byte { return nil },
	"empty":   func(string) []byte { return []byte{} },
	"short":   func(content string) []byte { return []byte(content[:len(content)/2]) },
	"long":    func(content string) []byte { return []byte(content + "x") },
}

// damageObject damages the object that has content.
func (s *store) damageObject(t *testing.T, content string, damage func(content string) []byte) {
	t.Helper()
	s.disk.Damage(t, s.disk.Find(t, []byte(content)), damage(content))
}

// A blob whose object is missing or has another size does not exist for clients.
func TestBlob_DamagedObject(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			s.create(t, app)
			s.create(t, named("other"))
			content := noise(5000)
			layer := s.push(t, app, content)
			s.put(t, app, image(s.push(t, app, "config"), layer))
			s.wantBlob(t, app, content) // fills the cache
			s.damageObject(t, content, damage)
			for range 2 {
				_, err := s.BlobInfo(t.Context(), app, layer.Digest)
				wantFault(t, err, "BlobNotFound")
				_, o, err := s.OpenBlob(t.Context(), app, layer.Digest)
				wantFault(t, err, "BlobNotFound")
				if o != nil {
					t.Error("a damaged object was opened")
				}
				_, _, err = s.OpenGrantedBlob(t.Context(), app, layer.Digest)
				wantFault(t, err, "BlobNotFound")
				_, err = s.MountBlob(t.Context(), named("other"), app.Name, layer.Digest)
				wantFault(t, err, "BlobNotFound")
				_, err = s.DownloadableLayer(t.Context(), app, layer.Digest)
				wantFault(t, err, "LayersNotFound")
				if found, err := s.LayerAvailability(t.Context(), app, []digest.Digest{layer.Digest}); err != nil || len(found) != 0 {
					t.Errorf("LayerAvailability = %v, %v", found, err)
				}
			}
			if n := s.damage.Found(); n != 1 {
				t.Errorf("%d damaged objects were counted, want 1", n)
			}
		})
	}
}

// Pushing a damaged blob again, in any way and to any repository, replaces the object
// for all repositories. This also holds if only the content is wrong.
func TestPush_ReplacesDamagedObject(t *testing.T) {
	damages := maps.Clone(damages)
	damages["flipped"] = func(content string) []byte {
		b := []byte(content)
		b[len(b)/2] ^= 1
		return b
	}
	for name, damage := range damages {
		for way, push := range map[string]func(*store, images.RepositoryID, string) error{
			"one request": func(s *store, id images.RepositoryID, content string) error {
				_, err := s.PutBlob(t.Context(), id, digest.FromString(content), reader(content))
				return err
			},
			"upload": func(s *store, id images.RepositoryID, content string) error {
				u, err := s.StartUpload(t.Context(), id, "")
				if err != nil {
					return err
				}
				_, err = s.CompleteUpload(t.Context(), id, u.ID, images.AnyOffset, reader(content), digest.FromString(content))
				return err
			},
			"parts": func(s *store, id images.RepositoryID, content string) error {
				u, err := s.StartUpload(t.Context(), id, "")
				if err != nil {
					return err
				}
				if _, err := s.UploadPart(t.Context(), id, u.ID, 0, int64(len(content))-1, []byte(content)); err != nil {
					return err
				}
				_, err = s.CompleteLayer(t.Context(), id, u.ID, []digest.Digest{digest.FromString(content)})
				return err
			},
		} {
			for _, id := range []images.RepositoryID{app, named("other")} {
				t.Run(name+"/"+way+"/"+id.Name, func(t *testing.T) {
					s := newStore(t)
					s.create(t, app)
					s.create(t, named("other"))
					s.create(t, named("third"))
					content := noise(5000)
					s.push(t, app, content)
					s.push(t, named("third"), content)
					s.wantBlob(t, named("third"), content)
					s.damageObject(t, content, damage)
					if err := push(s, id, content); err != nil {
						t.Fatal(err)
					}
					s.wantBlob(t, id, content)
					s.wantBlob(t, app, content)
					s.wantBlob(t, named("third"), content)
					if n := s.objects(t); n != 1 {
						t.Errorf("%d objects, want 1: the damaged one must be gone", n)
					}
					if n := s.damage.Found(); n != 1 {
						t.Errorf("%d damaged objects were counted, want 1", n)
					}
					// The intact object stays as it is.
					if err := push(s, id, content); err != nil && !fault.Is(err, "LayerAlreadyExists") {
						t.Fatal(err)
					}
					if n := s.damage.Found(); n != 1 {
						t.Errorf("%d damaged objects after another push, want 1", n)
					}
				})
			}
		}
	}
}
