package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// A backfill copies what was pushed before a destination was one. It first writes down
// each tag and each image without a tag (PREPARING), and then copies one image after the
// other (IN_PROGRESS). Both go on where they were after a restart.

// The statuses of a backfill are ECR's.
const (
	BackfillPreparing  = "PREPARING"
	BackfillInProgress = "IN_PROGRESS"
	BackfillComplete   = "COMPLETE"
	BackfillStopping   = "STOPPING"
	BackfillStopped    = "STOPPED"
)

// The results of an image are ECR's.
const (
	backfillDone   = "COMPLETE"
	backfillFailed = "FAILED"
)

const (
	kindBackfill          = "images/replication-backfill"
	kindBackfillRemote    = "images/replication-backfill-remote"
	kindBackfillRetention = "images/replication-retention"
	// maxBackfills is how many can run in a registry.
	maxBackfills = 10
	keepBackfill = 90 * 24 * time.Hour
	// backfillSlice is how long a run lasts. The next one follows at once.
	backfillSlice = 30 * time.Minute
	backfillPage  = 200
	// backfillPatience is the attempt, about two hours after the first one, from which on
	// an image that cannot be copied has failed. Before, it is tried again after the others.
	backfillPatience = 12
	// maxBackfillCodes is how many different failure codes are kept.
	maxBackfillCodes = 20
)

// A Backfill is the replication of existing images to one destination.
type Backfill struct {
	ID             string
	To             RegistryID
	Status         string
	Started, Ended time.Time // Ended is zero until then
	// Prepared says that the counts are known.
	Prepared                 bool
	Total, Completed, Failed int64
	Codes                    []string // of the failures
}

// ended reports whether nothing will happen any more.
func (b *Backfill) ended() bool { return !b.Ended.IsZero() }

const backfillColumns = `id, to_account, to_region, state, started, ended, prepared, total, completed, failed, codes`

func scanBackfill(r db.Row) (b Backfill, err error) {
	var started, ended, prepared int64
	var codes []byte
	if err := r.Scan(&b.ID, &b.To.Account, &b.To.Region, &b.Status, &started, &ended, &prepared, &b.Total, &b.Completed, &b.Failed, &codes); err != nil {
		return b, err
	}
	b.Started, b.Prepared = db.Time(started), prepared == 1
	if ended > 0 {
		b.Ended = db.Time(ended)
	}
	return b, json.Unmarshal(codes, &b.Codes)
}

