package config

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
)

// OIDC says from which OpenID Connect issuers the server may fetch keys. IAM's OIDC
// providers say which of them are trusted. By default the server fetches from public
// addresses, over https, from issuers whose certificates the system trusts.
type OIDC struct {
	// AllowNetworks are further networks in CIDR form from which keys may be fetched,
	// such as 10.0.0.0/8 for an issuer inside the organization.
	AllowNetworks []string `yaml:"allow_networks"`
	// AllowLoopbackHTTP allows issuers on this machine's loopback interface, also over
	// http: for laptops and tests.
	AllowLoopbackHTTP bool `yaml:"allow_loopback_http"`
	// CA is a PEM file of authorities that are trusted for the certificates of issuers,
	// in addition to the system's.
	CA string `yaml:"ca"`
}

// Networks returns the ranges of AllowNetworks.
func (o OIDC) Networks() ([]netip.Prefix, error) { return parseNetworks(o.AllowNetworks) }

// Authorities returns the authorities that may sign the certificates of issuers. nil
// means those of the system.
func (o OIDC) Authorities() (*x509.CertPool, error) {
	if o.CA == "" {
		return nil, nil
	}
	pool, err := authorities(o.CA)
	if err != nil {
		return nil, fmt.Errorf("oidc.ca: %w", err)
	}
	return pool, nil
}

// authorities returns those of the system and those of a PEM file.
func authorities(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate in PEM form", path)
	}
	return pool, nil
}
