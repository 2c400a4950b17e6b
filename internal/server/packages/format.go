package packages

import (
	"slices"
	"strings"

	"deps.dev/util/pypi"
	"deps.dev/util/semver"

	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
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

// rules is everything that the store knows about a format.
type rules struct {
	// name returns the spelling of a package's name that is stored, or "" if the
	// name is invalid.
	name func(string) string
	// nameKey returns the same key for all stored spellings of one package.
	nameKey func(string) string
	// versionKey returns the same key for all spellings of one version.
	versionKey func(string) string
	// system orders versions; nil means bytewise.
	system semver.System
	// sealed means that a Published version accepts no further assets.
	sealed bool
	// lateSidecars means that a sealed version accepts further sidecars: NuGet's
	// clients push the symbols of a package after the package.
	lateSidecars bool
	// oneSpelling means that all versions of a package are published under the
	// spelling of the first.
	oneSpelling bool
	// defaultTag is the tag that clients install if they name no version; empty
	// if the format has no tags.
	defaultTag string
	// namespaces means that packages may have a namespace.
	namespaces bool
	// remoteName returns the spelling by which external registries are asked for a
	// package; nil means the one that is stored.
	remoteName func(string) string
	// mainFile returns the name of the file that every version has. It is set if external
	// registries do not list the files of versions: see remotefile.go.
	mainFile func(id PackageID, version string) string
	// isOwnVersion reports whether a version is never taken from an external registry;
	// nil means that none is such.
	isOwnVersion func(version string) bool
	// forgetsYanked means that registries do not list a yanked version any more.
	forgetsYanked bool
	// ownOnly means that versions are never taken from upstream repositories.
	ownOnly bool
}

// formats has the rules of each format, also of those without a handler yet.
var formats = map[Format]*rules{
	NPM:     {name: asIs, nameKey: asIs, versionKey: withoutBuild, system: semver.NPM, sealed: true, defaultTag: "latest", namespaces: true},
	PyPI:    {name: canonPyPI, nameKey: asIs, versionKey: pypi.CanonVersion, system: semver.PyPI},
	Maven:   {name: asIs, nameKey: asIs, versionKey: asIs, system: semver.Maven, namespaces: true, mainFile: mavenPOM, isOwnVersion: isMavenSnapshotOrBuild},
	NuGet:   {name: strings.ToLower, nameKey: asIs, versionKey: canonNuGet, system: semver.NuGet, sealed: true, lateSidecars: true},
	Generic: {name: asIs, nameKey: asIs, versionKey: asIs, sealed: true, ownOnly: true, namespaces: true},
	Ruby:    {name: asIs, nameKey: asIs, versionKey: asIs, system: semver.RubyGems, forgetsYanked: true},
	Swift:   {name: strings.ToLower, nameKey: asIs, versionKey: withoutBuild, system: semver.DefaultSystem, sealed: true, namespaces: true},
	Cargo:   {name: asIs, nameKey: foldCargo, versionKey: withoutBuild, system: semver.Cargo, sealed: true, oneSpelling: true, remoteName: strings.ToLower},
}

// unknownFormat is for a format that does not exist. No package has it.
var unknownFormat = &rules{namespaces: true, name: asIs, nameKey: asIs, versionKey: asIs, sealed: true}

func (f Format) rules() *rules {
	if r, ok := formats[f]; ok {
		return r
	}
	return unknownFormat
}

// ownVersion reports whether a version is never taken from an external registry.
func (r *rules) ownVersion(version string) bool {
	return r.isOwnVersion != nil && r.isOwnVersion(version)
}

// takes reports whether a Published version accepts further files.
func (r *rules) takes(files []StagedAsset) bool {
	return !r.sealed || r.lateSidecars && !slices.ContainsFunc(files, func(a StagedAsset) bool { return a.Beside == "" })
}

// Known reports whether f is a format of CodeArtifact.
func (f Format) Known() bool {
	_, ok := formats[f]
	return ok
}

// Compare orders two versions as the format does: npm's by Semantic
// Versioning 2.0.0, PyPI's by PEP 440. Versions that the format cannot parse come
// first, and versions that are equal in the format are ordered bytewise.
func (f Format) Compare(a, b string) int {
	if f != Generic {
		if c := f.rules().system.Compare(a, b); c != 0 {
			return c
		}
	}
	return strings.Compare(a, b)
}

// A ranked version is a version with its parsed form, which is nil if the format
// cannot parse it.
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

// release reports whether the version is not a prerelease.
func (r ranked) release() bool { return r.parsed != nil && !r.parsed.IsPrerelease() }

// below reports whether o should be chosen before r: a release before a prerelease,
// and then the higher version.
func (r ranked) below(o ranked) bool {
	if r.release() != o.release() {
		return o.release()
	}
	if c := r.parsed.Compare(o.parsed); c != 0 {
		return c < 0
	}
	return r.Version.Version < o.Version.Version
}

// canonical returns the id with the stored spelling of the name.
func (p PackageID) canonical() PackageID {
	p.Name = p.Format.rules().name(p.Name)
	return p
}

// remote returns the id by which external registries are asked.
func (p PackageID) remote() PackageID {
	p = p.canonical()
	if rename := p.Format.rules().remoteName; rename != nil {
		p.Name = rename(p.Name)
	}
	return p
}

// key identifies the package in a repository. It is the same for every spelling.
func (p PackageID) key() string {
	r := p.Format.rules()
	return r.nameKey(r.name(p.Name))
}

// SameVersion reports whether the format treats two spellings as one version.
func (f Format) SameVersion(a, b string) bool { return f.versionKey(a) == f.versionKey(b) }

func (f Format) versionKey(version string) string { return f.rules().versionKey(version) }

// canonPyPI returns the normalised name of PEP 503, or "" if the name is invalid
// (PyPA specifications, "Names and normalization").
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

// namePrefix returns what turns the beginning of a name into the beginning of its stored
// spelling, for the patterns of package groups.
func (r *rules) namePrefix() func(string) string {
	if r.system == semver.PyPI {
		return func(s string) string { return separators.ReplaceAllString(strings.ToLower(s), "-") }
	}
	return r.name
}

// separators are a run of what PEP 503 takes for one separator.
var separators = lazyregexp.New(`[-_.]+`)

func asIs(s string) string { return s }

// withoutBuild drops the build metadata: versions that differ only in it are the
// same (Semantic Versioning 2.0.0, section 10).
func withoutBuild(version string) string {
	v, _, _ := strings.Cut(version, "+")
	return v
}

// canonNuGet is NuGet's normalised version in lower case.
func canonNuGet(version string) string {
	v, err := semver.NuGet.Parse(version)
	if err != nil {
		return strings.ToLower(version)
	}
	return v.Canon(false)
}

// foldCargo returns the same key for names that differ only in case or in '-' and '_',
// which cannot exist together (The Cargo Book, "Registry Index").
func foldCargo(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }
