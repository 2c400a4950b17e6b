package images

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/lifecycle"
	"github.com/gatehouse-registry/gatehouse/internal/server/steadyclock"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// A LifecycleState says how far a run of a lifecycle policy is.
type LifecycleState string

// The states.
const (
	LifecycleQueued  LifecycleState = "queued"
	LifecycleRunning LifecycleState = "running"
	LifecycleDone    LifecycleState = "done"
	// LifecycleStopped means that the run removed nothing, or not everything; Message
	// says why.
	LifecycleStopped LifecycleState = "stopped"
	LifecycleUndoing LifecycleState = "undoing"
	LifecycleUndone  LifecycleState = "undone"
)

// A LifecycleRun is one application of the lifecycle policy of a repository. A scheduled
// run that removed nothing is not kept.
type LifecycleRun struct {
	ID    string
	State LifecycleState
	// StartedBy is the ARN of the caller; empty for a scheduled run.
	StartedBy         string
	Created, Finished time.Time // Finished is zero until then
	// UndoUntil is when the removals become final.
	UndoUntil time.Time
	// Images is the number of images before the run, Removed how many it removed, with
	// what followed them, and Restored how many an undo brought back.
	Images, Removed, Restored int64
	// Archived is how many images it archived, without what followed them. An undo does not
	// restore them.
	Archived int64
	Message  string
}

const (
	kindLifecycle        = "images/lifecycle"
	kindLifecycleRun     = "images/lifecycle-run"
	kindLifecycleUndo    = "images/lifecycle-undo"
	kindLifecyclePreview = "images/lifecycle-preview"

	lifecycleEvery = 24 * time.Hour
	// undoWindow is how long what a rule removed can be brought back.
	undoWindow = 7 * 24 * time.Hour
	// keepLifecycleRuns is how long runs are listed.
	keepLifecycleRuns = 400 * 24 * time.Hour
	// maxPlanned is how many images a run has in memory. It removes the oldest ones
	// first, and then evaluates again: which images a rule marks does not depend on
	// older ones.
	maxPlanned = 10_000
)

// What ends a run.
var (
	errLifecycleChanged = errors.New("the lifecycle policy was changed during the run")
	errLifecycleUndone  = errors.New("the run was undone before its end")
)

// A lifecycleJob is the payload of the work of a run, an undo and a preview.
type lifecycleJob struct {
	Repository RepositoryID
	Row        int64
	Run        string
}

// LifecycleWork returns the kinds of background work of lifecycle policies.
func (s *Service) LifecycleWork() []work.Kind {
	return []work.Kind{
		{Name: kindLifecycle, Every: time.Hour, Timeout: 6 * time.Hour, Run: func(ctx context.Context, _ work.Run) error { return s.scheduleLifecycle(ctx) }},
		{Name: kindLifecycleRun, Timeout: 6 * time.Hour, MaxAttempts: 6, Run: work.JSON(s.doLifecycle)},
		{Name: kindLifecycleUndo, Timeout: 6 * time.Hour, MaxAttempts: 6, Run: work.JSON(s.doLifecycleUndo)},
		{Name: kindLifecyclePreview, Timeout: time.Hour, MaxAttempts: previewAttempts, Run: s.doPreview},
	}
}

// RunLifecycle begins to apply the lifecycle policy of a repository now, in the background.
// Action gatehouse:RunLifecycle. Faults: AccessDenied, RepositoryNotFound,
// LifecyclePolicyNotFound.
func (s *Service) RunLifecycle(ctx context.Context, id RepositoryID) (LifecycleRun, error) {
	repo, err := s.authorize(ctx, id, "gatehouse:RunLifecycle")
	if err != nil {
		return LifecycleRun{}, err
	}
	run := LifecycleRun{ID: randid.Text(), State: LifecycleQueued, StartedBy: callerARN(ctx), Created: s.now()}
	err = s.db.Tx(ctx, func(tx *db.Tx) error {
		if _, err := readEffectiveLifecycle(ctx, tx, repo); err != nil {
			return err
		}
		if err := checkExists(ctx, tx, repo); err != nil {
			return err
		}
		if err := insertRun(ctx, tx, repo, &run); err != nil {
			return err
		}
		return s.work.Enqueue(ctx, tx, work.Job{Kind: kindLifecycleRun, Key: run.ID, Payload: lifecycleJob{repo.ID, repo.row, run.ID}})
	})
	return run, err
}

