// Package lru has the one cache of the server: it keeps the entries that were
// used last, up to a total cost, and counts hits and misses.
//
// A [Cache] never holds what a change has made out of date. Whoever changes
// something in the database calls [Cache.Drop] (or [Cache.MarkStale], if the old
// value still helps to make the new one) after the commit and before the answer.
// A reader that began before that call cannot store what it read:
//
//	lookup := c.Lookup(key)
//	if lookup.State == lru.Fresh {
//		return lookup.Value
//	}
//	value := read(key)
//	c.Store(key, value, lookup) // does nothing if key was dropped meanwhile
//
// [Cache.Load] does these steps for the usual case.
//
// A key should hold only what the server itself chose or checked, for example the
// row of a repository and a valid digest. If clients can make up keys, they can
// push everything else out of the cache.
package lru

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Config says how large a [Cache] is.
type Config[V any] struct {
	// MaxCost is the sum of the costs of all entries, at most. The unit is that
	// of Cost: usually bytes.
	MaxCost int64
	// Cost returns the cost of a value. It must not be negative and must not
	// change while the value is in the cache. nil means that each entry costs 1.
	Cost func(V) int64
	// Count, if it is not nil, is called with 1 for each value that is put into the
	// cache and with -1 for each that leaves it. It must be fast: a lock is held.
	Count func(v V, n int64)
	// Shards is the number of parts that have a lock of their own; 0 means 1.
	// Each part has the same share of MaxCost, and a value that costs more than
	// this share is never kept. So use few if single values may be large.
	Shards int
}

// A Cache maps keys to values. It is safe for concurrent use. Make it with [New].
type Cache[K comparable, V any] struct {
	seed   maphash.Seed
	cost   func(V) int64
	count  func(V, int64)
	shards []shard[K, V]

	hits, misses, evictions atomic.Uint64
	// drops is the sum of those of the shards.
	drops atomic.Uint64
}

type shard[K comparable, V any] struct {
	mu      sync.Mutex
	entries *simplelru.LRU[K, entry[V]]
	cost    int64 // of all entries
	max     int64
	// drops counts Drop and MarkStale. All keys of the shard share the counter:
	// at worst a value is read once more than necessary.
	drops uint64
}

type entry[V any] struct {
	value V
	stale bool
}

// New returns an empty cache.
func New[K comparable, V any](c Config[V]) *Cache[K, V] {
	if c.Cost == nil {
		c.Cost = func(V) int64 { return 1 }
	}
	if c.Count == nil {
		c.Count = func(V, int64) {}
	}
	cache := &Cache[K, V]{seed: maphash.MakeSeed(), cost: c.Cost, count: c.Count, shards: make([]shard[K, V], max(c.Shards, 1))}
	for i := range cache.shards {
		s := &cache.shards[i]
		s.max = c.MaxCost / int64(len(cache.shards))
		// simplelru has a bound in entries, which is out of reach here: the cost
		// bounds them. It returns an error only if that bound is not positive.
		s.entries, _ = simplelru.NewLRU(math.MaxInt, func(_ K, e entry[V]) {
			s.cost -= c.Cost(e.value)
			c.Count(e.value, -1)
		})
	}
	return cache
}

func (c *Cache[K, V]) shard(key K) *shard[K, V] {
	return &c.shards[maphash.Comparable(c.seed, key)%uint64(len(c.shards))]
}

// A State says what a cache has for a key.
type State uint8

const (
	// Missing means that there is no value.
	Missing State = iota
	// Stale means that the value has changed since: see [Cache.MarkStale].
	Stale
	// Fresh means that the value may be used.
	Fresh
)

// A Lookup is what a cache had for a key at one moment.
type Lookup[V any] struct {
	State State
	// Value is the zero value if State is Missing.
	Value V
	// Generation grows with each Drop and MarkStale of the key. Readers that have
	// the same generation may share one read of the database.
	Generation uint64

	any bool // Generation is that of all keys
}

