package pypi

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/deflatetest"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
)

const sampleMetadata = "Metadata-Version: 2.2\r\nName: My.Project\nVersion: 1.0\nSummary: does\n   two things\nRequires-Python: >=3.8\n" +
	"Requires-Dist: six>=1.0\nRequires-Dist: tomli; python_version < '3.11'\nProject-URL: Source Code, https://git.example/p\nProject-URL: Home-Page, https://p.example\n" +
	"License: UNKNOWN\nDynamic: Description\nnot a field\n\n# My project\n"

func TestParseCoreMetadata(t *testing.T) {
	m := parseCoreMetadata([]byte(sampleMetadata))
	if m.release() != (release{"My.Project", "1.0"}) || m.get("requires-python") != ">=3.8" || m.get("Summary") != "does\ntwo things" || m.body != "# My project\n" {
		t.Errorf("%+v", m)
	}
	if !m.final() {
		t.Error("Dynamic: Description does not concern an installer")
	}
	d := m.description()
	if d.SourceCodeRepository != "https://git.example/p" || d.HomePage != "https://p.example" || len(d.Licenses) != 0 {
		t.Errorf("%+v", d)
	}
	if len(d.Dependencies) != 2 || d.Dependencies[0].Package != "six" || d.Dependencies[0].VersionRequirement != ">=1.0" || d.Dependencies[1].Package != "tomli" {
		t.Errorf("%+v", d.Dependencies)
	}
	for _, text := range []string{"Metadata-Version: 2.1\nName: x\n", "Metadata-Version: 2.4\nDynamic: Requires-Dist\n", ""} {
		if parseCoreMetadata([]byte(text)).final() {
			t.Errorf("%q was taken as final", text)
		}
	}
}

// zipped returns a zip of name, content pairs.
func zipped(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	z.RegisterCompressor(zip.Deflate, deflatetest.NewWriter)
	for pair := range slices.Chunk(files, 2) {
		w, err := z.Create(pair[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(pair[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// tarred returns a .tar.gz of name, content pairs.
func tarred(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	g := gzip.NewWriter(&b)
	w := tar.NewWriter(g)
	for pair := range slices.Chunk(files, 2) {
		if err := w.WriteHeader(&tar.Header{Name: pair[0], Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(pair[1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(pair[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), g.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadWheelMetadata(t *testing.T) {
	read := func(b []byte) ([]byte, error) {
		return readWheelMetadata(archive.NewBudget(context.Background(), archive.Limits{}), bytes.NewReader(b), int64(len(b)), "p")
	}
	got, err := read(zipped(t, "p/__init__.py", "", "p-1.0.dist-info/METADATA", sampleMetadata, "p/vendor/x.dist-info/METADATA", "other"))
	if err != nil || string(got) != sampleMetadata {
		t.Errorf("%q %v", got, err)
	}
	for what, b := range map[string][]byte{
		"no metadata":  zipped(t, "p/METADATA", "x"),
		"another's":    zipped(t, "q-1.0.dist-info/METADATA", "x"),
		"two of them":  zipped(t, "p.dist-info/METADATA", "x", "q.dist-info/METADATA", "x"),
		"too large":    zipped(t, "p.dist-info/METADATA", strings.Repeat("x", maxMetadata+1)),
		"not a zip":    []byte("PK not a zip"),
		"nothing":      nil,
		"a zip halved": zipped(t, "p.dist-info/METADATA", "x")[20:],
	} {
		if got, err := read(b); err == nil {
			t.Errorf("%s: read %d bytes", what, len(got))
		}
	}
}

func TestReadSdistMetadata(t *testing.T) {
	files := []string{"p-1.0/p.egg-info/PKG-INFO", "not this", "p-1.0/PKG-INFO", sampleMetadata}
	for file, b := range map[string][]byte{"p-1.0.tar.gz": tarred(t, files...), "p-1.0.zip": zipped(t, files...)} {
		got, err := readSdistMetadata(archive.NewBudget(context.Background(), archive.Limits{}), file, bytes.NewReader(b), int64(len(b)))
		if err != nil || string(got) != sampleMetadata {
			t.Errorf("%s: %q %v", file, got, err)
		}
	}
	none := tarred(t, "p-1.0/setup.py", "")
	if _, err := readSdistMetadata(archive.NewBudget(context.Background(), archive.Limits{}), "p-1.0.tar.gz", bytes.NewReader(none), int64(len(none))); !fault.Is(err, archive.Missing) {
		t.Error(err)
	}
	if _, err := readSdistMetadata(archive.NewBudget(context.Background(), archive.Limits{}), "p-1.0.tar.gz", strings.NewReader("not gzip"), 8); err == nil || fault.Is(err, archive.Missing) {
		t.Error("bytes that are not an archive were read as an archive without metadata:", err)
	}
}

func FuzzWheelMetadata(f *testing.F) {
	f.Add(zipped(f, "p-1.0.dist-info/METADATA", sampleMetadata))
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, b []byte) {
		raw, err := readWheelMetadata(archive.NewBudget(context.Background(), archive.Limits{}), bytes.NewReader(b), int64(len(b)), "p")
		if err == nil && len(raw) > maxMetadata {
			t.Fatal("more than is accepted")
		}
		parseCoreMetadata(raw).description()
	})
}

func FuzzCoreMetadata(f *testing.F) {
	f.Add([]byte(sampleMetadata))
	f.Add([]byte(" \n:\n\t:x"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		m := parseCoreMetadata(b)
		m.description()
		m.final()
	})
}

// Reading an upload takes memory and time in proportion to its size.
func TestReadMetadata_Bombs(t *testing.T) {
	allocated := func(read func()) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		read()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	folded := []byte("Summary: x\n" + strings.Repeat(" a\n", maxMetadata/3))
	var m *coreMetadata
	if n := allocated(func() { m = parseCoreMetadata(folded) }); n > 16*maxMetadata {
		t.Errorf("a folded field of %d bytes took %d", len(folded), n)
	}
	if got := strings.Count(m.get("Summary"), "\n"); got != maxMetadata/3 {
		t.Errorf("the field has %d lines", got)
	}

	inflated := zipped(t, "x-1.dist-info/METADATA", strings.Repeat("a", 64<<20))
	if n := allocated(func() {
		if _, err := readWheelMetadata(archive.NewBudget(context.Background(), archive.Limits{}), bytes.NewReader(inflated), int64(len(inflated)), "x"); err == nil {
			t.Error("64 MiB of metadata were read")
		}
	}); n > 32<<20 {
		t.Errorf("inflating took %d bytes", n)
	}

	var crowded bytes.Buffer
	z := zip.NewWriter(&crowded)
	for i := range 350_000 {
		if _, err := z.CreateRaw(&zip.FileHeader{Name: strconv.Itoa(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := readWheelMetadata(archive.NewBudget(context.Background(), archive.Limits{}), bytes.NewReader(crowded.Bytes()), int64(crowded.Len()), "x")
	if err == nil || !strings.Contains(err.Error(), "too many files") {
		t.Errorf("a crowded archive: %v", err)
	}
}
