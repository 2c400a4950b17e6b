package images

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// The entries of a cache never cost more than its total, whatever is read and
// dropped, and what is too large for it is served all the same.
func TestCacheIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const perShard = 10
		c := newCache[int](perShard*cacheShards, func(v int) int64 { return int64(v) })
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			key := rapid.IntRange(0, 300).Draw(t, "key")
			if rapid.IntRange(0, 4).Draw(t, "drop") == 0 {
				c.drop(key)
				continue
			}
			cost := rapid.IntRange(0, perShard+3).Draw(t, "cost")
			fresh := false
			v, err := c.load(key, func() (int, error) { fresh = true; return cost, nil })
			if err != nil || fresh && v != cost {
				t.Fatalf("load = %d, %v", v, err)
			}
		}
		for i := range c.shards {
			s, sum := &c.shards[i], int64(0)
			for _, v := range s.lru.Values() {
				sum += int64(v)
			}
			if sum > perShard || s.free != perShard-sum {
				t.Fatalf("shard %d holds %d and says that %d are free", i, sum, s.free)
			}
		}
	})
}

func TestCacheKeepsNothingFromBeforeADrop(t *testing.T) {
	c := newCache[string](1000, func(string) int64 { return 1 })
	read := func(v string) func() (string, error) { return func() (string, error) { return v, nil } }
	// The value is read before the change and arrives after it.
	if v, _ := c.load("k", func() (string, error) { c.drop("k"); return "old", nil }); v != "old" {
		t.Errorf("load = %s", v)
	}
	if v, _ := c.load("k", read("new")); v != "new" {
		t.Errorf("load = %s, which was read before the change", v)
	}
	if v, _ := c.load("k", read("newer")); v != "new" {
		t.Errorf("load = %s, want the cached value", v)
	}
	boom := errors.New("boom")
	if _, err := c.load("other", func() (string, error) { return "", boom }); err != boom {
		t.Errorf("err = %v", err)
	}
	if v, err := c.load("other", read("v")); v != "v" || err != nil {
		t.Errorf("an error was cached: %s, %v", v, err)
	}
}
