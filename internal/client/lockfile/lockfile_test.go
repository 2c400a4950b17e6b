package lockfile_test

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/lockfile"
)

func address(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func replacements(t *testing.T) []lockfile.Replacement {
	return []lockfile.Replacement{
		{Proxy: address(t, "http://127.0.0.1:4321/acme-lib/npm/"), Repository: address(t, "https://gate.example/npm/lib/")},
		{Proxy: address(t, "http://127.0.0.1:4321/acme-lib/pypi/"), Repository: address(t, "https://gate.example/pypi/lib/")},
	}
}

func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The forms in which npm, Yarn 1 and 4, uv and cargo write an address.
func TestRestore_Forms(t *testing.T) {
	for file, texts := range map[string][2]string{
		"package-lock.json": {`"resolved": "http://127.0.0.1:4321/acme-lib/npm/left/-/left-1.0.0.tgz",`, `"resolved": "https://gate.example/npm/lib/left/-/left-1.0.0.tgz",`},
		"yarn.lock": {
			"resolved \"http://127.0.0.1:4321/acme-lib/npm/@acme/right/-/right-1.0.0.tgz#abc\"\r\n::__archiveUrl=http%3A%2F%2F127.0.0.1%3A4321%2Facme-lib%2Fnpm%2Fx.tgz",
			"resolved \"https://gate.example/npm/lib/@acme/right/-/right-1.0.0.tgz#abc\"\r\n::__archiveUrl=https%3A%2F%2Fgate.example%2Fnpm%2Flib%2Fx.tgz",
		},
		"uv.lock":           {`source = { registry = "http://127.0.0.1:4321/acme-lib/pypi/simple" }`, `source = { registry = "https://gate.example/pypi/lib/simple" }`},
		"Cargo.lock":        {`source = "sparse+http://127.0.0.1:4321/acme-lib/npm"`, `source = "sparse+https://gate.example/npm/lib"`},
		"sub/deep/bun.lock": {"http://127.0.0.1:4321/acme-lib/npm/x", "https://gate.example/npm/lib/x"},
		// Another port, and another file.
		"poetry.lock": {"http://127.0.0.1:43210/acme-lib/npm/x", "http://127.0.0.1:43210/acme-lib/npm/x"},
		"README.md":   {"http://127.0.0.1:4321/acme-lib/npm/x", "http://127.0.0.1:4321/acme-lib/npm/x"},
		// Installed packages are not the project's own files.
		"node_modules/left/package-lock.json": {"http://127.0.0.1:4321/acme-lib/npm/x", "http://127.0.0.1:4321/acme-lib/npm/x"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, file)
		write(t, path, texts[0], 0o640)
		changed, err := lockfile.Restore(dir, "", replacements(t))
		if err != nil || read(t, path) != texts[1] || slices.Contains(changed, path) != (texts[0] != texts[1]) {
			t.Errorf("%s: %q, %q, %v", file, read(t, path), changed, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
}

// A workspace has its lock file at the root of the repository. Without one, no
// folder above belongs to the project.
func TestRestore_FoldersAbove(t *testing.T) {
	const text = "http://127.0.0.1:4321/acme-lib/npm/x"
	for _, repository := range []bool{true, false} {
		root := t.TempDir()
		write(t, filepath.Join(root, "yarn.lock"), text, 0o600)
		write(t, filepath.Join(root, "a/b/package.json"), "{}", 0o600)
		if repository {
			write(t, filepath.Join(root, ".git/HEAD"), "", 0o600)
		}
		if _, err := lockfile.Restore(filepath.Join(root, "a/b"), filepath.Dir(root), replacements(t)); err != nil {
			t.Error(err)
		}
		if restored := !strings.Contains(read(t, filepath.Join(root, "yarn.lock")), "127.0.0.1"); restored != repository {
			t.Errorf("in a repository %v, restored %v", repository, restored)
		}
	}
}

func TestRestore_Links(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "real/lock"), "http://127.0.0.1:4321/acme-lib/npm/x", 0o600)
	if err := os.Symlink("real/lock", filepath.Join(dir, "yarn.lock")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nothing", filepath.Join(dir, "uv.lock")); err != nil {
		t.Fatal(err)
	}
	changed, err := lockfile.Restore(dir, "", replacements(t))
	if err != nil || len(changed) != 1 || read(t, filepath.Join(dir, "real/lock")) != "https://gate.example/npm/lib/x" {
		t.Errorf("%q, %v", changed, err)
	}
	if to, err := os.Readlink(filepath.Join(dir, "yarn.lock")); err != nil || to != "real/lock" {
		t.Errorf("%q, %v", to, err)
	}
}
