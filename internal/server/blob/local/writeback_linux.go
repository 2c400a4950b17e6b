package local

import (
	"os"

	"golang.org/x/sys/unix"
)

// beginWriteback asks the kernel to start writing a range of dirty pages, and
// does not wait (sync_file_range(2), SYNC_FILE_RANGE_WRITE). It makes nothing
// durable, so errors are ignored: the sync that follows reports them.
func beginWriteback(f *os.File, offset, n int64) {
	c, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = c.Control(func(fd uintptr) {
		_ = unix.SyncFileRange(int(fd), offset, n, unix.SYNC_FILE_RANGE_WRITE)
	})
}
