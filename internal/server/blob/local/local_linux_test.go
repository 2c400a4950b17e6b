package local_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob/local"
)

// However many objects there are, the store keeps no descriptors for them.
func TestStore_Descriptors(t *testing.T) {
	s, err := local.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	open := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	before := open()
	for i := range 300 {
		w, err := s.Create(t.Context(), fmt.Sprint("object-", i))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if after := open(); after > before+8 {
		t.Errorf("%d descriptors before 300 objects, %d after", before, after)
	}
}
