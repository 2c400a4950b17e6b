package changefeed

import (
	"context"
	"sync"

	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// refusals writes the rows for which refused changes wait. Those that come while one row
// is written share the next one, so that a caller who repeats a request that is refused
// cannot make this server commit more than one transaction at a time.
type refusals struct {
	writing Turn // held while a row is written

	mu   sync.Mutex
	next *refusalRow // whose transaction has not begun; nil if there is none
}

// A refusalRow is an empty row of the feed. Its transaction begins after the changes were
// refused that share it, so whoever has the row has what they have read.
type refusalRow struct {
	written  chan struct{} // closed when it is known whether there is a row
	position int64         // 0 if there is none
}

// position returns the position of a row that is written after the call began.
func (r *refusals) position(ctx context.Context, f *Feed, scope string) (position int64, ok bool) {
	r.mu.Lock()
	row := r.next
	if row == nil {
		row = &refusalRow{written: make(chan struct{})}
		r.next = row
		go r.write(f, row, scope) // for all who share it, so it does not end with one of them
	}
	r.mu.Unlock()
	select {
	case <-row.written:
		return row.position, row.position != 0
	case <-ctx.Done():
		return 0, false
	}
}

func (r *refusals) write(f *Feed, row *refusalRow, scope string) {
	defer close(row.written)
	ctx, cancel := context.WithTimeout(context.Background(), resolveTime)
	defer cancel()
	err := r.writing.Lock(ctx)
	r.mu.Lock()
	r.next = nil // what is refused from now on may have read more
	r.mu.Unlock()
	if err != nil {
		return
	}
	defer r.writing.Unlock()
	// As a change of its own, which this server need not report.
	o := &ownChange{id: randid.Text(), finished: make(chan struct{}), published: true}
	close(o.finished)
	f.register(o)
	var position int64
	err = f.store.Tx(ctx, func(tx *db.Tx) (err error) {
		position, err = f.store.Record(ctx, tx, Entry{ID: o.id, Scope: scope})
		return err
	})
	if err != nil {
		f.unregister(o)
		return
	}
	row.position = position
}
