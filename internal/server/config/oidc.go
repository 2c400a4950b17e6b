package config

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
)

// OIDC says which OpenID Connect issuers the server may fetch keys from. Which of
// them are trusted is for IAM's OIDC providers to say. Without any setting these
// are issuers on public addresses, over https, with certificates that the system
// trusts.
type OIDC struct {
	// AllowNetworks are address ranges in CIDR form from which keys may be
	// fetched too, such as 10.0.0.0/8 for an issuer inside the organization.
	AllowNetworks []string `yaml:"allow_networks"`
	// AllowLoopbackHTTP lets issuers be on this machine's loopback interface, with
	// http too: for laptops and tests.
	AllowLoopbackHTTP bool `yaml:"allow_loopback_http"`
	// CA is a PEM file of authorities that are trusted to sign issuers'
	// certificates beside the system's.
	CA string `yaml:"ca"`
}

// Networks returns the ranges of AllowNetworks.
func (o OIDC) Networks() ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, text := range o.AllowNetworks {
		n, err := netip.ParsePrefix(text)
		if err != nil || n != n.Masked() {
			return nil, fmt.Errorf("%q is not a network, such as 10.0.0.0/8", text)
		}
		networks = append(networks, n)
	}
	return networks, nil
}

// Authorities returns who may sign issuers' certificates; nil is the system's
// choice alone.
func (o OIDC) Authorities() (*x509.CertPool, error) {
	if o.CA == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(o.CA)
	if err != nil {
		return nil, fmt.Errorf("oidc.ca: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("oidc.ca: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("oidc.ca: %s has no certificate in PEM form", o.CA)
	}
	return pool, nil
}
