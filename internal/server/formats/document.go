package formats

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-registry/gatehouse/internal/httpheader"
)

// minGzip is the size in bytes from which compressing a document pays.
const minGzip = 1 << 10

// A Document is a rendered answer that many requests share: npm's document of a
// package, a project's page of the simple index. It is immutable.
type Document struct {
	contentType string
	etag        string // without quotes
	body        []byte
	zip         func() []byte
}

// NewDocument returns the document with the given bytes, which it keeps. Its
// ETag is made of them, so that it survives a restart and agrees between replicas.
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

// Serve answers with the document: 304 where the client has it, compressed where
// the client can read that. A client may keep the answer and must ask again
// before each use, so that what was published is seen by the next install.
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
		_, _ = w.Write(body) // the client is gone; there is nobody to tell
	}
}

// cost is what a document takes of a cache's room: its bytes, and those of its
// compressed form, which may exist and is about a quarter of them.
func (d *Document) cost() int64 { return int64(len(d.body)) + int64(len(d.body))/4 + 512 }

// A DocumentCache keeps rendered documents, the least recently used of which
// give way. It is safe for concurrent use. Its keys say everything that the
// bytes depend on, a package's revision included, so that nothing in it is ever
// out of date and nothing has to be thrown out of it.
type DocumentCache struct {
	rendering singleflight.Group

	mu   sync.Mutex
	docs *simplelru.LRU[string, *Document]
	room int64 // bytes left
}

// NewDocumentCache returns a cache of at most size bytes of documents.
func NewDocumentCache(size int64) *DocumentCache {
	c := &DocumentCache{room: size}
	// The count is bounded by the bytes: a document costs 512 at the least.
	docs, err := simplelru.NewLRU(int(size/512)+1, func(_ string, d *Document) { c.room += d.cost() })
	if err != nil {
		panic(err) // for a size below 1 alone
	}
	c.docs = docs
	return c
}

// Get returns the document with the key, which render makes where the cache has
// none: once, however many requests wait for it.
func (c *DocumentCache) Get(key string, render func() (*Document, error)) (*Document, error) {
	c.mu.Lock()
	d, ok := c.docs.Get(key)
	c.mu.Unlock()
	if ok {
		return d, nil
	}
	v, err, _ := c.rendering.Do(key, func() (any, error) {
		d, err := render()
		if err == nil {
			c.add(key, d)
		}
		return d, err
	})
	if err != nil {
		return nil, err
	}
	return v.(*Document), nil
}

func (c *DocumentCache) add(key string, d *Document) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.docs.Contains(key) {
		return
	}
	c.docs.Add(key, d)
	c.room -= d.cost()
	for c.room < 0 {
		if _, _, ok := c.docs.RemoveOldest(); !ok {
			return
		}
	}
}
