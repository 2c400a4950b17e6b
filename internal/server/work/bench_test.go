package work_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// BenchmarkRunDue_NothingDue is what a server does each time that something wakes the
// queue: it has as many kinds as a server, each with a job that is not due.
func BenchmarkRunDue_NothingDue(b *testing.B) {
	var c clock
	q, err := work.New(b.Context(), work.Config{DB: dbtest.Open(b), Now: c.now, Log: slog.New(slog.DiscardHandler), Exclusive: true})
	if err != nil {
		b.Fatal(err)
	}
	for i := range 24 {
		k := work.Kind{Name: fmt.Sprintf("domain/kind%d", i), Every: time.Hour, Run: func(context.Context, work.Run) error { return nil }}
		if err := q.Handle(k); err != nil {
			b.Fatal(err)
		}
	}
	for range 2 { // the first time all are due
		if err := q.RunDue(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if err := q.RunDue(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
