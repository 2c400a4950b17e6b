//go:build unix

package login

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// permissions are those of a file that are kept.
func permissions(info fs.FileInfo) fs.FileMode { return info.Mode().Perm() }

// keepOwner gives a new file the owner of the one whose place it takes: root may
// log in somebody else's tools.
func keepOwner(f *os.File, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	before, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(before.Uid) == os.Getuid() && int(before.Gid) == os.Getgid() {
		return nil
	}
	if err := f.Chown(int(before.Uid), int(before.Gid)); err != nil && int(before.Uid) != os.Getuid() {
		return err
	}
	return nil
}

func makeLink(program, path string) error { return os.Symlink(program, path) }

// copied is for systems where a link may be a copy.
func copied(string, string) bool { return false }

// mayCreate reports whether a file can be made in a folder.
func mayCreate(dir string) bool { return unix.Access(dir, unix.W_OK|unix.X_OK) == nil }
