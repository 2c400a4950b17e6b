//go:build unix

package login

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// permissions returns the permissions that a rewritten file keeps.
func permissions(info fs.FileInfo) fs.FileMode { return info.Mode().Perm() }

// keepOwner gives a new file the owner of the file that it replaces, since root
// may log in another user's tools.
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

// copied is false: on these systems a link is never a copy.
func copied(string, string) bool { return false }

// mayCreate reports whether files can be created in a folder.
func mayCreate(dir string) bool { return unix.Access(dir, unix.W_OK|unix.X_OK) == nil }
