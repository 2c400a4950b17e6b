package packages

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages/retentionrule"
)

// retentionPage is how many packages are listed at a time.
const retentionPage = 500

// An evaluated package has what the rules say about its versions.
type evaluated struct {
	id       PackageID
	seq      int64 // of the package when it was read
	versions []candidateVersion
	verdicts []retentionrule.Verdict // Index is of versions
}

// A candidateVersion is a version as the rules see it.
type candidateVersion struct {
	retentionrule.Version
	key       string
	status    Status
	published time.Time
	used      int64 // as it is stored
}

// packagesAfter yields the packages of a repository in the order of format, namespace and
// name, without holding them in memory.
func (s *Service) packagesAfter(ctx context.Context, r *repository, after PackageID) iter.Seq2[PackageID, error] {
	return func(yield func(PackageID, error) bool) {
		key := after.key()
		for {
			page, err := db.All(ctx, s.db, func(row db.Row) (id PackageID, err error) {
				return id, row.Scan(&id.Format, &id.Namespace, &id.Name)
			}, `SELECT format, namespace, name FROM pkg_package
				WHERE repository = $1 AND (format, namespace, name_key) > ($2, $3, $4) ORDER BY format, namespace, name_key LIMIT $5`,
				r.row, string(after.Format), after.Namespace, key, retentionPage)
			if err != nil {
				yield(PackageID{}, err)
				return
			}
			for _, id := range page {
				if !yield(id, nil) {
					return
				}
			}
			if len(page) < retentionPage {
				return
			}
			after = page[len(page)-1]
			key = after.key()
		}
	}
}

// evaluate applies rules to a package. It returns nil if the package does not exist any
// more, or if no rule is about it.
func (s *Service) evaluate(ctx context.Context, r *repository, rules *ruleSet, id PackageID, now time.Time) (*evaluated, error) {
	subject := retentionrule.Package{Format: string(id.Format), Namespace: id.Namespace, Name: id.Name}
	if !slices.ContainsFunc(rules.Rules, func(rule retentionrule.Rule) bool { return rule.Matches(subject) }) {
		return nil, nil
	}
	e := &evaluated{id: id}
	var row *packageRow
	err := s.db.Snapshot(ctx, func(q db.Querier) (err error) {
		e.versions = nil
		if row, err = readPackageRow(ctx, q, r.row, id); err != nil || row == nil {
			return err
		}
		e.versions, err = s.candidates(ctx, q, row.id, id.Format)
		return err
	})
	if err != nil || row == nil {
		return nil, err
	}
	e.seq = row.seq
	e.protect(row.tags, rules.locks)
	versions := make([]retentionrule.Version, len(e.versions))
	for i, v := range e.versions {
		versions[i] = v.Version
	}
	e.verdicts = retentionrule.Evaluate(rules.Rules, subject, versions, now)
	return e, nil
}

// candidates reads the versions of a package, the newest first.
func (s *Service) candidates(ctx context.Context, q db.Querier, pkg string, f Format) ([]candidateVersion, error) {
	// What is older than the database cannot be judged by its times: see [db.DB.Created].
	created := s.db.Created()
	all, err := db.All(ctx, q, func(r db.Row) (v candidateVersion, err error) {
		var published, arrived, changed int64
		err = r.Scan(&v.key, &v.Version.Version, &v.status, &published, &arrived, &v.used, &changed)
		v.published = db.Time(published)
		v.Arrived = latest(v.published, db.Time(arrived), created)
		v.Changed = latest(v.Arrived, db.Time(changed))
		v.LastUse = timeOrZero(v.used)
		v.Listed, v.Available, v.Unfinished = v.status == Published, v.status.downloadable(), v.status == Unfinished
		return v, err
	}, `SELECT v.version_key, v.version, v.status, v.published, v.arrived, COALESCE(u.used, 0),
			COALESCE((SELECT max(a.published) FROM pkg_asset a WHERE a.package = v.package AND a.version_key = v.version_key), 0)
		FROM pkg_version v LEFT JOIN pkg_usage u ON u.package = v.package AND u.version_key = v.version_key
		WHERE v.package = $1`, pkg)
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i].classify(f)
	}
	slices.SortFunc(all, func(a, b candidateVersion) int {
		return cmp.Or(b.Arrived.Compare(a.Arrived), b.published.Compare(a.published), f.Compare(b.Version.Version, a.Version.Version))
	})
	return all, nil
}

func latest(times ...time.Time) time.Time {
	return slices.MaxFunc(times, time.Time.Compare)
}

// classify finds out what the version is in its format.
func (v *candidateVersion) classify(f Format) {
	name := v.Version.Version
	if build, ok := f.buildOf(name); ok {
		v.Snapshot, v.Prerelease = build.Snapshot(), true
		return
	}
	parsed := f.rank(&Version{Version: name}).parsed
	v.Prerelease = f == Maven && IsMavenSnapshot(name) || parsed != nil && parsed.IsPrerelease()
}

