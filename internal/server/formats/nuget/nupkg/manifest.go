package nupkg

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

// Bounds of a manifest.
const (
	maxManifest = 512 << 10 // bytes
	MaxID       = 100       // characters, NuGet's own bound
	// maxText bounds each text that registrations repeat, in bytes: the public
	// gallery takes descriptions of 4,000 characters.
	maxText  = 4000
	maxTypes = 50
)

// idPattern is NuGet's PackageIdValidator. Letters outside ASCII are refused: clients
// do not agree on their lower case.
var idPattern = lazyregexp.New(`^[0-9A-Za-z_]+([.-][0-9A-Za-z_]+)*$`)

// A document is a .nuspec file. Its XML namespace differs by year, so elements are
// found by their local names (Microsoft Learn, ".nuspec reference").
type document struct {
	XMLName  xml.Name `xml:"package"`
	Metadata struct {
		MinClientVersion         string `xml:"minClientVersion,attr"`
		ID                       string `xml:"id"`
		Version                  string `xml:"version"`
		Title                    string `xml:"title"`
		Authors                  string `xml:"authors"`
		Description              string `xml:"description"`
		Summary                  string `xml:"summary"`
		Language                 string `xml:"language"`
		Tags                     string `xml:"tags"`
		ProjectURL               string `xml:"projectUrl"`
		IconURL                  string `xml:"iconUrl"`
		LicenseURL               string `xml:"licenseUrl"`
		RequireLicenseAcceptance string `xml:"requireLicenseAcceptance"`
		Readme                   string `xml:"readme"`
		License                  struct {
			Type string `xml:"type,attr"` // expression, or file
			Text string `xml:",chardata"`
		} `xml:"license"`
		Repository struct {
			URL string `xml:"url,attr"`
		} `xml:"repository"`
		Dependencies struct {
			Groups []documentGroup      `xml:"group"`
			All    []documentDependency `xml:"dependency"` // older: for every framework
		} `xml:"dependencies"`
		PackageTypes []struct {
			Name string `xml:"name,attr"`
		} `xml:"packageTypes>packageType"`
	} `xml:"metadata"`
}

type (
	documentGroup struct {
		TargetFramework string               `xml:"targetFramework,attr"`
		Dependencies    []documentDependency `xml:"dependency"`
	}
	documentDependency struct {
		ID      string `xml:"id,attr"`
		Version string `xml:"version,attr"`
		Exclude string `xml:"exclude,attr"`
	}
)

// A Manifest is what is kept of a manifest, in the metadata of the version. Search
// results and registrations are made of it.
type Manifest struct {
	ID                       string            `json:"id"`
	Version                  string            `json:"version"` // as the package spells it
	Title                    string            `json:"title,omitempty"`
	Authors                  string            `json:"authors,omitempty"`
	Description              string            `json:"description,omitempty"`
	Summary                  string            `json:"summary,omitempty"`
	Language                 string            `json:"language,omitempty"`
	Tags                     []string          `json:"tags,omitempty"`
	ProjectURL               string            `json:"projectUrl,omitempty"`
	IconURL                  string            `json:"iconUrl,omitempty"`
	LicenseExpression        string            `json:"licenseExpression,omitempty"`
	LicenseURL               string            `json:"licenseUrl,omitempty"`
	RequireLicenseAcceptance bool              `json:"requireLicenseAcceptance,omitempty"`
	MinClientVersion         string            `json:"minClientVersion,omitempty"`
	DependencyGroups         []DependencyGroup `json:"dependencyGroups,omitempty"`
	PackageTypes             []string          `json:"packageTypes,omitempty"`
	// Readme is the name of the readme file in the package.
	Readme string `json:"readme,omitempty"`
	// Deprecation and Vulnerabilities are what an external registry says of the version.
	// A manifest has neither.
	Deprecation     *Deprecation    `json:"deprecation,omitempty"`
	Vulnerabilities []Vulnerability `json:"vulnerabilities,omitempty"`

	repository string // the address of the source code
}

