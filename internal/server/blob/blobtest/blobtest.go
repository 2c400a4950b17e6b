// Package blobtest is the conformance suite of [blob.Store]: what the domain
// packages rely on and every store must do. A store's own test calls [Run].
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

// large is more than a store may buffer in memory or in one part of an upload.
const large = 17<<20 + 3

// Run runs the suite. open is called once for each test. The function that it
// returns opens the same store at each call, which is empty at first. Calling it
// again is how the suite restarts the server without closing anything that the
// earlier store had open.
func Run(t *testing.T, open func(t *testing.T) func() blob.Store) {
	for name, test := range map[string]func(*testing.T, func() blob.Store){
		"RoundTrip": roundTrip, "Seek": seek, "ReadAt": readAt, "NotVisibleBeforeCommit": notVisible,
		"SuspendAndResume": suspendResume, "UnsuspendedBytesAreDropped": dropped,
		"BadState": badState, "Abort": abort, "AbortAfterTheEnd": abortAfterEnd,
		"Delete": remove, "DeleteWhileWriting": deleteWhileWriting, "DeleteWhileReading": deleteWhileReading,
		"Rollback": rollback, "SetAside": setAside, "Purge": purge,
		"List": list, "ListFromAName": listFrom, "Names": names, "NameInUse": nameInUse, "TwoWriters": twoWriters,
		"Concurrent": concurrent, "Crash": crash,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// content returns n bytes that are the same for the same seed.
func content(seed uint64, n int) []byte {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(n)
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b)
	return b
}

func create(t *testing.T, s blob.Store, name string) blob.Writer {
	t.Helper()
	w, err := s.Create(t.Context(), name)
	if err != nil {
		t.Fatalf("Create(%s): %v", name, err)
	}
	return w
}

func resume(t *testing.T, s blob.Store, name string, state blob.State) blob.Writer {
	t.Helper()
	w, err := s.Resume(t.Context(), name, state)
	if err != nil {
		t.Fatalf("Resume(%s): %v", name, err)
	}
	return w
}

func write(t *testing.T, w blob.Writer, b []byte) {
	t.Helper()
	before := w.Size()
	if n, err := w.Write(b); err != nil || n != len(b) {
		t.Fatalf("Write = %d, %v, want %d", n, err, len(b))
	}
	if got := w.Size() - before; got != int64(len(b)) {
		t.Fatalf("Size grew by %d, want %d", got, len(b))
	}
}

func suspend(t *testing.T, w blob.Writer) blob.State {
	t.Helper()
	state, err := w.Suspend(t.Context())
	if err != nil {
		t.Fatalf("Suspend: %v", err)
	}
	if len(state) >= blob.MaxState {
		t.Fatalf("a state of %d bytes", len(state))
	}
	return state
}

func commit(t *testing.T, w blob.Writer) {
	t.Helper()
	if err := w.Commit(t.Context()); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

func put(t *testing.T, s blob.Store, name string, b []byte) {
	t.Helper()
	w := create(t, s, name)
	write(t, w, b)
	commit(t, w)
}

// holds fails unless name is a committed object with exactly these bytes.
func holds(t *testing.T, s blob.Store, name string, want []byte) {
	t.Helper()
	o, err := s.Open(t.Context(), name)
	if err != nil {
		t.Fatalf("Open(%s): %v", name, err)
	}
	defer o.Close()
	if o.Size() != int64(len(want)) {
		t.Fatalf("%s has the size %d, want %d", name, o.Size(), len(want))
	}
	got, err := io.ReadAll(o)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s holds %d bytes that are not the %d written (%v)", name, len(got), len(want), err)
	}
}

func missing(t *testing.T, s blob.Store, name string) {
	t.Helper()
	o, err := s.Open(t.Context(), name)
	if err == nil {
		o.Close()
	}
	if !errors.Is(err, blob.ErrNotFound) {
		t.Fatalf("Open(%s) = %v, want ErrNotFound", name, err)
	}
}

// listing returns what List yields, by name.
func listing(t *testing.T, s blob.Store) map[string]blob.Info {
	t.Helper()
	found := map[string]blob.Info{}
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		found[info.Name] = info
	}
	return found
}

