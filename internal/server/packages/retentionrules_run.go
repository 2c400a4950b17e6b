package packages

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages/retentionrule"
	"github.com/gatehouse-registry/gatehouse/internal/server/steadyclock"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// A RunState says how far a retention run is.
type RunState string

// The states.
const (
	RunQueued  RunState = "queued"
	RunRunning RunState = "running"
	RunDone    RunState = "done"
	// RunStopped means that the run removed nothing, or not everything; Message says why.
	RunStopped RunState = "stopped"
	RunUndoing RunState = "undoing"
	RunUndone  RunState = "undone"
)

// A RetentionRun is one application of the retention rules of a repository.
type RetentionRun struct {
	ID    string
	State RunState
	// StartedBy is the ARN of the caller; empty for a scheduled run.
	StartedBy         string
	Created, Finished time.Time // Finished is zero until then
	// UndoUntil is when the removals become final.
	UndoUntil time.Time
	// Versions is the number of versions before the run, Removed how many it removed, and
	// Restored how many an undo brought back.
	Versions, Removed, Restored int64
	Message                     string
}

const (
	scheduleEvery = 24 * time.Hour
	kindSchedule  = "packages/retention"
	kindRun       = "packages/retention-run"
	kindUndo      = "packages/retention-undo"
	// alwaysRemovable is how many versions a run may remove whatever their share: a small
	// repository may well have more old versions than new ones.
	alwaysRemovable = 20
	// keepRuns is how long runs are listed.
	keepRuns = 400 * 24 * time.Hour
	// maxEvaluations is how often a package is evaluated in one run if it changes.
	maxEvaluations = 100
)

// errRulesChanged ends a run.
var errRulesChanged = errors.New("the rules were changed during the run")

// A runJob is the payload of the work of a run and of its undo.
type runJob struct {
	Repository RepositoryID
	Row        string // of the repository
	Run        string
	MaxShare   float64 // 0: what the rules say
}

// RetentionWork returns the kinds of background work of retention rules.
func (s *Service) RetentionWork() []work.Kind {
	return []work.Kind{
		{Name: kindSchedule, Every: time.Hour, Timeout: 6 * time.Hour, Run: func(ctx context.Context, _ work.Run) error { return s.scheduleRetention(ctx) }},
		{Name: kindRun, Timeout: 6 * time.Hour, MaxAttempts: 6, Run: work.JSON(s.doRun)},
		{Name: kindUndo, Timeout: 6 * time.Hour, MaxAttempts: 6, Run: work.JSON(s.doUndo)},
	}
}

// RunRetention begins to apply the rules of a repository in the background. maxShare
// replaces the one of the rules for this run; 0 leaves it. Fault ResourceNotFound: the
// repository has no rules. gatehouse:RunRetention on the repository.
func (s *Service) RunRetention(ctx context.Context, repo RepositoryID, maxShare float64) (RetentionRun, error) {
	r, err := s.authorizeRepository(ctx, "gatehouse:RunRetention", repo)
	if err != nil {
		return RetentionRun{}, err
	}
	if !(maxShare >= 0 && maxShare <= 1) {
		return RetentionRun{}, invalid("The share is %v: it must be more than 0 and at most 1.", maxShare)
	}
	run := RetentionRun{ID: randid.Text(), State: RunQueued, StartedBy: callerARN(ctx), Created: s.now()}
	err = s.db.Tx(ctx, func(tx *db.Tx) error {
		if _, err := readRetentionRules(ctx, tx, r); err != nil {
			return err
		}
		return s.enqueueRun(ctx, tx, r, run, maxShare)
	})
	return run, err
}

func (s *Service) enqueueRun(ctx context.Context, tx *db.Tx, r *repository, run RetentionRun, maxShare float64) error {
	_, err := tx.Exec(ctx, `INSERT INTO pkg_retention_run (id, repository, state, started_by, created, finished, until, versions, removed, restored, message)
		VALUES ($1, $2, $3, $4, $5, 0, 0, 0, 0, 0, '')`, run.ID, r.row, string(run.State), run.StartedBy, db.Micros(run.Created))
	if err != nil {
		return err
	}
	return s.work.Enqueue(ctx, tx, work.Job{Kind: kindRun, Key: run.ID, Payload: runJob{r.id, r.row, run.ID, maxShare}})
}

// ListRetentionRuns returns at most limit runs of a repository, the latest first, and
// whether there are more. after is the last run of the previous page; its zero value asks
// for the first page. gatehouse:ListRetentionRuns on the repository.
func (s *Service) ListRetentionRuns(ctx context.Context, repo RepositoryID, after RetentionRun, limit int) (page []RetentionRun, more bool, err error) {
	r, err := s.authorizeRepository(ctx, "gatehouse:ListRetentionRuns", repo)
	if err != nil {
		return nil, false, err
	}
	created := db.Micros(after.Created)
	if after.ID == "" {
		created = 1 << 62
	}
	page, err = db.All(ctx, s.db, scanRun, `SELECT `+runColumns+` FROM pkg_retention_run
		WHERE repository = $1 AND (created, id) < ($2, $3) ORDER BY created DESC, id DESC LIMIT $4`, r.row, created, after.ID, limit+1)
	page, more = firstPage(page, limit)
	return page, more, err
}

