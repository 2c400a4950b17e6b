package formats

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// A DocumentCache keeps the rendered documents of all formats that were used most
// recently, up to a total size. It is safe for concurrent use. A format uses its own
// part of it: see [DocumentCache.For].
type DocumentCache struct {
	documents *lru.Cache[documentKey, keptDocument]
	// largest is the cost of the largest document that is kept.
	largest int64

	mu       sync.Mutex
	byFormat map[packages.Format]*Documents
}

// A documentKey is unique among all formats, whatever keys each of them chooses.
type documentKey struct {
	format packages.Format
	key    string
}

type keptDocument struct {
	*Document
	format *Documents
}

// NewDocumentCache returns a cache of at most size bytes of documents. A document that
// takes more than half of it is not kept, so that it does not push out all others.
func NewDocumentCache(size int64) *DocumentCache {
	return &DocumentCache{
		documents: lru.New[documentKey](lru.Config[keptDocument]{
			MaxCost: size,
			Cost:    func(d keptDocument) int64 { return d.cost() },
			Count:   func(d keptDocument, n int64) { d.format.entries.Add(n); d.format.cost.Add(n * d.cost()) },
		}),
		largest:  size / 2,
		byFormat: map[packages.Format]*Documents{},
	}
}

// For returns the documents of a format.
func (c *DocumentCache) For(f packages.Format) *Documents {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.byFormat[f]
	if d == nil {
		d = &Documents{cache: c, format: f, uncached: make(chan struct{}, maxUncached)}
		c.byFormat[f] = d
	}
	return d
}

// Stats returns the counters of each format, for metrics.
func (c *DocumentCache) Stats() map[packages.Format]lru.Stats {
	c.mu.Lock()
	byFormat := maps.Clone(c.byFormat)
	c.mu.Unlock()
	all := make(map[packages.Format]lru.Stats, len(byFormat))
	for f, d := range byFormat {
		all[f] = d.Stats()
	}
	return all
}

// Documents are the rendered documents of one format. A key contains everything that
// the bytes depend on, including the package's revision, so an entry is never out of
// date and never has to be invalidated.
type Documents struct {
	cache     *DocumentCache
	format    packages.Format
	rendering singleflight.Group
	uncached  chan struct{} // holds a value for each Render

	hits, misses  atomic.Uint64
	entries, cost atomic.Int64
}

// Get returns the document with the key. If the cache does not have it, render
// makes it: once, however many requests wait for it.
func (d *Documents) Get(key string, render func() (*Document, error)) (*Document, error) {
	full := documentKey{d.format, key}
	have := d.cache.documents.Lookup(full)
	if have.State == lru.Fresh {
		d.hits.Add(1)
		return have.Value.Document, nil
	}
	d.misses.Add(1)
	v, err, _ := d.rendering.Do(key, func() (any, error) {
		// Another request may have rendered it since the lookup.
		if now := d.cache.documents.Lookup(full); now.State == lru.Fresh {
			return now.Value.Document, nil
		}
		doc, err := render()
		if err == nil && doc.cost() <= d.cache.largest {
			d.cache.documents.Store(full, keptDocument{doc, d}, have)
		}
		return doc, err
	})
	if err != nil {
		return nil, err
	}
	return v.(*Document), nil
}

// GetWithBase returns a document that contains the address of the endpoint, r.Base. It is
// kept only if the server knows the address: see [Request.Listed].
func (d *Documents) GetWithBase(r *Request, key string, render func() (*Document, error)) (*Document, error) {
	if !r.Listed {
		return d.Render(r.Context(), render)
	}
	return d.Get(r.Base+"\n"+key, render)
}

// maxUncached is how many documents of a format are rendered at once without being kept.
const maxUncached = 4

// Render makes a document that is not kept, because a client chose a part of its key.
// Few run at a time, so clients cannot multiply what rendering takes in memory.
func (d *Documents) Render(ctx context.Context, render func() (*Document, error)) (*Document, error) {
	select {
	case d.uncached <- struct{}{}:
		defer func() { <-d.uncached }()
		return render()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Stats returns the counters of the format's documents. Evictions are not counted by
// format.
func (d *Documents) Stats() lru.Stats {
	return lru.Stats{Hits: d.hits.Load(), Misses: d.misses.Load(), Entries: int(d.entries.Load()), Cost: d.cost.Load()}
}
