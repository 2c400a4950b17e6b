package operator

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

// PutRetentionRules sets the retention rules of a repository.
func (c *Client) PutRetentionRules(ctx context.Context, in *operatormodel.PutRetentionRulesInput) (*operatormodel.PutRetentionRulesOutput, error) {
	return call[operatormodel.PutRetentionRulesOutput](ctx, c, in)
}

// GetRetentionRules returns the retention rules of a repository.
func (c *Client) GetRetentionRules(ctx context.Context, in *operatormodel.GetRetentionRulesInput) (*operatormodel.GetRetentionRulesOutput, error) {
	return call[operatormodel.GetRetentionRulesOutput](ctx, c, in)
}

// DeleteRetentionRules removes the retention rules of a repository.
func (c *Client) DeleteRetentionRules(ctx context.Context, in *operatormodel.DeleteRetentionRulesInput) (*operatormodel.DeleteRetentionRulesOutput, error) {
	return call[operatormodel.DeleteRetentionRulesOutput](ctx, c, in)
}

// PreviewRetention returns a page of what the rules of a repository decide now.
func (c *Client) PreviewRetention(ctx context.Context, in *operatormodel.PreviewRetentionInput) (*operatormodel.PreviewRetentionOutput, error) {
	return call[operatormodel.PreviewRetentionOutput](ctx, c, in)
}

// RunRetention begins to apply the rules of a repository.
func (c *Client) RunRetention(ctx context.Context, in *operatormodel.RunRetentionInput) (*operatormodel.RunRetentionOutput, error) {
	return call[operatormodel.RunRetentionOutput](ctx, c, in)
}

// ListRetentionRuns returns a page of the runs of a repository, or one run.
func (c *Client) ListRetentionRuns(ctx context.Context, in *operatormodel.ListRetentionRunsInput) (*operatormodel.ListRetentionRunsOutput, error) {
	return call[operatormodel.ListRetentionRunsOutput](ctx, c, in)
}

// UndoRetention begins to restore what a run has removed.
func (c *Client) UndoRetention(ctx context.Context, in *operatormodel.UndoRetentionInput) (*operatormodel.UndoRetentionOutput, error) {
	return call[operatormodel.UndoRetentionOutput](ctx, c, in)
}
