package images

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
)

// An Authorizer decides whether the caller in the context may do one thing. It
// returns nil or a fault of the kind Denied. It is *authz.Authorizer.
type Authorizer interface {
	Authorize(ctx context.Context, req *authz.Request) error
}

// Principals ties the policies of repositories to the users and roles that they
// name, so that who gets the name of a deleted one does not get what it was
// given. It is *iam.Service.
type Principals interface {
	// BindPrincipals puts unique ids in the place of the ARNs of users and roles.
	// Fault: MalformedPolicyDocument where one of them does not exist.
	BindPrincipals(document string) (string, error)
	// ShowPrincipals puts the ARNs of those that still exist back.
	ShowPrincipals(document string) string
}

// Config is what a [Service] is made of.
type Config struct {
	DB *db.DB
	// Blobs may be shared with other domains: the names of our objects begin
	// with "image-", and no others are touched.
	Blobs blob.Store
	Authz Authorizer
	// Principals is needed to set policies.
	Principals Principals
	// Now is the clock.
	Now func() time.Time
	// ManifestCache is the number of bytes of manifests that are kept in
	// memory; 0 means 64 MiB.
	ManifestCache int64
}

const (
	defaultManifestCache = 64 << 20
	// cachedTags and cachedBlobs are numbers of entries, of some 200 bytes each.
	cachedTags  = 64 << 10
	cachedBlobs = 64 << 10
	// cacheShards is the number of locks of each cache.
	cacheShards = 32
)

// A Service is the store. It is safe for use by many goroutines.
type Service struct {
	db         *db.DB
	blobs      blob.Store
	authz      Authorizer
	principals Principals
	now        func() time.Time

	repositories repositorySet
	uploading    keyedLocks

	// The caches' keys hold the repository's row id, which is never given
	// again, so that a deleted repository's entries are only unused.
	manifests *lru.Cache[digestKey, *Manifest]
	tags      *lru.Cache[tagKey, digest.Digest]
	tagPages  *tagPages
	locations *lru.Cache[digestKey, *location]
}

type digestKey struct {
	repository int64
	digest     digest.Digest
}

type tagKey struct {
	repository int64
	tag        string
}

// New applies the migrations and loads the repositories.
func New(ctx context.Context, c Config) (*Service, error) {
	s := &Service{db: c.DB, blobs: c.Blobs, authz: c.Authz, principals: c.Principals, now: c.Now}
	if c.ManifestCache == 0 {
		c.ManifestCache = defaultManifestCache
	}
	s.manifests = lru.New[digestKey](lru.Config[*Manifest]{
		MaxCost: c.ManifestCache, Shards: cacheShards,
		Cost: func(m *Manifest) int64 { return int64(len(m.Body)) + 512 },
	})
	s.tags = lru.New[tagKey](lru.Config[digest.Digest]{MaxCost: cachedTags, Shards: cacheShards})
	s.tagPages = newTagPages()
	s.locations = lru.New[digestKey](lru.Config[*location]{MaxCost: cachedBlobs, Shards: cacheShards})
	if err := c.DB.Migrate(ctx, migrations...); err != nil {
		return nil, err
	}
	if err := s.repositories.load(ctx, c.DB); err != nil {
		return nil, err
	}
	return s, nil
}

// authorize returns the repository if the caller may do all the actions on it.
// Faults: AccessDenied, RepositoryNotFound.
func (s *Service) authorize(ctx context.Context, id RepositoryID, actions ...string) (*Repository, error) {
	repo := s.repositories.get(id)
	for _, action := range actions {
		if err := s.permit(ctx, id, repo, authz.Request{Action: action}); err != nil {
			return nil, err
		}
	}
	if repo == nil {
		return nil, repositoryNotFound(id)
	}
	return repo, nil
}

// permit completes req with what is known of the repository, which is nil where
// there is none, and asks.
func (s *Service) permit(ctx context.Context, id RepositoryID, repo *Repository, req authz.Request) error {
	req.Account = id.Account
	if repo == nil {
		req.Resource = id.ARN()
	} else {
		req.Resource, req.Policies, req.ResourceTags = repo.arn, repo.policies, repo.Tags
	}
	return s.authz.Authorize(ctx, &req)
}

// exists returns RepositoryNotFound where the repository was deleted since the
// caller was authorized. Everything that adds to a repository asks it in its
// transaction.
func exists(ctx context.Context, tx *db.Tx, repo *Repository) error {
	n, err := db.One(ctx, tx, db.Scalar[int64], `SELECT count(*) FROM image_repository WHERE id = $1`, repo.row)
	if err == nil && n == 0 {
		return repositoryNotFound(repo.ID)
	}
	return err
}
