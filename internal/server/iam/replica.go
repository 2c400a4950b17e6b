package iam

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// Several servers on one database, its replicas, each decide from a snapshot of
// their own. So that nothing is accepted by any of them once a change was
// answered, each holds a lease, and a change waits for the leases:
//
//   - A replica reports again and again which change it has (its row of
//     iam_replica), and when the report is committed it reads which change is the
//     newest. Once it has that one too, it may go on deciding for a lease, counted
//     from before the report began.
//   - A server that committed a change reads who has not reported it, and
//     answers when all have, or when a whole lease went by since that reading.
//   - A replica whose lease is over decides nothing ([Service.Ready]) until it has
//     reported, and caught up, again.
//
// Why nothing slips through: a report is either committed before the change, and
// then its lease ends within the change's wait; or after it, and then the reading
// that follows the report finds the change, and there is no lease without it.
//
// No two clocks are ever compared. Each side measures its own lease, and all
// that is asked of the clocks is that they run equally fast; for what they
// differ, and for what passes between looking at the lease and deciding, a
// replica gives up a tenth of its lease early.
//
// If there is one server only, none of this takes place: [Config.Lease] is 0.

// DefaultLease is how long a replica goes on without its database, and so how
// long a change waits at the most for one that died.
const DefaultLease = 5 * time.Second

const (
	// pollEvery is how often a replica looks for changes of others.
	pollEvery = 100 * time.Millisecond
	// settleEvery is how often a change that was made looks for who has it.
	settleEvery = 50 * time.Millisecond
	// settleRead bounds one such look.
	settleRead = time.Second
)

// A replica is this server's place among those on its database.
type replica struct {
	id    string
	lease time.Duration
	log   replicaLog
	now   func() time.Time
	// renewed is when the report began that gave the lease. Its wall clock counts
	// as well as its monotonic one. Nil means no lease.
	renewed atomic.Pointer[time.Time]
	// settled is a change that no replica decides without any more.
	settled atomic.Int64
	// What follows is of the one goroutine that reports.
	reports  int64 // how many there were
	reported int64 // the change in the last one that was committed
}

// A replicaLog is where replicas hear of each other. [replicaTable] is the real one.
type replicaLog interface {
	// report says that a replica has everything up to a change. n grows with each
	// report of the replica.
	report(ctx context.Context, id string, n, applied int64) error
	// newest returns the number of the last change that is committed.
	newest(ctx context.Context) (int64, error)
	// without returns the last report of each replica but id that does not have a
	// change yet.
	without(ctx context.Context, change int64, id string) ([]report, error)
	// forget takes a replica out, unless it has reported anew.
	forget(ctx context.Context, r report) error
}

// A report is the one with the number n of a replica.
type report struct {
	id string
	n  int64
}

func newReplica(d *db.DB, lease time.Duration, now func() time.Time) *replica {
	if lease <= 0 {
		return nil
	}
	return &replica{id: randid.Text(), lease: lease, log: replicaTable{d}, now: now}
}

// Ready reports whether what this server knows may be decided by: nil, or a fault
// ServiceUnavailable if it did not hear from its database for so long that a
// permission may have been taken away elsewhere. Ask before reading anything of
// which a decision is made. It reads no database, and takes no memory.
func (s *Service) Ready() error {
	r := s.replica
	if r == nil || r.live() {
		return nil
	}
	return errNotLive
}

var errNotLive = fault.New(fault.Unavailable, "ServiceUnavailable",
	"This server cannot reach its database, so it may not know about a permission that was revoked. Try again in a few seconds, or use another server.")

func (r *replica) live() bool {
	renewed := r.renewed.Load()
	if renewed == nil {
		return false
	}
	now := r.now()
	// A machine that was asleep may find its monotonic clock standing where it was.
	passed := max(now.Sub(*renewed), now.Round(0).Sub(renewed.Round(0)))
	return passed < r.lease-r.lease/10
}

