package images

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// UndoLifecycle begins to bring the images back that a run has removed, in the background.
// A run that is not done yet removes nothing more: it may have failed for good, or another
// one may have taken its place in the queue. An undo that left something can be repeated.
// Action gatehouse:UndoLifecycle. Faults: AccessDenied, RepositoryNotFound,
// LifecycleRunNotFound; LifecycleRunConflict: the run has not begun, removed nothing, or its
// undo window has passed.
func (s *Service) UndoLifecycle(ctx context.Context, id RepositoryID, runID string) (LifecycleRun, error) {
	repo, err := s.authorize(ctx, id, "gatehouse:UndoLifecycle")
	if err != nil {
		return LifecycleRun{}, err
	}
	var run LifecycleRun
	err = s.db.Tx(ctx, func(tx *db.Tx) (err error) {
		if run, err = readLifecycleRun(ctx, tx, repo, runID); err != nil {
			return err
		}
		switch {
		case run.State == LifecycleQueued:
			return runConflict("The run %s is %s. Wait until it is done.", runID, run.State)
		case run.State == LifecycleUndoing: // its work may have failed for good
			return s.enqueueUndo(ctx, tx, repo, runID)
		case run.State == LifecycleRunning:
			if run.Removed, err = countAside(ctx, tx, runID); err != nil {
				return err
			}
		}
		if run.Removed == 0 {
			return runConflict("The run %s removed nothing.", runID)
		}
		left, err := db.One(ctx, tx, db.Scalar[int64], `SELECT count(*) FROM (SELECT 1 FROM image_aside WHERE run = $1 LIMIT 1) AS any_image`, runID)
		if err != nil {
			return err
		}
		if left == 0 && run.State == LifecycleUndone {
			return nil
		}
		if left == 0 {
			return runConflict("The run %s cannot be undone any more: its undo window ended on %s.", runID, run.UndoUntil.Format("2006-01-02 15:04Z"))
		}
		run.State = LifecycleUndoing // from now on nothing of the run is deleted
		if err := updateRun(ctx, tx, &run); err != nil {
			return err
		}
		return s.enqueueUndo(ctx, tx, repo, runID)
	})
	return run, err
}

func (s *Service) enqueueUndo(ctx context.Context, tx *db.Tx, repo *Repository, run string) error {
	return s.work.Enqueue(ctx, tx, work.Job{Kind: kindLifecycleUndo, Key: run, Payload: lifecycleJob{repo.ID, repo.row, run}})
}

// countAside counts the images that a run has set aside and that were not restored.
func countAside(ctx context.Context, q db.Querier, run string) (int64, error) {
	return db.One(ctx, q, db.Scalar[int64], `SELECT count(*) FROM image_aside WHERE run = $1`, run)
}

func runConflict(format string, args ...any) error {
	return fault.New(fault.Conflict, "LifecycleRunConflict", format, args...)
}

// doLifecycleUndo does the work of an undo. It may run again after it was interrupted.
func (s *Service) doLifecycleUndo(ctx context.Context, job lifecycleJob) error {
	repo := s.repositoryOf(job)
	if repo == nil {
		return nil
	}
	run, err := readLifecycleRun(ctx, s.db, repo, job.Run)
	if fault.Is(err, "LifecycleRunNotFound") || err == nil && run.State != LifecycleUndoing {
		return nil
	}
	if err != nil {
		return err
	}
	// The last one first: what followed an image was removed after it, and an index
	// before its images.
	for before := int64(1<<63 - 1); ; {
		page, err := s.readRun(ctx, run.ID, before)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		var restored []digest.Digest
		for _, img := range page {
			before = img.number
			done, err := s.restore(ctx, repo, img.digest)
			if err != nil && !errors.Is(err, errNotRestored) {
				return err
			}
			if done {
				restored = append(restored, img.digest)
			}
		}
		run.Restored += int64(len(restored))
		if err := s.saveRun(ctx, &run); err != nil {
			return err
		}
		if err := s.recordService(ctx, "RestoredImages", repo, map[string]any{"run": run.ID, "imageDigests": restored}); err != nil {
			return err
		}
	}
	run.State, run.Message = LifecycleUndone, ""
	if left := run.Removed - run.Restored; left > 0 {
		run.Message = fmt.Sprintf("%d images were not restored: they were pushed again, or need images that the repository does not have", left)
	}
	return s.saveRun(ctx, &run)
}

// A numberedImage is an image that a run has removed.
type numberedImage struct {
	digest digest.Digest
	number int64
}

