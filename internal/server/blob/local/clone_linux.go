package local

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// cloneFile creates target with the blocks of source, as btrfs, XFS and others can.
// The error is errNoLink if the file system cannot.
func cloneFile(source *os.File, _, target string) error {
	f, err := os.OpenFile(target+cloning, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = unix.IoctlFileClone(int(f.Fd()), int(source.Fd()))
	if err != nil {
		err = fmt.Errorf("%w: %w", errNoLink, errors.Join(err, f.Close()))
	} else if err = errors.Join(f.Sync(), f.Close()); err == nil {
		err = os.Rename(target+cloning, target)
	}
	if err != nil {
		_ = os.Remove(target + cloning)
	}
	return err
}
