package packages

import (
	"hash/maphash"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// cacheShards is how many locks a cache has, so that requests for different
// packages do not wait for each other.
const cacheShards = 8

// A cacheKey names a package in a repository: the repository's id in the
// database, which is never used again, and the package's key.
type cacheKey struct {
	repository string
	format     Format
	namespace  string
	name       string
}

func (r *repository) cacheKey(p PackageID) cacheKey {
	return cacheKey{r.row, p.Format, p.Namespace, p.key()}
}

// A sized value knows about how many bytes it takes.
type sized interface{ size() int64 }

// A cache keeps what was used most recently, up to a bound in bytes. It is safe
// for use by many goroutines.
//
// What changes is marked stale and not removed, since the next reader builds on
// it. Each shard counts those marks: who began to read before a mark may not
// store what it read, or a value of before a commit would outlive it.
type cache[V sized] struct {
	seed   maphash.Seed
	shards [cacheShards]cacheShard[V]
}

type cacheShard[V sized] struct {
	mu    sync.Mutex
	lru   *simplelru.LRU[cacheKey, cacheEntry[V]]
	bytes int64
	limit int64
	marks uint64
}

type cacheEntry[V sized] struct {
	value V
	stale bool
}

func newCache[V sized](limit int64) *cache[V] {
	c := &cache[V]{seed: maphash.MakeSeed()}
	for i := range c.shards {
		s := &c.shards[i]
		s.limit = limit / cacheShards
		// The bound in entries is never reached: an entry is no smaller.
		s.lru, _ = simplelru.NewLRU(int(s.limit/minEntry)+1, func(_ cacheKey, e cacheEntry[V]) { s.bytes -= e.value.size() })
	}
	return c
}

// minEntry is what the smallest entry is taken to need, in bytes.
const minEntry = 256

func (c *cache[V]) shard(k cacheKey) *cacheShard[V] {
	return &c.shards[maphash.Comparable(c.seed, k)%cacheShards]
}

// A lookup is what a cache knows of a key at one moment.
type lookup[V any] struct {
	value V
	found bool // value is there, fresh or stale
	fresh bool
	marks uint64
}

func (c *cache[V]) get(k cacheKey) lookup[V] {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.lru.Get(k)
	return lookup[V]{e.value, ok, ok && !e.stale, s.marks}
}

// put stores a value that was read after the lookup that counted marks.
func (c *cache[V]) put(k cacheKey, v V, marks uint64) {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.marks != marks || v.size() > s.limit {
		return
	}
	s.lru.Remove(k) // so that its size is taken off
	s.lru.Add(k, cacheEntry[V]{value: v})
	s.bytes += v.size()
	for s.bytes > s.limit {
		s.lru.RemoveOldest()
	}
}

// markStale says that the value of k changed. It is called after the commit and
// before the change is acknowledged.
func (c *cache[V]) markStale(k cacheKey) {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marks++
	if e, ok := s.lru.Peek(k); ok && !e.stale {
		s.lru.Remove(k)
		s.lru.Add(k, cacheEntry[V]{e.value, true})
		s.bytes += e.value.size()
	}
}
