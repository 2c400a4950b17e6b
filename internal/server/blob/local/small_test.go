package local_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/local"
)

// openedTwice stores an object and opens it until its bytes are in memory. It returns the
// path of its file.
func openedTwice(t *testing.T, s *local.Store, dir string, content []byte) (name, path string) {
	t.Helper()
	name = "object-in-memory"
	w, err := s.Create(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "??", name))
	if err != nil || len(found) != 1 {
		t.Fatalf("the files of the object are %v, %v", found, err)
	}
	for range 3 {
		readObject(t, s, name, content)
	}
	return name, found[0]
}

// readObject reads an object, and reports whether its bytes are in memory.
func readObject(t *testing.T, s *local.Store, name string, want []byte) (inMemory bool) {
	t.Helper()
	o, err := s.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	got, err := io.ReadAll(o)
	if err != nil || !bytes.Equal(got, want) || o.Size() != int64(len(want)) {
		t.Errorf("read %d bytes of %d, want %d; %v", len(got), o.Size(), len(want), err)
	}
	m, inMemory := o.(blob.InMemory)
	if inMemory && !bytes.Equal(m.Bytes(), want) {
		t.Error("the bytes in memory are others")
	}
	return inMemory
}

func openStore(t *testing.T) (*local.Store, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, dir
}

func TestStore_SmallObjectInMemory(t *testing.T) {
	for size, want := range map[int]bool{0: true, 100 << 10: true, 256 << 10: true, 256<<10 + 1: false} {
		s, dir := openStore(t)
		content := bytes.Repeat([]byte{'x'}, size)
		name, _ := openedTwice(t, s, dir, content)
		if got := readObject(t, s, name, content); got != want {
			t.Errorf("%d bytes are in memory: %v", size, got)
		}
	}
}

// What happens to the file counts at once, whoever does it.
func TestStore_SmallObjectGone(t *testing.T) {
	for name, remove := range map[string]func(*testing.T, *local.Store, string, string) error{
		"deleted":              func(t *testing.T, s *local.Store, name, _ string) error { return s.Delete(t.Context(), name) },
		"deleted by a program": func(_ *testing.T, _ *local.Store, _, path string) error { return os.Remove(path) },
	} {
		s, dir := openStore(t)
		object, path := openedTwice(t, s, dir, []byte("content"))
		if err := remove(t, s, object, path); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Open(t.Context(), object); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("%s: Open: %v", name, err)
		}
	}
}

func TestStore_SmallObjectReplaced(t *testing.T) {
	for name, replace := range map[string]func(path string) error{
		"cut":                       func(path string) error { return os.Truncate(path, 3) },
		"written over":              func(path string) error { return os.WriteFile(path, []byte("another text"), 0o600) },
		"another file":              func(path string) error { return replaceFile(path, []byte("another")) },
		"another file of that size": func(path string) error { return replaceFile(path, []byte("CONTENT")) },
	} {
		s, dir := openStore(t)
		object, path := openedTwice(t, s, dir, []byte("content"))
		if err := replace(path); err != nil {
			t.Fatal(err)
		}
		now, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) { readObject(t, s, object, now) })
	}
}

func replaceFile(path string, content []byte) error {
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// An object that was set aside is restored, as if its bytes were not in memory.
func TestStore_SmallObjectSetAside(t *testing.T) {
	s, dir := openStore(t)
	object, path := openedTwice(t, s, dir, []byte("content"))
	if err := s.SetAside(t.Context(), object, time.Now()); err != nil {
		t.Fatal(err)
	}
	readObject(t, s, object, []byte("content"))
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the object is not restored: %v", err)
	}
}
