//go:build unix

package main

import (
	"io/fs"
	"os"
	"syscall"
)

// isOwnFile reports whether a file belongs to the user and the group of this process, so
// that replacing it does not change who can read it.
func isOwnFile(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Geteuid() && int(s.Gid) == os.Getegid()
}
