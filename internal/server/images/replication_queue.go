package images

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// Replication is an outbox. The transaction of a push writes a row of image_replication
// for each destination, and puts one job for the repository and the destination into the
// work queue. The job copies what the rows name, in their order, and leaves them with the
// result, which is the status that people see.
//
// A row names an image and not a change. The job copies the image with the tags that it
// has at that moment. So it does not matter how often a job runs, where it was killed, or
// that a tag was moved meanwhile: in the end the destination has what the source has.
//
// Deletions are rows of image_replication_removal. They, too, are compared with the source
// when they are done: what was pushed again is not deleted.

// The states of a row of image_replication.
const (
	replicaWaiting  = "waiting"
	replicaComplete = "complete"
	// replicaFailed is final, until the image is pushed again or a backfill copies it.
	replicaFailed = "failed"
	// replicaAbandoned means that the job was tried too often. It begins anew with the
	// next push to the repository, or if an operator retries the job.
	replicaAbandoned = "abandoned"
)

const (
	kindReplicate = "images/replicate"
	// kindReplicateRemote is for destinations in other installations. They may be slow or
	// down, which must not hold up the others.
	kindReplicateRemote = "images/replicate-remote"
	// replicationAttempts is how often a job is tried: for about a week.
	replicationAttempts = 180
	replicationTimeout  = 6 * time.Hour
	replicationBatch    = 100
	// replicationSlice is how long a run goes on with further images. The next run of the
	// repository follows after the jobs that wait, so a repository with many
	// images does not hold up the others.
	replicationSlice = 10 * time.Minute
	// replicationConcurrency is how many repositories a server copies from at once.
	replicationConcurrency = 4
)

// A replicationJob is the payload of the work for a repository and a destination.
type replicationJob struct {
	Repository RepositoryID
	Row        int64
	To         RegistryID
}

// ReplicationWork returns the kinds of background work of replication.
func (s *Service) ReplicationWork() []work.Kind {
	return []work.Kind{
		{Name: kindReplicate, Concurrency: replicationConcurrency, Timeout: replicationTimeout, MaxAttempts: replicationAttempts, Run: s.doReplicate},
		{Name: kindReplicateRemote, Concurrency: replicationConcurrency, Timeout: replicationTimeout, MaxAttempts: replicationAttempts, Run: s.doReplicate},
		{Name: kindBackfillRemote, Timeout: replicationTimeout, MaxAttempts: replicationAttempts, Run: s.doBackfill},
		{Name: kindBackfill, Timeout: replicationTimeout, MaxAttempts: replicationAttempts, Run: s.doBackfill},
		{Name: kindBackfillRetention, Every: 24 * time.Hour, Run: func(ctx context.Context, _ work.Run) error {
			return errors.Join(s.forgetBackfills(ctx), s.forgetChecks(ctx))
		}},
	}
}

// enqueueReplica puts an image into the queue of each destination of its repository, as
// part of the transaction that pushed or restored it.
func (s *Service) enqueueReplica(ctx context.Context, tx *db.Tx, repo *Repository, d digest.Digest) error {
	for _, t := range s.registries.get(repo.ID.registry()).replicationTargets(repo.ID.Name) {
		_, err := tx.Exec(ctx, `INSERT INTO image_replication (repository, digest, account, region, state, code, since, version) VALUES ($1, $2, $3, $4, $5, '', $6, 1)
			ON CONFLICT (repository, digest, account, region) DO UPDATE SET state = excluded.state, code = '', since = excluded.since, version = image_replication.version + 1`,
			repo.row, string(d), t.Account, t.Region, replicaWaiting, db.Micros(s.now()))
		if err != nil {
			return err
		}
		if err := s.enqueueReplication(ctx, tx, repo, t.RegistryID); err != nil {
			return err
		}
	}
	return nil
}

