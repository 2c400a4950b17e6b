package inventory_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/gatehouse-registry/gatehouse/internal/deflatetest"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/inventory"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/scantest"
)

type file = scantest.File

func read(t *testing.T, layers ...[]byte) *inventory.Inventory {
	t.Helper()
	r := inventory.NewReader(inventory.DefaultLimits)
	for i, l := range layers {
		if err := r.Layer(fmt.Sprintf("sha256:%d", i), bytes.NewReader(l)); err != nil {
			t.Fatal(err)
		}
	}
	return r.Inventory()
}

// lines describes packages: "ECOSYSTEM NAME VERSION" each, of what advisories are about.
func lines(inv *inventory.Inventory) string {
	var out []string
	for _, p := range inv.Packages {
		name, version := p.About()
		out = append(out, p.Ecosystem+" "+name+" "+version)
	}
	return strings.Join(out, "\n")
}

func want(t *testing.T, inv *inventory.Inventory, packages ...string) {
	t.Helper()
	if got := lines(inv); got != strings.Join(packages, "\n") {
		t.Errorf("the packages are\n%s\nwant\n%s", got, strings.Join(packages, "\n"))
	}
}

func TestReader_Systems(t *testing.T) {
	inv := read(t, scantest.Debian(t))
	want(t, inv, "Debian:12 openssl 3.0.11-1~deb12u1", "Debian:12 openssl 3.0.11-1~deb12u1", "Debian:12 zlib 1:1.2.13.dfsg-1")
	p := inv.Packages[0]
	if p.Name != "libssl3" || p.Arch != "amd64" || p.Path != "var/lib/dpkg/status" || p.Layer != "sha256:0" || inv.System.Name != "Debian GNU/Linux 12 (bookworm)" {
		t.Errorf("%+v, %+v", p, inv.System)
	}
	want(t, read(t, scantest.Alpine(t)), "Alpine:v3.20 openssl 3.3.1-r0", "Alpine:v3.20 musl 1.2.5-r0")
	want(t, read(t, scantest.Layer(t, // without a package manager
		file{"etc/os-release", "ID=debian\nVERSION_ID=12\n"},
		file{"var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2024a-0\n"},
		file{"var/lib/dpkg/status.d/tzdata.md5sums", "Package: x\nVersion: 1\n"})), "Debian:12 tzdata 2024a-0")
}

func TestReader_Languages(t *testing.T) {
	jar := archive(t, map[string]string{"META-INF/maven/com.acme/core/pom.properties": "groupId=com.acme\nartifactId=core\nversion=1.2\n", "a.class": "x"})
	fat := archive(t, map[string]string{"BOOT-INF/lib/core.jar": string(jar), "META-INF/maven/com.acme/app/pom.properties": "#\nversion = 2.0\r\ngroupId = com.acme\r\nartifactId = app\r\n"})
	inv := read(t, scantest.Layer(t,
		file{"app/node_modules/left/package.json", `{"name":"left","version":"1.0.0"}`},
		file{"app/node_modules/@acme/merge/package.json", `{"name":"@acme/merge","version":"1.1.0"}`},
		file{"app/package.json", `{"name":"app","version":"1.0.0"}`},
		file{"app/node_modules/left/test/package.json", `{"name":"inner","version":"1.0.0"}`},
		file{"usr/lib/python3/dist-packages/Some.Lib-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: Some.Lib\nVersion: 1.0\n\nText: x\n"},
		file{"usr/lib/python3/dist-packages/old.egg-info/PKG-INFO", "Metadata-Version: 1.0\nName: old\nVersion: 0.9"},
		file{"usr/lib/ruby/gems/3.1.0/specifications/rack-2.2.4.gemspec", "Gem::Specification.new do |s|\n  s.name = \"rack\".freeze\n  s.version = \"2.2.4\"\n"},
		file{"src/Cargo.lock", "version = 3\n[[package]]\nname = \"serde\"\nversion = \"1.0.1\"\nsource = \"registry+https://example.com/index\"\n[[package]]\nname = \"own\"\nversion = \"0.1.0\"\n"},
		file{"app/App.deps.json", `{"libraries":{"Acme.Core/1.2.3":{"type":"package"},"App/1.0.0":{"type":"project"}}}`},
		file{"app/fat.jar", string(fat)},
		file{"app/damaged.war", "x"},
	))
	want(t, inv, "Maven com.acme:app 2.0", "Maven com.acme:core 1.2", "NuGet Acme.Core 1.2.3", "PyPI Some.Lib 1.0", "PyPI old 0.9", "RubyGems rack 2.2.4", "crates.io serde 1.0.1", "npm @acme/merge 1.1.0", "npm left 1.0.0")
	if len(inv.Unread) != 1 || !strings.HasPrefix(inv.Unread[0], "app/damaged.war: ") {
		t.Error(inv.Unread)
	}
}

