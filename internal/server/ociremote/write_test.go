package ociremote_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/ociremote"
)

// An uploads is a registry that only takes uploads.
type uploads struct {
	requests []string // "METHOD Content-Range"
	received bytes.Buffer
	stored   digest.Digest
	// answer handles a request before the registry does.
	answer func(w http.ResponseWriter, r *http.Request) (handled bool)
}

func (u *uploads) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.requests = append(u.requests, strings.TrimSpace(r.Method+" "+r.Header.Get("Content-Range")))
	if u.answer != nil && u.answer(w, r) {
		return
	}
	switch r.Method {
	case http.MethodHead:
		if u.stored == "" {
			w.WriteHeader(http.StatusNotFound)
		}
		return
	case http.MethodPatch, http.MethodPut:
		if _, err := io.Copy(&u.received, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	w.Header().Set("Location", "/v2/a/b/blobs/uploads/1?state=x")
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(u.received.Len()-1, 0)))
	switch r.Method {
	case http.MethodPut:
		u.stored = digest.FromBytes(u.received.Bytes())
		if string(u.stored) != r.FormValue("digest") || r.FormValue("state") != "x" {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"errors":[{"code":"DIGEST_INVALID","detail":{"code":"DigestMismatch"}}]}`)
			return
		}
		w.WriteHeader(http.StatusCreated)
	case http.MethodGet:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

func blobOf(content []byte) ociremote.Blob {
	return ociremote.Blob{Digest: digest.FromBytes(content), Size: int64(len(content)), Open: func(_ context.Context, offset int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content[offset:])), nil
	}}
}

func TestRegistry_PutBlob(t *testing.T) {
	const mib = 1 << 20
	small, large := []byte("small"), bytes.Repeat([]byte("x"), 17*mib)
	cut := func(at int) func(w http.ResponseWriter, r *http.Request) bool {
		return func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPatch || r.Method == http.MethodPut {
				if at--; at == 0 {
					panic(http.ErrAbortHandler)
				}
			}
			return false
		}
	}
	chunks := []string{"PATCH 0-8388607", "PATCH 8388608-16777215", "PUT 16777216-17825791"}
	for _, c := range []struct {
		name    string
		content []byte
		answer  func(w http.ResponseWriter, r *http.Request) bool
		want    []string
	}{
		{"small", small, nil, []string{"HEAD", "POST", "PUT 0-4"}},
		{"empty", nil, nil, []string{"HEAD", "POST", "PUT"}},
		{"chunks", large, nil, append([]string{"HEAD", "POST"}, chunks...)},
		{"the second chunk is cut", large, cut(2), []string{"HEAD", "POST", chunks[0], chunks[1], "HEAD", "GET", chunks[1], chunks[2]}},
		{"the last chunk is cut", large, cut(3), []string{"HEAD", "POST", chunks[0], chunks[1], chunks[2], "HEAD", "GET", chunks[2]}},
		{"the first chunk is cut", large, cut(1), append([]string{"HEAD", "POST", chunks[0], "HEAD", "GET", "POST"}, chunks...)},
		{"there already", small, func(_ http.ResponseWriter, r *http.Request) bool { return r.Method == http.MethodHead }, []string{"HEAD"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := &uploads{answer: c.answer}
			err := open(t, ociremote.Credential{}, u.ServeHTTP).PutBlob(t.Context(), "a/b", blobOf(c.content))
			if err != nil || !slices.Equal(u.requests, c.want) {
				t.Errorf("%v, %q, want %q", err, u.requests, c.want)
			}
			if len(c.want) > 1 && !bytes.Equal(u.received.Bytes(), c.content) {
				t.Errorf("%d bytes arrived of %d", u.received.Len(), len(c.content))
			}
		})
	}
}

func TestRegistry_PutBlobMounts(t *testing.T) {
	b := blobOf([]byte("small"))
	b.MountFrom = "other/app"
	u := &uploads{answer: func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || r.FormValue("mount") != string(b.Digest) || r.FormValue("from") != b.MountFrom {
			return false
		}
		w.WriteHeader(http.StatusCreated)
		return true
	}}
	if err := open(t, ociremote.Credential{}, u.ServeHTTP).PutBlob(t.Context(), "a/b", b); err != nil || len(u.requests) != 2 {
		t.Error(err, u.requests)
	}
}

// A registry must not get a credential sent elsewhere, and its refusals are told.
func TestRegistry_PutBlobRefused(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the upload went to another host") }))
	defer elsewhere.Close()
	u := &uploads{answer: func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		w.Header().Set("Location", elsewhere.URL+"/x")
		w.WriteHeader(http.StatusAccepted)
		return true
	}}
	err := open(t, ociremote.Credential{}, u.ServeHTTP).PutBlob(t.Context(), "a/b", blobOf([]byte("small")))
	if _, ok := errors.AsType[*ociremote.BadAnswer](err); !ok {
		t.Error(err)
	}
	wrong := blobOf([]byte("small"))
	wrong.Digest = digest.FromString("other")
	err = open(t, ociremote.Credential{}, (&uploads{}).ServeHTTP).PutBlob(t.Context(), "a/b", wrong)
	if code, detail := ociremote.ErrorCode(err); code != "DIGEST_INVALID" || detail != "DigestMismatch" || egress.KindOf(err) != egress.Answered {
		t.Errorf("%v: %q, %q", err, code, detail)
	}
}

// A registry that takes chunks and forgets them does not get them for ever.
func TestRegistry_PutBlobLost(t *testing.T) {
	const limit = 100
	patches := 0
	u := &uploads{}
	u.answer = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Method == http.MethodPut:
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}`)
			return true
		case r.Method == http.MethodGet:
			w.Header().Set("Range", "0-1") // of 8 MiB
			w.WriteHeader(http.StatusNoContent)
			return true
		case r.Method == http.MethodPatch:
			if patches++; patches > limit {
				w.WriteHeader(http.StatusBadRequest)
				return true
			}
		}
		return false
	}
	err := open(t, ociremote.Credential{}, u.ServeHTTP).PutBlob(t.Context(), "a/b", blobOf(bytes.Repeat([]byte("x"), 9<<20)))
	if err == nil || patches > 10 {
		t.Errorf("%v after %d chunks", err, patches)
	}
}

