// Package endpoint constructs the addresses that clients are told and parses the
// hosts of their requests. [Addresses] does both.
//
// There are two forms. By default everything has one address, and the path says the
// rest. With a domain suffix there are also hosts of AWS's form, with the suffix in
// place of amazonaws.com, for tools that expect this form:
//
//	<account>.dkr.ecr.<region>.<suffix>                      the registry
//	<domain>-<owner>.d.codeartifact.<region>.<suffix>        the packages
//
// Parsing is the inverse of constructing. The package imports no other package of the
// server.
package endpoint

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
)

// Addresses constructs and parses addresses. It is immutable.
type Addresses struct {
	scheme string
	host   string // with its port, as clients are told
	suffix string // of AWS-shaped hosts; empty if there are none
	port   string // of AWS-shaped hosts, with its colon; empty for the scheme's default
}

// New returns the addresses of a server that clients reach at base, which is an http
// or https URL without a path. AWS-shaped hosts are below suffix and have the same
// port; if suffix is empty, there are none.
func New(base, suffix string) (*Addresses, error) {
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("%q is not the address of a server: it has the form http://HOST[:PORT] or https://HOST[:PORT]", base)
	}
	a := &Addresses{scheme: u.Scheme, host: u.Host, suffix: strings.ToLower(strings.Trim(suffix, "."))}
	if p := u.Port(); p != "" {
		a.port = ":" + p
	}
	return a, nil
}

// URL is the address of the AWS APIs, which is the value of endpoint_url.
func (a *Addresses) URL() string { return a.scheme + "://" + a.host }

// Host is the host of URL, with its port unless that is the scheme's default.
func (a *Addresses) Host() string { return a.host }

// Origin is the origin to which the client of a request sent it. The scheme is https
// if the request came over TLS or if clients are told an https address: a proxy that
// is not known may terminate TLS.
func (a *Addresses) Origin(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return a.scheme + "://" + r.Host
}

// A Registry is the address of one account's container registry in one region.
type Registry struct{ Account, Region string }

// RegistryHost is the host of image references and of a repositoryUri, with its port
// unless that is the scheme's default.
func (a *Addresses) RegistryHost(r Registry) string {
	if a.suffix == "" {
		return a.host
	}
	return r.Account + ".dkr.ecr." + r.Region + "." + a.suffix + a.port
}

// RegistryURL is the proxyEndpoint of an authorization token.
func (a *Addresses) RegistryURL(r Registry) string { return a.scheme + "://" + a.RegistryHost(r) }

// ParseRegistryHost parses the Host of a request. ok is false for a host that is not
// AWS-shaped, such as the server's own address, which means the caller's registry.
func (a *Addresses) ParseRegistryHost(host string) (r Registry, ok bool) {
	rest, ok := a.below(host)
	if !ok {
		return r, false
	}
	p := strings.Split(rest, ".")
	if len(p) != 4 || p[1] != "dkr" || p[2] != "ecr" || !arn.IsAccountID(p[0]) || p[3] == "" {
		return r, false
	}
	return Registry{p[0], p[3]}, true
}

// A Domain is the address of one CodeArtifact domain.
type Domain struct{ Name, Owner, Region string }

// codeArtifactPath is the path of the package endpoints on the server's own address.
const codeArtifactPath = "/codeartifact/"

// PackageURL is the address of a repository for one package format. It ends in "/",
// because `aws codeartifact login` appends to it.
func (a *Addresses) PackageURL(d Domain, format, repository string) string {
	if a.suffix == "" {
		return a.URL() + codeArtifactPath + d.Region + "/" + d.Owner + "/" + d.Name + "/" + format + "/" + repository + "/"
	}
	return a.scheme + "://" + a.DomainHost(d) + "/" + format + "/" + repository + "/"
}

// DomainHost is the AWS-shaped host of a domain, with its port unless that is the scheme's
// default. There must be a domain suffix.
func (a *Addresses) DomainHost(d Domain) string {
	return d.Name + "-" + d.Owner + ".d.codeartifact." + d.Region + "." + a.suffix + a.port
}

// ParseDomainHost parses the Host of a request. ok is false for a host that is not
// AWS-shaped.
func (a *Addresses) ParseDomainHost(host string) (d Domain, ok bool) {
	rest, ok := a.below(host)
	if !ok {
		return d, false
	}
	p := strings.Split(rest, ".")
	if len(p) != 4 || p[1] != "d" || p[2] != "codeartifact" || p[3] == "" {
		return d, false
	}
	i := strings.LastIndexByte(p[0], '-')
	if i <= 0 || !arn.IsAccountID(p[0][i+1:]) {
		return d, false
	}
	return Domain{Name: p[0][:i], Owner: p[0][i+1:], Region: p[3]}, true
}

// Serves reports whether a host name without a port, as in TLS's server name
// indication, belongs to the server: it is the server's own address, localhost, or
// below the suffix.
func (a *Addresses) Serves(name string) bool {
	_, ok := a.below(name)
	return ok || strings.EqualFold(name, hostname(a.host)) || strings.EqualFold(name, "localhost")
}

// below removes the suffix and the port from an AWS-shaped host.
func (a *Addresses) below(host string) (string, bool) {
	if a.suffix == "" {
		return "", false
	}
	return strings.CutSuffix(strings.ToLower(hostname(host)), "."+a.suffix)
}

func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return host
}