// StartReplicationBackfill begins to copy all images of the repositories that have the
// destination. Action ecr:StartReplicationBackfill. Faults: AccessDenied, InvalidParameter,
// ReplicationBackfillInProgress, TooManyBackfills.
func (s *Service) StartReplicationBackfill(ctx context.Context, id, to RegistryID) (Backfill, error) {
	r, err := s.authorizeSettings(ctx, id, "ecr:StartReplicationBackfill")
	if err != nil {
		return Backfill{}, err
	}
	if !slices.ContainsFunc(r.Replication, func(rule ReplicationRule) bool { return slices.Contains(rule.Destinations, to) }) {
		return Backfill{}, invalidParameter("destination", "The destination must be one of the replication configuration")
	}
	b := Backfill{ID: randid.UUID(), To: to, Status: BackfillPreparing, Started: s.now().UTC().Truncate(time.Microsecond)}
	err = s.db.Tx(ctx, func(tx *db.Tx) error {
		regions, err := db.All(ctx, tx, db.Scalar[string], `SELECT to_region FROM image_backfill WHERE account = $1 AND region = $2 AND ended = 0`, id.Account, id.Region)
		switch {
		case err != nil:
			return err
		case slices.Contains(regions, to.Region):
			return fault.New(fault.Conflict, "ReplicationBackfillInProgress", "A replication backfill is already in progress for the destination Region '%s'. Wait until it has ended, or stop it.", to.Region)
		case len(regions) >= maxBackfills:
			return fault.New(fault.Limit, "TooManyBackfills", "The registry with id '%s' has %d replication backfills in progress, which is the limit.", id.Account, maxBackfills)
		}
		_, err = tx.Exec(ctx, `INSERT INTO image_backfill (account, region, `+backfillColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, 0, 0, 0, '[]')`,
			id.Account, id.Region, b.ID, to.Account, to.Region, b.Status, db.Micros(b.Started))
		if err != nil {
			return err
		}
		return s.enqueueBackfill(ctx, tx, id, &b)
	})
	return b, err
}

// A backfillJob is the payload of the work of a backfill.
type backfillJob struct {
	Registry RegistryID
	ID       string
}

func (s *Service) enqueueBackfill(ctx context.Context, tx *db.Tx, id RegistryID, b *Backfill) error {
	kind := kindBackfill
	if !s.serves(b.To) {
		kind = kindBackfillRemote
	}
	return s.work.Enqueue(ctx, tx, work.Job{Kind: kind, Key: b.ID, Payload: backfillJob{id, b.ID}})
}

func readBackfill(ctx context.Context, q db.Querier, id RegistryID, backfill string) (Backfill, error) {
	b, err := db.One(ctx, q, scanBackfill, `SELECT `+backfillColumns+` FROM image_backfill WHERE id = $1 AND account = $2 AND region = $3`, backfill, id.Account, id.Region)
	if errors.Is(err, db.ErrNoRows) {
		return b, fault.New(fault.NotFound, "ReplicationBackfillNotFound", "The replication backfill with id '%s' does not exist in the registry with id '%s'", backfill, id.Account)
	}
	return b, err
}

// StopReplicationBackfill ends a backfill. What it has copied stays. The copy that is under
// way is finished; until then the status is STOPPING. Action ecr:StopReplicationBackfill.
// Faults: AccessDenied, ReplicationBackfillNotFound, ReplicationBackfillInvalidStatus.
func (s *Service) StopReplicationBackfill(ctx context.Context, id RegistryID, backfill string) (b Backfill, err error) {
	if _, err := s.authorizeSettings(ctx, id, "ecr:StopReplicationBackfill"); err != nil {
		return b, err
	}
	err = s.db.Tx(ctx, func(tx *db.Tx) (err error) {
		if b, err = readBackfill(ctx, tx, id, backfill); err != nil {
			return err
		}
		switch b.Status {
		case BackfillPreparing:
			return s.endBackfill(ctx, tx, &b, BackfillStopped)
		case BackfillInProgress:
			b.Status = BackfillStopping
			if _, err := tx.Exec(ctx, `UPDATE image_backfill SET state = $2 WHERE id = $1`, b.ID, b.Status); err != nil {
				return err
			}
			return s.enqueueBackfill(ctx, tx, id, &b)
		}
		return fault.New(fault.Conflict, "ReplicationBackfillInvalidStatus", "The replication backfill with id '%s' cannot be stopped: its status is %s", b.ID, b.Status)
	})
	return b, err
}

func (s *Service) endBackfill(ctx context.Context, tx *db.Tx, b *Backfill, status string) error {
	b.Status, b.Ended = status, s.now().UTC().Truncate(time.Microsecond)
	_, err := tx.Exec(ctx, `UPDATE image_backfill SET state = $2, ended = $3 WHERE id = $1`, b.ID, b.Status, db.Micros(b.Ended))
	return err
}

// ReplicationBackfills lists the backfills of a registry, the latest first: those after
// one, whose zero value asks for the first page. They are listed for 90 days after their
// end. Action ecr:ListReplicationBackfills. Fault: AccessDenied.
func (s *Service) ReplicationBackfills(ctx context.Context, id RegistryID, after Backfill, limit int) (list []Backfill, more bool, err error) {
	if _, err := s.authorizeSettings(ctx, id, "ecr:ListReplicationBackfills"); err != nil {
		return nil, false, err
	}
	before := int64(1<<63 - 1)
	if after.ID != "" {
		before = db.Micros(after.Started)
	}
	limit = max(limit, 1)
	list, err = db.All(ctx, s.db, scanBackfill, `SELECT `+backfillColumns+` FROM image_backfill WHERE account = $1 AND region = $2 AND (started < $3 OR started = $3 AND id < $4) ORDER BY started DESC, id DESC LIMIT $5`,
		id.Account, id.Region, before, after.ID, limit+1)
	if len(list) > limit {
		return list[:limit], true, err
	}
	return list, false, err
}

// A BackfillResult says what became of a tag, or of an image without a tag.
type BackfillResult struct {
	Repository string
	Reference
	Status string // COMPLETE or FAILED
	Code   string
}

// ReplicationBackfillResults returns a backfill and, if it has ended, its results with a
// status, or all of them if it is empty: at most limit of those after one, in the order of
// repository, digest and tag. Action ecr:DescribeReplicationBackfillResults. Faults:
// AccessDenied, ReplicationBackfillNotFound.
func (s *Service) ReplicationBackfillResults(ctx context.Context, id RegistryID, backfill, status string, after BackfillResult, limit int) (b Backfill, list []BackfillResult, more bool, err error) {
	if _, err := s.authorizeSettings(ctx, id, "ecr:DescribeReplicationBackfillResults"); err != nil {
		return b, nil, false, err
	}
	if b, err = readBackfill(ctx, s.db, id, backfill); err != nil || !b.ended() {
		return b, nil, false, err
	}
	limit = max(limit, 1)
	list, err = db.All(ctx, s.db, func(r db.Row) (v BackfillResult, err error) {
		err = r.Scan(&v.Repository, &v.Digest, &v.Tag, &v.Status, &v.Code)
		return v, err
	}, `SELECT name, digest, tag, state, code FROM image_backfill_image WHERE backfill = $1 AND (name, digest, tag) > ($2, $3, $4) AND state <> '' AND ($5 = '' OR state = $5)
		ORDER BY name, digest, tag LIMIT $6`, b.ID, after.Repository, string(after.Digest), after.Tag, status, limit+1)
	if len(list) > limit {
		return b, list[:limit], true, err
	}
	return b, list, false, err
}

// A backfilling is one run of the work of a backfill.
type backfilling struct {
	s        *Service
	registry RegistryID
	Backfill
	attempt int
}

func (s *Service) doBackfill(ctx context.Context, run work.Run) error {
	return work.JSON(func(ctx context.Context, job backfillJob) error {
		b, err := readBackfill(ctx, s.db, job.Registry, job.ID)
		if fault.Is(err, "ReplicationBackfillNotFound") || err == nil && b.ended() {
			return nil
		}
		if err != nil {
			return err
		}
		f := &backfilling{s, job.Registry, b, run.Attempt}
		if b.Status == BackfillPreparing {
			if err := f.prepare(ctx); err != nil {
				return err
			}
		}
		return f.copyAll(ctx)
	})(ctx, run)
}

// prepare writes down what is to be copied.
func (f *backfilling) prepare(ctx context.Context) error {
	last, err := db.All(ctx, f.s.db, func(r db.Row) (v BackfillResult, err error) {
		err = r.Scan(&v.Repository, &v.Digest, &v.Tag)
		return v, err
	}, `SELECT name, digest, tag FROM image_backfill_image WHERE backfill = $1 ORDER BY name DESC, digest DESC, tag DESC LIMIT 1`, f.ID)
	if err != nil {
		return err
	}
	var after BackfillResult
	if len(last) > 0 { // of a run that was interrupted
		after = last[0]
		if repo := f.s.repositories.get(f.repository(after.Repository)); repo != nil {
			if err := f.prepareRepository(ctx, repo, after.Reference); err != nil {
				return err
			}
		}
	}
	for name, more := after.Repository, true; more; {
		var page []*Repository
		page, more = f.s.repositories.list(f.registry.Account, f.registry.Region, name, backfillPage)
		for _, repo := range page {
			name = repo.ID.Name
			if !f.s.replicatesTo(repo.ID, f.To) {
				continue
			}
			if err := f.prepareRepository(ctx, repo, Reference{}); err != nil {
				return err
			}
		}
	}
	return f.s.db.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE image_backfill SET state = $2, prepared = 1, total = (SELECT count(*) FROM image_backfill_image i WHERE i.backfill = $1) WHERE id = $1 AND state = $3`,
			f.ID, BackfillInProgress, BackfillPreparing)
		return err
	})
}

