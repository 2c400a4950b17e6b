package packages

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages/retentionrule"
)

// A version that is set aside is in pkg_aside with its assets in pkg_aside_asset, and no
// more in pkg_version and pkg_asset. So it does not exist for anything that reads those,
// and its content stays, because dropContent looks at both tables of assets.

// asideBatch is how many versions one transaction sets aside, restores or deletes.
const asideBatch = 100

// errPackageChanged means that a package, its downloads or the rules changed after the
// rules were evaluated.
var errPackageChanged = errors.New("the package changed after it was evaluated")

// The columns that a version, its use and an asset have in both tables.
const (
	asideVersionColumns = `version_key, version, revision, status, published, arrived, entry_point, description, metadata, edited, revised`
	asideAssetColumns   = `version_key, name, beside, domain, sha256, published, metadata`
)

// A setAsideTx sets versions of a package aside.
type setAsideTx struct {
	*packageChange
	run   *RetentionRun
	rules *ruleSet
	e     *evaluated
}

// setAside sets versions aside if nothing has changed since the package was evaluated. It
// returns the number of the change, with which the next batch can go on.
func (s *Service) setAside(ctx context.Context, r *repository, run *RetentionRun, rules *ruleSet, e *evaluated, verdicts []retentionrule.Verdict) (seq int64, err error) {
	err = s.changePackage(ctx, packageChange{repository: r, id: e.id}, func(tx *db.Tx, c *packageChange) error {
		if c.row.seq != e.seq+1 {
			return errPackageChanged
		}
		revision, err := db.One(ctx, tx, db.Scalar[string], `SELECT revision FROM pkg_retention WHERE repository = $1`, r.row)
		if err != nil {
			return orNotFound(err, errRulesChanged)
		}
		if revision != rules.revision {
			return errRulesChanged
		}
		t := setAsideTx{c, run, rules, e}
		for i := range verdicts {
			if err := t.one(ctx, tx, &verdicts[i]); err != nil {
				return err
			}
		}
		seq = c.row.seq
		return nil
	})
	return seq, err
}

func (t *setAsideTx) one(ctx context.Context, tx *db.Tx, v *retentionrule.Verdict) error {
	version := &t.e.versions[v.Index]
	used, err := db.All(ctx, tx, db.Scalar[int64], `SELECT used FROM pkg_usage WHERE package = $1 AND version_key = $2`, t.row.id, version.key)
	if err != nil {
		return err
	}
	unused := 0
	if v.Rule.NotDownloadedFor > 0 {
		unused = 1
		if len(used) > 0 && used[0] != version.used {
			return errPackageChanged
		}
	}
	// An earlier removal of the same version, which a repository upstream had again.
	if err := t.service.dropAside(ctx, tx, t.repository.domainRow, t.row.id, version.key, t.at); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO pkg_aside (package, `+asideVersionColumns+`, downloads, used, run, rule, reason, unused, since, until)
		SELECT $1, `+asideVersionColumns+`,
			COALESCE((SELECT u.downloads FROM pkg_usage u WHERE u.package = $1 AND u.version_key = $2), 0),
			COALESCE((SELECT u.used FROM pkg_usage u WHERE u.package = $1 AND u.version_key = $2), 0),
			$3, $4, $5, $6, $7, $8
		FROM pkg_version WHERE package = $1 AND version_key = $2`,
		t.row.id, version.key, t.run.ID, v.Rule.Name, v.Reason, unused, db.Micros(t.at), db.Micros(t.run.UndoUntil)); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO pkg_aside_asset (package, `+asideAssetColumns+`)
		SELECT package, `+asideAssetColumns+` FROM pkg_asset WHERE package = $1 AND version_key = $2`, t.row.id, version.key); err != nil {
		return err
	}
	return t.dropVersion(ctx, tx, version.key)
}

