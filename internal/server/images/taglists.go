package images

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
)

const (
	// tagListBytes is the maximum size of the lists of tags in memory.
	tagListBytes = 8 << 20
	// tagListLength is the number of tags of a repository that are cached. It is
	// the length of the longest page.
	tagListLength = 1000
)

// tagLists caches the beginning of each repository's list of tags: nearly all
// requests ask for it. The keys do not contain what a client chooses, such as the
// tag after which a page begins: clients could fill the cache with useless pages.
type tagLists struct {
	heads *lru.Cache[tagListKey, tagList]
	// changes counts changes of tags. Several repositories share a counter: at
	// worst, a list is read again without need.
	changes [1024]atomic.Uint64
}

// tagListKey has the number of changes at which the list was read, so that a list
// from before a change is not found after it.
type tagListKey struct {
	repository int64
	changes    uint64
}

// tagList is a part of a repository's tags in byte order.
type tagList struct {
	tags []string // shared, never changed
	more bool
	size int64 // in bytes
}

func newTagLists() *tagLists {
	return &tagLists{heads: lru.New[tagListKey](lru.Config[tagList]{
		MaxCost: tagListBytes, Shards: 8,
		Cost: func(l tagList) int64 { return l.size },
	})}
}

// invalidate drops a repository's list. Call it after the change is committed and
// before it is answered.
func (t *tagLists) invalidate(repository int64) { t.counter(repository).Add(1) }

// clear drops all lists.
func (t *tagLists) clear() {
	for i := range t.changes {
		t.changes[i].Add(1)
	}
	t.heads.Clear()
}

func (t *tagLists) counter(repository int64) *atomic.Uint64 {
	return &t.changes[uint64(repository)%uint64(len(t.changes))]
}

// page returns at most limit tags after the tag after.
func (t *tagLists) page(ctx context.Context, d *db.DB, repository int64, after string, limit int) (tagList, error) {
	key := tagListKey{repository, t.counter(repository).Load()}
	head, err := t.heads.Load(key, func() (tagList, error) { return readTags(ctx, d, repository, "", tagListLength) })
	if err != nil {
		return tagList{}, err
	}
	if page, ok := head.page(after, limit); ok {
		return page, nil
	}
	return readTags(ctx, d, repository, after, limit)
}

// page returns a page of the list, unless it reaches beyond the end of a list that
// is not complete.
func (l *tagList) page(after string, limit int) (page tagList, ok bool) {
	from, found := slices.BinarySearch(l.tags, after)
	if found {
		from++
	}
	to := min(from+limit, len(l.tags))
	if to-from < limit && l.more {
		return page, false
	}
	return tagList{tags: l.tags[from:to:to], more: l.more || to < len(l.tags)}, true
}

func readTags(ctx context.Context, d *db.DB, repository int64, after string, limit int) (l tagList, err error) {
	l.tags, err = db.All(ctx, d, db.Scalar[string], `SELECT tag FROM image_tag t WHERE repository = $1 AND tag > $2
		AND NOT EXISTS (SELECT 1 FROM image_manifest m WHERE m.repository = t.repository AND m.digest = t.digest AND m.status <> 'ACTIVE') ORDER BY tag LIMIT $3`, repository, after, limit+1)
	if l.more = len(l.tags) > limit; l.more {
		l.tags = l.tags[:limit]
	}
	l.tags = slices.Clip(l.tags)
	l.size = int64(256 + 16*len(l.tags))
	for _, tag := range l.tags {
		l.size += int64(len(tag))
	}
	return l, err
}
