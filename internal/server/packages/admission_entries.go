package packages

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// An EntryKind is what an [AdmissionEntry] does.
type EntryKind string

// The kinds.
const (
	// Exception suspends rules about versions. It can only admit.
	Exception EntryKind = "exception"
	// Quarantine denies versions to everybody. No exception suspends it.
	Quarantine EntryKind = "quarantine"
)

// The bounds of entries.
const (
	maxEntries       = 10_000 // of a domain
	maxEntryRules    = 20
	maxEntryReason   = 1000 // in bytes
	maxExceptionDays = 366
)

// An AdmissionEntry is what somebody decided by hand about versions of a package. It is
// immutable.
type AdmissionEntry struct {
	ID   string
	Kind EntryKind
	// Repository is the name of the one repository for which it holds. Empty means all
	// of the domain.
	Repository string
	Package    PackageID
	// Version is empty if it holds for all versions.
	Version string
	// Rules are the Sids of the rules that an exception suspends. Empty means all.
	Rules []string
	// Until is when it ends. Zero means that it does not; an exception always ends.
	Until     time.Time
	Reason    string
	Created   time.Time
	CreatedBy string // the ARN of the caller

	repository string // the row, or empty
	versionKey string
}

// covers reports whether the entry is about a file of a version now. Maven's snapshots have
// the files of their newest build, so an entry about one of the two is about both.
func (e *AdmissionEntry) covers(version, file string, now time.Time) bool {
	if !e.Until.IsZero() && !now.Before(e.Until) {
		return false
	}
	f := e.Package.Format
	key := f.versionKey(version)
	if e.versionKey == "" || e.versionKey == key {
		return true
	}
	if build, ok := f.buildOf(version); ok && e.versionKey == f.versionKey(build.Snapshot()) {
		return true
	}
	build, ok := f.buildOf(e.Version)
	rest, named := strings.CutPrefix(file, e.Package.Name+"-"+e.Version)
	return ok && key == f.versionKey(build.Snapshot()) && named && strings.IndexAny(rest, ".-") == 0
}

func (e *AdmissionEntry) because() string {
	if e.Reason == "" {
		return ""
	}
	return " (" + e.Reason + ")"
}

// admissionEntries are the entries of a domain, immutable.
type admissionEntries struct {
	all       []*AdmissionEntry // the oldest first
	byPackage map[cacheKey][]*AdmissionEntry
}

// entryKey is the key of a package in admissionEntries, whatever the repository.
func entryKey(id PackageID) cacheKey { return cacheKey{"", id.Format, id.Namespace, id.key()} }

// about returns the entries about a package in a repository.
func (a *admissionEntries) about(r *repository, id PackageID) []*AdmissionEntry {
	if a == nil {
		return nil
	}
	found := a.byPackage[entryKey(id)]
	if !slices.ContainsFunc(found, func(e *AdmissionEntry) bool { return !e.of(r) }) {
		return found
	}
	return slices.DeleteFunc(slices.Clone(found), func(e *AdmissionEntry) bool { return !e.of(r) })
}

func (e *AdmissionEntry) of(r *repository) bool { return e.repository == "" || e.repository == r.row }

