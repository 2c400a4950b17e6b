package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/idletimeout"
	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/api"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/codeartifactapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/ecrapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/iamapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/operatorapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/secretsmanagerapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/signerapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/stsapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/cargo"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/maven"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/npm"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/nuget"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/pypi"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/ruby"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/swift"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/trustedpublishing"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/sts"
	"github.com/gatehouse-registry/gatehouse/internal/server/lru"
	"github.com/gatehouse-registry/gatehouse/internal/server/oci"
	"github.com/gatehouse-registry/gatehouse/internal/server/oidcissuer"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/signingroot"
)

// documentCacheBytes bounds the rendered documents of all package formats in memory.
const documentCacheBytes = 128 << 20

const (
	// archiveMemory bounds the memory of all archives that are being read, in bytes.
	archiveMemory = 512 << 20
	// archivePatience is how long a publication waits for its part of that.
	archivePatience = 5 * time.Second
)

// readyTimeout bounds how long /readyz waits for the stores.
const readyTimeout = 2 * time.Second

// handler connects the handlers to one address. A request whose host or path names
// the registry or a package repository goes there; everything else is an AWS API.
func (p *components) handler() (http.Handler, error) {
	layers := oci.NewLayerURLs(p.keyring.LayerAddressKeys, p.addresses, p.now)
	aws, err := p.awsAPIs(layers)
	if err != nil {
		return nil, err
	}
	registry := oci.New(oci.Config{
		Images: p.images, Authn: p.authn, Addresses: p.addresses, LayerURLs: layers, Bodies: p.bodies, Now: p.now, Log: p.log,
		DefaultRegistry: endpoint.Registry{Account: p.config.Account, Region: p.config.Region}, AnonymousRate: p.rates.anonymous,
	})
	documents := formats.NewDocumentCache(documentCacheBytes)
	p.metrics.registry.MustRegister(cacheCollector(func() map[string]lru.Stats {
		all := map[string]lru.Stats{"sessions": p.iam.SessionCache()}
		for format, stats := range documents.Stats() {
			all[string(format)+"_documents"] = stats
		}
		maps.Copy(all, p.images.Caches())
		maps.Copy(all, p.packages.Caches())
		return all
	}))
	packageFormats := formats.New(formats.Config{
		Authenticator: p.authn, Hosts: p.addresses, Log: p.log,
		Origin:    p.addresses.Origin,
		Protocols: protocols(formats.ProtocolConfig{Packages: p.packages, Documents: documents, Bodies: p.bodies, Archives: p.archives}),
	})

	publishing, err := p.trustedPublishing()
	if err != nil {
		return nil, err
	}
	requests := &requestLog{audit: p.audit, log: p.log, metrics: p.metrics, refusals: p.refusals, now: p.now, failed: p.lostRecord}
	// route puts around a handler what all routes have.
	route := func(name string, h http.Handler, write answerer) http.Handler {
		return requests.wrap(p.metrics.inFlight[name], write, p.rates.byAddress(sameOrigin(h, write), write))
	}
	return idletimeout.Handler(p.proxies.Handler(p.dateHeader(&opsMux{
		health:  http.HandlerFunc(healthy),
		ready:   http.HandlerFunc(p.ready),
		metrics: p.metrics.handler(),
		rest: limitRequests(&router{
			addresses:   p.addresses,
			publishes:   publishing.Serves,
			publishing:  route(routePackages, publishing, answerPackages),
			signingRoot: route(routeAPI, signingroot.New(p.signing), answerAPI),
			issuer:      route(routeAPI, oidcissuer.New(sts.New(p.iam)), answerAPI),
			registry:    route(routeRegistry, registry, answerRegistry),
			packages:    route(routePackages, packageFormats, answerPackages),
			aws:         route(routeAPI, aws, answerAPI),
		}, maxConnections(p.config.Limits.Connections), p.metrics.refusedRequests),
	})), p.clientLimits()), nil
}

// trustedPublishing returns the handler of the token exchanges of CI jobs.
func (p *components) trustedPublishing() (*trustedpublishing.Handler, error) {
	named, err := p.config.TrustedPublishing.Parse()
	if err != nil {
		return nil, err
	}
	var domains []packages.DomainID
	for _, d := range named {
		domains = append(domains, packages.DomainID{Owner: d.Owner, Region: d.Region, Name: d.Name})
	}
	return trustedpublishing.New(trustedpublishing.Config{
		Packages: p.packages, Sessions: sts.New(p.iam), Tokens: p.keyring, Authn: p.authn,
		Addresses: p.addresses, Domains: domains, Now: p.now, Log: p.log,
	}), nil
}

// protocols are the package formats that are served.
func protocols(c formats.ProtocolConfig) map[packages.Format]formats.Protocol {
	return map[packages.Format]formats.Protocol{
		packages.Cargo: cargo.New(c),
		packages.Maven: maven.New(c),
		packages.NPM:   npm.New(c),
		packages.NuGet: nuget.New(c),
		packages.PyPI:  pypi.New(c),
		packages.Ruby:  ruby.New(c),
		packages.Swift: swift.New(c),
	}
}

