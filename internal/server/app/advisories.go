package app

import (
	"context"
	"fmt"

	"github.com/gatehouse-registry/gatehouse/internal/server/advisories"
)

// openAdvisories loads the advisories, with the addresses that they come from.
func (p *components) openAdvisories(ctx context.Context) error {
	c := advisories.Config{
		DB: p.db, Feed: p.feed, Operators: p.operators, Now: p.now, OnChange: p.advisoriesChanged,
		Work: p.work, Every: p.config.Advisories.Every, SpoolDir: p.data.path, Audit: p.auditWork, Log: p.log,
	}
	for _, name := range p.config.Advisories.Names() {
		source := p.config.Advisories.Sources[name]
		client, err := source.Open(name, p.egress)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrConfiguration, err)
		}
		c.Sources = append(c.Sources, advisories.Source{Name: name, URL: source.URL, Client: client})
	}
	var err error
	if p.advisories, err = advisories.New(ctx, c); err != nil {
		return err
	}
	p.metrics.registry.MustRegister(p.advisories.Metrics()...)
	return nil
}
