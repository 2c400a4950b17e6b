package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// errIdle says why an exchange was given up.
var errIdle = errors.New("nothing has moved for too long")

// A watchdog gives an exchange up when nothing moves. It is touched at each
// read.
type watchdog struct {
	timer  *time.Timer
	idle   time.Duration
	cancel context.CancelCauseFunc
}

func watch(ctx context.Context, idle time.Duration) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &watchdog{time.AfterFunc(idle, func() { cancel(errIdle) }), idle, cancel}
}

func (w *watchdog) touch() { w.timer.Reset(w.idle) }

// end is called when the exchange is over.
func (w *watchdog) end() {
	w.timer.Stop()
	w.cancel(nil)
}

// watched is a body whose reads touch a watchdog, which ends with it.
type watchedBody struct {
	io.ReadCloser
	dog *watchdog
}

// Read implements io.Reader.
func (w watchedBody) Read(b []byte) (int, error) {
	return activityReader{w.ReadCloser, w.dog}.Read(b)
}

// Close implements io.Closer.
func (w watchedBody) Close() error {
	defer w.dog.end()
	return w.ReadCloser.Close()
}

// patient writes to a client as long as the client takes something now and then.
type idleWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	idle    time.Duration
}

func newIdleWriter(w http.ResponseWriter, idle time.Duration) idleWriter {
	p := idleWriter{w, http.NewResponseController(w), idle}
	p.extend()
	return p
}

// extend moves the deadline on. A writer without one, as in tests, has none.
func (p idleWriter) extend() { _ = p.control.SetWriteDeadline(time.Now().Add(p.idle)) }

// WriteHeader implements http.ResponseWriter.
func (p idleWriter) WriteHeader(status int) {
	p.extend()
	p.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (p idleWriter) Write(b []byte) (int, error) {
	p.extend()
	return p.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (p idleWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// patiently is a request whose body may take any time, as long as something
// comes now and then.
func (p idleWriter) withIdleBody(r *http.Request) *http.Request {
	if r.Body == nil || r.Body == http.NoBody {
		return r
	}
	r = r.WithContext(r.Context())
	r.Body = idleBody{r.Body, p.control, p.idle}
	return r
}

type idleBody struct {
	io.ReadCloser
	control *http.ResponseController
	idle    time.Duration
}

// Read implements io.Reader. Once the body is over, what may be read from the
// connection is the next request, for which the server waits by itself. If it is
// not read to its end, the deadline holds for the server, which reads on.
func (b idleBody) Read(p []byte) (int, error) {
	_ = b.control.SetReadDeadline(time.Now().Add(b.idle))
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
