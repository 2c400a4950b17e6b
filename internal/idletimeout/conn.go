package idletimeout

import (
	"io"
	"net"
	"time"
)

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
	return &conn{Conn: c, allowance: newAllowance(l.limits)}, nil
}

// A conn sets a deadline before each write. It is used by one writer at a time,
// as net/http does.
type conn struct {
	net.Conn
	allowance allowance
	deadline  time.Time // of the connection, as it was set last
}

// NetConn returns the connection below, as that of [crypto/tls.Conn] does.
func (c *conn) NetConn() net.Conn { return c.Conn }

// Write implements io.Writer.
func (c *conn) Write(p []byte) (sent int, err error) {
	for {
		step := p[:min(len(p), c.step())]
		began := c.begin()
		n, err := c.Conn.Write(step)
		c.allowance.account(time.Since(began), int64(n))
		sent += n
		if p = p[n:]; err != nil || len(p) == 0 {
			return sent, err
		}
	}
}

// ReadFrom lets the kernel send a file, if the connection below can do that. It
// sends a step at a time, since a deadline is for a whole call.
func (c *conn) ReadFrom(src io.Reader) (sent int64, err error) {
	below, ok := c.Conn.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{c}, src)
	}
	whole, limited := src.(*io.LimitedReader)
	if !limited {
		whole = &io.LimitedReader{R: src, N: 1<<63 - 1}
	}
	for whole.N > 0 {
		began := c.begin()
		// The kernel is asked only if the file is in one LimitedReader.
		step := &io.LimitedReader{R: whole.R, N: min(int64(c.step()), whole.N)}
		n, err := below.ReadFrom(step)
		c.allowance.account(time.Since(began), n)
		sent += n
		whole.N -= n
		if err != nil || step.N > 0 {
			return sent, err
		}
	}
	return sent, nil
}

// CloseWrite is what net/http calls before it closes a connection on which the
// client may still be sending.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// step is how many bytes are written under one deadline. A peer that keeps
// MinRate takes them in half of the time that it has.
func (c *conn) step() int {
	const least, most = 1 << 10, 1 << 20
	l := c.allowance.limits
	if l.MinRate == 0 {
		return least
	}
	return int(min(max(l.MinRate*int64(l.Idle/time.Second)/2, least), most))
}

// begin moves the deadline. A deadline that is nearly right stays, which saves
// fast peers the call. Setting it fails only on a closed connection, and then so
// does what follows.
func (c *conn) begin() (now time.Time) {
	now = time.Now()
	want := now.Add(c.allowance.left)
	if off := want.Sub(c.deadline); off > c.allowance.limits.Idle/8 || off < -c.allowance.limits.Idle/8 {
		c.deadline = want
		_ = c.Conn.SetWriteDeadline(want)
	}
	return now
}