func empty(t *testing.T, s blob.Store) {
	t.Helper()
	if left := listing(t, s); len(left) != 0 {
		t.Fatalf("the store still holds %v", left)
	}
}

func roundTrip(t *testing.T, open func() blob.Store) {
	s := open()
	for i, size := range []int{0, 1, 4096, large} {
		name, want := fmt.Sprintf("object-%d", i), content(1, size)
		w := create(t, s, name)
		for piece := range slices.Chunk(want, 100_000) {
			write(t, w, piece)
		}
		commit(t, w)
		holds(t, s, name, want)
		holds(t, open(), name, want)
	}
}

func seek(t *testing.T, open func() blob.Store) {
	s, want := open(), content(2, 10_000)
	put(t, s, "object", want)
	o, err := s.Open(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	for _, c := range []struct {
		offset int64
		whence int
		at     int64
	}{{9_000, io.SeekStart, 9_000}, {-500, io.SeekEnd, 9_500}, {0, io.SeekEnd, 10_000}, {0, io.SeekStart, 0}} {
		if at, err := o.Seek(c.offset, c.whence); err != nil || at != c.at {
			t.Fatalf("Seek(%d, %d) = %d, %v, want %d", c.offset, c.whence, at, err, c.at)
		}
		got, err := io.ReadAll(o)
		if err != nil || !bytes.Equal(got, want[c.at:]) {
			t.Fatalf("after Seek to %d: %d bytes, %v", c.at, len(got), err)
		}
	}
}

func readAt(t *testing.T, open func() blob.Store) {
	s, want := open(), content(2, large)
	put(t, s, "object", want)
	put(t, s, "empty", nil)
	o := openObject(t, s, "object")
	size := int64(len(want))
	var wg sync.WaitGroup
	for _, c := range []struct{ off, n int64 }{
		{0, 1}, {size - 22, 22}, {size - 70_000, 65_000}, {1 << 20, 9 << 20}, {size - 10, 100}, {size, 1}, {size + 5, 1}, {0, size}, {5, 0},
	} {
		wg.Go(func() {
			p := make([]byte, c.n)
			n, err := o.ReadAt(p, c.off)
			end := min(c.off+c.n, size)
			begin := min(c.off, end)
			if !bytes.Equal(p[:n], want[begin:end]) {
				t.Errorf("ReadAt(%d bytes at %d) has other bytes", c.n, c.off)
			}
			if short := c.off+c.n > size; short && err != io.EOF || !short && err != nil && (err != io.EOF || c.off+c.n != size) {
				t.Errorf("ReadAt(%d bytes at %d) = %d, %v", c.n, c.off, n, err)
			}
		})
	}
	wg.Wait()
	for off := int64(100); off < 300_000; off += 1000 {
		var p [1000]byte
		if n, err := o.ReadAt(p[:], off); err != nil || !bytes.Equal(p[:n], want[off:off+1000]) {
			t.Fatalf("ReadAt(%d) = %d, %v", off, n, err)
		}
	}
	if _, err := o.ReadAt(make([]byte, 1), -1); err == nil || err == io.EOF {
		t.Errorf("ReadAt(-1) = %v", err)
	}
	if got, err := io.ReadAll(o); err != nil || !bytes.Equal(got, want) {
		t.Errorf("after ReadAt, reading from the beginning gives %d bytes, %v", len(got), err)
	}
	if n, err := openObject(t, s, "empty").ReadAt(make([]byte, 1), 0); n != 0 || err != io.EOF {
		t.Errorf("ReadAt of an empty object = %d, %v", n, err)
	}
}

// openObject opens an object and closes it when the test ends.
func openObject(t *testing.T, s blob.Store, name string) blob.Object {
	t.Helper()
	o, err := s.Open(t.Context(), name)
	if err != nil {
		t.Fatalf("Open(%s): %v", name, err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

func notVisible(t *testing.T, open func() blob.Store) {
	s := open()
	missing(t, s, "object")
	w := create(t, s, "object")
	missing(t, s, "object")
	write(t, w, content(3, 100))
	missing(t, s, "object")
	state := suspend(t, w)
	missing(t, s, "object")
	missing(t, open(), "object")
	w = resume(t, s, "object", state)
	missing(t, s, "object")
	commit(t, w)
	holds(t, s, "object", content(3, 100))
}

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
