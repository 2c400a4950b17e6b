package archive_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
)

func TestLimiter_Wait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The memory of one large zip, or of a few tars.
		l := archive.NewLimiter(200<<20, 5*time.Second)
		large, err := l.Acquire(t.Context(), 1<<30, archive.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = l.Acquire(t.Context(), 1<<30, archive.Limits{})
		if f := fault.From(err); f == nil || f.Kind != fault.Unavailable || time.Since(began) != 5*time.Second {
			t.Fatalf("after %s: %v", time.Since(began), err)
		}
		// What needs less is not held up by it.
		small, err := l.Acquire(t.Context(), 0, archive.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		small()
		// Who waits goes on when there is memory again.
		time.AfterFunc(time.Second, large)
		began = time.Now()
		large, err = l.Acquire(t.Context(), 1<<30, archive.Limits{})
		if err != nil || time.Since(began) != time.Second {
			t.Fatalf("after %s: %v", time.Since(began), err)
		}
		// It ends when the client has left.
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err = l.Acquire(ctx, 1<<30, archive.Limits{}); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		large()
	})
}

// An archive that costs more than there is can be opened if no other is open.
func TestLimiter_OneFits(t *testing.T) {
	l := archive.NewLimiter(1<<20, time.Second)
	for range 3 {
		release, err := l.Acquire(t.Context(), 1<<40, archive.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
}

func TestLimiter_Nil(t *testing.T) {
	var l *archive.Limiter
	release, err := l.Acquire(t.Context(), 1<<40, archive.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	release()
}
