package images

import (
	"context"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

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

// Config has what a [Service] needs.
type Config struct {
	DB *db.DB
	// Feed keeps the servers on the database current. nil means that this service is
	// the only one on it. Optional.
	Feed *changefeed.Feed
	// Blobs may be shared with other domains: the names of this package's objects
	// begin with "image-", and it touches no others.
	Blobs blob.Store
	// Removals removes objects that no row names any more.
	Removals *removal.Outbox
	Authz    authz.Authorizer
	// Events gets what changes. nil means that no events are written.
	Events *events.Log
	// Principals is needed to set policies.
	Principals authz.Principals
	// Roles is needed to use templates with a custom role.
	Roles Roles
	// Quotas limit what is stored. Optional.
	Quotas Quotas
	// Work runs lifecycle policies and their previews, replication, the archive and signing;
	// see [Service.LifecycleWork], [Service.ReplicationWork], [Service.StorageClassWork] and
	// [Service.SigningWork]. Required for them.
	Work *work.Queue
	// Serves reports whether the installation has a registry. nil means that it has all.
	Serves func(RegistryID) bool
	// Destinations are registries elsewhere that images can be replicated to. Optional.
	Destinations Destinations
	// LinkRole creates the service-linked role of a service in the caller's account, if
	// it does not exist. Optional.
	LinkRole func(ctx context.Context, service string) error
	// CheckClock returns an error if this server's clock is wrong. Optional.
	CheckClock func(ctx context.Context) error
	// Audit writes an audit record of what the service did by itself. Optional.
	Audit func(context.Context, ServiceEvent) error
	// Damage counts and logs objects that are missing or damaged. It may be nil.
	Damage *integrity.Monitor
	// Signer signs images. nil means that no signing configuration can be put.
	Signer Signer
	// PullThrough is for pull-through cache rules. Optional.
	PullThrough PullThrough
	// Scanning is for scans of images; see [Service.ScanWork]. Optional.
	Scanning Scanning
	// Now is the clock.
	Now func() time.Time
	// MaxSweepShare is the largest share of the objects that one run of
	// [Service.SweepObjects] may remove; 0 means [orphans.DefaultMaxShare].
	MaxSweepShare float64
	// ManifestCache is the maximum size in bytes of the manifests in memory; 0
	// means 64 MiB.
	ManifestCache int64
}

const (
	defaultManifestCache = 64 << 20
	// cachedTags and cachedBlobs are numbers of entries, of about 200 bytes each.
	cachedTags  = 64 << 10
	cachedBlobs = 64 << 10
	// cacheShards is the number of locks of each cache.
	cacheShards = 32
)

// A Service is the store. It is safe for concurrent use.
type Service struct {
	db             *db.DB
	feed           *changefeed.Feed
	blobs          blob.Store
	removals       *removal.Outbox
	authz          authz.Authorizer
	principals     authz.Principals
	roles          Roles
	events         *events.Log
	work           *work.Queue
	clock          steadyclock.Clock
	admissionClock steadyclock.Watch // for rules about images
	audit          func(context.Context, ServiceEvent) error
	maxPlanned     int
	servesRegistry func(RegistryID) bool
	destinations   Destinations
	linkRole       func(context.Context, string) error
	damage         *integrity.Monitor
	signer         Signer
	now            func() time.Time
	maxShare       float64

	quotas          Quotas
	imageCounts     meter[int64] // by the row of the repository
	repositoryBytes meter[int64]
	registryBytes   meter[RegistryID]

	repositories repositorySet
	registries   registrySet
	uploading    keyedLocks

	// The keys of the caches have the row id of the repository. An id is never used
	// again, so the entries of a deleted repository need not be dropped.
	manifests *lru.Cache[digestKey, *Manifest]
	tags      *lru.Cache[tagKey, digest.Digest]
	tagLists  *tagLists
	locations *lru.Cache[digestKey, *location]
	pulls     usage.Recorder[digestKey]

	pull *pullCache

	scanner  Scanning
	findings *lru.Cache[findingsKey, *foundInImage]
}

type digestKey struct {
	repository int64
	digest     digest.Digest
}

type tagKey struct {
	repository int64
	tag        string
}

// New applies the migrations and loads the repositories. After an update that changes
// what is derived from manifests, it derives that again.
func New(ctx context.Context, c Config) (*Service, error) {
	s := &Service{db: c.DB, feed: c.Feed, blobs: c.Blobs, removals: c.Removals, authz: c.Authz, principals: c.Principals, roles: c.Roles, events: c.Events, work: c.Work, audit: c.Audit, maxPlanned: maxPlanned, servesRegistry: c.Serves, destinations: c.Destinations, linkRole: c.LinkRole, damage: c.Damage, signer: c.Signer, now: c.Now, maxShare: c.MaxSweepShare}
	s.quotas = c.Quotas
	s.imageCounts.now, s.repositoryBytes.now, s.registryBytes.now = c.Now, c.Now, c.Now
	s.clock = steadyclock.Clock{DB: c.DB, Now: c.Now, Table: "image_clock", Check: c.CheckClock, LastChange: lastPush}
	s.admissionClock.Clock = &s.clock
	if c.ManifestCache == 0 {
		c.ManifestCache = defaultManifestCache
	}
	s.manifests = lru.New[digestKey](lru.Config[*Manifest]{
		MaxCost: c.ManifestCache, Shards: cacheShards,
		Cost: func(m *Manifest) int64 { return int64(len(m.Body)) + 512 },
	})
	s.tags = lru.New[tagKey](lru.Config[digest.Digest]{MaxCost: cachedTags, Shards: cacheShards})
	s.tagLists = newTagLists()
	s.locations = lru.New[digestKey](lru.Config[*location]{MaxCost: cachedBlobs, Shards: cacheShards})
	s.pull = newPullCache(c.PullThrough)
	s.openScanning(c.Scanning)
	s.repositories.changing, s.registries.changing = changefeed.NewTurn(), changefeed.NewTurn()
	if err := c.DB.Migrate(ctx, migrations...); err != nil {
		return nil, err
	}
	if s.feed == nil {
		var err error
		if s.feed, err = changefeed.Alone(ctx, c.DB); err != nil {
			return nil, err
		}
	}
	s.feed.Follow(scope, follower{s})
	s.feed.Follow(registryScope, registryFollower{s})
	if err := s.reindex(ctx); err != nil {
		return nil, err
	}
	if err := s.repositories.load(ctx, c.DB); err != nil {
		return nil, err
	}
	if err := s.registries.load(ctx, c.DB); err != nil {
		return nil, err
	}
	return s, nil
}

// Caches returns the counters of the caches by name, for metrics.
func (s *Service) Caches() map[string]lru.Stats {
	return map[string]lru.Stats{
		"image_manifests": s.manifests.Stats(), "image_tags": s.tags.Stats(),
		"image_tag_lists": s.tagLists.heads.Stats(), "image_blobs": s.locations.Stats(),
	}
}

// authorize returns the repository if the caller is allowed all the actions on it.
// Faults: AccessDenied, RepositoryNotFound.
func (s *Service) authorize(ctx context.Context, id RepositoryID, actions ...string) (*Repository, error) {
	repo := s.repositories.get(id)
	for _, action := range actions {
		if err := s.authorizeRequest(ctx, id, repo, authz.Request{Action: action}); err != nil {
			return nil, err
		}
	}
	if repo == nil {
		return nil, repositoryNotFound(id)
	}
	return repo, nil
}

// authorizeRequest completes req with what is known about the repository and its registry
// and asks the authorizer. repo is nil if the repository does not exist.
func (s *Service) authorizeRequest(ctx context.Context, id RepositoryID, repo *Repository, req authz.Request) error {
	if err := s.checkAnonymous(ctx, id.registry(), req.Action); err != nil {
		return err
	}
	req = s.completeRequest(id, repo, req)
	req.PerVersion = req.Action == "ecr:BatchGetImage" || req.Action == "ecr:PutImage" // see admission.go
	return s.authz.Authorize(ctx, &req)
}

// completeRequest adds what is known about the repository and its registry.
func (s *Service) completeRequest(id RepositoryID, repo *Repository, req authz.Request) authz.Request {
	req.Account, req.Policies = id.Account, s.registries.get(id.registry()).policies
	if repo == nil {
		req.Resource = id.ARN()
	} else {
		req.Resource, req.ResourceTags = repo.arn, repo.Tags
		if len(req.Policies) == 0 {
			req.Policies = repo.policies
		} else if len(repo.policies) > 0 {
			req.Policies = slices.Concat(repo.policies, req.Policies)
		}
	}
	return req
}

// checkExists returns RepositoryNotFound if the repository was deleted after the
// caller was authorized. Every transaction that adds to a repository calls it.
func checkExists(ctx context.Context, tx *db.Tx, repo *Repository) error {
	n, err := db.One(ctx, tx, db.Scalar[int64], `SELECT count(*) FROM image_repository WHERE id = $1`, repo.row)
	if err == nil && n == 0 {
		return repositoryNotFound(repo.ID)
	}
	return err
}