// quarantine returns an entry that holds a file of a version in quarantine in a repository,
// or nil.
func (s *Service) quarantine(ctx context.Context, repo RepositoryID, id PackageID, v *Version) (*AdmissionEntry, error) {
	d, r := s.find(repo)
	if r == nil {
		return nil, nil
	}
	now, err := s.admissionTimes(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range d.admission.about(r, id) {
		covered := func(file Asset) bool { return e.covers(v.Version, file.Name, e.endsBy(now)) }
		if e.Kind == Quarantine && slices.ContainsFunc(v.decided(), covered) {
			return e, nil
		}
	}
	return nil, nil
}

// loadAdmission reads the entries of a domain; nil if there are none.
func loadAdmission(ctx context.Context, q db.Querier, row string) (*admissionEntries, error) {
	all, err := db.All(ctx, q, func(r db.Row) (*AdmissionEntry, error) {
		e := new(AdmissionEntry)
		var rules string
		var until, created int64
		err := r.Scan(&e.ID, &e.Kind, &e.repository, &e.Repository, &e.Package.Format, &e.Package.Namespace, &e.Package.Name, &e.versionKey, &e.Version, &rules, &until, &e.Reason, &created, &e.CreatedBy)
		if err != nil {
			return nil, err
		}
		if until != 0 {
			e.Until = db.Time(until)
		}
		e.Created = db.Time(created)
		return e, json.Unmarshal([]byte(rules), &e.Rules)
	}, `SELECT a.id, a.kind, coalesce(a.repository, ''), coalesce(r.name, ''), a.format, a.namespace, a.name, a.version_key, a.version, a.rules, a.until, a.reason, a.created, a.created_by
		FROM pkg_admission a LEFT JOIN pkg_repository r ON r.id = a.repository WHERE a.domain = $1 ORDER BY a.created, a.id`, row)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	set := &admissionEntries{all: all, byPackage: map[cacheKey][]*AdmissionEntry{}}
	for _, e := range all {
		k := entryKey(e.Package)
		set.byPackage[k] = append(set.byPackage[k], e)
	}
	return set, nil
}

// A NewEntry is the input of PutException and PutQuarantine.
type NewEntry struct {
	Domain DomainID
	// Repository may be empty: then the entry holds for the whole domain.
	Repository string
	Package    PackageID
	Version    string
	Rules      []string // only of an exception
	Until      time.Time
	Reason     string
}

// PutException suspends rules for versions of a package until a time. An exception for the
// same versions and repository is replaced. gatehouse:PutAdmissionException on the
// repository, or on the domain if the exception holds for all its repositories.
func (s *Service) PutException(ctx context.Context, n NewEntry) (AdmissionEntry, error) {
	return s.putEntry(ctx, "gatehouse:PutAdmissionException", Exception, n)
}

// PutQuarantine denies versions of a package to everybody, until they are released.
// gatehouse:PutQuarantine on the repository, or on the domain.
func (s *Service) PutQuarantine(ctx context.Context, n NewEntry) (AdmissionEntry, error) {
	return s.putEntry(ctx, "gatehouse:PutQuarantine", Quarantine, n)
}

// DeleteException ends an exception now. Fault ResourceNotFound: there is none with the
// id. gatehouse:DeleteAdmissionException on the repository, or on the domain.
func (s *Service) DeleteException(ctx context.Context, d DomainID, repository, id string) (AdmissionEntry, error) {
	return s.deleteEntry(ctx, "gatehouse:DeleteAdmissionException", Exception, d, repository, id)
}

// ReleaseQuarantine ends a quarantine. Rules still count. Fault ResourceNotFound: there is
// none with the id. gatehouse:ReleaseQuarantine on the repository, or on the domain.
func (s *Service) ReleaseQuarantine(ctx context.Context, d DomainID, repository, id string) (AdmissionEntry, error) {
	return s.deleteEntry(ctx, "gatehouse:ReleaseQuarantine", Quarantine, d, repository, id)
}

// AdmissionEntries returns the exceptions and quarantines of a domain, the oldest first:
// those for one repository, or, if it is empty, all. Those that have ended are left out.
// gatehouse:ListAdmissionEntries on the repository, or on the domain.
func (s *Service) AdmissionEntries(ctx context.Context, id DomainID, repository string) ([]AdmissionEntry, error) {
	d, r, err := s.authorizeEntries(ctx, "gatehouse:ListAdmissionEntries", id, repository)
	if err != nil {
		return nil, err
	}
	var out []AdmissionEntry
	now, err := s.admissionTimes(ctx)
	if err != nil {
		return nil, err
	}
	if d.admission != nil {
		for _, e := range d.admission.all {
			if (r == nil || e.of(r)) && (e.Until.IsZero() || e.endsBy(now).Before(e.Until)) {
				out = append(out, *e)
			}
		}
	}
	return out, nil
}

// authorizeEntries authorizes an action on a repository, or on the domain if the name is
// empty; then the repository is nil.
func (s *Service) authorizeEntries(ctx context.Context, action string, id DomainID, name string) (*domain, *repository, error) {
	if name == "" {
		d, err := s.authorizeDomain(ctx, action, id, authz.Request{})
		return d, nil, err
	}
	r, err := s.authorizeRepository(ctx, action, id.Repository(name))
	if err != nil {
		return nil, nil, err
	}
	d := s.snapshot.Load().domain(id)
	if d == nil {
		return nil, nil, domainNotFound(id)
	}
	return d, r, nil
}

func (s *Service) putEntry(ctx context.Context, action string, kind EntryKind, n NewEntry) (AdmissionEntry, error) {
	d, r, err := s.authorizeEntries(ctx, action, n.Domain, n.Repository)
	if err != nil {
		return AdmissionEntry{}, err
	}
	if err := n.validate(kind, s.now()); err != nil {
		return AdmissionEntry{}, err
	}
	if err := checkRules(ctx, d, r, n.Rules); err != nil {
		return AdmissionEntry{}, err
	}
	e := AdmissionEntry{
		ID: randid.Text(), Kind: kind, Repository: n.Repository, Package: n.Package.canonical(), Version: n.Version,
		Rules: n.Rules, Until: n.Until.Truncate(time.Microsecond), Reason: n.Reason, Created: s.now(), CreatedBy: callerARN(ctx),
	}
	if r != nil {
		e.repository = r.row
	}
	if n.Version != "" {
		e.versionKey = n.Package.Format.versionKey(n.Version)
	}
	now, err := s.admissionTimes(ctx)
	if err != nil {
		return AdmissionEntry{}, err
	}
	return e, s.changeDomain(ctx, n.Domain, delta{domain: true}, func(tx *db.Tx) error { return e.insert(ctx, tx, d, now.Earliest) })
}

// checkRules returns a fault if an exception names a rule that is neither in the policy of
// the domain, nor in that of the repository or, if there is none, of any repository of the
// domain, nor in a policy of the caller. Policies of others cannot be seen from here.
func checkRules(ctx context.Context, d *domain, r *repository, rules []string) error {
	if len(rules) == 0 {
		return nil
	}
	applying := []resourcePolicy{d.policy}
	if r != nil {
		applying = append(applying, r.policy)
	} else {
		d.all(func(r *repository) { applying = append(applying, r.policy) })
	}
	known := authz.VersionRuleSIDs(ctx, policies(applying...))
	for _, rule := range rules {
		if slices.Contains(known, rule) {
			continue
		}
		if len(known) == 0 {
			return invalid("There is no rule %s: no policy here or of yours has a rule about versions with a Sid. Without a rule, the exception is for all rules.", rule)
		}
		return invalid("There is no rule %s. Those in the policies here and in yours are: %s. Without a rule, the exception is for all rules, also for those in policies of others.", rule, strings.Join(known, ", "))
	}
	return nil
}

func (n *NewEntry) validate(kind EntryKind, now time.Time) error {
	if err := validPackage(n.Package); err != nil {
		return err
	}
	if n.Version != "" {
		if err := validVersion(n.Version); err != nil {
			return err
		}
	}
	if len(n.Reason) > maxEntryReason || strings.ContainsRune(n.Reason, 0) {
		return invalid("The reason may have at most %d bytes, and no NUL.", maxEntryReason)
	}
	if len(n.Rules) > maxEntryRules || slices.Contains(n.Rules, "") {
		return invalid("Name at most %d rules, by their Sids, or none for all rules.", maxEntryRules)
	}
	switch {
	case kind == Quarantine && len(n.Rules) > 0:
		return invalid("A quarantine names no rules.")
	case kind == Exception && n.Until.IsZero():
		return invalid("An exception needs an end.")
	case !n.Until.IsZero() && !n.Until.After(now):
		return invalid("The end, %s, has passed.", n.Until.UTC().Format(time.RFC3339))
	case kind == Exception && n.Until.After(now.Add(maxExceptionDays*day)):
		return invalid("An exception ends after at most %d days.", maxExceptionDays)
	}
	return nil
}

// insert writes the entry in place of one about the same versions. Those that have certainly
// ended are removed: a clock that is ahead must not remove a quarantine.
func (e *AdmissionEntry) insert(ctx context.Context, tx *db.Tx, d *domain, earliest time.Time) error {
	if _, err := db.One(ctx, tx, db.Scalar[string], `SELECT id FROM pkg_domain WHERE id = $1`, d.row); err != nil {
		return orNotFound(err, domainNotFound(d.id)) // deleted since
	}
	if _, err := tx.Exec(ctx, `DELETE FROM pkg_admission WHERE domain = $1 AND until <> 0 AND until <= $2`, d.row, db.Micros(earliest)); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM pkg_admission WHERE domain = $1 AND kind = $2 AND coalesce(repository, '') = $3 AND format = $4 AND namespace = $5 AND name_key = $6 AND version_key = $7`,
		d.row, string(e.Kind), e.repository, string(e.Package.Format), e.Package.Namespace, e.Package.key(), e.versionKey); err != nil {
		return err
	}
	n, err := db.One(ctx, tx, db.Scalar[int64], `SELECT count(*) FROM pkg_admission WHERE domain = $1`, d.row)
	if err != nil {
		return err
	}
	if n >= maxEntries {
		return quotaExceeded(typeDomain, d.id.Name, "The domain %s has %d exceptions and quarantines, which is the most that are accepted. Delete some, or write a policy.", d.id.Name, n)
	}
	rules, err := json.Marshal(append([]string{}, e.Rules...))
	if err != nil {
		return err
	}
	var until int64
	if !e.Until.IsZero() {
		until = db.Micros(e.Until)
	}
	var repository any
	if e.repository != "" {
		repository = e.repository
	}
	_, err = tx.Exec(ctx, `INSERT INTO pkg_admission (id, domain, repository, kind, format, namespace, name_key, name, version_key, version, rules, until, reason, created, created_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		e.ID, d.row, repository, string(e.Kind), string(e.Package.Format), e.Package.Namespace, e.Package.key(), e.Package.Name, e.versionKey, e.Version, string(rules), until, e.Reason, db.Micros(e.Created), e.CreatedBy)
	return err
}

func (s *Service) deleteEntry(ctx context.Context, action string, kind EntryKind, id DomainID, repository, entry string) (AdmissionEntry, error) {
	d, r, err := s.authorizeEntries(ctx, action, id, repository)
	if err != nil {
		return AdmissionEntry{}, err
	}
	missing := fault.New(fault.NotFound, "ResourceNotFound", "There is no %s %s here. ListAdmissionEntries shows those that there are.", kind, entry)
	var found *AdmissionEntry
	if d.admission != nil {
		for _, e := range d.admission.all {
			// Who may act on one repository may not end what holds for all.
			if e.ID == entry && e.Kind == kind && (r == nil || e.repository == r.row) {
				found = e
			}
		}
	}
	if found == nil {
		return AdmissionEntry{}, missing
	}
	return *found, s.changeDomain(ctx, id, delta{domain: true}, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `DELETE FROM pkg_admission WHERE id = $1 AND domain = $2`, entry, d.row)
		if err == nil && n == 0 {
			err = missing
		}
		return err
	})
}

