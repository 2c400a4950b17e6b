package formats_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

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
		// A client that has the other form is told which one it has.
		for _, other := range []string{"identity", "gzip"} {
			again := serve(d, "GET", http.Header{"If-None-Match": {first.Header.Get("ETag")}, "Accept-Encoding": {other}})
			if again.StatusCode != http.StatusNotModified || again.Header.Get("ETag") != first.Header.Get("ETag") || again.Header.Get("Vary") != first.Header.Get("Vary") {
				t.Errorf("%s, then %s: %d, ETag %s and not %s", coding, other, again.StatusCode, again.Header.Get("ETag"), first.Header.Get("ETag"))
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

func TestDocument_MD5(t *testing.T) {
	body := strings.Repeat("a line of a document\n", 200)
	d := formats.NewDocument("text/plain", []byte(body)).WithMD5()
	want := `"` + formats.SumsOf([]byte(body)).MD5 + `"`
	for _, coding := range []string{"identity", "gzip"} {
		if got := serve(d, "GET", http.Header{"Accept-Encoding": {coding}}).Header.Get("ETag"); got != want {
			t.Errorf("%s: %s", coding, got)
		}
	}
	if again := serve(d, "GET", http.Header{"If-None-Match": {want}}); again.StatusCode != http.StatusNotModified {
		t.Error(again.StatusCode)
	}
}

func TestDocument_Modified(t *testing.T) {
	at := time.Date(2026, 11, 30, 10, 0, 0, 500, time.UTC)
	d := formats.NewDocument("text/plain", []byte("x")).WithModified(at)
	if got := serve(d, "GET", nil).Header.Get("Last-Modified"); got != "Mon, 30 Nov 2026 10:00:00 GMT" {
		t.Error(got)
	}
	for _, c := range []struct {
		header http.Header
		status int
	}{
		{http.Header{"If-Modified-Since": {"Mon, 30 Nov 2026 10:00:00 GMT"}}, 304},
		{http.Header{"If-Modified-Since": {"Mon, 30 Nov 2026 09:59:59 GMT"}}, 200},
		{http.Header{"If-Modified-Since": {"yesterday"}}, 200},
		{http.Header{"If-Modified-Since": {"Mon, 30 Nov 2026 10:00:00 GMT"}, "If-None-Match": {`"x"`}}, 200},
	} {
		if got := serve(d, "GET", c.header).StatusCode; got != c.status {
			t.Errorf("%v: %d", c.header, got)
		}
	}
}

func TestDocument_Ranges(t *testing.T) {
	body := strings.Repeat("0123456789", 1000)
	d := formats.NewDocument("text/plain", []byte(body)).WithMD5().WithRanges()
	etag := serve(d, "GET", nil).Header.Get("ETag")
	for _, c := range []struct {
		header http.Header
		status int
		body   string
	}{
		{http.Header{"Range": {"bytes=9995-"}, "Accept-Encoding": {"gzip"}}, 206, "56789"},
		{http.Header{"Range": {"bytes=9995-"}, "If-None-Match": {`"other"`}}, 206, "56789"},
		{http.Header{"Range": {"bytes=9995-"}, "If-None-Match": {etag}}, 304, ""},
		{http.Header{"Range": {"bytes=9995-"}, "If-Range": {etag}}, 206, "56789"},
		{http.Header{"Range": {"bytes=9995-"}, "If-Range": {`"other"`}}, 200, body},
		{http.Header{"Range": {"bytes=10000-"}}, 416, "invalid range: failed to overlap\n"},
	} {
		r := serve(d, "GET", c.header)
		if got, _ := io.ReadAll(r.Body); r.StatusCode != c.status || string(got) != c.body {
			t.Errorf("%v: %d %.40q", c.header, r.StatusCode, got)
		}
	}
	// Without ranges the whole is served.
	plain := formats.NewDocument("text/plain", []byte(body))
	if r := serve(plain, "GET", http.Header{"Range": {"bytes=1-2"}}); r.StatusCode != 200 || r.Header.Get("Accept-Ranges") != "" {
		t.Error(r.StatusCode, r.Header)
	}
}

func TestStream(t *testing.T) {
	const lines = 200_000
	write := func(w io.Writer) error {
		for range lines {
			if _, err := io.WriteString(w, "a line\n"); err != nil {
				return err
			}
		}
		return nil
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		switch r.URL.Path {
		case "/whole":
			err = formats.Stream(w, r, "text/plain", "v1", write)
		case "/early":
			err = formats.Stream(w, r, "text/plain", "v1", func(w io.Writer) error {
				_, _ = io.WriteString(w, "a line\n")
				return io.ErrNoProgress
			})
		case "/late":
			err = formats.Stream(w, r, "text/plain", "v1", func(w io.Writer) error { return errors.Join(write(w), io.ErrNoProgress) })
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	}))
	s.Config.ErrorLog = log.New(t.Output(), "", 0)
	defer s.Close()
	get := func(path, header, value string) (*http.Response, string, error) {
		r, err := http.NewRequest("GET", s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(header, value)
		res, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return res, string(body), err
	}
	// The client of net/http asks for gzip by itself, and decodes it.
	for _, coding := range []string{"identity", ""} {
		header := "Accept-Encoding"
		if coding == "" {
			header = "X-Nothing"
		}
		r, body, err := get("/whole", header, coding)
		if err != nil || r.StatusCode != 200 || len(body) != 7*lines || r.Uncompressed != (coding == "") {
			t.Errorf("%q: %v, %d, %d bytes", coding, err, r.StatusCode, len(body))
		}
		if again, _, _ := get("/whole", "If-None-Match", r.Header.Get("ETag")); again.StatusCode != http.StatusNotModified || again.Header.Get("ETag") != r.Header.Get("ETag") {
			t.Errorf("%q: again %d", coding, again.StatusCode)
		}
	}
	if r, body, _ := get("/early", "Accept-Encoding", "identity"); r.StatusCode != http.StatusBadGateway || strings.Contains(body, "line") {
		t.Errorf("a failure at the beginning: %d %q", r.StatusCode, body)
	}
	if _, _, err := get("/late", "Accept-Encoding", "identity"); err == nil {
		t.Error("half a document looks like a whole one")
	}
}
