package app

import (
	"net"
	"sync"

	"github.com/gatehouse-registry/gatehouse/internal/respwriter"
)

var _ respwriter.Gatherer = (*trackedConn)(nil)

// A gathered is a write that waits for the next one. The zero value waits for nothing.
type gathered struct {
	on     bool
	buffer *[maxGathered]byte
	unsent []byte // of buffer
}

// maxGathered is the size of the largest write that waits: that of net/http's buffer.
const maxGathered = 4 << 10

// gatherBuffers are of the connections that write. An idle one needs none.
var gatherBuffers = sync.Pool{New: func() any { return new([maxGathered]byte) }}

// keep copies a small write and reports whether it waits now.
func (g *gathered) keep(p []byte) bool {
	if !g.on || g.unsent != nil || len(p) == 0 || len(p) > maxGathered {
		return false
	}
	g.buffer = gatherBuffers.Get().(*[maxGathered]byte)
	g.unsent = g.buffer[:copy(g.buffer[:], p)]
	return true
}

// writeTo writes what waits and then p, and returns how much of p was written.
func (g *gathered) writeTo(c net.Conn, p []byte) (int, error) {
	waits := int64(len(g.unsent))
	both := net.Buffers{g.unsent, p}
	n, err := both.WriteTo(c)
	if n < waits {
		g.unsent = g.unsent[n:]
		return 0, err
	}
	g.reset()
	return int(n - waits), err
}

func (g *gathered) reset() {
	if g.buffer != nil {
		gatherBuffers.Put(g.buffer)
	}
	*g = gathered{}
}

// Gather implements [respwriter.Gatherer].
func (c *trackedConn) Gather() { c.gathered.on = true }

// Send implements [respwriter.Gatherer].
func (c *trackedConn) Send() error {
	defer c.gathered.reset()
	if len(c.gathered.unsent) == 0 {
		return nil
	}
	_, err := c.Conn.Write(c.gathered.unsent)
	return err
}
