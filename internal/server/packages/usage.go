package packages

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/usage"
)

// Downloads are recorded in memory, so that a download never waits for a write; see package
// usage. [Service.Maintain] stores them. What a killed process had not stored is lost.

// A versionUse names a version of a package in one repository.
type versionUse struct {
	cacheKey
	version string // its key
}

// A download is an asset that was opened for a client.
type download struct {
	service *Service
	uses    []versionUse
}

// newDownload returns the download of an asset from repository r. If an upstream
// repository has the asset, it is a use of that repository's version, too.
func (s *Service) newDownload(r *repository, id PackageID, v *Version, a *Asset) *download {
	key := v.keyIn(id.Format)
	d := &download{s, []versionUse{{r.cacheKey(id), key}}}
	if a.repository != r.id.Name {
		if upstream := s.snapshot.Load().repository(r.id.Domain.Repository(a.repository)); upstream != nil {
			d.uses = append(d.uses, versionUse{upstream.cacheKey(id), key})
		}
	}
	return d
}

func (d *download) record(count int64) {
	if d == nil {
		return
	}
	at := d.service.now()
	for _, use := range d.uses {
		d.service.uses.Record(use, count, at)
	}
}

// RecordDownload counts a download of an asset that [Service.OpenAsset] or
// [Service.GetAsset] returned. The download of a sidecar is a use of the version and is
// not counted.
func (a *Asset) RecordDownload() {
	if a.beside != "" {
		a.RecordUse()
		return
	}
	a.download.record(1)
}

// RecordUse records that a client used an asset without downloading it whole: it has the
// bytes already, or asked for a part of them.
func (a *Asset) RecordUse() { a.download.record(0) }

// Maintain stores what the service has recorded in memory. The server calls it
// periodically and once more at the end. It does not authorize.
func (s *Service) Maintain(ctx context.Context) error {
	if err := s.settle(ctx, nil, nil); err != nil { // a use needs its version
		return err
	}
	inUse := map[string][]asideVersion{} // removed by a rule, by the row of the repository
	err := s.uses.Flush(ctx, func(ctx context.Context, uses []usage.Use[versionUse]) error {
		var found map[string][]asideVersion
		err := s.db.Tx(ctx, func(tx *db.Tx) error {
			found = map[string][]asideVersion{}
			for _, u := range uses {
				stored, err := storeUse(ctx, tx, u)
				if err != nil {
					return err
				}
				if stored {
					continue
				}
				v, unused, err := storeAsideUse(ctx, tx, u)
				if err != nil {
					return err
				}
				if unused {
					found[u.Key.repository] = append(found[u.Key.repository], v)
				}
			}
			return nil
		})
		for repository, versions := range found {
			inUse[repository] = append(inUse[repository], versions...)
		}
		return err
	})
	return errors.Join(err, s.rescue(ctx, inUse))
}

// storeUse adds a use to its version. It returns false if the version does not exist any
// more.
func storeUse(ctx context.Context, tx *db.Tx, u usage.Use[versionUse]) (bool, error) {
	n, err := tx.Exec(ctx, `INSERT INTO pkg_usage (package, version_key, downloads, used)
		SELECT v.package, v.version_key, $6, $7 FROM pkg_package p JOIN pkg_version v ON v.package = p.id
		WHERE p.repository = $1 AND p.format = $2 AND p.namespace = $3 AND p.name_key = $4 AND v.version_key = $5
		ON CONFLICT (package, version_key) DO UPDATE SET downloads = pkg_usage.downloads + excluded.downloads,
			used = CASE WHEN excluded.used > pkg_usage.used THEN excluded.used ELSE pkg_usage.used END`,
		u.Key.repository, string(u.Key.format), u.Key.namespace, u.Key.name, u.Key.version, u.Count, db.Micros(u.Last))
	return n > 0, err
}

