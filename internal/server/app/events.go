package app

import (
	"context"
	"fmt"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
)

// openEvents opens the log of events. It tells the webhooks nothing yet.
func (p *components) openEvents(ctx context.Context) (*events.Log, error) {
	c := &p.config.Events
	for _, err := range sorted(c.CheckSecrets()) {
		return nil, fmt.Errorf("%w: the secret of a webhook: %w", ErrConfiguration, err)
	}
	guard, err := webhookGuard(c)
	if err != nil {
		return nil, err
	}
	return events.New(ctx, events.Config{
		DB: p.db, Work: p.work, Now: p.now, Log: p.log, Keep: c.Keep, Max: c.Max, Webhooks: c.Hooks(), Client: guard.For,
	})
}

// webhookGuard makes the clients for the webhooks.
func webhookGuard(c *config.Events) (*egress.Guard, error) {
	networks, err := c.Networks()
	if err != nil {
		return nil, err
	}
	authorities, err := c.Authorities()
	if err != nil {
		return nil, err
	}
	return egress.New(egress.Config{Networks: networks, LoopbackHTTP: c.AllowLoopbackHTTP, Authorities: authorities}), nil
}
