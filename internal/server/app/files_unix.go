//go:build unix

package app

import (
	"math"
	"syscall"
)

// maxFiles is how many file descriptors the process may have; 0 is no limit.
func maxFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || uint64(limit.Cur) > math.MaxInt32 {
		return 0
	}
	return int(limit.Cur)
}
