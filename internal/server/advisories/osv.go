package advisories

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

// The bounds of a document.
const (
	// MaxDocument is the size of the largest one, in bytes.
	MaxDocument = 512 << 10
	maxPackages = 1000   // packages of one document
	maxRanges   = 1000   // of one package
	maxVersions = 20_000 // of one package
	maxText     = 255    // bytes of an id, a name or a version
	maxSummary  = 300    // bytes that are kept
	maxAliases  = 20
	malwareIDs  = "MAL-"
	// parserRevision grows when documents that were read before say more now, so that they
	// are stored again although they are not newer. 1: CVSS 4. 2: events in any order, and the
	// severity in one package.
	parserRevision = 2
	osvSemVer      = "SEMVER"
	osvEcosystem   = "ECOSYSTEM"
)

// ecosystems has the format of each ecosystem of OSV whose packages can be here. Others
// are ignored.
var ecosystems = map[string]packages.Format{
	"npm": packages.NPM, "PyPI": packages.PyPI, "Maven": packages.Maven, "NuGet": packages.NuGet, "RubyGems": packages.Ruby, "crates.io": packages.Cargo,
}

// A document is what is read of OSV's JSON.
type document struct {
	ID         string    `json:"id"`
	Summary    string    `json:"summary"`
	Details    string    `json:"details"`
	Aliases    []string  `json:"aliases"`
	Upstream   []string  `json:"upstream"` // what a distribution's advisory is about
	Modified   time.Time `json:"modified"`
	Published  time.Time `json:"published"`
	Withdrawn  time.Time `json:"withdrawn"`
	Severity   []score   `json:"severity"`
	References []struct {
		Type string `json:"type"`
		URL  string `json:"url"`
	} `json:"references"`
	Specific specific   `json:"database_specific"`
	Affected []affected `json:"affected"`
}

type score struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

type specific struct {
	Severity any `json:"severity"`
	CWEs     any `json:"cwe_ids"`
}

type affected struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
	} `json:"package"`
	Ranges []struct {
		Type   string  `json:"type"`
		Events []event `json:"events"`
	} `json:"ranges"`
	Versions []string `json:"versions"`
	// Severity takes the place of the document's.
	Severity []score `json:"severity"`
	Specific any     `json:"ecosystem_specific"`
}

// An event begins or ends a range.
type event struct {
	Introduced   string `json:"introduced"`
	Fixed        string `json:"fixed"`
	LastAffected string `json:"last_affected"`
}

// A Parsed document is what one says about the packages that can be here, in a repository or
// an image.
type Parsed struct {
	ID       string
	Modified time.Time
	// Parser is the parserRevision of the release that read the document.
	Parser int
	// Withdrawn means that the document is no longer true.
	Withdrawn bool
	Packages  []About
}

// About is what a document says about one package.
type About struct {
	Package  packages.PackageID // with the stored spelling of the name
	Advisory *packages.Advisory
}

// Parse reads a document. It fails if the document is not OSV, or is too large. What it
// says about packages that cannot be here is left out, so Packages may be empty.
func Parse(text []byte) (*Parsed, error) {
	if len(text) > MaxDocument {
		return nil, fmt.Errorf("it has %d bytes, and at most %d are accepted", len(text), MaxDocument)
	}
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("it is not a document of OSV: %w", err)
	}
	if !validText(d.ID) || strings.ContainsAny(d.ID, " /") {
		return nil, errors.New("it is not a document of OSV: it has no id")
	}
	if len(d.Affected) > maxPackages {
		return nil, fmt.Errorf("%s is about %d packages, and at most %d are accepted", d.ID, len(d.Affected), maxPackages)
	}
	out := &Parsed{ID: d.ID, Modified: validTime(d.Modified), Parser: parserRevision, Withdrawn: !d.Withdrawn.IsZero()}
	for i := range d.Affected {
		about, ok, err := d.about(&d.Affected[i])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.ID, err)
		}
		if ok {
			out.Packages = append(out.Packages, about)
		}
	}
	return out, nil
}

func (d *document) about(a *affected) (out About, ok bool, err error) {
	id, ok := packageOf(a.Package.Ecosystem, a.Package.Name)
	if !ok {
		return out, false, nil
	}
	if len(a.Ranges) > maxRanges || len(a.Versions) > maxVersions {
		return out, false, fmt.Errorf("it has too many ranges or versions of %s", a.Package.Name)
	}
	severity := a.Severity
	if len(severity) == 0 {
		severity = d.Severity
	}
	advisory := d.advisory(severity)
	if s := severityIn(a.Specific); isSystem(id.Format) && s != packages.UnknownSeverity {
		advisory.Severity = s
	}
	for _, v := range a.Versions {
		if validText(v) {
			advisory.Versions = append(advisory.Versions, v)
		}
	}
	for _, r := range a.Ranges {
		if r.Type != osvSemVer && r.Type != osvEcosystem {
			continue // commits
		}
		if len(r.Events) > maxRanges {
			return out, false, fmt.Errorf("it has too many events of %s", a.Package.Name)
		}
		for _, e := range r.Events {
			if !validBound(e.Introduced) || !validBound(e.Fixed) || !validBound(e.LastAffected) {
				return out, false, fmt.Errorf("a bound of a range of %s is not a version", a.Package.Name)
			}
		}
		advisory.Ranges = append(advisory.Ranges, ranges(r.Events, orderOf(id.Format))...)
	}
	if len(advisory.Ranges) > maxRanges {
		return out, false, fmt.Errorf("it has too many ranges of %s", a.Package.Name)
	}
	compact(id.Format, advisory)
	return About{id, advisory}, len(advisory.Ranges)+len(advisory.Versions) > 0, nil
}

