package idletimeout

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Handler bounds how long a client may keep next waiting: see the package.
func Handler(next http.Handler, limits Limits) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hasBody := r.Body != nil && r.Body != http.NoBody
		if r.ProtoMajor >= 2 {
			serveStream(next, w, r, limits, hasBody)
			return
		}
		if !hasBody { // the connection bounds the answer
			next.ServeHTTP(w, r)
			return
		}
		control := http.NewResponseController(w)
		// Without this, net/http reads up to 256 KiB of the body before it writes the
		// header of the answer, with no deadline. A writer without it, as in tests,
		// has no connection either.
		_ = control.EnableFullDuplex()
		b := newBody(r, control, limits)
		r = r.WithContext(r.Context()) // net/http looks at the body of its own request
		r.Body = b
		answer := &bodyAnswer{ResponseWriter: w, body: b}
		next.ServeHTTP(answer, r)
		answer.finish()
	})
}

// serveStream serves a request of HTTP/2, whose connection can be healthy while
// the client takes nothing of a stream.
func serveStream(next http.Handler, w http.ResponseWriter, r *http.Request, limits Limits, hasBody bool) {
	control := http.NewResponseController(w)
	if hasBody {
		r.Body = newBody(r, control, limits)
	}
	next.ServeHTTP(&streamWriter{ResponseWriter: w, control: control, timer: newTimer(limits, control.SetWriteDeadline)}, r)
	// What is still buffered is written after this.
	_ = control.SetWriteDeadline(time.Now().Add(limits.Idle))
}

// A timer cuts an operation off that outlasts an allowance. It exists beside the
// deadlines of net/http because these have effects between operations: a read
// deadline that passes while a handler works cancels a request of HTTP/1, and
// ends the body of one of HTTP/2.
type timer struct {
	cutOff func(time.Time) error // sets a deadline

	mu        sync.Mutex
	allowance allowance
	running   bool
	began     time.Time
	timer     *time.Timer
}

func newTimer(l Limits, cutOff func(time.Time) error) *timer {
	return &timer{cutOff: cutOff, allowance: newAllowance(l)}
}

func (t *timer) start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running, t.began = true, time.Now()
	if t.timer == nil {
		t.timer = time.AfterFunc(t.allowance.left, t.expire)
		return
	}
	t.timer.Reset(t.allowance.left)
}

func (t *timer) stop(moved int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer.Stop()
	t.running = false
	t.allowance.account(time.Since(t.began), int64(moved))
}

func (t *timer) expire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	// A timer that was stopped too late must not end the next operation.
	if t.running && time.Since(t.began) >= t.allowance.left {
		_ = t.cutOff(time.Unix(1, 0))
	}
}

// A body is the body of a request.
type body struct {
	io.ReadCloser
	request *http.Request
	control *http.ResponseController
	limits  Limits
	timer   *timer
	asked   bool  // something was read
	ended   error // what reading ended with
}

func newBody(r *http.Request, control *http.ResponseController, limits Limits) *body {
	return &body{ReadCloser: r.Body, request: r, control: control, limits: limits, timer: newTimer(limits, control.SetReadDeadline)}
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.ended != nil {
		return 0, b.ended
	}
	b.asked = true
	b.timer.start()
	n, err := b.ReadCloser.Read(p)
	b.timer.stop(n)
	b.ended = err
	return n, err
}

// waitsForContinue reports whether the client sends its body only if it is asked
// to, which it was not.
func (b *body) waitsForContinue() bool {
	return !b.asked && strings.EqualFold(b.request.Header.Get("Expect"), "100-continue")
}

