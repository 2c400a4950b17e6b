package app

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/api"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/codeartifactapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/ecrapi"
	apiiam "github.com/gatehouse-registry/gatehouse/internal/server/api/iamapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/stsapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/npm"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/pypi"
	"github.com/gatehouse-registry/gatehouse/internal/server/oci"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// readyTimeout bounds what /readyz asks of the stores.
const readyTimeout = 2 * time.Second

// handler joins the doors on one address: what names a door by its host or its
// path goes there, and everything else is an AWS API.
func (p *parts) handler() (http.Handler, error) {
	layers, err := oci.NewLayerURLs(p.keyring.LayerAddressKey(), p.addresses, p.now)
	if err != nil {
		return nil, err
	}
	aws, err := p.awsAPIs(layers)
	if err != nil {
		return nil, err
	}
	registry := oci.New(oci.Config{Images: p.images, Authn: p.authn, Addresses: p.addresses, LayerURLs: layers, Log: p.log})
	packageDoors := formats.New(formats.Config{
		Authenticator: p.authn, Hosts: p.addresses, Log: p.log,
		Origin: func(r *http.Request) string { return p.addresses.Origin(r.Host) },
		Protocols: map[packages.Format]formats.Protocol{
			packages.NPM:  npm.New(npm.Config{Packages: p.packages}),
			packages.PyPI: pypi.New(pypi.Config{Packages: p.packages}),
		},
	})

	doors := &observer{audit: p.audit, log: p.log, metrics: p.metrics, now: p.now, failing: p.fail}
	return p.dates(&entrance{
		health:  http.HandlerFunc(healthy),
		ready:   http.HandlerFunc(p.ready),
		metrics: p.metrics.handler(),
		doors: doors.wrap(withoutStalling(&hall{
			addresses: p.addresses, registry: registry, packages: packageDoors, aws: aws,
		})),
	}), nil
}

// An entrance has what operators ask, which is not audited, beside the doors.
type entrance struct{ health, ready, metrics, doors http.Handler }

func (e *entrance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		e.doors.ServeHTTP(w, r)
	case r.URL.Path == "/healthz":
		e.health.ServeHTTP(w, r)
	case r.URL.Path == "/readyz":
		e.ready.ServeHTTP(w, r)
	case r.URL.Path == "/metrics":
		e.metrics.ServeHTTP(w, r)
	default:
		e.doors.ServeHTTP(w, r)
	}
}

// A hall leads to the door that a request's host or path names. It is no mux of
// net/http's, which would redirect paths that it finds unclean: a path is signed
// as it is.
type hall struct {
	addresses               *endpoint.Addresses
	registry, packages, aws http.Handler
}

func (h *hall) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case path == "/v2" || strings.HasPrefix(path, "/v2/"):
		h.registry.ServeHTTP(w, r)
	case strings.HasPrefix(path, "/codeartifact/") || h.ofADomain(r):
		h.packages.ServeHTTP(w, r)
	default:
		h.aws.ServeHTTP(w, r)
	}
}

func (h *hall) ofADomain(r *http.Request) bool {
	_, ok := h.addresses.ParseDomainHost(r.Host)
	return ok
}

func healthy(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") }

func (p *parts) awsAPIs(layers *oci.LayerURLs) (http.Handler, error) {
	shell := &api.Shell{Authn: p.authn, Messages: p.keyring, Log: p.log}
	var services []*wire.Service
	for _, s := range []struct {
		name     string
		mapError func(error) error
		register func(*wire.Service)
	}{
		{"ecr", ecrapi.MapError, func(s *wire.Service) {
			ecrapi.Register(s, ecrapi.New(ecrapi.Config{Images: p.images, Tokens: p.keyring, Authz: p.authz, Addresses: p.addresses, LayerURLs: layers, Now: p.now}))
		}},
		{"codeartifact", codeartifactapi.MapError, func(s *wire.Service) {
			codeartifactapi.Register(s, codeartifactapi.New(codeartifactapi.Config{Packages: p.packages, Tokens: p.keyring, Addresses: p.addresses, Now: p.now}))
		}},
		{"sts", stsapi.MapError, func(s *wire.Service) { stsapi.Register(s, stsapi.New(stsapi.Config{IAM: p.iam})) }},
		{"iam", apiiam.MapError, func(s *wire.Service) { apiiam.Register(s, apiiam.New(apiiam.Config{IAM: p.iam})) }},
	} {
		service, err := wire.New(s.name, shell.Options(s.name, s.mapError))
		if err != nil {
			return nil, err
		}
		s.register(service)
		services = append(services, service)
	}
	return wire.NewMux(services...), nil
}

// ready answers 200 while the server can do its work, and otherwise 503 with
// the reason.
func (p *parts) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if failure := p.failure.Load(); failure != nil {
		http.Error(w, (*failure).Error(), http.StatusServiceUnavailable)
		return
	}
	if err := p.iam.Ready(); err != nil {
		http.Error(w, fault.From(err).Message, http.StatusServiceUnavailable)
		return
	}
	if err := p.db.Ping(ctx); err != nil {
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ready\n")
}
