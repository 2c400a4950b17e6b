// Package bodybudget bounds how much memory the bodies of requests take altogether.
//
// A handler that reads a body into memory reads it through [Budget.Reader], and
// releases it when it is done. Small bodies are free: what they take is bounded by
// the number of connections. A larger one takes from the budget as its bytes arrive,
// not as they are announced, and waits if nothing is left. If nothing is released
// in time, it fails with a fault of kind Unavailable, for which clients try again.
//
// Handlers that stream bodies need no budget.
package bodybudget

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/ratelimit"
)

const (
	// free is how many bytes of a body are not counted.
	free = 64 << 10
	// step is how many bytes are taken at a time.
	step = 256 << 10
	// patience is how long a body waits for its next step.
	patience = 5 * time.Second
	// share is the part of the budget that one client may have: 1/share.
	share = 4
	// A body that takes memory must arrive within timeAllowed and one second for each
	// minRate bytes: who stops in the middle must not keep what it has.
	timeAllowed = 30 * time.Second
	minRate     = 64 << 10
)

// A Budget is an amount of memory. It is safe for use by many goroutines. A nil
// Budget is unlimited.
type Budget struct {
	total int64
	left  *semaphore.Weighted

	mu   sync.Mutex
	held map[string]int64 // by client
}

// New returns a budget of so many bytes.
func New(bytes int64) *Budget {
	return &Budget{total: bytes, left: semaphore.NewWeighted(bytes), held: map[string]int64{}}
}

// InUse is how many bytes are taken.
func (b *Budget) InUse() (bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.held {
		bytes += n
	}
	return bytes
}

// A Reader reads one body. Its errors are those of the body, and faults
// "ServiceUnavailable" and "RequestTimeout".
type Reader struct {
	ctx    context.Context
	budget *Budget
	client string
	weight int64
	body   io.Reader
	began  time.Time
	read   int64 // bytes of the body
	bought int64 // bytes of the body that may be read beyond free
	taken  int64 // bytes of the budget
}

// Reader returns a reader of a body that the client of a request sends. weight is how
// many bytes of memory a byte of the body takes while the request is handled. Release
// must be called when the memory is not needed any more.
func (b *Budget) Reader(r *http.Request, body io.Reader, weight int) *Reader {
	client := r.RemoteAddr
	if a, err := netip.ParseAddrPort(client); err == nil {
		client = ratelimit.Client(a.Addr()).String()
	}
	return &Reader{ctx: r.Context(), budget: b, client: client, weight: int64(weight), body: body}
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if r.budget == nil {
		return r.body.Read(p)
	}
	if r.began.IsZero() {
		r.began = time.Now()
	}
	if r.read >= free+r.bought {
		if err := r.take(); err != nil {
			return 0, err
		}
	}
	n, err := r.body.Read(p[:min(int64(len(p)), free+r.bought-r.read)])
	r.read += int64(n)
	if r.bought > 0 && err == nil && time.Since(r.began) > timeAllowed+time.Duration(r.read/minRate)*time.Second {
		return n, fault.New(fault.Invalid, "RequestTimeout", "The body arrived too slowly: bodies of this size must arrive with %d KiB a second.", minRate>>10)
	}
	return n, err
}

// Release gives back what was taken. It may be called more than once.
func (r *Reader) Release() {
	if r == nil || r.taken == 0 {
		return
	}
	r.budget.account(r.client, -r.taken)
	r.budget.left.Release(r.taken)
	r.taken = 0
}

func (r *Reader) take() error {
	b := r.budget
	n := step * r.weight
	if !b.account(r.client, n) {
		return full()
	}
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	if err := b.left.Acquire(ctx, n); err != nil {
		b.account(r.client, -n)
		if gone := r.ctx.Err(); gone != nil {
			return gone // not for want of memory
		}
		return full()
	}
	r.taken += n
	r.bought += step
	return nil
}

// account adds to what a client has. It reports false, and adds nothing, if that
// would be more than its share.
func (b *Budget) account(client string, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	has := b.held[client] + n
	switch {
	case n > 0 && has > b.total/share:
		return false
	case has == 0:
		delete(b.held, client)
	default:
		b.held[client] = has
	}
	return true
}

func full() error {
	return fault.New(fault.Unavailable, "ServiceUnavailable", "The server has no memory left for large bodies. Try again in a moment.")
}