// chunks are what bodies are drained into.
var chunks = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// drain sends the answer and reads what is left of the body, within limits: many
// clients send all of a body before they read, and would see a reset connection
// instead of the answer.
func (b *body) drain() {
	if b.control.Flush() != nil {
		return
	}
	chunk := chunks.Get().(*[]byte)
	defer chunks.Put(chunk)
	most := b.limits.DrainTime
	if most == 0 {
		most = b.limits.Idle
	}
	end := time.Now().Add(most)
	b.timer.allowance.left = min(b.timer.allowance.left, most)
	for left := b.limits.MaxDrain; left > 0 && b.ended == nil && time.Now().Before(end); {
		n, _ := b.Read((*chunk)[:min(int64(len(*chunk)), left)])
		left -= int64(n)
	}
}

// A bodyAnswer is the answer to a request of HTTP/1 with a body. It keeps what is
// left of the body from being read as the next request. A short answer is kept
// until the handler returns, so that it has a length and is complete before the
// rest of the body is read.
type bodyAnswer struct {
	http.ResponseWriter
	body   *body
	status int    // 0 until the handler has answered
	sent   bool   // the header is out
	short  []byte // what was written before
	closes bool   // the answer says that the connection ends with it
}

// maxShort is the size of a short answer, in bytes.
const maxShort = 2 << 10

// WriteHeader implements http.ResponseWriter.
func (a *bodyAnswer) WriteHeader(status int) {
	switch {
	case status < 200 || a.sent:
		a.ResponseWriter.WriteHeader(status)
	case a.status == 0:
		a.status = status
		if a.body.ended != nil || a.Header().Get("Content-Length") != "" {
			a.send()
		}
	}
}

// Write implements http.ResponseWriter.
func (a *bodyAnswer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if !a.sent && len(a.short)+len(p) <= maxShort {
		a.short = append(a.short, p...)
		return len(p), nil
	}
	if err := a.send(); err != nil {
		return 0, err
	}
	return a.ResponseWriter.Write(p)
}

// FlushError is what [http.ResponseController] looks for.
func (a *bodyAnswer) FlushError() error {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if err := a.send(); err != nil {
		return err
	}
	return a.body.control.Flush()
}

// send sends the header and what is kept.
func (a *bodyAnswer) send() error {
	if a.sent {
		return nil
	}
	a.sent = true
	if a.body.ended != nil && !errors.Is(a.body.ended, io.EOF) {
		a.closes = true
		a.Header().Set("Connection", "close")
	}
	a.ResponseWriter.WriteHeader(a.status)
	if len(a.short) == 0 {
		return nil
	}
	_, err := a.ResponseWriter.Write(a.short)
	return err
}

// Unwrap is what [http.ResponseController] looks for.
func (a *bodyAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// finish is called when the handler has returned.
func (a *bodyAnswer) finish() {
	b := a.body
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if !a.sent {
		if b.request.Method != http.MethodHead && a.status != http.StatusNoContent && a.status != http.StatusNotModified {
			a.Header().Set("Content-Length", strconv.Itoa(len(a.short)))
		}
		_ = a.send() // a client that has left needs no answer
	}
	if b.ended == nil && b.waitsForContinue() {
		a.closes = true // net/http sees to that
	} else if b.ended == nil {
		b.drain()
	}
	if errors.Is(b.ended, io.EOF) {
		return
	}
	// net/http reads on when this has returned; it must not wait.
	_ = b.control.SetReadDeadline(time.Unix(1, 0))
	if !a.closes {
		panic(http.ErrAbortHandler)
	}
}

// A streamWriter bounds writing to a stream of HTTP/2.
type streamWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	timer   *timer
}

// Write implements http.ResponseWriter.
func (w *streamWriter) Write(p []byte) (sent int, err error) {
	const step = 16 << 10 // a stream's window can be as small as its client likes
	for {
		w.timer.start()
		n, err := w.ResponseWriter.Write(p[:min(len(p), step)])
		w.timer.stop(n)
		sent += n
		if p = p[n:]; err != nil || len(p) == 0 {
			return sent, err
		}
	}
}

// FlushError is what [http.ResponseController] looks for.
func (w *streamWriter) FlushError() error {
	w.timer.start()
	defer w.timer.stop(0)
	return w.control.Flush()
}

// Unwrap is what [http.ResponseController] looks for.
func (w *streamWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