func insertRun(ctx context.Context, tx *db.Tx, repo *Repository, run *LifecycleRun) error {
	_, err := tx.Exec(ctx, `INSERT INTO image_lifecycle_run (id, repository, state, started_by, created, finished, until, images, removed, restored, message)
		VALUES ($1, $2, $3, $4, $5, 0, 0, 0, 0, 0, '') ON CONFLICT (id) DO NOTHING`, run.ID, repo.row, string(run.State), run.StartedBy, db.Micros(run.Created))
	return err
}

// LifecycleRuns returns at most limit runs of a repository, the latest first, and whether
// there are more. after is the last run of the previous page; its zero value asks for the
// first page. Action gatehouse:ListLifecycleRuns. Faults: AccessDenied, RepositoryNotFound.
func (s *Service) LifecycleRuns(ctx context.Context, id RepositoryID, after LifecycleRun, limit int) (page []LifecycleRun, more bool, err error) {
	repo, err := s.authorize(ctx, id, "gatehouse:ListLifecycleRuns")
	if err != nil {
		return nil, false, err
	}
	created := int64(1 << 62)
	if after.ID != "" {
		created = db.Micros(after.Created)
	}
	page, err = db.All(ctx, s.db, scanLifecycleRun, `SELECT `+lifecycleRunColumns+` FROM image_lifecycle_run
		WHERE repository = $1 AND (created, id) < ($2, $3) ORDER BY created DESC, id DESC LIMIT $4`, repo.row, created, after.ID, limit+1)
	if more = len(page) > limit; more {
		page = page[:limit]
	}
	return page, more, err
}

// LifecycleRun returns a run. Action gatehouse:ListLifecycleRuns. Faults: AccessDenied,
// RepositoryNotFound, LifecycleRunNotFound.
func (s *Service) LifecycleRun(ctx context.Context, id RepositoryID, run string) (LifecycleRun, error) {
	repo, err := s.authorize(ctx, id, "gatehouse:ListLifecycleRuns")
	if err != nil {
		return LifecycleRun{}, err
	}
	return readLifecycleRun(ctx, s.db, repo, run)
}

const lifecycleRunColumns = `id, state, started_by, created, finished, until, images, removed, restored, archived, message`

func scanLifecycleRun(r db.Row) (run LifecycleRun, err error) {
	var created, finished, until int64
	err = r.Scan(&run.ID, &run.State, &run.StartedBy, &created, &finished, &until, &run.Images, &run.Removed, &run.Restored, &run.Archived, &run.Message)
	run.Created, run.Finished, run.UndoUntil = db.Time(created), timeOrZero(finished), timeOrZero(until)
	return run, err
}

func readLifecycleRun(ctx context.Context, q db.Querier, repo *Repository, id string) (LifecycleRun, error) {
	run, err := db.One(ctx, q, scanLifecycleRun, `SELECT `+lifecycleRunColumns+` FROM image_lifecycle_run WHERE repository = $1 AND id = $2`, repo.row, id)
	if errors.Is(err, db.ErrNoRows) {
		err = fault.New(fault.NotFound, "LifecycleRunNotFound", "The repository with name '%s' has no lifecycle run %q.", repo.ID.Name, id)
	}
	return run, err
}

// saveRun writes how far a run is.
func (s *Service) saveRun(ctx context.Context, run *LifecycleRun) error {
	return s.db.Tx(ctx, func(tx *db.Tx) error { return updateRun(ctx, tx, run) })
}

