package project

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrNone says that there is no project file.
var ErrNone = errors.New("there is no " + Name + " here or in a folder above")

// Find reads the file in a folder, or in the nearest folder above that has one. It
// stops at the home folder and at the root of the file system. The error is
// [ErrNone], or says that the file or a link in its place belongs to another user, or
// is one of [Load].
func Find(dir, home string) (Project, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Project{}, err
	}
	for {
		path := filepath.Join(dir, Name)
		info, err := os.Lstat(path)
		if err == nil {
			if err := checkOwner(path, info); err != nil {
				return Project{}, err
			}
			return load(path, checkOwner)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return Project{}, err
		}
		parent := filepath.Dir(dir)
		if parent == dir || sameFolder(dir, home) {
			return Project{}, ErrNone
		}
		dir = parent
	}
}

// checkOwner refuses a file that was found, not named, and that belongs to another
// user.
func checkOwner(path string, info fs.FileInfo) error {
	if ownedByUser(info) {
		return nil
	}
	return fmt.Errorf("%s belongs to another user, who could choose what your credentials are used for: if you trust it, name it with --project", path)
}

func sameFolder(a, b string) bool {
	if b == "" {
		return false
	}
	one, errOne := os.Stat(a)
	other, errOther := os.Stat(b)
	return errOne == nil && errOther == nil && os.SameFile(one, other)
}
