package source

import (
	"context"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// Leases. A server that is about to fetch something writes a row, and the others wait
// until it is gone. The times in it compare the clocks of servers. If they differ, or if a
// server dies, at worst something is fetched twice, or late.
const (
	leaseTime  = 20 * time.Second
	leaseRenew = 5 * time.Second
	leasePoll  = 50 * time.Millisecond
)

// Exclusive implements [packages.Remote]. Requests of this server do not wait for each
// other.
func (c *Cache) Exclusive(ctx context.Context, name string) (release func(), err error) {
	if !c.shared {
		return func() {}, nil
	}
	holder := randid.Text()
	tick := time.NewTicker(leasePoll)
	defer tick.Stop()
	for {
		held, err := c.takeLease(ctx, name, holder)
		if err != nil {
			return nil, err
		}
		if held {
			return c.renewLease(ctx, name, holder), nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// takeLease takes or renews a lease.
func (c *Cache) takeLease(ctx context.Context, name, holder string) (held bool, err error) {
	now := c.now()
	// A lease cannot last longer than this. If one does, the clock of its server is wrong.
	last := db.Micros(now.Add(leaseTime + maxSkew))
	// Most of the time a server waits only; reading needs no transaction.
	others, err := db.All(ctx, c.db, db.Scalar[int64], `SELECT until FROM source_lease WHERE name = $1 AND holder <> $2 AND until BETWEEN $3 AND $4`,
		name, holder, db.Micros(now), last)
	if err != nil || len(others) > 0 {
		return false, err
	}
	err = c.db.Tx(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO source_lease (name, holder, until) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET holder = $2, until = $3 WHERE source_lease.holder = $2 OR source_lease.until < $4 OR source_lease.until > $5`,
			name, holder, db.Micros(now.Add(leaseTime)), db.Micros(now), last)
		held = n == 1
		return err
	})
	return held, err
}

// renewLease keeps a lease until the result is called.
func (c *Cache) renewLease(ctx context.Context, name, holder string) (release func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	renew := func() {
		defer close(ended)
		tick := time.NewTicker(leaseRenew)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, _ = c.takeLease(ctx, name, holder) // if it fails, another server may fetch too
				continue
			case <-done:
			case <-c.life.Done(): // Close does not wait for whoever holds it
			}
			break
		}
	}
	if !c.start(renew) {
		close(ended)
	}
	return func() {
		close(done)
		<-ended // a renewal under way would take the lease again
		// Others wait for this, also if the caller has given up.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseTime)
		defer cancel()
		_ = c.db.Tx(ctx, func(tx *db.Tx) error { // if it fails, the lease ends by itself
			_, err := tx.Exec(ctx, `DELETE FROM source_lease WHERE name = $1 AND holder = $2`, name, holder)
			return err
		})
	}
}
