package authtoken

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// A Registry is what the host name of a private ECR registry says:
//
//	<account>.dkr.ecr.<region>.<suffix>
//	<account>.dkr-ecr.<region>.<suffix>     (dual stack)
//
// each also with "-fips" after "ecr".
type Registry struct {
	Account, Region string
	// Suffix is what follows the region, with the port if there is one:
	// "amazonaws.com", or a custom name if the registry is not AWS's.
	Suffix string
}

var registryHost = regexp.MustCompile(`^([0-9]{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(.+)$`)

// ParseRegistryHost reads the host of an image reference, or a URL. ok is false
// for any host that is not of ECR's form, such as the host of a Gatehouse without
// AWS-shaped hosts. The form alone does not say who owns the host: see
// [Registry.AWS].
func ParseRegistryHost(address string) (r Registry, ok bool) {
	m := registryHost.FindStringSubmatch(Host(address))
	if m == nil {
		return Registry{}, false
	}
	return Registry{Account: m[1], Region: m[2], Suffix: m[3]}, true
}

// A Repository is what the address of a CodeArtifact repository says:
//
//	https://<domain>-<owner>.d.codeartifact.<region>.<suffix>/<format>/<name>/…
//	http://<suffix>/codeartifact/<region>/<owner>/<domain>/<format>/<name>/…
//
// The second form is the one of a Gatehouse without AWS-shaped hosts. Format and
// Name are empty if the address ends before them.
type Repository struct {
	Domain, Owner, Region string
	Format, Name          string
	// Suffix is the part of the host that says who owns it, with the port if there
	// is one.
	Suffix string
}

var (
	domainHost     = regexp.MustCompile(`^([a-z][a-z0-9-]*)-([0-9]{12})\.d\.codeartifact(?:-fips)?\.([a-z0-9-]+)\.(.+)$`)
	repositoryPath = regexp.MustCompile(`^/codeartifact/([a-z0-9-]+)/([0-9]{12})/([a-z][a-z0-9-]*)(/|$)`)
)

// ParseRepositoryURL reads the address of a repository or of anything in it. A
// host alone is enough if it is of AWS's form.
func ParseRepositoryURL(address string) (r Repository, ok bool) {
	path := ""
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		path = u.Path
	}
	host := Host(address)
	if m := domainHost.FindStringSubmatch(host); m != nil {
		r = Repository{Domain: m[1], Owner: m[2], Region: m[3], Suffix: m[4]}
	} else if m := repositoryPath.FindStringSubmatch(path); m != nil {
		r = Repository{Domain: m[3], Owner: m[2], Region: m[1], Suffix: host}
		path = "/" + path[len(m[0]):]
	} else {
		return Repository{}, false
	}
	parts := strings.SplitN(strings.TrimPrefix(path, "/"), "/", 3)
	if r.Format = parts[0]; len(parts) > 1 {
		r.Name = parts[1]
	}
	return r, true
}

// awsSuffixes are the names below which AWS has its endpoints, by partition.
var awsSuffixes = []string{
	"amazonaws.com", "amazonaws.com.cn", "amazonaws.eu",
	"on.aws", "api.aws", "on.amazonwebservices.com.cn", "on.amazonwebservices.eu",
	"c2s.ic.gov", "sc2s.sgov.gov", "cloud.adc-e.uk", "csp.hci.ic.gov",
}

// AWS reports whether the registry is one of AWS's: whether its suffix is AWS's
// own name, at the port of HTTPS. A name below that can be a customer's machine,
// such as a load balancer.
func (r Registry) AWS() bool { return isSuffix(r.Suffix) }

// AWS is [Registry.AWS] for a repository.
func (r Repository) AWS() bool { return isSuffix(r.Suffix) }

func isSuffix(suffix string) bool {
	return slices.Contains(awsSuffixes, strings.TrimSuffix(suffix, ":443"))
}

// IsAWS reports whether a host, URL or suffix is below one of AWS's own names, at
// the port of HTTPS: AWS listens on no other, so at another port a server has
// borrowed the name, as a Gatehouse in a private network may. It says nothing about
// who gets what is sent there: see [Registry.AWS].
func IsAWS(address string) bool {
	host := Host(address)
	if h, port, err := net.SplitHostPort(host); err == nil {
		if port != "443" {
			return false
		}
		host = h
	}
	for _, suffix := range awsSuffixes {
		if host == suffix || strings.HasSuffix(host, "."+suffix) {
			return true
		}
	}
	return false
}

// hostForm is what a host name with a port can consist of. Clients read everything
// else in different ways.
var hostForm = regexp.MustCompile(`^[a-z0-9._:\[\]-]+$`)

// Host is the host of an address, in lower case and with its port if it has one;
// "" if there is none. An address is a URL, or begins with a host.
func Host(address string) string {
	host, _, _ := strings.Cut(address, "/")
	if strings.Contains(address, "://") {
		u, err := url.Parse(address)
		if err != nil {
			return ""
		}
		host = u.Host
	}
	if host = strings.ToLower(host); !hostForm.MatchString(host) {
		return ""
	}
	return host
}
