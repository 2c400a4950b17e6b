// Package atomicfile writes small files so that a crash leaves the whole old
// file or the whole new one, never a part.
//
// [Replace] puts new content in the place of a file, [Create] makes a file that
// must not exist yet. When either returns nil, the file survives a crash of the
// process and of the machine. Both hold the whole content in memory, so they are
// for keys, profiles and the like. Packages go to the blob store instead.
//
// The order of the system calls is what makes it safe:
//
//  1. Write the content to a temporary file in the same folder. A rename or a
//     link works within one file system only.
//  2. Sync the temporary file. Without this a file system may make the new name
//     durable before the bytes, and a power cut leaves an empty file under the
//     final name.
//  3. Rename it over the old file, or link it to the new name. Both happen at
//     once for every reader.
//  4. Sync the folder. A name is part of the folder's data, and is lost in a
//     power cut until the folder is synced.
//
// After a sync that failed, Linux may mark the pages as clean although they
// never reached the disk, so a second sync proves nothing (see "Can
// Applications Recover from fsync Failures?", USENIX ATC 2020). The functions
// therefore never try again: they remove the temporary file and return the
// error.
//
// The package knows nothing about what it writes and imports no other package of
// this module.
package atomicfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace makes content the whole content of the file at path, which it creates
// if there is none. The file's permissions become perm, whatever the umask. The
// folder must exist. If path is a symbolic link, the link is replaced.
//
// A file that has this content and these permissions already is left alone, so
// that a repeated write succeeds even on a full disk.
//
// If it returns an error, the file is the old one or the new one. The new one
// may then not survive a crash.
func Replace(path string, content []byte, perm fs.FileMode) error {
	return replace(system{}, path, content, perm)
}

// Create makes a file at path that must not exist yet. If it does, the error is
// [fs.ErrExist] and the existing file stays as it is. This holds also if another
// process creates the file at the same time: the name is given by link(2), which
// fails if the name is taken, unlike rename(2).
//
// Permissions and errors are as with [Replace].
func Create(path string, content []byte, perm fs.FileMode) error {
	return create(system{}, path, content, perm)
}

// SyncDir makes the names in a folder durable: files that were created, renamed
// or removed in it. It does nothing on systems and file systems that cannot sync
// a folder.
func SyncDir(dir string) error { return syncDir(dir) }

// disk is what the two functions need of the file system. Tests make each step
// fail.
type disk interface {
	createTemp(dir, pattern string) (file, error)
	rename(from, to string) error
	link(from, to string) error
	remove(path string) error
	syncDir(dir string) error
}

type file interface {
	io.Writer
	Name() string
	Chmod(fs.FileMode) error
	Sync() error
	Close() error
}

func replace(d disk, path string, content []byte, perm fs.FileMode) error {
	if holds(path, content, perm) {
		return nil
	}
	temporary, err := writeTemporary(d, path, content, perm)
	if err != nil {
		return err
	}
	if err := d.rename(temporary, path); err != nil {
		return errors.Join(err, d.remove(temporary))
	}
	return finish(d, path)
}

func create(d disk, path string, content []byte, perm fs.FileMode) error {
	if _, err := os.Lstat(path); err == nil { // the usual case, found before anything is written
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	temporary, err := writeTemporary(d, path, content, perm)
	if err != nil {
		return err
	}
	err = d.link(temporary, path)
	if err := errors.Join(err, d.remove(temporary)); err != nil {
		return err
	}
	return finish(d, path)
}

// writeTemporary writes the content to a file beside path, syncs it, and returns
// its name. If it fails, it leaves no file.
func writeTemporary(d disk, path string, content []byte, perm fs.FileMode) (string, error) {
	f, err := d.createTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp") // mode 0600
	if err != nil {
		return "", err
	}
	if _, err = f.Write(content); err == nil {
		err = errors.Join(f.Chmod(perm), f.Sync())
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, d.remove(f.Name()))
	}
	return f.Name(), nil
}

func finish(d disk, path string) error {
	if err := d.syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("%s is written, but may not survive a crash: %w", path, err)
	}
	return nil
}

// holds reports whether path is a regular file with this content and these
// permissions.
func holds(path string, content []byte, perm fs.FileMode) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != perm.Perm() || info.Size() != int64(len(content)) {
		return false
	}
	now, err := os.ReadFile(path)
	return err == nil && bytes.Equal(now, content)
}

// system is the file system of this machine.
type system struct{}

func (system) createTemp(dir, pattern string) (file, error) { return os.CreateTemp(dir, pattern) }
func (system) rename(from, to string) error                 { return os.Rename(from, to) }
func (system) link(from, to string) error                   { return os.Link(from, to) }
func (system) remove(path string) error                     { return os.Remove(path) }
func (system) syncDir(dir string) error                     { return syncDir(dir) }
