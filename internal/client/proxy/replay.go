package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// maxKept is how much of a body is kept in memory so that it can be sent again.
const maxReplay = 1 << 20

// patienceWithSender bounds the wait for a read of the client's body that is under
// way when the upstream has already answered.
const senderTimeout = 5 * time.Second

// A kept body can be sent a second time if no more than maxKept bytes of it were
// sent the first time: from what is kept, and then from where the first sending
// has left off.
type replayBody struct {
	source io.Reader // nil without a body
	dog    *watchdog

	mu       sync.Mutex
	sent     bytes.Buffer
	overflow bool
	reading  bool
	over     bool          // nothing more is read for the first sending
	released chan struct{} // closed when it is over and no read is under way
}

func newReplayBody(r *http.Request, dog *watchdog) *replayBody {
	k := &replayBody{dog: dog, released: make(chan struct{})}
	if r.Body != nil && r.Body != http.NoBody {
		k.source = r.Body
	}
	return k
}

// body is for the first sending. Closing it does not close the client's, which is
// the server's to close.
func (k *replayBody) body() io.ReadCloser {
	if k.source == nil {
		return http.NoBody
	}
	return firstBody{k}
}

// again is for the second sending, and ends the first. ok is false where too much
// has been sent.
func (k *replayBody) second(ctx context.Context) (body io.ReadCloser, ok bool) {
	if k.source == nil {
		return http.NoBody, true
	}
	k.end()
	timeout := time.NewTimer(senderTimeout)
	defer timeout.Stop()
	select {
	case <-k.released:
	case <-timeout.C:
		return nil, false
	case <-ctx.Done():
		return nil, false
	}
	if k.overflow {
		return nil, false
	}
	return io.NopCloser(io.MultiReader(&k.sent, activityReader{k.source, k.dog})), true
}

// begin reports whether a read for the first sending may begin.
func (k *replayBody) begin() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reading = !k.over
	return k.reading
}

// done keeps what a read has brought.
func (k *replayBody) done(b []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sent.Len()+len(b) > maxReplay {
		k.overflow, k.sent = true, bytes.Buffer{}
	}
	if !k.overflow {
		k.sent.Write(b)
	}
	if k.reading = false; k.over {
		close(k.released)
	}
}

// end lets no other read begin.
func (k *replayBody) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.over {
		return
	}
	if k.over = true; !k.reading {
		close(k.released)
	}
}

// first is a body as the transport reads it for the first time.
type firstBody struct{ k *replayBody }

var errOver = errors.New("the body is sent elsewhere")

// Read implements io.Reader.
func (f firstBody) Read(b []byte) (int, error) {
	if !f.k.begin() {
		return 0, errOver
	}
	n, err := activityReader{f.k.source, f.k.dog}.Read(b)
	f.k.done(b[:n])
	return n, err
}

// Close implements io.Closer.
func (f firstBody) Close() error {
	f.k.end()
	return nil
}

// touching is a reader whose reads touch a watchdog.
type activityReader struct {
	io.Reader
	dog *watchdog
}

// Read implements io.Reader.
func (t activityReader) Read(b []byte) (int, error) {
	t.dog.touch()
	n, err := t.Reader.Read(b)
	t.dog.touch()
	return n, err
}
