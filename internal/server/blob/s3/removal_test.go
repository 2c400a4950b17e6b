//go:build stores

package s3_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
)

func TestSetAside_LargeObject(t *testing.T) {
	p, c := newProxy(t)
	s := blobtest.OpenS3(t, c)
	s.SetMaxCopy(6 << 20)
	content := noise(9, large)
	mustPut(t, s, "object", content)
	p.taken()
	if err := s.SetAside(t.Context(), "object", time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := p.taken(); strings.Count(got, "UploadPart") != 3 || strings.Contains(got, "CopyObject") {
		t.Errorf("the copy needs %q, want 3 parts", got)
	}
	holds(t, s, "object", content)
	if err := s.SetAside(t.Context(), "object", time.Now()); err != nil {
		t.Fatal(err)
	}
	p.harm = func(op string, n int) http.HandlerFunc {
		if op == "UploadPart" && n == 2 {
			return answer(403, "AccessDenied")
		}
		return nil
	}
	p.taken()
	if _, err := s.Open(t.Context(), "object"); err == nil || errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Open = %v although the copy failed", err)
	}
	p.harm = nil
	holds(t, s, "object", content)
}

// Purge ends what killed servers and lost answers left beside committed objects, and
// leaves the uploads that may still go on.
func TestPurge_LeftoversOfUploads(t *testing.T) {
	c := blobtest.S3Config(t)
	s, client := blobtest.OpenS3(t, c), blobtest.S3Client(t, c)
	content := noise(10, large)
	w, err := s.Create(t.Context(), "committed")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Suspend(t.Context()); err != nil { // and then the server was killed
		t.Fatal(err)
	}
	mustPut(t, s, "committed", content)
	if w, err = s.Create(t.Context(), "unfinished"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	state, err := w.Suspend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	left := func() int {
		uploads, err := client.ListMultipartUploads(t.Context(), &awss3.ListMultipartUploadsInput{Bucket: &c.Bucket, Prefix: &c.Prefix})
		if err != nil {
			t.Fatal(err)
		}
		prefix := c.Prefix + "tails/"
		tails, err := client.ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: &c.Bucket, Prefix: &prefix})
		if err != nil {
			t.Fatal(err)
		}
		return len(uploads.Uploads) + len(tails.Contents)
	}
	if _, err := s.Purge(t.Context(), time.Now().Add(-time.Hour)); err != nil || left() != 4 {
		t.Errorf("Purge removed what is young: %v, %d left", err, left())
	}
	if _, err := s.Purge(t.Context(), time.Now().Add(time.Hour)); err != nil || left() != 2 {
		t.Errorf("after Purge: %v, %d are left, want the upload and the tail of the unfinished object", err, left())
	}
	holds(t, s, "committed", content)
	if w, err = s.Resume(t.Context(), "unfinished", state); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	holds(t, s, "unfinished", content)
}
