package images_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// A model is what the store must have, given what it acknowledged.
type model struct {
	s       *store
	t       testing.TB
	account string
	repos   map[images.RepositoryID]*contents
}

type contents struct {
	blobs     map[string]time.Time // content → when it was last pushed or asked for
	manifests map[digest.Digest]*pushed
	tags      map[string]digest.Digest
}

// pushed is a manifest with what it refers to.
type pushed struct {
	body     []byte
	blobs    []string
	children []digest.Digest
}

var (
	modelRepos = []string{"first", "second"}
	modelBlobs = []string{"a", "b", "c", "d"}
	modelTags  = []string{"t1", "t2", "t3"}
)

func (w *model) id(name string) images.RepositoryID {
	return images.RepositoryID{Account: w.account, Region: app.Region, Name: name}
}

func (w *model) repo(t *rapid.T) (images.RepositoryID, *contents) {
	id := w.id(rapid.SampledFrom(modelRepos).Draw(t, "repository"))
	return id, w.repos[id]
}

// needs reports whether a manifest of the repository refers to a digest.
func (c *contents) needs(d digest.Digest) bool {
	for _, m := range c.manifests {
		if slices.Contains(m.children, d) || slices.ContainsFunc(m.blobs, func(b string) bool { return digest.FromString(b) == d }) {
			return true
		}
	}
	return false
}

// wantOutcome fails the test unless the store answered as the model expects: with the
// fault, or without one if want is empty.
func wantOutcome(t *rapid.T, err error, want string) {
	if want == "" && err != nil || want != "" && !fault.Is(err, want) {
		t.Fatalf("err = %v, want %q", err, want)
	}
}

// ifTrue returns yes if cond is true, and otherwise an empty text.
func ifTrue(cond bool, yes string) string {
	if cond {
		return yes
	}
	return ""
}

func (w *model) PushBlob(t *rapid.T) {
	id, c := w.repo(t)
	b := rapid.SampledFrom(modelBlobs).Draw(t, "blob")
	_, err := w.s.PutBlob(w.t.Context(), id, digest.FromString(b), reader(b))
	wantOutcome(t, err, "")
	c.blobs[b] = w.s.clock.now()
}

func (w *model) MountBlob(t *rapid.T) {
	id, c := w.repo(t)
	from := w.id(rapid.SampledFrom(modelRepos).Draw(t, "from"))
	b := rapid.SampledFrom(modelBlobs).Draw(t, "blob")
	_, there := w.repos[from].blobs[b]
	_, err := w.s.MountBlob(w.t.Context(), id, from.Name, digest.FromString(b))
	wantOutcome(t, err, ifTrue(!there, "BlobNotFound"))
	if there {
		c.blobs[b] = w.s.clock.now()
	}
}

func (w *model) DeleteBlob(t *rapid.T) {
	id, c := w.repo(t)
	b := rapid.SampledFrom(modelBlobs).Draw(t, "blob")
	d := digest.FromString(b)
	_, there := c.blobs[b]
	want := ifTrue(!there, "BlobNotFound")
	if c.needs(d) {
		want = "BlobReferenced"
	}
	wantOutcome(t, w.s.DeleteBlob(w.t.Context(), id, d), want)
	if want == "" {
		delete(c.blobs, b)
	}
	w.checkBlobs(t)
}

func (w *model) PushImage(t *rapid.T) {
	id, c := w.repo(t)
	m := &pushed{blobs: rapid.SliceOfNDistinct(rapid.SampledFrom(modelBlobs), 1, 3, rapid.ID).Draw(t, "layers")}
	var layers []ocispec.Descriptor
	missing := false
	for _, b := range m.blobs {
		layers = append(layers, ocispec.Descriptor{Digest: digest.FromString(b), Size: int64(len(b))})
		if _, there := c.blobs[b]; !there {
			missing = true
		}
	}
	m.body = image(layers[0], layers[1:]...)
	if len(layers) == 1 {
		m.body = image(layers[0], layers...)
	}
	w.put(t, id, c, m, ifTrue(missing, "LayersNotFound"))
}

