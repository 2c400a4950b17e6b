package integrity_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob/integrity"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/local"
)

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	s, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w, err := s.Create(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o, err := integrity.Open(t.Context(), s, "object", 5); err != nil {
		t.Error(err)
	} else if err := o.Close(); err != nil {
		t.Error(err)
	}
	if err := integrity.Check(t.Context(), s, "missing", 5); !integrity.IsDamaged(err) {
		t.Errorf("a missing object: %v", err)
	}
	if err := integrity.Check(t.Context(), s, "not/valid", 5); err == nil || integrity.IsDamaged(err) {
		t.Errorf("an invalid name: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "object"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	for _, content := range []string{"", "hell", "hello!"} {
		if err := os.WriteFile(files[0], []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := integrity.Check(t.Context(), s, "object", 5); !integrity.IsDamaged(err) {
			t.Errorf("an object of %d bytes instead of 5: %v", len(content), err)
		}
	}
}

func TestMonitor_Report(t *testing.T) {
	var log bytes.Buffer
	m := integrity.NewMonitor(slog.New(slog.NewTextHandler(&log, nil)))
	for range 3 {
		m.Report(t.Context(), "object", "sha256:01", os.ErrNotExist)
	}
	m.Report(t.Context(), "other", "sha256:02", os.ErrNotExist)
	if m.Found() != 2 || strings.Count(log.String(), "\n") != 2 || !strings.Contains(log.String(), "sha256:01") {
		t.Errorf("Found = %d, log:\n%s", m.Found(), log.String())
	}
}
