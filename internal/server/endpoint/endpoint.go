// Package endpoint knows the addresses of Gatehouse's doors: it constructs those
// that clients are told, and parses the hosts that they come back with.
//
// There are two forms. By default everything is on one address, and the path
// says the rest. With a domain suffix the hosts of AWS exist as well, below that
// suffix instead of amazonaws.com, so that tools which know AWS's shapes by
// heart work:
//
//	<account>.dkr.ecr.<region>.<suffix>                      the registry
//	<domain>-<owner>.d.codeartifact.<region>.<suffix>        the packages
//
// Constructing and parsing are inverses of each other.
package endpoint

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
)

// Addresses constructs and parses. It is immutable.
type Addresses struct {
	scheme string
	host   string // with its port, as clients are told
	suffix string // below which AWS's hosts exist; empty for none
	port   string // of the AWS-shaped hosts, with its colon; empty for the scheme's own
}

// New returns the addresses of a server that clients reach at base, an http or
// https URL without a path, and of the AWS-shaped hosts below suffix, which are
// on the same port; an empty suffix means that there are none.
func New(base, suffix string) (*Addresses, error) {
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("%q is not the address of a server: want http://HOST[:PORT] or https://HOST[:PORT]", base)
	}
	a := &Addresses{scheme: u.Scheme, host: u.Host, suffix: strings.ToLower(strings.Trim(suffix, "."))}
	if p := u.Port(); p != "" {
		a.port = ":" + p
	}
	return a, nil
}

// URL is the address of the AWS APIs: what an endpoint_url is set to.
func (a *Addresses) URL() string { return a.scheme + "://" + a.host }

// Origin is the scheme and the host, with its port, of a request that names the
// host: the scheme is the one that clients are told, also where a proxy ends TLS
// on the way.
func (a *Addresses) Origin(host string) string { return a.scheme + "://" + host }

// A Registry is the address of one account's container registry in one region.
type Registry struct{ Account, Region string }

// RegistryHost is what image references begin with, and a repositoryUri:
// host and, where it is not the scheme's own, port.
func (a *Addresses) RegistryHost(r Registry) string {
	if a.suffix == "" {
		return a.host
	}
	return r.Account + ".dkr.ecr." + r.Region + "." + a.suffix + a.port
}

// RegistryURL is the proxyEndpoint of an authorization token.
func (a *Addresses) RegistryURL(r Registry) string { return a.scheme + "://" + a.RegistryHost(r) }

// ParseRegistryHost reads a request's Host. ok is false for a host that is not
// AWS-shaped, such as the bare address, where the caller's own registry is meant.
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

// codeArtifactPath is where the package endpoints are on the one address.
const codeArtifactPath = "/codeartifact/"

// PackageURL is the address of a repository for one package format. It ends in
// "/", since `aws codeartifact login` appends to it.
func (a *Addresses) PackageURL(d Domain, format, repository string) string {
	if a.suffix == "" {
		return a.URL() + codeArtifactPath + d.Region + "/" + d.Owner + "/" + d.Name + "/" + format + "/" + repository + "/"
	}
	return a.scheme + "://" + d.Name + "-" + d.Owner + ".d.codeartifact." + d.Region + "." + a.suffix + a.port + "/" + format + "/" + repository + "/"
}

// ParseDomainHost reads a request's Host. ok is false for a host that is not
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

// Serves reports whether a name, as TLS's server name indication has it without
// a port, is one of the server's: of the one address, of this machine's
// loopback, or below the suffix.
func (a *Addresses) Serves(name string) bool {
	_, ok := a.below(name)
	return ok || strings.EqualFold(name, hostname(a.host)) || strings.EqualFold(name, "localhost")
}

// below strips the suffix and the port off an AWS-shaped host.
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
