// Package codeartifactapi is the CodeArtifact API: one method for each operation, with
// the signature of the SDK's client. The rules are in package packages. This package
// converts requests and answers ([API]) and errors ([MapError]), and has
// GetAuthorizationToken, which issues a caller a bearer token for the package
// endpoints.
//
// A request is authenticated and decoded by package wire, which calls the method
// registered in [Register]. Every operation of the model is registered.
//
// This package imports the domain package packages and no database, policies or other
// handler.
package codeartifactapi

import (
	"context"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// Addresses knows the addresses of repositories. *endpoint.Addresses implements it.
type Addresses interface {
	// PackageURL ends in "/".
	PackageURL(d endpoint.Domain, format, repository string) string
}

// A Minter makes bearer tokens. *token.Keyring implements it.
type Minter interface {
	Mint(p token.Purpose, c token.Claims) (string, error)
}

// A Config configures an [API].
type Config struct {
	Packages  *packages.Service
	Tokens    Minter
	Addresses Addresses
	// Now is the clock.
	Now func() time.Time
}

// An API serves the operations.
type API struct {
	packages  *packages.Service
	tokens    Minter
	addresses Addresses
	now       func() time.Time
}

// New returns the API.
func New(c Config) *API { return &API{c.Packages, c.Tokens, c.Addresses, c.Now} }

// Register serves the API's operations with s.
func Register(s *wire.Service, a *API) {
	wire.Handle(s, a.GetAuthorizationToken)

	wire.Handle(s, a.CreateDomain)
	wire.Handle(s, a.DescribeDomain)
	wire.Handle(s, a.ListDomains)
	wire.Handle(s, a.DeleteDomain)
	wire.Handle(s, a.GetDomainPermissionsPolicy)
	wire.Handle(s, a.PutDomainPermissionsPolicy)
	wire.Handle(s, a.DeleteDomainPermissionsPolicy)

	wire.Handle(s, a.CreateRepository)
	wire.Handle(s, a.DescribeRepository)
	wire.Handle(s, a.ListRepositories)
	wire.Handle(s, a.ListRepositoriesInDomain)
	wire.Handle(s, a.UpdateRepository)
	wire.Handle(s, a.DeleteRepository)
	wire.Handle(s, a.AssociateExternalConnection)
	wire.Handle(s, a.DisassociateExternalConnection)
	wire.Handle(s, a.GetRepositoryEndpoint)
	wire.Handle(s, a.GetRepositoryPermissionsPolicy)
	wire.Handle(s, a.PutRepositoryPermissionsPolicy)
	wire.Handle(s, a.DeleteRepositoryPermissionsPolicy)

	wire.Handle(s, a.ListTagsForResource)
	wire.Handle(s, a.TagResource)
	wire.Handle(s, a.UntagResource)

	wire.Handle(s, a.ListPackages)
	wire.Handle(s, a.DescribePackage)
	wire.Handle(s, a.DeletePackage)
	wire.Handle(s, a.PutPackageOriginConfiguration)

	wire.Handle(s, a.ListPackageVersions)
	wire.Handle(s, a.DescribePackageVersion)
	wire.Handle(s, a.GetPackageVersionReadme)
	wire.Handle(s, a.ListPackageVersionDependencies)
	wire.Handle(s, a.ListPackageVersionAssets)
	wire.Handle(s, a.GetPackageVersionAsset)
	wire.Handle(s, a.PublishPackageVersion)
	wire.Handle(s, a.CopyPackageVersions)
	wire.Handle(s, a.UpdatePackageVersionsStatus)
	wire.Handle(s, a.DisposePackageVersions)
	wire.Handle(s, a.DeletePackageVersions)

	wire.Handle(s, a.CreatePackageGroup)
	wire.Handle(s, a.DescribePackageGroup)
	wire.Handle(s, a.UpdatePackageGroup)
	wire.Handle(s, a.DeletePackageGroup)
	wire.Handle(s, a.ListPackageGroups)
	wire.Handle(s, a.ListSubPackageGroups)
	wire.Handle(s, a.ListAssociatedPackages)
	wire.Handle(s, a.GetAssociatedPackageGroup)
	wire.Handle(s, a.ListAllowedRepositoriesForGroup)
	wire.Handle(s, a.UpdatePackageGroupOriginConfiguration)
}

// domainID names the domain of a request: in the caller's account unless the request
// names an owner, and in the region of the request's signature.
func domainID(ctx context.Context, name, owner *string) packages.DomainID {
	id := packages.DomainID{Name: text(name), Owner: text(owner)}
	if c := authn.FromContext(ctx); c != nil {
		id.Region = c.Region
		if id.Owner == "" {
			id.Owner = c.Account
		}
	}
	return id
}

func repositoryID(ctx context.Context, domain, owner, repository *string) packages.RepositoryID {
	return domainID(ctx, domain, owner).Repository(text(repository))
}

// text is *s, or "" if s is nil.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
