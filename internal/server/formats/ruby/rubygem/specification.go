package rubygem

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

// The patterns are those of Gem::Specification::VALID_NAME_PATTERN and Gem::Version, and
// what a file name can have of a platform. Nothing that they accept can break a line of
// the compact index.
var (
	namePattern       = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	versionPattern    = lazyregexp.New(`^[0-9]+(\.[0-9A-Za-z]+)*$`)
	constraintPattern = lazyregexp.New(`^[0-9]+(\.[0-9A-Za-z]+)*(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)
	platformPattern   = lazyregexp.New(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)
)

// Bounds of a specification.
const (
	MaxName     = 120
	maxText     = 16 << 10 // bytes of a description
	maxEntries  = 2000     // dependencies, authors and so on
	AnyPlatform = "ruby"   // the platform of a gem without compiled code
	maxVersions = 100      // constraints of one dependency
	maxKept     = 1 << 20  // bytes of all texts that are kept; aliases can repeat a long one
)

// operators are those of Gem::Requirement.
var operators = []string{"=", "!=", ">", "<", ">=", "<=", "~>"}

// A Constraint is an operator and a version.
type Constraint [2]string

// A Requirement is a list of constraints that all must be true. Empty means any version.
type Requirement []Constraint

// A Gem is what is kept of a specification, in the metadata of the gem's file.
type Gem struct {
	Name         string            `json:"name"`
	Version      string            `json:"version"`
	Platform     string            `json:"platform"` // "ruby" if it has no compiled code
	Date         string            `json:"date,omitempty"`
	Summary      string            `json:"summary,omitempty"`
	Description  string            `json:"description,omitempty"`
	Homepage     string            `json:"homepage,omitempty"`
	Authors      []string          `json:"authors,omitempty"`
	Licenses     []string          `json:"licenses,omitempty"`
	Ruby         Requirement       `json:"ruby,omitempty"`
	RubyGems     Requirement       `json:"rubygems,omitempty"`
	Dependencies []Dependency      `json:"dependencies,omitempty"`
	Metadata     map[string]string `json:"metadata,omitempty"`
	// Extensions is true if installing the gem compiles code that is in it, by a program
	// that is in it. It is nil if the gem was not read.
	Extensions *bool `json:"extensions,omitempty"`
	// BuiltWith is the version of RubyGems that made the gem.
	BuiltWith string `json:"rubygems_version,omitempty"`
}

// A Dependency is on another gem.
type Dependency struct {
	Name        string      `json:"name"`
	Requirement Requirement `json:"requirement,omitempty"`
	Development bool        `json:"development,omitempty"`
}

// ParseSpecification reads metadata.gz of a gem, unpacked, and checks what clients rely
// on: names, versions and platforms.
func ParseSpecification(raw []byte) (*Gem, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("it is not UTF-8")
	}
	n, err := parseYAML(raw)
	if err != nil {
		return nil, err
	}
	g := &Gem{
		Name: n.get("name").text(), Version: versionText(n.get("version")), Platform: platformText(n.get("platform")), Date: dateText(n.get("date").text()),
		Summary: truncate.String(n.get("summary").text(), maxText), Description: truncate.String(n.get("description").text(), maxText),
		Homepage: truncate.String(n.get("homepage").text(), maxText), Licenses: n.get("licenses").texts(), Authors: n.get("authors").texts(),
		BuiltWith: truncate.Prefix(n.get("rubygems_version").text(), MaxName), Metadata: map[string]string{},
	}
	extensions := len(n.get("extensions").texts()) > 0
	g.Extensions = &extensions
	if one := n.get("license").text(); len(g.Licenses) == 0 && one != "" {
		g.Licenses = []string{one}
	}
	if one := n.get("author").text(); len(g.Authors) == 0 && one != "" {
		g.Authors = []string{one}
	}
	n.get("metadata").pairs(func(key, value string) {
		if len(g.Metadata) < maxEntries {
			g.Metadata[key] = truncate.String(value, maxText)
		}
	})
	if g.Ruby, err = parseRequirement(n.get("required_ruby_version")); err != nil {
		return nil, fmt.Errorf("required_ruby_version: %w", err)
	}
	if g.RubyGems, err = parseRequirement(n.get("required_rubygems_version")); err != nil {
		return nil, fmt.Errorf("required_rubygems_version: %w", err)
	}
	if err := g.readDependencies(n.get("dependencies").list()); err != nil {
		return nil, err
	}
	return g, g.check()
}

func (g *Gem) readDependencies(all []node) error {
	if len(all) > maxEntries {
		return fmt.Errorf("it has more than %d dependencies", maxEntries)
	}
	for _, d := range all {
		r := d.get("requirement")
		for _, old := range []string{"version_requirements", "version_requirement"} {
			if r.plain() == nil {
				r = d.get(old)
			}
		}
		name := d.get("name").text()
		constraints, err := parseRequirement(r)
		if err != nil {
			return fmt.Errorf("the dependency %s: %w", truncate.String(name, MaxName), err)
		}
		g.Dependencies = append(g.Dependencies, Dependency{name, constraints, strings.TrimPrefix(d.get("type").text(), ":") == "development"})
	}
	return nil
}

// versionText reads a Gem::Version, or the plain version of very old gems.
func versionText(n node) string {
	if v := n.get("version").text(); v != "" {
		return v
	}
	return n.text()
}

// platformText reads a platform: a text, or the Gem::Platform of old gems.
func platformText(n node) string {
	if t := n.text(); t != "" {
		return t
	}
	var parts []string
	for _, key := range []string{"cpu", "os", "version"} {
		if t := n.get(key).text(); t != "" {
			parts = append(parts, t)
		}
	}
	if len(parts) == 0 {
		return AnyPlatform
	}
	return strings.Join(parts, "-")
}

// dateText returns the day of a time.
func dateText(s string) string {
	if day, _, _ := strings.Cut(s, " "); datePattern.MatchString(day) {
		return day
	}
	return "1980-01-02" // what RubyGems writes for a build whose time must not matter
}

var datePattern = lazyregexp.New(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)

func parseRequirement(n node) (Requirement, error) {
	if n.plain() == nil {
		return nil, nil
	}
	list := n.get("requirements").list()
	if len(list) > maxVersions {
		return nil, fmt.Errorf("it has more than %d constraints", maxVersions)
	}
	var all Requirement
	for _, entry := range list {
		pair := entry.list()
		if len(pair) != 2 {
			return nil, errors.New("it is not an operator and a version")
		}
		c := Constraint{pair[0].text(), versionText(pair[1])}
		if !slices.Contains(operators, c[0]) || !constraintPattern.MatchString(c[1]) || len(c[1]) > MaxName {
			return nil, fmt.Errorf("%.120q is not an operator and a version", c[0]+" "+c[1])
		}
		all = append(all, c)
	}
	return all, nil
}

// ValidName reports whether a text can name a gem.
func ValidName(s string) bool { return len(s) <= MaxName && namePattern.MatchString(s) }

// ValidFullName reports whether a text can be a name with a version and a platform.
func ValidFullName(s string) bool { return len(s) <= 3*MaxName && namePattern.MatchString(s) }

// ValidVersion reports whether a text is a version such as 1.2.3 or 1.2.0.rc1.
func ValidVersion(s string) bool { return len(s) <= MaxName && versionPattern.MatchString(s) }

// ValidPlatform reports whether a text can be a platform in the name of a gem's file.
func ValidPlatform(s string) bool { return len(s) <= MaxName && platformPattern.MatchString(s) }

func (g *Gem) check() error {
	switch {
	case !ValidName(g.Name):
		return fmt.Errorf("%.120q cannot name a gem: use letters, digits, '.', '_' and '-'", g.Name)
	case !ValidVersion(g.Version):
		return fmt.Errorf("%.120q is not a version such as 1.2.3", g.Version)
	case !ValidPlatform(g.Platform):
		return fmt.Errorf("%.120q is not a platform", g.Platform)
	}
	if g.size() > maxKept {
		return fmt.Errorf("its texts are larger than %d MiB together", maxKept>>20)
	}
	for _, d := range g.Dependencies {
		if !ValidName(d.Name) {
			return fmt.Errorf("%.120q cannot name a dependency", d.Name)
		}
	}
	return nil
}

// size is how many bytes the texts of the specification have together.
func (g *Gem) size() int {
	n := len(g.Summary) + len(g.Description) + len(g.Homepage)
	for _, text := range slices.Concat(g.Authors, g.Licenses) {
		n += len(text) + 1
	}
	for key, value := range g.Metadata {
		n += len(key) + len(value)
	}
	for _, d := range g.Dependencies {
		n += len(d.Name)
		for _, c := range d.Requirement {
			n += len(c[0]) + len(c[1])
		}
	}
	return n
}

// FullName is the name of the gem's file without its extension.
func (g *Gem) FullName() string { return g.Name + "-" + g.Number() }

// Number is the version with the platform, unless that is "ruby".
func (g *Gem) Number() string {
	if g.Platform == AnyPlatform {
		return g.Version
	}
	return g.Version + "-" + g.Platform
}

func (g *Gem) FileName() string { return g.FullName() + ".gem" }

// Prerelease is Gem::Version#prerelease?.
func (g *Gem) Prerelease() bool {
	return strings.ContainsFunc(g.Version, func(c rune) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' })
}

// OrAny is the requirement as RubyGems has it: ">= 0" for any version.
func (r Requirement) OrAny() Requirement {
	if len(r) == 0 {
		return Requirement{{">=", "0"}}
	}
	return r
}

func (r Requirement) Any() bool {
	return len(r) == 0 || len(r) == 1 && r[0] == Constraint{">=", "0"}
}

// Join writes the constraints with a separator between them.
func (r Requirement) Join(separator string) string {
	var parts []string
	for _, c := range r.OrAny() {
		parts = append(parts, c[0]+" "+c[1])
	}
	return strings.Join(parts, separator)
}

// Describe is what the CodeArtifact API answers about the version.
func (g *Gem) Describe() *packages.Description {
	d := &packages.Description{DisplayName: g.Name, Summary: g.Summary, HomePage: g.Homepage, SourceCodeRepository: g.Metadata["source_code_uri"]}
	for _, l := range g.Licenses {
		d.Licenses = append(d.Licenses, packages.License{Name: l})
	}
	for _, dep := range g.Dependencies {
		kind := "runtime"
		if dep.Development {
			kind = "development"
		}
		d.Dependencies = append(d.Dependencies, packages.Dependency{Package: dep.Name, Type: kind, VersionRequirement: dep.Requirement.Join(", ")})
	}
	return d
}

// Runtime are the dependencies that are installed with the gem.
func (g *Gem) Runtime() []Dependency {
	var out []Dependency
	for _, d := range g.Dependencies {
		if !d.Development {
			out = append(out, d)
		}
	}
	return out
}

// MetadataKeys are the keys of the metadata in order.
func (g *Gem) MetadataKeys() []string { return slices.Sorted(maps.Keys(g.Metadata)) }