func (f *backfilling) repository(name string) RepositoryID {
	return RepositoryID{f.registry.Account, f.registry.Region, name}
}

// prepareRepository writes down the images of a repository after one.
func (f *backfilling) prepareRepository(ctx context.Context, repo *Repository, after Reference) error {
	for {
		page, err := db.All(ctx, f.s.db, scanReference, `SELECT m.digest, coalesce(t.tag, '') FROM image_manifest m LEFT JOIN image_tag t ON t.repository = m.repository AND t.digest = m.digest
			WHERE m.repository = $1 AND m.digest >= $2 AND (m.digest, coalesce(t.tag, '')) > ($2, $3) ORDER BY m.digest, coalesce(t.tag, '') LIMIT $4`,
			repo.row, string(after.Digest), after.Tag, backfillPage)
		if err != nil || len(page) == 0 {
			return err
		}
		args := make([]any, 0, 6*len(page))
		for _, ref := range page {
			args = append(args, f.ID, repo.ID.Name, string(ref.Digest), ref.Tag, "", "")
		}
		err = f.s.db.Tx(ctx, func(tx *db.Tx) error {
			b, err := readBackfill(ctx, tx, f.registry, f.ID)
			if err != nil || b.Status != BackfillPreparing { // stopped
				return err
			}
			_, err = tx.Exec(ctx, `INSERT INTO image_backfill_image (backfill, name, digest, tag, state, code) VALUES `+placeholders(1, len(page), 6)+` ON CONFLICT (backfill, name, digest, tag) DO NOTHING`, args...)
			return err
		})
		if err != nil {
			return err
		}
		after = page[len(page)-1]
	}
}

// A backfillImage is an image that waits for its copy, with all its tags.
type backfillImage struct {
	name   string
	digest digest.Digest
}

// copyAll copies what waits, until it is done, stopped, or its time is over. An image that
// cannot be copied does not hold up the others. It returns the first error after which a copy
// is to be tried again.
func (f *backfilling) copyAll(ctx context.Context) (first error) {
	begun, failed := time.Now(), 0 // failed copies in a row
	for after := (backfillImage{}); ; {
		page, err := db.All(ctx, f.s.db, func(r db.Row) (i backfillImage, err error) {
			err = r.Scan(&i.name, &i.digest)
			return i, err
		}, `SELECT DISTINCT name, digest FROM image_backfill_image WHERE backfill = $1 AND state = '' AND (name, digest) > ($2, $3) ORDER BY name, digest LIMIT $4`, f.ID, after.name, string(after.digest), backfillPage)
		if err != nil {
			return err
		}
		for _, image := range page {
			after = image
			b, err := readBackfill(ctx, f.s.db, f.registry, f.ID)
			if err != nil {
				return err
			}
			if b.Status != BackfillInProgress {
				return f.end(ctx)
			}
			err = f.copyOne(ctx, image)
			if err == nil {
				failed = 0
				continue
			}
			if first == nil {
				first = fmt.Errorf("copy %s@%s to %s in %s: %w", image.name, image.digest, f.To.Account, f.To.Region, err)
			}
			if !isQuota(err) {
				failed++
			}
			if failed == maxErrors || ctx.Err() != nil {
				return first
			}
		}
		switch {
		case len(page) == 0 && first == nil:
			return f.end(ctx)
		case first != nil && (len(page) == 0 || time.Since(begun) > backfillSlice):
			return first
		case time.Since(begun) > backfillSlice:
			return f.s.db.Tx(ctx, func(tx *db.Tx) error { return f.s.enqueueBackfill(ctx, tx, f.registry, &f.Backfill) })
		}
	}
}

// end ends a backfill that is done or was stopped.
func (f *backfilling) end(ctx context.Context) error {
	return f.s.db.Tx(ctx, func(tx *db.Tx) error {
		b, err := readBackfill(ctx, tx, f.registry, f.ID)
		switch {
		case err != nil:
			return err
		case b.Status == BackfillInProgress:
			return f.s.endBackfill(ctx, tx, &b, BackfillComplete)
		case b.Status == BackfillStopping:
			return f.s.endBackfill(ctx, tx, &b, BackfillStopped)
		}
		return nil
	})
}

func (f *backfilling) copyOne(ctx context.Context, image backfillImage) error {
	from := f.s.repositories.get(f.repository(image.name))
	if from == nil {
		return f.fail(ctx, image, "RepositoryNotFound")
	}
	if !f.s.replicatesTo(from.ID, f.To) {
		return f.fail(ctx, image, "DestinationRemoved")
	}
	r := &replication{f.s, from, f.To}
	err := r.copyImage(ctx, image.digest, func(tx *db.Tx) error { return f.copied(ctx, tx, from, image) })
	if failure, ok := errors.AsType[*replicaFailure](err); ok {
		return f.fail(ctx, image, failure.code)
	}
	if err != nil && ctx.Err() == nil && f.attempt >= backfillPatience {
		return f.fail(ctx, image, retryCode(err))
	}
	return err
}

// copied writes the result of a copy in its transaction.
func (f *backfilling) copied(ctx context.Context, tx *db.Tx, from *Repository, image backfillImage) error {
	n, err := tx.Exec(ctx, `INSERT INTO image_replication (repository, digest, account, region, state, code, since, version)
		SELECT m.repository, m.digest, CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS TEXT), '', CAST($6 AS BIGINT), 1 FROM image_manifest m WHERE m.repository = $1 AND m.digest = $2
		ON CONFLICT (repository, digest, account, region) DO UPDATE SET state = excluded.state, code = ''`,
		from.row, string(image.digest), f.To.Account, f.To.Region, replicaComplete, db.Micros(f.s.now()))
	if err != nil {
		return err
	}
	if n == 0 { // deleted meanwhile
		return f.result(ctx, tx, image, backfillFailed, "ImageNotFound")
	}
	return f.result(ctx, tx, image, backfillDone, "")
}

func (f *backfilling) fail(ctx context.Context, image backfillImage, code string) error {
	return f.s.db.Tx(ctx, func(tx *db.Tx) error { return f.result(ctx, tx, image, backfillFailed, code) })
}

// result writes the result of an image, which counts once for each of its tags.
func (f *backfilling) result(ctx context.Context, tx *db.Tx, image backfillImage, status, code string) error {
	n, err := tx.Exec(ctx, `UPDATE image_backfill_image SET state = $4, code = $5 WHERE backfill = $1 AND name = $2 AND digest = $3 AND state = ''`, f.ID, image.name, string(image.digest), status, code)
	if err != nil || n == 0 {
		return err
	}
	if status == backfillDone {
		_, err := tx.Exec(ctx, `UPDATE image_backfill SET completed = completed + $2 WHERE id = $1`, f.ID, n)
		return err
	}
	b, err := readBackfill(ctx, tx, f.registry, f.ID)
	if err != nil {
		return err
	}
	if !slices.Contains(b.Codes, code) && len(b.Codes) < maxBackfillCodes {
		b.Codes = append(b.Codes, code)
	}
	codes, err := json.Marshal(b.Codes)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE image_backfill SET failed = failed + $2, codes = $3 WHERE id = $1`, f.ID, n, string(codes))
	return err
}

// forgetBackfills deletes what ended long ago.
func (s *Service) forgetBackfills(ctx context.Context) error {
	old, err := db.All(ctx, s.db, db.Scalar[string], `SELECT id FROM image_backfill WHERE ended > 0 AND ended < $1`, db.Micros(s.now().Add(-keepBackfill)))
	if err != nil {
		return err
	}
	for _, id := range old {
		for deleted := int64(1); deleted > 0; {
			err := s.db.Tx(ctx, func(tx *db.Tx) (err error) {
				deleted, err = tx.Exec(ctx, `DELETE FROM image_backfill_image WHERE backfill = $1 AND (name, digest, tag) IN (SELECT name, digest, tag FROM image_backfill_image WHERE backfill = $1 LIMIT $2)`, id, 5*backfillPage)
				if err == nil && deleted == 0 {
					_, err = tx.Exec(ctx, `DELETE FROM image_backfill WHERE id = $1`, id)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
