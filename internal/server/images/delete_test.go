package images_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

func (s *store) wantTags(t *testing.T, want ...string) {
	t.Helper()
	if got, _, err := s.Tags(t.Context(), app, "", 100); err != nil || !slices.Equal(got, want) {
		t.Errorf("tags = %v, %v, want %v", got, err, want)
	}
}

func TestDeleteImage_TagKeepsManifest(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	d := s.pushImage(t, app, "a", "v1", "v2")
	for _, tag := range []string{"v1", "v2"} {
		if err := s.DeleteImage(t.Context(), app, images.Reference{Tag: tag}); err != nil {
			t.Fatal(err)
		}
		_, err := s.Manifest(t.Context(), app, images.Reference{Tag: tag})
		wantFault(t, err, "ImageNotFound")
	}
	wantFault(t, s.DeleteImage(t.Context(), app, images.Reference{Tag: "v1"}), "ImageNotFound")
	if _, err := s.Manifest(t.Context(), app, images.Reference{Digest: d}); err != nil {
		t.Error(err)
	}
	if err := s.DeleteImage(t.Context(), app, images.Reference{Digest: d}); err != nil {
		t.Error(err)
	}
	_, err := s.Manifest(t.Context(), app, images.Reference{Digest: d})
	wantFault(t, err, "ImageNotFound")
	wantFault(t, s.DeleteImage(t.Context(), app, images.Reference{Digest: d}), "ImageNotFound")
}

func TestDeleteImages_LastTagDeletesImage(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	a, b := s.pushImage(t, app, "a", "a1", "a2"), s.pushImage(t, app, "b", "b1")
	for i, step := range []struct {
		ref      images.Reference
		deleted  []images.Reference
		code     string
		tags     []string
		untagged bool // whether image a still exists
	}{
		{ref: images.Reference{Tag: "a1"}, deleted: []images.Reference{{Tag: "a1", Digest: a}}, tags: []string{"a2", "b1"}},
		{ref: images.Reference{Tag: "a2", Digest: b}, code: "ImageTagDoesNotMatchDigest", tags: []string{"a2", "b1"}},
		{ref: images.Reference{}, code: "MissingDigestAndTag", tags: []string{"a2", "b1"}},
		{ref: images.Reference{Digest: "x"}, code: "InvalidImageDigest", tags: []string{"a2", "b1"}},
		{ref: images.Reference{Tag: "-"}, code: "InvalidImageTag", tags: []string{"a2", "b1"}},
		{ref: images.Reference{Tag: "a2", Digest: a}, deleted: []images.Reference{{Tag: "a2", Digest: a}}, tags: []string{"b1"}},
		{ref: images.Reference{Digest: a}, code: "ImageNotFound", tags: []string{"b1"}},
		{ref: images.Reference{Digest: b}, deleted: []images.Reference{{Tag: "b1", Digest: b}}},
	} {
		deleted, failures, err := s.DeleteImages(t.Context(), app, []images.Reference{step.ref})
		if err != nil || !slices.Equal(deleted, step.deleted) {
			t.Errorf("step %d: deleted %v, %v, want %v", i, deleted, err, step.deleted)
		}
		if (step.code == "") != (len(failures) == 0) || (step.code != "" && (failures[0].Code != step.code || failures[0].Reference != step.ref || failures[0].Reason == "")) {
			t.Errorf("step %d: failures %+v, want %s", i, failures, step.code)
		}
		s.wantTags(t, step.tags...)
	}
	list, _, err := s.ListImages(t.Context(), app, images.ImageFilter{}, images.Reference{}, 10)
	if err != nil || len(list) != 0 {
		t.Errorf("left: %v, %v", list, err)
	}
}

func TestDeleteImage_ReferencedByManifestList(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	child := image(s.push(t, app, "config"))
	childDigest := s.put(t, app, child, "child")
	list := index(describe(ocispec.MediaTypeImageManifest, child))
	listDigest := s.put(t, app, list, "list")
	if m, err := s.Manifest(t.Context(), app, images.Reference{Tag: "list"}); err != nil || m.Size != int64(len("config")) {
		t.Errorf("the list's size is %+v, %v", m, err)
	}
	wantFault(t, s.DeleteImage(t.Context(), app, images.Reference{Digest: childDigest}), "ImageReferencedByManifestList")
	deleted, failures, err := s.DeleteImages(t.Context(), app, []images.Reference{{Tag: "child"}, {Digest: childDigest}})
	if err != nil || len(deleted) != 0 || len(failures) != 2 || failures[0].Code != "ImageReferencedByManifestList" {
		t.Fatalf("%v, %+v, %v", deleted, failures, err)
	}
	// Together with the list it can be deleted, in any order.
	deleted, failures, err = s.DeleteImages(t.Context(), app, []images.Reference{{Digest: childDigest}, {Digest: listDigest}})
	if err != nil || len(failures) != 0 || !slices.Equal(deleted, []images.Reference{{Tag: "list", Digest: listDigest}, {Tag: "child", Digest: childDigest}}) {
		t.Fatalf("%v, %+v, %v", deleted, failures, err)
	}
}

