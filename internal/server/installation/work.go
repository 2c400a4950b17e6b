package installation

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// ListWork returns up to limit jobs of the work queue, in the order in which they were
// created, after the one with the id after. Action gatehouse:ListWork on work/*.
// Faults: AccessDenied, InvalidParameter.
func (s *Service) ListWork(ctx context.Context, f work.Filter, after string, limit int) ([]work.Item, error) {
	if err := s.c.Operators.Authorize(ctx, "ListWork", "work/*"); err != nil {
		return nil, err
	}
	return s.c.Work.List(ctx, f, after, limit)
}

// RetryWork makes a job that failed, or that waits for its time, due now. Action
// gatehouse:RetryWork on work/ID. Faults: AccessDenied, WorkNotFound, WorkRunning.
func (s *Service) RetryWork(ctx context.Context, id string) error {
	if err := s.c.Operators.Authorize(ctx, "RetryWork", "work/"+id); err != nil {
		return err
	}
	return s.c.Work.RetryOne(ctx, id)
}

// RetryFailedWork makes all failed jobs of a kind due now, and returns how many. Action
// gatehouse:RetryWork on work/*. Faults: AccessDenied.
func (s *Service) RetryFailedWork(ctx context.Context, kind string) (int64, error) {
	if err := s.c.Operators.Authorize(ctx, "RetryWork", "work/*"); err != nil {
		return 0, err
	}
	return s.c.Work.RetryFailed(ctx, kind)
}
