package app

import (
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/webidentity"
)

// webIdentities returns the verifier of OIDC providers' tokens. It fetches their keys
// from the networks that the configuration allows.
func (p *components) webIdentities() (*webidentity.Verifier, error) {
	networks, err := p.config.OIDC.Networks()
	if err != nil {
		return nil, err
	}
	authorities, err := p.config.OIDC.Authorities()
	if err != nil {
		return nil, err
	}
	guard := egress.New(egress.Config{
		Networks: networks, LoopbackHTTP: p.config.OIDC.AllowLoopbackHTTP, Authorities: authorities,
	})
	return webidentity.New(webidentity.Config{Upstream: guard, Now: p.now}), nil
}
