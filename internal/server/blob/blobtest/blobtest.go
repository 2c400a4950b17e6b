// Package blobtest is the conformance suite of [blob.Store]: what the domain
// packages rely on and every store must do. A store's own test calls [Run].
package blobtest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

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
