package blobtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

// twoWriters writes to one upload twice at the same time, such as when a client whose
// request got no answer repeats it. One of the two may win, and what it wrote is not
// mixed with what the other did. The store is opened once, since a store for one
// server need not expect another.
func twoWriters(t *testing.T, open func() blob.Store) {
	s := open()
	for i, sizes := range [][2]int{{10, 20}, {10, 9 << 20}, {9 << 20, 9 << 20}, {9 << 20, 10}} {
		name := fmt.Sprintf("object-%d", i)
		base := content(22, sizes[0])
		w := create(t, s, name)
		write(t, w, base)
		state := suspend(t, w)
		var wg sync.WaitGroup
		var won [2]bool
		for j := range 2 {
			wg.Go(func() {
				w, err := s.Resume(t.Context(), name, state)
				if err == nil {
					defer w.Abort()
					_, err = w.Write(content(uint64(30+j), sizes[1]))
				}
				if err == nil {
					err = w.Commit(t.Context())
				}
				if won[j] = err == nil; !won[j] && !errors.Is(err, blob.ErrInUse) && !errors.Is(err, blob.ErrState) && !errors.Is(err, blob.ErrNotFound) {
					t.Errorf("the loser has an error of another kind: %v", err)
				}
			})
		}
		wg.Wait()
		switch {
		case won[0] && won[1]:
			t.Errorf("two writers of %s committed different bytes", name)
		case won[0]:
			holds(t, s, name, append(slices.Clone(base), content(30, sizes[1])...))
		case won[1]:
			holds(t, s, name, append(slices.Clone(base), content(31, sizes[1])...))
		default:
			missing(t, s, name)
		}
	}
}

func concurrent(t *testing.T, open func() blob.Store) {
	s := open()
	const writers, each = 8, 10
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for j := range each {
				name := fmt.Sprintf("object-%d-%d", i, j)
				if err := store(t.Context(), s, name, content(uint64(i), 1000+j)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	wg.Wait()
	for i := range writers {
		for j := range each {
			holds(t, s, fmt.Sprintf("object-%d-%d", i, j), content(uint64(i), 1000+j))
		}
	}
}

// store is put for goroutines that are not the test's.
func store(ctx context.Context, s blob.Store, name string, b []byte) error {
	w, err := s.Create(ctx, name)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(b); err != nil {
		return err
	}
	return w.Commit(ctx)
}

// crash leaves writers open and opens the store again, as after a process was
// killed.
func crash(t *testing.T, open func() blob.Store) {
	first := open()
	put(t, first, "committed", content(14, 100))
	w := create(t, first, "suspended")
	write(t, w, content(14, blob.MaxState)) // a few bytes may be in the state only
	state := suspend(t, w)
	write(t, create(t, first, "begun"), content(14, 6<<20))
	write(t, resume(t, first, "suspended", state), content(15, 6<<20))

	second := open()
	holds(t, second, "committed", content(14, 100))
	missing(t, second, "begun")
	missing(t, second, "suspended")
	if _, ok := listing(t, second)["suspended"]; !ok {
		t.Error("List does not yield the suspended upload")
	}
	if err := second.Delete(t.Context(), "begun"); err != nil {
		t.Fatal(err)
	}
	if _, ok := listing(t, second)["begun"]; ok {
		t.Error("List yields an upload that was deleted")
	}
	put(t, second, "begun", []byte("anew"))
	holds(t, second, "begun", []byte("anew"))
	commit(t, resume(t, second, "suspended", state))
	holds(t, second, "suspended", content(14, blob.MaxState))
}