func TestDeleteBlob(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	config := s.push(t, app, "config")
	d := s.put(t, app, image(config))
	wantFault(t, s.DeleteBlob(t.Context(), app, config.Digest), "BlobReferenced")
	if err := s.DeleteImage(t.Context(), app, images.Reference{Digest: d}); err != nil {
		t.Fatal(err)
	}
	s.wantBlob(t, app, "config")
	if err := s.DeleteBlob(t.Context(), app, config.Digest); err != nil {
		t.Fatal(err)
	}
	wantFault(t, s.DeleteBlob(t.Context(), app, config.Digest), "BlobNotFound")
	_, _, err := s.OpenBlob(t.Context(), app, config.Digest)
	wantFault(t, err, "BlobNotFound")
	_, err = s.PutManifest(t.Context(), app, images.PutManifest{Body: bytes.NewReader(image(config))})
	wantFault(t, err, "LayersNotFound")
}

func TestListImages_DescribeImages(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	tagged, untagged := s.pushImage(t, app, "a", "x", "y", "z"), s.pushImage(t, app, "b")
	all := []images.Reference{{Tag: "x", Digest: tagged}, {Tag: "y", Digest: tagged}, {Tag: "z", Digest: tagged}, {Digest: untagged}}
	slices.SortFunc(all, func(a, b images.Reference) int {
		return slices.Compare([]string{string(a.Digest), a.Tag}, []string{string(b.Digest), b.Tag})
	})
	byStatus := map[images.TagStatus][]images.Reference{images.AnyTagStatus: all}
	for _, ref := range all {
		status := images.Tagged
		if ref.Tag == "" {
			status = images.Untagged
		}
		byStatus[status] = append(byStatus[status], ref)
	}
	for status, want := range byStatus {
		for limit := 1; limit < 6; limit++ {
			var got []images.Reference
			for after, more := (images.Reference{}), true; more; {
				page, m, err := s.ListImages(t.Context(), app, images.ImageFilter{Tags: status}, after, limit)
				if err != nil || len(page) == 0 || len(page) > limit {
					t.Fatalf("%v, %v", page, err)
				}
				got, more, after = append(got, page...), m, page[len(page)-1]
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s by %d: %v, want %v", status, limit, got, want)
			}
			var described []images.Reference
			for after, more := digest.Digest(""), true; more; {
				page, m, err := s.DescribeImages(t.Context(), app, images.ImageFilter{Tags: status}, after, limit)
				if err != nil || len(page) == 0 || len(page) > limit {
					t.Fatalf("%v, %v", page, err)
				}
				for _, d := range page {
					if d.Size == 0 || d.MediaType != ocispec.MediaTypeImageManifest || !d.PushedAt.Equal(s.clock.now()) {
						t.Errorf("%+v", d)
					}
					for _, tag := range d.Tags {
						described = append(described, images.Reference{Tag: tag, Digest: d.Digest})
					}
					if len(d.Tags) == 0 {
						described = append(described, images.Reference{Digest: d.Digest})
					}
				}
				more, after = m, page[len(page)-1].Digest
			}
			if !slices.Equal(described, want) {
				t.Errorf("%s described by %d: %v, want %v", status, limit, described, want)
			}
		}
	}
	list, err := s.DescribeImagesByReference(t.Context(), app, []images.Reference{{Tag: "y"}, {Digest: tagged}, {Digest: untagged}})
	if err != nil || len(list) != 2 || list[0].Digest != tagged || !slices.Equal(list[0].Tags, []string{"x", "y", "z"}) || list[1].Tags != nil {
		t.Errorf("%+v, %v", list, err)
	}
	for ref, code := range map[images.Reference]string{{Tag: "none"}: "ImageNotFound", {Digest: layerX}: "ImageNotFound", {}: "InvalidParameter", {Tag: "x", Digest: untagged}: "ImageTagDoesNotMatchDigest"} {
		_, err := s.DescribeImagesByReference(t.Context(), app, []images.Reference{ref})
		wantFault(t, err, code)
	}
	found, failures, err := s.Manifests(t.Context(), app, []images.Reference{{Tag: "y"}, {Digest: layerX}, {Digest: untagged}, {}})
	if err != nil || len(found) != 2 || found[0].Tag != "y" || found[0].Digest != tagged || found[1].Digest != untagged ||
		len(failures) != 2 || failures[0].Code != "ImageNotFound" || failures[1].Code != "MissingDigestAndTag" {
		t.Errorf("%+v, %+v, %v", found, failures, err)
	}
}

