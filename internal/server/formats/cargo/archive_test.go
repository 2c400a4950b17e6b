package cargo

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-registry/gatehouse/internal/deflatetest"
)

// A file is an entry of an archive; a regular file if kind is 0.
type file struct {
	name, text string
	kind       byte
}

const cargoTOML = "[package]\nname = \"left\"\nversion = \"0.1.0\"\nreadme = \"README.md\"\nrust-version = \"1.70\"\n"

func tarGz(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	z := deflatetest.NewGzip(&b)
	w := tar.NewWriter(z)
	for _, f := range files {
		if f.kind == 0 {
			f.kind = tar.TypeReg
		}
		h := &tar.Header{Name: f.name, Typeflag: f.kind, Mode: 0o644, Size: int64(len(f.text))}
		if f.kind != tar.TypeReg {
			h.Size, h.Linkname = 0, f.text
		}
		err := w.WriteHeader(h)
		if err == nil && f.kind == tar.TypeReg {
			_, err = io.WriteString(w, f.text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(ctx context.Context, content []byte) (*crateArchive, error) {
	return readArchive(ctx, bytes.NewReader(content), int64(len(content)), "left", "0.1.0")
}

func TestReadArchive(t *testing.T) {
	a, err := read(t.Context(), tarGz(t, file{name: "left-0.1.0/", kind: tar.TypeDir}, file{name: "left-0.1.0/README.md", text: "# Left"},
		file{name: "left-0.1.0/Cargo.toml", text: cargoTOML}, file{name: "left-0.1.0/src/Cargo.toml", text: "no manifest"}, file{name: "left-0.1.0/src/lib.rs"}))
	if err != nil {
		t.Fatal(err)
	}
	if a.readme != "# Left" || a.manifest.Package.RustVersion != "1.70" {
		t.Errorf("%+v", a)
	}
}

func TestReadArchive_Invalid(t *testing.T) {
	good := file{name: "left-0.1.0/Cargo.toml", text: cargoTOML}
	for name, c := range map[string]struct {
		content []byte
		message string
	}{
		"empty":                   {nil, "not compressed by gzip"},
		"no gzip":                 {[]byte("left"), "not compressed by gzip"},
		"no manifest":             {tarGz(t, file{name: "left-0.1.0/src/lib.rs"}), "no left-0.1.0/Cargo.toml"},
		"another crate":           {tarGz(t, file{name: good.name, text: strings.Replace(cargoTOML, "left", "right", 1)}), `is of "right" "0.1.0"`},
		"another version":         {tarGz(t, file{name: good.name, text: strings.Replace(cargoTOML, "0.1.0", "0.2.0", 1)}), "not of left 0.1.0"},
		"another folder":          {tarGz(t, good, file{name: "right-0.1.0/src/lib.rs"}), "not below the folder"},
		"a path upwards":          {tarGz(t, good, file{name: "left-0.1.0/../../etc/passwd"}), "outside of its folder"},
		"a path within":           {tarGz(t, good, file{name: "left-0.1.0/src/../lib.rs"}), "not below the folder"},
		"an absolute path":        {tarGz(t, good, file{name: "/left-0.1.0/lib.rs"}), "outside of its folder"},
		"a backslash":             {tarGz(t, good, file{name: `left-0.1.0/..\..\lib.rs`}), "outside of its folder"},
		"a symbolic link":         {tarGz(t, good, file{name: "left-0.1.0/link", text: "Cargo.toml", kind: tar.TypeSymlink}), "is a link"},
		"a hard link":             {tarGz(t, good, file{name: "left-0.1.0/link", text: "left-0.1.0/Cargo.toml", kind: tar.TypeLink}), "is a link"},
		"a device":                {tarGz(t, good, file{name: "left-0.1.0/null", kind: tar.TypeChar}), "neither a file nor a folder nor a link"},
		"two manifests":           {tarGz(t, good, good), "more than one Cargo.toml"},
		"a manifest in lower":     {tarGz(t, good, file{name: "left-0.1.0/cargo.toml"}), "more than one Cargo.toml"},
		"no TOML":                 {tarGz(t, file{name: good.name, text: "[package"}), "cannot be read"},
		"deep TOML":               {tarGz(t, file{name: good.name, text: "a=" + strings.Repeat("[", 1<<20)}), "cannot be read"},
		"a large manifest":        {tarGz(t, file{name: good.name, text: strings.Repeat("#", maxManifest+1)}), "Cargo.toml is larger than"},
		"text after the tar":      {zipped(t, make([]byte, maxPadding)), "something follows the end of the tar"},
		"cut off":                 {tarGz(t, good)[:60], "unexpected EOF"},
		"a second gzip member":    {append(tarGz(t, good), tarGz(t, good)...), "something follows"},
		"text after the gzip":     {append(tarGz(t, good), "x"...), "something follows"},
		"more files than allowed": {tarGz(t, manyFiles()...), "more than 100000 files"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := read(t.Context(), c.content); err == nil || !strings.Contains(err.Error(), c.message) {
				t.Errorf("%v, want %s", err, c.message)
			}
		})
	}
}

// zipped compresses the empty tar with the bytes after it.
func zipped(t testing.TB, after []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(append(make([]byte, 1024), after...))
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func manyFiles() []file {
	all := make([]file, 100_001)
	for i := range all {
		all[i].name = fmt.Sprintf("left-0.1.0/%d", i)
	}
	return all
}

// A bomb is refused after as many bytes as cargo would unpack, within a second or two.
func TestReadArchive_Bomb(t *testing.T) {
	r, w := io.Pipe()
	go func() {
		tw := tar.NewWriter(deflatetest.NewGzip(w))
		err := tw.WriteHeader(&tar.Header{Name: "left-0.1.0/zeros", Typeflag: tar.TypeReg, Size: 1 << 40})
		zeros := make([]byte, 1<<20)
		for err == nil {
			_, err = tw.Write(zeros)
		}
	}()
	defer r.Close()
	_, err := readArchive(t.Context(), r, 1<<20, "left", "0.1.0")
	if err == nil || !strings.Contains(err.Error(), "larger than 512 MiB") {
		t.Errorf("%v", err)
	}
}

func TestReadArchive_ClientLeft(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	if _, err := read(ctx, tarGz(t, file{name: "left-0.1.0/Cargo.toml", text: cargoTOML})); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func FuzzReadArchive(f *testing.F) {
	good := tarGz(f, file{name: "left-0.1.0/Cargo.toml", text: cargoTOML}, file{name: "left-0.1.0/README.md", text: "x"})
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(tarGz(f, file{name: "left-0.1.0/link", text: "/", kind: tar.TypeSymlink}))
	f.Fuzz(func(t *testing.T, content []byte) {
		a, err := read(t.Context(), content)
		if err == nil && (a.manifest.Package.Name != "left" || a.manifest.Package.Version != "0.1.0") {
			t.Errorf("%+v", a.manifest)
		}
	})
}

// What follows is the same for a manifest that is not in an archive.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(cargoTOML))
	f.Add([]byte("[package]\nreadme = false\nname = 1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		a := archiveFiles{root: "left-0.1.0", manifest: text, readmes: map[string][]byte{"README.md": []byte("\xff")}}
		if got, err := a.archive("left", "0.1.0"); err == nil && !utf8.ValidString(got.readme) {
			t.Error("the readme is not UTF-8")
		}
	})
}
