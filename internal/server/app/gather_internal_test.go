package app

import (
	"errors"
	"net"
	"slices"
	"testing"
	"time"
)

// A writeLog is a connection that notes its writes. It takes at most most bytes of each if
// that is above 0.
type writeLog struct {
	net.Conn
	most   int
	writes []string
}

var errFull = errors.New("full")

func (w *writeLog) Write(p []byte) (int, error) {
	if w.most > 0 && len(p) > w.most {
		w.writes = append(w.writes, string(p[:w.most]))
		return w.most, errFull
	}
	w.writes = append(w.writes, string(p))
	return len(p), nil
}

func TestTrackedConn_Gather(t *testing.T) {
	write := func(t *testing.T, c *trackedConn, text string, want int) {
		t.Helper()
		if n, err := c.Write([]byte(text)); n != want || (err == nil) != (n == len(text)) {
			t.Errorf("Write(%d bytes) = %d, %v", len(text), n, err)
		}
	}
	wrote := func(t *testing.T, below *writeLog, want ...string) {
		t.Helper()
		if !slices.Equal(below.writes, want) {
			t.Errorf("wrote %q, want %q", below.writes, want)
		}
	}
	start := func() (*writeLog, *trackedConn) {
		below := &writeLog{}
		return below, &trackedConn{Conn: below, limit: &connectionLimit{start: time.Now()}}
	}

	t.Run("the first waits for the second", func(t *testing.T) {
		below, c := start()
		c.Gather()
		write(t, c, "head", 4)
		wrote(t, below)
		write(t, c, "body", 4)
		wrote(t, below, "head", "body")
		if err := c.Send(); err != nil {
			t.Error(err)
		}
		write(t, c, "next", 4)
		wrote(t, below, "head", "body", "next")
	})
	t.Run("Send sends what waits", func(t *testing.T) {
		below, c := start()
		c.Gather()
		write(t, c, "head", 4)
		if err := c.Send(); err != nil {
			t.Error(err)
		}
		wrote(t, below, "head")
	})
	t.Run("a large write does not wait", func(t *testing.T) {
		below, c := start()
		c.Gather()
		large := string(make([]byte, maxGathered+1))
		write(t, c, large, len(large))
		wrote(t, below, large)
	})
	t.Run("an interrupted write goes on", func(t *testing.T) {
		below, c := start()
		c.Gather()
		write(t, c, "header", 6)
		below.most = 4
		write(t, c, "body", 0)
		below.most = 0
		write(t, c, "body", 4)
		wrote(t, below, "head", "er", "body")
	})
	t.Run("a write may be interrupted in the second part", func(t *testing.T) {
		below, c := start()
		c.Gather()
		write(t, c, "head", 4)
		below.most = 4
		write(t, c, "the body", 4)
		below.most = 0
		write(t, c, "body", 4)
		wrote(t, below, "head", "the ", "body")
	})
}
