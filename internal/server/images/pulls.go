package images

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/usage"
)

// The time of an image's last pull is recorded in memory first, so that a pull never
// waits for a write; see package usage. What a killed process had not stored is lost,
// which is allowed: ECR promises only that the time is refreshed once in 24 hours.

// pullInterval is how often the time of an image is recorded, at most.
const pullInterval = time.Hour

// pulled records that an image was pulled now, unless the caller's pulls do not count.
func (s *Service) pulled(ctx context.Context, repo *Repository, m *Manifest) {
	if !s.registries.get(repo.ID.registry()).countsPull(ctx) {
		return
	}
	now := s.now()
	at, last := db.Micros(now), m.pulled.Load()
	if at-last < pullInterval.Microseconds() || !m.pulled.CompareAndSwap(last, at) {
		return
	}
	s.pulls.Record(digestKey{repo.row, m.Digest}, 1, now)
}

// lastPull returns the later one of a stored time and the one that waits, in
// microseconds.
func (s *Service) lastPull(key digestKey, stored int64) int64 {
	if waiting := s.pulls.Last(key); !waiting.IsZero() {
		return max(stored, db.Micros(waiting))
	}
	return stored
}

// Maintain stores what the service has recorded in memory. The server calls it
// periodically and once more at the end. It does not authorize.
func (s *Service) Maintain(ctx context.Context) error {
	var removed []digestKey
	err := s.pulls.Flush(ctx, func(ctx context.Context, uses []usage.Use[digestKey]) error {
		var aside []digestKey
		err := s.db.Tx(ctx, func(tx *db.Tx) error {
			aside = nil
			for _, u := range uses {
				wrongly, err := storePull(ctx, tx, u)
				if err != nil {
					return err
				}
				if wrongly {
					aside = append(aside, u.Key)
				}
			}
			return nil
		})
		if err == nil {
			removed = append(removed, aside...)
		}
		return err
	})
	return errors.Join(err, s.rescue(ctx, removed))
}

// storePull stores the time of a pull. It reports whether a lifecycle rule has removed the
// image because it was not pulled.
func storePull(ctx context.Context, tx *db.Tx, u usage.Use[digestKey]) (wrongly bool, err error) {
	at := db.Micros(u.Last)
	if _, err := tx.Exec(ctx, `UPDATE image_manifest SET pulled = $3 WHERE repository = $1 AND digest = $2 AND pulled < $3`, u.Key.repository, string(u.Key.digest), at); err != nil {
		return false, err
	}
	n, err := tx.Exec(ctx, `UPDATE image_aside SET pulled = $3 WHERE repository = $1 AND digest = $2 AND pulled < $3 AND by_pull = 1`, u.Key.repository, string(u.Key.digest), at)
	return n > 0, err
}
