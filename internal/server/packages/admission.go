package packages

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/steadyclock"
)

// Admission decides which versions of a package a caller may see.
//
// A rule is a Deny statement in any policy that applies to the caller or the repository,
// with a condition on a key of versions (authz/versions.go): "nothing younger than seven
// days". A version that a rule denies is not in what [Service.Package] returns
// (admission_view.go), so clients resolve to another one, and [Service.OpenAsset] refuses
// it. An exception suspends rules for a version until it ends, and quarantine denies a
// version without a rule (admission_entries.go).
//
// All of it is decided from memory. A package about which no rule and no quarantine
// decides costs one look at the caller's policies.

// An AdmissionOutcome says what was decided about a version.
type AdmissionOutcome string

// The outcomes.
const (
	// Admitted means that nothing denies the version.
	Admitted AdmissionOutcome = "admitted"
	// Denied means that a rule or a quarantine denies it.
	Denied AdmissionOutcome = "denied"
	// Excepted means that an exception suspends the rule that would deny it.
	Excepted AdmissionOutcome = "excepted"
	// Reported means that a rule which only reports would deny it.
	Reported AdmissionOutcome = "reported"
)

// An AdmissionEvent is a decision about a version that a client downloads. Admitted
// versions have none.
type AdmissionEvent struct {
	Outcome  AdmissionOutcome
	Action   string
	Resource string // the ARN of the package
	Version  string
	Reason   string
}

// AdmissionCounts counts decisions about downloads.
type AdmissionCounts struct{ Denied, Excepted, Reported uint64 }

// Admissions returns the counters since the start, for metrics.
func (s *Service) Admissions() AdmissionCounts {
	return AdmissionCounts{s.admissions.denied.Load(), s.admissions.excepted.Load(), s.admissions.reported.Load()}
}

// An admission decides about the versions of one package for one request.
type admission struct {
	repository *repository
	id         PackageID
	action     string
	rules      *authz.VersionRules // nil if there are none
	set        *admissionEntries   // of the domain
	entries    []*AdmissionEntry   // about the package in the repository
	group      string
	now        steadyclock.Times
	advisories func(PackageID, string) []*Advisory
	// known is the revision of the advisories.
	known  uint64
	traits Traits
	// byFile means that a rule looks at what differs between the files of a version.
	byFile bool
	// similar is the internal package of the domain whose name is similar, or nil. names is
	// the revision of the names that were compared; 0 if no rule looks at them.
	similar *PackageID
	names   uint64
}

// admissionOf returns what decides about the versions of a package, or nil if every
// version is admitted.
func (s *Service) admissionOf(ctx context.Context, action string, r *repository, id PackageID) (*admission, error) {
	d := s.snapshot.Load().domain(r.id.Domain)
	if d == nil {
		return nil, nil // deleted; the caller finds nothing
	}
	rules, entries, decides := d.decidesAbout(ctx, action, r, id)
	if !decides {
		return nil, nil
	}
	now, err := s.admissionTimes(ctx)
	if err != nil {
		return nil, err
	}
	a := &admission{
		repository: r, id: id, action: action, now: now, advisories: s.advisoriesAbout, known: s.advisoryRevision(), traits: s.traits,
		rules: rules, set: d.admission, entries: entries,
	}
	if g, _ := d.associate(id); g != nil {
		a.group = g.pattern.String()
	}
	if a.rules != nil {
		a.byFile = a.rules.LookAt(authz.Attested, authz.Signed, authz.InstallScripts)
		if a.rules.LookAt(authz.SimilarToInternal) {
			if a.similar, a.names, err = s.internalNames.similar(ctx, d, id); err != nil {
				return nil, err
			}
		}
	}
	return a, nil
}

// decidesAbout returns the rules about versions of a package and the entries about it, and
// whether they may deny a version.
func (d *domain) decidesAbout(ctx context.Context, action string, r *repository, id PackageID) (rules *authz.VersionRules, entries []*AdmissionEntry, decides bool) {
	applying := policies(d.policy, r.policy)
	if d.admission == nil && !authz.MayHaveVersionRules(ctx, applying) {
		return nil, nil, false
	}
	req := &authz.Request{
		Action: action, Resource: r.id.PackageARN(id), Account: r.account(ctx), ResourceTags: r.tags,
		Policies: applying, PerVersion: true,
	}
	rules, entries = authz.RulesForVersions(ctx, req, r.arn), d.admission.about(r, id)
	return rules, entries, rules != nil || slices.ContainsFunc(entries, func(e *AdmissionEntry) bool { return e.Kind == Quarantine })
}

// A verdict is a decision about one version. by and rule are of what decided; both are
// zero for an admitted version. keys are those of the rule, with their values.
type verdict struct {
	outcome AdmissionOutcome
	rule    policy.Rule
	by      *AdmissionEntry
	keys    string
}

// decide decides about a version: it is denied if all of its files are.
func (a *admission) decide(v *Version) verdict {
	out := verdict{outcome: Admitted}
	for i, file := range v.decided() {
		if found := a.decideFile(v, &file); found.outcome != Denied {
			return found
		} else if i == 0 {
			out = found
		}
	}
	return out
}

// decided are the files about which is decided. A version whose registry does not list its
// files stands for one: which files there are, their downloads show.
func (v *Version) decided() []Asset {
	if len(v.Assets) == 0 {
		return []Asset{{}}
	}
	return v.Assets
}

