package events

import (
	"context"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

const (
	// collectBatch is how many events one transaction collects.
	collectBatch = 200
	// collectPause bounds how often a server collects. Events that come in between
	// share a transaction.
	collectPause = 100 * time.Millisecond
	// collectEvery is when a server collects although it has not written an event: for
	// those of servers that were killed.
	collectEvery = 10 * time.Second

	retentionEvery = 10 * time.Minute
	retentionBatch = 1000
)

// Run tells the webhooks about events soon after they were written, until ctx ends. It
// returns at once if there are no webhooks.
func (l *Log) Run(ctx context.Context) {
	if len(l.webhooks) == 0 {
		return
	}
	tick := time.NewTicker(collectEvery)
	defer tick.Stop()
	pause := time.NewTicker(collectPause)
	defer pause.Stop()
	for {
		if err := l.collect(ctx); err != nil && ctx.Err() == nil {
			l.c.Log.ErrorContext(ctx, "events could not be collected", "error", err)
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
		select {
		case <-l.wake:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// collect numbers the events of committed transactions and puts their deliveries into
// the work queue.
func (l *Log) collect(ctx context.Context) error {
	for {
		found, err := db.All(ctx, l.c.DB, db.Scalar[string], `SELECT id FROM event_outbox LIMIT 1`)
		if err != nil || len(found) == 0 {
			return err
		}
		if err := l.c.DB.Tx(ctx, func(tx *db.Tx) error { return l.collectBatch(ctx, tx) }); err != nil {
			return err
		}
	}
}

func (l *Log) collectBatch(ctx context.Context, tx *db.Tx) error {
	rows, err := db.All(ctx, tx, scanStored, `SELECT `+storedColumns+` FROM event_outbox ORDER BY id LIMIT $1`, collectBatch)
	if err != nil || len(rows) == 0 {
		return err
	}
	last, err := db.One(ctx, tx, db.Scalar[int64], `UPDATE event_number SET last = last + $1 WHERE one = 1 RETURNING last`, len(rows))
	if err != nil {
		return err
	}
	for i := range rows {
		row := &rows[i]
		number := last - int64(len(rows)-1-i)
		if _, err := tx.Exec(ctx, `INSERT INTO event (number, `+storedColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, append([]any{number}, row.values()...)...); err != nil {
			return err
		}
		for _, w := range l.webhooks {
			if !w.Filter.matches(row) {
				continue
			}
			if err := l.c.Work.Enqueue(ctx, tx, w.job(row)); err != nil {
				return err
			}
		}
	}
	// A transaction sees one state of the database: these are the rows that it has read.
	_, err = tx.Exec(ctx, `DELETE FROM event_outbox WHERE id <= $1`, rows[len(rows)-1].id)
	return err
}

// retain removes events that are too old or too many.
func (l *Log) retain(ctx context.Context) error {
	if err := l.collect(ctx); err != nil {
		return err
	}
	old, err := db.One(ctx, l.c.DB, db.Scalar[int64], `SELECT coalesce(max(number), 0) FROM event WHERE at < $1`, db.Micros(l.c.Now().Add(-l.c.Keep)))
	if err != nil {
		return err
	}
	last, err := l.last(ctx)
	if err != nil {
		return err
	}
	end := max(old, last-l.c.Max)
	for {
		first, err := db.One(ctx, l.c.DB, db.Scalar[int64], `SELECT coalesce(min(number), 0) FROM event`)
		if err != nil || first == 0 || first > end {
			return err
		}
		err = l.c.DB.Tx(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(ctx, `DELETE FROM event WHERE number <= $1`, min(end, first+retentionBatch))
			return err
		})
		if err != nil {
			return err
		}
	}
}

// last returns the number of the newest event that was collected.
func (l *Log) last(ctx context.Context) (int64, error) {
	return db.One(ctx, l.c.DB, db.Scalar[int64], `SELECT last FROM event_number`)
}
