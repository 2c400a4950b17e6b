package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/idletimeout"
)

// maxReplay is how many bytes of a body are held in memory so that it can be sent
// again.
const maxReplay = 1 << 20

// senderTimeout bounds the wait for a read of the client's body that is in progress
// when the upstream has already answered.
const senderTimeout = 5 * time.Second

// A replayBody is a request's body that can be sent twice if no more than maxReplay
// bytes of it were sent the first time: the second time it consists of those bytes
// and what the client sends after them.
type replayBody struct {
	source io.Reader // nil without a body

	mu       sync.Mutex
	sent     bytes.Buffer
	overflow bool
	reading  bool
	ended    bool          // nothing more is read for the first time
	released chan struct{} // closed when ended is true and no read is in progress
}

func newReplayBody(r *http.Request, idle *idletimeout.Context) *replayBody {
	b := &replayBody{released: make(chan struct{})}
	if r.Body != nil && r.Body != http.NoBody {
		b.source = idle.Reader(r.Body)
	}
	return b
}

// first is the body for the first time. Closing it does not close the client's
// body, which the server closes.
func (b *replayBody) first() io.ReadCloser {
	if b.source == nil {
		return http.NoBody
	}
	return firstBody{b}
}

// second is the body for the second time, and ends the first. ok is false if too
// much has been sent.
func (b *replayBody) second(ctx context.Context) (body io.ReadCloser, ok bool) {
	if b.source == nil {
		return http.NoBody, true
	}
	b.end()
	timeout := time.NewTimer(senderTimeout)
	defer timeout.Stop()
	select {
	case <-b.released:
	case <-timeout.C:
		return nil, false
	case <-ctx.Done():
		return nil, false
	}
	if b.overflow {
		return nil, false
	}
	return io.NopCloser(io.MultiReader(&b.sent, b.source)), true
}

// beginRead reports whether a read for the first time may begin.
func (b *replayBody) beginRead() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = !b.ended
	return b.reading
}

// endRead records what a read returned.
func (b *replayBody) endRead(p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sent.Len()+len(p) > maxReplay {
		b.overflow, b.sent = true, bytes.Buffer{}
	}
	if !b.overflow {
		b.sent.Write(p)
	}
	if b.reading = false; b.ended {
		close(b.released)
	}
}

// end lets no other read begin.
func (b *replayBody) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return
	}
	if b.ended = true; !b.reading {
		close(b.released)
	}
}

// A firstBody is a replayBody as the transport reads it for the first time.
type firstBody struct{ b *replayBody }

var errEnded = errors.New("the body is being sent again")

// Read implements io.Reader.
func (f firstBody) Read(p []byte) (int, error) {
	if !f.b.beginRead() {
		return 0, errEnded
	}
	n, err := f.b.source.Read(p)
	f.b.endRead(p[:n])
	return n, err
}

// Close implements io.Closer.
func (f firstBody) Close() error {
	f.b.end()
	return nil
}