// protect records which versions have a tag or are in a lock list.
func (e *evaluated) protect(tags map[string]string, locks map[lockedVersion]string) {
	f := e.id.Format
	byKey := map[string]*Version{}
	for _, v := range e.versions {
		byKey[v.key] = &Version{Version: v.Version.Version, Status: v.status, Published: v.published}
	}
	// The view of clients has the tag that they rely on even if it was not set.
	view := Package{ID: e.id, Tags: tags, byKey: byKey}
	view.finish()
	tagOf := map[string]string{}
	for tag, version := range tags {
		tagOf[f.versionKey(version)] = tag
	}
	for tag, version := range view.Tags {
		tagOf[f.versionKey(version)] = tag
	}
	for i := range e.versions {
		v := &e.versions[i]
		v.Tag = tagOf[v.key]
		v.Lock = locks[lockedVersion{f, e.id.Namespace, e.id.key(), v.key}]
	}
}

// removals returns the verdicts about versions that are to be removed.
func (e *evaluated) removals() []retentionrule.Verdict {
	if e == nil {
		return nil
	}
	var out []retentionrule.Verdict
	for _, v := range e.verdicts {
		if v.Removed() {
			out = append(out, v)
		}
	}
	return out
}

// A RetentionVerdict says what the rules decide about a version.
type RetentionVerdict struct {
	Package   PackageID
	Version   string
	Status    Status
	Published time.Time
	// Rule is the name of the rule that selects the version, and Reason says why.
	Rule, Reason string
	// Protection says why the version stays, or is empty if it is removed.
	Protection retentionrule.Protection
}

// A PreviewCursor says where a page of a preview begins: after the first Skip verdicts
// about a package. The zero value is the first page.
type PreviewCursor struct {
	Package PackageID
	Skip    int
}

// A PreviewPage is one page of a preview.
type PreviewPage struct {
	Verdicts []RetentionVerdict
	// Next is where the next page begins, or nil after the last one.
	Next *PreviewCursor
	// Versions is the number of versions of the repository, and MaxShare the largest
	// share of them that one run removes.
	Versions int64
	MaxShare float64
}

// maxExamined is how many packages one page of a preview evaluates.
const maxExamined = 1000

// PreviewRetention evaluates the rules of a repository, or other ones if document is not
// empty, and changes nothing. A page has at most limit verdicts, and may have fewer or
// none though there are more pages. gatehouse:PreviewRetention on the repository.
func (s *Service) PreviewRetention(ctx context.Context, repo RepositoryID, document string, from PreviewCursor, limit int) (PreviewPage, error) {
	var page PreviewPage
	r, err := s.authorizeRepository(ctx, "gatehouse:PreviewRetention", repo)
	if err != nil {
		return page, err
	}
	stored, err := readRetentionRules(ctx, s.db, r)
	if document != "" && isNotFound(err) {
		err = nil
	}
	if err != nil {
		return page, err
	}
	if document != "" {
		stored.Document = document
	}
	rules, err := stored.compile()
	if err != nil {
		return page, err
	}
	if err := s.Maintain(ctx); err != nil {
		return page, err
	}
	page.MaxShare = rules.MaxShare
	if page.Versions, err = s.countVersions(ctx, r); err != nil {
		return page, err
	}
	return page, s.preview(ctx, r, rules, from, limit, &page)
}

func (s *Service) preview(ctx context.Context, r *repository, rules *ruleSet, from PreviewCursor, limit int, page *PreviewPage) error {
	add := func(id PackageID, skip int) (full bool, err error) {
		e, err := s.evaluate(ctx, r, rules, id, s.now())
		if err != nil || e == nil {
			return false, err
		}
		for i := skip; i < len(e.verdicts); i++ {
			if len(page.Verdicts) == limit {
				page.Next = &PreviewCursor{id, i}
				return true, nil
			}
			page.Verdicts = append(page.Verdicts, e.shown(&e.verdicts[i]))
		}
		return false, nil
	}
	if from.Skip > 0 {
		if full, err := add(from.Package, from.Skip); full || err != nil {
			return err
		}
	}
	examined := 0
	for id, err := range s.packagesAfter(ctx, r, from.Package) {
		if err != nil {
			return err
		}
		full, err := add(id, 0)
		if err != nil {
			return err
		}
		if full && page.Next.Skip == 0 { // begin with the package again: the cursor is before it
			page.Next = &PreviewCursor{from.Package, 0}
		}
		if full {
			return nil
		}
		from.Package = id
		if examined++; examined == maxExamined {
			page.Next = &PreviewCursor{id, 0}
			return nil
		}
	}
	return nil
}

func (e *evaluated) shown(v *retentionrule.Verdict) RetentionVerdict {
	c := &e.versions[v.Index]
	return RetentionVerdict{e.id, c.Version.Version, c.status, c.published, v.Rule.Name, v.Reason, v.Protection}
}

// countVersions returns the number of versions of a repository.
func (s *Service) countVersions(ctx context.Context, r *repository) (int64, error) {
	return db.One(ctx, s.db, db.Scalar[int64], `SELECT count(*) FROM pkg_package p JOIN pkg_version v ON v.package = p.id WHERE p.repository = $1`, r.row)
}
