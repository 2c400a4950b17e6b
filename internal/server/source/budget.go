package source

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// A budget bounds the memory for documents that are on their way, of all registries
// together. A document begins with a small share. If it turns out to be larger, it waits
// for one of the few large shares, which is enough for any document. So those that have a
// large share never wait, and documents cannot wait for each other for ever.
type budget struct {
	small, large chan struct{}
	largest      int64         // bytes of a large share
	patience     time.Duration // how long a document waits for a share
}

const (
	// smallShare is how many bytes a document has at first. Most are smaller.
	smallShare = 4 << 20
	// sharePatience is how long a document waits for a share.
	sharePatience = 15 * time.Second
	// codeBusy is the code of the fault of a document that got no share.
	codeBusy = "UpstreamBusy"
)

// newBudget returns a budget of some bytes. largest is the size of the largest document; at
// least one of this size is possible.
func newBudget(bytes, largest int64) *budget {
	large := max(1, bytes/2/largest)
	small := max(1, (bytes-large*largest)/smallShare)
	return &budget{make(chan struct{}, small), make(chan struct{}, large), largest, sharePatience}
}

// A reservation is what one question has of a budget. It is released at the end of the
// question. A question may receive several documents at a time.
type reservation struct {
	budget *budget

	mu           sync.Mutex
	small, large bool
	used         int64

	released sync.Once
}

type reservationKey struct{}

// reserve returns a context in which [Registry.Get] takes the memory for documents from the
// budget. release gives it back.
func (b *budget) reserve(ctx context.Context) (_ context.Context, release func()) {
	r := &reservation{budget: b}
	return context.WithValue(ctx, reservationKey{}, r), r.release
}

func (r *reservation) release() {
	r.released.Do(func() {
		if r.small {
			<-r.budget.small
		}
		if r.large {
			<-r.budget.large
		}
	})
}

// add takes memory for further bytes. The first share is taken when the first bytes come:
// a registry that does not answer holds none.
func (r *reservation) add(ctx context.Context, n int64) (err error) {
	r.mu.Lock() // while it waits for a share, the other documents of the question wait too
	defer r.mu.Unlock()
	r.used += n
	if r.used > r.budget.largest {
		return &BadAnswer{What: "what it says about the package is larger than is accepted"}
	}
	if !r.small {
		if err = r.budget.take(ctx, r.budget.small); err != nil {
			return err
		}
		r.small = true
	}
	if r.used > smallShare && !r.large {
		if err = r.budget.take(ctx, r.budget.large); err != nil {
			return err
		}
		r.large = true
	}
	return nil
}

func (b *budget) take(ctx context.Context, shares chan struct{}) error {
	timer := time.NewTimer(b.patience)
	defer timer.Stop()
	select {
	case shares <- struct{}{}:
		return nil
	case <-timer.C:
		return fault.New(fault.Unavailable, codeBusy, "This server is receiving as many documents of package registries as it has memory for. Try again in a moment. If it happens often, its administrator can raise upstream_cache.receiving.")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A reservedBody takes memory for what is read of it.
type reservedBody struct {
	io.ReadCloser
	ctx         context.Context
	reservation *reservation
}

// reserved returns the body of an answer so that reading it takes memory of the budget of
// the question, if it has one.
func reserved(ctx context.Context, body io.ReadCloser) io.ReadCloser {
	r, ok := ctx.Value(reservationKey{}).(*reservation)
	if !ok {
		return body
	}
	return &reservedBody{body, ctx, r}
}

// Read implements io.Reader.
func (b *reservedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		if wait := b.reservation.add(b.ctx, int64(n)); wait != nil {
			return 0, wait
		}
	}
	return n, err
}
