package app

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// certificates are those of the listener: the local authority's, or those of files,
// which can be loaded again while the server runs.
type certificates struct {
	authority *authority // nil if there are files
	loaded    atomic.Pointer[tls.Certificate]
}

func (p *components) openCertificates() (*certificates, error) {
	c := new(certificates)
	if p.localAuthority() {
		var err error
		c.authority, err = openAuthority(p.data, p.addresses.Serves, p.now)
		return c, err
	}
	pair, err := loadCertificate(p.config.TLS)
	if err != nil {
		return nil, err
	}
	c.loaded.Store(pair)
	return c, nil
}

// loadCertificate reads the certificate and key of the configuration.
func loadCertificate(t *config.TLS) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return &pair, nil
}

// get is a tls.Config's GetCertificate.
func (c *certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.authority != nil {
		return c.authority.certificate(hello)
	}
	return c.loaded.Load(), nil
}
