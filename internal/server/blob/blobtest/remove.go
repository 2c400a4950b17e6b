package blobtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

func setAside(t *testing.T, open func() blob.Store) {
	s, now := open(), time.Now()
	put(t, s, "object", content(18, 100))
	w := create(t, s, "unfinished")
	write(t, w, content(18, 100))
	suspend(t, w)
	for _, name := range []string{"object", "unfinished", "unknown"} {
		for range 2 {
			if err := s.SetAside(t.Context(), name, now); err != nil {
				t.Errorf("SetAside(%s): %v", name, err)
			}
		}
	}
	empty(t, s)
	missing(t, s, "unfinished")
	missing(t, s, "unknown")
	holds(t, open(), "object", content(18, 100))
	if len(listing(t, s)) != 1 {
		t.Error("Open did not restore the object")
	}
	if err := s.SetAside(t.Context(), "../object", now); !errors.Is(err, blob.ErrInvalidName) {
		t.Errorf("SetAside with a bad name = %v", err)
	}
}

func purge(t *testing.T, open func() blob.Store) {
	s := open()
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if n, err := s.Purge(t.Context(), began); n != 0 || err != nil {
		t.Errorf("Purge of nothing = %d, %v", n, err)
	}
	put(t, s, "kept", content(19, 100))
	for i := range 3 {
		name := fmt.Sprintf("object-%d", i)
		put(t, s, name, content(19, i))
		if err := s.SetAside(t.Context(), name, began.AddDate(0, 0, i)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.Purge(t.Context(), began); n != 0 || err != nil {
		t.Errorf("Purge = %d, %v, but nothing was set aside before", n, err)
	}
	if n, err := s.Purge(t.Context(), began.AddDate(0, 0, 2)); n < 1 || n > 2 || err != nil {
		t.Errorf("Purge = %d, %v, want 1 or 2", n, err)
	}
	missing(t, s, "object-0")
	holds(t, s, "object-2", content(19, 2))
	holds(t, s, "kept", content(19, 100))
}

func remove(t *testing.T, open func() blob.Store) {
	s := open()
	put(t, s, "committed", content(10, 100))
	w := create(t, s, "suspended")
	write(t, w, content(10, 6<<20))
	state := suspend(t, w)
	for _, name := range []string{"committed", "suspended", "unknown"} {
		for range 2 {
			if err := s.Delete(t.Context(), name); err != nil {
				t.Errorf("Delete(%s): %v", name, err)
			}
		}
		missing(t, s, name)
	}
	empty(t, s)
	if _, err := s.Resume(t.Context(), "suspended", state); !errors.Is(err, blob.ErrState) {
		t.Errorf("Resume of a deleted upload = %v, want ErrState", err)
	}
	put(t, s, "committed", []byte("another"))
	holds(t, s, "committed", []byte("another"))
}

// The bytes of a small upload may be in the writer's memory only, where a Delete at
// another server cannot find them. Then there is an object that no row names.
func deleteWhileWriting(t *testing.T, open func() blob.Store) {
	s := open()
	for i, size := range []int{10, 6 << 20, large} {
		name := fmt.Sprintf("object-%d", i)
		w := create(t, s, name)
		write(t, w, content(11, size))
		if err := open().Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		switch err := w.Commit(t.Context()); {
		case err == nil && size <= 6<<20:
			holds(t, s, name, content(11, size))
		case !errors.Is(err, blob.ErrNotFound):
			t.Errorf("Commit of a deleted upload of %d bytes = %v, want ErrNotFound", size, err)
		}
		w.Abort()
		if err := s.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		missing(t, s, name)
	}
	empty(t, s)

	// What a resumed upload has is in the store.
	w := create(t, s, "resumed")
	write(t, w, content(11, large))
	w = resume(t, s, "resumed", suspend(t, w))
	if err := open().Delete(t.Context(), "resumed"); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Commit of a deleted upload = %v, want ErrNotFound", err)
	}
	missing(t, s, "resumed")
	empty(t, s)
}

func deleteWhileReading(t *testing.T, open func() blob.Store) {
	s, want := open(), content(12, 1<<20)
	put(t, s, "object", want)
	o, err := s.Open(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	head := make([]byte, 1000)
	if _, err := io.ReadFull(o, head); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "object"); err != nil {
		t.Fatal(err)
	}
	missing(t, s, "object")
	rest, err := io.ReadAll(o)
	if err != nil || !bytes.Equal(append(head, rest...), want) {
		t.Fatalf("the reader got %d bytes and then %v", len(rest), err)
	}
}
