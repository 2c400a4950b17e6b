package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A standIn stands in for a public registry, with two hosts: one for the index, and one
// for files.
type standIn struct {
	index, files *host
}

func newStandIn() *standIn { return &standIn{newHost(), newHost()} }

func (s *standIn) close() {
	s.index.server.Close()
	s.files.server.Close()
}

// cut ends all connections and refuses new requests until it is called with false.
func (s *standIn) cut(off bool) {
	for _, h := range []*host{s.index, s.files} {
		h.off.Store(off)
		h.server.CloseClientConnections()
	}
}

// requests returns how many requests have arrived since the last call.
func (s *standIn) requests() int64 {
	return s.index.requests.Swap(0) + s.files.requests.Swap(0)
}

// A host serves resources by their paths.
type host struct {
	server   *httptest.Server
	off      atomic.Bool
	requests atomic.Int64

	mu        sync.Mutex
	resources map[string]*resource
}

func newHost() *host {
	h := &host{resources: map[string]*resource{}}
	h.server = httptest.NewServer(h)
	return h
}

// A resource is what is at a path.
type resource struct {
	mediaType string
	body      []byte
	// zipped is the body in gzip, for clients that accept it; nil for files.
	zipped []byte
	etag   string
	header http.Header
	// short is the abbreviated document of npm, or nil.
	short *resource
}

// changed is when everything was changed last.
var changed = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// put serves a resource. Documents are compressed.
func (h *host) put(path, mediaType string, body []byte) *resource {
	sum := sha256.Sum256(body)
	r := &resource{mediaType: mediaType, body: body, etag: `"` + hex.EncodeToString(sum[:16]) + `"`, header: http.Header{}}
	if len(body) > 512 && (strings.Contains(mediaType, "json") || strings.HasPrefix(mediaType, "text/")) {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(body) // a bytes.Buffer does not fail
		_ = z.Close()
		r.zipped = b.Bytes()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.resources[path] = r
	return r
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.requests.Add(1)
	if h.off.Load() {
		panic(http.ErrAbortHandler)
	}
	h.mu.Lock()
	found := h.resources[r.URL.EscapedPath()]
	h.mu.Unlock()
	if found == nil {
		http.NotFound(w, r)
		return
	}
	if found.short != nil && strings.Contains(r.Header.Get("Accept"), shortDocument) {
		found = found.short
	}
	head := w.Header()
	for name, values := range found.header {
		head[name] = values
	}
	head.Set("Content-Type", found.mediaType)
	head.Set("ETag", found.etag)
	head.Set("Vary", "Accept-Encoding, Accept")
	body := found.body
	if found.zipped != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && r.Header.Get("Range") == "" {
		body = found.zipped
		head.Set("Content-Encoding", "gzip")
		head.Set("Content-Length", strconv.Itoa(len(body))) // ServeContent leaves it out
	}
	http.ServeContent(w, r, "", changed, bytes.NewReader(body))
}