// ranges returns the ranges that events describe. Events are in no order (OSV, "affected[]
// .ranges[].events fields" and "Evaluation").
func ranges(events []event, compare order) (out []packages.AffectedRange) {
	type bound struct {
		event
		at string
	}
	var bounds []bound
	for _, e := range events {
		for _, b := range []bound{{event{Introduced: e.Introduced}, e.Introduced}, {event{Fixed: e.Fixed}, e.Fixed}, {event{LastAffected: e.LastAffected}, e.LastAffected}} {
			if b.at != "" {
				bounds = append(bounds, b)
			}
		}
	}
	slices.SortStableFunc(bounds, func(a, b bound) int {
		switch fromA, fromB := a.Introduced == "0", b.Introduced == "0"; { // before all versions
		case fromA && fromB:
			return 0
		case fromA:
			return -1
		case fromB:
			return 1
		}
		return compare(a.at, b.at)
	})
	var open *packages.AffectedRange
	for _, b := range bounds {
		switch {
		case b.Introduced != "" && open == nil:
			out = append(out, packages.AffectedRange{Introduced: b.Introduced})
			open = &out[len(out)-1]
		case open == nil: // an end without a beginning
		case b.Fixed != "":
			open.Fixed, open = b.Fixed, nil
		case b.LastAffected != "":
			open.LastAffected, open = b.LastAffected, nil
		}
	}
	return out
}

// advisory is what the document says whatever the package.
func (d *document) advisory(severity []score) *packages.Advisory {
	a := &packages.Advisory{
		ID: d.ID, Summary: oneLine(cmp.Or(d.Summary, d.Details)), Malware: strings.HasPrefix(d.ID, malwareIDs),
		Published: validTime(d.Published), Modified: validTime(d.Modified),
	}
	for _, alias := range slices.Concat(d.Aliases, d.Upstream) {
		if validText(alias) && len(a.Aliases) < maxAliases {
			a.Aliases = append(a.Aliases, alias)
			a.Malware = a.Malware || strings.HasPrefix(alias, malwareIDs)
		}
	}
	for _, s := range severity {
		if word := severityOf(s.Score); s.Type == "Ubuntu" && word > a.Severity {
			a.Severity = word
		}
		if vector, severity := cvss(s.Type, s.Score); severity > a.Severity {
			a.Score, a.Severity = vector, severity
		}
	}
	if word, ok := d.Specific.Severity.(string); ok {
		if s := severityOf(word); s != packages.UnknownSeverity {
			a.Severity = s // whoever wrote it knows more than the vector says
		}
	}
	if a.Malware {
		a.Severity = packages.Critical
	}
	if list, ok := d.Specific.CWEs.([]any); ok {
		for _, item := range list {
			if text, ok := item.(string); ok && validText(text) && len(a.CWEs) < maxAliases {
				a.CWEs = append(a.CWEs, text)
			}
		}
	}
	for _, want := range []string{"ADVISORY", "WEB"} {
		for _, r := range d.References {
			if a.URL == "" && r.Type == want && len(r.URL) <= 1000 && strings.HasPrefix(r.URL, "https://") && !strings.ContainsFunc(r.URL, func(c rune) bool { return c <= ' ' || c > '~' }) {
				a.URL = r.URL
			}
		}
	}
	return a
}

func severityOf(word string) packages.Severity {
	switch strings.ToUpper(word) {
	case "LOW":
		return packages.Low
	case "MODERATE", "MEDIUM":
		return packages.Moderate
	case "HIGH", "IMPORTANT":
		return packages.High
	case "CRITICAL":
		return packages.Critical
	}
	return packages.UnknownSeverity
}

func validText(s string) bool {
	return s != "" && len(s) <= maxText && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func validBound(s string) bool { return s == "" || validText(s) }

// validTime is the time if a database can keep it, and else zero.
func validTime(t time.Time) time.Time {
	if t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}
	}
	return t.UTC()
}

// oneLine is the first line of a text, not too long.
func oneLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	s = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == utf8.RuneError {
			return ' '
		}
		return c
	}, s)
	return truncate.String(s, maxSummary)
}

// compact keeps the memory of the index small: a list that ranges cover already is
// dropped.
func compact(f packages.Format, a *packages.Advisory) {
	if len(a.Ranges) == 0 {
		return
	}
	ranges, compare := &packages.Advisory{Ranges: a.Ranges}, orderOf(f)
	a.Versions = slices.DeleteFunc(a.Versions, func(v string) bool { _, in := affects(ranges, compare, v); return in })
	if len(a.Versions) == 0 {
		a.Versions = nil
	}
}