type (
	DependencyGroup struct {
		TargetFramework string       `json:"targetFramework,omitempty"`
		Dependencies    []Dependency `json:"dependencies,omitempty"`
	}
	Dependency struct {
		ID    string `json:"id"`
		Range string `json:"range,omitempty"` // as in the manifest
	}
)

type (
	// A Deprecation is why a version should not be used any more (Microsoft Learn,
	// "Package metadata", Package deprecation).
	Deprecation struct {
		Reasons   []string   `json:"reasons"`
		Message   string     `json:"message,omitempty"`
		Alternate *Alternate `json:"alternatePackage,omitempty"`
	}
	// An Alternate is a package to use instead. Range is "*" for any version.
	Alternate struct {
		ID    string `json:"id"`
		Range string `json:"range"`
	}
	// A Vulnerability is an advisory that the version is affected by. Severity is 0 to 3,
	// the worst.
	Vulnerability struct {
		AdvisoryURL string `json:"advisoryUrl"`
		Severity    string `json:"severity"`
	}
)

// ParseManifest reads a manifest and checks its id, its version and its dependencies.
func ParseManifest(raw []byte) (*Manifest, error) {
	var m document
	d := xml.NewDecoder(bytes.NewReader(raw))
	d.CharsetReader = func(charset string, _ io.Reader) (io.Reader, error) {
		return nil, fmt.Errorf("it is in %s, but must be in UTF-8", truncate.String(charset, 40))
	}
	if err := d.Decode(&m); err != nil {
		if err == io.EOF {
			err = errors.New("it has no element package")
		}
		return nil, err
	}
	about := m.Metadata
	n := &Manifest{
		ID: strings.TrimSpace(about.ID), Version: strings.TrimSpace(about.Version), Title: Text(about.Title), Authors: Text(about.Authors),
		Description: Text(about.Description), Summary: Text(about.Summary), Language: Text(about.Language),
		Tags: strings.FieldsFunc(Text(about.Tags), func(c rune) bool { return c == ' ' || c == ',' || c == '\t' || c == '\n' || c == '\r' }),

		ProjectURL: Address(about.ProjectURL), IconURL: Address(about.IconURL), LicenseURL: Address(about.LicenseURL),
		RequireLicenseAcceptance: strings.EqualFold(strings.TrimSpace(about.RequireLicenseAcceptance), "true"),
		MinClientVersion:         Text(about.MinClientVersion),
		Readme:                   path(about.Readme),
		repository:               Text(about.Repository.URL),
	}
	if about.License.Type == "expression" {
		n.LicenseExpression = Text(about.License.Text)
	}
	for _, t := range about.PackageTypes {
		if name := truncate.Prefix(strings.TrimSpace(t.Name), MaxID); name != "" {
			n.PackageTypes = append(n.PackageTypes, name)
		}
	}
	groups := about.Dependencies.Groups
	if len(about.Dependencies.All) > 0 {
		groups = append(groups, documentGroup{Dependencies: about.Dependencies.All})
	}
	for _, g := range groups {
		n.DependencyGroups = append(n.DependencyGroups, g.kept())
	}
	return n, n.check()
}

func (g documentGroup) kept() DependencyGroup {
	kept := DependencyGroup{TargetFramework: strings.TrimSpace(g.TargetFramework)}
	for _, d := range g.Dependencies {
		kept.Dependencies = append(kept.Dependencies, Dependency{ID: strings.TrimSpace(d.ID), Range: strings.TrimSpace(d.Version)})
	}
	return kept
}

// Text returns a text as far as it is kept.
func Text(s string) string { return truncate.String(strings.TrimSpace(s), maxText) }

// Address returns an address that a client may open, or "".
func Address(s string) string {
	if s = strings.TrimSpace(s); len(s) <= maxText && (strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://")) {
		return s
	}
	return ""
}

