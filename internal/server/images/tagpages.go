package images

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
)

// tagPageBytes bounds the pages of tags that are kept in memory.
const tagPageBytes = 8 << 20

// tagPages remembers the pages of repositories' tags that clients ask for. The
// whole list of a repository would have to be read anew after every push.
type tagPages struct {
	pages *lru.Cache[tagPageKey, tagPage]
	// changes counts how often tags changed. Repositories share counters: a
	// page that is forgotten without need is only read again.
	changes [1024]atomic.Uint64
}

// tagPageKey holds the count of changes at which the page was read, so that no
// page from before is found after one.
type tagPageKey struct {
	repository int64
	changes    uint64
	after      string
	limit      int
}

type tagPage struct {
	tags []string // is shared and never changes
	more bool
	size int64 // in bytes
}

func newTagPages() *tagPages {
	return &tagPages{pages: lru.New[tagPageKey](lru.Config[tagPage]{
		MaxCost: tagPageBytes, Shards: cacheShards,
		Cost: func(p tagPage) int64 { return p.size },
	})}
}

// changed forgets a repository's pages. It is called after the change is
// committed and before it is answered.
func (t *tagPages) changed(repository int64) { t.counter(repository).Add(1) }

func (t *tagPages) counter(repository int64) *atomic.Uint64 {
	return &t.changes[uint64(repository)%uint64(len(t.changes))]
}

// page returns the tags after after and at most limit of them.
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
