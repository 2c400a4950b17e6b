package login_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
)

const helperName = "asking-credential-gatehouse"

func (fx *fixture) link(bin string) login.Changes {
	fx.t.Helper()
	c, err := fx.journal.Do(fx.t.Context(), login.Login{Tool: askingTool(), Target: fakeTarget("lib", "x"), BinDir: bin})
	if err != nil {
		fx.t.Fatal(err)
	}
	return c
}

// TestHelperLink checks where a link is made and what the person is told.
func TestHelperLink(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path, bin string // relative to the fixture; PATH's folders with :
		made      string
		note      string
	}{
		"the person's own":         {path: "opt:home/.local/bin", made: "home/.local/bin"},
		"beside the program":       {path: "usr:opt", made: "opt"},
		"nowhere on PATH":          {path: "usr", made: "home/.local/bin", note: `export PATH="$HOME/.local/bin:$PATH"`},
		"where it is said":         {path: "opt:usr", bin: "usr", made: "usr"},
		"said, and not on PATH":    {path: "opt", bin: "my bin", made: "my bin", note: "/my bin:$PATH\""},
		"another's program":        {path: "theirs:home/.local/bin", note: "which is another program and was not changed"},
		"before another's program": {path: "usr:theirs", bin: "usr", made: "usr"},
		"after another's program":  {path: "theirs:usr", bin: "usr", made: "usr", note: "is used instead of this one"},
		"in another's place":       {path: "theirs", bin: "theirs", note: "choose another folder with --bin-dir"},
		"an installed one":         {path: "installed:home/.local/bin"},
		"an older installation":    {path: "older:home/.local/bin"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			fx := newFixture(t, root)
			var path []string
			for dir := range strings.SplitSeq(c.path, ":") {
				path = append(path, filepath.Join(root, dir))
			}
			fx.env["PATH"] = strings.Join(path, string(os.PathListSeparator))
			fx.write(filepath.Join(root, "theirs", helperName), "theirs", 0o755)
			fx.write(filepath.Join(root, "usr", helperName), "no program", 0o644)
			if err := os.Remove(filepath.Join(root, "usr", helperName)); err != nil {
				t.Fatal(err)
			}
			fx.write(filepath.Join(root, "old", "gatehouse"), "older", 0o755)
			for dir, program := range map[string]string{"installed": fx.places.Program, "older": filepath.Join(root, "old", "gatehouse")} {
				if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(program, filepath.Join(root, dir, helperName)); err != nil {
					t.Fatal(err)
				}
			}
			before := fx.tree()
			bin := ""
			if c.bin != "" {
				bin = filepath.Join(root, c.bin)
			}
			changes := fx.link(bin)
			if got := strings.Join(changes.Linked, " "); c.made == "" && got != "" || c.made != "" && got != filepath.Join(root, c.made, helperName) {
				t.Errorf("linked %q", got)
			}
			if got := strings.Join(changes.Notes, "; "); !strings.Contains(got, c.note) || c.note == "" && got != "" {
				t.Errorf("noted %q", got)
			}
			again := fx.link(bin)
			if len(again.Linked)+len(again.Unlinked)+len(again.Files) != 0 {
				t.Errorf("again %q", again.Lines())
			}
			fx.logout("asking", "lib")
			if c.made != "" {
				if _, err := os.Lstat(filepath.Join(root, c.made, helperName)); !os.IsNotExist(err) {
					t.Errorf("the link stays: %v", err)
				}
			}
			if after := fx.tree(); !maps.Equal(before, after) {
				t.Errorf("%s", show(after))
			}
			if fx.read(filepath.Join(root, "theirs", helperName)) != "theirs" {
				t.Error("another's program was changed")
			}
		})
	}
}

// A link stays as long as a login needs it, and is updated when the program
// moves. A link that others have replaced is theirs.
func TestHelperLink_Lifetime(t *testing.T) {
	fx := newFixture(t, t.TempDir())
	path := fx.path(".local/bin/" + helperName)
	fx.login(askingTool(), fakeTarget("a", "x"))
	fx.login(askingTool(), fakeTarget("b", "x"))
	fx.logout("asking", "a")
	if got, err := os.Readlink(path); err != nil || got != fx.places.Program {
		t.Errorf("%q, %v", got, err)
	}
	moved := filepath.Join(filepath.Dir(fx.home), "new", "program")
	fx.write(moved, "newer", 0o755)
	if err := os.Remove(fx.places.Program); err != nil {
		t.Fatal(err)
	}
	fx.places.Program = moved
	fx.journal = login.NewJournal(fx.state(), fx.places, fx.tools)
	fx.login(askingTool(), fakeTarget("b", "x"))
	if got, err := os.Readlink(path); err != nil || got != moved {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	fx.write(path, "theirs", 0o755)
	fx.logout("asking", "b")
	if fx.read(path) != "theirs" {
		t.Error("another's program was removed")
	}
}

// A link that leads to another program by now stays, and is not said to be removed.
func TestHelperLink_ChangedByOthers(t *testing.T) {
	fx := newFixture(t, t.TempDir())
	path := fx.path(".local/bin/" + helperName)
	fx.login(askingTool(), fakeTarget("a", "x"))
	if err := errors.Join(os.Remove(path), os.Symlink("/opt/gatehouse-2/bin/gatehouse", path)); err != nil {
		t.Fatal(err)
	}
	changes := fx.logout("asking", "a")
	if len(changes.Unlinked) > 0 || len(changes.Notes) != 1 || !strings.Contains(changes.Notes[0], path+" is another program by now and was left in place") {
		t.Errorf("%q, %q", changes.Unlinked, changes.Notes)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
	fx.login(askingTool(), fakeTarget("b", "x"))
}

// Tools are not configured to start a program that go run has built, neither by a
// link nor by its path.
func TestLogin_GoRun(t *testing.T) {
	for _, program := range []string{
		"/cache/go-build/ab/" + strings.Repeat("0123456789abcdef", 4) + "-d/gatehouse",
		"/gocache/ab/" + strings.Repeat("0123456789abcdef", 4) + "-d/gatehouse",
		"/tmp/go-build1234567/b001/exe/gatehouse",
	} {
		fx := newFixture(t, t.TempDir())
		fx.places.Program = program
		fx.journal = login.NewJournal(fx.state(), fx.places, fx.tools)
		before := fx.tree()
		_, err := fx.journal.Do(t.Context(), login.Login{Tool: askingTool(), Target: fakeTarget("a", "x")})
		if err == nil || !strings.Contains(err.Error(), "go install ./cmd/gatehouse") {
			t.Errorf("%s: %v", program, err)
		}
		if after := fx.tree(); !maps.Equal(before, after) {
			t.Errorf("%s: %v", program, after)
		}
		fx.login(storingTool(), fakeTarget("a", "x")) // it starts no program
	}
}

func TestInstalled(t *testing.T) {
	fx := newFixture(t, t.TempDir())
	if storingTool().Installed(fx.places) {
		t.Error("a program that is not there was found")
	}
	fx.write(fx.path(".local/bin/storing"), "", 0o644)
	if storingTool().Installed(fx.places) {
		t.Error("a file that is not executable was found")
	}
	if err := os.Chmod(fx.path(".local/bin/storing"), 0o755); err != nil {
		t.Fatal(err)
	}
	if !storingTool().Installed(fx.places) {
		t.Error("a program was not found")
	}
}
