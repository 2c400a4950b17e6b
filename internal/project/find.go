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

// Find returns the path of the file in a folder, or in the nearest one above it
// that has one. It looks no further than the home folder, and the file system's
// root. The error is [ErrNone], or says that the file is another user's.
func Find(dir, home string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		path := filepath.Join(dir, Name)
		info, err := os.Stat(path)
		switch {
		case err == nil && !info.Mode().IsRegular():
			return "", fmt.Errorf("%s is not a file", path)
		case err == nil && !own(info):
			return "", fmt.Errorf("%s belongs to another user, who could choose what your credentials are used for: name it with --project if that is meant", path)
		case err == nil:
			return path, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", err
		}
		parent := filepath.Dir(dir)
		if parent == dir || sameFolder(dir, home) {
			return "", ErrNone
		}
		dir = parent
	}
}

func sameFolder(a, b string) bool {
	if b == "" {
		return false
	}
	one, errOne := os.Stat(a)
	other, errOther := os.Stat(b)
	return errOne == nil && errOther == nil && os.SameFile(one, other)
}
