package respwriter

import (
	"context"
	"net/http"
)

// A Gatherer is a connection that can send a small write together with the next one.
type Gatherer interface {
	// Gather makes the connection keep the next small write until another follows, and
	// send both with one system call. It is called by the goroutine that writes.
	Gather()
	// Send ends that, and sends what still waits.
	Send() error
}

type gathererKey struct{}

// WithGatherer returns a context for the HTTP/1 requests of a connection.
func WithGatherer(ctx context.Context, g Gatherer) context.Context {
	return context.WithValue(ctx, gathererKey{}, g)
}

// netHTTPBuffer is the size of net/http's buffer for what it writes to a connection. An
// answer that fits into it is one write already.
const netHTTPBuffer = 4 << 10

// WriteWhole writes the whole body of an answer. Its Content-Length must be in the header.
//
// net/http sends the header and the beginning of the body before the rest, so that the
// client wakes up twice for each answer. WriteWhole sends all of it with one system call
// if the connection is a [Gatherer].
func WriteWhole(w http.ResponseWriter, r *http.Request, body []byte) error {
	g, _ := r.Context().Value(gathererKey{}).(Gatherer)
	if g == nil || r.ProtoMajor > 1 || len(body) < netHTTPBuffer {
		_, err := w.Write(body)
		return err
	}
	g.Gather()
	_, err := w.Write(body)
	if err == nil {
		err = http.NewResponseController(w).Flush()
	}
	if sendErr := g.Send(); err == nil {
		err = sendErr
	}
	return err
}
