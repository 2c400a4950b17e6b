package local

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A fileID differs between a file and another one that takes its place.
type fileID struct {
	device, inode     uint64
	size              int64
	seconds, nanosecs int64 // when it was modified
}

func fileIDOf(info os.FileInfo) fileID {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{} // never the id of a file: no inode is 0
	}
	return fileID{uint64(st.Dev), st.Ino, st.Size, int64(st.Mtim.Sec), int64(st.Mtim.Nsec)}
}

// identify returns the id of the file at a path, with one system call.
func (f *folder) identify(path string) (fileID, error) {
	var st unix.Stat_t
	var err error
	closed := f.conn.Control(func(dir uintptr) {
		for err = unix.EINTR; errors.Is(err, unix.EINTR); {
			err = unix.Fstatat(int(dir), path, &st, unix.AT_SYMLINK_NOFOLLOW)
		}
	})
	if closed != nil || err != nil {
		return fileID{}, errors.Join(closed, err)
	}
	return fileID{uint64(st.Dev), st.Ino, st.Size, int64(st.Mtim.Sec), int64(st.Mtim.Nsec)}, nil
}