// updateRun writes how far a run is, unless an undo has begun since and run does not know.
func updateRun(ctx context.Context, tx *db.Tx, run *LifecycleRun) error {
	finished, until, undo := int64(0), int64(0), 0
	if !run.Finished.IsZero() {
		finished = db.Micros(run.Finished)
	}
	if !run.UndoUntil.IsZero() {
		until = db.Micros(run.UndoUntil)
	}
	if run.State == LifecycleUndoing || run.State == LifecycleUndone {
		undo = 1
	}
	_, err := tx.Exec(ctx, `UPDATE image_lifecycle_run SET state = $2, finished = $3, until = $4, images = $5, removed = $6, restored = $7, message = $8
		WHERE id = $1 AND ($9 = 1 OR state NOT IN ($10, $11))`,
		run.ID, string(run.State), finished, until, run.Images, run.Removed, run.Restored, run.Message, undo, string(LifecycleUndoing), string(LifecycleUndone))
	return err
}

// repositoryOf returns the repository of a job, or nil if it is gone.
func (s *Service) repositoryOf(job lifecycleJob) *Repository {
	if r := s.repositories.get(job.Repository); r != nil && r.row == job.Row {
		return r
	}
	return nil
}

// doLifecycle does the work of a run. It may run again after it was interrupted.
func (s *Service) doLifecycle(ctx context.Context, job lifecycleJob) error {
	repo := s.repositoryOf(job)
	if repo == nil {
		return nil
	}
	run, err := readLifecycleRun(ctx, s.db, repo, job.Run)
	if fault.Is(err, "LifecycleRunNotFound") { // scheduled, and nothing is removed yet
		if postponed, err := s.postpone(ctx, repo); err != nil || postponed {
			return err
		}
		run, err = LifecycleRun{ID: job.Run, State: LifecycleQueued, Created: s.now()}, nil
	}
	if err != nil || run.State != LifecycleQueued && run.State != LifecycleRunning {
		return err
	}
	a := &application{service: s, repo: repo, run: &run, now: s.now()}
	err = a.start(ctx)
	if err == nil {
		err = a.apply(ctx)
	}
	var stopped stopError
	switch {
	case errors.As(err, &stopped):
		return a.end(ctx, LifecycleStopped, stopped.Error())
	case err != nil:
		return err
	}
	return a.end(ctx, LifecycleDone, "")
}

// A stopError ends a run for good.
type stopError struct{ error }

// An application applies a policy to a repository.
type application struct {
	service *Service
	repo    *Repository
	run     *LifecycleRun
	stored  LifecyclePolicy
	policy  *lifecycle.Policy
	now     time.Time
	number  int64 // of the last image that was set aside
}

// start reads what the run needs. It returns a stopError if it must not go on.
func (a *application) start(ctx context.Context) (err error) {
	s := a.service
	var unsteady *steadyclock.UnsteadyError
	if err := s.clock.Steady(ctx); errors.As(err, &unsteady) {
		return stopError{err}
	} else if err != nil {
		return err
	}
	a.stored, err = readEffectiveLifecycle(ctx, s.db, a.repo)
	if fault.Is(err, "LifecyclePolicyNotFound") {
		return stopError{errors.New("the lifecycle policy was deleted")}
	}
	if err != nil {
		return err
	}
	if a.policy, err = parseLifecycle(a.stored.Document); err != nil {
		return stopError{err}
	}
	if a.number, err = db.One(ctx, s.db, db.Scalar[int64], `SELECT COALESCE(max(number), 0) FROM image_aside WHERE run = $1`, a.run.ID); err != nil {
		return err
	}
	return s.Maintain(ctx)
}

