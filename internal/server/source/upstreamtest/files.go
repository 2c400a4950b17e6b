package upstreamtest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A File is what the server answers for one path. It implements http.Handler with ETag,
// Last-Modified, conditional requests and ranges.
type File struct {
	Body []byte
	// Type is the media type; empty means that of the path's extension.
	Type string
	// Modified is the time of the last change; zero means that of [Server.Put].
	Modified time.Time
	// ETag is the validator, with its quotes; empty means one made of the body, and "-"
	// none.
	ETag string
	// Header has further headers.
	Header http.Header
}

// Put serves a file at a path, as it is written in a request: with its escapes. It
// replaces an earlier one. The time of the last change grows by at least a second.
func (s *Server) Put(at string, f File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Modified.IsZero() {
		f.Modified = s.started
		if old, ok := s.files[at]; ok && !old.Modified.Before(f.Modified) {
			f.Modified = old.Modified.Add(time.Second)
		}
	}
	if f.Type == "" {
		f.Type = mime.TypeByExtension(path.Ext(at))
	}
	if f.Type == "" {
		f.Type = "application/octet-stream"
	}
	s.files[at] = f
}

// Remove removes the file of a path.
func (s *Server) Remove(at string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.files, at)
}

// Folder serves the files of a folder below a prefix, such as "/maven2". They have the
// times that they have on disk.
func (s *Server) Folder(t testing.TB, prefix, dir string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(os.DirFS(dir), name)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		at := (&url.URL{Path: strings.TrimSuffix(prefix, "/") + "/" + name}).EscapedPath()
		s.Put(at, File{Body: body, Modified: info.ModTime()})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ServeHTTP implements http.Handler.
func (f File) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.Type)
	etag := f.ETag
	if etag == "" {
		sum := sha256.Sum256(f.Body)
		etag = `"` + hex.EncodeToString(sum[:16]) + `"`
	}
	if etag != "-" {
		h.Set("ETag", etag)
	}
	for name, values := range f.Header {
		h[name] = values
	}
	body := f.Body
	if isDocument(f.Type) && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && r.Header.Get("Range") == "" {
		h.Set("Content-Encoding", "gzip")
		body = compress(body)
	}
	if h.Get("Content-Encoding") != "" && r.Header.Get("Range") == "" {
		h.Set("Content-Length", strconv.Itoa(len(body))) // ServeContent leaves it out
	}
	http.ServeContent(w, r, "", f.Modified, bytes.NewReader(body))
}

// isDocument reports whether servers compress a type.
func isDocument(mediaType string) bool {
	media, _, _ := mime.ParseMediaType(mediaType)
	return strings.HasPrefix(media, "text/") || strings.HasSuffix(media, "json") || strings.HasSuffix(media, "xml")
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(body) // a bytes.Buffer does not fail
	_ = z.Close()
	return b.Bytes()
}