// readRun returns some of the images that a run has removed, before the one with a number.
func (s *Service) readRun(ctx context.Context, run string, before int64) ([]numberedImage, error) {
	return db.All(ctx, s.db, func(r db.Row) (v numberedImage, err error) {
		err = r.Scan(&v.digest, &v.number)
		return v, err
	}, `SELECT digest, number FROM image_aside WHERE run = $1 AND number < $2 ORDER BY number DESC LIMIT $3`, run, before, asideBatch)
}

// errNotRestored means that an image that was set aside cannot be restored: it exists
// again, or something that it needs does not exist any more.
var errNotRestored = errors.New("images: the image cannot be restored")

// restore brings an image back that was set aside, with those of its tags that are not in
// use. It returns false if it is not set aside any more.
func (s *Service) restore(ctx context.Context, repo *Repository, d digest.Digest) (restored bool, err error) {
	var tags []string
	err = s.changeCached(ctx, func(tx *db.Tx) (keys []string, err error) {
		if restored, tags, err = s.restoreRows(ctx, tx, repo, d); err != nil {
			return nil, err
		}
		for _, tag := range tags {
			keys = append(keys, rowKey(imageTagKey, repo.row, tag))
		}
		return keys, nil
	}, func() { s.forgetTags(repo.row, tags...) })
	return restored && err == nil, err
}

func (s *Service) restoreRows(ctx context.Context, tx *db.Tx, repo *Repository, d digest.Digest) (restored bool, tags []string, err error) {
	missing, err := db.One(ctx, tx, db.Scalar[int64], `SELECT count(*) FROM image_aside_reference f WHERE f.repository = $1 AND f.manifest = $2 AND f.present = 1
		AND NOT EXISTS (SELECT 1 FROM image_blob_link l WHERE l.repository = f.repository AND l.digest = f.digest)
		AND NOT EXISTS (SELECT 1 FROM image_manifest m WHERE m.repository = f.repository AND m.digest = f.digest)`, repo.row, string(d))
	if err != nil {
		return false, nil, err
	}
	if missing > 0 {
		return false, nil, errNotRestored
	}
	subjects, err := db.All(ctx, tx, db.Scalar[digest.Digest], `INSERT INTO image_manifest (repository, `+asideColumns+`)
		SELECT repository, `+asideColumns+` FROM image_aside WHERE repository = $1 AND digest = $2
		ON CONFLICT (repository, digest) DO NOTHING RETURNING subject`, repo.row, string(d))
	if err != nil {
		return false, nil, err
	}
	if len(subjects) == 0 {
		return false, nil, errNotRestored
	}
	if _, err := tx.Exec(ctx, `INSERT INTO image_reference (repository, digest, manifest, media_type)
		SELECT repository, digest, manifest, media_type FROM image_aside_reference WHERE repository = $1 AND manifest = $2`, repo.row, string(d)); err != nil {
		return false, nil, err
	}
	tags, err = db.All(ctx, tx, db.Scalar[string], `INSERT INTO image_tag (repository, tag, digest)
		SELECT repository, tag, digest FROM image_aside_tag WHERE repository = $1 AND digest = $2
		ON CONFLICT (repository, tag) DO NOTHING RETURNING tag`, repo.row, string(d))
	if err != nil {
		return false, nil, err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM image_aside WHERE repository = $1 AND digest = $2`, repo.row, string(d)); err != nil {
		return false, nil, err
	}
	if err := s.enqueueReplica(ctx, tx, repo, d); err != nil {
		return false, nil, err
	}
	if subjects[0] != "" { // perhaps it is a signature
		if err := s.enqueueVerify(ctx, tx, repo, d); err != nil {
			return false, nil, err
		}
	}
	if err := s.scanRestored(ctx, tx, repo, d); err != nil {
		return false, nil, err
	}
	img := asideImage{digest: d, tags: tags}
	return true, tags, announce(ctx, tx, s.events, repo, s.now(), actionPush, subjects[0], img.references()...)
}

// checkNotAside returns a fault if an image that was set aside needs the blob.
func checkNotAside(ctx context.Context, tx *db.Tx, repo *Repository, d digest.Digest) error {
	type user struct {
		manifest, run string
		until         int64
	}
	found, err := db.All(ctx, tx, func(r db.Row) (u user, err error) {
		err = r.Scan(&u.manifest, &u.run, &u.until)
		return u, err
	}, `SELECT a.digest, a.run, a.until FROM image_aside_reference f JOIN image_aside a ON a.repository = f.repository AND a.digest = f.manifest
		WHERE f.repository = $1 AND f.digest = $2 LIMIT 1`, repo.row, string(d))
	if err != nil || len(found) == 0 {
		return err
	}
	return fault.New(fault.Conflict, "BlobReferenced", "The layer with digest '%s' belongs to the image with digest '%s', which a lifecycle policy removed. It is kept until %s, so that the removal can be undone.",
		d, found[0].manifest, db.Time(found[0].until).Format(time.DateOnly))
}
