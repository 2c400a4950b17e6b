// Package asynclog writes lines to a file without making a request wait for the
// disk or for another request's line.
//
// A [Writer] collects lines in memory, and one goroutine writes them, many at a
// time. If the disk is slow, callers of Write wait and no line is lost. If the
// disk fails, as when it is full, the Writer tries again until it succeeds and
// continues where the failed write ended, so that no line is cut. Meanwhile it
// keeps what fits into memory; [Writer.Err] says that it is failing, and a line
// that does not fit is refused with [ErrBacklog].
//
// A line that comes after a pause is written at once. Under load, lines are collected
// for a few milliseconds.
//
// A crash loses the lines that are in memory. It does not lose the changes that
// these lines report: the stores made them durable before the answer.
//
// The audit log and the server's log use it. It imports no other package of this
// module.
package asynclog

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// maxPending is how many bytes wait in memory before a caller has to wait, or
	// is refused while the disk fails.
	maxPending = 1 << 20
	// firstRetry and lastRetry bound the time between attempts of a failed write.
	firstRetry = 50 * time.Millisecond
	lastRetry  = 2 * time.Second
	// minInterval is the time between the beginnings of two writes at least. Under
	// load, a write of its own for each line takes as long as the requests do.
	minInterval = 2 * time.Millisecond
)

var (
	// ErrClosed is returned by Write after Close.
	ErrClosed = errors.New("asynclog: closed")
	// ErrBacklog means that a line was not accepted because earlier ones cannot be
	// written and memory for more is used up.
	ErrBacklog = errors.New("asynclog: lines cannot be written, and no more can wait")
)

// A Writer batches lines. It is safe for use by many goroutines; each Write is
// one or more whole lines.
type Writer struct {
	out io.Writer

	mu      sync.Mutex
	changed *sync.Cond
	pending []byte    // not given to the writing goroutine yet
	left    int       // bytes of the batch that is being written
	since   time.Time // when the oldest line that is not written was queued
	closed  bool
	err     error // of the last attempt, nil if it succeeded
	done    chan struct{}
}

// New starts a writer to out. Close ends it; out itself stays open.
func New(out io.Writer) *Writer {
	w := &Writer{out: out, done: make(chan struct{})}
	w.changed = sync.NewCond(&w.mu)
	go w.run()
	return w
}

// Write queues p. It waits if the disk is slow. Errors: ErrClosed, and ErrBacklog
// with the disk's error if the disk fails and p does not fit into memory.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.pending) > maxPending && w.err == nil && !w.closed {
		w.changed.Wait()
	}
	if w.closed {
		return 0, ErrClosed
	}
	if w.err != nil && len(w.pending)+len(p) > maxPending {
		return 0, fmt.Errorf("%w: %w", ErrBacklog, w.err)
	}
	if len(w.pending) == 0 && w.left == 0 {
		w.since = time.Now()
	}
	w.pending = append(w.pending, p...)
	w.changed.Broadcast()
	return len(p), nil
}

// Err returns the error of the last attempt to write, or nil if it succeeded.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Lag returns how many bytes are not written yet, and for how long the oldest of
// them has waited, approximately.
func (w *Writer) Lag() (bytes int, oldest time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if bytes = len(w.pending) + w.left; bytes > 0 {
		oldest = time.Since(w.since)
	}
	return bytes, oldest
}

// Flush waits until everything that was queued is at the operating system, or an
// attempt fails, and returns its error.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.pending)+w.left > 0 && w.err == nil {
		w.changed.Wait()
	}
	return w.err
}

// Close writes what is queued and ends the writer. If the disk fails, it tries
// once more and then returns an error that says how much was lost.
func (w *Writer) Close() error {
	w.mu.Lock()
	w.closed = true
	w.changed.Broadcast()
	w.mu.Unlock()
	<-w.done
	w.mu.Lock()
	defer w.mu.Unlock()
	if lost := len(w.pending) + w.left; lost > 0 {
		return fmt.Errorf("%d bytes of log lines are lost: %w", lost, w.err)
	}
	return nil
}

func (w *Writer) run() {
	defer close(w.done)
	var batch []byte
	var last time.Time // when the last write began
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.pending) == 0 && !w.closed {
			w.changed.Wait()
		}
		if len(w.pending) == 0 {
			return
		}
		if early := minInterval - time.Since(last); early > 0 && !w.closed {
			w.mu.Unlock()
			time.Sleep(early)
			w.mu.Lock()
		}
		batch, w.pending = w.pending, batch[:0]
		w.changed.Broadcast() // there is room again
		taken := time.Now()
		last = taken
		if !w.writeAll(batch) {
			return
		}
		if len(w.pending) > 0 {
			w.since = taken
		}
	}
}

// writeAll writes a batch, and tries again until it has. It is called with the
// lock held, and releases it meanwhile. It returns false if the writer was closed
// and the last attempt failed.
func (w *Writer) writeAll(batch []byte) bool {
	wait := firstRetry
	for w.left = len(batch); w.left > 0; {
		last := w.closed
		w.mu.Unlock()
		n, err := w.out.Write(batch[len(batch)-w.left:])
		w.mu.Lock()
		w.left -= n
		if err == nil && n == 0 {
			err = io.ErrShortWrite
		}
		if w.err = err; w.left == 0 {
			w.err = nil
		}
		w.changed.Broadcast()
		if w.err == nil {
			continue
		}
		if last {
			return false
		}
		w.pause(wait)
		wait = min(2*wait, lastRetry)
	}
	w.err = nil
	w.changed.Broadcast()
	return true
}

// pause waits, or until the writer is closed.
func (w *Writer) pause(d time.Duration) {
	until := time.Now().Add(d)
	wake := time.AfterFunc(d, w.changed.Broadcast)
	defer wake.Stop()
	for !w.closed && time.Now().Before(until) {
		w.changed.Wait()
	}
}
