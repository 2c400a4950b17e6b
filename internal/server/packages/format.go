package packages

import (
	"strings"

	"deps.dev/util/pypi"
	"deps.dev/util/semver"
)

// A Format is the kind of a package: which clients it is for.
type Format string

// The formats of CodeArtifact.
const (
	NPM     Format = "npm"
	PyPI    Format = "pypi"
	Maven   Format = "maven"
	NuGet   Format = "nuget"
	Generic Format = "generic"
	Ruby    Format = "ruby"
	Swift   Format = "swift"
	Cargo   Format = "cargo"
)

// rules are all that the store has to know of a format.
type rules struct {
	// name returns the spelling in which a package's name is kept, or "" for
	// what is no name.
	name func(string) string
	// nameKey returns what the kept spellings of one package have in common.
	nameKey func(string) string
	// versionKey returns what the spellings of one version have in common.
	versionKey func(string) string
	// system orders versions; nil where they are ordered bytewise.
	system semver.System
	// sealed is whether a Published version takes no further assets.
	sealed bool
	// defaultTag is the tag that clients install where they name no version;
	// empty where the format has no tags.
	defaultTag string
}

// formats are the rules of each format. A format's later door fits in by the
// rules here.
var formats = map[Format]rules{
	NPM:     {name: asIs, nameKey: asIs, versionKey: withoutBuild, system: semver.NPM, sealed: true, defaultTag: "latest"},
	PyPI:    {name: canonPyPI, nameKey: asIs, versionKey: pypi.CanonVersion, system: semver.PyPI},
	Maven:   {name: asIs, nameKey: asIs, versionKey: asIs, system: semver.Maven},
	NuGet:   {name: strings.ToLower, nameKey: asIs, versionKey: canonNuGet, system: semver.NuGet, sealed: true},
	Generic: {name: asIs, nameKey: asIs, versionKey: asIs, sealed: true},
	Ruby:    {name: asIs, nameKey: asIs, versionKey: asIs, system: semver.RubyGems},
	Swift:   {name: strings.ToLower, nameKey: asIs, versionKey: withoutBuild, system: semver.DefaultSystem, sealed: true},
	Cargo:   {name: asIs, nameKey: foldCargo, versionKey: withoutBuild, system: semver.Cargo, sealed: true},
}

// unknownFormat is for what is not a format: nothing of it is ever kept.
var unknownFormat = rules{name: asIs, nameKey: asIs, versionKey: asIs, sealed: true}

func (f Format) rules() rules {
	if r, ok := formats[f]; ok {
		return r
	}
	return unknownFormat
}

// Known reports whether f is a format of CodeArtifact.
func (f Format) Known() bool {
	_, ok := formats[f]
	return ok
}

// Compare orders two versions as the format does: npm's by Semantic
// Versioning 2.0.0, PyPI's by PEP 440. What the format cannot read comes first,
// and what is equal to it is ordered bytewise.
func (f Format) Compare(a, b string) int {
	if f != Generic {
		if c := f.rules().system.Compare(a, b); c != 0 {
			return c
		}
	}
	return strings.Compare(a, b)
}

// A ranked version is one with its parsed form, which is nil where the format
// cannot read it.
type ranked struct {
	*Version
	parsed *semver.Version
}

func (f Format) rank(v *Version) ranked {
	if f == Generic {
		return ranked{v, nil}
	}
	parsed, err := f.rules().system.Parse(v.Version)
	if err != nil {
		parsed = nil
	}
	return ranked{v, parsed}
}

// release reports whether the version is not for those alone who ask for it.
func (r ranked) release() bool { return r.parsed != nil && !r.parsed.IsPrerelease() }

// below reports whether o is rather to be chosen than r: a release before all
// else, and then the higher one.
func (r ranked) below(o ranked) bool {
	if r.release() != o.release() {
		return o.release()
	}
	if c := r.parsed.Compare(o.parsed); c != 0 {
		return c < 0
	}
	return r.Version.Version < o.Version.Version
}

// canonical returns the package's id in the spelling in which it is kept.
func (p PackageID) canonical() PackageID {
	p.Name = p.Format.rules().name(p.Name)
	return p
}

// key identifies the package within a repository, whatever its spelling.
func (p PackageID) key() string {
	r := p.Format.rules()
	return r.nameKey(r.name(p.Name))
}

// SameVersion reports whether two spellings are one version to the format.
func (f Format) SameVersion(a, b string) bool { return f.versionKey(a) == f.versionKey(b) }

func (f Format) versionKey(version string) string { return f.rules().versionKey(version) }

// canonPyPI is the normalised name of PEP 503 of a valid one (PyPA
// specifications, "Names and normalization").
func canonPyPI(name string) string {
	alnum := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' }
	for i := range len(name) {
		inside := i > 0 && i < len(name)-1
		if !alnum(name[i]) && !(inside && strings.IndexByte("-_.", name[i]) >= 0) {
			return ""
		}
	}
	return pypi.CanonPackageName(name)
}

func asIs(s string) string { return s }

// withoutBuild drops the build metadata, which do not tell versions apart
// (Semantic Versioning 2.0.0, section 10).
func withoutBuild(version string) string {
	v, _, _ := strings.Cut(version, "+")
	return v
}

// canonNuGet is NuGet's normalised version, without regard to case.
func canonNuGet(version string) string {
	v, err := semver.NuGet.Parse(version)
	if err != nil {
		return strings.ToLower(version)
	}
	return v.Canon(false)
}

// foldCargo makes names equal that differ in case or in '-' and '_' (The Cargo
// Book, "Registry Index": names are unique so).
func foldCargo(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }
