package idletimeout

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// maxWait is how long one call of the connection below waits for the peer at most.
// The allowance is then looked at, and the call is repeated for the rest. It is short
// so that a layer below, which sees calls end, soon learns that something moved.
const maxWait = 2 * time.Second

// Listen returns a listener whose connections fail to write with
// os.ErrDeadlineExceeded if the peer does not keep to the limits.
func Listen(l net.Listener, limits Limits) net.Listener { return &listener{l, limits} }

type listener struct {
	net.Listener
	limits Limits
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, allowance: newAllowance(l.limits), wait: min(maxWait, l.limits.Idle/8)}, nil
}

// A conn sets a short deadline before each write. If it passes, the peer is slow or
// has stopped: the allowance decides which, from the bytes that were taken meanwhile,
// and the write goes on or fails. So a fast peer is sent a whole file in one call of
// the system. TLS is above this connection and sees no deadline but the last, after
// which its state is lost anyway.
//
// A conn is used by one writer at a time, as net/http does.
type conn struct {
	net.Conn
	allowance allowance
	wait      time.Duration // for one call

	mu       sync.Mutex
	deadline time.Time // of the connection below, as it was set last
	callers  time.Time // was set by SetWriteDeadline; zero if there is none
}

// NetConn returns the connection below, as that of [crypto/tls.Conn] does.
func (c *conn) NetConn() net.Conn { return c.Conn }

// Write implements io.Writer.
func (c *conn) Write(p []byte) (sent int, err error) {
	for {
		began := c.begin()
		n, err := c.Conn.Write(p[sent:])
		if sent += n; !c.continues(began, int64(n), err) || sent == len(p) {
			return sent, err
		}
	}
}

// ReadFrom lets the kernel send a file, if the connection below can do that.
func (c *conn) ReadFrom(src io.Reader) (sent int64, err error) {
	below, ok := c.Conn.(io.ReaderFrom)
	whole, limited := src.(*io.LimitedReader)
	if !limited {
		whole = &io.LimitedReader{R: src, N: 1<<63 - 1}
	}
	file, isFile := whole.R.(*os.File)
	if !ok || !isFile {
		return io.Copy(struct{ io.Writer }{c}, src)
	}
	for {
		left, began := whole.N, c.begin()
		n, err := below.ReadFrom(whole)
		if sent += n; !c.continues(began, n, err) {
			return sent, err
		}
		// If the kernel could not send the file, more of it was read than was written.
		if unsent := left - whole.N - n; unsent > 0 {
			if _, err := file.Seek(-unsent, io.SeekCurrent); err != nil {
				return sent, err
			}
			whole.N += unsent
		}
	}
}

// CloseWrite is what net/http calls before it closes a connection on which the
// client may still be sending.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetWriteDeadline implements net.Conn. The deadline holds beside the allowance.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.callers, c.deadline = t, t
	return c.Conn.SetWriteDeadline(t)
}

// begin moves the deadline and returns the time. A deadline that is early by less
// than half is kept, which saves fast peers the call.
func (c *conn) begin() (now time.Time) {
	now = time.Now()
	wait := min(c.wait, c.allowance.left)
	c.mu.Lock()
	defer c.mu.Unlock()
	if left := c.deadline.Sub(now); left <= wait && left >= wait/2 && left > 0 {
		return now
	}
	c.deadline = now.Add(wait)
	if !c.callers.IsZero() && c.callers.Before(c.deadline) {
		c.deadline = c.callers
	}
	// It fails only on a closed connection, and then so does what follows.
	_ = c.Conn.SetWriteDeadline(c.deadline)
	return now
}

// continues accounts for a call and reports whether it ended because its deadline
// passed and is to be repeated.
func (c *conn) continues(began time.Time, moved int64, err error) bool {
	now := time.Now()
	c.allowance.account(now.Sub(began), moved)
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = time.Time{} // it has passed, so that another must be set
	return c.allowance.left > 0 && (c.callers.IsZero() || now.Before(c.callers))
}
