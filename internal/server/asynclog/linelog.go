// Package asynclog writes lines to a file without making a request wait for the
// disk or for another request's line.
//
// Lines are gathered in memory and written by one goroutine, many at a time.
// When the disk cannot keep up, writers wait: no line is dropped. A crash can
// lose the lines of the last moments; what they report was acknowledged to the
// client by the stores and not by its log line.
package asynclog

import (
	"errors"
	"io"
	"sync"
)

// maxPending is how many bytes wait in memory before a writer has to.
const maxPending = 1 << 20

// ErrClosed is returned by Write after Close.
var ErrClosed = errors.New("linelog: closed")

// A Writer batches lines. It is safe for use by many goroutines; each Write is
// one or more whole lines.
type Writer struct {
	out io.Writer

	mu      sync.Mutex
	changed *sync.Cond
	pending []byte
	writing bool
	closed  bool
	err     error
	done    chan struct{}
}

// New starts a writer to out. Close ends it; out itself stays open.
func New(out io.Writer) *Writer {
	w := &Writer{out: out, done: make(chan struct{})}
	w.changed = sync.NewCond(&w.mu)
	go w.run()
	return w
}

// Write queues p. It returns the error of an earlier line that could not be
// written.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.pending) > maxPending && w.err == nil && !w.closed {
		w.changed.Wait()
	}
	if w.closed {
		return 0, ErrClosed
	}
	if w.err != nil {
		return 0, w.err
	}
	w.pending = append(w.pending, p...)
	if !w.writing {
		w.changed.Broadcast()
	}
	return len(p), nil
}

// Flush returns when everything written before is at the operating system.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for (len(w.pending) > 0 || w.writing) && w.err == nil {
		w.changed.Wait()
	}
	return w.err
}

// Close writes what is queued and ends the writer.
func (w *Writer) Close() error {
	err := w.Flush()
	w.mu.Lock()
	w.closed = true
	w.changed.Broadcast()
	w.mu.Unlock()
	<-w.done
	return err
}

func (w *Writer) run() {
	defer close(w.done)
	var batch []byte
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.pending) == 0 && !w.closed {
			w.changed.Wait()
		}
		if len(w.pending) == 0 {
			return
		}
		batch, w.pending = w.pending, batch[:0]
		w.writing = true
		w.mu.Unlock()
		_, err := w.out.Write(batch)
		w.mu.Lock()
		w.writing = false
		if err != nil && w.err == nil {
			w.err = err
		}
		w.changed.Broadcast()
	}
}
