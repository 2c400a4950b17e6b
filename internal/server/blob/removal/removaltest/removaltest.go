// Package removaltest is a fixture for tests of the domain packages: a work queue that
// removes objects when the test says so.
package removaltest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/removal"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// New returns an outbox whose work nothing does.
func New(t testing.TB, d *db.DB, store blob.Store, now func() time.Time) *removal.Outbox {
	t.Helper()
	o, _ := Open(t, d, store, now)
	return o
}

// Open returns an outbox, and the queue whose RunDue does the work.
func Open(t testing.TB, d *db.DB, store blob.Store, now func() time.Time) (*removal.Outbox, *work.Queue) {
	t.Helper()
	queue, err := work.New(context.WithoutCancel(t.Context()), work.Config{DB: d, Now: now, Log: slog.New(slog.DiscardHandler), Server: "test"})
	if err != nil {
		t.Fatal(err)
	}
	o, err := removal.New(queue, store, now)
	if err != nil {
		t.Fatal(err)
	}
	return o, queue
}
