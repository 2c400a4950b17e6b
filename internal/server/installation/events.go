package installation

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/server/events"
)

// ListEvents returns events, and the number after which to go on: see [events.Log.Read].
// Action gatehouse:ListEvents on event/*. Faults: AccessDenied, InvalidParameter.
func (s *Service) ListEvents(ctx context.Context, q events.Query) ([]events.Numbered, int64, error) {
	if err := s.c.Operators.Authorize(ctx, "ListEvents", "event/*"); err != nil {
		return nil, 0, err
	}
	return s.c.Events.Read(ctx, q)
}
