package packages

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
)

// Advisories are what is known about vulnerable and malicious versions. Package advisories
// implements it, in memory. It is safe for concurrent use.
type Advisories interface {
	// About returns the advisories about a package; they must not be changed.
	About(id PackageID) []*Advisory
	// Revision changes with every change of the advisories. It never has the same value
	// for two states of one process.
	Revision() uint64
	// Empty reports whether there are none at all.
	Empty() bool
}

// A Severity is how bad a vulnerability is. The zero value is unknown.
type Severity int

// The severities, the least first.
const (
	UnknownSeverity Severity = iota
	Low
	Moderate
	High
	Critical
)

// String is the name in conditions and in the answers to npm audit; empty if unknown.
func (s Severity) String() string {
	return [...]string{"", "low", "moderate", "high", "critical"}[s]
}

// An Advisory is about versions of one package. It is immutable.
type Advisory struct {
	ID       string // such as GHSA-… or MAL-…
	Aliases  []string
	Summary  string
	Severity Severity
	// Score is the text of a CVSS vector, or empty.
	Score string
	// CWEs are the weaknesses, such as CWE-79.
	CWEs []string
	// Malware means that the affected versions are malicious.
	Malware   bool
	URL       string
	Published time.Time
	Modified  time.Time
	// Ranges and Versions say which versions are affected: those of either.
	Ranges   []AffectedRange
	Versions []string
}

// An AffectedRange is a range of versions in the order of the format.
type AffectedRange struct {
	// Introduced is the first version; "0" means all from the beginning.
	Introduced string `json:"introduced,omitempty"`
	// Fixed is the first version that is not affected, LastAffected the last one that is.
	// Both may be empty: then the range has no end.
	Fixed        string `json:"fixed,omitempty"`
	LastAffected string `json:"lastAffected,omitempty"`
}

// Affects reports whether the advisory is about a version. A bound that the format cannot
// parse is compared as Format.Compare does.
func (a *Advisory) Affects(f Format, version string) bool {
	return slices.ContainsFunc(a.Versions, func(v string) bool { return f.SameVersion(v, version) }) ||
		slices.ContainsFunc(a.Ranges, func(r AffectedRange) bool { return r.contains(f, version) })
}

func (r AffectedRange) contains(f Format, version string) bool {
	if r.Introduced != "0" && r.Introduced != "" && f.order(version, r.Introduced) < 0 {
		return false
	}
	switch {
	case r.Fixed != "":
		return f.order(version, r.Fixed) < 0
	case r.LastAffected != "":
		return f.order(version, r.LastAffected) <= 0
	}
	return true
}

// order is Compare, but for versions that are equal in the format.
func (f Format) order(a, b string) int {
	if f.SameVersion(a, b) {
		return 0
	}
	return f.Compare(a, b)
}

// advisoriesAbout returns the advisories about a version.
func (s *Service) advisoriesAbout(id PackageID, version string) (out []*Advisory) {
	if s.advisories == nil {
		return nil
	}
	for _, a := range s.advisories.About(id) {
		if a.Affects(id.Format, version) {
			out = append(out, a)
		}
	}
	return out
}

// advisoryRevision is that of the advisories, or 0.
func (s *Service) advisoryRevision() uint64 {
	if s.advisories == nil {
		return 0
	}
	return s.advisories.Revision()
}

// KnownAdvisories returns the advisories about any of the versions of a package, the worst
// first, whether the repository has the package or not.
// codeartifact:ReadFromRepository on the repository.
func (s *Service) KnownAdvisories(ctx context.Context, repo RepositoryID, id PackageID, versions []string) ([]*Advisory, error) {
	if _, err := s.authorizeRepository(ctx, readFromRepository, repo); err != nil {
		return nil, err
	}
	if err := validPackage(id); err != nil {
		return nil, err
	}
	if s.advisories == nil {
		return nil, nil
	}
	var out []*Advisory
	for _, a := range s.advisories.About(id) {
		if slices.ContainsFunc(versions, func(v string) bool { return a.Affects(id.Format, v) }) {
			out = append(out, a)
		}
	}
	slices.SortStableFunc(out, func(a, b *Advisory) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), strings.Compare(a.ID, b.ID))
	})
	return out, nil
}

// HasAdvisories reports whether there are any advisories.
func (s *Service) HasAdvisories() bool { return s.advisories != nil && !s.advisories.Empty() }

// String is a range such as ">=1.0.0 <1.2.3".
func (r AffectedRange) String() string {
	var bounds []string
	if r.Introduced != "" && r.Introduced != "0" {
		bounds = append(bounds, ">="+r.Introduced)
	}
	switch {
	case r.Fixed != "":
		bounds = append(bounds, "<"+r.Fixed)
	case r.LastAffected != "":
		bounds = append(bounds, "<="+r.LastAffected)
	}
	if bounds == nil {
		return "*"
	}
	return strings.Join(bounds, " ")
}

// ParsePackageName reads the name of a package as its format's ecosystem writes it in one
// text: @scope/name of npm, group:artifact of Maven. ok is false if no package can have it.
func ParsePackageName(f Format, text string) (id PackageID, ok bool) {
	id = PackageID{Format: f, Name: text}
	switch f {
	case NPM:
		if scoped, is := strings.CutPrefix(text, "@"); is {
			id.Namespace, id.Name, is = strings.Cut(scoped, "/")
			if !is || id.Namespace == "" {
				return PackageID{}, false
			}
		}
	case Maven:
		group, artifact, is := strings.Cut(text, ":")
		if !is || group == "" {
			return PackageID{}, false
		}
		id.Namespace, id.Name = group, artifact
	case Swift, Generic:
		return PackageID{}, false
	}
	if validPackage(id) != nil {
		return PackageID{}, false
	}
	return id.canonical(), true
}

// Key is the same for all spellings of a package's name, and differs between packages.
func (p PackageID) Key() string { return string(p.Format) + "/" + p.Namespace + "/" + p.key() }
