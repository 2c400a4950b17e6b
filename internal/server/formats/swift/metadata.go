package swift

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// versionMetadata is what the store keeps of a release, beside its archive and its
// manifests.
type versionMetadata struct {
	// Scope and Name are as the client that published the release spelled them.
	Scope string `json:"scope"`
	Name  string `json:"name"`
	// Metadata is the JSON of the part metadata as it was sent, or nil. Signed is its
	// signature.
	Metadata []byte `json:"metadata,omitempty"`
	Signed   []byte `json:"metadataSignature,omitempty"`
	// Signature is the signature of the archive, and Format says how it was made.
	Signature []byte          `json:"signature,omitempty"`
	Format    string          `json:"signatureFormat,omitempty"`
	Manifests []manifestAbout `json:"manifests"`
}

// A manifestAbout is Package.swift, or Package@swift-5.9.swift for a version of Swift.
type manifestAbout struct {
	File string `json:"file"`
	// ToolsVersion is from the first line of the manifest.
	ToolsVersion string `json:"toolsVersion,omitempty"`
}

func decodeMetadata(text []byte) (m versionMetadata, err error) {
	err = json.Unmarshal(text, &m)
	return m, err
}

// packageSwift is the manifest of a package for every version of Swift.
const packageSwift = "Package.swift"

var (
	manifestName = lazyregexp.New(`^Package@swift-(\d+(?:\.\d+){0,2})\.swift$`)
	// toolsVersion is in the first line ("SwiftPM: swift-tools-version").
	toolsVersion = lazyregexp.New(`^//\s*(?i:swift-tools-version):\s*(\d+(?:\.\d+){0,2})`)
)

func isManifest(file string) bool { return file == packageSwift || manifestName.MatchString(file) }

// manifestFile is the manifest for a version of Swift. ok is false for something that is
// not a version.
func manifestFile(swiftVersion string) (file string, ok bool) {
	file = "Package@swift-" + swiftVersion + ".swift"
	return file, manifestName.MatchString(file)
}

// readToolsVersion returns the tools version of a manifest, or "". Nothing more of a
// manifest can be read without a compiler.
func readToolsVersion(text []byte) string {
	if m := toolsVersion.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}

// releaseAbout is what is read of the part metadata (specification, "package release
// metadata").
type releaseAbout struct {
	Author struct {
		Name string `json:"name"`
	} `json:"author"`
	Description    string   `json:"description"`
	LicenseURL     string   `json:"licenseURL"`
	ReadmeURL      string   `json:"readmeURL"`
	RepositoryURLs []string `json:"repositoryURLs"`
}

// describe returns what the CodeArtifact API answers about a release.
func (a releaseAbout) describe(rt route) *packages.Description {
	d := &packages.Description{DisplayName: rt.scope + "." + rt.name, Summary: a.Description}
	if len(a.RepositoryURLs) > 0 {
		d.SourceCodeRepository = a.RepositoryURLs[0]
	}
	if a.LicenseURL != "" {
		d.Licenses = []packages.License{{URL: a.LicenseURL}}
	}
	return d
}

// maxSearchText bounds the text that searches look in, in bytes.
const maxSearchText = 4 << 10

// searchText has a line for the address of each source repository. [Handler.getIdentifiers]
// looks for them.
func (a releaseAbout) searchText() string {
	var text strings.Builder
	for _, address := range a.RepositoryURLs {
		if n := normalURL(address); n != "" && !strings.Contains(n, "\n") && text.Len()+len(n) < maxSearchText {
			text.WriteString(n + "\n")
		}
	}
	return text.String()
}

func hasLine(text, line string) bool {
	return slices.Contains(strings.Split(text, "\n"), line)
}

func validJSON(text []byte) bool { return jsontext.Value(text).IsValid() }
