package images_test

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// A manifest that consists of very many small parts is refused, and does not take a
// multiple of its size in memory.
func TestPutManifest_ManyMembers(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	repeat := func(n int, part func(i int) string) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(part(i))
		}
		return b.String()
	}
	empty := func(int) string { return "{}" }
	stored := s.push(t, app, "layer")
	layer := func(int) string { return fmt.Sprintf(`{"digest":%q,"size":5}`, stored.Digest) }
	named := func(i int) string { return fmt.Sprintf(`"%d":""`, i) }
	const head = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",`
	for name, body := range map[string]string{
		"empty descriptors":  head + `"manifests":[` + repeat(1_300_000, empty) + `]}`,
		"annotations":        head + `"manifests":[],"annotations":{` + repeat(330_000, named) + `}}`,
		"unknown members":    head + `"manifests":[],"x":{` + repeat(330_000, named) + `}}`,
		"unknown elements":   head + `"manifests":[],"x":[` + repeat(2_000_000, func(int) string { return "0" }) + `]}`,
		"10,001 descriptors": head + `"manifests":[` + repeat(10_001, layer) + `]}`,
		"10,001 layers":      `{"schemaVersion":2,"config":` + layer(0) + `,"layers":[` + repeat(10_001, layer) + `]}`,
		"10,001 annotations": head + `"manifests":[],"annotations":{` + repeat(10_001, named) + `}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if len(body) > images.MaxManifest {
				t.Fatalf("the test's manifest has %d bytes", len(body))
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := s.PutManifest(t.Context(), app, images.PutManifest{Body: strings.NewReader(body)})
			runtime.ReadMemStats(&after)
			wantFault(t, err, "InvalidManifest")
			if used := after.TotalAlloc - before.TotalAlloc; used > uint64(3*len(body))+8<<20 {
				t.Errorf("a manifest of %d KiB took %d KiB", len(body)>>10, used>>10)
			}
		})
	}
}

// What real images have is accepted.
func TestPutManifest_ManyLayers(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	layer := s.push(t, app, "layer")
	layer.Annotations = map[string]string{"org.opencontainers.image.title": "file", "commas": strings.Repeat(",{[", 1000)}
	if d := s.put(t, app, image(layer, slices.Repeat([]ocispec.Descriptor{layer}, 500)...)); d == "" {
		t.Error("no digest")
	}
}

// The body of a caller who is not allowed to push is not read.
func TestPutManifest_AuthorizesBeforeReading(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.authz.denied = map[string]bool{"ecr:PutImage": true}
	body := bytes.NewReader(index())
	_, err := s.PutManifest(t.Context(), app, images.PutManifest{Body: body})
	wantFault(t, err, "AccessDenied")
	if body.Len() != len(index()) {
		t.Errorf("%d bytes were read before authorization", len(index())-body.Len())
	}
}

func TestPutManifest_TooLarge(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	endless := strings.NewReader(strings.Repeat(" ", images.MaxManifest+100))
	_, err := s.PutManifest(t.Context(), app, images.PutManifest{Body: endless})
	wantFault(t, err, "ManifestTooLarge")
	_, err = s.PutManifest(t.Context(), app, images.PutManifest{Body: io.MultiReader(strings.NewReader("{"), brokenReader{})})
	wantFault(t, err, "UploadInterrupted")
	busy := fault.New(fault.Unavailable, "Busy", "no memory")
	_, err = s.PutManifest(t.Context(), app, images.PutManifest{Body: iotest.ErrReader(busy)})
	wantFault(t, err, "Busy")
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// tagNames returns n tags.
func tagNames(prefix string, n int) []string {
	tags := make([]string, n)
	for i := range tags {
		tags[i] = fmt.Sprintf("%s%05d", prefix, i)
	}
	return tags
}

// An image has at most 1,000 tags, as on AWS.
func TestPutManifest_TooManyTags(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.put(t, app, index(), tagNames("t", 999)...)
	_, err := s.PutManifest(t.Context(), app, images.PutManifest{Body: bytes.NewReader(index()), Tags: []string{"x", "y"}})
	wantFault(t, err, "TooManyImageTags")
	s.put(t, app, index(), "x")
	_, err = s.PutManifest(t.Context(), app, images.PutManifest{Body: bytes.NewReader(index()), Tags: []string{"y"}})
	wantFault(t, err, "TooManyImageTags")
	if _, err := s.Manifest(t.Context(), app, images.Reference{Tag: "y"}); err == nil {
		t.Error("the tag was set")
	}
	s.put(t, app, index(), "t00000") // a push that changes nothing
	other := manifest("manifests", []any{}, "annotations", map[string]string{"other": "image"})
	s.put(t, app, other, "y")
	if err := s.DeleteImage(t.Context(), app, images.Reference{Tag: "x"}); err != nil {
		t.Fatal(err)
	}
	s.put(t, app, index(), "y")
}

// All pages of a list of tags that is longer than its cached beginning are right.
func TestTags_BeyondTheCachedBeginning(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	want := append(tagNames("a", 800), tagNames("b", 700)...)
	s.put(t, app, index(), want[:800]...)
	s.put(t, app, manifest("manifests", []any{}, "annotations", map[string]string{"other": "image"}), want[800:]...)
	for _, limit := range []int{7, 400, 999, 1000, 1001, 5000} {
		var got []string
		for after, more := "", true; more; {
			page, m, err := s.Tags(t.Context(), app, after, limit)
			if err != nil || len(page) == 0 || len(page) > limit {
				t.Fatalf("page of %d: %d tags, %v", limit, len(page), err)
			}
			got, after, more = append(got, page...), page[len(page)-1], m
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: %d tags, want %d", limit, len(got), len(want))
		}
	}
	for after, want := range map[string]string{"a00099x": "a00100", "b00150x": "b00151", "a": "a00000"} {
		if page, more, err := s.Tags(t.Context(), app, after, 1); err != nil || len(page) != 1 || page[0] != want || !more {
			t.Errorf("after %s: %v, %t, %v, want %s", after, page, more, err, want)
		}
	}
	if page, more, err := s.Tags(t.Context(), app, "z", 10); err != nil || len(page) != 0 || more {
		t.Errorf("after the end: %v, %t, %v", page, more, err)
	}
}

// A page of referrers is limited in bytes, too: each has its annotations.
func TestReferrers_MaxBytes(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	subject := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("subject"), Size: 1}
	const count, size = 6, 100 << 10
	for i := range count {
		s.put(t, app, manifest("manifests", []any{}, "subject", subject, "annotations", map[string]string{"x": strings.Repeat(fmt.Sprint(i), size)}))
	}
	q := images.ReferrersQuery{Subject: subject.Digest, Limit: 100, MaxBytes: 2*size + size/2}
	found := 0
	for {
		page, next, err := s.Referrers(t.Context(), app, q)
		if err != nil || len(page) != 2 {
			t.Fatalf("%d referrers on a page, %v, want 2", len(page), err)
		}
		found += len(page)
		if q.After = next; next == "" {
			break
		}
	}
	if found != count {
		t.Errorf("%d referrers, want %d", found, count)
	}
	if page, _, err := s.Referrers(t.Context(), app, images.ReferrersQuery{Subject: subject.Digest, Limit: 100, MaxBytes: 1}); err != nil || len(page) != 1 {
		t.Errorf("%d referrers that are larger than a page, %v, want 1", len(page), err)
	}
}

// The manifests of one answer are limited in bytes, also if the same is asked for often.
func TestManifests_TooManyBytes(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.put(t, app, manifest("manifests", []any{}, "annotations", map[string]string{"x": strings.Repeat("x", 4_000_000)}), "large")
	refs := slices.Repeat([]images.Reference{{Tag: "large"}}, 100)
	_, _, err := s.Manifests(t.Context(), app, refs)
	wantFault(t, err, "TooManyManifestBytes")
	if found, _, err := s.Manifests(t.Context(), app, refs[:8]); err != nil || len(found) != 8 {
		t.Errorf("%d manifests, %v, want 8", len(found), err)
	}
}

// A page of images has a limited number of tags, and the pages are complete together.
func TestDescribeImages_ManyTags(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	const count = 25
	for i := range count {
		s.put(t, app, manifest("manifests", []any{}, "annotations", map[string]string{"i": fmt.Sprint(i)}), tagNames(fmt.Sprintf("i%02d-", i), 1000)...)
	}
	tags, seen := 0, 0
	for after, more := digest.Digest(""), true; more; {
		page, m, err := s.DescribeImages(t.Context(), app, images.ImageFilter{}, after, 1000)
		if err != nil || len(page) == 0 || len(page) > 20 {
			t.Fatalf("a page of %d images, %v, want at most 20", len(page), err)
		}
		for _, d := range page {
			tags += len(d.Tags)
		}
		seen, after, more = seen+len(page), page[len(page)-1].Digest, m
	}
	if seen != count || tags != count*1000 {
		t.Errorf("%d images with %d tags", seen, tags)
	}
}

// A repository has a limited number of unfinished uploads.
func TestStartUpload_TooMany(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.create(t, named("other"))
	first, err := s.StartUpload(t.Context(), app, "")
	if err != nil {
		t.Fatal(err)
	}
	err = s.db.Tx(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
			INSERT INTO image_upload (id, repository, object, algorithm, size, last_part, short_part, generation, updated)
			SELECT 'u' || i, repository, 'image-u' || i, algorithm, size, last_part, short_part, generation, updated FROM image_upload, n`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.StartUpload(t.Context(), app, "")
	wantFault(t, err, "TooManyUploads")
	if _, err := s.StartUpload(t.Context(), named("other"), ""); err != nil {
		t.Error(err)
	}
	if err := s.CancelUpload(t.Context(), app, first.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.StartUpload(t.Context(), app, ""); err != nil {
		t.Error(err)
	}
}
