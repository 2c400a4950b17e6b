package lru_test

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
)

// The entries never cost more than the bound, whatever is stored, marked and
// dropped, and a value that is too large is returned all the same.
func TestCache_IsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const perShard, shards = 10, 4
		c := lru.New[int](lru.Config[int]{MaxCost: perShard * shards, Shards: shards, Cost: func(v int) int64 { return int64(v) }})
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			key := rapid.IntRange(0, 60).Draw(t, "key")
			switch rapid.IntRange(0, 6).Draw(t, "operation") {
			case 0:
				c.Drop(key)
				if got := c.Lookup(key); got.State != lru.Missing {
					t.Fatalf("a dropped key is found: %+v", got)
				}
			case 1:
				before := c.Lookup(key)
				c.MarkStale(key)
				if got := c.Lookup(key); before.State != lru.Missing && (got.State != lru.Stale || got.Value != before.Value) {
					t.Fatalf("after MarkStale: %+v, before: %+v", got, before)
				}
			default:
				cost, read := rapid.IntRange(0, perShard+3).Draw(t, "cost"), false
				v, err := c.Load(key, func() (int, error) { read = true; return cost, nil })
				if err != nil || read && v != cost {
					t.Fatalf("Load = %d, %v", v, err)
				}
				if l := c.Lookup(key); read && cost <= perShard && (l.State != lru.Fresh || l.Value != cost) {
					t.Fatalf("after Load: %+v", l)
				}
			}
			// The cost that is counted is that of what is there.
			sum, entries := 0, 0
			for k := range 61 {
				if l := c.Lookup(k); l.State != lru.Missing {
					sum, entries = sum+l.Value, entries+1
				}
			}
			if st := c.Stats(); st.Cost != int64(sum) || st.Entries != entries || st.Cost > perShard*shards {
				t.Fatalf("Stats = %+v; want cost %d of %d entries, at most %d", st, sum, entries, perShard*shards)
			}
		}
	})
}

// What was read before a change is not stored after it.
func TestCache_StoreAfterDrop(t *testing.T) {
	for name, change := range map[string]func(*lru.Cache[string, string]){
		"Drop":      func(c *lru.Cache[string, string]) { c.Drop("k") },
		"MarkStale": func(c *lru.Cache[string, string]) { c.MarkStale("k") },
	} {
		t.Run(name, func(t *testing.T) {
			c := lru.New[string](lru.Config[string]{MaxCost: 1000, Shards: 8})
			if v, _ := c.Load("k", func() (string, error) { change(c); return "old", nil }); v != "old" {
				t.Errorf("Load = %s, want what was read", v)
			}
			if v, _ := c.Load("k", value("new")); v != "new" {
				t.Errorf("Load = %s, which was read before the change", v)
			}
			if v, _ := c.Load("k", value("newer")); v != "new" {
				t.Errorf("Load = %s, want the cached value", v)
			}
			change(c)
			if v, _ := c.Load("k", value("newest")); v != "newest" {
				t.Errorf("Load = %s, want what was read after the change", v)
			}
		})
	}
}

// What is read before its key is known is not stored if anything was dropped meanwhile.
func TestCache_StoreAfterLookupAny(t *testing.T) {
	c := lru.New[string](lru.Config[string]{MaxCost: 1000, Shards: 8})
	since := c.LookupAny()
	c.Store("k", "read", since)
	if l := c.Lookup("k"); l.State != lru.Fresh || l.Value != "read" {
		t.Errorf("Lookup = %+v, want what was stored", l)
	}
	for name, change := range map[string]func(){
		"Drop": func() { c.Drop("k") }, "MarkStale": func() { c.MarkStale("k") }, "Clear": c.Clear,
		"Drop of another key": func() { c.Drop("another") },
	} {
		c.Drop("k")
		since := c.LookupAny()
		change()
		c.Store("k", "old", since)
		if l := c.Lookup("k"); l.State != lru.Missing {
			t.Errorf("%s: %+v is in the cache", name, l)
		}
	}
}

func TestCache_ErrorIsNotStored(t *testing.T) {
	c := lru.New[string](lru.Config[string]{MaxCost: 10})
	boom := errors.New("boom")
	if _, err := c.Load("k", func() (string, error) { return "", boom }); err != boom {
		t.Errorf("err = %v", err)
	}
	if v, err := c.Load("k", value("v")); v != "v" || err != nil {
		t.Errorf("after an error: %s, %v", v, err)
	}
}

// The entry that was not used for the longest time goes first.
func TestCache_EvictsLeastRecentlyUsed(t *testing.T) {
	c := lru.New[string](lru.Config[string]{MaxCost: 2})
	for _, key := range []string{"a", "b", "a", "c"} {
		if _, err := c.Load(key, value(key)); err != nil {
			t.Fatal(err)
		}
	}
	if l := c.Lookup("b"); l.State != lru.Missing {
		t.Errorf("b is still there")
	}
	if l := c.Lookup("a"); l.State != lru.Fresh {
		t.Errorf("a is gone, which was used after b")
	}
	if st := c.Stats(); st != (lru.Stats{Hits: 2, Misses: 4, Evictions: 1, Entries: 2, Cost: 2}) {
		t.Errorf("Stats = %+v", st)
	}
}

func value(v string) func() (string, error) { return func() (string, error) { return v, nil } }
