package operator

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

// ListWork returns a page of the work queue.
func (c *Client) ListWork(ctx context.Context, in *operatormodel.ListWorkInput) (*operatormodel.ListWorkOutput, error) {
	return call[operatormodel.ListWorkOutput](ctx, c, in)
}

// RetryWork makes a job, or all failed jobs of a kind, due now.
func (c *Client) RetryWork(ctx context.Context, in *operatormodel.RetryWorkInput) (*operatormodel.RetryWorkOutput, error) {
	return call[operatormodel.RetryWorkOutput](ctx, c, in)
}
