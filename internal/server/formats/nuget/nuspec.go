package nuget

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
	maxNuspec = 512 << 10 // bytes
	maxID     = 100       // characters, NuGet's own bound
	// maxText bounds each text that registrations repeat, in bytes: the public
	// gallery takes descriptions of 4,000 characters.
	maxText  = 4000
	maxTypes = 50
)

// idPattern is NuGet's PackageIdValidator. Letters outside ASCII are refused: clients
// do not agree on their lower case.
var idPattern = lazyregexp.New(`^[0-9A-Za-z_]+([.-][0-9A-Za-z_]+)*$`)

// A manifest is a .nuspec file. Its XML namespace differs by year, so elements are
// found by their local names (Microsoft Learn, ".nuspec reference").
type manifest struct {
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
			Groups []manifestGroup      `xml:"group"`
			All    []manifestDependency `xml:"dependency"` // older: for every framework
		} `xml:"dependencies"`
		PackageTypes []struct {
			Name string `xml:"name,attr"`
		} `xml:"packageTypes>packageType"`
	} `xml:"metadata"`
}

type (
	manifestGroup struct {
		TargetFramework string               `xml:"targetFramework,attr"`
		Dependencies    []manifestDependency `xml:"dependency"`
	}
	manifestDependency struct {
		ID      string `xml:"id,attr"`
		Version string `xml:"version,attr"`
		Exclude string `xml:"exclude,attr"`
	}
)

// A nuspec is what is kept of a manifest, in the metadata of the version. Search
// results and registrations are made of it.
type nuspec struct {
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
	DependencyGroups         []dependencyGroup `json:"dependencyGroups,omitempty"`
	PackageTypes             []string          `json:"packageTypes,omitempty"`
	// Readme is the name of the readme file in the package.
	Readme string `json:"readme,omitempty"`

	repository string // the address of the source code
}

type (
	dependencyGroup struct {
		TargetFramework string       `json:"targetFramework,omitempty"`
		Dependencies    []dependency `json:"dependencies,omitempty"`
	}
	dependency struct {
		ID    string `json:"id"`
		Range string `json:"range,omitempty"` // as in the manifest
	}
)

// parseNuspec reads a manifest and checks its id, its version and its dependencies.
func parseNuspec(raw []byte) (*nuspec, error) {
	var m manifest
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
	n := &nuspec{
		ID: strings.TrimSpace(about.ID), Version: strings.TrimSpace(about.Version), Title: text(about.Title), Authors: text(about.Authors),
		Description: text(about.Description), Summary: text(about.Summary), Language: text(about.Language),
		Tags: strings.FieldsFunc(text(about.Tags), func(c rune) bool { return c == ' ' || c == ',' || c == '\t' || c == '\n' || c == '\r' }),

		ProjectURL: address(about.ProjectURL), IconURL: address(about.IconURL), LicenseURL: address(about.LicenseURL),
		RequireLicenseAcceptance: strings.EqualFold(strings.TrimSpace(about.RequireLicenseAcceptance), "true"),
		MinClientVersion:         text(about.MinClientVersion),
		Readme:                   path(about.Readme),
		repository:               text(about.Repository.URL),
	}
	if about.License.Type == "expression" {
		n.LicenseExpression = text(about.License.Text)
	}
	for _, t := range about.PackageTypes {
		if name := truncate.Prefix(strings.TrimSpace(t.Name), maxID); name != "" {
			n.PackageTypes = append(n.PackageTypes, name)
		}
	}
	groups := about.Dependencies.Groups
	if len(about.Dependencies.All) > 0 {
		groups = append(groups, manifestGroup{Dependencies: about.Dependencies.All})
	}
	for _, g := range groups {
		n.DependencyGroups = append(n.DependencyGroups, g.kept())
	}
	return n, n.check()
}

func (g manifestGroup) kept() dependencyGroup {
	kept := dependencyGroup{TargetFramework: strings.TrimSpace(g.TargetFramework)}
	for _, d := range g.Dependencies {
		kept.Dependencies = append(kept.Dependencies, dependency{ID: strings.TrimSpace(d.ID), Range: strings.TrimSpace(d.Version)})
	}
	return kept
}

func text(s string) string { return truncate.String(strings.TrimSpace(s), maxText) }

// address returns an address that a client may open, or "".
func address(s string) string {
	if s = strings.TrimSpace(s); len(s) <= maxText && (strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://")) {
		return s
	}
	return ""
}

// path is the name of a file in the package as its zip spells it.
func path(s string) string {
	return strings.TrimPrefix(strings.ReplaceAll(strings.TrimSpace(s), `\`, "/"), "/")
}

func (n *nuspec) check() error {
	if len(n.ID) > maxID || !idPattern.MatchString(n.ID) {
		return fmt.Errorf("%q cannot be an id: use at most %d letters, digits and underscores, with single dots and dashes between them", truncate.String(n.ID, maxID), maxID)
	}
	if _, ok := parseVersion(n.Version); !ok {
		return fmt.Errorf("%q is not a version such as 1.2.3 or 1.2.3-beta.1", truncate.String(n.Version, maxVersion))
	}
	if len(n.PackageTypes) > maxTypes {
		return fmt.Errorf("it has more than %d package types", maxTypes)
	}
	for _, g := range n.DependencyGroups {
		for _, d := range g.Dependencies {
			if len(d.ID) > maxID || !idPattern.MatchString(d.ID) {
				return fmt.Errorf("%q cannot be the id of a dependency", truncate.String(d.ID, maxID))
			}
		}
	}
	return nil
}

// version is the version of a nuspec that was checked.
func (n *nuspec) version() version {
	v, _ := parseVersion(n.Version)
	return v
}

// semVer2 reports whether older clients must not see the package: its version, or the
// range of a dependency, needs Semantic Versioning 2.0.0 (NuGet wiki, "SemVer2
// support").
func (n *nuspec) semVer2() bool {
	return needsSemVer2(n.Version) || slices.ContainsFunc(n.DependencyGroups, func(g dependencyGroup) bool {
		return slices.ContainsFunc(g.Dependencies, func(d dependency) bool { return boundsNeedSemVer2(d.Range) })
	})
}

// types are the types of the package. One that names none is a Dependency.
func (n *nuspec) types() []string {
	if len(n.PackageTypes) == 0 {
		return []string{"Dependency"}
	}
	return n.PackageTypes
}

func (n *nuspec) hasType(name string) bool {
	return slices.ContainsFunc(n.types(), func(t string) bool { return strings.EqualFold(t, name) })
}

// description is what the CodeArtifact API answers about the version.
func (n *nuspec) description(readme string) *packages.Description {
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

// searchText is the text in which searches look.
func (n *nuspec) searchText() string {
	var lines []string // the types first: the store bounds the text
	for _, t := range n.types() {
		lines = append(lines, typeLine+t)
	}
	lines = append(append(lines, n.Title, n.Description, n.Summary, n.Authors), n.Tags...)
	return strings.ToLower(strings.Join(lines, "\n")) + "\n"
}

// typeLine begins the line of a package type in a search text.
const typeLine = "packagetype="
