package project

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrNone says that no folder has the file.
var ErrNone = errors.New("there is no " + Name + " here, nor in a folder above")

// Find reads the file in a folder, or in the nearest one above it that has one. It
// looks no further than the home folder, and the file system's root. The error is
// [ErrNone], says that the file or a link in its place is another user's, or is
// one of [Load].
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

// mine refuses a file that nobody has named and that another user has put there.
func checkOwner(path string, info fs.FileInfo) error {
	if ownedByUser(info) {
		return nil
	}
	return fmt.Errorf("%s belongs to another user, who could choose what your credentials are used for: name it with --project if that is meant", path)
}

func sameFolder(a, b string) bool {
	if b == "" {
		return false
	}
	one, errOne := os.Stat(a)
	other, errOther := os.Stat(b)
	return errOne == nil && errOther == nil && os.SameFile(one, other)
}