// enqueueRemoval puts the deletion of an image with its tags, or of one of its tags, into
// the queue of each destination that is to have deletions and has the image. It must be
// called before the rows of the image are deleted.
func (s *Service) enqueueRemoval(ctx context.Context, tx *db.Tx, repo *Repository, ref Reference) error {
	for _, t := range s.registries.get(repo.ID.registry()).replicationTargets(repo.ID.Name) {
		if !t.deletions {
			continue
		}
		const columns = `INSERT INTO image_replication_removal (repository, account, region, digest, since, tag) SELECT c.repository, c.account, c.region, c.digest, CAST($5 AS BIGINT), `
		const replicated = ` WHERE c.repository = $1 AND c.account = $2 AND c.region = $3 AND c.digest = $4
			ON CONFLICT (repository, account, region, digest, tag) DO UPDATE SET since = excluded.since`
		args := []any{repo.row, t.Account, t.Region, string(ref.Digest), db.Micros(s.now())}
		n, err := tx.Exec(ctx, columns+`CAST($6 AS TEXT) FROM image_replication c`+replicated, append(slices.Clone(args), ref.Tag)...)
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		if ref.Tag == "" {
			if _, err := tx.Exec(ctx, columns+`t.tag FROM image_replication c JOIN image_tag t ON t.repository = c.repository AND t.digest = c.digest`+replicated, args...); err != nil {
				return err
			}
		}
		if err := s.enqueueReplication(ctx, tx, repo, t.RegistryID); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) enqueueReplication(ctx context.Context, tx *db.Tx, repo *Repository, to RegistryID) error {
	kind := kindReplicate
	if !s.serves(to) {
		kind = kindReplicateRemote
	}
	return s.work.Enqueue(ctx, tx, work.Job{
		Kind: kind, Key: strconv.FormatInt(repo.row, 10) + "/" + to.Account + "/" + to.Region,
		Payload: replicationJob{repo.ID, repo.row, to},
	})
}

// A replicaFailure is the reason for which an image cannot be copied, and will not be
// copied by trying again.
type replicaFailure struct {
	code  string // that people see
	cause error
}

func (f *replicaFailure) Error() string { return fmt.Sprintf("%s: %v", f.code, f.cause) }
func (f *replicaFailure) Unwrap() error { return f.cause }

// A replication is one run of the work for a repository and a destination.
type replication struct {
	s    *Service
	from *Repository
	to   RegistryID
}

// doReplicate copies what waits of a repository to a destination.
func (s *Service) doReplicate(ctx context.Context, run work.Run) error {
	return work.JSON(func(ctx context.Context, job replicationJob) error {
		from := s.repositories.get(job.Repository)
		if from == nil || from.row != job.Row {
			return nil // deleted
		}
		r := &replication{s, from, job.To}
		if !s.replicatesTo(from.ID, job.To) {
			return r.cancel(ctx)
		}
		if run.Attempt <= 1 {
			if err := r.setAll(ctx, replicaAbandoned, replicaWaiting); err != nil {
				return err
			}
		}
		err := r.copyAll(ctx)
		if errors.Is(err, errSliceOver) {
			return s.db.Tx(ctx, func(tx *db.Tx) error { return s.enqueueReplication(ctx, tx, from, job.To) })
		}
		if err == nil {
			err = r.removeAll(ctx)
		}
		if err != nil && run.Attempt >= replicationAttempts && ctx.Err() == nil {
			err = errors.Join(err, r.setAll(ctx, replicaWaiting, replicaAbandoned))
		}
		return err
	})(ctx, run)
}

// cancel forgets what waits: the destination is not one any more.
func (r *replication) cancel(ctx context.Context) error {
	return r.s.db.Tx(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM image_replication WHERE repository = $1 AND account = $2 AND region = $3 AND state IN ($4, $5)`,
			r.from.row, r.to.Account, r.to.Region, replicaWaiting, replicaAbandoned); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM image_replication_removal WHERE repository = $1 AND account = $2 AND region = $3`, r.from.row, r.to.Account, r.to.Region)
		return err
	})
}

