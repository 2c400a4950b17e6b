package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-registry/gatehouse/internal/respwriter"
)

const (
	// reservedFiles are the file descriptors that are kept for the database, logs and
	// whatever else is open all the time.
	reservedFiles = 64
	// filesPerConnection are the descriptors that a connection can need: its own, and
	// a file that it sends or receives.
	filesPerConnection = 2
	// defaultConnections is the limit if the system does not limit descriptors.
	defaultConnections = 16384
	// A connection is closed in favour of a new one if it has been silent for so long,
	// has not sent anything at all, or has had no request for headerTime: clients that
	// send their headers a byte at a time kept all others out.
	headerTime    = 2 * time.Second
	silentAfter   = 5 * time.Second
	untouchedFor  = 250 * time.Millisecond
	scanInterval  = 50 * time.Millisecond
	refusedAnswer = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)

// maxConnections is how many connections may be open, for a configured limit, which
// is 0 if there is none.
func maxConnections(configured int) int {
	if configured > 0 {
		return configured
	}
	if files := maxFiles(); files > 0 {
		return max((files-reservedFiles)/filesPerConnection, 16)
	}
	return defaultConnections
}

// A connectionLimit keeps the number of open connections below a limit, so that the
// process never runs out of file descriptors: without one, it can neither open files
// nor accept the connection of an operator. If the limit is reached, connections that
// have been silent for longest are closed; if there are none, new ones are refused.
type connectionLimit struct {
	net.Listener
	max     int
	answers bool // a refused client can read an answer that is not encrypted
	refused prometheus.Counter
	start   time.Time

	mu      sync.Mutex
	open    map[*trackedConn]struct{}
	scanned time.Duration // when silent connections were last looked for
}

func limitConnections(l net.Listener, most int, answers bool, refused prometheus.Counter) *connectionLimit {
	return &connectionLimit{Listener: l, max: most, answers: answers, refused: refused, start: time.Now(), open: map[*trackedConn]struct{}{}}
}

// Accept implements net.Listener.
func (l *connectionLimit) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		t := &trackedConn{Conn: c, limit: l}
		t.moved()
		t.waiting.Store(t.active.Load())
		if l.add(t) {
			return t, nil
		}
		l.refused.Inc()
		if l.answers {
			_ = c.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = io.WriteString(c, refusedAnswer)
		}
		_ = c.Close()
	}
}

func (l *connectionLimit) add(c *trackedConn) bool {
	l.mu.Lock()
	silent := l.silent()
	if len(l.open)-len(silent) >= l.max {
		l.mu.Unlock()
		return false
	}
	for _, s := range silent {
		delete(l.open, s)
	}
	l.open[c] = struct{}{}
	l.mu.Unlock()
	for _, s := range silent {
		l.refused.Inc()
		_ = s.Conn.Close()
	}
	return true
}

// silent returns the connections to close for a new one: none while there is room,
// and otherwise a twentieth of all, those that have been silent for longest.
func (l *connectionLimit) silent() []*trackedConn {
	now := time.Since(l.start)
	if len(l.open) < l.max || now-l.scanned < scanInterval {
		return nil
	}
	l.scanned = now
	type candidate struct {
		c      *trackedConn
		active int64
	}
	var found []candidate
	for c := range l.open {
		limit, at := silentAfter, c.active.Load()
		switch {
		case !c.touched.Load():
			limit = untouchedFor
		case c.requests.Load() == 0:
			limit, at = headerTime, c.waiting.Load()
		}
		if now-time.Duration(at) >= limit {
			found = append(found, candidate{c, at})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int { return cmp.Compare(a.active, b.active) })
	out := make([]*trackedConn, min(len(found), l.max/20+1))
	for i := range out {
		out[i] = found[i].c
	}
	return out
}

// A trackedConn is an open connection that knows when something moved last.
type trackedConn struct {
	net.Conn
	limit   *connectionLimit
	active  atomic.Int64 // time since the limit's start
	touched atomic.Bool  // the client has sent something
	// requests is how many of its requests are handled now, and waiting is since when
	// there has been none.
	requests atomic.Int64
	waiting  atomic.Int64
	// gathered is used by the goroutine that writes.
	gathered gathered
}

type connKey struct{}

// withConnection puts the tracked connection below c into the context of its requests.
// Writes to it are gathered unless they are encrypted.
func withConnection(ctx context.Context, c net.Conn) context.Context {
	_, encrypted := c.(*tls.Conn)
	for {
		if t, ok := c.(*trackedConn); ok {
			if !encrypted {
				ctx = respwriter.WithGatherer(ctx, t)
			}
			return context.WithValue(ctx, connKey{}, t)
		}
		above, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return ctx
		}
		c = above.NetConn()
	}
}

// connectionOf returns the connection of a request, or nil if it is not tracked.
func connectionOf(ctx context.Context) *trackedConn {
	c, _ := ctx.Value(connKey{}).(*trackedConn)
	return c
}

// requestBegins notes that a request of the connection is handled from now on.
func (c *trackedConn) requestBegins() {
	if c != nil {
		c.requests.Add(1)
	}
}

// requestEnds notes that a request is no longer handled.
func (c *trackedConn) requestEnds() {
	if c != nil {
		c.waiting.Store(int64(time.Since(c.limit.start)))
		c.requests.Add(-1)
	}
}

func (c *trackedConn) moved() { c.active.Store(int64(time.Since(c.limit.start))) }

// Read implements io.Reader.
func (c *trackedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.moved()
		if !c.touched.Load() {
			c.touched.Store(true)
		}
	}
	return n, err
}

// Write implements io.Writer.
func (c *trackedConn) Write(p []byte) (n int, err error) {
	switch {
	case c.gathered.keep(p):
		return len(p), nil
	case c.gathered.unsent != nil:
		n, err = c.gathered.writeTo(c.Conn, p)
	default:
		n, err = c.Conn.Write(p)
	}
	if n > 0 {
		c.moved()
	}
	return n, err
}

// ReadFrom lets the kernel send files.
func (c *trackedConn) ReadFrom(src io.Reader) (int64, error) {
	below, ok := c.Conn.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{c}, src)
	}
	n, err := below.ReadFrom(src)
	if n > 0 {
		c.moved()
	}
	return n, err
}

// CloseWrite is what net/http calls before it closes a connection.
func (c *trackedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close implements io.Closer.
func (c *trackedConn) Close() error {
	c.limit.mu.Lock()
	delete(c.limit.open, c)
	c.limit.mu.Unlock()
	return c.Conn.Close()
}
