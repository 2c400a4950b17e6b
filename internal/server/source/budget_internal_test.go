package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// receive reads a document of some bytes within the budget, and holds it until done.
func receive(ctx context.Context, b *budget, size int, done <-chan struct{}) error {
	ctx, release := b.reserve(ctx)
	defer release()
	n, err := io.Copy(io.Discard, reserved(ctx, io.NopCloser(bytes.NewReader(make([]byte, size)))))
	if err == nil && n != int64(size) {
		err = io.ErrShortWrite
	}
	if err == nil {
		<-done
	}
	return err
}

func TestBudget_Bounds(t *testing.T) {
	const largest = 16 << 20
	b := newBudget(64<<20, largest)
	if got := int64(cap(b.large))*largest + int64(cap(b.small))*smallShare; got > 64<<20 || cap(b.large) != 2 || cap(b.small) != 8 {
		t.Errorf("%d large and %d small shares", cap(b.large), cap(b.small))
	}
	if b := newBudget(1, largest); cap(b.large) != 1 || cap(b.small) != 1 {
		t.Error("one document must always be possible")
	}
	never := make(chan struct{})
	if err := receive(t.Context(), b, largest+1, never); !errors.As(err, new(*BadAnswer)) {
		t.Errorf("a document that is too large: %v", err)
	}
}

// Large documents that all have their first share do not wait for each other for ever.
func TestBudget_ManyLargeDocuments(t *testing.T) {
	b := newBudget(32<<20, 16<<20) // four small shares and one large one
	done := make(chan struct{})
	close(done)
	var wait sync.WaitGroup
	for range 12 {
		wait.Go(func() {
			if err := receive(t.Context(), b, 12<<20, done); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if len(b.small)+len(b.large) != 0 {
		t.Errorf("%d small and %d large shares were not given back", len(b.small), len(b.large))
	}
}

// A document that gets no share fails with a reason after a while.
func TestBudget_Exhausted(t *testing.T) {
	b := newBudget(1, 16<<20)
	b.patience = 10 * time.Millisecond
	done, first := make(chan struct{}), make(chan error)
	go func() { first <- receive(context.Background(), b, 1, done) }()
	for len(b.small) == 0 {
		time.Sleep(time.Millisecond)
	}
	err := receive(t.Context(), b, 1, done)
	if f := fault.From(err); f.Kind != fault.Unavailable || f.Code != codeBusy {
		t.Errorf("without a share: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := receive(ctx, b, 1, done); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits any more: %v", err)
	}
	close(done)
	if err := <-first; err != nil {
		t.Error(err)
	}
}
