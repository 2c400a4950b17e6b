package images

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// scope is this package's in the change feed.
const scope = "images"

// The keys of the change feed: what a change makes out of date in the memory of other
// servers. All but the first kind name a repository by its row.
const (
	repositoryKey = "repository" // ACCOUNT/REGION/NAME
	imageTagKey   = "tag"        // ROW/TAG
	manifestKey   = "manifest"   // ROW/DIGEST
	blobKey       = "blob"       // ROW/DIGEST
)

func (id RepositoryID) key() string {
	return repositoryKey + ":" + id.Account + "/" + id.Region + "/" + id.Name
}

func rowKey(kind string, row int64, name string) string {
	return kind + ":" + strconv.FormatInt(row, 10) + "/" + name
}

// changeCached runs a transaction that changes what caches hold. run returns the keys
// of the change feed, and forget drops the entries from the caches of this server.
func (s *Service) changeCached(ctx context.Context, run func(*db.Tx) (keys []string, err error), forget func()) error {
	return s.feed.Make(ctx, changefeed.Change{Scope: scope, Run: run, Forget: forget})
}

// A follower takes over what other servers have changed.
type follower struct{ s *Service }

// Apply drops entries of caches and reads repositories again.
func (f follower) Apply(ctx context.Context, keys []string) error {
	var changed []RepositoryID
	for _, key := range keys {
		kind, name, _ := strings.Cut(key, ":")
		if kind == repositoryKey {
			parts := strings.SplitN(name, "/", 3)
			if len(parts) != 3 {
				return fmt.Errorf("images: the change feed has the key %q", key)
			}
			changed = append(changed, RepositoryID{parts[0], parts[1], parts[2]})
			continue
		}
		if err := f.drop(kind, name); err != nil {
			return fmt.Errorf("images: the change feed has the key %q: %w", key, err)
		}
	}
	return f.readRepositories(ctx, changed)
}

// drop drops what the caches have for a key.
func (f follower) drop(kind, name string) error {
	number, name, _ := strings.Cut(name, "/")
	row, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return err
	}
	switch kind {
	case imageTagKey:
		f.s.forgetTags(row, name)
	case manifestKey:
		f.s.manifests.Drop(digestKey{row, digest.Digest(name)})
	case blobKey:
		f.s.locations.Drop(digestKey{row, digest.Digest(name)})
	default:
		return fmt.Errorf("%q is of a kind that this version does not know", kind)
	}
	return nil
}

// forgetTags drops tags from the caches, and the list that contains them.
func (s *Service) forgetTags(row int64, tags ...string) {
	for _, tag := range tags {
		s.tags.Drop(tagKey{row, tag})
	}
	if len(tags) > 0 {
		s.tagLists.invalidate(row)
	}
}

// readRepositories reads repositories again. No other change is published meanwhile.
func (f follower) readRepositories(ctx context.Context, ids []RepositoryID) error {
	if len(ids) == 0 {
		return nil
	}
	set := &f.s.repositories
	if err := set.changing.Lock(ctx); err != nil {
		return err
	}
	defer set.changing.Unlock()
	read := map[RepositoryID]bool{}
	for _, id := range ids {
		if read[id] {
			continue
		}
		read[id] = true
		r, err := f.s.readRepository(ctx, id)
		if err != nil {
			return err
		}
		set.publish(id, r)
	}
	return nil
}

// Reload reads all repositories, and empties the caches.
func (f follower) Reload(ctx context.Context) error {
	set := &f.s.repositories
	if err := set.changing.Lock(ctx); err != nil {
		return err
	}
	defer set.changing.Unlock()
	f.s.manifests.Clear()
	f.s.tags.Clear()
	f.s.locations.Clear()
	f.s.tagLists.clear()
	return set.load(ctx, f.s.db)
}
