package packages

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"time"
)

// A Remote reads packages through external connections. Package source implements it,
// with a cache. It is safe for use by many goroutines.
type Remote interface {
	// Connected reports whether the registry of an external connection can be asked: its
	// address is known.
	Connected(connection string) bool
	// Package returns a package as a remote registry has it. Errors: [ErrNoRemotePackage]
	// if the registry does not have it; faults of the kinds BadGateway and GatewayTimeout
	// if the registry fails, which name it.
	Package(ctx context.Context, connection string, id PackageID) (*RemotePackage, RemoteState, error)
	// File returns a file of a version, for formats whose registries do not list files
	// (see remotefile.go). Errors: as for Package.
	File(ctx context.Context, connection string, id PackageID, version, name string) (*RemoteAsset, RemoteState, error)
	// Open begins to download a file. Reading resumes after an interruption. It fails with
	// a fault that names the registry.
	Open(ctx context.Context, connection string, file *RemoteAsset) (RemoteFile, error)
	// Describe returns what the CodeArtifact API answers about a version, from its
	// metadata.
	Describe(connection string, id PackageID, metadata json.RawMessage) *Description
	// DescribeFile returns what the CodeArtifact API answers about a version whose file has
	// the content, for formats whose registries do not list files. It is nil if the file
	// does not tell.
	DescribeFile(connection string, id PackageID, name string, content io.Reader) *Description
	// Inspect looks into a file that has arrived and has the hashes that the registry tells.
	// It fails with a fault of the kind BadGateway if the file is not of the version.
	Inspect(ctx context.Context, connection string, f Arrival) (Contents, error)
	// Document returns another document of a registry, at most a few megabytes. Errors are
	// those of Package: [ErrNoRemotePackage] if the registry does not have the document.
	Document(ctx context.Context, connection string, d DocumentRequest) ([]byte, RemoteState, error)
	// Index returns the list of everything that a registry has, or nil if its format has no
	// such list. Errors are those of Package.
	Index(ctx context.Context, connection string) (*RemoteIndex, RemoteState, error)
	// Exclusive waits until no other server of the database holds the name, and holds it
	// until release is called. It saves requests to registries; nothing depends on it for
	// being right.
	Exclusive(ctx context.Context, name string) (release func(), err error)
}

// A RemotePackage is a package of a remote registry. It is immutable and shared.
type RemotePackage struct {
	// Revision changes with every change of the others.
	Revision string `json:"-"`
	// Name is the spelling of the name there; empty means the one of the question.
	Name string `json:"name,omitempty"`
	// Created and Modified may be zero.
	Created    time.Time         `json:"created,omitzero"`
	Modified   time.Time         `json:"modified,omitzero"`
	Tags       map[string]string `json:"tags,omitempty"`
	Attributes json.RawMessage   `json:"attributes,omitempty"`
	Versions   []RemoteVersion   `json:"versions,omitempty"`
}

// A RemoteVersion is a version of a [RemotePackage].
type RemoteVersion struct {
	Version string `json:"version"`
	// Status is Published or Unlisted.
	Status Status `json:"status"`
	// Published is the time at which it was published there; zero if it is unknown.
	Published time.Time `json:"published,omitzero"`
	// Seen is a time at which the version existed there, if Published is zero: when this
	// server saw it first, or an earlier one that the registry tells.
	Seen     time.Time       `json:"seen,omitzero"`
	Metadata json.RawMessage `json:"metadata,omitempty"`
	// Assets are all files, or none if the registry does not list them.
	Assets []RemoteAsset `json:"assets"`
}

// A RemoteAsset is a file of a [RemoteVersion]. Hashes are lower-case hex; those that the
// registry does not tell are empty.
type RemoteAsset struct {
	Name string `json:"name"`
	// URL is absolute.
	URL string `json:"url"`
	// Size is in bytes; 0 means that it is unknown.
	Size      int64           `json:"size,omitempty"`
	MD5       string          `json:"md5,omitempty"`
	SHA1      string          `json:"sha1,omitempty"`
	SHA256    string          `json:"sha256,omitempty"`
	SHA512    string          `json:"sha512,omitempty"`
	Published time.Time       `json:"published,omitzero"`
	Metadata  json.RawMessage `json:"metadata,omitempty"`
	// Beside is the file of the version about which this one is: it is a sidecar, which needs
	// a SHA-256, and is read as a document ([CoreMetadata]).
	Beside string `json:"beside,omitempty"`
	// About is the address of a document that tells the hashes, if the registry has them
	// only there.
	About string `json:"about,omitempty"`
}

// A RemoteFile is a file that is being downloaded.
type RemoteFile struct {
	io.ReadCloser
	// Size is in bytes; -1 means that it is unknown.
	Size int64
}

// An Arrival is a file that was downloaded and is not kept yet.
type Arrival struct {
	Package PackageID
	Version string
	Asset   *RemoteAsset
	Content *Staged
	// Metadata is what the registry says of the version.
	Metadata json.RawMessage
}

// Contents are what is kept of a file beside its bytes. Fields that are empty say no more
// than the registry does.
type Contents struct {
	// Description is what the CodeArtifact API answers about the version.
	Description *Description
	// Search is the text in which searches look: see Publication.Search.
	Search string
	// Metadata is the format's own JSON about the file.
	Metadata json.RawMessage
}

// A RemoteIndex is a registry's list of its packages, in the form of the format.
type RemoteIndex struct {
	// Revision changes with the list.
	Revision string
	// Open opens the list as it is now, perhaps newer than Revision.
	Open func() (io.ReadCloser, error)
}

// A RemoteState says how current an answer of a [Remote] is.
type RemoteState struct {
	// Checked is when the registry last confirmed the answer.
	Checked time.Time
	// Failure is why the registry could not confirm it now, or nil.
	Failure error
}

// ErrNoRemotePackage means that a remote registry does not have a package.
var ErrNoRemotePackage error = noRemotePackage{}

type noRemotePackage struct{}

func (noRemotePackage) Error() string { return "the registry does not have the package" }

// External reports whether the version came through an external connection. Its
// EntryPoint is the connection then, and no repository has a colon in its name.
func (v *Version) External() bool { return isConnection(v.EntryPoint) }

func isConnection(entryPoint string) bool { return strings.Contains(entryPoint, ":") }

// A StaleNotice tells that an answer was made from what a registry said earlier, because
// the registry fails now.
type StaleNotice struct {
	// Connection is the external connection, such as public:npmjs.
	Connection string
	// Age is how old the registry's answer is. It is 0 if there is none: then the answer
	// has only what the repositories keep.
	Age time.Duration
}

type staleKey struct{}

// WithStaleNotice returns a context in which reads call notice if they use what is
// stale. Handlers tell their clients in a header.
func WithStaleNotice(ctx context.Context, notice func(StaleNotice)) context.Context {
	return context.WithValue(ctx, staleKey{}, notice)
}

func (s *Service) noteStale(ctx context.Context, n StaleNotice) {
	if notice, ok := ctx.Value(staleKey{}).(func(StaleNotice)); ok {
		notice(n)
	}
}
