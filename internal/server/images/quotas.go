package images

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// Quotas limit what is stored. 0 means no limit. What is stored already stays if a quota is
// lowered; only more is refused.
//
// Repositories are counted exactly. The others may be exceeded by what is pushed at the
// same time, on this server and on others.
type Quotas struct {
	// Repositories are those of a registry.
	Repositories int
	// Images are those of a repository: its manifests.
	Images int
	// RepositoryBytes and RegistryBytes are the bytes of the layers of a repository, and of
	// a registry, in which a layer counts once.
	RepositoryBytes, RegistryBytes int64
}

// A meter estimates how much there is of something, by key, so that not every push counts.
// A total is counted again after a minute, and after half of what was left was added.
type meter[K comparable] struct {
	now func() time.Time

	mu    sync.Mutex
	known map[K]*measured
}

type measured struct {
	at           time.Time
	total, added int64
}

const (
	meterAge = time.Minute
	// maxMetered bounds the totals that a meter remembers.
	maxMetered = 10_000
)

// allows reports whether more can be added.
func (m *meter[K]) allows(key K, more, quota int64, count func() (int64, error)) (bool, error) {
	if m.estimate(key, more, quota) {
		return true, nil
	}
	total, err := count()
	if err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil || len(m.known) >= maxMetered {
		m.known = map[K]*measured{}
	}
	if total+more > quota {
		delete(m.known, key)
		return false, nil
	}
	m.known[key] = &measured{m.now(), total, more}
	return true, nil
}

// estimate reports whether the quota is far enough away to add more without counting.
func (m *meter[K]) estimate(key K, more, quota int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.known[key]
	if k == nil || m.now().Sub(k.at) >= meterAge || k.added+more > (quota-k.total)/2 {
		return false
	}
	k.added += more
	return true
}

// isQuota reports whether an error says that a quota is reached.
func isQuota(err error) bool {
	f, ok := errors.AsType[*fault.Error](err)
	return ok && f.Kind == fault.Limit
}

// checkRepositoryCount returns TooManyRepositories if the registry is full.
func (s *Service) checkRepositoryCount(ctx context.Context, tx *db.Tx, id RegistryID) error {
	quota := s.quotas.Repositories
	// Those of all registries are known: counting is only needed if they are many.
	if quota == 0 || s.repositories.current.Load().Len() < quota/2 {
		return nil
	}
	n, err := db.One(ctx, tx, db.Scalar[int64], `SELECT count(*) FROM image_repository WHERE account = $1 AND region = $2`, id.Account, id.Region)
	if err == nil && n >= int64(quota) {
		return fault.New(fault.Limit, "TooManyRepositories", "The registry with id '%s' has reached the quota of %d repositories. Delete repositories that are not needed, or ask the operator for a higher quota.", id.Account, quota)
	}
	return err
}

// checkImageCount returns TooManyImages if the repository is full.
func (s *Service) checkImageCount(ctx context.Context, tx *db.Tx, repo *Repository) error {
	quota := int64(s.quotas.Images)
	if quota == 0 {
		return nil
	}
	ok, err := s.imageCounts.allows(repo.row, 1, quota, func() (int64, error) {
		return db.One(ctx, tx, db.Scalar[int64], `SELECT count(*) FROM image_manifest WHERE repository = $1`, repo.row)
	})
	if err != nil || ok {
		return err
	}
	return fault.New(fault.Limit, "TooManyImages", "The repository with name '%s' has reached the quota of %d images. Delete images that are not needed, for example with a lifecycle policy, or ask the operator for a higher quota.", repo.ID.Name, quota)
}

// checkBytes returns RepositoryFull or RegistryFull if a blob does not fit.
func (s *Service) checkBytes(ctx context.Context, repo *Repository, d digest.Digest, size int64) error {
	if s.quotas.RepositoryBytes > 0 {
		linked, err := s.counts(ctx, `SELECT count(*) FROM image_blob_link WHERE repository = $1 AND digest = $2`, repo.row, string(d))
		if err != nil {
			return err
		}
		if linked == 0 {
			if err := s.checkRepositoryBytes(ctx, repo, size); err != nil {
				return err
			}
		}
	}
	if s.quotas.RegistryBytes == 0 {
		return nil
	}
	stored, err := s.counts(ctx, `SELECT count(*) FROM image_blob WHERE account = $1 AND region = $2 AND digest = $3`, repo.ID.Account, repo.ID.Region, string(d))
	if err != nil || stored > 0 {
		return err
	}
	return s.checkRegistryBytes(ctx, repo.ID.registry(), size)
}

func (s *Service) checkRepositoryBytes(ctx context.Context, repo *Repository, size int64) error {
	ok, err := s.repositoryBytes.allows(repo.row, size, s.quotas.RepositoryBytes, func() (int64, error) {
		return s.counts(ctx, `SELECT CAST(COALESCE(sum(b.size), 0) AS BIGINT) FROM image_blob_link l JOIN image_blob b ON b.id = l.blob WHERE l.repository = $1`, repo.row)
	})
	if err != nil || ok {
		return err
	}
	return fault.New(fault.Limit, "RepositoryFull", "The repository with name '%s' has no room for %d bytes: its quota is %d bytes of layers. Delete images that are not needed; their layers are removed within some hours.", repo.ID.Name, size, s.quotas.RepositoryBytes)
}

func (s *Service) checkRegistryBytes(ctx context.Context, id RegistryID, size int64) error {
	ok, err := s.registryBytes.allows(id, size, s.quotas.RegistryBytes, func() (int64, error) {
		return s.counts(ctx, `SELECT CAST(COALESCE(sum(size), 0) AS BIGINT) FROM image_blob WHERE account = $1 AND region = $2`, id.Account, id.Region)
	})
	if err != nil || ok {
		return err
	}
	return fault.New(fault.Limit, "RegistryFull", "The registry with id '%s' has no room for %d bytes: its quota is %d bytes of layers. Delete images that are not needed; their layers are removed within some hours.", id.Account, size, s.quotas.RegistryBytes)
}

func (s *Service) counts(ctx context.Context, query string, args ...any) (int64, error) {
	return db.One(ctx, s.db, db.Scalar[int64], query, args...)
}
