package asynclog_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/asynclog"
)

func TestEveryLineArrivesWhole(t *testing.T) {
	var out bytes.Buffer
	w := asynclog.New(&out)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				if _, err := fmt.Fprintf(w, "%d-%d\n", g, i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(out.String()) {
		seen[line] = true
	}
	if len(seen) != 8*500 {
		t.Fatalf("%d different lines, want %d", len(seen), 8*500)
	}
	if _, err := w.Write([]byte("late\n")); !errors.Is(err, asynclog.ErrClosed) {
		t.Fatalf("a write after Close: %v", err)
	}
}

type stuck struct{ release chan struct{} }

func (s stuck) Write(p []byte) (int, error) { <-s.release; return len(p), nil }

func TestASlowDiskHoldsWritersBack(t *testing.T) {
	s := stuck{make(chan struct{})}
	w := asynclog.New(s)
	line := bytes.Repeat([]byte("x"), 1<<19)
	wrote := make(chan int)
	go func() {
		defer close(wrote)
		for i := range 8 {
			if _, err := w.Write(line); err != nil {
				t.Error(err)
			}
			wrote <- i
		}
	}()
	for range 4 { // one is being written, and a little over a mebibyte waits
		<-wrote
	}
	close(s.release)
	for range wrote {
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestAFailedWriteIsReported(t *testing.T) {
	w := asynclog.New(full{})
	if _, err := w.Write([]byte("a\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err == nil {
		t.Fatal("Flush hid the failure")
	}
	if _, err := w.Write([]byte("b\n")); err == nil {
		t.Fatal("a later Write hid the failure")
	}
	if err := w.Close(); err == nil {
		t.Fatal("Close hid the failure")
	}
}
