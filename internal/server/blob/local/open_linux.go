package local

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A folder opens files below it for reading. It does with one system call what
// [os.Root] does with several: openat2(2) itself refuses paths that leave the folder,
// and symbolic links.
type folder struct {
	root *os.Root
	dir  *os.File
	conn syscall.RawConn // of dir
}

func openFolder(root *os.Root) (*folder, error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	conn, err := dir.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return &folder{root, dir, conn}, nil
}

// open opens a file. The path is relative to the folder.
func (f *folder) open(path string) (*os.File, error) {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	var (
		fd  int
		err error
	)
	closed := f.conn.Control(func(dir uintptr) {
		for err = unix.EINTR; errors.Is(err, unix.EINTR); {
			fd, err = unix.Openat2(int(dir), path, &how)
		}
	})
	switch {
	case closed == nil && err == nil:
		return os.NewFile(uintptr(fd), path), nil
	case closed == nil && errors.Is(err, unix.ENOENT):
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return f.root.Open(path) // Linux before 5.6, or a sandbox without openat2
}

func (f *folder) close() error { return errors.Join(f.dir.Close(), f.root.Close()) }
