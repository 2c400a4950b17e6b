package packages

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/integrity"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/removal"
	"github.com/gatehouse-registry/gatehouse/internal/server/changefeed"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
	"github.com/gatehouse-registry/gatehouse/internal/server/steadyclock"
	"github.com/gatehouse-registry/gatehouse/internal/server/usage"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// A Config configures a [Service].
type Config struct {
	DB *db.DB
	// Feed keeps the servers on the database current. nil means that this service is
	// the only one on it. Optional.
	Feed  *changefeed.Feed
	Blobs blob.Store
	// Removals removes objects that no row names any more.
	Removals *removal.Outbox
	Authz    authz.Authorizer
	// Principals is required to set policies.
	Principals authz.Principals
	// Work does what retention rules remove; see [Service.RetentionWork]. Required to run
	// and to undo them.
	Work *work.Queue
	// CheckClock returns an error if this server's clock is wrong. Optional.
	CheckClock func(ctx context.Context) error
	// Audit writes an audit record of what the service did by itself. Optional.
	Audit func(ctx context.Context, event, resource string, params map[string]any) error
	// Events gets what changes. nil means that none are written.
	Events *events.Log
	// Damage counts and logs missing and damaged objects. It may be nil.
	Damage *integrity.Monitor
	// Now is the clock.
	Now func() time.Time
	// MaxSweepShare is the largest share of the objects that one run of
	// [Service.SweepStaged] may remove; 0 means [orphans.DefaultMaxShare].
	MaxSweepShare float64
	// Remote reads through external connections. nil means that nothing is read through
	// them.
	Remote Remote
	// SpoolDir is for the temporary files of downloads; empty means that of the system.
	SpoolDir string
	// CheckRelease refuses a name or a version that the handler of its format would not
	// publish, for imports, which come past the handlers. nil refuses none.
	CheckRelease func(id PackageID, version string) error
	// Advisories are what conditions on advisories look at. nil means that there are none.
	Advisories Advisories
	// Traits are what conditions on licences, attestations, signatures and install scripts
	// look at. nil means that nothing is known of them.
	Traits Traits
	// ObserveAdmission is called with what admission decides about downloads. Optional.
	ObserveAdmission func(context.Context, AdmissionEvent)
	// Log gets what an administrator should know of external registries. nil discards it.
	Log *slog.Logger
	// CacheBytes bounds the packages in memory, in bytes, approximately. 0 means
	// [DefaultCacheBytes].
	CacheBytes int64
}

// DefaultCacheBytes is the default of Config.CacheBytes.
const DefaultCacheBytes = 128 << 20

// A Service is the package store. It is safe for use by many goroutines.
//
// Every method may return the faults AccessDenied, ResourceNotFound (with the type
// and id of what does not exist: domain, repository, package, package-version,
// asset) and Validation. The comment of a method names its other faults.
type Service struct {
	db         *db.DB
	feed       *changefeed.Feed
	blobs      blob.Store
	removals   *removal.Outbox
	authz      authz.Authorizer
	principals authz.Principals
	events     *events.Log
	work       *work.Queue
	checkClock func(context.Context) error
	audit      func(ctx context.Context, event, resource string, params map[string]any) error
	damage     *integrity.Monitor
	now        func() time.Time
	maxShare   float64
	*ingester

	changing changefeed.Turn // held while the snapshot is replaced
	snapshot atomic.Pointer[snapshot]

	records    *lru.Cache[cacheKey, *record]        // packages as they are in one repository
	views      *lru.Cache[cacheKey, *mergedView]    // packages as they are seen through upstreams
	remotes    *lru.Cache[cacheKey, *remoteView]    // packages as external registries have them
	namespaces *lru.Cache[cacheKey, namespaceNames] // the packages of a namespace in one repository
	loading    singleflight.Group
	uses       usage.Recorder[versionUse]
	changes    *indexChanges // see IndexRevision
	admissions *admitter
	// admissionClock says whether admission may trust the clock.
	admissionClock steadyclock.Watch
	advisories     Advisories                    // nil if there are none
	checkRelease   func(PackageID, string) error // nil refuses nothing
	traits         Traits
	internalNames  *internalNames
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
		db: c.DB, feed: c.Feed, changing: changefeed.NewTurn(), blobs: c.Blobs, removals: c.Removals, authz: c.Authz, principals: c.Principals, events: c.Events, work: c.Work, checkClock: c.CheckClock, audit: c.Audit, damage: c.Damage, now: c.Now, maxShare: c.MaxSweepShare,
		changes: newIndexChanges(), admissions: newAdmitter(c), advisories: c.Advisories, checkRelease: c.CheckRelease,
		ingester: newIngester(c),
		records:  newCache[*record](c.CacheBytes), views: newCache[*mergedView](c.CacheBytes / 8), namespaces: newCache[namespaceNames](c.CacheBytes / 16),
		// Documents of external registries are large, so there are few shards.
		remotes: lru.New[cacheKey](lru.Config[*remoteView]{MaxCost: c.CacheBytes, Shards: 2, Cost: (*remoteView).size}),
	}
	s.admissionClock.Clock, s.admissionClock.Untrusted = s.steadyClock(), s.warnOfClock
	if s.traits = c.Traits; s.traits == nil {
		s.traits = noTraits{}
	}
	s.internalNames = newInternalNames(c.DB)
	if s.feed == nil {
		var err error
		if s.feed, err = changefeed.Alone(ctx, c.DB); err != nil {
			return nil, err
		}
	}
	s.feed.Follow(scope, follower{s})
	all, err := loadAll(ctx, c.DB)
	if err != nil {
		return nil, fmt.Errorf("packages: load domains and repositories: %w", err)
	}
	s.snapshot.Store(all)
	return s, nil
}

// newRevision returns a revision of a policy or a package version. It is opaque, as
// AWS's is.
func newRevision() string {
	b := make([]byte, 20)
	rand.Read(b)
	return base32.StdEncoding.EncodeToString(b)
}
