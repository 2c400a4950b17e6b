package app

import (
	"io"
	"net"
	"time"
)

const (
	// answerIdle is how long a client may take nothing of an answer. As a whole an
	// answer may take as long as it takes.
	answerIdle = time.Minute
	// answerStep is how many bytes leave between two looks at the clock where the
	// kernel sends a file.
	answerStep = 4 << 20
)

// A movingListener accepts connections whose clients must go on reading: one that
// stops would hold its connection, and the file that is sent to it, for good.
type movingListener struct {
	net.Listener
	idle time.Duration
}

// Accept implements net.Listener.
func (l *movingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c, nil
	}
	return &movingConn{TCPConn: tcp, idle: l.idle}, nil
}

// A movingConn moves its deadline on with what is written. It is used by one
// writer at a time, as net/http does.
type movingConn struct {
	*net.TCPConn
	idle time.Duration
	set  time.Time // when the deadline was set last
}

// Write implements io.Writer.
func (c *movingConn) Write(p []byte) (int, error) {
	c.postpone()
	return c.TCPConn.Write(p)
}

// ReadFrom lets the kernel send a file, a step at a time.
func (c *movingConn) ReadFrom(src io.Reader) (sent int64, err error) {
	whole, limited := src.(*io.LimitedReader)
	if !limited {
		whole = &io.LimitedReader{R: src, N: 1<<63 - 1}
	}
	for whole.N > 0 {
		c.postpone()
		// The kernel is asked only where the file is in one LimitedReader.
		step := &io.LimitedReader{R: whole.R, N: min(answerStep, whole.N)}
		n, err := c.TCPConn.ReadFrom(step)
		sent += n
		whole.N -= n
		if err != nil || step.N > 0 {
			return sent, err
		}
	}
	return sent, nil
}

// postpone sets the deadline anew once a quarter of it is over. Setting it fails
// on a closed connection alone, as what follows then does.
func (c *movingConn) postpone() {
	if now := time.Now(); now.Sub(c.set) > c.idle/4 {
		c.set = now
		_ = c.SetWriteDeadline(now.Add(c.idle))
	}
}
