package diskspace

import (
	"errors"

	"golang.org/x/sys/windows"
)

func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

func of(path string) (s Space, ok bool) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return Space{}, false
	}
	return s, windows.GetDiskFreeSpaceEx(p, &s.Free, &s.Total, nil) == nil
}
