package packages

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/steadyclock"
)

// checkSteadyClock notes the time, and returns an error unless it can be trusted.
func (s *Service) checkSteadyClock(ctx context.Context) error { return s.steadyClock().Steady(ctx) }

func (s *Service) steadyClock() *steadyclock.Clock {
	return &steadyclock.Clock{DB: s.db, Now: s.now, Table: "pkg_clock", Check: s.checkClock, LastChange: lastPackageChange}
}

func lastPackageChange(ctx context.Context, q db.Querier) (int64, error) {
	return db.One(ctx, q, db.Scalar[int64], `SELECT COALESCE(max(modified), 0) FROM pkg_package`)
}