// Lookup returns what the cache has for key. It counts as a hit if the value is
// fresh, and otherwise as a miss.
func (c *Cache[K, V]) Lookup(key K) Lookup[V] {
	s := c.shard(key)
	s.mu.Lock()
	e, found := s.entries.Get(key)
	l := Lookup[V]{Value: e.value, Generation: s.drops}
	s.mu.Unlock()
	switch {
	case !found:
	case e.stale:
		l.State = Stale
	default:
		l.State = Fresh
	}
	if l.State == Fresh {
		c.hits.Add(1)
	} else {
		c.misses.Add(1)
	}
	return l
}

// LookupAny is for a value whose key is known only when it has been read. [Cache.Store]
// then does nothing if any key at all was dropped or marked since.
func (c *Cache[K, V]) LookupAny() Lookup[V] { return Lookup[V]{Generation: c.drops.Load(), any: true} }

// Store adds or replaces the value of key, which was read after the lookup. It
// does nothing if the key was dropped or marked since then, or if the value costs
// more than a shard may hold.
func (c *Cache[K, V]) Store(key K, value V, since Lookup[V]) {
	cost := c.cost(value)
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	generation := s.drops
	if since.any {
		generation = c.drops.Load()
	}
	if generation != since.Generation || cost > s.max {
		return
	}
	s.entries.Remove(key) // takes its cost off
	s.entries.Add(key, entry[V]{value: value})
	c.count(value, 1)
	for s.cost += cost; s.cost > s.max; c.evictions.Add(1) {
		s.entries.RemoveOldest()
	}
}

// Load returns the fresh value of key, or else the one that read returns, which
// is then stored. An error of read is returned and not stored. Several callers
// may read the same key at the same time.
func (c *Cache[K, V]) Load(key K, read func() (V, error)) (V, error) {
	lookup := c.Lookup(key)
	if lookup.State == Fresh {
		return lookup.Value, nil
	}
	value, err := read()
	if err == nil {
		c.Store(key, value, lookup)
	}
	return value, err
}

// dropped counts a Drop or MarkStale. The caller has the lock of the shard.
func (c *Cache[K, V]) dropped(s *shard[K, V]) {
	s.drops++
	c.drops.Add(1)
}

// Drop removes keys. Call it after the change is committed and before it is
// answered.
func (c *Cache[K, V]) Drop(keys ...K) {
	for _, key := range keys {
		s := c.shard(key)
		s.mu.Lock()
		c.dropped(s)
		s.entries.Remove(key)
		s.mu.Unlock()
	}
}

// Clear is [Cache.Drop] for all keys.
func (c *Cache[K, V]) Clear() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		c.dropped(s)
		s.entries.Purge()
		s.mu.Unlock()
	}
}

// MarkStale is [Cache.Drop] for values that the next reader builds on: they stay,
// and lookups return them as [Stale].
func (c *Cache[K, V]) MarkStale(keys ...K) {
	for _, key := range keys {
		s := c.shard(key)
		s.mu.Lock()
		c.dropped(s)
		if e, ok := s.entries.Peek(key); ok && !e.stale {
			s.entries.Remove(key)
			s.entries.Add(key, entry[V]{e.value, true})
			s.cost += c.cost(e.value)
			c.count(e.value, 1)
		}
		s.mu.Unlock()
	}
}

// Stats are the counters of a cache, for metrics. Hits, Misses and Evictions
// count since the start.
type Stats struct {
	Hits, Misses, Evictions uint64
	Entries                 int
	Cost                    int64
}

// Stats returns the counters.
func (c *Cache[K, V]) Stats() Stats {
	st := Stats{Hits: c.hits.Load(), Misses: c.misses.Load(), Evictions: c.evictions.Load()}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		st.Entries += s.entries.Len()
		st.Cost += s.cost
		s.mu.Unlock()
	}
	return st
}
