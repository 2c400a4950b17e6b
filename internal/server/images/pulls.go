package images

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// The time of an image's last pull is recorded in memory first, so that a pull never
// waits for a write. [Service.Maintain] stores what was recorded, many images in one
// transaction. What a killed process had not stored is lost, which is allowed: ECR
// promises only that the time is refreshed once in 24 hours.

const (
	// pullInterval is how often the time of an image is recorded, at most.
	pullInterval = time.Hour
	// maxPulls is the number of images that wait to be stored. The keys are images
	// that exist, so that this is reached only if storing fails for a long time.
	maxPulls = 100_000
	// pullBatch limits a transaction, because other writers wait for it.
	pullBatch = 500
)

// pulls has the pull times that are not stored yet, in microseconds since 1970.
type pulls struct {
	mu    sync.Mutex
	times map[digestKey]int64
}

// pulled records that an image was pulled now.
func (s *Service) pulled(repo *Repository, m *Manifest) {
	now, last := db.Micros(s.now()), m.pulled.Load()
	if now-last < pullInterval.Microseconds() || !m.pulled.CompareAndSwap(last, now) {
		return
	}
	s.pulls.add(digestKey{repo.row, m.Digest}, now)
}

func (p *pulls) add(key digestKey, at int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.times == nil {
		p.times = make(map[digestKey]int64)
	}
	if old, found := p.times[key]; found || len(p.times) < maxPulls {
		p.times[key] = max(old, at)
	}
}

// last returns the later one of a stored time and the one that waits.
func (p *pulls) last(key digestKey, stored int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(stored, p.times[key])
}

// Maintain stores what the service has recorded in memory. The server calls it
// periodically and once more at the end. It does not authorize.
func (s *Service) Maintain(ctx context.Context) error {
	s.pulls.mu.Lock()
	times := maps.Clone(s.pulls.times)
	s.pulls.mu.Unlock()
	keys := slices.Collect(maps.Keys(times))
	for batch := range slices.Chunk(keys, pullBatch) {
		err := s.db.Tx(ctx, func(tx *db.Tx) error {
			for _, key := range batch {
				_, err := tx.Exec(ctx, `UPDATE image_manifest SET pulled = $3 WHERE repository = $1 AND digest = $2 AND pulled < $3`, key.repository, string(key.digest), times[key])
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		s.pulls.remove(batch, times)
	}
	return nil
}

// remove removes times that were stored, unless a later one was added meanwhile.
func (p *pulls) remove(keys []digestKey, stored map[digestKey]int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range keys {
		if p.times[key] == stored[key] {
			delete(p.times, key)
		}
	}
}
