package packages

import (
	"context"
	"fmt"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/usage"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// UndoRetention begins to bring the versions back that a run has removed, in the
// background. Fault Conflict: the run removed nothing, is still running, or the undo
// window has passed. gatehouse:UndoRetention on the repository.
func (s *Service) UndoRetention(ctx context.Context, repo RepositoryID, id string) (RetentionRun, error) {
	r, err := s.authorizeRepository(ctx, "gatehouse:UndoRetention", repo)
	if err != nil {
		return RetentionRun{}, err
	}
	var run RetentionRun
	err = s.db.Tx(ctx, func(tx *db.Tx) (err error) {
		if run, err = readRun(ctx, tx, r, id); err != nil {
			return err
		}
		switch {
		case run.State == RunQueued || run.State == RunRunning:
			return conflict(typeRun, id, "The run %s is %s. Wait until it is done.", id, run.State)
		case run.State == RunUndoing || run.State == RunUndone:
			return nil
		case run.Removed == 0:
			return conflict(typeRun, id, "The run %s removed nothing.", id)
		}
		left, err := db.One(ctx, tx, db.Scalar[int64], `SELECT count(*) FROM pkg_aside WHERE run = $1`, id)
		if err != nil {
			return err
		}
		if left == 0 {
			return conflict(typeRun, id, "The run %s cannot be undone any more: its undo window ended on %s.", id, run.UndoUntil.Format("2006-01-02 15:04Z"))
		}
		run.State = RunUndoing // from now on nothing of the run is deleted
		if _, err := tx.Exec(ctx, `UPDATE pkg_retention_run SET state = $2 WHERE id = $1`, id, string(run.State)); err != nil {
			return err
		}
		return s.work.Enqueue(ctx, tx, work.Job{Kind: kindUndo, Key: id, Payload: runJob{Repository: r.id, Row: r.row, Run: id}})
	})
	return run, err
}

// doUndo does the work of an undo. It may run again after it was interrupted.
func (s *Service) doUndo(ctx context.Context, job runJob) error {
	r, run, err := s.findRun(ctx, job)
	if err != nil || run == nil || run.State != RunUndoing {
		return err
	}
	skipped := 0
	for after := (asideVersion{}); ; {
		page, err := readAside(ctx, s.db, `a.run = $1`, run.ID, after)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		for _, versions := range byPackage(page) {
			restored, err := s.restore(ctx, r, versions[0].id, keysOf(versions))
			if err != nil {
				return err
			}
			skipped += len(versions) - len(restored)
			run.Restored += int64(len(restored))
			if len(restored) == 0 {
				continue
			}
			if err := s.saveRun(ctx, run); err != nil {
				return err
			}
			if err := s.record(ctx, "RestoredVersions", r.id.PackageARN(versions[0].id), map[string]any{"run": run.ID, "versions": restored}); err != nil {
				return err
			}
		}
		after = page[len(page)-1]
	}
	run.State = RunUndone
	if skipped > 0 {
		run.Message = fmt.Sprintf("%d versions were not restored, because the repository has versions of the same name again", skipped)
	}
	return s.saveRun(ctx, run)
}

func keysOf(versions []asideVersion) []string {
	var keys []string
	for _, v := range versions {
		keys = append(keys, v.key)
	}
	return keys
}

// storeAsideUse adds a use to a version that is set aside. It reports whether the version
// was removed because it was not downloaded: the server that recorded the use had not
// stored it yet when the rules were evaluated, so the version must come back.
func storeAsideUse(ctx context.Context, tx *db.Tx, u usage.Use[versionUse]) (asideVersion, bool, error) {
	found, err := db.All(ctx, tx, func(r db.Row) (v struct {
		asideVersion
		unused int
	}, err error,
	) {
		return v, r.Scan(&v.row, &v.id.Name, &v.unused)
	}, `SELECT a.package, p.name, a.unused FROM pkg_package p JOIN pkg_aside a ON a.package = p.id
		WHERE p.repository = $1 AND p.format = $2 AND p.namespace = $3 AND p.name_key = $4 AND a.version_key = $5`,
		u.Key.repository, string(u.Key.format), u.Key.namespace, u.Key.name, u.Key.version)
	if err != nil || len(found) == 0 {
		return asideVersion{}, false, err
	}
	v := found[0].asideVersion
	v.key, v.id.Format, v.id.Namespace = u.Key.version, u.Key.format, u.Key.namespace
	_, err = tx.Exec(ctx, `UPDATE pkg_aside SET downloads = downloads + $3, used = CASE WHEN $4 > used THEN $4 ELSE used END WHERE package = $1 AND version_key = $2`,
		v.row, v.key, u.Count, db.Micros(u.Last))
	return v, found[0].unused == 1, err
}

// rescue brings versions back that a rule removed although they were being downloaded.
func (s *Service) rescue(ctx context.Context, versions map[string][]asideVersion) error {
	for repository, all := range versions {
		for _, r := range s.snapshot.Load().repositoriesAt([]string{repository}) {
			for _, v := range all {
				restored, err := s.restore(ctx, r, v.id, []string{v.key})
				if err != nil {
					return err
				}
				if len(restored) == 0 {
					continue
				}
				if err := s.record(ctx, "RestoredVersions", r.id.PackageARN(v.id), map[string]any{"versions": restored, "reason": "it was downloaded when it was removed"}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