func (w *model) PushList(t *rapid.T) {
	id, c := w.repo(t)
	if len(c.manifests) == 0 {
		return
	}
	m := &pushed{children: rapid.SliceOfNDistinct(rapid.SampledFrom(slices.Sorted(maps.Keys(c.manifests))), 0, 2, rapid.ID).Draw(t, "manifests")}
	var list []ocispec.Descriptor
	for _, d := range m.children {
		list = append(list, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: 1})
	}
	missing := rapid.Bool().Draw(t, "one more that is missing")
	if missing {
		list = append(list, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: layerX, Size: 1})
	}
	m.body = index(list...)
	w.put(t, id, c, m, ifTrue(missing, "ReferencedImagesNotFound"))
}

func (w *model) put(t *rapid.T, id images.RepositoryID, c *contents, m *pushed, want string) {
	tags := rapid.SliceOfNDistinct(rapid.SampledFrom(modelTags), 0, 2, rapid.ID).Draw(t, "tags")
	_, err := w.s.PutManifest(w.t.Context(), id, images.PutManifest{Tags: tags, Body: bytes.NewReader(m.body)})
	wantOutcome(t, err, want)
	if want != "" {
		return
	}
	d := digest.FromBytes(m.body)
	c.manifests[d] = m
	for _, tag := range tags {
		c.tags[tag] = d
	}
}

func (w *model) DeleteTag(t *rapid.T) {
	id, c := w.repo(t)
	tag := rapid.SampledFrom(modelTags).Draw(t, "tag")
	_, there := c.tags[tag]
	wantOutcome(t, w.s.DeleteImage(w.t.Context(), id, images.Reference{Tag: tag}), ifTrue(!there, "ImageNotFound"))
	delete(c.tags, tag)
}

func (w *model) DeleteImage(t *rapid.T) {
	id, c := w.repo(t)
	if len(c.manifests) == 0 {
		return
	}
	d := rapid.SampledFrom(slices.Sorted(maps.Keys(c.manifests))).Draw(t, "digest")
	needed := c.needs(d)
	wantOutcome(t, w.s.DeleteImage(w.t.Context(), id, images.Reference{Digest: d}), ifTrue(needed, "ImageReferencedByManifestList"))
	if !needed {
		c.remove(d, w.s.clock.now())
	}
}

// remove takes an image out of the model. Its blobs are as if just pushed.
func (c *contents) remove(d digest.Digest, now time.Time) {
	for _, b := range c.manifests[d].blobs {
		c.blobs[b] = now
	}
	delete(c.manifests, d)
	maps.DeleteFunc(c.tags, func(_ string, target digest.Digest) bool { return target == d })
}

func (w *model) DeleteImageByLastTag(t *rapid.T) {
	id, c := w.repo(t)
	tag := rapid.SampledFrom(modelTags).Draw(t, "tag")
	d, there := c.tags[tag]
	others := 0
	for _, target := range c.tags {
		if target == d {
			others++
		}
	}
	_, failures, err := w.s.DeleteImages(w.t.Context(), id, []images.Reference{{Tag: tag}})
	wantOutcome(t, err, "")
	switch {
	case !there || others == 1 && c.needs(d):
		if len(failures) != 1 {
			t.Fatalf("failures %+v, want one", failures)
		}
	case others > 1:
		delete(c.tags, tag)
	default:
		c.remove(d, w.s.clock.now())
	}
}

func (w *model) Wait(*rapid.T) { w.s.clock.advance(70 * time.Minute) }

func (w *model) Sweep(t *rapid.T) {
	const olderThan = 3 * time.Hour
	_, err := w.s.SweepBlobs(w.t.Context(), olderThan)
	wantOutcome(t, err, "")
	before := w.s.clock.now().Add(-olderThan)
	for _, c := range w.repos {
		for b, at := range c.blobs {
			if at.Before(before) && !c.needs(digest.FromString(b)) {
				delete(c.blobs, b)
			}
		}
	}
	w.checkBlobs(t)
}

// Crash abandons the service and opens the same files with a new one.
func (w *model) Crash(t *rapid.T) {
	dead := w.s
	w.s = openStore(w.t, w.s.dir, w.s.clock, same)
	dead.close()
	w.checkBlobs(t)
}

