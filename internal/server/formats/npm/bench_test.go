package npm_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
)

// many publishes a package of 500 versions.
func many(b *testing.B) (s *formatstest.Server, app string) {
	s, app = start(b)
	for i := range 500 {
		publish(b, s, app, "lib", fmt.Sprintf("1.0.%d", i), "latest", make([]byte, 1024))
	}
	return s, app
}

func fileServer(b *testing.B, dir string) *httptest.Server {
	files := httptest.NewServer(http.FileServer(http.Dir(dir)))
	b.Cleanup(files.Close)
	return files
}

// get fetches an address repeatedly over the loopback, as an installer does.
func get(b *testing.B, c *http.Client, address, token string, headers ...string) {
	b.Helper()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, err := http.NewRequest("GET", address, nil)
			if err != nil {
				b.Error(err)
				return
			}
			r.Header.Set("Authorization", "Bearer "+token)
			for _, h := range headers {
				name, value, _ := strings.Cut(h, ": ")
				r.Header.Set(name, value)
			}
			res, err := c.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			_, err = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if err != nil || res.StatusCode != 200 && res.StatusCode != 304 {
				b.Error(res.StatusCode, err)
				return
			}
		}
	})
}

// BenchmarkDocument compares a document of 500 versions with the same bytes from a
// file server. The goal is a small multiple of the file server's time.
func BenchmarkDocument(b *testing.B) {
	s, app := many(b)
	token := s.Token(formatstest.Reader, formatstest.Domain)
	const installer = "Accept: application/vnd.npm.install-v1+json"
	for name, headers := range map[string][]string{
		"full": {"Accept-Encoding: identity"}, "abbreviated": {installer, "Accept-Encoding: identity"}, "gzip": {installer, "Accept-Encoding: gzip"},
	} {
		b.Run(name, func(b *testing.B) { get(b, s.Client(), app+"lib", token, headers...) })
	}
	tag := s.Do(formatstest.Reader, "GET", app+"lib", "").Header.Get("ETag")
	b.Run("unchanged", func(b *testing.B) { get(b, s.Client(), app+"lib", token, "If-None-Match: "+tag) })

	dir := b.TempDir()
	body := s.Do(formatstest.Reader, "GET", app+"lib", "", "Accept-Encoding: identity").Body
	if err := os.WriteFile(filepath.Join(dir, "lib"), []byte(body), 0o600); err != nil {
		b.Fatal(err)
	}
	files := fileServer(b, dir)
	b.Run("file server", func(b *testing.B) { get(b, files.Client(), files.URL+"/lib", token, "Accept-Encoding: identity") })
}

func BenchmarkTarball(b *testing.B) {
	s, app := start(b)
	content := make([]byte, 100<<10)
	publish(b, s, app, "lib", "1.0.0", "latest", content)
	token := s.Token(formatstest.Reader, formatstest.Domain)
	b.Run("handler", func(b *testing.B) { get(b, s.Client(), app+"lib/-/lib-1.0.0.tgz", token) })
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "lib.tgz"), content, 0o600); err != nil {
		b.Fatal(err)
	}
	files := fileServer(b, dir)
	b.Run("file server", func(b *testing.B) { get(b, files.Client(), files.URL+"/lib.tgz", token) })
}

// BenchmarkPublish adds versions to a package that has 500.
func BenchmarkPublish(b *testing.B) {
	s, app := many(b)
	b.ReportAllocs()
	next := 500
	for b.Loop() {
		publish(b, s, app, "lib", fmt.Sprintf("1.0.%d", next), "latest", make([]byte, 1024))
		next++
	}
}

// BenchmarkFirstRead renders a document of 500 versions, which the first reader
// after a publication waits for.
func BenchmarkFirstRead(b *testing.B) {
	s, app := many(b)
	b.ReportAllocs()
	tag := 0
	for b.Loop() {
		b.StopTimer()
		tag++
		want(b, 201, s.Do(formatstest.Admin, "PUT", app+"-/package/lib/dist-tags/t", fmt.Sprintf(`"1.0.%d"`, tag%500)))
		b.StartTimer()
		want(b, 200, s.Do(formatstest.Reader, "GET", app+"lib", "", "Accept: application/vnd.npm.install-v1+json"))
	}
}
