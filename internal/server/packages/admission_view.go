package packages

import (
	"context"
	"hash/maphash"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
)

// An admitter is the part of a [Service] that keeps admission decisions.
type admitter struct {
	views   *lru.Cache[admittedKey, *admittedView]
	seed    maphash.Seed
	observe func(context.Context, AdmissionEvent)

	denied, excepted, reported atomic.Uint64
}

func newAdmitter(c Config) *admitter {
	return &admitter{
		seed: maphash.MakeSeed(), observe: c.ObserveAdmission,
		views: lru.New[admittedKey](lru.Config[*admittedView]{MaxCost: c.CacheBytes / 8, Shards: cacheShards, Cost: (*admittedView).size}),
	}
}

// An admittedKey names a package in a repository and the rules that decide about it.
type admittedKey struct {
	cacheKey
	rules uint64 // a hash
}

// An admittedView is a package without the versions that are denied. It holds for the
// same package, the same rules and the same entries, between two times.
type admittedView struct {
	of          *Package
	rules       []policy.Rule
	entries     *admissionEntries
	group       string
	known       uint64 // the revision of the advisories
	names       uint64 // the revision of the names of internal packages
	from, until time.Time
	view        *Package
}

func (v *admittedView) size() int64 { return minEntry + 96*int64(len(v.view.byKey)) }

// admit returns the package without the versions that are denied to the caller. If none
// is left, it does not exist for the caller, and the fault says why.
func (s *Service) admit(ctx context.Context, r *repository, id PackageID, p *Package) (*Package, error) {
	a, err := s.admissionOf(ctx, readFromRepository, r, id)
	if err != nil {
		return nil, err
	}
	if a == nil {
		return p, nil
	}
	view, err := s.admittedView(ctx, a, p)
	if err != nil {
		return nil, err
	}
	if len(view.Hidden) > 0 {
		s.noteHidden(ctx, r, id, view.Hidden)
	}
	if len(view.byKey) == 0 {
		f := *fault.From(packageNotFound(r.id, id))
		f.Message += " It has versions, but all are denied: " + view.Hidden[len(view.Hidden)-1].String() + "."
		return nil, &f
	}
	return view, nil
}

func (s *Service) admittedView(ctx context.Context, a *admission, p *Package) (*Package, error) {
	var rules []policy.Rule
	if a.rules != nil {
		rules = a.rules.Rules
	}
	if slices.ContainsFunc(rules, policy.Rule.Varies) {
		err := s.readLicenses(ctx, a, slices.Collect(maps.Values(p.byKey))...)
		return a.filter(p), err // it may differ between callers with the same rules
	}
	k := admittedKey{a.repository.cacheKey(a.id), s.admissions.hash(rules)}
	have := s.admissions.views.Lookup(k)
	if v := have.Value; v != nil && v.of == p && a.now.Trusted() && v.entries == a.set && v.group == a.group && v.known == a.known && v.names == a.names && slices.Equal(v.rules, rules) && !a.now.Earliest.Before(v.from) && a.now.Earliest.Before(v.until) {
		return v.view, nil
	}
	if err := s.readLicenses(ctx, a, slices.Collect(maps.Values(p.byKey))...); err != nil {
		return nil, err
	}
	v := &admittedView{of: p, rules: rules, entries: a.set, group: a.group, known: a.known, names: a.names, from: a.now.Earliest, until: a.holdsUntil(p), view: a.filter(p)}
	if a.now.Trusted() {
		s.admissions.views.Store(k, v, have)
	}
	return v.view, nil
}

// hash hashes rules. Rules that are compared for equality afterwards may collide.
func (s *admitter) hash(rules []policy.Rule) uint64 {
	var h uint64
	for _, rule := range rules {
		h = h*31 + maphash.Comparable(s.seed, rule)
	}
	return h
}

// filter returns the package without the versions that are denied. Its revision tells
// which they are, so it serves as the key of rendered documents, as that of the package
// itself does.
func (a *admission) filter(p *Package) *Package {
	view := &Package{
		ID: p.ID, Attributes: p.Attributes, Created: p.Created, Modified: p.Modified,
		byKey: make(map[string]*Version, len(p.byKey)), Tags: p.Tags,
	}
	hidden := []string{p.Revision}
	for _, key := range slices.Sorted(maps.Keys(p.byKey)) {
		v := p.byKey[key]
		if !v.Status.downloadable() {
			view.byKey[key] = v
			continue
		}
		shown, denied := a.filterFiles(v)
		if shown != nil {
			view.byKey[key] = shown
		}
		for _, file := range denied {
			hidden = append(hidden, key+"/"+file.name)
			if shown != nil {
				view.Hidden = append(view.Hidden, HiddenVersion{v.Version + " (" + file.name + ")", v.fileSince(v.Asset(file.name)), file.why})
			}
		}
		if shown == nil {
			view.Hidden = append(view.Hidden, HiddenVersion{v.Version, v.since(), denied[0].why})
		}
	}
	if len(view.Hidden) == 0 {
		return p
	}
	slices.SortStableFunc(view.Hidden, func(a, b HiddenVersion) int { return a.Published.Compare(b.Published) })
	if !slices.ContainsFunc(slices.Collect(maps.Values(view.byKey)), func(v *Version) bool { return v.Status.downloadable() }) {
		view.byKey = nil
		return view
	}
	view.Revision = digest(hidden...)
	view.retag(p)
	view.finish()
	return view
}

