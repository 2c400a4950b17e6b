package formats_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// A presigned object can be fetched elsewhere, or not if err is set.
type presigned struct {
	blob.Object
	err error
}

func (p presigned) Presign(context.Context, time.Duration) (string, error) {
	return "https://store.example/object?signature=x", p.err
}

func openObject(t *testing.T, content string) blob.Object {
	t.Helper()
	s := blobtest.Open(t)
	w, err := s.Create(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	o, err := s.Store.Open(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestServeAsset_PresignedObject(t *testing.T) {
	asset := packages.Asset{SHA256: "abc", Size: 7}
	for _, c := range []struct {
		method, ifNoneMatch string
		status              int
		location, body      string
	}{
		{"GET", "", http.StatusTemporaryRedirect, "https://store.example/object?signature=x", ""},
		{"HEAD", "", http.StatusOK, "", ""}, // the address is signed for GET
		{"GET", `"abc"`, http.StatusNotModified, "", ""},
		{"GET", `"other"`, http.StatusOK, "", "content"},
	} {
		r := httptest.NewRequest(c.method, "/", nil)
		if c.ifNoneMatch != "" {
			r.Header.Set("If-None-Match", c.ifNoneMatch)
		}
		w := httptest.NewRecorder()
		// The bytes behind the object are read if the answer is not a redirect.
		o := presigned{Object: struct{ blob.Object }{openObject(t, "content")}}
		if err := formats.ServeAsset(w, r, asset, o); err != nil {
			t.Fatal(err)
		}
		if w.Code != c.status || w.Header().Get("Location") != c.location || w.Body.String() != c.body {
			t.Errorf("%s, If-None-Match %s: %d to %q with %q", c.method, c.ifNoneMatch, w.Code, w.Header().Get("Location"), w.Body)
		}
		if cache := w.Header().Get("Cache-Control"); (c.status == http.StatusTemporaryRedirect) != (cache == "no-store") {
			t.Errorf("%s: Cache-Control is %q", c.method, cache)
		}
	}
	w := httptest.NewRecorder()
	failure := errors.New("no credentials")
	err := formats.ServeAsset(w, httptest.NewRequest("GET", "/", nil), asset, presigned{Object: openObject(t, "content"), err: failure})
	if !errors.Is(err, failure) || w.Body.Len() > 0 {
		t.Errorf("ServeAsset = %v, body %q", err, w.Body)
	}
}