func archive(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, text := range files {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The program of this test is a Go binary, but tests have no list of modules. The other one
// is made as the linker does it, after a text that only looks like the beginning.
func TestReader_GoBinary(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	const magic, mark = "\xff Go buildinf:", "0123456789abcdef"
	modules := mark + "path\texample.com/app\nmod\texample.com/app\tv1.2.3\th1:x\ndep\texample.com/dep\tv0.5.0\th1:x\ndep\texample.com/old\tv1.0.0\n=>\texample.com/new\tv1.1.0\th1:x\n" + mark
	header := magic + "\x08\x02" + strings.Repeat("\x00", 16)
	app := "\x7fELF" + strings.Repeat("x", 300_000) + magic + "none"
	app += strings.Repeat("x", 16-len(app)%16) + header + "\x08go1.22.3" + string(binary.AppendUvarint(nil, uint64(len(modules)))) + modules
	inv := read(t, scantest.Archive(t, file{"usr/bin/test", string(text)}, file{"usr/bin/app", app}, file{"usr/bin/script", "#!/bin/sh\n" + strings.Repeat("#", 100_000)}))
	version := strings.TrimPrefix(strings.Fields(runtime.Version())[0], "go")
	want(t, inv, "Go example.com/app 1.2.3", "Go example.com/dep 0.5.0", "Go example.com/new 1.1.0", "Go stdlib 1.22.3", "Go stdlib "+version)
}

func TestReader_Layers(t *testing.T) {
	left := func(version string) file {
		return file{"app/node_modules/left/package.json", `{"name":"left","version":"` + version + `"}`}
	}
	right := file{"app/node_modules/right/package.json", `{"name":"right","version":"1.0.0"}`}
	for name, c := range map[string]struct {
		layer []file
		want  []string
	}{
		"replaced":                        {[]file{left("2.0.0")}, []string{"npm left 2.0.0", "npm right 1.0.0"}},
		"removed":                         {[]file{{"app/node_modules/left/.wh.package.json", ""}}, []string{"npm right 1.0.0"}},
		"its directory removed":           {[]file{{"app/node_modules/.wh.left", ""}}, []string{"npm right 1.0.0"}},
		"all below removed":               {[]file{{"app/.wh..wh..opq", ""}, {"app/", ""}}, nil},
		"all below replaced":              {[]file{left("3.0.0"), {"app/node_modules/.wh..wh..opq", ""}}, []string{"npm left 3.0.0"}},
		"a file instead of a directory":   {[]file{{"app/node_modules", "x"}}, nil},
		"a directory beside":              {[]file{{"app/node_modules/", ""}}, []string{"npm left 1.0.0", "npm right 1.0.0"}},
		"paths that want to leave":        {[]file{{"../../app/./x/../node_modules/left/package.json", `{"name":"left","version":"4.0.0"}`}}, []string{"npm left 4.0.0", "npm right 1.0.0"}},
		"replaced by what has no version": {[]file{{left("")[0], "{}"}}, []string{"npm right 1.0.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, read(t, scantest.Layer(t, left("1.0.0"), right), scantest.Layer(t, c.layer...)), c.want...)
		})
	}
	// A link or a device in the place of a file, whatever it points to.
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []tar.Header{{Name: left("")[0], Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, {Name: right[0], Typeflag: tar.TypeBlock}} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, read(t, scantest.Layer(t, left("1.0.0"), right), b.Bytes()))
}

func TestReader_Compression(t *testing.T) {
	plain := scantest.Archive(t, file{"lib/apk/db/installed", "P:a\nV:1\n\n"})
	var z bytes.Buffer
	w, err := zstd.NewWriter(&z)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, layer := range [][]byte{plain, z.Bytes()} {
		want(t, read(t, layer), " a 1")
	}
}

// bomb is a layer of one file of size bytes, which are all the same.
func bomb(t *testing.T, name string, size int64) []byte {
	t.Helper()
	var b bytes.Buffer
	z := deflatetest.NewGzip(&b)
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o755, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(w, zeros{}, size); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// Hostile layers end with an error or without what they hide, in little memory.
func TestReader_Hostile(t *testing.T) {
	noise := make([]byte, 1<<20)
	_, _ = rand.Read(noise)
	many := make([]file, 3000)
	for i := range many {
		many[i] = file{fmt.Sprintf("app/node_modules/p%d/package.json", i), fmt.Sprintf(`{"name":"p%d","version":"1.0.0"}`, i)}
	}
	limits := inventory.Limits{Bytes: 64 << 20, Entries: 10_000, Files: 900, Packages: 1000}
	deep := strings.Repeat("a/", 2000) + "node_modules/x/package.json"
	for name, c := range map[string]struct {
		layer []byte
		fails string
	}{
		"a bomb that nobody wants":  {bomb(t, "dev/zero", 256<<20), "too many bytes"},
		"a bomb in a list":          {bomb(t, "lib/apk/db/installed", 128<<20), "at most"},
		"a bomb of a program":       {bomb(t, "bin/app", 256<<20), "too many bytes"},
		"a bomb of a metadata file": {bomb(t, "a.dist-info/METADATA", 30<<20), ""},
		"truncated":                 {scantest.Debian(t)[:200], "unexpected EOF"},
		"no archive":                {noise, "invalid"},
		"too many files":            {scantest.Layer(t, many...), "files of package managers"},
		"too many packages":         {scantest.Layer(t, file{"lib/apk/db/installed", strings.Repeat("P:a\nV:1\n\n", 1001)}), "packages"},
		"a deep path":               {scantest.Layer(t, file{deep, `{"name":"x","version":"1"}`}), ""},
		"deep JSON":                 {scantest.Layer(t, file{"node_modules/x/package.json", strings.Repeat(`{"a":`, 500_000)}), ""},
		"names that are none":       {scantest.Layer(t, file{"lib/apk/db/installed", "P:a\x00b\nV:1\n\nP:" + strings.Repeat("x", 300) + "\nV:1\n\nP:\xff\nV:2\n\n"}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			r := inventory.NewReader(limits)
			err := r.Layer("sha256:1", bytes.NewReader(c.layer))
			runtime.ReadMemStats(&after)
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("the error is %v, want one with %q", err, c.fails)
			}
			if err == nil && len(r.Inventory().Packages) > 0 {
				t.Error(lines(r.Inventory()))
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 48<<20 {
				t.Errorf("it took %d MiB", used>>20)
			}
		})
	}
}

// An image that removes again and again what it does not have takes the time of its entries.
func TestReader_ManyWhiteouts(t *testing.T) {
	var removing []file
	for i := range 50_000 {
		removing = append(removing, file{fmt.Sprintf("app/node_modules/.wh.x%d", i), ""}, file{"app/.wh..wh..opq", ""})
	}
	want(t, read(t, scantest.Layer(t, file{"app/node_modules/left/package.json", `{"name":"left","version":"1.0.0"}`}), scantest.Layer(t, removing...)))
}

func FuzzLayer(f *testing.F) {
	f.Add([]byte("\x1f\x8b"))
	f.Add([]byte("Package: a\nVersion: 1\n"))
	for _, name := range []string{"lib/apk/db/installed", "a.jar", "node_modules/a/package.json", "Cargo.lock", "a.dist-info/METADATA", "bin/app"} {
		f.Add(scantest.Archive(f, file{name, "P:a\nV:1\n"}))
	}
	f.Fuzz(func(t *testing.T, layer []byte) {
		r := inventory.NewReader(inventory.Limits{Bytes: 1 << 20, Entries: 1000, Files: 100, Packages: 1000})
		if r.Layer("sha256:1", bytes.NewReader(layer)) != nil {
			return
		}
		for _, p := range r.Inventory().Packages {
			if p.Name == "" || p.Version == "" || p.Manager == "" || p.Path == "" || len(p.Name) > 255 {
				t.Fatalf("%+v", p)
			}
		}
	})
}
