package config

import (
	"fmt"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
)

// TrustedPublishing says for which domains CI jobs get tokens at the server's own address.
type TrustedPublishing struct {
	// Domains are the ARNs of domains. npm and the clients of PyPI ask for tokens at the
	// root of a host. An AWS-shaped host names its domain, and the server's own address
	// does not.
	Domains []string `yaml:"domains"`
}

// domainPattern is DomainName of the CodeArtifact API Reference.
var domainPattern = lazyregexp.New(`^[a-z][a-z0-9-]{0,48}[a-z0-9]$`)

// Parse returns the domains of Domains.
func (t TrustedPublishing) Parse() ([]endpoint.Domain, error) {
	var domains []endpoint.Domain
	for _, text := range t.Domains {
		a, err := arn.Parse(text)
		name, ok := strings.CutPrefix(a.Resource, "domain/")
		if err != nil || a.Service != "codeartifact" || !ok || !domainPattern.MatchString(name) || !arn.IsAccountID(a.AccountID) || a.Region == "" {
			return nil, fmt.Errorf("%q is not the ARN of a domain, such as arn:aws:codeartifact:us-east-1:000000000001:domain/acme", text)
		}
		domains = append(domains, endpoint.Domain{Name: name, Owner: a.AccountID, Region: a.Region})
	}
	return domains, nil
}
