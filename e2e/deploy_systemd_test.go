package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// writeUnit writes the unit with the built program and returns its path.
func writeUnit(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(module, "deploy/systemd/gatehouse.service"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "gatehouse.service")
	text = bytes.ReplaceAll(text, []byte("/usr/local/bin/gatehouse"), []byte(filepath.Join(binary, "gatehouse")))
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSystemd_UnitIsValid checks every setting of the unit with systemd's own parser,
// which only warns of what it does not know.
func TestSystemd_UnitIsValid(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", "--generators=no", writeUnit(t)).CombinedOutput()
	if lines := regexp.MustCompile(`(?m)^.*gatehouse\.service.*$`).FindAll(out, -1); err != nil || len(lines) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestSystemd_UnitIsHardened checks systemd's own rating: 0.0 is the least exposure and
// 10.0 the most. Without any hardening a service has 9.6.
func TestSystemd_UnitIsHardened(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=15", writeUnit(t)).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", regexp.MustCompile(`Overall exposure level.*`).Find(out))
}
