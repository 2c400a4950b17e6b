package local

import (
	"fmt"

	"github.com/gatehouse-registry/gatehouse/internal/server/diskspace"
)

// roomFor returns how many bytes may be written before the disk's room has to be
// checked again, at least n. It returns a fault of kind StorageFull if n bytes
// would use the reserve.
func (s *Store) roomFor(n int64) (int64, error) {
	space, ok := diskspace.Of(s.dir)
	if !ok {
		return n, nil
	}
	left := int64(space.Free) - s.reserve
	if left < n {
		s.metrics.full.Inc()
		return 0, diskspace.Fault(fmt.Errorf("%d bytes are free, and %d are reserved", space.Free, s.reserve))
	}
	// Others write to the disk too, so what is left is not given out at once.
	return max(n, min(left/8, writeback)), nil
}

// fullDisk makes the error of a full disk a fault of its own kind. Other errors
// stay as they are.
func fullDisk(err error) error {
	if err == nil || !diskspace.IsFull(err) {
		return err
	}
	return diskspace.Fault(err)
}
