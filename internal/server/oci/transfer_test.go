package oci_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/local"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// A fileSink is a ResponseWriter that records how it gets the bytes. Like the one of
// net/http, it can read from a file by itself.
type fileSink struct {
	*httptest.ResponseRecorder
	fromFile int64 // bytes read from a file
	written  int64 // bytes copied through memory
}

func (s *fileSink) ReadFrom(r io.Reader) (int64, error) {
	limited, ok := r.(*io.LimitedReader)
	if ok {
		_, ok = limited.R.(*os.File)
	}
	n, err := io.Copy(s.ResponseRecorder, r)
	if ok {
		s.fromFile += n
	} else {
		s.written += n
	}
	return n, err
}

func (s *fileSink) Write(p []byte) (int, error) {
	s.written += int64(len(p))
	return s.ResponseRecorder.Write(p)
}

// Blobs reach the connection as files, so that the kernel can send them.
func TestGetBlob_SentAsFile(t *testing.T) {
	files, err := local.Open(filepath.Join(t.TempDir(), "blobs"), local.Scratch())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = files.Close() })
	r := newRegistryOn(t, files)
	r.create(t, account, "app", images.Settings{})
	content := strings.Repeat("x", 1<<20)
	d := r.client(t, "admin").in("app").pushBlob(content, "").Digest
	for header, want := range map[string]int64{"": 1 << 20, "bytes=100-299": 200} {
		req := httptest.NewRequest("GET", "/v2/app/blobs/"+d.String(), nil)
		req.SetBasicAuth("AWS", account+"/admin")
		req.Header.Set("Range", header)
		w := &fileSink{ResponseRecorder: httptest.NewRecorder()}
		r.handler.ServeHTTP(w, req)
		if w.fromFile != want || w.written != 0 {
			t.Errorf("Range %q: %d bytes from the file, %d through memory; want %d and 0", header, w.fromFile, w.written, want)
		}
	}
}

// If a connection breaks in the middle of a chunk, the bytes that arrived are kept.
func TestAppendUpload_ResumesAfterBrokenConnection(t *testing.T) {
	r := newRegistry(t)
	r.create(t, account, "app", images.Settings{})
	c := r.client(t, "admin").in("app")
	at, err := url.Parse(c.start(""))
	if err != nil {
		t.Fatal(err)
	}
	content := strings.Repeat("0123456789", 100<<10)
	half := len(content) / 2

	conn, err := net.Dial("tcp", at.Host)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("PATCH", at.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("AWS", c.password)
	if _, err := fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nContent-Length: %d\r\nContent-Range: 0-%d\r\n\r\n%s",
		at.Path, at.Host, req.Header.Get("Authorization"), len(content), len(content)-1, content[:half]); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil { // until the server has given up
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}

	status := c.do("GET", at.String(), nil).want(204).has("Range", fmt.Sprintf("0-%d", half-1))
	d := digest.FromString(content)
	c.finish(status.location(), content, d, strings.NewReader(content[half:]), "Content-Range", fmt.Sprintf("%d-%d", half, len(content)-1))
}