// restore brings versions that are set aside back as they were. It returns those that it
// brought back: versions that exist again are not.
func (s *Service) restore(ctx context.Context, r *repository, id PackageID, keys []string) (restored []string, err error) {
	err = s.changePackage(ctx, packageChange{repository: r, id: id}, func(tx *db.Tx, c *packageChange) error {
		restored = nil
		for _, key := range keys {
			version, err := c.restoreVersion(ctx, tx, key)
			if err != nil {
				return err
			}
			if version != "" {
				restored = append(restored, version)
			}
		}
		if len(restored) == 0 {
			return errNothingToRestore
		}
		return nil
	})
	if errors.Is(err, errNothingToRestore) || isNotFound(err) { // the package was deleted meanwhile
		return nil, nil
	}
	return restored, err
}

// errNothingToRestore rolls a change back that changes nothing.
var errNothingToRestore = errors.New("there is nothing to restore")

func (c *packageChange) restoreVersion(ctx context.Context, tx *db.Tx, key string) (version string, err error) {
	found, err := db.All(ctx, tx, db.Scalar[string], `INSERT INTO pkg_version (package, `+asideVersionColumns+`, changed)
		SELECT package, `+asideVersionColumns+`, $3 FROM pkg_aside WHERE package = $1 AND version_key = $2
		ON CONFLICT (package, version_key) DO NOTHING RETURNING version`, c.row.id, key, c.row.seq)
	if err != nil || len(found) == 0 {
		return "", err
	}
	for _, statement := range []string{
		`INSERT INTO pkg_asset (package, ` + asideAssetColumns + `) SELECT package, ` + asideAssetColumns + ` FROM pkg_aside_asset WHERE package = $1 AND version_key = $2`,
		`INSERT INTO pkg_usage (package, version_key, downloads, used) SELECT package, version_key, downloads, used FROM pkg_aside WHERE package = $1 AND version_key = $2 AND used > 0`,
		`DELETE FROM pkg_aside WHERE package = $1 AND version_key = $2`, // and its assets
	} {
		if _, err := tx.Exec(ctx, statement, c.row.id, key); err != nil {
			return "", err
		}
	}
	assets, err := db.One(ctx, tx, db.Scalar[int], `SELECT count(*) FROM pkg_asset WHERE package = $1 AND version_key = $2 AND beside = ''`, c.row.id, key)
	if err != nil {
		return "", err
	}
	return found[0], c.announceStored(ctx, tx, versionCreated, key, versionChanges{AssetsAdded: assets, MetadataUpdated: true, StatusChanged: true})
}

