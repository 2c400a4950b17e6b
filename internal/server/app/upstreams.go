package app

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/upstreamconfig"
)

// A remoteRegistry is an upstream with an address, and its client.
type remoteRegistry struct {
	upstreamconfig.Upstream
	Client *egress.Upstream
}

// Upstreams returns the upstreams of a configuration and all external connections, by
// name, also those that cannot be used.
func Upstreams(c *config.Config, e upstreamconfig.Environment) []upstreamconfig.Upstream {
	known := upstreamconfig.Known{Connections: map[string]string{}}
	for name, format := range packages.ExternalConnections() {
		known.Connections[name] = string(format)
	}
	for _, f := range []packages.Format{packages.NPM, packages.PyPI, packages.Maven, packages.NuGet, packages.Ruby, packages.Cargo} {
		known.Formats = append(known.Formats, string(f))
	}
	known.Formats = append(known.Formats, formatOCI)
	var own []string
	if u, err := url.Parse(c.URL); err == nil && u.Host != "" {
		own = append(own, u.Hostname())
	}
	if c.DomainSuffix != "" {
		own = append(own, "."+c.DomainSuffix)
	}
	return upstreamconfig.List(c, known, e, own)
}

// openUpstreams returns the upstreams that have an address. An upstream that the
// configuration has, and that cannot be opened, is an error.
func (p *components) openUpstreams() (open []remoteRegistry, err error) {
	services := egress.Services{Log: p.log, Metrics: egress.NewMetrics(), UserAgent: "gatehouse/" + p.version}
	p.metrics.registry.MustRegister(services.Metrics.Collectors()...)
	p.egress = services
	for _, u := range Upstreams(p.config, upstreamconfig.Machine()) {
		client, err := u.Open(services)
		if _, configured := p.config.Upstreams[u.Name]; err != nil && configured {
			return nil, fmt.Errorf("%w: upstreams.%q: %w", ErrConfiguration, u.Name, err)
		}
		if err == nil {
			open = append(open, remoteRegistry{u, client})
		}
	}
	return open, nil
}

// An UpstreamCheck is what one request to an upstream showed.
type UpstreamCheck struct {
	upstreamconfig.Upstream
	Status int // of the answer
	Took   time.Duration
	Notes  []string // what is worth knowing although the check succeeded
}

// rootDocuments are documents that every registry of a format has, below its address.
// Registries of other formats have none that all of them serve.
var rootDocuments = map[packages.Format]string{
	formatOCI:      "v2/",
	packages.NuGet: "index.json", packages.Cargo: "config.json", packages.Ruby: "versions",
}

// CheckUpstream makes one request to an upstream of a configuration. The error says what
// is wrong and what to do next.
func CheckUpstream(ctx context.Context, c *config.Config, e upstreamconfig.Environment, name, version string) (*UpstreamCheck, error) {
	for _, u := range Upstreams(c, e) {
		if u.Name == name {
			return checkUpstream(ctx, u, version)
		}
	}
	return nil, fmt.Errorf("there is no upstream %q. `gatehouse upstream list` shows them; further ones are settings of the configuration file: upstreams", name)
}

func checkUpstream(ctx context.Context, u upstreamconfig.Upstream, version string) (*UpstreamCheck, error) {
	check := &UpstreamCheck{Upstream: u}
	client, err := u.Open(egress.Services{UserAgent: "gatehouse/" + version})
	if err != nil {
		return check, fmt.Errorf("upstream %s: %w", u.Name, err)
	}
	document := rootDocuments[packages.Format(u.Format)]
	began := time.Now()
	res, err := client.Do(ctx, egress.Request{Method: http.MethodHead, URL: document})
	check.Took = time.Since(began)
	switch e, _ := err.(*egress.Error); {
	case err == nil:
		check.Status = res.Status
		return check, res.Body.Close()
	case document == "" && e.Kind == egress.Answered && (egress.IsNotFound(err) || e.Status == http.StatusMethodNotAllowed):
		check.Status = e.Status
		check.Notes = append(check.Notes, "it has nothing at the address itself, as many registries")
		return check, nil
	case u.Format == formatOCI && e.Status == http.StatusUnauthorized:
		check.Status = e.Status
		check.Notes = append(check.Notes, "it asks for a login, as registries do; `aws ecr validate-pull-through-cache-rule` tries the credential of a rule")
		return check, nil
	case egress.IsNotFound(err):
		return check, fmt.Errorf("%w. It does not look like a registry of the format %s: check upstreams.%q.url", err, u.Format, u.Name)
	}
	return check, err
}
