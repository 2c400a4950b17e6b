// Package codeartifactapi is the CodeArtifact API: one method an operation, with
// the signature of the SDK's client. The rules are those of package packages;
// what is here is the form of requests and answers, and GetAuthorizationToken,
// which turns a caller into a bearer token for the package endpoints.
//
// Operations that are not registered in [Register] are not built, and the wire
// says so to their callers: external connections, package groups,
// CopyPackageVersions and PublishPackageVersion.
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

// An Addresses knows where a repository's clients find it. It is
// *endpoint.Addresses.
type Addresses interface {
	// PackageURL ends in "/".
	PackageURL(d endpoint.Domain, format, repository string) string
}

// A Minter makes bearer tokens. It is *token.Keyring.
type Minter interface {
	Mint(p token.Purpose, c token.Claims) (string, error)
}

// A Config is what an [API] needs.
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
	wire.Handle(s, a.UpdatePackageVersionsStatus)
	wire.Handle(s, a.DisposePackageVersions)
	wire.Handle(s, a.DeletePackageVersions)
}

// domainID names a domain of a request: in the caller's account unless an owner
// is given, and in the region that the request is signed for.
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

// text is *s, or "" where s is nil.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// optional is nil where s is empty, which leaves it out of an answer.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
