package packages

import (
	"context"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/authz"
	"github.com/gatehouse-registry/gatehouse/internal/blob"
	"github.com/gatehouse-registry/gatehouse/internal/db"
)

// An Authorizer decides what the caller in a context may do: nil, or a fault
// of kind Denied. It is *authz.Authorizer.
type Authorizer interface {
	Authorize(ctx context.Context, req *authz.Request) error
}

// A Config is what a [Service] needs.
type Config struct {
	DB    *db.DB
	Blobs blob.Store
	Authz Authorizer
	// Now is the clock.
	Now func() time.Time
	// CacheBytes bounds what is kept of packages in memory, about; 0 is 64 MiB.
	CacheBytes int64
}

// A Service is the package store. It is safe for use by many goroutines.
//
// Every method may return the faults AccessDenied, ResourceNotFound (with the
// type and id of what is missing: domain, repository, package, package-version,
// asset) and Validation; what else a method returns stands beside it.
type Service struct {
	db    *db.DB
	blobs blob.Store
	authz Authorizer
	now   func() time.Time
}
