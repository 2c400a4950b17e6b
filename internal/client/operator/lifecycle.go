package operator

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

// ExplainLifecycle returns a page of what a lifecycle policy decides about images.
func (c *Client) ExplainLifecycle(ctx context.Context, in *operatormodel.ExplainLifecycleInput) (*operatormodel.ExplainLifecycleOutput, error) {
	return call[operatormodel.ExplainLifecycleOutput](ctx, c, in)
}

// RunLifecycle begins to apply the lifecycle policy of a repository.
func (c *Client) RunLifecycle(ctx context.Context, in *operatormodel.RunLifecycleInput) (*operatormodel.RunLifecycleOutput, error) {
	return call[operatormodel.RunLifecycleOutput](ctx, c, in)
}

// ListLifecycleRuns returns a page of the runs of a repository, or one run.
func (c *Client) ListLifecycleRuns(ctx context.Context, in *operatormodel.ListLifecycleRunsInput) (*operatormodel.ListLifecycleRunsOutput, error) {
	return call[operatormodel.ListLifecycleRunsOutput](ctx, c, in)
}

// UndoLifecycle begins to bring back what a run has removed.
func (c *Client) UndoLifecycle(ctx context.Context, in *operatormodel.UndoLifecycleInput) (*operatormodel.UndoLifecycleOutput, error) {
	return call[operatormodel.UndoLifecycleOutput](ctx, c, in)
}

// PutDefaultLifecyclePolicy sets the default lifecycle policy of a registry.
func (c *Client) PutDefaultLifecyclePolicy(ctx context.Context, in *operatormodel.PutDefaultLifecyclePolicyInput) (*operatormodel.PutDefaultLifecyclePolicyOutput, error) {
	return call[operatormodel.PutDefaultLifecyclePolicyOutput](ctx, c, in)
}

// GetDefaultLifecyclePolicy returns the default lifecycle policy of a registry.
func (c *Client) GetDefaultLifecyclePolicy(ctx context.Context, in *operatormodel.GetDefaultLifecyclePolicyInput) (*operatormodel.GetDefaultLifecyclePolicyOutput, error) {
	return call[operatormodel.GetDefaultLifecyclePolicyOutput](ctx, c, in)
}

// DeleteDefaultLifecyclePolicy removes the default lifecycle policy of a registry.
func (c *Client) DeleteDefaultLifecyclePolicy(ctx context.Context, in *operatormodel.DeleteDefaultLifecyclePolicyInput) (*operatormodel.DeleteDefaultLifecyclePolicyOutput, error) {
	return call[operatormodel.DeleteDefaultLifecyclePolicyOutput](ctx, c, in)
}