// apply evaluates the policy and acts on the images, until nothing is left.
func (a *application) apply(ctx context.Context) error {
	for {
		plan := &oldest[planned]{n: a.service.maxPlanned}
		var failures []lifecycleFailure
		images, err := a.service.evaluateAll(ctx, a.repo, a.policy, a.now, func(p planned) error {
			plan.add(p)
			return nil
		}, func(p planned, listedBy string) error {
			if len(failures) < maxLifecycleFailures {
				failures = append(failures, lifecycleFailure{p, listedBy})
			}
			return nil
		})
		if err != nil {
			return err
		}
		if a.run.Images == 0 {
			a.run.Images = images
			if err := a.recordFailures(ctx, failures); err != nil {
				return err
			}
		}
		if plan.total == 0 {
			return a.follow(ctx)
		}
		done, err := a.act(ctx, plan.reversed())
		if err != nil {
			return err
		}
		if err := a.follow(ctx); err != nil {
			return err
		}
		if plan.total <= a.service.maxPlanned || done == 0 {
			return nil
		}
	}
}

// act removes and archives images, the oldest first. done is how many.
func (a *application) act(ctx context.Context, plan []planned) (done int, err error) {
	if err := a.begin(ctx); err != nil {
		return 0, err
	}
	for batch := range slices.Chunk(plan, asideBatch) {
		var expiring, transitioning []planned
		for _, p := range batch {
			if p.rule.Action == lifecycle.Transition {
				transitioning = append(transitioning, p)
			} else {
				expiring = append(expiring, p)
			}
		}
		gone, err := a.setAside(ctx, expiring)
		if err != nil {
			return done, err
		}
		archived, err := a.archive(ctx, transitioning)
		if err != nil {
			return done, err
		}
		done += len(gone) + len(archived)
		if err := a.record(ctx, append(gone, archived...)); err != nil {
			return done, err
		}
	}
	return done, nil
}

// archive archives those images that are still as they were evaluated and that no active
// image lists, in one transaction. It returns them. What belongs to them follows later.
func (a *application) archive(ctx context.Context, batch []planned) (archived []asideImage, err error) {
	if len(batch) == 0 {
		return nil, nil
	}
	s := a.service
	t := &statusTx{s: s, repo: a.repo, now: s.now()}
	err = s.changeCached(ctx, func(tx *db.Tx) ([]string, error) {
		t.changed, archived = nil, nil
		if err := a.mayGoOn(ctx, tx); err != nil {
			return nil, err
		}
		for i := range batch {
			p := &batch[i]
			same, err := p.unchanged(ctx, tx, a.repo.row)
			if err != nil {
				return nil, err
			}
			if !same {
				continue
			}
			switch _, err := t.archive(ctx, tx, p.digest); {
			case fault.Is(err, "ImageStorageClassUpdateNotSupported"): // since a moment ago
			case err != nil:
				return nil, err
			default:
				archived = append(archived, asideImage{p.digest, p.tags, p.pushed, p.rule})
			}
		}
		_, err := tx.Exec(ctx, `UPDATE image_lifecycle_run SET archived = archived + $2 WHERE id = $1`, a.run.ID, len(archived))
		return t.keys(), err
	}, t.forget)
	if err == nil {
		a.run.Archived += int64(len(archived))
	}
	return archived, err
}

// begin makes the run visible.
func (a *application) begin(ctx context.Context) error {
	if a.run.State == LifecycleRunning && !a.run.UndoUntil.IsZero() {
		return nil
	}
	a.run.State, a.run.UndoUntil = LifecycleRunning, a.now.Add(undoWindow)
	return a.service.db.Tx(ctx, func(tx *db.Tx) error {
		if err := checkExists(ctx, tx, a.repo); err != nil {
			return stopError{err}
		}
		if err := insertRun(ctx, tx, a.repo, a.run); err != nil {
			return err
		}
		return updateRun(ctx, tx, a.run)
	})
}

