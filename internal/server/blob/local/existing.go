package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Exists reports whether a folder has been a store's: the first write creates all
// shards. Other folders in it, such as the lost+found of a file system, do not
// count.
func Exists(dir string) (bool, error) {
	folders, err := storeFolders(dir)
	return len(folders) > 0, err
}

// HasObjects reports whether the store in a folder has any object, unfinished and
// set aside ones included. It changes nothing.
func HasObjects(dir string) (bool, error) {
	folders, err := storeFolders(dir)
	if err != nil {
		return false, err
	}
	found := errors.New("found")
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(_ string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				err = found
			}
			return err
		})
		if err != nil {
			return errors.Is(err, found), ignore(err, found)
		}
	}
	return false, nil
}

// storeFolders returns the folders in dir that a store creates there.
func storeFolders(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir) // follows a symbolic link to another disk
	if err != nil {
		return nil, ignore(err, fs.ErrNotExist)
	}
	var folders []string
	for _, e := range entries {
		isShard := len(e.Name()) == 2 && strings.Trim(e.Name(), "0123456789abcdef") == ""
		if isShard || e.Name() == asideDir {
			folders = append(folders, filepath.Join(dir, e.Name()))
		}
	}
	return folders, nil
}

func ignore(err, ignored error) error {
	if errors.Is(err, ignored) {
		return nil
	}
	return err
}
