package images

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
)

// tagPageBytes is the maximum size of the pages of tags in memory.
const tagPageBytes = 8 << 20

// tagPages caches the pages of tags that clients ask for. Pages are cached instead
// of whole lists, because each push invalidates a repository's list.
type tagPages struct {
	pages *lru.Cache[tagPageKey, tagPage]
	// changes counts changes of tags. Several repositories share a counter: at
	// worst, a page is read again without need.
	changes [1024]atomic.Uint64
}

// tagPageKey has the number of changes at which the page was read, so that a page
// from before a change is not found after it.
type tagPageKey struct {
	repository int64
	changes    uint64
	after      string
	limit      int
}

type tagPage struct {
	tags []string // shared, never changed
	more bool
	size int64 // in bytes
}

func newTagPages() *tagPages {
	return &tagPages{pages: lru.New[tagPageKey](lru.Config[tagPage]{
		MaxCost: tagPageBytes, Shards: cacheShards,
		Cost: func(p tagPage) int64 { return p.size },
	})}
}

// invalidate drops a repository's pages. Call it after the change is committed and
// before it is answered.
func (t *tagPages) invalidate(repository int64) { t.counter(repository).Add(1) }

func (t *tagPages) counter(repository int64) *atomic.Uint64 {
	return &t.changes[uint64(repository)%uint64(len(t.changes))]
}

// page returns at most limit tags after the tag after.
func (t *tagPages) page(ctx context.Context, d *db.DB, repository int64, after string, limit int) (tagPage, error) {
	key := tagPageKey{repository, t.counter(repository).Load(), after, limit}
	return t.pages.Load(key, func() (p tagPage, err error) {
		p.tags, err = db.All(ctx, d, db.Scalar[string], `SELECT tag FROM image_tag WHERE repository = $1 AND tag > $2 ORDER BY tag LIMIT $3`, repository, after, limit+1)
		if p.more = len(p.tags) > limit; p.more {
			p.tags = p.tags[:limit]
		}
		p.tags = slices.Clip(p.tags)
		p.size = int64(256 + len(after) + 16*len(p.tags))
		for _, tag := range p.tags {
			p.size += int64(len(tag))
		}
		return p, err
	})
}