// settle returns when no replica decides without a change that was committed.
func (r *replica) settle(ctx context.Context, change int64) error {
	if r == nil || r.settled.Load() >= change {
		return nil
	}
	without, err := r.without(ctx, change)
	// Only now, so that what was read is as old as the wait will be long.
	began, first := r.now(), without
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for err != nil || len(without) > 0 {
		// An error changes nothing: the leases end all the same.
		if r.now().Sub(began) >= r.lease {
			r.forget(ctx, first)
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		without, err = r.without(ctx, change)
	}
	for known := r.settled.Load(); known < change && !r.settled.CompareAndSwap(known, change); known = r.settled.Load() {
	}
	return nil
}

// without returns who else does not have a change yet.
func (r *replica) without(ctx context.Context, change int64) ([]report, error) {
	ctx, cancel := context.WithTimeout(ctx, settleRead)
	defer cancel()
	return r.log.without(ctx, change, r.id)
}

// forget takes out those whose lease ended without another report, so that the
// next change does not wait for them.
func (r *replica) forget(ctx context.Context, reports []report) {
	for _, last := range reports {
		// A failure costs the next change a lease, and nothing else.
		_ = r.log.forget(ctx, last)
	}
}

// renew reports, catches up and begins another lease.
func (s *Service) renew(ctx context.Context) error {
	r := s.replica
	began, has := r.now(), s.current.Load().seq
	r.reports++
	if err := r.log.report(ctx, r.id, r.reports, has); err != nil {
		return err
	}
	r.reported = has
	newest, err := r.log.newest(ctx)
	if err != nil {
		return err
	}
	if s.current.Load().seq < newest {
		if err := s.Follow(ctx); err != nil {
			return err
		}
	}
	r.renewed.Store(&began)
	return nil
}

// heartbeat renews the lease if it is time to, or if others wait for this
// server to have a change.
func (s *Service) heartbeat(ctx context.Context) error {
	r := s.replica
	ctx, cancel := context.WithTimeout(ctx, r.lease)
	defer cancel()
	newest, err := r.log.newest(ctx)
	if err != nil {
		return err
	}
	if s.current.Load().seq < newest {
		if err := s.Follow(ctx); err != nil {
			return err
		}
	}
	renewed := r.renewed.Load()
	if renewed != nil && s.current.Load().seq == r.reported && r.now().Sub(*renewed) < r.lease/3 {
		return nil
	}
	return s.renew(ctx)
}

// Replicate keeps this server one of the replicas of its database until ctx ends:
// it takes over what the others change, and renews its lease. It returns at once
// if [Config.Lease] is 0. Stop serving before ctx ends: what was served after
// that is refused.
func (s *Service) Replicate(ctx context.Context, log *slog.Logger) {
	r := s.replica
	if r == nil {
		return
	}
	defer s.leave(context.WithoutCancel(ctx))
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	failing := false
	for {
		err := s.heartbeat(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err != nil && !failing:
			log.Error("the database does not answer; this server will soon refuse all requests", "lease", r.lease, "error", err)
		case err == nil && failing:
			log.Info("the database answers again")
		}
		failing = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// leave gives the lease up, so that no one waits for this server.
func (s *Service) leave(ctx context.Context) {
	r := s.replica
	r.renewed.Store(nil)
	ctx, cancel := context.WithTimeout(ctx, r.lease)
	defer cancel()
	r.forget(ctx, []report{{r.id, r.reports}})
}

// replicaTable is the replicaLog in the database.
type replicaTable struct{ db *db.DB }

var replicaMigration = db.Migration{
	Name: "iam/003-replicas",
	SQL: `
CREATE TABLE iam_replica (
	id      {text} NOT NULL PRIMARY KEY,
	report  {int}  NOT NULL, -- the number of its last report
	applied {int}  NOT NULL  -- the last change that it has
);
`,
}

func (t replicaTable) report(ctx context.Context, id string, n, applied int64) error {
	return t.db.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO iam_replica (id, report, applied) VALUES ($1, $2, $3)
			ON CONFLICT (id) DO UPDATE SET report = excluded.report, applied = excluded.applied`, id, n, applied)
		return err
	})
}

func (t replicaTable) newest(ctx context.Context) (int64, error) {
	return db.One(ctx, t.db, db.Scalar[int64], `SELECT COALESCE(MAX(seq), 0) FROM iam_change`)
}

func (t replicaTable) without(ctx context.Context, change int64, id string) ([]report, error) {
	return db.All(ctx, t.db, func(row db.Row) (r report, err error) {
		err = row.Scan(&r.id, &r.n)
		return r, err
	}, `SELECT id, report FROM iam_replica WHERE applied < $1 AND id <> $2`, change, id)
}

func (t replicaTable) forget(ctx context.Context, r report) error {
	return t.db.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM iam_replica WHERE id = $1 AND report = $2`, r.id, r.n)
		return err
	})
}
