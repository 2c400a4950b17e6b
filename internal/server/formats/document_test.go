package formats_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
)

func serve(d *formats.Document, method string, header http.Header) *http.Response {
	r := httptest.NewRequest(method, "/", nil)
	r.Header = header
	w := httptest.NewRecorder()
	d.Serve(w, r)
	return w.Result()
}

func TestDocument_ConditionalRequest(t *testing.T) {
	body := strings.Repeat("a line of a document\n", 200)
	d := formats.NewDocument("text/plain", []byte(body))
	for _, coding := range []string{"identity", "gzip"} {
		first := serve(d, "GET", http.Header{"Accept-Encoding": {coding}})
		got, err := io.ReadAll(first.Body)
		if err != nil || first.ContentLength != int64(len(got)) {
			t.Fatal(err, first.ContentLength, len(got))
		}
		if coding == "gzip" {
			z, err := gzip.NewReader(bytes.NewReader(got))
			if err != nil {
				t.Fatal(err)
			}
			if got, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		if string(got) != body {
			t.Fatalf("%s: other bytes", coding)
		}
		for _, tag := range []string{first.Header.Get("ETag"), "W/" + first.Header.Get("ETag"), `"x", ` + first.Header.Get("ETag"), "*"} {
			again := serve(d, "GET", http.Header{"If-None-Match": {tag}, "Accept-Encoding": {coding}})
			if again.StatusCode != http.StatusNotModified || again.Header.Get("ETag") != first.Header.Get("ETag") {
				t.Errorf("%s: If-None-Match %s: %d", coding, tag, again.StatusCode)
			}
		}
		if other := serve(d, "GET", http.Header{"If-None-Match": {`"x"`}}); other.StatusCode != http.StatusOK {
			t.Errorf("another tag: %d", other.StatusCode)
		}
	}
	if head := serve(d, "HEAD", nil); head.ContentLength != int64(len(body)) {
		t.Errorf("HEAD: Content-Length %d", head.ContentLength)
	}
}

func TestDocument_ETag(t *testing.T) {
	a := serve(formats.NewDocument("text/plain", []byte("a")), "GET", nil)
	b := serve(formats.NewDocument("text/plain", []byte("b")), "GET", nil)
	if a.Header.Get("ETag") == b.Header.Get("ETag") {
		t.Fatal("one tag for two documents")
	}
}

func TestDocumentCache_RendersOnce(t *testing.T) {
	c := formats.NewDocumentCache(1 << 20)
	var rendered atomic.Int32
	release := make(chan struct{})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			_, err := c.Get("k", func() (*formats.Document, error) {
				<-release
				rendered.Add(1)
				return formats.NewDocument("text/plain", []byte("x")), nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	close(release)
	all.Wait()
	if n := rendered.Load(); n != 1 {
		t.Fatalf("rendered %d times", n)
	}
}

func TestDocumentCache_Size(t *testing.T) {
	c := formats.NewDocumentCache(100 << 10)
	rendered := map[string]int{}
	get := func(i int) {
		key := fmt.Sprint(i)
		if _, err := c.Get(key, func() (*formats.Document, error) {
			rendered[key]++
			return formats.NewDocument("text/plain", make([]byte, 10<<10)), nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		get(i)
	}
	get(49)
	get(0)
	if rendered["49"] != 1 || rendered["0"] != 2 {
		t.Fatalf("the newest was rendered %d times, and the oldest %d", rendered["49"], rendered["0"])
	}
}

func TestDocumentCache_Error(t *testing.T) {
	c := formats.NewDocumentCache(1 << 20)
	if _, err := c.Get("k", func() (*formats.Document, error) { return nil, io.ErrUnexpectedEOF }); err != io.ErrUnexpectedEOF {
		t.Fatal(err)
	}
	if _, err := c.Get("k", func() (*formats.Document, error) { return formats.NewDocument("text/plain", nil), nil }); err != nil {
		t.Fatal(err)
	}
}
