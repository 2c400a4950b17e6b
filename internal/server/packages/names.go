package packages

import (
	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
)

// A DomainID names a domain: the account that owns it (12 digits), its region
// and its name.
type DomainID struct{ Owner, Region, Name string }

// ARN is arn:aws:codeartifact:REGION:OWNER:domain/NAME.
func (d DomainID) ARN() string { return d.arn("domain/" + d.Name) }

func (d DomainID) arn(resource string) string {
	return arn.New("codeartifact", d.Region, d.Owner, resource).String()
}

// Repository names a repository of the domain.
func (d DomainID) Repository(name string) RepositoryID { return RepositoryID{d, name} }

// A RepositoryID names a repository in its domain.
type RepositoryID struct {
	Domain DomainID
	Name   string
}

// ARN is arn:aws:codeartifact:REGION:OWNER:repository/DOMAIN/NAME.
func (r RepositoryID) ARN() string {
	return r.Domain.arn("repository/" + r.Domain.Name + "/" + r.Name)
}

// PackageARN is arn:aws:codeartifact:REGION:OWNER:package/DOMAIN/REPOSITORY/FORMAT/NAMESPACE/NAME.
// A package without a namespace has two slashes there.
func (r RepositoryID) PackageARN(p PackageID) string {
	p = p.canonical()
	return r.Domain.arn("package/" + r.Domain.Name + "/" + r.Name + "/" + string(p.Format) + "/" + p.Namespace + "/" + p.Name)
}

// A PackageID names a package in a repository.
type PackageID struct {
	Format Format
	// Namespace is npm's scope without the "@", Maven's group id, Swift's
	// scope, or a generic package's namespace; empty if the package or its format
	// has none.
	Namespace string
	// Name has any spelling: methods of [Service] find the package under every
	// spelling that its format treats as the same (PEP 503 for PyPI).
	Name string
}

// String is for messages: the format, and the name with its namespace.
func (p PackageID) String() string {
	if p.Namespace == "" {
		return string(p.Format) + " package " + p.Name
	}
	return string(p.Format) + " package " + p.Namespace + "/" + p.Name
}