// GetRetentionRun returns a run. gatehouse:ListRetentionRuns on the repository.
func (s *Service) GetRetentionRun(ctx context.Context, repo RepositoryID, id string) (RetentionRun, error) {
	r, err := s.authorizeRepository(ctx, "gatehouse:ListRetentionRuns", repo)
	if err != nil {
		return RetentionRun{}, err
	}
	return readRun(ctx, s.db, r, id)
}

const runColumns = `id, state, started_by, created, finished, until, versions, removed, restored, message`

func scanRun(r db.Row) (run RetentionRun, err error) {
	var created, finished, until int64
	err = r.Scan(&run.ID, &run.State, &run.StartedBy, &created, &finished, &until, &run.Versions, &run.Removed, &run.Restored, &run.Message)
	run.Created, run.Finished, run.UndoUntil = db.Time(created), timeOrZero(finished), timeOrZero(until)
	return run, err
}

func readRun(ctx context.Context, q db.Querier, r *repository, id string) (RetentionRun, error) {
	run, err := db.One(ctx, q, scanRun, `SELECT `+runColumns+` FROM pkg_retention_run WHERE repository = $1 AND id = $2`, r.row, id)
	return run, orNotFound(err, fault.New(fault.NotFound, "ResourceNotFound", "The repository %s has no retention run %q.", r.id.Name, id).About(typeRun, id))
}

// saveRun writes how far a run is.
func (s *Service) saveRun(ctx context.Context, run *RetentionRun) error {
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		finished, until := int64(0), int64(0)
		if !run.Finished.IsZero() {
			finished = db.Micros(run.Finished)
		}
		if !run.UndoUntil.IsZero() {
			until = db.Micros(run.UndoUntil)
		}
		_, err := tx.Exec(ctx, `UPDATE pkg_retention_run SET state = $2, finished = $3, until = $4, versions = $5, removed = $6, restored = $7, message = $8 WHERE id = $1`,
			run.ID, string(run.State), finished, until, run.Versions, run.Removed, run.Restored, run.Message)
		return err
	})
}

