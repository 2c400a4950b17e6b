package blobtest

import (
	"errors"
	"slices"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

func suspendResume(t *testing.T, open func() blob.Store) {
	want := content(4, large)
	w := create(t, open(), "object")
	// Nothing at all, less and more than one piece, and nothing again.
	last := 0
	for _, end := range []int{0, 10, 6 << 20, 6 << 20, 16 << 20} {
		write(t, w, want[last:end])
		last = end
		w = resume(t, open(), "object", suspend(t, w))
		if w.Size() != int64(end) {
			t.Fatalf("Size = %d after Resume, want %d", w.Size(), end)
		}
	}
	write(t, w, want[last:])
	commit(t, w)
	holds(t, open(), "object", want)
}

func dropped(t *testing.T, open func() blob.Store) {
	want := content(5, 9<<20)
	w := create(t, open(), "object")
	write(t, w, want[:6<<20])
	state := suspend(t, w)
	for range 2 {
		w = resume(t, open(), "object", state)
		write(t, w, content(6, 7<<20)) // the server is killed here
	}
	w = resume(t, open(), "object", state)
	write(t, w, want[6<<20:])
	commit(t, w)
	holds(t, open(), "object", want)
}

func badState(t *testing.T, open func() blob.Store) {
	s := open()
	w := create(t, s, "long")
	write(t, w, content(7, 6<<20))
	good := suspend(t, w)

	refused := func(why, name string, state blob.State) {
		t.Helper()
		w, err := s.Resume(t.Context(), name, state)
		if err == nil {
			w.Abort()
		}
		if !errors.Is(err, blob.ErrState) {
			t.Errorf("%s: Resume = %v, want ErrState", why, err)
		}
	}
	refused("no state", "long", nil)
	refused("not a state", "long", blob.State("not a state"))
	refused("a state cut short", "long", good[:len(good)-1])
	refused("a state and more", "long", append(slices.Clone(good), 0))
	refused("an upload that never was", "unknown", good)

	w = create(t, s, "short")
	write(t, w, content(7, 10))
	suspend(t, w)
	refused("the state of a longer upload", "short", good)

	put(t, s, "committed", content(7, 6<<20))
	refused("a committed object", "committed", good)
	holds(t, s, "committed", content(7, 6<<20))

	// A refused Resume changes nothing.
	commit(t, resume(t, s, "long", good))
	holds(t, s, "long", content(7, 6<<20))
	refused("an upload that has ended", "long", good)
}

func abort(t *testing.T, open func() blob.Store) {
	s := open()
	w := create(t, s, "new")
	w.Abort()
	w = create(t, s, "written")
	write(t, w, content(8, 6<<20))
	w.Abort()
	w.Abort()
	w = create(t, s, "resumed")
	write(t, w, content(8, 6<<20))
	w = resume(t, s, "resumed", suspend(t, w))
	write(t, w, content(8, 10))
	w.Abort()
	empty(t, s)
	for _, name := range []string{"new", "written", "resumed"} {
		missing(t, s, name)
		put(t, s, name, []byte("the name is free again"))
	}
}

func abortAfterEnd(t *testing.T, open func() blob.Store) {
	s := open()
	w := create(t, s, "committed")
	write(t, w, content(9, 10))
	commit(t, w)
	w.Abort()
	holds(t, s, "committed", content(9, 10))

	w = create(t, s, "suspended")
	write(t, w, content(9, 10))
	state := suspend(t, w)
	w.Abort()
	w = resume(t, s, "suspended", state)
	if _, err := w.Suspend(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A writer that has ended does nothing more.
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("Write after Suspend succeeded")
	}
	if err := w.Commit(t.Context()); err == nil {
		t.Error("Commit after Suspend succeeded")
	}
	if _, err := w.Suspend(t.Context()); err == nil {
		t.Error("Suspend after Suspend succeeded")
	}
	w = resume(t, s, "suspended", state)
	commit(t, w)
	holds(t, s, "suspended", content(9, 10))
}

func rollback(t *testing.T, open func() blob.Store) {
	s := open()
	w := create(t, s, "new")
	write(t, w, content(16, 6<<20))
	w.Rollback()
	w.Abort()
	missing(t, s, "new")
	empty(t, s)

	want := content(16, 7<<20)
	w = create(t, s, "resumed")
	write(t, w, want[:1<<20])
	state := suspend(t, w)
	w = resume(t, s, "resumed", state)
	write(t, w, content(17, 6<<20))
	w.Rollback()
	w.Abort()
	if info := listing(t, s)["resumed"]; info.Size > 1<<20 {
		t.Errorf("the upload uses %d bytes after Rollback, want at most %d", info.Size, 1<<20)
	}
	w = resume(t, open(), "resumed", state)
	write(t, w, want[1<<20:])
	commit(t, w)
	w.Rollback()
	holds(t, s, "resumed", want)
}
