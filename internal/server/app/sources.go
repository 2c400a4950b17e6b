package app

import (
	"context"
	"path/filepath"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
	cargosource "github.com/gatehouse-registry/gatehouse/internal/server/source/cargo"
	mavensource "github.com/gatehouse-registry/gatehouse/internal/server/source/maven"
	npmsource "github.com/gatehouse-registry/gatehouse/internal/server/source/npm"
	nugetsource "github.com/gatehouse-registry/gatehouse/internal/server/source/nuget"
	pypisource "github.com/gatehouse-registry/gatehouse/internal/server/source/pypi"
	rubysource "github.com/gatehouse-registry/gatehouse/internal/server/source/ruby"
)

// codecs read the registries behind external connections.
func (p *components) codecs() map[packages.Format]source.Codec {
	return map[packages.Format]source.Codec{
		packages.Cargo: cargosource.New(p.now),
		packages.Maven: mavensource.Codec{},
		packages.NPM:   npmsource.Codec{},
		packages.PyPI:  pypisource.Codec{},
		packages.NuGet: nugetsource.New(nugetsource.Config{Archives: p.archives, Now: p.now}),
		packages.Ruby:  rubysource.Codec{Archives: p.archives},
	}
}

// openSources opens the upstreams and the cache of what they say.
func (p *components) openSources(ctx context.Context) (err error) {
	if p.upstreams, err = p.openUpstreams(); err != nil {
		return err
	}
	codecs := p.codecs()
	var registries []*source.Registry
	for _, u := range p.upstreams {
		format := packages.ConnectionFormat(u.Name)
		if codec := codecs[format]; codec != nil {
			registries = append(registries, &source.Registry{Connection: u.Name, Client: u.Client, Codec: codec, Settings: p.config.Upstreams[u.Name].Cache.Override()})
		}
	}
	p.sources, err = source.New(ctx, source.Config{
		DB: p.db, Shared: p.feed.Shared(), Registries: registries, Settings: p.config.UpstreamCache.Settings(),
		Dir: filepath.Join(p.data.path, "lists"), Now: p.now, Log: p.log,
	})
	if err != nil {
		return err
	}
	p.closers = append(p.closers, p.sources.Close)
	p.metrics.registry.MustRegister(p.sources.Metrics()...)
	return nil
}
