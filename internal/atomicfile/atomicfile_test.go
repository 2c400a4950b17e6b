package atomicfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func write(t *testing.T, path, content string, perm fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), perm); err != nil {
		t.Fatal(err)
	}
}

// check fails unless the folder of path holds this file and no other.
func check(t *testing.T, path, content string, perm fs.FileMode) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != content {
		t.Errorf("content = %q, %v, want %q", got, err, content)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != perm {
		t.Errorf("mode = %v, %v, want %v", info.Mode(), err, perm)
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 1 {
		t.Errorf("the folder holds %v, %v, want one file", files, err)
	}
}

func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, step := range []struct {
		content string
		perm    fs.FileMode
	}{{"first", 0o600}, {"second, longer", 0o600}, {"third", 0o644}, {"third", 0o600}, {"", 0o600}} {
		if err := Replace(path, []byte(step.content), step.perm); err != nil {
			t.Fatal(err)
		}
		check(t, path, step.content, step.perm)
	}
}

func TestReplace_SameContentWritesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "same", 0o600)
	if err := replace(&faulty{failAt: "createTemp"}, path, []byte("same"), 0o600); err != nil {
		t.Errorf("err = %v, want nil: the file needs no write", err)
	}
}

func TestReplace_SymbolicLinkIsReplaced(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	write(t, outside, "untouched", 0o600)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.Symlink(outside, path); err != nil {
		t.Fatal(err)
	}
	if err := Replace(path, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
		t.Errorf("the link is still there: %v, %v", info.Mode(), err)
	}
	check(t, outside, "untouched", 0o600)
}

func TestCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := Create(path, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Create(path, []byte("second"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("err = %v, want fs.ErrExist", err)
	}
	check(t, path, "first", 0o600)
}

func TestCreate_OneOfManyWins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := ""
	for _, content := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		wg.Go(func() {
			err := Create(path, []byte(content), 0o600)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won += content
			} else if !errors.Is(err, fs.ErrExist) {
				t.Errorf("err = %v, want fs.ErrExist", err)
			}
		})
	}
	wg.Wait()
	check(t, path, won, 0o600)
}

var errDisk = errors.New("the disk failed")

// faulty is the real file system until the step failAt. It notes the steps.
type faulty struct {
	system
	failAt string
	steps  []string
}

func (d *faulty) step(name string) error {
	d.steps = append(d.steps, name)
	if name == d.failAt {
		return errDisk
	}
	return nil
}

func (d *faulty) createTemp(dir, pattern string) (file, error) {
	if err := d.step("createTemp"); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, pattern)
	return &faultyFile{f, d}, err
}

func (d *faulty) rename(from, to string) error {
	return errors.Join(d.step("rename"), d.unless("rename", func() error { return os.Rename(from, to) }))
}

func (d *faulty) link(from, to string) error {
	return errors.Join(d.step("link"), d.unless("link", func() error { return os.Link(from, to) }))
}

func (d *faulty) syncDir(dir string) error {
	return errors.Join(d.step("syncDir"), d.unless("syncDir", func() error { return syncDir(dir) }))
}

func (d *faulty) unless(name string, fn func() error) error {
	if name == d.failAt {
		return nil
	}
	return fn()
}

type faultyFile struct {
	*os.File
	disk *faulty
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if err := f.disk.step("write"); err != nil {
		n, _ := f.File.Write(p[:len(p)/2]) // as a full disk does
		return n, err
	}
	return f.File.Write(p)
}

func (f *faultyFile) Sync() error { return errors.Join(f.disk.step("sync"), f.File.Sync()) }

// A failure at any step leaves the old file or the new one, and nothing else.
func TestReplace_FaultAtEachStep(t *testing.T) {
	for _, step := range []string{"createTemp", "write", "sync", "rename", "syncDir"} {
		path := filepath.Join(t.TempDir(), "file")
		write(t, path, "old", 0o600)
		err := replace(&faulty{failAt: step}, path, []byte("new content"), 0o600)
		if !errors.Is(err, errDisk) {
			t.Errorf("%s: err = %v, want that of the disk", step, err)
		}
		want := "old"
		if step == "syncDir" {
			want = "new content"
		}
		check(t, path, want, 0o600)
	}
}

func TestCreate_FaultAtEachStep(t *testing.T) {
	for _, step := range []string{"createTemp", "write", "sync", "link"} {
		dir := t.TempDir()
		err := create(&faulty{failAt: step}, filepath.Join(dir, "file"), []byte("new content"), 0o600)
		if !errors.Is(err, errDisk) {
			t.Errorf("%s: err = %v, want that of the disk", step, err)
		}
		if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
			t.Errorf("%s: the folder holds %v, %v, want nothing", step, files, err)
		}
	}
}

// The bytes are synced before the file gets its name, and the folder after.
func TestReplace_OrderOfSteps(t *testing.T) {
	d := &faulty{}
	if err := replace(d, filepath.Join(t.TempDir(), "file"), bytes.Repeat([]byte("x"), 10), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(d.steps, " "), "createTemp write sync rename syncDir"; got != want {
		t.Errorf("steps = %s, want %s", got, want)
	}
}