func TestSweepBlobs(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.create(t, named("other"))
	needed := s.pushImage(t, app, "needed")
	s.push(t, app, "unneeded")
	asked := s.push(t, app, "asked for")
	s.push(t, named("other"), "layer of needed") // no manifest needs it in this repository
	sweep := func(olderThan time.Duration, want int) {
		t.Helper()
		if n, err := s.SweepBlobs(t.Context(), olderThan); err != nil || n != want {
			t.Errorf("swept %d, %v, want %d", n, err, want)
		}
		if n, err := s.SweepObjects(t.Context(), 0); err != nil || n != 0 {
			t.Errorf("%d objects that no row names, %v", n, err)
		}
	}
	sweep(0, 0) // the minimum of two hours applies
	s.clock.advance(100 * time.Minute)
	if _, err := s.BlobInfo(t.Context(), app, asked.Digest); err != nil {
		t.Fatal(err)
	}
	s.clock.advance(30 * time.Minute)
	sweep(3*time.Hour, 0)
	sweep(2*time.Hour, 1)
	s.wantBlob(t, app, "asked for")
	s.wantBlob(t, app, "layer of needed")
	for id, content := range map[images.RepositoryID]string{app: "unneeded", named("other"): "layer of needed"} {
		_, err := s.BlobInfo(t.Context(), id, digest.FromString(content))
		wantFault(t, err, "BlobNotFound")
	}
	// The blobs of a deleted image stay as long as if they had just been pushed.
	if err := s.DeleteImage(t.Context(), app, images.Reference{Digest: needed}); err != nil {
		t.Fatal(err)
	}
	sweep(2*time.Hour, 0)
	s.clock.advance(2*time.Hour + time.Second)
	sweep(2*time.Hour, 3)
	if n := s.objects(t); n != 0 {
		t.Errorf("%d objects left", n)
	}
}

// A client may push a foreign layer after the manifest that names it. The manifest
// needs the layer from then on.
func TestSweepBlobs_ForeignLayerPushedAfterManifest(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	config := s.push(t, app, "config")
	foreign := ocispec.Descriptor{
		MediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
		Digest:    digest.FromString("foreign"), Size: int64(len("foreign")), URLs: []string{"https://registry.example/layer"},
	}
	body := image(config, foreign)
	s.put(t, app, body, "v1")
	s.push(t, app, "foreign")
	s.put(t, app, body, "v1")
	wantFault(t, s.DeleteBlob(t.Context(), app, foreign.Digest), "BlobReferenced")
	s.clock.advance(72 * time.Hour)
	if _, err := s.SweepBlobs(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	s.wantBlob(t, app, "foreign")
}

func TestSweepUploads(t *testing.T) {
	s := newStore(t)
	content := noise(blob.MaxState) // the state of a smaller upload may have its bytes
	s.create(t, app)
	var ids []string
	for range 2 {
		u, err := s.StartUpload(t.Context(), app, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.AppendUpload(t.Context(), app, u.ID, 0, reader(content)); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, u.ID)
		s.clock.advance(time.Hour)
	}
	if n, err := s.SweepUploads(t.Context(), 90*time.Minute); err != nil || n != 1 {
		t.Fatalf("swept %d, %v", n, err)
	}
	size := int64(len(content))
	_, err := s.AppendUpload(t.Context(), app, ids[0], size, reader("d"))
	wantFault(t, err, "UploadNotFound")
	if _, err := s.AppendUpload(t.Context(), app, ids[1], size, reader("d")); err != nil {
		t.Error(err)
	}
	if n := s.objects(t); n != 1 {
		t.Errorf("%d objects, want that of the other upload", n)
	}
}

func TestSweepObjects(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.push(t, app, "kept")
	for _, name := range []string{"image-orphan", "another-domains"} {
		w, err := s.blobs.Create(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.clock.advance(23 * time.Hour)
	if n, err := s.SweepObjects(t.Context(), 0); err != nil || n != 0 {
		t.Errorf("swept %d, %v: too young", n, err)
	}
	s.clock.advance(2 * time.Hour)
	if n, err := s.SweepObjects(t.Context(), 48*time.Hour); err != nil || n != 0 {
		t.Errorf("swept %d, %v: too young", n, err)
	}
	if n, err := s.SweepObjects(t.Context(), 0); err != nil || n != 1 {
		t.Errorf("swept %d, %v, want the orphan", n, err)
	}
	if n := s.objects(t); n != 2 {
		t.Errorf("%d objects left, want the blob's and the one that is not ours", n)
	}
	s.wantBlob(t, app, "kept")
}
