package operator

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

// ListPackageStatistics returns a page of the downloads from a repository.
func (c *Client) ListPackageStatistics(ctx context.Context, in *operatormodel.ListPackageStatisticsInput) (*operatormodel.ListPackageStatisticsOutput, error) {
	return call[operatormodel.ListPackageStatisticsOutput](ctx, c, in)
}
