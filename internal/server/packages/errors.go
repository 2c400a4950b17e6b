package packages

import (
	"errors"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// The types of resources in faults (CodeArtifact API Reference,
// ResourceType of ResourceNotFoundException).
const (
	typeDomain     = "domain"
	typeRepository = "repository"
	typePackage    = "package"
	typeVersion    = "package-version"
	typeAsset      = "asset"
)

func domainNotFound(id DomainID) error {
	return fault.New(fault.NotFound, "ResourceNotFound", "Domain not found: %s, owned by %s, in %s.", id.Name, id.Owner, id.Region).About(typeDomain, id.Name)
}

func repositoryNotFound(id RepositoryID) error {
	return fault.New(fault.NotFound, "ResourceNotFound", "Repository not found: %s in domain %s.", id.Name, id.Domain.Name).About(typeRepository, id.Name)
}

func packageNotFound(repo RepositoryID, id PackageID) error {
	return fault.New(fault.NotFound, "ResourceNotFound", "Package not found: %s in repository %s.", id, repo.Name).About(typePackage, id.Name)
}

func versionNotFound(repo RepositoryID, id PackageID, version string) error {
	return fault.New(fault.NotFound, "ResourceNotFound", "Package version not found: %s of %s in repository %s.", version, id, repo.Name).About(typeVersion, version)
}

func assetNotFound(id PackageID, version, asset string) error {
	return fault.New(fault.NotFound, "ResourceNotFound", "Asset not found: %s of version %s of %s.", asset, version, id).About(typeAsset, asset)
}

func conflict(resourceType, id, format string, args ...any) error {
	return fault.New(fault.Conflict, "Conflict", format, args...).About(resourceType, id)
}

// originBlocked is the fault of a publication that the origin configuration forbids.
func originBlocked(repo RepositoryID, id PackageID) error {
	return conflict(typePackage, id.Name, "The origin configuration of %s in repository %s blocks publishing. PutPackageOriginConfiguration can allow it.", id, repo.Name)
}

// upstreamBlocked is the fault of an import that the origin configuration forbids.
func upstreamBlocked(repo RepositoryID, id PackageID) error {
	return conflict(typePackage, id.Name, "The origin configuration of %s in repository %s blocks versions from outside, so those that came through an external connection are not imported. PutPackageOriginConfiguration can allow them.", id, repo.Name)
}

// IsOriginBlocked reports whether a publication failed because the origin configuration
// of the package blocks publishing, and not because of a version or an asset that
// exists already.
func IsOriginBlocked(err error) bool {
	e := fault.From(err)
	return e != nil && e.Kind == fault.Conflict && e.ResourceType == typePackage
}

func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, "Validation", format, args...)
}

func quotaExceeded(resourceType, id, format string, args ...any) error {
	return fault.New(fault.Limit, "ServiceQuotaExceeded", format, args...).About(resourceType, id)
}

// orNotFound returns notFound if a query found no row, and otherwise err.
func orNotFound(err, notFound error) error {
	if errors.Is(err, db.ErrNoRows) {
		return notFound
	}
	return err
}

func isNotFound(err error) bool { return fault.Is(err, "ResourceNotFound") }
