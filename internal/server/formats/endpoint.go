package formats

import (
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Prefix begins the paths of all package endpoints on the server's own address. On
// an AWS-shaped host the host name already names the domain, and paths have no
// prefix.
const Prefix = "/codeartifact/"

// A RepositoryEndpoint is the endpoint of a repository for one package format.
type RepositoryEndpoint struct {
	Repository packages.RepositoryID
	Format     packages.Format
}

// Path is the endpoint's path on the server's own address: Prefix, then
// region/owner/domain/format/repository/. It ends in "/".
func (e RepositoryEndpoint) Path() string {
	d := e.Repository.Domain
	return Prefix + d.Region + "/" + d.Owner + "/" + d.Name + e.HostPath()
}

// HostPath is the endpoint's path on the domain's AWS-shaped host:
// /format/repository/. It ends in "/".
func (e RepositoryEndpoint) HostPath() string {
	return "/" + string(e.Format) + "/" + e.Repository.Name + "/"
}

// Realm names the endpoint in a challenge as CodeArtifact does: domain/repository.
func (e RepositoryEndpoint) Realm() string { return e.Repository.Domain.Name + "/" + e.Repository.Name }

// Hosts knows the server's addresses. *endpoint.Addresses implements it.
type Hosts interface {
	// ParseDomainHost reads the domain from an AWS-shaped host; ok is false for any
	// other host.
	ParseDomainHost(host string) (d endpoint.Domain, ok bool)
	// URL is the server's own address.
	URL() string
	// PackageURL is the address that GetRepositoryEndpoint answers.
	PackageURL(d endpoint.Domain, format, repository string) string
}

// ParsePath reads an escaped path that begins with [Prefix]. prefix is the part
// that names the endpoint and ends in "/"; rest is what follows, still escaped. It
// is the inverse of [RepositoryEndpoint.Path].
func ParsePath(path string) (e RepositoryEndpoint, prefix, rest string, ok bool) {
	tail, ok := strings.CutPrefix(path, Prefix)
	if !ok {
		return e, "", "", false
	}
	var d endpoint.Domain
	d.Region, tail, _ = strings.Cut(tail, "/")
	d.Owner, tail, _ = strings.Cut(tail, "/")
	d.Name, tail, ok = strings.Cut(tail, "/")
	if !ok {
		return e, "", "", false
	}
	e, _, rest, ok = ParseHostPath(d, "/"+tail)
	return e, e.Path(), rest, ok
}

// ParseHostPath is [ParsePath] for a request to the domain's AWS-shaped host. It is
// the inverse of [RepositoryEndpoint.HostPath].
func ParseHostPath(d endpoint.Domain, path string) (e RepositoryEndpoint, prefix, rest string, ok bool) {
	tail, _ := strings.CutPrefix(path, "/")
	format, tail, _ := strings.Cut(tail, "/")
	repository, rest, _ := strings.Cut(tail, "/")
	if !isRegion(d.Region) || !arn.IsAccountID(d.Owner) || !isDomainName(d.Name) || !isFormat(format) || !isRepositoryName(repository) {
		return RepositoryEndpoint{}, "", "", false
	}
	e = RepositoryEndpoint{
		Repository: packages.DomainID{Owner: d.Owner, Region: d.Region, Name: d.Name}.Repository(repository),
		Format:     packages.Format(format),
	}
	return e, e.HostPath(), rest, true
}

// The rules for names are the patterns of DomainName and RepositoryName in the
// CodeArtifact API Reference. None of their characters is ever escaped in a path. They
// are not regular expressions, because each request is checked against all of them.

// isRegion is [a-z0-9-]{2,32}.
func isRegion(s string) bool {
	return len(s) >= 2 && len(s) <= 32 && only(s, func(c byte) bool { return isLower(c) || isDigit(c) || c == '-' })
}

// isDomainName is [a-z][a-z0-9-]{0,48}[a-z0-9].
func isDomainName(s string) bool {
	return len(s) >= 2 && len(s) <= 50 && isLower(s[0]) && s[len(s)-1] != '-' &&
		only(s, func(c byte) bool { return isLower(c) || isDigit(c) || c == '-' })
}

// isRepositoryName is [A-Za-z0-9][A-Za-z0-9._-]{1,99}.
func isRepositoryName(s string) bool {
	alphanumeric := func(c byte) bool { return isLower(c) || isDigit(c) || c >= 'A' && c <= 'Z' }
	return len(s) >= 2 && len(s) <= 100 && alphanumeric(s[0]) &&
		only(s, func(c byte) bool { return alphanumeric(c) || c == '.' || c == '_' || c == '-' })
}

// isFormat is [a-z]{2,16}.
func isFormat(s string) bool { return len(s) >= 2 && len(s) <= 16 && only(s, isLower) }

func isLower(c byte) bool { return c >= 'a' && c <= 'z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// only reports whether a string has no other bytes.
func only(s string, allowed func(byte) bool) bool {
	for i := range len(s) {
		if !allowed(s[i]) {
			return false
		}
	}
	return true
}
