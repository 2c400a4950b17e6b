package idletimeout

import (
	"io"
	"time"
)

// Body bounds reading the body of another server's answer. stop is called with
// [ErrTimeout] if the limits are exceeded while a read waits; it must end that read, as
// canceling the context of the request does. Time between reads does not count.
func Body(b io.ReadCloser, limits Limits, stop func(error)) io.ReadCloser {
	return &clientBody{ReadCloser: b, allowance: newAllowance(limits), stop: stop}
}

// A clientBody is read by one goroutine at a time, as all bodies.
type clientBody struct {
	io.ReadCloser
	allowance allowance
	stop      func(error)
	timer     *time.Timer
}

// Read implements io.Reader.
func (c *clientBody) Read(p []byte) (int, error) {
	if c.timer == nil {
		c.timer = time.AfterFunc(c.allowance.left, func() { c.stop(ErrTimeout) })
	} else {
		c.timer.Reset(c.allowance.left)
	}
	began := time.Now()
	n, err := c.ReadCloser.Read(p)
	c.timer.Stop()
	c.allowance.account(time.Since(began), int64(n))
	return n, err
}
