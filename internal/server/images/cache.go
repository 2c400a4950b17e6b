package images

import (
	"hash/maphash"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// cacheShards is how many locks a cache has, so that readers seldom meet.
const cacheShards = 32

// A cache keeps what was used last, up to a total cost. What it holds is never
// older than the last drop of its key.
type cache[K comparable, V any] struct {
	seed   maphash.Seed
	cost   func(V) int64
	shards [cacheShards]cacheShard[K, V]
}

type cacheShard[K comparable, V any] struct {
	mu   sync.Mutex
	lru  *simplelru.LRU[K, V]
	free int64 // cost that is left; below zero while room is being made
	// drops counts the calls of drop, so that a value which was read from the
	// database before a change is not put in after it.
	drops uint64
}

// newCache returns a cache of entries whose costs add up to total at most.
func newCache[K comparable, V any](total int64, cost func(V) int64) *cache[K, V] {
	c := &cache[K, V]{seed: maphash.MakeSeed(), cost: cost}
	for i := range c.shards {
		s := &c.shards[i]
		s.free = total / cacheShards
		// Their cost alone bounds the number of entries; the only error is that
		// of a size which is not positive.
		s.lru, _ = simplelru.NewLRU(1<<62, func(_ K, v V) { s.free += cost(v) })
	}
	return c
}

func (c *cache[K, V]) shard(key K) *cacheShard[K, V] {
	return &c.shards[maphash.Comparable(c.seed, key)%cacheShards]
}

// load returns the value of a key, which read finds where the cache has none.
func (c *cache[K, V]) load(key K, read func() (V, error)) (V, error) {
	s := c.shard(key)
	s.mu.Lock()
	v, ok := s.lru.Get(key)
	drops := s.drops
	s.mu.Unlock()
	if ok {
		return v, nil
	}
	v, err := read()
	if err != nil {
		return v, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drops != drops {
		return v, nil
	}
	s.lru.Remove(key) // another reader's
	if s.free -= c.cost(v); s.free < 0 {
		for s.free < 0 && s.lru.Len() > 0 {
			s.lru.RemoveOldest()
		}
		if s.free < 0 { // larger than all of the shard
			s.free += c.cost(v)
			return v, nil
		}
	}
	s.lru.Add(key, v)
	return v, nil
}

// drop forgets keys. It is called after the change is committed and before it
// is answered.
func (c *cache[K, V]) drop(keys ...K) {
	for _, key := range keys {
		s := c.shard(key)
		s.mu.Lock()
		s.drops++
		s.lru.Remove(key)
		s.mu.Unlock()
	}
}
