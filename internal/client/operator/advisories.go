package operator

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

// ImportAdvisories stores documents of OSV.
func (c *Client) ImportAdvisories(ctx context.Context, in *operatormodel.ImportAdvisoriesInput) (*operatormodel.ImportAdvisoriesOutput, error) {
	return call[operatormodel.ImportAdvisoriesOutput](ctx, c, in)
}

// DeleteAdvisories removes advisories.
func (c *Client) DeleteAdvisories(ctx context.Context, in *operatormodel.DeleteAdvisoriesInput) (*operatormodel.DeleteAdvisoriesOutput, error) {
	return call[operatormodel.DeleteAdvisoriesOutput](ctx, c, in)
}

// ListAdvisories returns a page of what is known about a package.
func (c *Client) ListAdvisories(ctx context.Context, in *operatormodel.ListAdvisoriesInput) (*operatormodel.ListAdvisoriesOutput, error) {
	return call[operatormodel.ListAdvisoriesOutput](ctx, c, in)
}

// RefreshAdvisories asks the addresses of the configuration for what is new.
func (c *Client) RefreshAdvisories(ctx context.Context, in *operatormodel.RefreshAdvisoriesInput) (*operatormodel.RefreshAdvisoriesOutput, error) {
	return call[operatormodel.RefreshAdvisoriesOutput](ctx, c, in)
}

// ListAdvisorySources returns how the addresses are.
func (c *Client) ListAdvisorySources(ctx context.Context, in *operatormodel.ListAdvisorySourcesInput) (*operatormodel.ListAdvisorySourcesOutput, error) {
	return call[operatormodel.ListAdvisorySourcesOutput](ctx, c, in)
}
