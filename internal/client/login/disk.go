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

// maxFile bounds what is read of a configuration file, in bytes.
const maxFile = 8 << 20

// A disk is where the files are. Every method is one step: it is done or it is
// not, when the machine stops.
type disk interface {
	// read returns the text and the permissions of a regular file; nil where there
	// is none.
	read(path string) ([]byte, fs.FileMode, error)
	// resolve follows the links of a path to the file that they name, which need not
	// be there.
	resolve(path string) (string, error)
	// writable says why a file that is there may not be written.
	writable(path string) error
	// stage writes a text to the file beside the path from which rename takes it,
	// and waits until it is on the medium.
	stage(path string, text []byte, mode fs.FileMode) error
	// rename makes the staged text that of the file.
	rename(path string) error
	// unstage removes what stage wrote, if it is there.
	unstage(path string) error
	// remove removes a file or a folder that is empty. One that is not there is no
	// error.
	remove(path string) error
	mkdir(path string, mode fs.FileMode) error
	// link makes a name for a program.
	link(program, path string) error
	// linked reports whether the file at a path is that program, by a link of any
	// kind.
	linked(program, path string) bool
	// exists reports whether a path names anything, be it a link to nowhere.
	exists(path string) bool
}

// osDisk is the disk of this machine.
type osDisk struct{}

func (osDisk) read(path string) ([]byte, fs.FileMode, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, 0, fmt.Errorf("%s cannot be written: a file stands where a folder above it should be: move that away", path)
	}
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() { // a pipe would be waited for
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

// realDir follows the links of a folder as far as it is there.
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

// stagingPath is the name from which a file gets its new text. It is always the same
// one, so that what a crash leaves is found and removed.
func stagingPath(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".gatehouse-new")
}

func (m osDisk) stage(path string, text []byte, mode fs.FileMode) (err error) {
	if err := m.unstage(path); err != nil {
		return err
	}
	chmod := func(*os.File) error { return nil } // a new file has what the umask leaves
	created := mode
	if m.exists(path) {
		created, chmod = 0o600, func(f *os.File) error { return f.Chmod(mode) }
	}
	// Exclusively: the folder may be one where others make links.
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
		// The program has been removed: its links still name it.
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
