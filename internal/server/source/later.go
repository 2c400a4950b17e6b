package source

import (
	"context"
	"sync"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// Storing documents after the answer.
//
// A document that is lost in a crash is asked for again, so no client waits until it is on
// the disk. Many documents share one transaction. If other servers use the database, a
// document is stored before the lease of its question ends, because the next holder reads
// it.

const (
	laterDelay = 200 * time.Millisecond // in which documents come together
	laterBatch = 200                    // documents in one transaction
	laterBytes = 64 << 20               // of documents that wait; further ones are stored at once
)

// later holds the documents that are not stored yet.
type later struct {
	mu      sync.Mutex
	waiting map[key]*document
	bytes   int64
	running bool

	storing sync.Mutex // held by storeNow: an older document must not be written after a newer one
}

// store stores a document, at once or soon.
func (c *Cache) store(ctx context.Context, k key, d *document) error {
	if k.fleeting() {
		return nil
	}
	if c.shared || !c.storeLater(k, d) {
		return c.write(ctx, []stored{{k, d}})
	}
	return nil
}

// storeLater reports false if the document must be stored at once.
func (c *Cache) storeLater(k key, d *document) bool {
	l := &c.later
	l.mu.Lock()
	defer l.mu.Unlock()
	waits := *d
	old := l.waiting[k]
	if old != nil && waits.body == nil && waits.pkg == old.pkg {
		waits.body = old.body // only the time has changed, and the rest is not stored yet
	}
	grows := int64(len(waits.body))
	if old != nil {
		grows -= int64(len(old.body))
	}
	if old == nil && l.bytes+grows > laterBytes {
		return false
	}
	if !l.running && !c.start(c.storeWaiting) {
		return false
	}
	l.running = true
	l.waiting[k] = &waits
	l.bytes += grows
	return true
}

// notStored returns a document that is not stored yet, or nil.
func (c *Cache) notStored(k key) *document {
	c.later.mu.Lock()
	defer c.later.mu.Unlock()
	d := c.later.waiting[k]
	if d == nil {
		return nil
	}
	found := *d
	found.body = nil
	return &found
}

// storeWaiting stores what waits, until nothing does. Close waits for it.
func (c *Cache) storeWaiting() {
	for {
		delay := time.NewTimer(laterDelay)
		select {
		case <-delay.C:
		case <-c.life.Done():
			delay.Stop()
		}
		c.storeNow(context.WithoutCancel(c.life))
		if c.later.rest() {
			return
		}
	}
}

// storeNow stores what waits.
func (c *Cache) storeNow(ctx context.Context) {
	c.later.storing.Lock()
	defer c.later.storing.Unlock()
	for batch := c.later.batch(); len(batch) > 0; batch = c.later.batch() {
		if err := c.write(ctx, batch); err != nil {
			// The answers are good. They are lost at the next restart.
			c.log.Warn("answers of package registries could not be stored", "answers", len(batch), "error", err)
		}
		c.later.forget(batch)
	}
}

// A stored is a document and its key.
type stored struct {
	key      key
	document *document
}

// rest ends storeWaiting, unless something waits.
func (l *later) rest() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = len(l.waiting) > 0
	return !l.running
}

// batch returns documents that wait.
func (l *later) batch() []stored {
	l.mu.Lock()
	defer l.mu.Unlock()
	var batch []stored
	for k, d := range l.waiting {
		if len(batch) == laterBatch {
			break
		}
		batch = append(batch, stored{k, d})
	}
	return batch
}

// forget removes documents that are stored, unless newer ones wait in their place.
func (l *later) forget(batch []stored) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range batch {
		if l.waiting[s.key] == s.document {
			delete(l.waiting, s.key)
			l.bytes -= int64(len(s.document.body))
		}
	}
}

// write stores documents. If one has no body, only its time has changed: the time of what is
// stored, unless that is another document.
func (c *Cache) write(ctx context.Context, all []stored) error {
	return c.db.Tx(ctx, func(tx *db.Tx) error {
		for _, s := range all {
			if err := writeDocument(ctx, tx, s.key, s.document); err != nil {
				return err
			}
		}
		return nil
	})
}

func writeDocument(ctx context.Context, tx *db.Tx, k key, d *document) error {
	if d.pkg != nil && d.body == nil {
		_, err := tx.Exec(ctx, `UPDATE source_document SET checked = $3 WHERE registry = $1 AND package = $2 AND revision = $4`, k.registry, k.text(), db.Micros(d.checked), d.pkg.Revision)
		return err
	}
	revision := ""
	if d.pkg != nil {
		revision = d.pkg.Revision
	}
	_, err := tx.Exec(ctx, `INSERT INTO source_document (registry, package, validator, revision, checked, size, body) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (registry, package) DO UPDATE SET validator = $3, revision = $4, checked = $5, size = $6, body = $7`,
		k.registry, k.text(), d.validator, revision, db.Micros(d.checked), int64(len(d.body)), nullable(d.body))
	return err
}

func nullable(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}
