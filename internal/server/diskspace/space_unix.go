//go:build linux || darwin || freebsd

package diskspace

import (
	"errors"

	"golang.org/x/sys/unix"
)

func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

func of(path string) (Space, bool) {
	var s unix.Statfs_t
	if unix.Statfs(path, &s) != nil {
		return Space{}, false
	}
	size := uint64(s.Bsize)
	return Space{Free: uint64(s.Bavail) * size, Total: uint64(s.Blocks) * size}, true
}
