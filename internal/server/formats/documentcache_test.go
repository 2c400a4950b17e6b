package formats_test

import (
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func TestDocumentCache_RendersOnce(t *testing.T) {
	c := formats.NewDocumentCache(1 << 20).For(packages.NPM)
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
	c := formats.NewDocumentCache(100 << 10).For(packages.NPM)
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
	c := formats.NewDocumentCache(1 << 20).For(packages.NPM)
	if _, err := c.Get("k", func() (*formats.Document, error) { return nil, io.ErrUnexpectedEOF }); err != io.ErrUnexpectedEOF {
		t.Fatal(err)
	}
	if _, err := c.Get("k", func() (*formats.Document, error) { return formats.NewDocument("text/plain", nil), nil }); err != nil {
		t.Fatal(err)
	}
}

// rendering returns a function that makes a document of so many bytes.
func rendering(text string, size int) func() (*formats.Document, error) {
	return func() (*formats.Document, error) {
		body := make([]byte, size)
		copy(body, text)
		return formats.NewDocument("text/plain", body), nil
	}
}

// Formats share the size of the cache, but neither keys nor counters.
func TestDocumentCache_Formats(t *testing.T) {
	c := formats.NewDocumentCache(100 << 10)
	npm, ruby := c.For(packages.NPM), c.For(packages.Ruby)
	if c.For(packages.NPM) != npm {
		t.Fatal("a format has two parts")
	}
	for _, d := range []struct {
		documents *formats.Documents
		text      string
	}{{npm, "of npm"}, {ruby, "of ruby"}, {npm, "of npm"}} {
		doc, err := d.documents.Get("the same key", rendering(d.text, 100))
		if err != nil || string(doc.Body()[:len(d.text)]) != d.text {
			t.Fatalf("%s: %v, %.10s", d.text, err, doc.Body())
		}
	}
	all := c.Stats()
	if got := all[packages.NPM]; got.Hits != 1 || got.Misses != 1 || got.Entries != 1 {
		t.Errorf("npm: %+v", got)
	}
	if got := all[packages.Ruby]; got.Hits != 0 || got.Misses != 1 || got.Entries != 1 {
		t.Errorf("ruby: %+v", got)
	}
	// The documents of one format push out those of another.
	for i := range 20 {
		if _, err := ruby.Get(fmt.Sprint(i), rendering("x", 10<<10)); err != nil {
			t.Fatal(err)
		}
	}
	all = c.Stats()
	if got := all[packages.NPM]; got.Entries != 0 || got.Cost != 0 {
		t.Errorf("npm keeps %+v", got)
	}
	if got := all[packages.Ruby]; got.Entries == 0 || got.Cost > 100<<10 {
		t.Errorf("ruby keeps %+v", got)
	}
}

// One large document does not push out all others.
func TestDocumentCache_LargeDocument(t *testing.T) {
	c := formats.NewDocumentCache(100 << 10)
	small, large := c.For(packages.NPM), c.For(packages.PyPI)
	for _, get := range []func() (*formats.Document, error){
		func() (*formats.Document, error) { return small.Get("small", rendering("x", 1<<10)) },
		func() (*formats.Document, error) { return large.Get("large", rendering("x", 60<<10)) },
	} {
		if _, err := get(); err != nil {
			t.Fatal(err)
		}
	}
	unwanted := errors.New("rendered again")
	if _, err := small.Get("small", func() (*formats.Document, error) { return nil, unwanted }); err != nil {
		t.Error(err)
	}
	if got := c.Stats()[packages.PyPI]; got != (lru.Stats{Misses: 1}) {
		t.Errorf("%+v", got)
	}
}

// A document with an address that the client made up is not kept.
func TestDocuments_GetWithBase(t *testing.T) {
	d := formats.NewDocumentCache(1 << 20).For(packages.NPM)
	request := func(base string, listed bool) *formats.Request {
		return &formats.Request{Request: httptest.NewRequest("GET", "/", nil), Base: base, Listed: listed}
	}
	for i, r := range []*formats.Request{request("https://a/", true), request("https://b/", true), request("https://c/", false)} {
		for range 2 {
			doc, err := d.GetWithBase(r, "k", rendering(r.Base, 100))
			if err != nil || !strings.HasPrefix(string(doc.Body()), r.Base) {
				t.Fatalf("%d: %v, %.20s", i, err, doc.Body())
			}
		}
	}
	if st := d.Stats(); st.Entries != 2 || st.Hits != 2 {
		t.Errorf("%+v", st)
	}
}
