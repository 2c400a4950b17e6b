package packages

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// scope is this package's in the change feed.
const scope = "packages"

// The kinds of keys of the change feed: what a change makes out of date in the memory
// of other servers. Behind the kind come the parts of the name, each escaped, so that
// no "/" is in them.
const (
	domainKey     = "domain"     // the row of a domain: REGION/OWNER/NAME
	repositoryKey = "repository" // the row of a repository: REGION/OWNER/DOMAIN/NAME
	groupKey      = "group"      // the row of a package group: REGION/OWNER/DOMAIN/PATTERN
	packageKey    = "package"    // ROW OF THE REPOSITORY/FORMAT/NAMESPACE/NAME
)

func feedKey(kind string, parts ...string) string {
	for _, part := range parts {
		kind += "/" + url.PathEscape(part)
	}
	return kind
}

// parseFeedKey is the inverse of feedKey.
func parseFeedKey(key string) (kind string, parts []string, err error) {
	parts = strings.Split(key, "/")
	for i, part := range parts {
		if parts[i], err = url.PathUnescape(part); err != nil {
			return "", nil, err
		}
	}
	kind, parts = parts[0], parts[1:]
	want, known := map[string]int{domainKey: 3, repositoryKey: 4, groupKey: 4, packageKey: 4}[kind]
	if !known || len(parts) != want {
		return "", nil, fmt.Errorf("packages: the change feed has the key %q, which this version does not know", key)
	}
	return kind, parts, nil
}

// keys returns what the change feed tells other servers about a change of a domain.
func (c delta) keys(id DomainID) (keys []string) {
	if c.domain {
		keys = append(keys, feedKey(domainKey, id.Region, id.Owner, id.Name))
	}
	if c.repository != "" {
		keys = append(keys, feedKey(repositoryKey, id.Region, id.Owner, id.Name, c.repository))
	}
	if c.group != "" {
		keys = append(keys, feedKey(groupKey, id.Region, id.Owner, id.Name, c.group))
	}
	return keys
}

func (k cacheKey) feedKey() string {
	return feedKey(packageKey, k.repository, string(k.format), k.namespace, k.name)
}

// changeCached runs a transaction that changes packages, and makes the changes
// visible to all readers of all servers.
func (s *Service) changeCached(ctx context.Context, keys []cacheKey, run func(*db.Tx) error) error {
	feedKeys := make([]string, len(keys))
	for i, k := range keys {
		feedKeys[i] = k.feedKey()
	}
	return s.feed.Make(ctx, changefeed.Change{
		Scope: scope,
		Run:   func(tx *db.Tx) ([]string, error) { return feedKeys, run(tx) },
		Forget: func() {
			for _, k := range keys {
				s.forget(k)
			}
		},
	})
}

// forget makes readers read a package again, and the names in its namespace.
func (s *Service) forget(k cacheKey) {
	s.records.MarkStale(k)
	s.namespaces.Drop(k.namespaceKey())
	s.changes.of(k.repository, k.format).Add(1)
	s.internalNames.forget(k)
}

// A follower takes over what other servers have changed.
type follower struct{ s *Service }

// Apply marks packages as stale and reads domains and repositories again.
func (f follower) Apply(ctx context.Context, keys []string) error {
	var order []DomainID
	changed := map[DomainID][]delta{}
	for _, key := range keys {
		kind, p, err := parseFeedKey(key)
		if err != nil {
			return err
		}
		if kind == packageKey {
			f.s.forget(cacheKey{p[0], Format(p[1]), p[2], p[3]})
			continue
		}
		id, d := DomainID{Region: p[0], Owner: p[1], Name: p[2]}, delta{domain: true}
		switch kind {
		case repositoryKey:
			d = delta{repository: p[3]}
		case groupKey:
			d = delta{group: p[3]}
		}
		if changed[id] == nil {
			order = append(order, id)
		}
		changed[id] = append(changed[id], d)
	}
	if len(order) == 0 {
		return nil
	}
	if err := f.s.changing.Lock(ctx); err != nil {
		return err
	}
	defer f.s.changing.Unlock()
	for _, id := range order {
		before := f.s.snapshot.Load()
		after, err := follow(ctx, f.s.db, id, before.domain(id), changed[id])
		if err != nil {
			return err
		}
		f.s.snapshot.Store(before.withDomain(id, after))
	}
	return nil
}

// follow returns a domain after changes; nil if it does not exist any more. old is the
// domain before them, or nil.
func follow(ctx context.Context, q db.Querier, id DomainID, old *domain, changed []delta) (*domain, error) {
	if old == nil {
		return loadDomain(ctx, q, id, nil)
	}
	d := old
	for _, c := range changed {
		next, err := c.read(ctx, q, id, d)
		if err != nil || next == nil {
			return nil, err
		}
		if next.row != old.row { // deleted and created again, perhaps with repositories
			return loadDomain(ctx, q, id, nil)
		}
		d = next
	}
	return d, nil
}

// Reload reads all domains and repositories, and empties the caches.
func (f follower) Reload(ctx context.Context) error {
	if err := f.s.changing.Lock(ctx); err != nil {
		return err
	}
	defer f.s.changing.Unlock()
	f.s.records.Clear()
	f.s.namespaces.Clear()
	all, err := loadAll(ctx, f.s.db)
	if err != nil {
		return err
	}
	f.s.snapshot.Store(all)
	f.s.internalNames.clear()
	f.s.changes.all() // the new snapshot counts from the beginning
	return nil
}