// end writes how the run ended. A scheduled one that has removed nothing leaves no trace
// but the time.
func (a *application) end(ctx context.Context, state LifecycleState, message string) error {
	s := a.service
	a.run.State, a.run.Message, a.run.Finished = state, message, s.now()
	var err error
	if a.run.Removed, err = countAside(ctx, s.db, a.run.ID); err != nil {
		return err
	}
	if state == LifecycleDone {
		err := s.db.Tx(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE image_lifecycle SET evaluated = $2 WHERE repository = $1 AND (revision = $3 OR document = '')`, a.repo.row, db.Micros(a.now), a.stored.Revision)
			return err
		})
		if err != nil {
			return err
		}
	}
	return s.saveRun(ctx, a.run) // no row: nothing is written
}

// scheduleLifecycle puts the runs that are due into the queue, and deletes what was set
// aside long enough ago. It runs every hour on one server.
func (s *Service) scheduleLifecycle(ctx context.Context) error {
	var unsteady *steadyclock.UnsteadyError
	if err := s.clock.Steady(ctx); errors.As(err, &unsteady) {
		return nil // the next hours will tell
	} else if err != nil {
		return err
	}
	now := s.now()
	if err := errors.Join(s.deleteAside(ctx), s.expirePreviews(ctx), s.applyDefaults(ctx)); err != nil {
		return err
	}
	due, err := db.All(ctx, s.db, func(r db.Row) (d dueLifecycle, err error) {
		err = r.Scan(&d.row, &d.id.Account, &d.id.Region, &d.id.Name)
		return d, err
	}, `SELECT l.repository, r.account, r.region, r.name FROM image_lifecycle l JOIN image_repository r ON r.id = l.repository
		WHERE l.scheduled <= $1 OR l.scheduled > $2`, db.Micros(now.Add(-lifecycleEvery)), db.Micros(now.Add(lifecycleEvery)))
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(due, asideBatch) {
		if err := s.enqueueDue(ctx, batch, now); err != nil {
			return err
		}
	}
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM image_lifecycle_run WHERE created < $1 AND NOT EXISTS (SELECT 1 FROM image_aside a WHERE a.run = image_lifecycle_run.id)`,
			db.Micros(now.Add(-keepLifecycleRuns)))
		return err
	})
}

// A dueLifecycle is a repository whose policy is to be applied.
type dueLifecycle struct {
	row int64
	id  RepositoryID
}

func (s *Service) enqueueDue(ctx context.Context, due []dueLifecycle, now time.Time) error {
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		for _, d := range due {
			n, err := tx.Exec(ctx, `UPDATE image_lifecycle SET scheduled = $2 WHERE repository = $1`, d.row, db.Micros(now))
			if err != nil {
				return err
			}
			if n == 0 { // deleted meanwhile
				continue
			}
			if err := s.enqueueLifecycle(ctx, tx, &Repository{ID: d.id, row: d.row}, now); err != nil {
				return err
			}
		}
		return nil
	})
}

// applyDefaults gives each repository for which the default of its registry holds a row in
// image_lifecycle, which says when it was applied, and removes the rows for which none
// holds any more.
func (s *Service) applyDefaults(ctx context.Context) error {
	err := s.db.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM image_lifecycle WHERE document = '' AND NOT EXISTS (SELECT 1 FROM image_repository r
			JOIN image_lifecycle_default d ON d.account = r.account AND d.region = r.region WHERE r.id = image_lifecycle.repository)`)
		return err
	})
	if err != nil {
		return err
	}
	for {
		var added int64
		err := s.db.Tx(ctx, func(tx *db.Tx) (err error) {
			added, err = tx.Exec(ctx, `INSERT INTO image_lifecycle (repository, document, revision, evaluated, scheduled)
				SELECT r.id, '', '', 0, 0 FROM image_repository r JOIN image_lifecycle_default d ON d.account = r.account AND d.region = r.region
				WHERE NOT EXISTS (SELECT 1 FROM image_lifecycle l WHERE l.repository = r.id) ORDER BY r.id LIMIT $1`, sweepBatch)
			return err
		})
		if err != nil || added < sweepBatch {
			return err
		}
	}
}