// A VersionVerdict says what admission decides about a version, and why.
type VersionVerdict struct {
	Version   string
	Status    Status
	Published time.Time // zero if it is not known
	Outcome   AdmissionOutcome
	Reason    string
}

// ExplainAdmission returns what is decided now about the versions of a package, or one of
// them, if the caller reads it, the oldest first. gatehouse:ExplainAdmission and
// codeartifact:ReadFromRepository on the repository.
func (s *Service) ExplainAdmission(ctx context.Context, repo RepositoryID, id PackageID, version string) ([]VersionVerdict, error) {
	r, err := s.authorizeRepository(ctx, "gatehouse:ExplainAdmission", repo)
	if err != nil {
		return nil, err
	}
	if _, err := s.authorizeReading(ctx, repo); err != nil {
		return nil, err
	}
	p, err := s.visible(ctx, r, id)
	if err != nil {
		return nil, err
	}
	a, err := s.admissionOf(ctx, readFromRepository, r, id)
	if err != nil {
		return nil, err
	}
	var out []VersionVerdict
	for _, v := range p.ordered(func(v *Version) bool { return v.Status.downloadable() }) {
		if version != "" && !id.Format.SameVersion(v.Version, version) {
			continue
		}
		found := verdict{outcome: Admitted}
		if a != nil {
			if err := s.readLicenses(ctx, a, v); err != nil {
				return nil, err
			}
			if found = a.decide(v); found.outcome == Admitted && len(v.Assets) > 0 {
				found = a.reportFile(v, &v.Assets[0])
			}
		}
		out = append(out, VersionVerdict{v.Version, v.Status, v.since(), found.outcome, found.reason()})
	}
	if version != "" && len(out) == 0 {
		return nil, versionNotFound(repo, id, version)
	}
	return out, nil
}