// setAll changes the state of all rows that have one.
func (r *replication) setAll(ctx context.Context, from, to string) error {
	return r.s.db.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE image_replication SET state = $5 WHERE repository = $1 AND account = $2 AND region = $3 AND state = $4`,
			r.from.row, r.to.Account, r.to.Region, from, to)
		return err
	})
}

// A waitingReplica is a row of image_replication. A push during the copy changes the
// version.
type waitingReplica struct {
	digest         digest.Digest
	version, since int64
}

// maxErrors is how many copies in a row may fail before a run ends: most likely the
// others would fail, too. What a quota refuses does not count, since there may be room for
// a smaller image, or for one that is there already.
const maxErrors = 3

// errSliceOver is the error of [replication.copyAll] if nothing has failed and more waits.
var errSliceOver = errors.New("images: the next run copies the other images")

// copyAll copies the images that wait, for [replicationSlice]. It returns the first error
// after which a copy is to be tried again.
func (r *replication) copyAll(ctx context.Context) (first error) {
	begun := r.s.now()
	failed := 0 // in a row
	for after := (waitingReplica{}); ; {
		page, err := db.All(ctx, r.s.db, func(row db.Row) (w waitingReplica, err error) {
			err = row.Scan(&w.digest, &w.version, &w.since)
			return w, err
		}, `SELECT digest, version, since FROM image_replication WHERE repository = $1 AND account = $2 AND region = $3 AND state = '`+replicaWaiting+`' AND (since, digest) > ($4, $5)
			ORDER BY since, digest LIMIT $6`, r.from.row, r.to.Account, r.to.Region, after.since, string(after.digest), replicationBatch)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return first
		}
		for _, w := range page {
			if r.s.now().Sub(begun) > replicationSlice && first == nil {
				return errSliceOver
			}
			after = w
			err := r.copyOne(ctx, w)
			if err == nil {
				failed = 0
				continue
			}
			if first == nil {
				first = err
			}
			if isQuota(err) && ctx.Err() == nil {
				continue
			}
			if failed++; failed == maxErrors || ctx.Err() != nil {
				return first
			}
		}
	}
}

// copyOne copies an image and writes the result.
func (r *replication) copyOne(ctx context.Context, w waitingReplica) error {
	err := r.copyImage(ctx, w.digest, func(tx *db.Tx) error { return r.setState(ctx, tx, w, replicaComplete, "") })
	if failure, ok := errors.AsType[*replicaFailure](err); ok {
		return r.s.db.Tx(ctx, func(tx *db.Tx) error {
			if err := r.setState(ctx, tx, w, replicaFailed, failure.code); err != nil {
				return err
			}
			return r.announce(ctx, tx, resultFailed, Reference{Digest: w.digest})
		})
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	noted := r.s.db.Tx(ctx, func(tx *db.Tx) error { return r.setState(ctx, tx, w, replicaWaiting, retryCode(err)) })
	return errors.Join(fmt.Errorf("copy %s@%s to %s in %s: %w", r.from.ID.Name, w.digest, r.to.Account, r.to.Region, err), noted)
}

// setState writes the result of a copy, unless the image was pushed again meanwhile.
func (r *replication) setState(ctx context.Context, tx *db.Tx, w waitingReplica, state, code string) error {
	_, err := tx.Exec(ctx, `UPDATE image_replication SET state = $6, code = $7 WHERE repository = $1 AND account = $2 AND region = $3 AND digest = $4 AND version = $5`,
		r.from.row, r.to.Account, r.to.Region, string(w.digest), w.version, state, code)
	return err
}

// retryCode is what people see of an error after which the copy is tried again.
func retryCode(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.Code
	}
	return "InternalError"
}

// A ReplicationStatus says how far the replication of an image to a destination is.
type ReplicationStatus struct {
	To RegistryID
	// State is IN_PROGRESS, COMPLETE or FAILED.
	State string
	// Code says why it failed; with IN_PROGRESS, why the last attempt did.
	Code string
}

// ReplicationStatus returns the status of the replication of an image to each destination,
// ordered by region and account. Action ecr:DescribeImageReplicationStatus. Faults:
// AccessDenied, RepositoryNotFound, ImageNotFound, ImageTagDoesNotMatchDigest,
// InvalidParameter.
func (s *Service) ReplicationStatus(ctx context.Context, id RepositoryID, ref Reference) ([]ReplicationStatus, error) {
	repo, err := s.authorize(ctx, id, "ecr:DescribeImageReplicationStatus")
	if err != nil {
		return nil, err
	}
	if err := ref.check(); err != nil {
		return nil, invalidParameter("imageId", fault.From(err).Message)
	}
	d, err := s.identify(ctx, repo, ref)
	if err != nil {
		return nil, err
	}
	return db.All(ctx, s.db, func(r db.Row) (st ReplicationStatus, err error) {
		var state string
		err = r.Scan(&st.To.Account, &st.To.Region, &state, &st.Code)
		st.State = map[string]string{replicaWaiting: "IN_PROGRESS", replicaComplete: "COMPLETE", replicaFailed: "FAILED", replicaAbandoned: "FAILED"}[state]
		return st, err
	}, `SELECT account, region, state, code FROM image_replication WHERE repository = $1 AND digest = $2 ORDER BY region, account`, repo.row, string(d))
}
