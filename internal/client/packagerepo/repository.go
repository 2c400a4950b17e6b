// Package packagerepo reads and fills package repositories for bundles and imports: the
// versions that a repository has, their records and files, and versions that are added
// with everything that the repository they come from has of them.
//
// A [Repository] is one of a server. [Repository.EachPackage] and [Repository.Versions] list
// what it has, by CodeArtifact's API, which AWS has as well. [Repository.Record] and
// [Repository.OpenFile] export a version, and [Repository.Import] adds one; these are
// Gatehouse's own operations. What a [Record] has besides is for servers alone.
package packagerepo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
	"github.com/aws/smithy-go"

	"github.com/gatehouse-registry/gatehouse/internal/client/lockedversions"
	"github.com/gatehouse-registry/gatehouse/internal/client/operator"
	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

// A Repository is a package repository of a server.
type Repository struct {
	API *codeartifact.Client
	// Operator is nil for a server that is not Gatehouse, of which nothing is exported.
	Operator *operator.Client
	// Domain and Name name it. Owner is the account of the domain, or empty for the
	// caller's.
	Domain, Owner, Name string
}

// OwnerID is the account for the API.
func (r *Repository) OwnerID() *string { return Optional(r.Owner) }

// Optional is a member of a request that is left out if it is empty.
func Optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// A Record is what is read here of a version's record.
type Record struct {
	Format    string       `json:"format"`
	Namespace string       `json:"namespace"`
	Name      string       `json:"name"`
	Version   string       `json:"version"`
	Revision  string       `json:"revision"`
	Files     []FileRecord `json:"files"`
}

// A FileRecord is an asset, or a sidecar beside one.
type FileRecord struct {
	Name   string `json:"name"`
	Beside string `json:"beside"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// String is FORMAT/NAMESPACE/NAME@VERSION.
func (r *Record) String() string {
	v := lockedversions.Version{Format: r.Format, Namespace: r.Namespace, Name: r.Name, Version: r.Version}
	return v.String()
}

// ErrNotExportable means that a version is not finished, or has lost its files.
var ErrNotExportable = errors.New("the version is not finished, is in quarantine or has lost its files")

// Record returns the record of a version as JSON in one line. It fails with
// [ErrNotExportable] if there is none.
func (r *Repository) Record(ctx context.Context, v *lockedversions.Version) ([]byte, error) {
	out, err := r.Operator.ExportPackageVersion(ctx, &operatormodel.ExportPackageVersionInput{
		RepositoryName: operatormodel.RepositoryName{Domain: r.Domain, DomainOwner: r.OwnerID(), Repository: r.Name},
		Format:         v.Format, Namespace: Optional(v.Namespace), Package: v.Name, PackageVersion: v.Version,
	})
	var refused smithy.APIError
	if errors.As(err, &refused) && refused.ErrorCode() == "ConflictException" {
		return nil, fmt.Errorf("%s: %w", v.String(), ErrNotExportable)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.String(), err)
	}
	var line bytes.Buffer
	if err := json.Compact(&line, []byte(out.Record)); err != nil {
		return nil, fmt.Errorf("%s: the record cannot be read: %w", v.String(), err)
	}
	return line.Bytes(), nil
}

// OpenFile opens a file of a version that is exported.
func (r *Repository) OpenFile(ctx context.Context, v *Record, file string) (io.ReadCloser, error) {
	return r.Operator.GetExportedFile(ctx, &operatormodel.GetExportedFileInput{
		Domain: r.Domain, DomainOwner: r.OwnerID(), Repository: r.Name,
		Format: v.Format, Namespace: Optional(v.Namespace), Package: v.Name, PackageVersion: v.Version, File: file,
	})
}

// A Package is a package of a repository.
type Package struct{ Format, Namespace, Name string }

// String is FORMAT/NAMESPACE/NAME.
func (p Package) String() string {
	v := lockedversions.Version{Format: p.Format, Namespace: p.Namespace, Name: p.Name}
	return v.Package()
}

// At is a version of the package.
func (p Package) At(version string) lockedversions.Version {
	return lockedversions.Version{Format: p.Format, Namespace: p.Namespace, Name: p.Name, Version: version}
}

// EachPackage calls visit for the packages that the repository itself has. The format is
// empty for all of them.
func (r *Repository) EachPackage(ctx context.Context, format string, visit func(Package) error) error {
	pages := codeartifact.NewListPackagesPaginator(r.API, &codeartifact.ListPackagesInput{
		Domain: &r.Domain, DomainOwner: r.OwnerID(), Repository: &r.Name, Format: types.PackageFormat(format),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for i := range page.Packages {
			p := &page.Packages[i]
			if err := visit(Package{string(p.Format), aws.ToString(p.Namespace), aws.ToString(p.Package)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// A Version is a version in a list.
type Version struct{ Version, Revision, Status string }

// Versions returns the versions of a package that the repository itself has; none if it
// does not have the package.
func (r *Repository) Versions(ctx context.Context, p Package) (all []Version, err error) {
	pages := codeartifact.NewListPackageVersionsPaginator(r.API, &codeartifact.ListPackageVersionsInput{
		Domain: &r.Domain, DomainOwner: r.OwnerID(), Repository: &r.Name,
		Format: types.PackageFormat(p.Format), Namespace: Optional(p.Namespace), Package: &p.Name,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if isMissing(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		for i := range page.Versions {
			v := &page.Versions[i]
			all = append(all, Version{aws.ToString(v.Version), aws.ToString(v.Revision), string(v.Status)})
		}
	}
	return all, nil
}

// isMissing reports whether there is no such package or version. A repository that does
// not exist is another error.
func isMissing(err error) bool {
	var missing *types.ResourceNotFoundException
	return errors.As(err, &missing) && missing.ResourceType != types.ResourceTypeRepository && missing.ResourceType != types.ResourceTypeDomain
}

// An Asset is a file as the API lists it.
type Asset struct {
	Size   int64
	SHA256 string
}

// Assets returns the assets of a version that the repository has, by name, and its
// revision. There are none if it does not have the version. Sidecars are not listed.
func (r *Repository) Assets(ctx context.Context, v *lockedversions.Version) (assets map[string]Asset, revision string, err error) {
	assets = map[string]Asset{}
	pages := codeartifact.NewListPackageVersionAssetsPaginator(r.API, &codeartifact.ListPackageVersionAssetsInput{
		Domain: &r.Domain, DomainOwner: r.OwnerID(), Repository: &r.Name, Format: types.PackageFormat(v.Format),
		Namespace: Optional(v.Namespace), Package: &v.Name, PackageVersion: &v.Version,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if isMissing(err) {
			return assets, "", nil
		}
		if err != nil {
			return nil, "", err
		}
		revision = aws.ToString(page.VersionRevision)
		for i := range page.Assets {
			a := &page.Assets[i]
			assets[aws.ToString(a.Name)] = Asset{aws.ToInt64(a.Size), strings.ToLower(a.Hashes[string(types.HashAlgorithmSha256)])}
		}
	}
	return assets, revision, nil
}
