package blobtest

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

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
