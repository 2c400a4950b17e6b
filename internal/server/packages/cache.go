package packages

import "github.com/gatehouse-registry/gatehouse/internal/server/lru"

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

// namespaceKey is the key of the package's namespace: no package has an empty name.
func (k cacheKey) namespaceKey() cacheKey { return cacheKey{k.repository, k.format, k.namespace, ""} }

// A sized value knows its size in memory, in bytes, approximately.
type sized interface{ size() int64 }

// cacheShards is the number of locks of a cache. A package with very many
// versions is large, so that there are few shards.
const cacheShards = 8

// newCache returns a cache of at most limit bytes. A value that has changed is
// marked stale instead of dropped: the next reader builds on it.
func newCache[V sized](limit int64) *lru.Cache[cacheKey, V] {
	return lru.New[cacheKey](lru.Config[V]{MaxCost: limit, Shards: cacheShards, Cost: V.size})
}

// minEntry is the size in bytes that the smallest entry is taken to have.
const minEntry = 256

// Caches returns the counters of the caches by name, for metrics.
func (s *Service) Caches() map[string]lru.Stats {
	return map[string]lru.Stats{"package_records": s.records.Stats(), "package_views": s.views.Stats(), "package_remotes": s.remotes.Stats(), "package_namespaces": s.namespaces.Stats()}
}