// A body that is shorter than its declared length leaves nothing behind.
func TestHandler_TruncatedBody(t *testing.T) {
	r := newRegistry(t)
	r.create(t, account, "app", images.Settings{})
	content := "0123456789"
	body := r.client(t, "admin").in("app").manifest(nil)
	for _, request := range []struct {
		method, path, body string
	}{
		{"POST", "/v2/app/blobs/uploads/?digest=" + digest.FromString(content).String(), content},
		{"PUT", "/v2/app/manifests/v1", string(body)},
	} {
		req := httptest.NewRequest(request.method, request.path, io.MultiReader(strings.NewReader(request.body[:5]), brokenReader{}))
		req.ContentLength = int64(len(request.body))
		req.SetBasicAuth("AWS", account+"/admin")
		w := httptest.NewRecorder()
		r.handler.ServeHTTP(w, req)
		if w.Code != 400 {
			t.Errorf("%s %s: %d %s", request.method, request.path, w.Code, w.Body)
		}
	}
	c := r.client(t, "admin").in("app")
	c.do("HEAD", "blobs/"+digest.FromString(content).String(), nil).want(404)
	c.do("HEAD", "manifests/v1", nil).want(404)
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A presigningStore has objects that clients can fetch from the address.
type presigningStore struct {
	*local.Store
	address string
}

func (s presigningStore) Open(ctx context.Context, name string) (blob.Object, error) {
	o, err := s.Store.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	return presignedObject{o, s.address + "/" + name}, nil
}

type presignedObject struct {
	blob.Object
	address string
}

func (o presignedObject) Presign(_ context.Context, expires time.Duration) (string, error) {
	return o.address + "?expires=" + expires.String(), nil
}

func TestGetBlob_Redirect(t *testing.T) {
	blobs, err := local.Open(filepath.Join(t.TempDir(), "blobs"), local.Scratch())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close() })
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("credentials were sent to the store")
		}
		object, err := blobs.Open(r.Context(), strings.TrimPrefix(r.URL.Path, "/"))
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = object.Close() }()
		http.ServeContent(w, r, "", time.Time{}, object)
	}))
	t.Cleanup(store.Close)

	r := newRegistryOn(t, presigningStore{blobs, store.URL})
	id := r.create(t, account, "app", images.Settings{})
	c := r.client(t, "admin").in("app")
	d := c.pushBlob("content", "").Digest
	away := c.do("GET", "blobs/"+d.String(), nil).want(http.StatusTemporaryRedirect).has("Docker-Content-Digest", d.String(), "Content-Length", "0")
	anyone := r.client(t, "")
	anyone.password = ""
	anyone.do("GET", away.location(), nil).want(200).is("content")
	c.do("HEAD", "blobs/"+d.String(), nil).want(200).has("Content-Length", "7")
	c.do("GET", "blobs/"+digest.FromString("absent").String(), nil).fails(404, "BLOB_UNKNOWN")

	signed := r.layerURL(t, id, d)
	anyone.do("GET", signed.RequestURI(), nil).want(200).is("content")

	r.users.policies["reader"] = allow("ecr:BatchGetImage", "*")
	r.client(t, "reader").in("app").do("GET", "blobs/"+d.String(), nil).fails(403, "DENIED")
}

// Any request gets an answer of the specification, and the server does not fail.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/v2/app/manifests/v1", "", "", []byte(nil))
	f.Add("PATCH", "/v2/app/blobs/uploads/x", "", "0-3", []byte("body"))
	f.Add("POST", "/v2/app/blobs/uploads/", "digest="+digest.FromString("").String(), "", []byte(nil))
	f.Add("POST", "/v2/app/blobs/uploads/", "mount=x&from=y", "", []byte(nil))
	f.Add("PUT", "/v2/app/manifests/v1", "tag=a&tag=b", "", []byte(`{"schemaVersion":2}`))
	f.Add("GET", "/v2/app/tags/list", "n=1&last=%00", "", []byte(nil))
	f.Add("GET", "/v2/app/blobs/"+digest.FromString("").String(), "signature=x", "", []byte(nil))
	r := newRegistry(f)
	r.create(f, account, "app", images.Settings{})
	f.Fuzz(func(t *testing.T, method, path, query, contentRange string, body []byte) {
		req := &http.Request{
			Method: method, URL: &url.URL{Path: path, RawQuery: query}, Host: "registry.example",
			Header: http.Header{"Content-Range": {contentRange}}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
		}
		req.SetBasicAuth("AWS", account+"/admin")
		w := httptest.NewRecorder()
		r.handler.ServeHTTP(w, req)
		if w.Code >= 500 {
			t.Fatalf("%s %q ?%q: %d %s", method, path, query, w.Code, w.Body)
		}
		for name, values := range w.Header() {
			if strings.ContainsAny(strings.Join(values, ""), "\r\n") {
				t.Fatalf("%s: %q", name, values)
			}
		}
	})
}