// Only 201 says that something was stored. A proxy may answer everything with a page.
func TestRegistry_NotStored(t *testing.T) {
	page := func(w http.ResponseWriter, r *http.Request) bool {
		return r.Method == http.MethodPut // 200
	}
	r := open(t, ociremote.Credential{}, (&uploads{answer: page}).ServeHTTP)
	m := &ociremote.Manifest{MediaType: manifestType, Body: []byte(`{"schemaVersion":2}`)}
	m.Digest = digest.FromBytes(m.Body)
	for what, err := range map[string]error{
		"manifest": r.PutManifest(t.Context(), "a/b", "v1", m),
		"blob":     r.PutBlob(t.Context(), "a/b", blobOf([]byte("small"))),
	} {
		if _, ok := errors.AsType[*ociremote.BadAnswer](err); !ok {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestRegistry_PutManifest(t *testing.T) {
	m := &ociremote.Manifest{MediaType: manifestType, Body: []byte(`{"schemaVersion":2}`)}
	m.Digest = digest.FromBytes(m.Body)
	stored := m.Digest
	r := open(t, ociremote.Credential{}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPut || r.URL.Path != "/v2/a/b/manifests/v1" || r.Header.Get("Content-Type") != manifestType || string(body) != string(m.Body) {
			t.Errorf("%s %s %v %q", r.Method, r.URL, r.Header, body)
		}
		w.Header().Set("Docker-Content-Digest", string(stored))
		w.WriteHeader(http.StatusCreated)
	})
	if err := r.PutManifest(t.Context(), "a/b", "v1", m); err != nil {
		t.Error(err)
	}
	stored = digest.FromString("other")
	if _, ok := errors.AsType[*ociremote.BadAnswer](r.PutManifest(t.Context(), "a/b", "v1", m)); !ok {
		t.Error("another digest was accepted")
	}
}
