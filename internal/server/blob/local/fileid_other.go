//go:build !linux

package local

import (
	"os"
	"time"
)

// A fileID differs between a file and another one that takes its place.
type fileID struct {
	size     int64
	modified time.Time
}

func fileIDOf(info os.FileInfo) fileID { return fileID{info.Size(), info.ModTime()} }

// identify returns the id of the file at a path.
func (f *folder) identify(path string) (fileID, error) {
	info, err := f.root.Lstat(path)
	if err != nil {
		return fileID{}, err
	}
	return fileIDOf(info), nil
}
