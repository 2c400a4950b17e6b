package formats

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"sync"

	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-registry/gatehouse/internal/httpheader"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
)

// minGzip is the size in bytes from which on a document is compressed.
const minGzip = 1 << 10

// A Document is a rendered answer that many requests share: npm's document of a
// package, or a project's page of the simple index. It is immutable.
type Document struct {
	contentType string
	etag        string // without quotes
	body        []byte
	zip         func() []byte
}

// NewDocument returns a document with the given bytes, which it keeps. Its ETag is
// a hash of them, so it is the same after a restart and on every replica.
func NewDocument(contentType string, body []byte) *Document {
	sum := sha256.Sum256(body)
	return &Document{
		contentType: contentType,
		etag:        hex.EncodeToString(sum[:16]),
		body:        body,
		zip:         sync.OnceValue(func() []byte { return compress(body) }),
	}
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(body) // a bytes.Buffer takes everything
	_ = z.Close()
	return b.Bytes()
}

// Serve answers with the document: 304 if the client has it, compressed if the
// client takes gzip. A client may keep the answer but must revalidate it before
// each use, so the next install sees what was published.
func (d *Document) Serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Vary", "Accept, Accept-Encoding")
	h.Set("Cache-Control", "private, no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	// Either coding's tag is good for a 304: both stand for the same document.
	plain, gzipped := `"`+d.etag+`"`, `"`+d.etag+`-gzip"`
	body, etag := d.body, plain
	zipped := len(d.body) >= minGzip && httpheader.AcceptsGzip(r.Header)
	if zipped {
		etag = gzipped
	}
	h.Set("ETag", etag)
	if httpheader.NoneMatch(r.Header, plain, gzipped) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if zipped {
		body = d.zip()
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Type", d.contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone
	}
}

// cost is what a document counts in a cache, in bytes: its body, and a quarter of
// that for the compressed form, which may exist.
func (d *Document) cost() int64 { return int64(len(d.body)) + int64(len(d.body))/4 + 512 }

// A DocumentCache keeps the rendered documents that were used most recently. It is
// safe for concurrent use. A key contains everything that the bytes depend on,
// including the package's revision, so an entry is never out of date and never has
// to be invalidated.
type DocumentCache struct {
	rendering singleflight.Group
	uncached  chan struct{} // holds a value for each Render
	documents *lru.Cache[string, *Document]
}

// NewDocumentCache returns a cache of at most size bytes of documents.
func NewDocumentCache(size int64) *DocumentCache {
	return &DocumentCache{uncached: make(chan struct{}, maxUncached), documents: lru.New[string](lru.Config[*Document]{MaxCost: size, Cost: (*Document).cost})}
}

// Get returns the document with the key. If the cache does not have it, render
// makes it: once, however many requests wait for it.
func (c *DocumentCache) Get(key string, render func() (*Document, error)) (*Document, error) {
	have := c.documents.Lookup(key)
	if have.State == lru.Fresh {
		return have.Value, nil
	}
	v, err, _ := c.rendering.Do(key, func() (any, error) {
		// Another request may have rendered it since the lookup.
		if now := c.documents.Lookup(key); now.State == lru.Fresh {
			return now.Value, nil
		}
		d, err := render()
		if err == nil {
			c.documents.Store(key, d, have)
		}
		return d, err
	})
	if err != nil {
		return nil, err
	}
	return v.(*Document), nil
}

// maxUncached is how many documents are rendered at once without being kept.
const maxUncached = 4

// Render makes a document that is not kept, because a client chose a part of its key.
// Few run at a time, so clients cannot multiply what rendering takes in memory.
func (c *DocumentCache) Render(ctx context.Context, render func() (*Document, error)) (*Document, error) {
	select {
	case c.uncached <- struct{}{}:
		defer func() { <-c.uncached }()
		return render()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Stats returns the counters of the cache.
func (c *DocumentCache) Stats() lru.Stats { return c.documents.Stats() }
