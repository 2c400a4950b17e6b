package packages

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// A Status is that of a package version (CodeArtifact User Guide, "Package
// version status").
type Status string

// The statuses.
const (
	// Published versions are listed and can be downloaded.
	Published Status = "Published"
	// Unfinished versions still wait for assets: not listed, downloadable. A
	// version that left this status does not come back to it.
	Unfinished Status = "Unfinished"
	// Unlisted versions can be downloaded by those who know of them.
	Unlisted Status = "Unlisted"
	// Archived versions cannot be downloaded, and can come back.
	Archived Status = "Archived"
	// Disposed versions lost their assets for good; what they were remains.
	Disposed Status = "Disposed"
	// Deleted is only ever an answer: such a version is no more.
	Deleted Status = "Deleted"
)

// downloadable reports whether assets of a version in this status are served.
func (s Status) downloadable() bool { return s == Published || s == Unlisted || s == Unfinished }

// A Restriction allows or blocks one way in which versions of a package come
// into a repository (User Guide, "Editing package origin controls").
type Restriction string

// The restrictions.
const (
	Allow Restriction = "ALLOW"
	Block Restriction = "BLOCK"
)

// Origin is the origin configuration of a package in a repository.
type Origin struct {
	// Publish is whether versions may be published to the repository directly.
	Publish Restriction
	// Upstream is whether versions of upstream repositories are seen.
	Upstream Restriction
}

// A Package is what the clients of a repository see of a package: its versions
// there and in the upstream repositories. It is immutable and shared.
type Package struct {
	// ID is in the spelling in which the package is kept.
	ID PackageID
	// Revision changes whenever anything in the Package does. It is unique for
	// one repository and one package: an ETag, and a cache's key.
	Revision string
	// Tags are npm's dist-tags: tag → version. A tag of a version that is not
	// in Versions is left out. Where the format has a tag that clients rely on
	// (npm's "latest") and nobody set it, it is the highest release.
	Tags map[string]string
	// Attributes are the format's own JSON about the package, nil if none.
	Attributes json.RawMessage
	// Versions are the Published ones, the one published first coming first.
	Versions []*Version
	// Created and Modified are the times of the first and the last change.
	Created, Modified time.Time

	byKey map[string]*Version // every version, hidden ones too
	bytes int64               // about what it takes in memory
}

// Version returns a version that can be downloaded, listed or not, under any
// spelling that the format takes for the same, or nil.
func (p *Package) Version(version string) *Version {
	v := p.byKey[p.ID.Format.versionKey(version)]
	if v == nil || !v.Status.downloadable() {
		return nil
	}
	return v
}

// A Version is one version of a package. It is immutable and shared.
type Version struct {
	// Version is in the spelling in which it was published.
	Version string
	// Revision changes with every change of the version's assets or metadata.
	Revision string
	Status   Status
	// Published is when the version came into its domain.
	Published time.Time
	// Metadata are the format's own JSON, such as npm's version object.
	Metadata json.RawMessage
	// Assets are in the order of their names, bytewise.
	Assets []Asset
	// EntryPoint is the name of the repository to which it was published.
	EntryPoint string
	// Repository is the name of the repository in which it was found: the one
	// that was asked, or an upstream.
	Repository string
}

// Asset returns the asset of the name, or nil.
func (v *Version) Asset(name string) *Asset {
	i, ok := slices.BinarySearchFunc(v.Assets, name, func(a Asset, name string) int { return strings.Compare(a.Name, name) })
	if !ok {
		return nil
	}
	return &v.Assets[i]
}

// An Asset is a file of a version. Hashes are lower-case hex.
type Asset struct {
	Name string
	// Size is in bytes.
	Size                      int64
	MD5, SHA1, SHA256, SHA512 string
	// Published is when this asset was added to its version.
	Published time.Time
	// Metadata are the format's own JSON about the file, nil if none.
	Metadata json.RawMessage

	object string
}

// A Description is what the CodeArtifact API tells of a version, taken from
// the format's metadata by the door through which it was published. Every field
// may be empty.
type Description struct {
	DisplayName          string       `json:"displayName,omitempty"`
	Summary              string       `json:"summary,omitempty"`
	HomePage             string       `json:"homePage,omitempty"`
	SourceCodeRepository string       `json:"sourceCodeRepository,omitempty"`
	Licenses             []License    `json:"licenses,omitempty"`
	Dependencies         []Dependency `json:"dependencies,omitempty"`
	// Readme is the text that GetPackageVersionReadme answers.
	Readme string `json:"readme,omitempty"`
}

// A License is a name, best an SPDX id, and an address.
type License struct {
	Name string `json:"name,omitempty"`
	URL  string `json:"url,omitempty"`
}

// A Dependency is what a version says it needs.
type Dependency struct {
	Namespace string `json:"namespace,omitempty"`
	Package   string `json:"package"`
	// Type is the format's own: npm's regular, dev, peer, optional.
	Type string `json:"type,omitempty"`
	// VersionRequirement is in the format's own language.
	VersionRequirement string `json:"versionRequirement,omitempty"`
}

// A Publication is one act of publishing: a version with its assets, or more
// assets for a version.
type Publication struct {
	Repository RepositoryID
	Package    PackageID
	Version    string
	// Metadata are the format's own JSON about the version. For a version that
	// exists they replace what it has, if the publication adds an asset; nil
	// leaves it.
	Metadata json.RawMessage
	// Attributes are the format's own JSON about the package; nil leaves them.
	Attributes json.RawMessage
	// Description replaces the version's as Metadata do; nil leaves it.
	Description *Description
	// Tags are set on this version: tag names, such as npm's "latest".
	Tags []string
	// Assets need one entry at least. Publish takes them over, whether it
	// succeeds or not.
	Assets []StagedAsset
	// Status is Published or Unfinished; empty is Published.
	Status Status
}

// A StagedAsset is staged content under the name that it shall have.
type StagedAsset struct {
	Name     string
	Content  *Staged
	Metadata json.RawMessage
}
