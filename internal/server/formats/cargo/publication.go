package cargo

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/cargo/stored"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// Bounds of the metadata of a publication.
const (
	// maxMetadata bounds the JSON, in bytes. Most of it is the readme.
	maxMetadata     = 4 << 20
	maxDependencies = 2_000
	maxFeatures     = 5_000
	maxKeywords     = 50
)

// A publication is the JSON of a publish request (The Cargo Book, "Registry Web API",
// "Publish"). What is null or missing has the zero value.
type publication struct {
	Name          string              `json:"name"`
	Version       string              `json:"vers"`
	Dependencies  []sentDependency    `json:"deps"`
	Features      map[string][]string `json:"features"`
	Authors       []string            `json:"authors"`
	Description   string              `json:"description"`
	Documentation string              `json:"documentation"`
	HomePage      string              `json:"homepage"`
	Readme        string              `json:"readme"`
	Keywords      []string            `json:"keywords"`
	Categories    []string            `json:"categories"`
	License       string              `json:"license"`
	LicenseFile   string              `json:"license_file"`
	Repository    string              `json:"repository"`
	Links         string              `json:"links"`
	RustVersion   string              `json:"rust_version"`
}

// A sentDependency is a dependency in a publish request.
type sentDependency struct {
	// Name is the name of the crate, also if the dependency is renamed.
	Name            string   `json:"name"`
	Requirement     string   `json:"version_req"`
	Features        []string `json:"features"`
	Optional        bool     `json:"optional"`
	DefaultFeatures bool     `json:"default_features"`
	Target          string   `json:"target"`
	Kind            string   `json:"kind"`
	// Registry is the index of another registry, or empty for this one.
	Registry string `json:"registry"`
	// Renamed is the name by which the manifest calls the dependency, if it is
	// another one.
	Renamed string `json:"explicit_name_in_toml"`
}

// dependencyKinds are the kinds in a publish request and in the index.
var dependencyKinds = []string{"normal", "dev", "build"}

// readPublication reads the first part of the body of a publish request: the length of
// the JSON, as 32 bits, little-endian, and the JSON.
func readPublication(body io.Reader) (*publication, error) {
	size, err := readLength(body)
	if err != nil {
		return nil, err
	}
	if size > maxMetadata {
		return nil, fault.New(fault.TooLarge, "MetadataTooLarge", "The metadata of the crate have %d bytes; %d MiB are accepted. Most of them are the readme.", size, maxMetadata>>20)
	}
	part := &io.LimitedReader{R: body, N: int64(size)}
	text, err := io.ReadAll(part)
	if err != nil {
		return nil, incomplete(err)
	}
	if part.N > 0 {
		return nil, incomplete(io.ErrUnexpectedEOF)
	}
	return decodePublication(text)
}

// readLength reads the length before a part of the body, in bytes.
func readLength(body io.Reader) (uint32, error) {
	var length [4]byte
	if _, err := io.ReadFull(body, length[:]); err != nil {
		return 0, incomplete(err)
	}
	return binary.LittleEndian.Uint32(length[:]), nil
}

// incomplete is the error of a body that cannot be read to its end. An error of the
// server's own, such as a missing budget, stays what it is.
func incomplete(err error) error {
	if known := (*fault.Error)(nil); errors.As(err, &known) {
		return known
	}
	return fault.Wrap(err, fault.Invalid, "IncompleteBody", "The body ended before it was complete. A publish request is the length of the metadata, the metadata, the length of the .crate, and the .crate.")
}

func decodePublication(text []byte) (*publication, error) {
	p := new(publication)
	if err := json.Unmarshal(text, p); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "InvalidMetadata", "The metadata of the crate are not what cargo sends: %s.", syntaxProblem(err))
	}
	return p, p.check()
}

// syntaxProblem is a decoder's error without the name of the decoder.
func syntaxProblem(err error) string {
	if syntax := (*jsontext.SyntacticError)(nil); errors.As(err, &syntax) {
		err = syntax
	}
	text := err.Error()
	for _, prefix := range []string{"jsontext: ", "json: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}

// check checks what cargo needs to read the version from the index: it skips a line
// that it cannot read, without a word.
func (p *publication) check() error {
	if err := checkName(p.Name); err != nil {
		return err
	}
	if err := checkVersion(p.Version); err != nil {
		return err
	}
	switch {
	case len(p.Dependencies) > maxDependencies:
		return fault.New(fault.Limit, "TooManyDependencies", "The crate has %d dependencies; %d are accepted.", len(p.Dependencies), maxDependencies)
	case len(p.Features) > maxFeatures:
		return fault.New(fault.Limit, "TooManyFeatures", "The crate has %d features; %d are accepted.", len(p.Features), maxFeatures)
	case len(p.Keywords) > maxKeywords || len(p.Categories) > maxKeywords:
		return fault.New(fault.Limit, "TooManyKeywords", "The crate has more than %d keywords or categories.", maxKeywords)
	}
	for i := range p.Dependencies {
		if err := p.Dependencies[i].check(); err != nil {
			return err
		}
	}
	for name := range p.Features {
		if !validFeature(name) {
			return invalid("InvalidFeature", "%.80q cannot name a feature: use letters, digits, '_', '-', '+' and '.', beginning with a letter, a digit or '_'.", name)
		}
	}
	return nil
}

func (d *sentDependency) check() error {
	if err := checkName(d.Name); err != nil {
		return err
	}
	if d.Renamed != "" && !validDependencyName(d.Renamed) {
		return invalid("InvalidDependency", "The dependency %s is renamed to %.80q, which is not a name.", d.Name, d.Renamed)
	}
	if !validRequirement(d.Requirement) {
		return invalid("InvalidDependency", "%.80q is not a version requirement. The dependency %s has it.", d.Requirement, d.Name)
	}
	if d.Kind == "" {
		d.Kind = "normal"
	}
	if !slices.Contains(dependencyKinds, d.Kind) {
		return invalid("InvalidDependency", "The kind of the dependency %s is %.80q. It must be one of %s.", d.Name, d.Kind, strings.Join(dependencyKinds, ", "))
	}
	return nil
}

// validDependencyName allows the names that cargo allows in a manifest: unlike the name
// of a crate they may begin with '_'.
func validDependencyName(name string) bool {
	return stored.ValidName(strings.TrimLeft(name, "_")) && len(name) <= stored.MaxName
}

// validFeature follows cargo ("Features", "The [features] section"), within ASCII.
func validFeature(name string) bool {
	if name == "" || len(name) > stored.MaxVersion {
		return false
	}
	for i := range len(name) {
		c := name[i]
		first := isLetter(c) || c >= '0' && c <= '9' || c == '_'
		if !first && (i == 0 || c != '-' && c != '+' && c != '.') {
			return false
		}
	}
	return true
}
