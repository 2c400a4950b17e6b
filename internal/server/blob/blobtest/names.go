package blobtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

func list(t *testing.T, open func() blob.Store) {
	s := open()
	empty(t, s)
	sizes := map[string]int64{}
	for i := range 40 {
		name := fmt.Sprintf("object-%d", i)
		put(t, s, name, content(13, i))
		sizes[name] = int64(i)
	}
	w := create(t, s, "suspended")
	write(t, w, content(13, 6<<20))
	suspend(t, w)

	found := listing(t, open())
	if len(found) != len(sizes)+1 {
		t.Errorf("List yields %d objects, want %d", len(found), len(sizes)+1)
	}
	for name, size := range sizes {
		if found[name].Size != size || found[name].Modified.IsZero() {
			t.Errorf("List yields %+v for %s of %d bytes", found[name], name, size)
		}
	}
	if found["suspended"].Modified.IsZero() {
		t.Error("List does not yield the unfinished upload with its time")
	}

	n := 0
	for range s.List(t.Context(), "") {
		if n++; n == 3 {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var last error
	for _, err := range s.List(ctx, "") {
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("List with a cancelled context ends with %v", last)
	}
	// Delete while listing, as a sweep does.
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(t.Context(), info.Name); err != nil {
			t.Fatal(err)
		}
	}
	empty(t, s)
}

// listFrom lists in steps, as a sweep does that was interrupted.
func listFrom(t *testing.T, open func() blob.Store) {
	s := open()
	for i := range 30 {
		put(t, s, fmt.Sprintf("object-%d", i), nil)
		put(t, s, fmt.Sprintf("object-%d-1", i), nil) // begins like another name
	}
	for i := range 10 {
		w := create(t, s, fmt.Sprintf("object-%d0", 3+i))
		write(t, w, content(13, 9<<20*(i&1)+40_000))
		suspend(t, w)
	}
	all := listing(t, s)
	var order []string
	for last := ""; ; {
		n := 0
		for info, err := range open().List(t.Context(), last) {
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := all[info.Name]; !ok {
				t.Errorf("List yields %s, which the whole listing does not have", info.Name)
			}
			order = append(order, info.Name)
			if n++; n == 7 {
				break
			}
		}
		if n == 0 {
			break
		}
		last = order[len(order)-1]
		if n == 7 && len(order)%3 == 0 { // it may be gone when the listing goes on
			if err := s.Delete(t.Context(), last); err != nil {
				t.Fatal(err)
			}
		}
	}
	seen := slices.Compact(slices.Sorted(slices.Values(order)))
	if len(order) != 70 || len(seen) != 70 || len(all) != 70 {
		t.Errorf("the steps yield %d names, %d of them different, and the whole listing %d, want 70", len(order), len(seen), len(all))
	}
}

func names(t *testing.T, open func() blob.Store) {
	s := open()
	for _, name := range []string{
		"", "a", ".", "..", "../x", "a/b", "/etc", `a\b`, "UPPER", "a.part", "a b", "a\x00b", "ä-object",
		strings.Repeat("a", 129),
	} {
		if w, err := s.Create(t.Context(), name); !errors.Is(err, blob.ErrInvalidName) {
			if err == nil {
				w.Abort()
			}
			t.Errorf("Create(%q) = %v, want ErrInvalidName", name, err)
		}
		if o, err := s.Open(t.Context(), name); !errors.Is(err, blob.ErrInvalidName) {
			if err == nil {
				o.Close()
			}
			t.Errorf("Open(%q) = %v, want ErrInvalidName", name, err)
		}
		if err := s.Delete(t.Context(), name); !errors.Is(err, blob.ErrInvalidName) {
			t.Errorf("Delete(%q) = %v, want ErrInvalidName", name, err)
		}
		if _, err := s.Resume(t.Context(), name, nil); err == nil {
			t.Errorf("Resume(%q) succeeded", name)
		}
	}
	empty(t, s)
	for _, name := range []string{"aa", "--", "00", "con", strings.Repeat("z", 128)} {
		put(t, s, name, []byte(name))
		holds(t, s, name, []byte(name))
	}
}

func nameInUse(t *testing.T, open func() blob.Store) {
	s := open()
	for i, size := range []int{5, large} {
		first, other := content(20, size), content(21, size)
		committed, suspended := fmt.Sprintf("committed-%d", i), fmt.Sprintf("suspended-%d", i)
		put(t, s, committed, first)
		w := create(t, s, suspended)
		write(t, w, first)
		state := suspend(t, w)
		inUse(t, open(), committed, other)
		holds(t, s, committed, first)
		// Another upload of the same name may be begun, but it has its own bytes.
		w, err := open().Create(t.Context(), suspended)
		if err == nil {
			write(t, w, other)
			w.Abort()
		} else if !errors.Is(err, blob.ErrInUse) {
			t.Errorf("Create = %v, want ErrInUse", err)
		}
		commit(t, resume(t, s, suspended, state))
		holds(t, s, suspended, first)
	}
}

// inUse fails unless an object cannot be created because it exists.
func inUse(t *testing.T, s blob.Store, name string, b []byte) {
	t.Helper()
	w, err := s.Create(t.Context(), name)
	if err == nil {
		write(t, w, b)
		err = w.Commit(t.Context())
		w.Abort()
	}
	if !errors.Is(err, blob.ErrInUse) {
		t.Errorf("creating %s once more = %v, want ErrInUse", name, err)
	}
}
