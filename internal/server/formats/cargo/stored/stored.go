// Package stored has what the package store keeps, as JSON, of a crate's versions, and the
// rules of names that readers and writers of an index share. A publication (formats/cargo)
// and the index of another registry (source/cargo) give the same.
package stored

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// A Version is the metadata of a version.
type Version struct {
	// Index is the version's line of the index (The Cargo Book, "Registry Index", "JSON
	// schema"), without the members that the store itself knows: cksum and yanked, and
	// pubtime unless HasTime is set. It may have members that this program does not know.
	Index jsontext.Value `json:"index"`
	// HasTime means that the line came from another registry, whose pubtime it has, if
	// there is one. That time never changes.
	HasTime bool  `json:"hasTime,omitzero"`
	About   About `json:"about"`
}

// About is what the web API answers about a version, beside its line of the index. It is
// empty for a version of another registry.
type About struct {
	Description   string   `json:"description,omitempty"`
	Documentation string   `json:"documentation,omitempty"`
	HomePage      string   `json:"homepage,omitempty"`
	Repository    string   `json:"repository,omitempty"`
	License       string   `json:"license,omitempty"`
	Keywords      []string `json:"keywords,omitempty"`
	Categories    []string `json:"categories,omitempty"`
}

// Decode reads the metadata of a version.
func Decode(text []byte) (v Version, err error) {
	err = json.Unmarshal(text, &v)
	return v, err
}

// Encode returns the metadata for the store.
func (v Version) Encode() ([]byte, error) { return json.Marshal(v) }

// A Dependency is a dependency in a line of the index. Name is the name in the manifest,
// and Package the name of the crate, if it is another one.
type Dependency struct {
	Name            string   `json:"name"`
	Requirement     string   `json:"req"`
	Features        []string `json:"features"`
	Optional        bool     `json:"optional"`
	DefaultFeatures bool     `json:"default_features"`
	Target          *string  `json:"target"`
	Kind            string   `json:"kind"`
	Registry        string   `json:"registry,omitempty"`
	Package         string   `json:"package,omitempty"`
}

// Describe returns what the CodeArtifact API can answer about a version by its line of
// the index: its name and dependencies.
func (v Version) Describe(id packages.PackageID) *packages.Description {
	var line struct {
		Name         string       `json:"name"`
		Dependencies []Dependency `json:"deps"`
	}
	d := &packages.Description{DisplayName: id.Name}
	if err := json.Unmarshal(v.Index, &line); err != nil {
		return d // cargo decides whether it can use such a line
	}
	if line.Name != "" {
		d.DisplayName = line.Name
	}
	for _, dep := range line.Dependencies {
		name, kind := dep.Name, dep.Kind
		if dep.Package != "" {
			name = dep.Package
		}
		if kind == "" {
			kind = "normal"
		}
		d.Dependencies = append(d.Dependencies, packages.Dependency{Package: name, Type: kind, VersionRequirement: dep.Requirement})
	}
	return d
}
