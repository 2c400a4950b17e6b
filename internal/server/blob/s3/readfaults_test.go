//go:build stores

package s3_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
)

// A chopped body ends without an error after n bytes, as a cut connection looks to a
// proxy's client.
type choppedBody struct {
	io.ReadCloser
	left int
}

func (b *choppedBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errors.New("cut by the test")
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func TestRead_InterruptedBody(t *testing.T) {
	p, c := newProxy(t)
	s := blobtest.OpenS3(t, c)
	content := noise(4, large)
	mustPut(t, s, "object", content)
	p.change = func(b io.ReadCloser) io.ReadCloser { return &choppedBody{b, 3 << 20} }
	holds(t, s, "object", content)
	o, err := s.Open(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	got := make([]byte, 9<<20)
	if _, err := o.ReadAt(got, 1<<20); err != nil || !bytes.Equal(got, content[1<<20:10<<20]) {
		t.Errorf("ReadAt: %v", err)
	}
	p.change = func(b io.ReadCloser) io.ReadCloser { return &choppedBody{b, 0} }
	if _, err := o.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, o); err == nil || n > 0 {
		t.Errorf("a body that never comes = %d bytes, %v", n, err)
	}
}

// A flippedBody has one wrong bit.
type flippedBody struct {
	io.ReadCloser
	at int
}

func (b *flippedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.at >= 0 && b.at < n {
		p[b.at] ^= 1
	}
	b.at -= n
	return n, err
}

// Who reads a whole object that was changed finds it too short, and not wrong.
func TestRead_CorruptBody(t *testing.T) {
	for _, size := range []int{1000, large} {
		p, c := newProxy(t)
		s := blobtest.OpenS3(t, c)
		mustPut(t, s, "object", noise(5, size))
		p.change = func(b io.ReadCloser) io.ReadCloser { return &flippedBody{b, size / 2} }
		o, err := s.Open(t.Context(), "object")
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		n, err := io.CopyN(io.Discard, o, int64(size))
		if !fault.Is(err, "BlobCorrupt") || n == int64(size) {
			t.Errorf("reading %d bytes of which one is wrong = %d, %v", size, n, err)
		}
	}
}
