package archive_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
)

// A file of an archive. A name that ends in "/" is a folder; a link has a target.
type file struct{ name, content, link string }

func zipOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate}
		content := f.content
		if f.link != "" {
			h.SetMode(0o777 | 1<<27) // fs.ModeSymlink
			content = f.link
		}
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Size: int64(len(f.content)), Mode: 0o644, Typeflag: tar.TypeReg, Linkname: f.link}
		switch {
		case f.link != "":
			h.Typeflag = tar.TypeSymlink
		case strings.HasSuffix(f.name, "/"):
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gz(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func isNamed(name string) func(string) bool { return func(s string) bool { return s == name } }

func readZip(t testing.TB, content []byte, l archive.Limits, name string) ([]byte, error) {
	z, err := archive.NewBudget(t.Context(), l).Zip(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, err
	}
	_, found, err := z.Find(name, 64<<10, isNamed(name))
	return found, err
}

func readTar(t testing.TB, content []byte, l archive.Limits, name string) ([]byte, error) {
	r, err := archive.NewBudget(t.Context(), l).TarGz(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	_, found, err := r.Find(name, 64<<10, isNamed(name))
	return found, err
}

var good = []file{{name: "lib/"}, {name: "lib/a.txt", content: "first"}, {name: "lib/about", content: "wanted"}, {name: `lib\old`, content: "x"}}

func TestFind(t *testing.T) {
	for what, read := range map[string]func() ([]byte, error){
		"zip": func() ([]byte, error) { return readZip(t, zipOf(t, good...), archive.Limits{}, "lib/about") },
		"tar": func() ([]byte, error) { return readTar(t, gz(t, tarOf(t, good...)), archive.Limits{}, "lib/about") },
		"tar with ./": func() ([]byte, error) {
			return readTar(t, gz(t, tarOf(t, file{name: "./lib/about", content: "wanted"})), archive.Limits{}, "lib/about")
		},
	} {
		if got, err := read(); err != nil || string(got) != "wanted" {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	if _, err := readZip(t, zipOf(t, good...), archive.Limits{}, "lib/none"); !fault.Is(err, archive.Missing) || !strings.Contains(err.Error(), "no lib/none") {
		t.Error(err)
	}
	if _, err := readTar(t, gz(t, tarOf(t, good...)), archive.Limits{}, "lib/none"); !fault.Is(err, archive.Missing) {
		t.Error(err)
	}
	z, err := archive.NewBudget(t.Context(), archive.Limits{}).Zip(bytes.NewReader(zipOf(t, good...)), int64(len(zipOf(t, good...))))
	if err != nil || len(z.Files()) != 3 || z.Files()[1].Name != "lib/about" || z.Files()[1].Size != 6 {
		t.Error(err, z)
	}
}

// A gem is a tar with compressed files in it, and one of them is a tar.
func TestBudget_Nested(t *testing.T) {
	inner := gz(t, tarOf(t, file{name: "README", content: "read me"}))
	outer := tarOf(t, file{name: "metadata.gz", content: string(gz(t, []byte("name: lib\n")))}, file{name: "data.tar.gz", content: string(inner)})
	read := func(l archive.Limits) (metadata, readme string, err error) {
		b := archive.NewBudget(t.Context(), l)
		r, err := b.Tar(bytes.NewReader(outer))
		if err != nil {
			return "", "", err
		}
		for {
			f, err := r.Next()
			if err == io.EOF {
				return metadata, readme, nil
			}
			if err != nil {
				return "", "", err
			}
			switch f.Name {
			case "metadata.gz":
				content, err := b.Gunzip(f, f.Name, 1<<10)
				if err != nil {
					return "", "", err
				}
				metadata = string(content)
			case "data.tar.gz":
				data, err := b.TarGz(f)
				if err != nil {
					return "", "", err
				}
				if _, content, err := data.Find("README", 1<<10, isNamed("README")); err == nil {
					readme = string(content)
				}
			}
		}
	}
	if metadata, readme, err := read(archive.Limits{}); metadata != "name: lib\n" || readme != "read me" || err != nil {
		t.Errorf("%q, %q, %v", metadata, readme, err)
	}
	if _, _, err := read(archive.Limits{Archives: 1}); !fault.Is(err, archive.Invalid) {
		t.Error(err)
	}
	if _, err := archive.NewBudget(t.Context(), archive.Limits{}).Gunzip(bytes.NewReader(gz(t, make([]byte, 2000))), "x.gz", 1000); !fault.Is(err, archive.Invalid) {
		t.Error(err)
	}
}

// manyFiles is a zip with n empty files, of which the end says what it says.
func manyFiles(t testing.TB, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := range n {
		if _, err := z.CreateHeader(&zip.FileHeader{Name: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// announcing is a zip of a size with an end that announces a number of files.
func announcing(size int, records uint64) []byte {
	content := make([]byte, size)
	at := size - 22 - 20 - 56
	copy(content[at:], "PK\x06\x06")
	binary.LittleEndian.PutUint64(content[at+32:], records)
	copy(content[at+56:], "PK\x06\x07")
	binary.LittleEndian.PutUint64(content[at+56+8:], uint64(at))
	binary.LittleEndian.PutUint32(content[at+56+16:], 1)
	copy(content[at+76:], "PK\x05\x06")
	binary.LittleEndian.PutUint16(content[at+76+10:], 0xffff)
	return content
}

// Hostile archives are refused as the client's fault, without much memory.
func TestHostileArchives(t *testing.T) {
	sound := zipOf(t, good...)
	zeros := strings.Repeat("\x00", 8<<20)
	badOffset := bytes.Clone(sound)
	binary.LittleEndian.PutUint32(badOffset[len(badOffset)-6:], 1<<30)
	zips := map[string][]byte{
		"empty":                 {},
		"half":                  sound[:len(sound)/2],
		"a wrong offset":        badOffset,
		"another content":       bytes.Replace(zipOf(t, file{name: "lib/about", content: zeros}), []byte{0xed, 0xc1}, []byte{0xee, 0xc1}, 1),
		"larger than its limit": zipOf(t, file{name: "lib/about", content: strings.Repeat("x", 65<<10)}),
		"two of them":           zipOf(t, file{name: "lib/about", content: "1"}, file{name: "lib/about", content: "2"}),
		"traversal":             zipOf(t, append(good, file{name: "lib/../../etc/passwd"})...),
		"traversal by \\":       zipOf(t, append(good, file{name: `lib\..\..\x`})...),
		"an absolute path":      zipOf(t, append(good, file{name: "/etc/passwd"})...),
		"a drive":               zipOf(t, append(good, file{name: `C:\x`})...),
		"a link":                zipOf(t, append(good, file{name: "lib/l", link: "/etc/passwd"})...),
		"too many files":        manyFiles(t, 150_000),
		"10^6 files, announced": announcing(32<<20, 1_000_000),
		"many ends":             bytes.Repeat([]byte("PK\x05\x06------------------"), 1000),
	}
	for what, content := range zips {
		t.Run("zip/"+what, func(t *testing.T) {
			refused(t, func() error { _, err := readZip(t, content, archive.Limits{}, "lib/about"); return err })
		})
	}
	var many bytes.Buffer
	z := gzip.NewWriter(&many)
	w := tar.NewWriter(z)
	for i := range 6_000 {
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprint("d", i), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	whole := gz(t, tarOf(t, good...))
	for what, content := range map[string][]byte{
		"no gzip":               []byte("not gzip at all"),
		"half":                  whole[:len(whole)/2],
		"a bomb":                gz(t, tarOf(t, file{name: "zeros", content: strings.Repeat(zeros, 8)})),
		"larger than its limit": gz(t, tarOf(t, file{name: "lib/about", content: strings.Repeat("x", 65<<10)})),
		"traversal":             gz(t, tarOf(t, file{name: "../x"})),
		"an absolute path":      gz(t, tarOf(t, file{name: "/x"})),
		"a link outside":        gz(t, tarOf(t, file{name: "lib/l", link: "../../x"})),
		"an absolute link":      gz(t, tarOf(t, file{name: "lib/l", link: "/etc/passwd"})),
		"many files":            many.Bytes(),
	} {
		t.Run("tar/"+what, func(t *testing.T) {
			refused(t, func() error { _, err := readTar(t, content, archive.Limits{Entries: 5_000}, "lib/about"); return err })
		})
	}
	inside := gz(t, tarOf(t, file{name: "lib/sub/l", link: "../about"}, good[2]))
	if got, err := readTar(t, inside, archive.Limits{}, "lib/about"); err != nil || string(got) != "wanted" {
		t.Errorf("a link inside: %q, %v", got, err)
	}
}

func refused(t *testing.T, read func() error) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := read()
	runtime.ReadMemStats(&after)
	if e := fault.From(err); e == nil || e.Kind != fault.Invalid {
		t.Errorf("the archive is not refused: %v", err)
	}
	// All allocations, garbage included.
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
		t.Errorf("%d MiB were allocated", n>>20)
	}
}

func TestLimits_Unpacked(t *testing.T) {
	content := gz(t, tarOf(t, file{name: "big", content: strings.Repeat("0123456789abcdef", 1<<16)}, good[2]))
	if _, err := readTar(t, content, archive.Limits{Unpacked: 1 << 20, Ratio: 1 << 20}, "lib/about"); !fault.Is(err, archive.TooLarge) {
		t.Error(err)
	}
	if got, err := readTar(t, content, archive.Limits{Ratio: 1 << 20}, "lib/about"); err != nil || string(got) != "wanted" {
		t.Error(err)
	}
	if _, err := readTar(t, content, archive.Limits{Time: 1}, "lib/about"); !fault.Is(err, archive.Invalid) || !strings.Contains(err.Error(), "takes longer") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := archive.NewBudget(ctx, archive.Limits{}).TarGz(bytes.NewReader(content))
	if err == nil {
		_, err = r.Next()
	}
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A brokenStore fails after some bytes.
type brokenStore struct {
	content []byte
	left    int
}

var errStore = errors.New("the store is broken")

func (s *brokenStore) ReadAt(p []byte, off int64) (int, error) {
	if s.left -= len(p); s.left < 0 {
		return 0, errStore
	}
	return bytes.NewReader(s.content).ReadAt(p, off)
}

func TestSourceError(t *testing.T) {
	content := zipOf(t, good...)
	for left := range 4 * len(content) {
		z, err := archive.NewBudget(t.Context(), archive.Limits{}).Zip(&brokenStore{content, left}, int64(len(content)))
		if err == nil {
			_, _, err = z.Find("lib/about", 1000, isNamed("lib/about"))
		}
		if err != nil && err != errStore {
			t.Fatalf("after %d bytes: %v", left, err)
		}
	}
	packed := gz(t, tarOf(t, good...))
	for n := range len(packed) - 32 { // what follows the last file is not read
		r, err := archive.NewBudget(t.Context(), archive.Limits{}).TarGz(io.MultiReader(bytes.NewReader(packed[:n]), &failing{}))
		if err == nil {
			_, _, err = r.Find("lib/none", 1000, isNamed("lib/none"))
		}
		if err != errStore && !errors.Is(err, errStore) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
}

type failing struct{}

func (*failing) Read([]byte) (int, error) { return 0, errStore }

func FuzzZip(f *testing.F) {
	f.Add(zipOf(f, good...))
	f.Add(announcing(1000, 1<<40))
	f.Fuzz(func(t *testing.T, content []byte) {
		fuzzed(t, func() error { _, err := readZip(t, content, archive.Limits{}, "lib/about"); return err })
	})
}

func FuzzTar(f *testing.F) {
	f.Add(tarOf(f, good...))
	f.Add(tarOf(f, file{name: "l", link: "../x"}))
	f.Fuzz(func(t *testing.T, content []byte) {
		fuzzed(t, func() error {
			r, err := archive.NewBudget(t.Context(), archive.Limits{}).Tar(bytes.NewReader(content))
			if err != nil {
				return err
			}
			_, _, err = r.Find("lib/about", 1000, isNamed("lib/about"))
			return err
		})
	})
}

// fuzzed fails if an archive is blamed on the server.
func fuzzed(t *testing.T, read func() error) {
	if err := read(); err != nil && fault.From(err).Kind != fault.Invalid {
		t.Fatal(err)
	}
}