// PackageStatistics are the downloads of a package from one repository.
type PackageStatistics struct {
	ID PackageID
	// Versions is the number of versions, in every status.
	Versions  int64
	Downloads int64
	// LastDownload is the zero time if there was none.
	LastDownload time.Time
}

// VersionStatistics are the downloads of a version from one repository.
type VersionStatistics struct {
	Version   string
	Status    Status
	Published time.Time
	Downloads int64
	// LastDownload is the zero time if there was none.
	LastDownload time.Time
}

const listPackageStatistics = "gatehouse:ListPackageStatistics"

// ListPackageStatistics returns the downloads of at most limit packages in the order of
// format, namespace and name, and whether there are more. after is the last package of
// the previous page. Downloads that other servers have recorded within the last minute
// may be missing. gatehouse:ListPackageStatistics on the repository.
func (s *Service) ListPackageStatistics(ctx context.Context, repo RepositoryID, after PackageID, limit int) (page []PackageStatistics, more bool, err error) {
	r, err := s.authorizeRepository(ctx, listPackageStatistics, repo)
	if err != nil {
		return nil, false, err
	}
	if err := s.Maintain(ctx); err != nil {
		return nil, false, err
	}
	page, err = db.All(ctx, s.db, func(row db.Row) (p PackageStatistics, err error) {
		var used int64
		err = row.Scan(&p.ID.Format, &p.ID.Namespace, &p.ID.Name, &p.Versions, &p.Downloads, &used)
		p.LastDownload = timeOrZero(used)
		return p, err
	}, `SELECT p.format, p.namespace, p.name,
			(SELECT count(*) FROM pkg_version v WHERE v.package = p.id),
			(SELECT CAST(COALESCE(sum(u.downloads), 0) AS BIGINT) FROM pkg_usage u WHERE u.package = p.id),
			(SELECT COALESCE(max(u.used), 0) FROM pkg_usage u WHERE u.package = p.id)
		FROM pkg_package p WHERE p.repository = $1 AND (p.format, p.namespace, p.name_key) > ($2, $3, $4)
		ORDER BY p.format, p.namespace, p.name_key LIMIT $5`,
		r.row, string(after.Format), after.Namespace, after.key(), limit+1)
	page, more = firstPage(page, limit)
	return page, more, err
}

// ListVersionStatistics returns the downloads of at most limit versions of a package, in
// the order of their keys, and whether there are more. after is the last version of the
// previous page. gatehouse:ListPackageStatistics on the repository.
func (s *Service) ListVersionStatistics(ctx context.Context, repo RepositoryID, id PackageID, after string, limit int) (page []VersionStatistics, more bool, err error) {
	r, err := s.authorizeRepository(ctx, listPackageStatistics, repo)
	if err == nil {
		err = validPackage(id)
	}
	if err == nil {
		err = s.Maintain(ctx)
	}
	if err != nil {
		return nil, false, err
	}
	p, err := readPackageRow(ctx, s.db, r.row, id)
	if err != nil {
		return nil, false, err
	}
	if p == nil {
		return nil, false, packageNotFound(repo, id)
	}
	page, err = db.All(ctx, s.db, func(row db.Row) (v VersionStatistics, err error) {
		var published, used int64
		err = row.Scan(&v.Version, &v.Status, &published, &v.Downloads, &used)
		v.Published, v.LastDownload = db.Time(published), timeOrZero(used)
		return v, err
	}, `SELECT v.version, v.status, v.published, COALESCE(u.downloads, 0), COALESCE(u.used, 0)
		FROM pkg_version v LEFT JOIN pkg_usage u ON u.package = v.package AND u.version_key = v.version_key
		WHERE v.package = $1 AND v.version_key > $2 ORDER BY v.version_key LIMIT $3`,
		p.id, id.Format.versionKey(after), limit+1)
	page, more = firstPage(page, limit)
	return page, more, err
}

// timeOrZero is [db.Time], but 0 is the zero time.
func timeOrZero(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return db.Time(us)
}
