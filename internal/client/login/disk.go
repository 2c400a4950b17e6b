package login

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gatehouse-registry/gatehouse/internal/atomicfile"
)

// maxFile is the size in bytes of the largest configuration file that is read.
const maxFile = 8 << 20

// A disk holds the files. Each method is one step of which a crash leaves all
// or nothing.
type disk interface {
	// read returns the contents and permissions of a regular file; nil if there
	// is no file.
	read(path string) ([]byte, fs.FileMode, error)
	// resolve follows the links of a path to the file that they name, which
	// need not exist.
	resolve(path string) (string, error)
	// writable returns an error if an existing file may not be written.
	writable(path string) error
	// stage writes a text to a file beside the path, from which rename takes
	// it, and waits until it is durable.
	stage(path string, text []byte, mode fs.FileMode) error
	// rename puts the staged text in the file's place.
	rename(path string) error
	// unstage removes what stage wrote, if it is there.
	unstage(path string) error
	// remove removes a file or an empty folder. It is not an error if there is
	// none.
	remove(path string) error
	mkdir(path string, mode fs.FileMode) error
	// link makes a link to a program.
	link(program, path string) error
	// linked reports whether the file at a path is that program, by any kind of
	// link.
	linked(program, path string) bool
	// exists reports whether anything is at a path, also a broken link.
	exists(path string) bool
}

// osDisk is the file system of the machine.
type osDisk struct{}

func (osDisk) read(path string) ([]byte, fs.FileMode, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, 0, fmt.Errorf("%s cannot be written: there is a file in place of one of its folders: move that file away", path)
	}
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() { // reading a pipe would block
		return nil, 0, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, 0, err
	}
	if len(text) > maxFile {
		return nil, 0, fmt.Errorf("%s is larger than %d MiB", path, maxFile>>20)
	}
	return text, permissions(info), nil
}

func (osDisk) resolve(path string) (string, error) {
	path = filepath.Clean(path)
	for range 64 {
		dir, err := realDir(filepath.Dir(path))
		if err != nil {
			return "", err
		}
		path = filepath.Join(dir, filepath.Base(path))
		target, err := os.Readlink(path)
		if err != nil { // no link, or nothing
			return path, nil
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(dir, target)
		}
		path = target
	}
	return "", fmt.Errorf("%s is a link to itself", path)
}

// realDir follows the links of a folder's path as far as it exists.
func realDir(dir string) (string, error) {
	found, err := filepath.EvalSymlinks(dir)
	if !errors.Is(err, fs.ErrNotExist) || filepath.Dir(dir) == dir {
		return found, err
	}
	parent, err := realDir(filepath.Dir(dir))
	return filepath.Join(parent, filepath.Base(dir)), err
}

func (osDisk) writable(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// stagingPath is where a file's new text waits. It is the same each time, so
// that what a crash leaves is found and removed.
func stagingPath(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".gatehouse-new")
}

func (m osDisk) stage(path string, text []byte, mode fs.FileMode) (err error) {
	if err := m.unstage(path); err != nil {
		return err
	}
	chmod := func(*os.File) error { return nil } // a new file has the mode that the umask allows
	created := mode
	if m.exists(path) {
		created, chmod = 0o600, func(f *os.File) error { return f.Chmod(mode) }
	}
	// O_EXCL: others may be able to create links in this folder.
	f, err := os.OpenFile(stagingPath(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, created)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = m.unstage(path)
		}
	}()
	_, err = f.Write(text)
	return errors.Join(err, chmod(f), keepOwner(f, path), f.Sync(), f.Close())
}

func (osDisk) rename(path string) error {
	if err := os.Rename(stagingPath(path), path); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(path))
}

func (osDisk) unstage(path string) error {
	if err := os.Remove(stagingPath(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (osDisk) remove(path string) error {
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(path))
}

func (osDisk) mkdir(path string, mode fs.FileMode) error {
	if err := os.Mkdir(path, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(path))
}

func (osDisk) link(program, path string) error { return makeLink(program, path) }

func (osDisk) linked(program, path string) bool {
	a, err := os.Stat(program)
	if err != nil {
		// The program has been removed. Its links still name it.
		target, err := os.Readlink(path)
		return err == nil && target == program
	}
	b, err := os.Stat(path)
	return err == nil && (os.SameFile(a, b) || copied(program, path))
}

func (osDisk) exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