// dropAside deletes a version that is set aside, if there is one, and later the objects
// that nothing in the domain refers to any more.
func (s *Service) dropAside(ctx context.Context, tx *db.Tx, domain, pkg, key string, at time.Time) error {
	shas, err := db.All(ctx, tx, db.Scalar[string], `DELETE FROM pkg_aside_asset WHERE package = $1 AND version_key = $2 RETURNING sha256`, pkg, key)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM pkg_aside WHERE package = $1 AND version_key = $2`, pkg, key); err != nil {
		return err
	}
	for _, sha := range shas {
		if err := s.dropContent(ctx, tx, domain, sha, at); err != nil {
			return err
		}
	}
	return nil
}

// checkNotAside returns a fault if the version was removed by a rule and can still be
// restored: what clients know under its name must not become something else.
func (c *packageChange) checkNotAside(ctx context.Context, tx *db.Tx, key, version string) error {
	type aside struct {
		run, rule string
		until     int64
	}
	found, err := db.All(ctx, tx, func(r db.Row) (a aside, err error) {
		return a, r.Scan(&a.run, &a.rule, &a.until)
	}, `SELECT run, rule, until FROM pkg_aside WHERE package = $1 AND version_key = $2`, c.row.id, key)
	if err != nil || len(found) == 0 {
		return err
	}
	a := found[0]
	return conflict(typeVersion, version, "Version %s of %s was removed by the retention rule %s and can be restored until %s: gatehouse retention undo %s/%s %s. Publish another version.",
		version, c.id, a.rule, db.Time(a.until).Format(time.DateOnly), c.repository.id.Domain.Name, c.repository.id.Name, a.run)
}

// An asideVersion is a version that is set aside.
type asideVersion struct {
	id       PackageID
	row, key string // of the package and the version
	version  string
	repo     RepositoryID
}

// readAside returns versions that are set aside, in the order of package and key, after
// the one given. where is a condition on pkg_aside a whose only parameter is value.
func readAside(ctx context.Context, q db.Querier, where string, value any, after asideVersion) ([]asideVersion, error) {
	return db.All(ctx, q, func(r db.Row) (v asideVersion, err error) {
		d := &v.repo.Domain
		return v, r.Scan(&d.Owner, &d.Region, &d.Name, &v.repo.Name, &v.id.Format, &v.id.Namespace, &v.id.Name, &v.row, &v.key, &v.version)
	}, `SELECT d.owner, d.region, d.name, r.name, p.format, p.namespace, p.name, a.package, a.version_key, a.version
		FROM pkg_aside a JOIN pkg_package p ON p.id = a.package JOIN pkg_repository r ON r.id = p.repository JOIN pkg_domain d ON d.id = r.domain
		WHERE `+where+` AND (a.package, a.version_key) > ($2, $3) ORDER BY a.package, a.version_key LIMIT $4`,
		value, after.row, after.key, asideBatch)
}

// byPackage splits versions, which are in order, by package.
func byPackage(all []asideVersion) [][]asideVersion {
	var out [][]asideVersion
	for i, v := range all {
		if i == 0 || v.row != all[i-1].row {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], v)
	}
	return out
}

// expired is the condition on pkg_aside a for what can be deleted at a moment: its window
// is over, and no undo is restoring it.
func expired(moment string) string {
	return `a.until <= ` + moment + ` AND NOT EXISTS (SELECT 1 FROM pkg_retention_run u WHERE u.id = a.run AND u.state = '` + string(RunUndoing) + `')`
}

// deleteExpired deletes what was set aside so long ago that it cannot be restored any
// more.
func (s *Service) deleteExpired(ctx context.Context) error {
	for after := (asideVersion{}); ; {
		page, err := readAside(ctx, s.db, expired("$1"), db.Micros(s.now()), after)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, versions := range byPackage(page) {
			if err := s.deleteAside(ctx, versions); err != nil {
				return err
			}
		}
		after = page[len(page)-1]
	}
}

// deleteAside deletes versions of one package that are set aside.
func (s *Service) deleteAside(ctx context.Context, versions []asideVersion) error {
	_, r := s.find(versions[0].repo)
	if r == nil { // deleted meanwhile
		return nil
	}
	var names []string
	err := s.db.Tx(ctx, func(tx *db.Tx) error {
		names = nil
		for _, v := range versions {
			// Perhaps restored, and removed by another run, or an undo has begun.
			still, err := db.All(ctx, tx, db.Scalar[string], `SELECT a.version FROM pkg_aside a WHERE a.package = $1 AND a.version_key = $2 AND `+expired("$3"),
				v.row, v.key, db.Micros(s.now()))
			if err != nil {
				return err
			}
			if len(still) == 0 {
				continue
			}
			if err := s.dropAside(ctx, tx, r.domainRow, v.row, v.key, s.now()); err != nil {
				return err
			}
			names = append(names, v.version)
		}
		return nil
	})
	if err != nil || len(names) == 0 {
		return err
	}
	return s.record(ctx, "DeletedRemovedVersions", r.id.PackageARN(versions[0].id), map[string]any{"versions": names})
}

// record writes an audit record of what the service did by itself.
func (s *Service) record(ctx context.Context, event, resource string, params map[string]any) error {
	if s.audit == nil {
		return nil
	}
	return s.audit(ctx, event, resource, params)
}