// decideFile decides about a file of a version. Only its age can differ from that of the
// version: in some formats, files may be added to a version later. Rules that only report
// do not count.
func (a *admission) decideFile(v *Version, file *Asset) verdict {
	for _, e := range a.entries {
		if e.Kind == Quarantine && e.covers(v.Version, file.Name, e.endsBy(a.now)) {
			return verdict{outcome: Denied, by: e}
		}
	}
	return a.byRules(a.keys(v, file), file)
}

// reportFile decides as if the rules that only report denied, about a file that is
// admitted.
func (a *admission) reportFile(v *Version, file *Asset) verdict {
	keys := a.keys(v, file)
	keys.reportOnly = true
	found := a.byRules(keys, file)
	if found.outcome == Denied {
		found.outcome = Reported
		return found
	}
	return verdict{outcome: Admitted}
}

func (a *admission) byRules(keys *versionKeys, file *Asset) verdict {
	if a.rules == nil {
		return verdict{outcome: Admitted}
	}
	out := verdict{outcome: Admitted}
	for _, rule := range a.rules.Rules {
		if !a.rules.Denies(rule, keys) {
			continue
		}
		found := verdict{outcome: Denied, rule: rule, keys: keys.describe(rule)}
		if e := a.exception(rule, keys.version.Version, file.Name); e != nil {
			found.outcome, found.by = Excepted, e
			out = found
			continue
		}
		return found
	}
	return out
}

// exception returns the exception that suspends a rule for a file of a version, or nil.
func (a *admission) exception(rule policy.Rule, version, file string) *AdmissionEntry {
	for _, e := range a.entries {
		if e.Kind == Exception && e.covers(version, file, e.endsBy(a.now)) && (len(e.Rules) == 0 || slices.Contains(e.Rules, rule.SID())) {
			return e
		}
	}
	return nil
}

// reason says in a sentence without its end why a verdict is as it is.
func (v verdict) reason() string {
	switch {
	case v.outcome == Denied && v.by != nil:
		return "it is in quarantine" + v.by.because()
	case v.outcome == Excepted:
		return "an exception until " + v.by.Until.UTC().Format(time.RFC3339) + v.by.because() + " suspends " + v.named()
	case v.outcome == Reported:
		return v.named() + " would deny it"
	case v.outcome == Denied:
		return v.named() + " denies it"
	}
	return "no rule denies it"
}

// named names the rule and the values that it looked at.
func (v verdict) named() string {
	return authz.RuleName(v.rule) + " (" + v.keys + ")"
}

// refusal is the fault of a version that is denied.
func (a *admission) refusal(ctx context.Context, v *Version, why verdict) error {
	return fault.New(fault.Denied, "AccessDenied", "User: %s is not authorized to perform: %s on version %s of resource: %s because %s.",
		cmp.Or(callerARN(ctx), "anonymous"), a.action, v.Version, a.repository.id.PackageARN(a.id), why.reason())
}

// checkDownload returns the fault of a file that is denied, and tells and counts the
// decision.
func (s *Service) checkDownload(ctx context.Context, action string, r *repository, id PackageID, v *Version, file *Asset) error {
	a, err := s.admissionOf(ctx, action, r, id)
	if a == nil || err != nil {
		return err
	}
	if err := s.readLicenses(ctx, a, v); err != nil {
		return err
	}
	file = v.decidesFor(file)
	found := a.decideFile(v, file)
	if found.outcome == Admitted {
		found = a.reportFile(v, file)
	}
	switch found.outcome {
	case Admitted:
		return nil
	case Denied:
		s.admissions.denied.Add(1)
	case Excepted:
		s.admissions.excepted.Add(1)
	case Reported:
		s.admissions.reported.Add(1)
	}
	if s.admissions.observe != nil {
		s.admissions.observe(ctx, AdmissionEvent{found.outcome, action, r.id.PackageARN(id), v.Version, found.reason()})
	}
	if found.outcome == Denied {
		return a.refusal(ctx, v, found)
	}
	return nil
}

// checkRead returns the fault of a file that is denied. It is for what is no download.
func (s *Service) checkRead(ctx context.Context, action string, r *repository, id PackageID, v *Version, file *Asset) error {
	a, err := s.admissionOf(ctx, action, r, id)
	if a == nil || err != nil {
		return err
	}
	if err := s.readLicenses(ctx, a, v); err != nil {
		return err
	}
	if found := a.decideFile(v, v.decidesFor(file)); found.outcome == Denied {
		return a.refusal(ctx, v, found)
	}
	return nil
}

// decidesFor returns the file about which is decided: for a sidecar, the one that it lies
// beside.
func (v *Version) decidesFor(file *Asset) *Asset {
	if of := v.Asset(file.beside); of != nil {
		return of
	}
	return file
}

const day = 24 * time.Hour

// age is how long ago a time is. It is 0 for a time that is not known or is in the future.
func age(at, now time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return max(now.Sub(at), 0)
}

// since is when the version was published, or, if its registry does not tell that, when it
// was first seen.
func (v *Version) since() time.Time {
	if v.Published.IsZero() {
		return v.seen
	}
	return v.Published
}

// fileSince is since for a file, which may have been added later.
func (v *Version) fileSince(file *Asset) time.Time {
	if at := v.since(); !file.Published.After(at) {
		return at
	}
	return file.Published
}

// digest is a short name of texts.
func digest(texts ...string) string {
	h := sha256.New()
	for _, t := range texts {
		fmt.Fprintf(h, "%d %s\n", len(t), t)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
