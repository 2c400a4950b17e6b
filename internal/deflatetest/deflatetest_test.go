package deflatetest_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/deflatetest"
)

// What is written in pieces of any size, and read by the standard library, is the same.
func TestWriters(t *testing.T) {
	mixed := make([]byte, 3<<20+17) // two chunks that are equal, and two that are not
	random := rand.New(rand.NewPCG(1, 2))
	for i := 2 << 20; i < len(mixed); i++ {
		mixed[i] = byte(random.IntN(20))
	}
	for _, content := range [][]byte{nil, []byte("a"), mixed, make([]byte, 2<<20)} {
		for _, piece := range []int{1 << 12, 1<<20 - 1, 1 << 22} {
			var zipped, gzipped bytes.Buffer
			archive := zip.NewWriter(&zipped)
			archive.RegisterCompressor(zip.Deflate, deflatetest.NewWriter)
			file, err := archive.Create("a")
			if err != nil {
				t.Fatal(err)
			}
			g := deflatetest.NewGzip(&gzipped)
			for _, w := range []io.Writer{file, g} {
				for rest := content; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
					if n, err := w.Write(rest[:min(piece, len(rest))]); err != nil || n != min(piece, len(rest)) {
						t.Fatal(n, err)
					}
				}
			}
			for _, c := range []io.Closer{archive, g} {
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
			}
			r, err := gzip.NewReader(&gzipped)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) {
				t.Errorf("gzip: %d bytes of %d, %v", len(got), len(content), err)
			}
			opened, err := zip.NewReader(bytes.NewReader(zipped.Bytes()), int64(zipped.Len()))
			if err != nil {
				t.Fatal(err)
			}
			f, err := opened.Open("a")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, content) {
				t.Errorf("zip: %d bytes of %d, %v", len(got), len(content), err)
			}
		}
	}
}
