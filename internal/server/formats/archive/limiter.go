package archive

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

const (
	// baseCost is the memory that an open archive takes at most besides the list of its
	// files, in bytes: decoders, and the one file of it that is read at a time.
	baseCost = 4 << 20
	// listWeight is the memory that a byte of a zip's directory takes as a list.
	listWeight = 10
)

// A Limiter bounds the memory of all archives that are open at once. It is safe for use by
// many goroutines. A nil Limiter does not bound anything.
type Limiter struct {
	memory   int64
	left     *semaphore.Weighted
	patience time.Duration
}

// NewLimiter returns a limiter for so many bytes of memory. An archive waits for its part
// for as long as patience. If no other is open, any archive can be opened.
func NewLimiter(memory int64, patience time.Duration) *Limiter {
	return &Limiter{memory, semaphore.NewWeighted(memory), patience}
}

// Acquire waits until there is memory for an archive, which is for the caller until it
// calls release. zipSize is the size of a zip in bytes, which bounds the list of its files;
// it is 0 for a tar. Fault ServiceUnavailable: other archives take the memory for too
// long. Other errors are those of ctx.
func (l *Limiter) Acquire(ctx context.Context, zipSize int64, limits Limits) (release func(), err error) {
	if l == nil {
		return func() {}, nil
	}
	cost := min(baseCost+listWeight*min(zipSize, limits.withDefaults().Directory), l.memory)
	wait, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	if err := l.left.Acquire(wait, cost); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fault.Wrap(err, fault.Unavailable, "ServiceUnavailable", "The server is reading as many archives as it has memory for. Try again in a moment.")
	}
	return func() { l.left.Release(cost) }, nil
}
