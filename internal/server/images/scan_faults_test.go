package images_test

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

// failingOpens is a store that cannot open objects while failing is set.
type failingOpens struct {
	blob.Store
	failing atomic.Bool
}

func (f *failingOpens) Open(ctx context.Context, name string) (blob.Object, error) {
	if f.failing.Load() {
		return nil, errors.New("the store does not answer")
	}
	return f.Store.Open(ctx, name)
}
