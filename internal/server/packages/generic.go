package packages

import (
	"context"
	"io"
	"strings"
	"unicode"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// MaxGenericAsset is the size of the largest asset of a generic package, in bytes
// (CodeArtifact User Guide, "Quotas": asset file size).
const MaxGenericAsset = 5 << 30

// A GenericPublication is the input of PublishGeneric: one asset of a version of a
// generic package.
type GenericPublication struct {
	Repository RepositoryID
	Package    PackageID // of the format Generic
	Version    string
	Asset      string
	// SHA256 is what the content must have, as 64 lower-case hexadecimal digits.
	SHA256  string
	Content io.Reader
	// Unfinished keeps the version open for further assets.
	Unfinished bool
}

// PublishGeneric adds an asset to a version of a generic package, and creates the
// version if it does not exist. Unless p is Unfinished, the version is Published then
// and takes no further assets. It reads the content once, and keeps nothing of it if its
// hash is not the expected one.
//
// Fault ServiceQuotaExceeded: the asset is larger than [MaxGenericAsset]. The other
// faults are those of [Service.Publish]. codeartifact:PublishPackageVersion on the
// package.
func (s *Service) PublishGeneric(ctx context.Context, p GenericPublication) (*Version, error) {
	if _, err := s.authorizePackage(ctx, publishPackageVersion, p.Repository, p.Package); err != nil {
		return nil, err
	}
	if p.Package.Format != Generic {
		return nil, invalid("PublishPackageVersion publishes generic packages only. Publish a package of the format %s with its own client.", p.Package.Format)
	}
	if err := validVersion(p.Version); err != nil {
		return nil, err
	}
	if err := validGenericAssetName(p.Asset); err != nil {
		return nil, err
	}
	content, err := s.Stage(ctx, p.Repository, p.Package, p.Content, MaxGenericAsset)
	if fault.Is(err, "TooLarge") {
		return nil, quotaExceeded(typeAsset, p.Asset, "An asset has at most %d bytes.", int64(MaxGenericAsset))
	}
	if err != nil {
		return nil, err
	}
	defer content.Discard()
	if content.SHA256 != p.SHA256 {
		return nil, invalid("The content of asset %q has the SHA-256 %s, and the request says %s.", p.Asset, content.SHA256, p.SHA256)
	}
	status := Published
	if p.Unfinished {
		status = Unfinished
	}
	return s.Publish(ctx, Publication{
		Repository: p.Repository, Package: p.Package, Version: p.Version, Status: status,
		Assets: []StagedAsset{{Name: p.Asset, Content: content}},
	})
}

// validGenericAssetName is the rule of PublishPackageVersion (CodeArtifact API
// Reference, assetName), which is narrower than the rule of other formats.
func validGenericAssetName(name string) error {
	if err := validAssetName(name); err != nil {
		return err
	}
	allowed := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.In(r, unicode.Nd, unicode.Nl) || strings.ContainsRune("`~!@^&()-_+[]{};,. ", r)
	}
	switch bad := strings.IndexFunc(name, func(r rune) bool { return !allowed(r) }); {
	case bad >= 0:
		return invalid("%q cannot name an asset of a generic package: use letters, digits, spaces and the characters `~!@^&()-_+[]{};,.", name)
	case strings.HasPrefix(name, " ") || strings.HasSuffix(name, " ") || strings.Contains(name, "  "):
		return invalid("%q cannot name an asset of a generic package: spaces must be single, and not at the beginning or the end.", name)
	}
	return nil
}
