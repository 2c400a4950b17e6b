package packages

import (
	"context"
	"encoding/json"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// The API's view of packages: what the repository itself contains, in every status.
// As on AWS, the API does not look upstream; only the package endpoints do.

// A PackageSummary is a package in a listing.
type PackageSummary struct {
	ID     PackageID
	Origin Origin
}

// A PackageFilter selects packages of a listing; empty fields select all.
type PackageFilter struct {
	Format          Format
	NamespacePrefix string
	NamePrefix      string
	Publish         Restriction
	Upstream        Restriction
}

// ListPackages returns at most limit packages in the order of format,
// namespace and name, and whether there are more. after is the last package of the
// previous page. codeartifact:ListPackages on the repository.
func (s *Service) ListPackages(ctx context.Context, repo RepositoryID, f PackageFilter, after PackageID, limit int) (page []PackageSummary, more bool, err error) {
	r, err := s.authorizeRepository(ctx, "codeartifact:ListPackages", repo)
	if err != nil {
		return nil, false, err
	}
	if f.Format != "" && !f.Format.Known() {
		return nil, false, invalid("%q is not a package format.", f.Format)
	}
	for _, prefix := range []string{f.NamespacePrefix, f.NamePrefix} {
		if err := validPrefix(prefix); err != nil {
			return nil, false, err
		}
	}
	page, err = db.All(ctx, s.db, func(row db.Row) (p PackageSummary, err error) {
		err = row.Scan(&p.ID.Format, &p.ID.Namespace, &p.ID.Name, &p.Origin.Publish, &p.Origin.Upstream)
		return p, err
	}, `SELECT format, namespace, name, publish, upstream FROM pkg_package
		WHERE repository = $1 AND (format, namespace, name_key) > ($2, $3, $4)
		AND ($5 = '' OR format = $5) AND substr(namespace, 1, length($6)) = $6 AND substr(name, 1, length($7)) = $7
		AND ($8 = '' OR publish = $8) AND ($9 = '' OR upstream = $9)
		ORDER BY format, namespace, name_key LIMIT $10`,
		r.row, string(after.Format), after.Namespace, after.key(),
		string(f.Format), f.NamespacePrefix, f.NamePrefix, string(f.Publish), string(f.Upstream), limit+1)
	page, more = firstPage(page, limit)
	return page, more, err
}

// firstPage returns the first limit entries and whether there are more.
func firstPage[T any](all []T, limit int) ([]T, bool) {
	if len(all) > limit {
		return all[:limit], true
	}
	return all, false
}

// DescribePackage returns a package with its origin configuration.
// codeartifact:DescribePackage on the package.
func (s *Service) DescribePackage(ctx context.Context, repo RepositoryID, id PackageID) (PackageSummary, error) {
	p, err := s.ownPackage(ctx, "codeartifact:DescribePackage", repo, id)
	if err != nil {
		return PackageSummary{}, err
	}
	return PackageSummary{p.view.ID, p.origin}, nil
}

// SetOrigin replaces the origin configuration of a package. A package that does not
// exist is created without versions, so a name can be protected against packages from
// upstream before it is used.
// codeartifact:PutPackageOriginConfiguration on the package.
func (s *Service) SetOrigin(ctx context.Context, repo RepositoryID, id PackageID, o Origin) error {
	r, err := s.authorizePackage(ctx, "codeartifact:PutPackageOriginConfiguration", repo, id)
	if err != nil {
		return err
	}
	for _, v := range []Restriction{o.Publish, o.Upstream} {
		if v != Allow && v != Block {
			return invalid("Both restrictions, publish and upstream, are needed, and each is ALLOW or BLOCK, not %q.", v)
		}
	}
	return s.changePackage(ctx, packageChange{repository: r, id: id, origin: o}, func(_ *db.Tx, c *packageChange) error {
		c.row.origin = o
		return nil
	})
}

// Versions are the versions of a package in one repository.
type Versions struct {
	ID PackageID
	// Default is the version to display: the one with the format's default tag,
	// or, if that is not set, the one published last. Empty if no version is
	// Published.
	Default string
	// All are the versions in every status, in the order of publication.
	All []*Version
}

// ListVersions returns the versions of a package.
// codeartifact:ListPackageVersions on the package.
func (s *Service) ListVersions(ctx context.Context, repo RepositoryID, id PackageID) (Versions, error) {
	p, err := s.ownPackage(ctx, "codeartifact:ListPackageVersions", repo, id)
	if err != nil {
		return Versions{}, err
	}
	out := Versions{ID: p.view.ID, All: p.view.ordered(func(*Version) bool { return true })}
	if n := len(p.view.Versions); n > 0 {
		out.Default = p.view.Versions[n-1].Version
	}
	if v := p.versions[id.Format.versionKey(p.tags[id.Format.rules().defaultTag])]; v != nil && v.Status == Published {
		out.Default = v.Version
	}
	return out, nil
}

// DescribeVersion returns a version and its description.
// codeartifact:DescribePackageVersion on the package.
func (s *Service) DescribeVersion(ctx context.Context, repo RepositoryID, id PackageID, version string) (*Version, Description, error) {
	return s.ownDescription(ctx, "codeartifact:DescribePackageVersion", repo, id, version)
}

// VersionReadme returns a version and its readme, which may be empty.
// codeartifact:GetPackageVersionReadme on the package.
func (s *Service) VersionReadme(ctx context.Context, repo RepositoryID, id PackageID, version string) (*Version, string, error) {
	v, d, err := s.ownDescription(ctx, "codeartifact:GetPackageVersionReadme", repo, id, version)
	return v, d.Readme, err
}

// VersionDependencies returns a version and the dependencies that it declares.
// codeartifact:ListPackageVersionDependencies on the package.
func (s *Service) VersionDependencies(ctx context.Context, repo RepositoryID, id PackageID, version string) (*Version, []Dependency, error) {
	v, d, err := s.ownDescription(ctx, "codeartifact:ListPackageVersionDependencies", repo, id, version)
	return v, d.Dependencies, err
}

// VersionAssets returns a version with its assets.
// codeartifact:ListPackageVersionAssets on the package.
func (s *Service) VersionAssets(ctx context.Context, repo RepositoryID, id PackageID, version string) (*Version, error) {
	_, v, err := s.ownVersion(ctx, "codeartifact:ListPackageVersionAssets", repo, id, version)
	return v, err
}

// GetAsset opens an asset of a version that can be downloaded. A revision that
// is not empty must be the version's. codeartifact:GetPackageVersionAsset on the
// package.
func (s *Service) GetAsset(ctx context.Context, repo RepositoryID, id PackageID, version, revision, asset string) (*Version, Asset, blob.Object, error) {
	_, v, err := s.ownVersion(ctx, getPackageVersionAsset, repo, id, version)
	if err != nil {
		return nil, Asset{}, nil, err
	}
	if !v.Status.downloadable() {
		return nil, Asset{}, nil, conflict(typeVersion, version, "Version %s of %s is %s; its assets cannot be downloaded.", version, id, v.Status)
	}
	if revision != "" && revision != v.Revision {
		return nil, Asset{}, nil, versionNotFound(repo, id, version+" with revision "+revision)
	}
	a := v.Asset(asset)
	if a == nil {
		return nil, Asset{}, nil, assetNotFound(id, version, asset)
	}
	_, r := s.find(repo)
	if r == nil { // deleted in the meantime
		return nil, Asset{}, nil, repositoryNotFound(repo)
	}
	if err := s.checkDownload(ctx, getPackageVersionAsset, r, id, v, a); err != nil {
		return nil, Asset{}, nil, err
	}
	o, err := s.open(ctx, r, id, v, a)
	if err != nil {
		return nil, Asset{}, nil, err
	}
	opened := *a
	opened.download = s.newDownload(r, id, v, a)
	return v, opened, o, nil
}

// ownPackage returns the record of a package in the repository itself.
func (s *Service) ownPackage(ctx context.Context, action string, repo RepositoryID, id PackageID) (*record, error) {
	r, err := s.authorizePackage(ctx, action, repo, id)
	if err != nil {
		return nil, err
	}
	p, err := s.load(ctx, r, id)
	if err == nil && !p.exists() {
		err = packageNotFound(repo, id)
	}
	return p, err
}

func (s *Service) ownVersion(ctx context.Context, action string, repo RepositoryID, id PackageID, version string) (*record, *Version, error) {
	p, err := s.ownPackage(ctx, action, repo, id)
	if err != nil {
		return nil, nil, err
	}
	v := p.versions[id.Format.versionKey(version)]
	if v == nil {
		return nil, nil, versionNotFound(repo, id, version)
	}
	return p, v, nil
}

// ownDescription also reads the description, which is not kept in memory.
func (s *Service) ownDescription(ctx context.Context, action string, repo RepositoryID, id PackageID, version string) (*Version, Description, error) {
	var d Description
	p, v, err := s.ownVersion(ctx, action, repo, id, version)
	if err != nil {
		return nil, d, err
	}
	text, err := db.One(ctx, s.db, db.Scalar[[]byte], `SELECT description FROM pkg_version WHERE package = $1 AND version_key = $2`,
		p.row, id.Format.versionKey(version))
	if err != nil {
		return nil, d, orNotFound(err, versionNotFound(repo, id, version))
	}
	if text != nil {
		err = json.Unmarshal(text, &d)
	}
	return v, d, err
}