// path is the name of a file in the package as its zip spells it.
func path(s string) string {
	return strings.TrimPrefix(strings.ReplaceAll(strings.TrimSpace(s), `\`, "/"), "/")
}

func (n *Manifest) check() error {
	if !ValidID(n.ID) {
		return fmt.Errorf("%q cannot be an id: use at most %d letters, digits and underscores, with single dots and dashes between them", truncate.String(n.ID, MaxID), MaxID)
	}
	if _, ok := ParseVersion(n.Version); !ok {
		return fmt.Errorf("%q is not a version such as 1.2.3 or 1.2.3-beta.1", truncate.String(n.Version, maxVersion))
	}
	if len(n.PackageTypes) > maxTypes {
		return fmt.Errorf("it has more than %d package types", maxTypes)
	}
	for _, g := range n.DependencyGroups {
		for _, d := range g.Dependencies {
			if !ValidID(d.ID) {
				return fmt.Errorf("%q cannot be the id of a dependency", truncate.String(d.ID, MaxID))
			}
		}
	}
	return nil
}

// Parsed is the version of a manifest that was checked.
func (n *Manifest) Parsed() Version {
	v, _ := ParseVersion(n.Version)
	return v
}

// NeedsSemVer2 reports whether older clients must not see the package: its version, or the
// range of a dependency, needs Semantic Versioning 2.0.0 (NuGet wiki, "SemVer2
// support").
func (n *Manifest) NeedsSemVer2() bool {
	return needsSemVer2(n.Version) || slices.ContainsFunc(n.DependencyGroups, func(g DependencyGroup) bool {
		return slices.ContainsFunc(g.Dependencies, func(d Dependency) bool { return boundsNeedSemVer2(d.Range) })
	})
}

// Types are the types of the package. One that names none is a Dependency.
func (n *Manifest) Types() []string {
	if len(n.PackageTypes) == 0 {
		return []string{"Dependency"}
	}
	return n.PackageTypes
}

func (n *Manifest) HasType(name string) bool {
	return slices.ContainsFunc(n.Types(), func(t string) bool { return strings.EqualFold(t, name) })
}

// Describe is what the CodeArtifact API answers about the version.
func (n *Manifest) Describe(readme string) *packages.Description {
	d := &packages.Description{
		DisplayName: n.ID, Summary: n.Description, HomePage: n.ProjectURL, SourceCodeRepository: n.repository, Readme: readme,
	}
	if n.Summary != "" {
		d.Summary = n.Summary
	}
	if n.LicenseExpression != "" || n.LicenseURL != "" {
		d.Licenses = []packages.License{{Name: n.LicenseExpression, URL: n.LicenseURL}}
	}
	// CodeArtifact has no type and no framework for NuGet's dependencies: a package
	// that several groups need in the same way is named once.
	for _, g := range n.DependencyGroups {
		for _, dep := range g.Dependencies {
			one := packages.Dependency{Package: strings.ToLower(dep.ID), VersionRequirement: dep.Range}
			if !slices.Contains(d.Dependencies, one) {
				d.Dependencies = append(d.Dependencies, one)
			}
		}
	}
	return d
}

// SearchText is the text in which searches look.
func (n *Manifest) SearchText() string {
	var lines []string // the types first: the store bounds the text
	for _, t := range n.Types() {
		lines = append(lines, TypeLine+t)
	}
	lines = append(append(lines, n.Title, n.Description, n.Summary, n.Authors), n.Tags...)
	return strings.ToLower(strings.Join(lines, "\n")) + "\n"
}

// TypeLine begins the line of a package type in a search text.
const TypeLine = "packagetype="

// ValidID reports whether NuGet's clients take a text for the id of a package.
func ValidID(id string) bool { return len(id) <= MaxID && idPattern.MatchString(id) }
