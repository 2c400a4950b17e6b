package registryimport

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
)

const (
	// maxEntry bounds the file that is read from a tarball, and maxTarball what is unpacked
	// to find it, in bytes.
	maxEntry   = 4 << 20
	maxTarball = 2 << 30
)

// readFromTarball reads a file in the top folder of a tarball of npm, whatever the folder is
// called.
func readFromTarball(r io.Reader, name string) ([]byte, error) {
	unpacked, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	archive := tar.NewReader(io.LimitReader(unpacked, maxTarball))
	for {
		h, err := archive.Next()
		if err != nil {
			return nil, fmt.Errorf("%s is not in the tarball: %w", name, err)
		}
		_, inside, _ := strings.Cut(strings.TrimPrefix(h.Name, "./"), "/")
		if h.Typeflag != tar.TypeReg || inside != name {
			continue
		}
		if h.Size > maxEntry {
			return nil, fmt.Errorf("%s in the tarball has %d bytes, and at most %d are read", name, h.Size, maxEntry)
		}
		return io.ReadAll(archive)
	}
}
