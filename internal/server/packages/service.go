package packages

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
)

// A Config is what a [Service] needs.
type Config struct {
	DB    *db.DB
	Blobs blob.Store
	Authz authz.Authorizer
	// Principals is needed to set policies.
	Principals authz.Principals
	// Now is the clock.
	Now func() time.Time
	// CacheBytes bounds what is kept of packages in memory, about; 0 is
	// [DefaultCacheBytes].
	CacheBytes int64
}

// DefaultCacheBytes is the bound of a Config that names none.
const DefaultCacheBytes = 128 << 20

// A Service is the package store. It is safe for use by many goroutines.
//
// Every method may return the faults AccessDenied, ResourceNotFound (with the
// type and id of what is missing: domain, repository, package, package-version,
// asset) and Validation; what else a method returns stands beside it.
type Service struct {
	db         *db.DB
	blobs      blob.Store
	authz      authz.Authorizer
	principals authz.Principals
	now        func() time.Time

	changing sync.Mutex // held by who replaces the snapshot
	snapshot atomic.Pointer[snapshot]

	stored  *lru.Cache[cacheKey, *stored]     // packages as they are in one repository
	views   *lru.Cache[cacheKey, *mergedView] // packages as they are seen through upstreams
	loading singleflight.Group
}

// New applies the migrations, loads the snapshot and returns the service.
func New(ctx context.Context, c Config) (*Service, error) {
	if err := c.DB.Migrate(ctx, migrations()...); err != nil {
		return nil, fmt.Errorf("packages: %w", err)
	}
	if c.CacheBytes <= 0 {
		c.CacheBytes = DefaultCacheBytes
	}
	s := &Service{
		db: c.DB, blobs: c.Blobs, authz: c.Authz, principals: c.Principals, now: c.Now,
		stored: newCache[*stored](c.CacheBytes), views: newCache[*mergedView](c.CacheBytes / 8),
	}
	all, err := loadAll(ctx, c.DB)
	if err != nil {
		return nil, fmt.Errorf("packages: load domains and repositories: %w", err)
	}
	s.snapshot.Store(all)
	return s, nil
}

// newRevision returns a revision of a policy or a package version. AWS's are
// opaque, and so are these.
func newRevision() string {
	b := make([]byte, 20)
	rand.Read(b)
	return base32.StdEncoding.EncodeToString(b)
}
