package ruby_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// manyGems is how many gems the repository of the benchmarks has, with one version each.
const manyGems = 10_000

// publishMany publishes the gems, some at a time.
func publishMany(b *testing.B, s *formatstest.Server, app string) {
	b.Helper()
	var all sync.WaitGroup
	next := make(chan int)
	for range 16 {
		all.Go(func() {
			for i := range next {
				body := gem(b, fmt.Sprintf("gem-%05d", i), "1.0.0", fmt.Sprintf(dependsOn, "rake", "runtime"), "content")
				if r := s.Do(formatstest.Admin, "POST", app+"api/v1/gems", body); r.StatusCode != http.StatusOK {
					b.Errorf("%d: %d %s", i, r.StatusCode, r.Body)
				}
			}
		})
	}
	for i := range manyGems {
		next <- i
	}
	close(next)
	all.Wait()
}

// BenchmarkIndexes reads the documents about all gems of a repository with many: as they
// are, and after one gem has changed.
func BenchmarkIndexes(b *testing.B) {
	s, app := start(b)
	publishMany(b, s, s.Endpoint(formatstest.Shared, packages.Ruby))
	token := s.Token(formatstest.Reader, formatstest.Domain)
	get := func(path string) {
		r, err := http.NewRequest("GET", app+path, nil)
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Accept-Encoding", "identity")
		res, err := s.Client().Do(r)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); err != nil || n == 0 || res.StatusCode != http.StatusOK {
			b.Fatal(res.StatusCode, n, err)
		}
		res.Body.Close()
	}
	for _, path := range []string{"names", "versions", "specs.4.8.gz"} {
		get(path)
		b.Run("unchanged/"+path, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				get(path)
			}
		})
	}
	n := 0
	b.Run("changed/versions", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			n++
			if r := s.Do(formatstest.Admin, "POST", app+"api/v1/gems", gem(b, "changing", fmt.Sprintf("1.0.%d", n), "", "x")); r.StatusCode != http.StatusOK {
				b.Fatal(r.StatusCode, r.Body)
			}
			b.StartTimer()
			get("versions")
		}
	})
}

// BenchmarkVersions_External reads what was added to the list of a registry as large as
// the public one, each time after an addition there.
func BenchmarkVersions_External(b *testing.B) {
	r, s, app := startConnected(b)
	var list strings.Builder
	for i := range 190_000 {
		fmt.Fprintf(&list, "gem-%06d 1.0.0,1.0.1,1.1.0,1.2.0,2.0.0,2.1.0-java,2.1.0,3.0.0.pre,3.0.0 0123456789abcdef0123456789abcdef\n", i)
	}
	r.list = list.String()
	r.add("first", "1.0", "")
	before := get(b, s, app+"versions")
	b.SetBytes(int64(len(before.Body)))
	for b.Loop() {
		b.StopTimer()
		r.add("more", "1.0", "")
		b.StartTimer()
		now := get(b, s, app+"versions", "If-None-Match: "+before.Header.Get("ETag"), fmt.Sprintf("Range: bytes=%d-", len(before.Body)-1))
		if now.StatusCode != http.StatusPartialContent || len(now.Body) > 1<<10 {
			b.Fatal(now.StatusCode, len(now.Body))
		}
		before.Body += now.Body[1:]
		before.Header = now.Header
	}
}
