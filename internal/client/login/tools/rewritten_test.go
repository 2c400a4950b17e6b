package tools_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/tools"
)

// A file in which another program has rewritten every line, here with other
// line ends, has nothing of the login after the logout. A file that login
// created is gone.
func TestLogout_RewrittenFile(t *testing.T) {
	each(t, func(t *testing.T, tool login.Tool, p login.Environment, to login.Target) {
		j := login.NewJournal(t.TempDir(), p, tools.All())
		if _, err := j.Do(t.Context(), login.Login{Tool: tool, Target: to}); err != nil {
			t.Fatal(err)
		}
		files := 0
		for _, path := range written(t, p.Home) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(text, []byte("\r\n")) {
				continue
			}
			files++
			if err := os.WriteFile(path, bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c, err := j.Do(t.Context(), login.Logout{Tool: tool.Name})
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range written(t, p.Home) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			t.Errorf("%s is still there: %q", path, text)
		}
		if files > 0 && len(c.Notes) > 0 {
			t.Errorf("%q", c.Notes)
		}
	})
}

// written returns the files of a home folder.
func written(t *testing.T, home string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !strings.HasPrefix(d.Name(), "lock") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