// A deniedFile is a file of a version with the reason for which it is denied.
type deniedFile struct{ name, why string }

// filterFiles returns the version without the files that are denied; nil if all are.
func (a *admission) filterFiles(v *Version) (shown *Version, denied []deniedFile) {
	type told struct { // what tells the files apart: those of a Maven snapshot are of one build
		since  time.Time
		traits FileTraits
	}
	decided := map[told]verdict{}
	files := v.decided()
	for i := range files {
		file := &files[i]
		keys := a.keys(v, file)
		found, ok := decided[told{keys.since, keys.file}]
		if !ok {
			found = a.decideFile(v, file)
			decided[told{keys.since, keys.file}] = found
		}
		if found.outcome == Denied {
			denied = append(denied, deniedFile{file.Name, found.reason()})
		}
	}
	switch len(denied) {
	case 0:
		return v, nil
	case len(files):
		return nil, denied
	}
	less := *v
	isDenied := func(name string) bool {
		return slices.ContainsFunc(denied, func(d deniedFile) bool { return d.name == name })
	}
	less.Assets = slices.DeleteFunc(slices.Clone(v.Assets), func(f Asset) bool { return isDenied(f.Name) })
	less.Sidecars = slices.DeleteFunc(slices.Clone(v.Sidecars), func(f Asset) bool { return isDenied(f.beside) })
	return &less, denied
}

// retag moves the tag that clients install by, if its version is hidden, to the highest
// release below that version, and not to one that was never tagged because it is too new.
func (p *Package) retag(from *Package) {
	tag := p.ID.Format.rules().defaultTag
	was := from.byKey[p.ID.Format.versionKey(from.Tags[tag])]
	if tag == "" || was == nil || p.byKey[p.ID.Format.versionKey(was.Version)] != nil {
		return
	}
	below := &Package{ID: p.ID}
	for _, v := range from.Versions {
		if p.byKey[p.ID.Format.versionKey(v.Version)] != nil && p.ID.Format.Compare(v.Version, was.Version) < 0 {
			below.Versions = append(below.Versions, v)
		}
	}
	if best := below.Highest(); best != nil {
		p.Tags = maps.Clone(from.Tags)
		p.Tags[tag], p.Retagged = best.Version, tag
	}
}

// holdsUntil is when a decision about a version of the package may change by itself: when
// a version is a day older, or an entry ends.
func (a *admission) holdsUntil(p *Package) time.Time {
	until := a.now.Earliest.Add(day)
	for _, v := range p.byKey {
		for _, file := range v.decided() {
			at := v.fileSince(&file)
			// A file of the future is 0 days old until a day after its time.
			if next := at.Add((age(at, a.now.Earliest)/day + 1) * day); !at.IsZero() && next.Before(until) {
				until = next
			}
		}
	}
	for _, e := range a.entries {
		if !e.Until.IsZero() && e.Until.After(a.now.Earliest) && e.Until.Before(until) {
			until = e.Until
		}
	}
	return until
}

// A HiddenVersion is a version that is denied to the caller.
type HiddenVersion struct {
	Version   string
	Published time.Time
	Reason    string
}

func (h HiddenVersion) String() string { return "version " + h.Version + ", because " + h.Reason }

// A HiddenNotice tells that versions of a package were left out of an answer, because
// they are denied to the caller. The version that was published last comes last.
type HiddenNotice struct {
	Package  PackageID
	Versions []HiddenVersion
}

type hiddenKey struct{}

// WithHiddenNotice returns a context in which reads call notice if they leave versions
// out. Handlers tell their clients in a header.
func WithHiddenNotice(ctx context.Context, notice func(HiddenNotice)) context.Context {
	return context.WithValue(ctx, hiddenKey{}, notice)
}

func (s *Service) noteHidden(ctx context.Context, _ *repository, id PackageID, hidden []HiddenVersion) {
	if notice, ok := ctx.Value(hiddenKey{}).(func(HiddenNotice)); ok {
		notice(HiddenNotice{id, hidden})
	}
}

// admissionRevision is for the revision of an index: it changes when other rules or
// entries decide about the packages of the repository, and once a minute if any do,
// because versions come of age.
func (s *Service) admissionRevision(ctx context.Context, r *repository) (string, error) {
	d := s.snapshot.Load().domain(r.id.Domain)
	if d == nil {
		return "", nil
	}
	// Its Resource is that of no package. So a rule for some packages counts if it names
	// this repository, or all.
	req := &authz.Request{Action: readFromRepository, Resource: r.arn, Account: r.account(ctx), ResourceTags: r.tags, Policies: policies(d.policy, r.policy), PerVersion: true}
	rules := authz.AllRulesForVersions(ctx, req)
	if len(rules) == 0 && d.admission == nil {
		return "", nil
	}
	now, err := s.admissionTimes(ctx)
	if err != nil {
		return "", err
	}
	varies := ""
	if slices.ContainsFunc(rules, policy.Rule.Varies) {
		varies = callerARN(ctx)
	}
	return " " + strconv.FormatUint(s.admissions.hash(rules), 36) + "-" + varies + "-" + strconv.FormatUint(s.advisoryRevision(), 36) + "-" + strconv.FormatInt(now.Earliest.Unix()/60, 36) + "-" + strconv.FormatInt(now.Latest.Unix()/60, 36), nil
}
