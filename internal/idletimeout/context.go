package idletimeout

import (
	"context"
	"errors"
	"io"
	"time"
)

// ErrTimeout is the cause of a context that ended because nothing moved.
var ErrTimeout = errors.New("nothing has moved for too long")

// A Context ends an exchange with another server if nothing moves for a time. It
// is safe for use by many goroutines.
type Context struct {
	timer  *time.Timer
	idle   time.Duration
	cancel context.CancelCauseFunc
}

// WithCancel returns a context that ends, with the cause [ErrTimeout], if neither
// [Context.Moved] is called nor one of the context's readers returns for the time.
// [Context.Stop] must be called when the exchange is over.
func WithCancel(parent context.Context, idle time.Duration) (context.Context, *Context) {
	ctx, cancel := context.WithCancelCause(parent)
	return ctx, &Context{time.AfterFunc(idle, func() { cancel(ErrTimeout) }), idle, cancel}
}

// Moved says that the exchange goes on.
func (c *Context) Moved() { c.timer.Reset(c.idle) }

// Stop ends the context.
func (c *Context) Stop() {
	c.timer.Stop()
	c.cancel(nil)
}

// Reader returns a reader whose reads show that the exchange goes on.
func (c *Context) Reader(r io.Reader) io.Reader { return &movedReader{r, c} }

// Body is [Context.Reader] for a body that ends the context when it is closed.
func (c *Context) Body(b io.ReadCloser) io.ReadCloser { return &movedBody{movedReader{b, c}, b} }

type movedReader struct {
	r io.Reader
	c *Context
}

func (m *movedReader) Read(p []byte) (int, error) {
	m.c.Moved()
	n, err := m.r.Read(p)
	m.c.Moved()
	return n, err
}

type movedBody struct {
	movedReader
	body io.Closer
}

func (m *movedBody) Close() error {
	defer m.c.Stop()
	return m.body.Close()
}
