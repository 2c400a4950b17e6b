package packages

import (
	"os"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// A full disk is answered as such, and not as a fault of the client or the registry.
func TestSpool_FullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := newSpool(t.TempDir())
	s.file = full
	defer s.release()
	_, err = s.Write(make([]byte, maxSpoolMemory+1))
	if f := fault.From(err); f == nil || f.Kind != fault.StorageFull {
		t.Errorf("the error is %v", err)
	}
}