// checkRelease refuses names and versions that the handler of a format would not publish.
// Generic packages have no other rules than all packages.
func checkRelease(id packages.PackageID, version string) error {
	check := map[packages.Format]func(packages.PackageID, string) error{
		packages.Cargo: cargo.CheckRelease,
		packages.Maven: maven.CheckRelease,
		packages.NPM:   npm.CheckRelease,
		packages.NuGet: nuget.CheckRelease,
		packages.PyPI:  pypi.CheckRelease,
		packages.Ruby:  ruby.CheckRelease,
		packages.Swift: swift.CheckRelease,
	}[id.Format]
	if check == nil {
		return nil
	}
	return check(id, version)
}

// sameOrigin refuses requests that a browser sends for a page of another site, and
// that could change something. Browsers add remembered Basic credentials to them.
func sameOrigin(next http.Handler, refuse answerer) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse.answer(w, r, crossOrigin)
	}))
	return protection.Handler(next)
}

// clientLimits bound how slowly a client may send a body or take an answer.
func (p *components) clientLimits() idletimeout.Limits {
	return idletimeout.Limits{Idle: p.config.Limits.Idle, MinRate: p.config.Limits.MinRate, MaxDrain: maxDrain, DrainTime: drainTime}
}

// An opsMux serves what operators ask, which is not audited, and the rest.
type opsMux struct{ health, ready, metrics, rest http.Handler }

func (m *opsMux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		m.rest.ServeHTTP(w, r)
	case r.URL.Path == "/healthz":
		m.health.ServeHTTP(w, r)
	case r.URL.Path == "/readyz":
		m.ready.ServeHTTP(w, r)
	case r.URL.Path == "/metrics":
		m.metrics.ServeHTTP(w, r)
	default:
		m.rest.ServeHTTP(w, r)
	}
}

// A router chooses the handler that a request's host or path names. It is not an
// http.ServeMux, because that redirects paths that are not clean, and a path must
// arrive as it was signed.
type router struct {
	addresses *endpoint.Addresses
	// publishes reports whether publishing answers a request.
	publishes                                                func(*http.Request) bool
	registry, packages, publishing, issuer, signingRoot, aws http.Handler
}

func (rt *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case path == "/v2" || strings.HasPrefix(path, "/v2/"):
		rt.registry.ServeHTTP(w, r)
	case strings.HasPrefix(path, signingroot.Prefix):
		rt.signingRoot.ServeHTTP(w, r)
	case strings.HasPrefix(path, oidcissuer.Prefix):
		rt.issuer.ServeHTTP(w, r)
	case rt.publishes(r):
		rt.publishing.ServeHTTP(w, r)
	case strings.HasPrefix(path, "/codeartifact/") || rt.isDomainHost(r):
		rt.packages.ServeHTTP(w, r)
	default:
		rt.aws.ServeHTTP(w, r)
	}
}

func (rt *router) isDomainHost(r *http.Request) bool {
	_, ok := rt.addresses.ParseDomainHost(r.Host)
	return ok
}

func healthy(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") }

func (p *components) awsAPIs(layers *oci.LayerURLs) (http.Handler, error) {
	middleware := &api.Middleware{Authn: p.authn, Messages: p.keyring, Bodies: p.bodies, Log: p.log}
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
		{"secretsmanager", secretsmanagerapi.MapError, func(s *wire.Service) {
			secretsmanagerapi.Register(s, secretsmanagerapi.New(secretsmanagerapi.Config{Secrets: p.secrets}))
		}},
		{"signer", signerapi.MapError, func(s *wire.Service) {
			signerapi.Register(s, signerapi.New(signerapi.Config{Signing: p.signing}))
		}},
		{"iam", iamapi.MapError, func(s *wire.Service) { iamapi.Register(s, iamapi.New(iamapi.Config{IAM: p.iam})) }},
	} {
		service, err := wire.New(s.name, middleware.Options(s.name, s.mapError))
		if err != nil {
			return nil, err
		}
		s.register(service)
		services = append(services, service)
	}
	operator, err := operatorapi.NewService(middleware.Options(operatormodel.Service, operatorapi.MapError))
	if err != nil {
		return nil, err
	}
	operations := operatorapi.New(operatorapi.Config{Installation: p.installation, Keys: p.keys, Packages: p.packages, Advisories: p.advisories, Images: p.images, Now: p.now})
	operatorapi.Register(operator, operations)
	streams, err := operatorapi.NewStreamService(middleware.Options(operatormodel.Service, operatorapi.MapError))
	if err != nil {
		return nil, err
	}
	operatorapi.RegisterStreams(streams, operations)
	return wire.NewMux(append(services, operator, streams)...), nil
}

// ready answers 200 while the server can do its work, and 503 with the reason if
// it cannot.
func (p *components) ready(w http.ResponseWriter, r *http.Request) {
	if err := p.checkReady(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ready\n")
}

// checkReady returns why the server cannot do its work, or nil if it can.
func (p *components) checkReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if failure := p.failure.Load(); failure != nil {
		return *failure
	}
	if err := p.audit.Failing(); err != nil {
		return fmt.Errorf("the audit log cannot be written: %w", err)
	}
	if err := p.feed.Ready(); err != nil {
		return errors.Join(errors.New(fault.From(err).Message), p.feed.Failure())
	}
	if err := p.follower.Ready(); err != nil {
		return errors.New(fault.From(err).Message)
	}
	if err := p.db.Ping(ctx); err != nil {
		return errors.New("the database does not answer")
	}
	return nil
}
