package packages

import (
	"encoding/json"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// A Status is the status of a package version (CodeArtifact User Guide, "Package
// version status").
type Status string

// The statuses.
const (
	// Published versions are listed and can be downloaded.
	Published Status = "Published"
	// Unfinished versions wait for more assets. They are not listed and can be
	// downloaded. A version that left this status cannot return to it.
	Unfinished Status = "Unfinished"
	// Unlisted versions are not listed and can be downloaded.
	Unlisted Status = "Unlisted"
	// Archived versions cannot be downloaded. Their status can be set back.
	Archived Status = "Archived"
	// Disposed versions have lost their assets for good; their metadata remain.
	Disposed Status = "Disposed"
	// Deleted appears only in answers: such a version does not exist any more.
	Deleted Status = "Deleted"
)

// downloadable reports whether assets of a version in this status are served.
func (s Status) downloadable() bool { return s == Published || s == Unlisted || s == Unfinished }

// A Restriction allows or blocks one way by which versions of a package come
// into a repository (User Guide, "Editing package origin controls").
type Restriction string

// The restrictions.
const (
	Allow Restriction = "ALLOW"
	Block Restriction = "BLOCK"
)

// Origin is the origin configuration of a package in a repository.
type Origin struct {
	// Publish says whether versions may be published to the repository directly.
	Publish Restriction
	// Upstream says whether versions in upstream repositories are visible.
	Upstream Restriction
}

// A Package is a package as the clients of a repository see it: its versions there
// and in the upstream repositories. It is immutable and shared.
type Package struct {
	// ID has the canonical spelling of the name.
	ID PackageID
	// Revision changes with every change of the Package. Together with the
	// repository and the package it can serve as an ETag or a cache key.
	Revision string
	// Tags are npm's dist-tags: tag → version. A tag of a version that is not in
	// Versions is left out. The tag that clients rely on (npm's "latest") is the
	// highest release if it is not set.
	Tags map[string]string
	// Attributes is the format's own JSON about the package, or nil.
	Attributes json.RawMessage
	// Versions are the Published versions in the order of publication.
	Versions []*Version
	// Created and Modified are the times of the first and the last change.
	Created, Modified time.Time
	// Hidden are the versions that were left out because they are denied to the caller,
	// in the order of publication.
	Hidden []HiddenVersion
	// Retagged is the tag that names another version here, because the one that it is on is
	// denied to the caller; empty if there is none.
	Retagged string

	byKey map[string]*Version // every version, hidden ones too
	bytes int64               // about its size in memory
	// best is what Highest has found. To rank hundreds of versions takes longer than the
	// rest of a request.
	best atomic.Pointer[Version]
}

// Version returns a version that can be downloaded, listed or not, or nil. The
// version may have any spelling that the format treats as the same.
func (p *Package) Version(version string) *Version {
	v := p.byKey[version]
	if v == nil || v.Version != version { // most clients ask for a version under its key
		v = p.byKey[p.ID.Format.versionKey(version)]
	}
	if v == nil || !v.Status.downloadable() {
		return nil
	}
	return v
}

// Downloadable returns every version that can be downloaded, listed or not, in no order.
func (p *Package) Downloadable() iter.Seq[*Version] {
	return func(yield func(*Version) bool) {
		for _, v := range p.byKey {
			if v.Status.downloadable() && !yield(v) {
				return
			}
		}
	}
}

// WithUnlisted returns the Published and the Unlisted versions in the order of
// publication, for formats whose clients must see a withdrawn version, marked as such:
// the yanked ones of cargo and of PyPI.
func (p *Package) WithUnlisted() []*Version {
	return p.ordered(func(v *Version) bool { return v.Status == Published || v.Status == Unlisted })
}

// Highest returns the highest release among the Published versions, in the format's
// order, or the highest prerelease if there is no release. It is nil if no version is
// Published.
func (p *Package) Highest() *Version {
	if len(p.Versions) == 0 {
		return nil
	}
	if v := p.best.Load(); v != nil {
		return v
	}
	v := p.highest()
	p.best.Store(v)
	return v
}

// A Version is one version of a package. It is immutable and shared.
type Version struct {
	// Version has the spelling in which it was published.
	Version string
	// Revision changes with every change of the version's assets or metadata.
	Revision string
	Status   Status
	// Published is the time at which the version came into its domain, or, if it came
	// through an external connection, at which it was published there.
	Published time.Time
	// Metadata is the format's own JSON, such as npm's version object.
	Metadata json.RawMessage
	// Assets are ordered by name, bytewise.
	Assets []Asset
	// Sidecars are files about assets, such as the core metadata of a wheel or the
	// provenance of a tarball. Package endpoints serve them. The CodeArtifact API
	// does not list them, and they do not count as assets. Ordered as Assets.
	Sidecars []Asset
	// EntryPoint is the name of the repository to which the version was published, or
	// the external connection through which it came, such as public:npmjs.
	EntryPoint string
	// Repository is the name of the repository that contains the version: the one
	// that was asked, or an upstream.
	Repository string

	// key is that of the row; empty if the version is not stored.
	key string
	// edited means that somebody changed its metadata or its status here, so it does not
	// follow the external registry any more.
	edited bool
	// seen is when the version was first seen in an external registry that does not tell
	// when it was published.
	seen time.Time
	// live means that metadata and status are what the external registry says now.
	live bool
	// described is nil if the version is not stored.
	described *described
}

// keyIn returns the same key for all spellings of the version.
func (v *Version) keyIn(f Format) string {
	if v.key != "" {
		return v.key
	}
	return f.versionKey(v.Version)
}

// Asset returns the asset with the name, or nil.
func (v *Version) Asset(name string) *Asset { return findAsset(v.Assets, name) }

// Sidecar returns the sidecar with the name, or nil.
func (v *Version) Sidecar(name string) *Asset { return findAsset(v.Sidecars, name) }

// file returns the asset or the sidecar with the name, or nil.
func (v *Version) file(name string) *Asset {
	if a := v.Asset(name); a != nil {
		return a
	}
	return v.Sidecar(name)
}

func findAsset(all []Asset, name string) *Asset {
	i, ok := slices.BinarySearchFunc(all, name, func(a Asset, name string) int { return strings.Compare(a.Name, name) })
	if !ok {
		return nil
	}
	return &all[i]
}

// add adds a file that was read after those with smaller names.
func (v *Version) add(a Asset) {
	if a.beside == "" {
		v.Assets = append(v.Assets, a)
	} else {
		v.Sidecars = append(v.Sidecars, a)
	}
}

// An Asset is a file of a version. Hashes are lower-case hex.
type Asset struct {
	Name string
	// Size is in bytes. It is 0, and hashes are empty, if the asset is not stored yet and
	// its external registry does not tell them.
	Size                      int64
	MD5, SHA1, SHA256, SHA512 string
	// Published is the time at which the asset was added to its version.
	Published time.Time
	// Metadata is the format's own JSON about the file, or nil.
	Metadata json.RawMessage
	// Withdrawn means that the external registry, whose indexes leave out what was yanked,
	// does not list the file any more. Indexes do not show it; it can be downloaded.
	Withdrawn bool

	object     string
	beside     string       // the asset that a sidecar is about
	download   *download    // of an asset that was opened for a client
	repository string       // the name of the repository in which it was found
	remote     *RemoteAsset // where to download it; nil if it is stored
}

// A Description is what the CodeArtifact API answers about a version. The format's
// handler takes it from the metadata at publication. Every field may be empty.
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

// A License is a name, preferably an SPDX id, and an address.
type License struct {
	Name string `json:"name,omitempty"`
	URL  string `json:"url,omitempty"`
}

// A Dependency is a package that a version declares to need.
type Dependency struct {
	Namespace string `json:"namespace,omitempty"`
	Package   string `json:"package"`
	// Type is the format's own: npm's regular, dev, peer, optional.
	Type string `json:"type,omitempty"`
	// VersionRequirement is in the format's own syntax.
	VersionRequirement string `json:"versionRequirement,omitempty"`
}

// A Publication is the input of Publish: a version with its assets, or more assets
// for a version.
type Publication struct {
	Repository RepositoryID
	Package    PackageID
	Version    string
	// Metadata is the format's own JSON about the version. If the version exists and
	// the publication adds an asset, it replaces the version's metadata; nil
	// leaves them.
	Metadata json.RawMessage
	// Attributes is the format's own JSON about the package; nil leaves it.
	Attributes json.RawMessage
	// Description replaces the version's description as Metadata does; nil leaves it.
	Description *Description
	// Search is the text in which [Service.Search] looks, besides the package's
	// name. Empty leaves it.
	Search string
	// Tags are the names of tags that are set to this version, such as "latest".
	Tags []string
	// Assets must have at least one entry. Publish takes them over, whether it
	// succeeds or not.
	Assets []StagedAsset
	// Status is Published or Unfinished; empty means Published. A version that exists
	// and is not Unfinished keeps its status.
	Status Status

	imported *importedVersion // nil for what a client publishes
}

// A StagedAsset is staged content with the name of the asset that it becomes.
type StagedAsset struct {
	Name string
	// Beside is the name of another asset, of the publication or of the version. It
	// makes this one a sidecar of that asset. Empty for an asset.
	Beside   string
	Content  *Staged
	Metadata json.RawMessage
}