// Check compares all repositories with the model, without their blobs.
func (w *model) Check(t *rapid.T) {
	for id, c := range w.repos {
		for d, m := range c.manifests {
			got, err := w.s.Manifest(w.t.Context(), id, images.Reference{Digest: d})
			if err != nil || string(got.Body) != string(m.body) {
				t.Fatalf("manifest %s: %v", d, err)
			}
		}
		for _, tag := range modelTags {
			got, err := w.s.Manifest(w.t.Context(), id, images.Reference{Tag: tag})
			if want, there := c.tags[tag]; there && (err != nil || got.Digest != want) || !there && !fault.Is(err, "ImageNotFound") {
				t.Fatalf("tag %s of %s: %v, want %s", tag, id.Name, err, want)
			}
		}
		list, _, err := w.s.DescribeImages(w.t.Context(), id, images.ImageFilter{}, "", 1000)
		if err != nil || len(list) != len(c.manifests) {
			t.Fatalf("%d images, %v, want %d", len(list), err, len(c.manifests))
		}
		tags, _, err := w.s.Tags(w.t.Context(), id, "", 1000)
		if err != nil || fmt.Sprint(tags) != fmt.Sprint(slices.Sorted(maps.Keys(c.tags))) {
			t.Fatalf("tags %v, %v, want %v", tags, err, c.tags)
		}
	}
}

// checkBlobs compares all blobs with the model. It reads every byte and lists every
// object, which takes longer than all the rest. Therefore only the actions that can lose
// a blob call it, and the end of the test does.
func (w *model) checkBlobs(t *rapid.T) {
	stored := map[string]bool{}
	for id, c := range w.repos {
		for _, b := range modelBlobs {
			_, there := c.blobs[b]
			// Not BlobInfo, because it renews the link.
			err := w.s.readBlob(w.t.Context(), id, b)
			if there && err != nil || !there && !fault.Is(err, "BlobNotFound") {
				t.Fatalf("blob %s of %s: %v, want it there: %t", b, id.Name, err, there)
			}
			if there {
				stored[b] = true
			}
		}
	}
	// The other objects are blobs that no repository has, until the sweep.
	if n := w.s.objects(w.t); n < len(stored) || n > len(modelBlobs) {
		t.Fatalf("%d objects for %d blobs", n, len(stored))
	}
}

// end deletes everything, and checks that no object is left.
func (w *model) end(t *rapid.T) {
	w.checkBlobs(t)
	for id := range w.repos {
		_, err := w.s.DeleteRepository(w.t.Context(), id, images.DeleteContents)
		wantOutcome(t, err, "")
	}
	if _, err := w.s.SweepBlobs(w.t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if n := w.s.objects(w.t); n != 0 {
		t.Fatalf("%d objects are left of nothing", n)
	}
}

// Random pushes, tags, deletions, sweeps and crashes: what was acknowledged exists,
// what was deleted does not, and what a manifest needs is never swept.
func TestService_Model(t *testing.T) {
	s, account := newStore(t), 0
	rapid.Check(t, func(rt *rapid.T) {
		account++ // what a failed check leaves must not disturb the next one
		w := &model{s: s, t: t, account: fmt.Sprintf("%012d", account), repos: map[images.RepositoryID]*contents{}}
		defer func() { s = w.s }()
		for _, name := range modelRepos {
			w.s.create(t, w.id(name))
			w.repos[w.id(name)] = &contents{map[string]time.Time{}, map[digest.Digest]*pushed{}, map[string]digest.Digest{}}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"PushBlob": w.PushBlob, "MountBlob": w.MountBlob, "DeleteBlob": w.DeleteBlob,
			"PushImage": w.PushImage, "PushList": w.PushList,
			"DeleteTag": w.DeleteTag, "DeleteImage": w.DeleteImage, "DeleteImageByLastTag": w.DeleteImageByLastTag,
			"Wait": w.Wait, "Sweep": w.Sweep, "Crash": w.Crash, "": w.Check,
		})
		w.end(rt)
	})
}
