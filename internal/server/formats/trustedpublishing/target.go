package trustedpublishing

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

const (
	npmExchange  = "-/npm/v1/oidc/token/exchange/package/"
	pypiAudience = "/_/oidc/audience"
	pypiMint     = "/_/oidc/mint-token"
)

// A target is what a request is for.
type target struct {
	format packages.Format
	method string
	// asks means that the client asks which audience its token must have.
	asks bool
	// domains are searched for the publisher.
	domains []packages.DomainID
	// repository is the only one that may be published to; empty if the address does not
	// name one.
	repository string
	// id is the package, if the protocol names it.
	id packages.PackageID
	// host is the host of the address as clients are told it, with its port.
	host string
}

// Serves reports whether the request is for the handler.
func (h *Handler) Serves(r *http.Request) bool {
	path := r.URL.Path
	if !strings.HasPrefix(path, "/_/oidc/") && !strings.Contains(path, "/"+npmExchange) {
		return false
	}
	_, ok := h.target(r)
	return ok
}

// target reads the address of a request. ok is false for the address of something else.
func (h *Handler) target(r *http.Request) (t target, ok bool) {
	path := r.URL.EscapedPath()
	domain, isDomainHost := h.c.Addresses.ParseDomainHost(r.Host)
	t = target{format: packages.PyPI, method: http.MethodPost, domains: h.c.Domains, host: h.c.Addresses.Host()}
	if isDomainHost {
		t.domains, t.host = []packages.DomainID{domainID(domain)}, h.c.Addresses.DomainHost(domain)
	}
	switch path {
	case pypiAudience:
		t.method, t.asks = http.MethodGet, true
		return t, true
	case pypiMint:
		return t, true
	}
	t.format = packages.NPM
	if name, ok := strings.CutPrefix(path, "/"+npmExchange); ok {
		t.id = npmPackage(name)
		return t, true
	}
	e, _, rest, ok := formats.RepositoryEndpoint{}, "", "", false
	if isDomainHost {
		e, _, rest, ok = formats.ParseHostPath(domain, path)
	}
	if !ok {
		e, _, rest, ok = formats.ParsePath(path)
	}
	name, exchange := strings.CutPrefix(rest, npmExchange)
	if !ok || !exchange || e.Format != packages.NPM {
		return t, false
	}
	t.domains, t.repository, t.id = []packages.DomainID{e.Repository.Domain}, e.Repository.Name, npmPackage(name)
	return t, true
}

func domainID(d endpoint.Domain) packages.DomainID {
	return packages.DomainID{Owner: d.Owner, Region: d.Region, Name: d.Name}
}

// npmPackage reads the escaped name of a package. The package of a name that cannot be
// read has no name.
func npmPackage(escaped string) packages.PackageID {
	id := packages.PackageID{Format: packages.NPM}
	name, err := url.PathUnescape(escaped)
	if err != nil {
		return id
	}
	if scoped, ok := strings.CutPrefix(name, "@"); ok {
		if id.Namespace, id.Name, ok = strings.Cut(scoped, "/"); !ok || id.Namespace == "" {
			return packages.PackageID{Format: packages.NPM}
		}
		return id
	}
	id.Name = name
	return id
}

// audiences are what the token may be for: this address, in the spellings of the clients.
// npm names the host alone, Yarn the host with its port.
func (t target) audiences() []string {
	host := (&url.URL{Host: t.host}).Hostname()
	all := []string{string(t.format) + ":" + host}
	if t.host != host {
		all = append(all, string(t.format)+":"+t.host)
	}
	return all
}
