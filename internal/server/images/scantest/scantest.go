// Package scantest has images with known packages, and a reader of layers without a process
// of its own, for the tests of other packages.
package scantest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/deflatetest"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/inventory"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/scanworker"
)

// A Reader reads layers in this process.
type Reader struct{}

// Read implements images.LayerReader.
func (Reader) Read(ctx context.Context, layers []scanworker.Layer) (*inventory.Inventory, error) {
	r := inventory.NewReader(inventory.DefaultLimits)
	for _, l := range layers {
		body, err := l.Open(ctx)
		if err != nil {
			return nil, err
		}
		err = r.Layer(l.Digest, body)
		_ = body.Close() // it was only read
		if bad, ok := errors.AsType[*inventory.LayerError](err); ok {
			return nil, &scanworker.ImageError{Reason: bad.Error()}
		}
	}
	return r.Inventory(), nil
}

// A File is one in a layer: its name and its content. A name that ends in a slash is a
// directory.
type File [2]string

// Archive returns an archive of files in their order.
func Archive(t testing.TB, files ...File) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f[0], Size: int64(len(f[1])), Mode: 0o755, Typeflag: tar.TypeReg}
		if f[0][len(f[0])-1] == '/' {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Layer is Archive, compressed with gzip.
func Layer(t testing.TB, files ...File) []byte {
	t.Helper()
	var b bytes.Buffer
	z := deflatetest.NewGzip(&b)
	if _, err := z.Write(Archive(t, files...)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Debian is the layer of a small Debian 12, in which openssl and zlib are installed.
func Debian(t testing.TB) []byte {
	return Layer(t,
		File{"usr/lib/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n"},
		File{"var/lib/dpkg/status", `Package: libssl3
Status: install ok installed
Architecture: amd64
Source: openssl
Version: 3.0.11-1~deb12u1
Description: a library
 Package: not-this

Package: openssl
Status: install ok installed
Architecture: amd64
Version: 3.0.11-1~deb12u1

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: zlib1g
Status: install ok installed
Architecture: amd64
Source: zlib (1:1.2.13.dfsg-1)
Version: 1:1.2.13.dfsg-1+b1
`})
}

// Alpine is the layer of a small Alpine 3.20 with openssl.
func Alpine(t testing.TB) []byte {
	return Layer(t,
		File{"etc/os-release", "ID=alpine\nVERSION_ID=3.20.1\n"},
		File{"lib/apk/db/installed", "P:libcrypto3\nV:3.3.1-r0\nA:x86_64\no:openssl\nF:lib\n\nP:musl\nV:1.2.5-r0\nA:x86_64\n\n"})
}

// Advisory is a document of OSV about the versions of one package before the one in which it
// is fixed, or about all if that is empty.
func Advisory(id, ecosystem, name, fixed, modified, vector string) []byte {
	events := `{"introduced":"0"}`
	if fixed != "" {
		events += `,{"fixed":"` + fixed + `"}`
	}
	severity := ""
	if vector != "" {
		severity = `"severity":[{"type":"CVSS_V3","score":"` + vector + `"}],`
	}
	return []byte(`{"id":"` + id + `","modified":"` + modified + `","summary":"About ` + name + `",` + severity + `"affected":[{"package":{"ecosystem":"` + ecosystem + `","name":"` + name + `"},"ranges":[{"type":"ECOSYSTEM","events":[` + events + `]}]}]}`)
}

// Vectors of CVSS with the scores that their names say.
const (
	HighVector     = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H" // 7.5
	CriticalVector = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H" // 9.8
)