// scheduleRetention begins the runs that are due, and deletes what was set aside long
// enough ago. It runs every hour on one server.
func (s *Service) scheduleRetention(ctx context.Context) error {
	var unsteady *steadyclock.UnsteadyError
	if err := s.checkSteadyClock(ctx); errors.As(err, &unsteady) {
		return nil // the next hours will tell
	} else if err != nil {
		return err
	}
	if err := s.deleteExpired(ctx); err != nil {
		return err
	}
	now := s.now()
	rows, err := db.All(ctx, s.db, db.Scalar[string], `SELECT repository FROM pkg_retention WHERE scheduled <= $1 OR scheduled > $2`,
		db.Micros(now.Add(-scheduleEvery)), db.Micros(now.Add(scheduleEvery)))
	if err != nil {
		return err
	}
	for _, r := range s.snapshot.Load().repositoriesAt(rows) {
		err := s.db.Tx(ctx, func(tx *db.Tx) error {
			n, err := tx.Exec(ctx, `UPDATE pkg_retention SET scheduled = $2 WHERE repository = $1`, r.row, db.Micros(now))
			if err != nil || n == 0 {
				return err
			}
			return s.enqueueRun(ctx, tx, r, RetentionRun{ID: randid.Text(), State: RunQueued, Created: now}, 0)
		})
		if err != nil {
			return err
		}
	}
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM pkg_retention_run WHERE created < $1 AND NOT EXISTS (SELECT 1 FROM pkg_aside a WHERE a.run = pkg_retention_run.id)`,
			db.Micros(now.Add(-keepRuns)))
		return err
	})
}

// repositoriesAt returns the repositories with the rows.
func (s *snapshot) repositoriesAt(rows []string) []*repository {
	var out []*repository
	s.all(func(d *domain) {
		d.all(func(r *repository) {
			if slices.Contains(rows, r.row) {
				out = append(out, r)
			}
		})
	})
	return out
}

// findRun returns the repository and the run of a job; nil if one of them is gone.
func (s *Service) findRun(ctx context.Context, job runJob) (*repository, *RetentionRun, error) {
	r := s.snapshot.Load().repository(job.Repository)
	if r == nil || r.row != job.Row {
		return nil, nil, nil
	}
	run, err := readRun(ctx, s.db, r, job.Run)
	if isNotFound(err) {
		return nil, nil, nil
	}
	return r, &run, err
}

// doRun does the work of a run. It may run again after it was interrupted.
func (s *Service) doRun(ctx context.Context, job runJob) error {
	r, run, err := s.findRun(ctx, job)
	if err != nil || run == nil || run.State != RunQueued && run.State != RunRunning {
		return err
	}
	stop := func(message string) error {
		run.State, run.Message, run.Finished = RunStopped, message, s.now()
		if err := s.countRemoved(ctx, run); err != nil {
			return err
		}
		return s.saveRun(ctx, run)
	}
	if err := s.checkSteadyClock(ctx); err != nil {
		return stop(err.Error())
	}
	stored, err := readRetentionRules(ctx, s.db, r)
	if isNotFound(err) {
		return stop("the rules were deleted")
	}
	if err != nil {
		return err
	}
	rules, err := stored.compile()
	if err != nil {
		return stop(err.Error())
	}
	if job.MaxShare > 0 {
		rules.MaxShare = job.MaxShare
	}
	if err := s.Maintain(ctx); err != nil {
		return err
	}
	a := application{service: s, r: r, run: run, rules: rules, now: s.now()}
	if err := a.plan(ctx); err != nil {
		var implausible *implausibleError
		if errors.As(err, &implausible) {
			return stop(err.Error())
		}
		return err
	}
	err = a.apply(ctx)
	if errors.Is(err, errRulesChanged) {
		return stop(err.Error())
	}
	if err != nil {
		return err
	}
	run.State, run.Finished = RunDone, s.now()
	if err := s.countRemoved(ctx, run); err != nil {
		return err
	}
	return s.saveRun(ctx, run)
}

// countRemoved sets the number of versions that a run has removed, over all attempts.
func (s *Service) countRemoved(ctx context.Context, run *RetentionRun) (err error) {
	run.Removed, err = db.One(ctx, s.db, db.Scalar[int64], `SELECT count(*) FROM pkg_aside WHERE run = $1`, run.ID)
	return err
}

// An application applies rules to a repository.
type application struct {
	service *Service
	r       *repository
	run     *RetentionRun
	rules   *ruleSet
	now     time.Time
	limit   int // how many versions may be removed
	removed int
}

// An implausibleError says that a run would remove too many versions.
type implausibleError struct {
	removals, versions int64
	share              float64
}

func (e *implausibleError) Error() string {
	return fmt.Sprintf("the rules would remove %d of %d versions, which is more than the share %v, so nothing was removed. Look at the preview; if it is right, run once with a larger share: gatehouse retention run --max-share 1",
		e.removals, e.versions, e.share)
}

// plan finds out how many versions would be removed, and returns an implausibleError if
// those are too many: a wrong clock makes every version old.
func (a *application) plan(ctx context.Context) (err error) {
	if a.run.Versions, err = a.service.countVersions(ctx, a.r); err != nil {
		return err
	}
	removals := 0
	for id, err := range a.service.packagesAfter(ctx, a.r, PackageID{}) {
		if err != nil {
			return err
		}
		e, err := a.service.evaluate(ctx, a.r, a.rules, id, a.now)
		if err != nil {
			return err
		}
		removals += len(e.removals())
	}
	a.limit = max(alwaysRemovable, int(a.rules.MaxShare*float64(a.run.Versions)))
	if removals > a.limit {
		return &implausibleError{int64(removals), a.run.Versions, a.rules.MaxShare}
	}
	a.run.State = RunRunning
	a.run.UndoUntil = a.now.Add(time.Duration(a.rules.UndoWindow))
	return a.service.saveRun(ctx, a.run)
}

// apply removes the versions, one package after the other.
func (a *application) apply(ctx context.Context) error {
	for id, err := range a.service.packagesAfter(ctx, a.r, PackageID{}) {
		if err != nil {
			return err
		}
		for range maxEvaluations {
			if err = a.applyPackage(ctx, id); !errors.Is(err, errPackageChanged) {
				break
			}
		}
		if err != nil && !errors.Is(err, errPackageChanged) { // a package that changes all the time waits for the next run
			return err
		}
	}
	return nil
}

func (a *application) applyPackage(ctx context.Context, id PackageID) error {
	e, err := a.service.evaluate(ctx, a.r, a.rules, id, a.now)
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(e.removals(), asideBatch) {
		if a.removed += len(batch); a.removed > a.limit {
			return nil
		}
		seq, err := a.service.setAside(ctx, a.r, a.run, a.rules, e, batch)
		if isNotFound(err) { // deleted meanwhile
			return nil
		}
		if err != nil {
			a.removed -= len(batch)
			return err
		}
		e.seq = seq
		if err := a.service.record(ctx, "RemovedVersions", a.r.id.PackageARN(id), a.removal(e, batch)); err != nil {
			return err
		}
	}
	return nil
}

// removal is what the audit record of removed versions says.
func (a *application) removal(e *evaluated, batch []retentionrule.Verdict) map[string]any {
	versions := []any{}
	for _, v := range batch {
		versions = append(versions, map[string]any{"version": e.versions[v.Index].Version.Version, "rule": v.Rule.Name, "reason": v.Reason})
	}
	return map[string]any{"run": a.run.ID, "startedBy": a.run.StartedBy, "undoUntil": a.run.UndoUntil.Format(time.RFC3339), "versions": versions}
}
