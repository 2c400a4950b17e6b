//go:build !(linux || darwin || freebsd || windows)

package diskspace

import (
	"errors"
	"syscall"
)

func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) }

func of(string) (Space, bool) { return Space{}, false }
