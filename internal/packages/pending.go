package packages

import (
	"context"
	"encoding/json"
	"io"

	"github.com/gatehouse-registry/gatehouse/internal/blob"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

var errPending = fault.New(fault.Unimplemented, "Pending", "being written")

// New applies the migrations, loads the snapshot and returns the service.
func New(ctx context.Context, c Config) (*Service, error) { return nil, errPending }

// Authorized reports whether the caller may do the action (such as
// "codeartifact:ReadFromRepository") on the repository, which must exist. It is
// for requests that read nothing, such as a ping.
func (s *Service) Authorized(ctx context.Context, repo RepositoryID, action string) error {
	return errPending
}

// Package returns what the repository's clients see of a package.
// codeartifact:ReadFromRepository on the repository.
func (s *Service) Package(ctx context.Context, repo RepositoryID, id PackageID) (*Package, error) {
	return nil, errPending
}

// OpenAsset opens an asset of a version that can be downloaded, listed or not.
// A version found upstream stays in the repository from then on.
// codeartifact:ReadFromRepository on the repository.
func (s *Service) OpenAsset(ctx context.Context, repo RepositoryID, id PackageID, version, asset string) (Asset, blob.Object, error) {
	return Asset{}, nil, errPending
}

// PackageNames returns, in the order of namespace and name, at most limit
// packages of a format of which clients see a version, upstream ones too, and
// whether there are more. after is the last of the page before; its zero value
// asks for the first. codeartifact:ReadFromRepository on the repository.
func (s *Service) PackageNames(ctx context.Context, repo RepositoryID, format Format, after PackageID, limit int) (ids []PackageID, more bool, err error) {
	return nil, false, errPending
}

// A Staged is content that was received and belongs to no package yet. It can
// be published for a day.
type Staged struct {
	// Size is in bytes; the hashes are lower-case hex.
	Size                      int64
	MD5, SHA1, SHA256, SHA512 string
}

// Discard removes the content unless it was published. It can be deferred.
func (c *Staged) Discard() {}

// Stage receives the bytes of an asset and hashes them on the way. More than
// limit bytes are the fault TooLarge. The caller publishes or discards what is
// returned. codeartifact:PublishPackageVersion on the package.
func (s *Service) Stage(ctx context.Context, repo RepositoryID, id PackageID, body io.Reader, limit int64) (*Staged, error) {
	return nil, errPending
}

// Publish makes a version, or adds assets to one, in one transaction. An asset
// that is there already with the same bytes is no error, and if nothing of the
// publication is new nothing changes; other bytes under the same name are the
// fault Conflict. So are: a version that is reachable upstream, a version that
// is archived, disposed or takes no more assets, and a package whose origin
// configuration blocks publishing. ServiceQuotaExceeded: too many assets.
// codeartifact:PublishPackageVersion on the package; with Tags on a version
// that exists codeartifact:PutPackageMetadata too.
func (s *Service) Publish(ctx context.Context, p Publication) (*Version, error) {
	return nil, errPending
}

// SetTags sets tags (tag → version) and removes others. The versions must be
// in the repository itself and not archived or disposed; a tag to remove need
// not exist. codeartifact:PutPackageMetadata on the package.
func (s *Service) SetTags(ctx context.Context, repo RepositoryID, id PackageID, set map[string]string, remove []string) error {
	return errPending
}

// SetMetadata replaces the metadata of versions (version → JSON), and, unless
// nil, the package's attributes. The versions must be in the repository itself.
// codeartifact:PutPackageMetadata on the package.
func (s *Service) SetMetadata(ctx context.Context, repo RepositoryID, id PackageID, versions map[string]json.RawMessage, attributes json.RawMessage) error {
	return errPending
}

// DeleteVersions deletes versions, with their assets and tags, from the
// repository itself: all of them or none. They may be published again. The
// package stays, with its origin configuration, when it has none left.
// codeartifact:DeletePackageVersions on the package.
func (s *Service) DeleteVersions(ctx context.Context, repo RepositoryID, id PackageID, versions []string) error {
	return errPending
}

// DeletePackage deletes the package with all its versions from the repository
// itself. codeartifact:DeletePackage on the package.
func (s *Service) DeletePackage(ctx context.Context, repo RepositoryID, id PackageID) error {
	return errPending
}
