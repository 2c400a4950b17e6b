// Package work is the queue of work that the server does in the background: what a
// change leaves to be done after it is committed, and what recurs, such as sweeps.
//
// A domain puts a [Job] into the queue inside its own transaction, with
// [Queue.Enqueue]. So the work exists if and only if the change was committed (the
// pattern is called an outbox), and a crash in between loses nothing. Package app
// registers what each kind of work does, with [Queue.Handle], and calls [Queue.Run].
//
// # Guarantees
//
// Each job runs at least once after its transaction was committed. It may run more
// often, for example if the server is killed while it runs, so handlers must be
// idempotent. Two runs of one job never overlap as long as handlers return soon after
// their context is canceled.
//
// Jobs of a kind are unique by their key. A job that is put into the queue again while
// it waits is one job, with the later payload and the earlier time. If it is running,
// it runs once more after that run, because the run may not have seen what the new
// transaction wrote. If it had failed for good, it begins anew.
//
// A run that returns an error, panics or exceeds its time has failed. The job is tried
// again, later each time (see [Kind.MaxAttempts]). After the last attempt it stays in
// the queue as failed for a month, so that people can look at it and try again.
//
// Kinds take turns. The jobs of a kind are begun in the order of their times, but several
// run at once and failed ones come later, so there is no order to rely on.
//
// # Several servers
//
// A running job belongs to a session of one server (lease.go). The session shows that
// it lives by counting: it increases its counter every few seconds, and another server
// that sees the same count for a whole lease takes the session's jobs away. So no
// server compares its clock with another's. A session that cannot count cancels the
// contexts of its handlers before its lease ends. Times when jobs are due are compared
// with the clock of the server that looks: servers whose clocks differ begin a job
// earlier or later by the difference. A time that lies further in the future than any
// that is allowed was written while a clock was wrong, and the job is due.
//
// The package is storage: it knows no kind of work, and does not authorize. Package
// installation has the operations for people.
package work

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// A Job is work to be done.
type Job struct {
	// Kind names the handler, such as "blobs/delete".
	Kind string
	// Key is what makes the job unique within its kind; at most 512 bytes. A job
	// without a key is always a new one.
	Key string
	// Payload is what the handler gets, as JSON of at most 64 KiB; nil for none.
	Payload any
	// RunAt is when the job is due. The zero time means now. It must be at most
	// [Kind.MaxDelay] ahead.
	RunAt time.Time
}

// A Kind is one kind of work.
type Kind struct {
	Name string
	// Run does the work of one job.
	Run Handler
	// Concurrency is how many jobs of the kind one server runs at once; 0 means 1.
	Concurrency int
	// Timeout bounds one run; 0 means an hour.
	Timeout time.Duration
	// MaxAttempts is how often a job is tried; 0 means 12, which takes about four
	// hours. The second attempt comes about 10 s after the first one failed, and the
	// time doubles up to an hour. A run that a shutdown interrupts does not count.
	MaxAttempts int
	// MaxDelay is the longest time that a job may wait for its time; 0 means 48 h.
	MaxDelay time.Duration
	// Every makes the kind recur: it has one job, without key and payload, which is
	// due this long after it was last begun, on one server of the installation. It
	// never fails for good: it is tried again after an hour, or when it is due if that
	// is earlier.
	Every time.Duration
}

// A Handler does the work of a job. It must return soon after ctx is canceled, which
// happens when the run takes too long, when the server shuts down, and when the server
// has lost the job to another one ([ErrLeaseLost] is the cause).
type Handler func(ctx context.Context, run Run) error

// A Run is one attempt at a job.
type Run struct {
	Kind, Key string
	Payload   []byte // JSON; empty if the job has none
	Attempt   int    // 1 at first
}

// The bounds of a job and of what is kept of it.
const (
	maxKey     = 512      // bytes
	maxPayload = 64 << 10 // bytes
	maxError   = 1 << 10  // bytes of the error of the last run
)

const (
	defaultTimeout     = time.Hour
	defaultMaxAttempts = 12
	defaultMaxDelay    = 48 * time.Hour
	firstBackoff       = 10 * time.Second
	maxBackoff         = time.Hour
	// maxSkew is how far the clocks of servers may be apart.
	maxSkew = 5 * time.Minute
)

// withDefaults checks a kind and sets what is unset.
func (k Kind) withDefaults() (Kind, error) {
	if k.Name == "" || k.Run == nil || k.Concurrency < 0 || k.Timeout < 0 || k.MaxAttempts < 0 || k.MaxDelay < 0 || k.Every < 0 {
		return k, fmt.Errorf("work: the kind %q is not complete", k.Name)
	}
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&k.Timeout, defaultTimeout)
	set(&k.MaxDelay, max(defaultMaxDelay, k.Every))
	if k.MaxAttempts == 0 {
		k.MaxAttempts = defaultMaxAttempts
	}
	if k.Concurrency == 0 || k.Every > 0 {
		k.Concurrency = 1
	}
	return k, nil
}

// backoff is how long a job waits after its attempt failed, without jitter.
func backoff(attempt int) time.Duration {
	d := firstBackoff
	for range attempt - 1 {
		if d *= 2; d >= maxBackoff {
			return maxBackoff
		}
	}
	return d
}

// JSON returns a handler that decodes the payload.
func JSON[P any](run func(ctx context.Context, payload P) error) Handler {
	return func(ctx context.Context, r Run) error {
		var p P
		if err := json.Unmarshal(r.Payload, &p); err != nil {
			return fmt.Errorf("the payload: %w", err)
		}
		return run(ctx, p)
	}
}
