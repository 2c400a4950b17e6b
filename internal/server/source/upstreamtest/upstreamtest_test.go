package upstreamtest_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/source/upstreamtest"
)

// ask sends a request without any client of the project between.
func ask(t *testing.T, url string, header http.Header) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		r.Header = header
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestServer_Folder(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "org", "a b.pom")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("<project/>"), 0o600); err != nil {
		t.Fatal(err)
	}
	modified := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.Chtimes(path, modified, modified); err != nil {
		t.Fatal(err)
	}
	s := upstreamtest.New(t)
	s.Folder(t, "/maven2/", dir)
	url := s.URL + "/maven2/org/a%20b.pom"
	res, body := ask(t, url, nil)
	if body != "<project/>" || res.Header.Get("Last-Modified") != "Fri, 02 Jan 2026 03:04:05 GMT" || res.Header.Get("ETag") == "" {
		t.Errorf("%q, %v", body, res.Header)
	}
	for name, header := range map[string]http.Header{
		"ETag": {"If-None-Match": {res.Header.Get("ETag")}}, "time": {"If-Modified-Since": {res.Header.Get("Last-Modified")}},
	} {
		if res, body := ask(t, url, header); res.StatusCode != http.StatusNotModified || body != "" {
			t.Errorf("%s: %d, %q", name, res.StatusCode, body)
		}
	}
	if res, body := ask(t, url, http.Header{"Range": {"bytes=1-7"}}); res.StatusCode != http.StatusPartialContent || body != "project" {
		t.Errorf("%d, %q", res.StatusCode, body)
	}
	if n := s.Count("/maven2/org/a%20b.pom"); n != 4 || s.Count("") != 4 {
		t.Errorf("%d requests", n)
	}
}

// A document that is put again has new validators.
func TestServer_Put(t *testing.T) {
	s := upstreamtest.New(t)
	var etags, times []string
	for _, text := range []string{"one", "two"} {
		s.Put("/@a%2fb", upstreamtest.File{Body: []byte(text), Type: "application/json"})
		res, body := ask(t, s.URL+"/@a%2fb", nil)
		if body != text || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%q, %v", body, res.Header)
		}
		etags, times = append(etags, res.Header.Get("ETag")), append(times, res.Header.Get("Last-Modified"))
	}
	if etags[0] == etags[1] || times[0] == times[1] {
		t.Errorf("%v, %v", etags, times)
	}
	s.Remove("/@a%2fb")
	if res, _ := ask(t, s.URL+"/@a%2fb", nil); res.StatusCode != http.StatusNotFound {
		t.Error(res.Status)
	}
}

// The fault of a path wins over that of a folder, and that over the fault of all paths.
func TestServer_Fail(t *testing.T) {
	s := upstreamtest.New(t)
	s.Handle("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	s.Fail("", upstreamtest.Status(500))
	s.Fail("/a/", upstreamtest.Status(501))
	s.Fail("/a/b", upstreamtest.Times(1, upstreamtest.Status(502)))
	for _, c := range []struct {
		path string
		want int
	}{{"/x", 500}, {"/a/x", 501}, {"/a/b", 502}, {"/a/b", 204}} {
		if res, _ := ask(t, s.URL+c.path, nil); res.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", c.path, res.StatusCode, c.want)
		}
	}
	s.Heal()
	if res, _ := ask(t, s.URL+"/a/x", nil); res.StatusCode != http.StatusNoContent {
		t.Error(res.Status)
	}
}
