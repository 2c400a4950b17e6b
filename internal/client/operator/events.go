package operator

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

// ListEvents returns events, and may wait for them.
func (c *Client) ListEvents(ctx context.Context, in *operatormodel.ListEventsInput) (*operatormodel.ListEventsOutput, error) {
	return call[operatormodel.ListEventsOutput](ctx, c, in)
}
