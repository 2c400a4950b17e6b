//go:build unix

package project

import (
	"io/fs"
	"os"
	"syscall"
)

// own reports whether a file is the user's own or the administrator's.
func ownedByUser(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && (int(s.Uid) == os.Geteuid() || s.Uid == 0)
}
