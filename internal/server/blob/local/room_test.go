package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/local"
)

// Uploads must not use the part of the disk that the database and the audit log
// need.
func TestWrite_DiskReserve(t *testing.T) {
	dir := t.TempDir()
	s, err := local.Open(dir, local.WithReserve(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w, err := s.Create(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	n, err := w.Write([]byte("x"))
	var f *fault.Error
	if n != 0 || !errors.As(err, &f) || f.Kind != fault.StorageFull {
		t.Errorf("Write = %d, %v, want a fault StorageFull", n, err)
	}
	w.Abort()
	if files, _ := filepath.Glob(filepath.Join(dir, "*", "object*")); len(files) != 0 {
		t.Errorf("%v is left", files)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}

func TestWrite_WithoutReserve(t *testing.T) {
	s, err := local.Open(t.TempDir(), local.WithReserve(0))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put(t, s, "object", []byte("x"))
}
