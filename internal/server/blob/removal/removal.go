// Package removal removes the objects of a blob store that no row names any more. The
// domain packages put an object into the work queue in the transaction that removes its
// last row ([Outbox]), so a crash right after the commit leaves nothing behind. What no
// transaction knew of, such as the object of an upload whose process was killed, is
// found by the sweeps; see package orphans.
package removal

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// The kinds of work.
const (
	kindDelete   = "blobs/delete"
	kindSetAside = "blobs/set-aside"
)

const (
	// perJob is how many objects one job has, which bounds its payload.
	perJob      = 200
	concurrency = 2
	timeout     = 10 * time.Minute
)

// A job is the payload of both kinds.
type job struct {
	Objects []string `json:"objects"`
}

// An Outbox puts objects that are to be removed into the work queue.
type Outbox struct{ queue *work.Queue }

// New registers the kinds of work with the queue, and returns the outbox.
func New(queue *work.Queue, store blob.Store, now func() time.Time) (*Outbox, error) {
	return &Outbox{queue}, queue.Handle(
		work.Kind{Name: kindDelete, Concurrency: concurrency, Timeout: timeout, Run: each(store.Delete)},
		work.Kind{Name: kindSetAside, Concurrency: concurrency, Timeout: timeout, Run: each(func(ctx context.Context, object string) error {
			return store.SetAside(ctx, object, now())
		})},
	)
}

// each removes all objects of a job. An object that is gone already is not an error, so
// a job that failed half way can run again.
func each(remove func(ctx context.Context, object string) error) work.Handler {
	return work.JSON(func(ctx context.Context, j job) error {
		var failed []error
		for _, object := range j.Objects {
			if err := remove(ctx, object); err != nil {
				failed = append(failed, err)
			}
			if ctx.Err() != nil {
				break
			}
		}
		return errors.Join(failed...)
	})
}

// Delete deletes objects after tx is committed. They were never more than part of an
// upload, or they are damaged.
func (o *Outbox) Delete(ctx context.Context, tx *db.Tx, objects ...string) error {
	return o.enqueue(ctx, tx, kindDelete, time.Time{}, objects)
}

// SetAside sets objects aside after tx is committed, and not before the given time; the
// zero time is at once.
func (o *Outbox) SetAside(ctx context.Context, tx *db.Tx, after time.Time, objects ...string) error {
	return o.enqueue(ctx, tx, kindSetAside, after, objects)
}

func (o *Outbox) enqueue(ctx context.Context, tx *db.Tx, kind string, after time.Time, objects []string) error {
	for part := range slices.Chunk(objects, perJob) {
		if err := o.queue.Enqueue(ctx, tx, work.Job{Kind: kind, Payload: job{part}, RunAt: after}); err != nil {
			return err
		}
	}
	return nil
}
