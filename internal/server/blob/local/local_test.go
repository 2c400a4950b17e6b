package local_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/local"
)

func open(t testing.TB, dir string) *local.Store {
	t.Helper()
	s, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t testing.TB, s *local.Store, name string, b []byte) {
	t.Helper()
	w, err := s.Create(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// file returns the path of the only file of an object.
func file(t *testing.T, dir, name string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*", name))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s is in %v, %v", name, found, err)
	}
	return found[0]
}

func TestStore_Conformance(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) func() blob.Store {
		dir := filepath.Join(t.TempDir(), "made", "by the store")
		return func() blob.Store { return open(t, dir) }
	})
}

// The folder belongs to one process, so the store sees who writes to what.
func TestResume_WhileAnotherWriterIsOpen(t *testing.T) {
	s := open(t, t.TempDir())
	w, err := s.Create(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), "object"); !errors.Is(err, blob.ErrInUse) {
		t.Errorf("a second Create = %v, want ErrInUse", err)
	}
	state, err := w.Suspend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if w, err = s.Resume(t.Context(), "object", state); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Resume(t.Context(), "object", state); !errors.Is(err, blob.ErrInUse) {
		t.Errorf("a second Resume = %v, want ErrInUse", err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), "object"); !errors.Is(err, blob.ErrInUse) {
		t.Errorf("Create of a committed object = %v, want ErrInUse", err)
	}
}

func TestCommit_AfterDelete(t *testing.T) {
	s := open(t, t.TempDir())
	w, err := s.Create(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "object"); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Commit = %v, want ErrNotFound", err)
	}
}

func TestStore_FileModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	put(t, open(t, dir), "object", []byte("x"))
	f := file(t, dir, "object")
	for path, want := range map[string]os.FileMode{f: 0o600, filepath.Dir(f): 0o700 | os.ModeDir, dir: 0o700 | os.ModeDir} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
}

func TestOpen_SymbolicLinkOutOfTheFolder(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	s := open(t, dir)
	put(t, s, "object", []byte("x"))
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := file(t, dir, "object")
	if err := errors.Join(os.Remove(f), os.Symlink(outside, f)); err != nil {
		t.Fatal(err)
	}
	if o, err := s.Open(t.Context(), "object"); err == nil {
		o.Close()
		t.Fatal("Open followed a symbolic link out of the folder")
	}
}

func TestList_SkipsForeignFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "object", []byte("x"))
	for _, name := range []string{".nfs0001", "Thumbs.db", "object~"} {
		if err := os.WriteFile(filepath.Join(dir, "00", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for info, err := range s.List(t.Context(), "") {
		if n++; err != nil || info.Name != "object" {
			t.Errorf("List yields %+v, %v", info, err)
		}
	}
	if n != 1 {
		t.Errorf("List yields %d objects, want 1", n)
	}
}

func TestCommit_FailureLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	w, err := s.Create(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	// A folder with the final name makes the rename fail.
	f := file(t, dir, "object.part")
	if err := os.Mkdir(filepath.Join(filepath.Dir(f), "object"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err == nil {
		t.Fatal("Commit onto a folder succeeded")
	}
	if _, err := os.Stat(f); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the unfinished file is left: %v", err)
	}
}

func TestOpen_FileInsteadOfFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := local.Open(path); err == nil {
		t.Error("a file was opened as a store")
	}
}

// TestObject_ServedAsFile serves a download in the way the registry does.
func TestObject_ServedAsFile(t *testing.T) {
	s := open(t, t.TempDir())
	want := bytes.Repeat([]byte("0123456789"), 100_000)
	put(t, s, "object", want)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o, err := s.Open(r.Context(), "object")
		if err != nil {
			t.Error(err)
			return
		}
		defer o.Close()
		http.ServeContent(w, r, "", time.Time{}, o.(blob.Filer).File())
	}))
	defer server.Close()
	for rng, want := range map[string][]byte{"": want, "bytes=999990-": want[999_990:]} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		if rng != "" {
			req.Header.Set("Range", rng)
		}
		res, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("Range %q: %d bytes, %v", rng, len(got), err)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20, 100 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			s := open(b, b.TempDir())
			piece := make([]byte, min(size, 64<<10))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				name := fmt.Sprintf("object-%d", i)
				w, err := s.Create(b.Context(), name)
				if err != nil {
					b.Fatal(err)
				}
				for n := 0; n < size; n += len(piece) {
					if _, err := w.Write(piece); err != nil {
						b.Fatal(err)
					}
				}
				if err := w.Commit(b.Context()); err != nil {
					b.Fatal(err)
				}
				if size > 1<<20 {
					if err := s.Delete(b.Context(), name); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkPutHashed is the domain's upload: hash and write on one goroutine.
// BenchmarkHash is the part of it that does not depend on the store.
func BenchmarkPutHashed(b *testing.B) {
	const size = 100 << 20
	s := open(b, b.TempDir())
	piece := make([]byte, 64<<10)
	b.SetBytes(size)
	for i := 0; b.Loop(); i++ {
		name := fmt.Sprintf("object-%d", i)
		w, err := s.Create(b.Context(), name)
		if err != nil {
			b.Fatal(err)
		}
		h := sha256.New()
		for n := 0; n < size; n += len(piece) {
			h.Write(piece)
			if _, err := w.Write(piece); err != nil {
				b.Fatal(err)
			}
		}
		if err := errors.Join(w.Commit(b.Context()), s.Delete(b.Context(), name)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	const size = 100 << 20
	piece := make([]byte, 64<<10)
	b.SetBytes(size)
	for b.Loop() {
		h := sha256.New()
		for n := 0; n < size; n += len(piece) {
			h.Write(piece)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	s := open(b, b.TempDir())
	put(b, s, "object", []byte("x"))
	b.ReportAllocs()
	for b.Loop() {
		o, err := s.Open(b.Context(), "object")
		if err != nil {
			b.Fatal(err)
		}
		o.Close()
	}
}

func BenchmarkOpenStore(b *testing.B) {
	dir := b.TempDir()
	open(b, dir)
	for b.Loop() {
		s, err := local.Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}
