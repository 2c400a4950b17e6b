package login_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
)

// A crash at any step leaves each file either old or new, and logout finds
// everything that has to be undone.
func TestDo_CrashAtEveryStep(t *testing.T) {
	const rc = "default = https://old.example/\n# mine\n"
	for name, c := range map[string]struct {
		start func(fx *fixture)
		work  login.Work
	}{
		"login to nothing":     {func(*fixture) {}, login.Login{Tool: askingTool(), Target: fakeTarget("lib", "new")}},
		"login to a file":      {func(fx *fixture) { fx.write(fx.path(".config/storing/storingrc"), rc, 0o644) }, login.Login{Tool: askingTool(), Target: fakeTarget("lib", "new")}},
		"login with a token":   {func(fx *fixture) { fx.write(fx.path(".config/storing/storingrc"), rc, 0o644) }, login.Login{Tool: storingTool(), Target: fakeTarget("lib", "new")}},
		"renewal":              {loginBoth, login.Login{Tool: storingTool(), Target: fakeTarget("lib", "new")}},
		"another repository":   {loginBoth, login.Login{Tool: askingTool(), Target: fakeTarget("other", "new")}},
		"logout of one of two": {loginBoth, logoutOf("asking", "lib")},
		"logout of the other":  {loginBoth, logoutOf("storing", "lib")},
		"logout that removes":  {func(fx *fixture) { fx.login(askingTool(), fakeTarget("lib", "old")) }, logoutOf("asking", "lib")},
		"logout that puts back": {func(fx *fixture) {
			fx.write(fx.path(".asking"), rc, 0o640)
			fx.login(askingTool(), fakeTarget("lib", "old"))
		}, logoutOf("asking", "lib")},
		"only the mode": {loginAndOpenMode, login.Login{Tool: storingTool(), Target: fakeTarget("lib", "old")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of it waits for the disk
			expected := withoutCrash(t, c.start, c.work)
			crashed := true
			for steps := 0; crashed; steps++ {
				crashed = crash(t, steps, c.start, c.work, expected, func(*fixture) {})
			}
			expected = withForeignLines(expected)
			for steps, crashed := 0, true; crashed; steps++ {
				crashed = crash(t, steps, c.start, c.work, expected, (*fixture).changeByOthers)
			}
		})
	}
}

// loginBoth logs in both tools, which share a file.
func loginBoth(fx *fixture) {
	fx.write(fx.path(".config/storing/storingrc"), "default = https://old.example/\r\n# mine", 0o640)
	fx.login(storingTool(), fakeTarget("lib", "old"))
	fx.login(askingTool(), fakeTarget("lib", "old"))
}

// loginAndOpenMode logs in to a file whose mode others then open.
func loginAndOpenMode(fx *fixture) {
	fx.write(fx.path(".config/storing/storingrc"), "# mine\n", 0o640)
	fx.login(storingTool(), fakeTarget("lib", "old"))
	if err := os.Chmod(fx.path(".config/storing/storingrc"), 0o644); err != nil {
		fx.t.Fatal(err)
	}
}

// foreignLines are more lines than the work itself changes. Others put them at
// the beginning of a file.
var foreignLines = strings.Repeat("# theirs\n", 8)

// changeByOthers changes each of the tools' files as other programs do.
func (fx *fixture) changeByOthers() {
	for _, path := range []string{".asking", ".config/storing/storingrc"} {
		if info, err := os.Stat(fx.path(path)); err == nil {
			fx.write(fx.path(path), foreignLines+fx.read(fx.path(path)), info.Mode().Perm())
		}
	}
}

// withForeignLines adds the foreign lines to each file that is there in the
// end. A file that is not there either did not exist when the others came, or
// holds only their lines, which crash checks.
func withForeignLines(o outcome) outcome {
	o.origin = maps.Clone(o.origin)
	for _, path := range []string{"/.asking", "/.config/storing/storingrc"} {
		if mode, text, ok := strings.Cut(o.origin[path], " "); ok {
			o.origin[path] = mode + " " + foreignLines + text
		}
	}
	return o
}

// An outcome is what the tools' files may hold after a crash.
type outcome struct {
	before, after map[string]string // the work
	origin        map[string]string // the whole home, without any login
}

func withoutCrash(t *testing.T, start func(*fixture), work login.Work) outcome {
	t.Helper()
	fx := newFixture(t, t.TempDir())
	start(fx)
	o := outcome{before: fx.texts()}
	if _, err := fx.journal.Do(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	o.after = fx.texts()
	clean := newFixture(t, t.TempDir())
	start(clean)
	clean.logoutAll()
	o.origin = clean.tree()
	return o
}

// texts returns the contents of the tools' files.
func (fx *fixture) texts() map[string]string {
	texts := map[string]string{}
	for _, path := range []string{".asking", ".config/storing/storingrc"} {
		text, err := os.ReadFile(fx.path(path))
		if err == nil {
			texts[path] = "there: " + string(text)
		} else if errors.Is(err, fs.ErrNotExist) {
			texts[path] = "none"
		}
	}
	return texts
}

func (fx *fixture) logoutAll() {
	fx.t.Helper()
	for _, tool := range fx.tools {
		if _, err := fx.journal.Do(fx.t.Context(), login.Logout{Tool: tool.Name}); err != nil && !errors.Is(err, login.ErrNotLoggedIn) {
			fx.t.Fatal(err)
		}
	}
}

// crash makes a piece of work crash after some steps, and reports whether it
// did. Others change the files between the crash and the logout.
func crash(t *testing.T, steps int, start func(*fixture), work login.Work, expected outcome, others func(*fixture)) bool {
	t.Helper()
	fx := newFixture(t, t.TempDir())
	start(fx)
	_, err := fx.journal.CrashAfter(steps).Do(t.Context(), work)
	crashed := errors.Is(err, login.ErrCrashed)
	if err != nil && !crashed {
		t.Fatal(err)
	}
	for path, text := range fx.texts() {
		if text != expected.before[path] && text != expected.after[path] {
			t.Fatalf("after %d steps %s is %q", steps, path, text)
		}
	}
	others(fx)
	fx.logoutAll()
	after := fx.tree()
	for _, path := range []string{"/.asking", "/.config/storing/storingrc"} {
		if _, text, _ := strings.Cut(after[path], " "); text == foreignLines && expected.origin[path] == "" {
			return crashed // a file that others have made theirs
		}
	}
	if !maps.Equal(after, expected.origin) {
		t.Fatalf("after %d steps and logout\n%s\nnot\n%s", steps, show(after), show(expected.origin))
	}
	return crashed
}

func show(tree map[string]string) string {
	var b strings.Builder
	for path, value := range tree {
		fmt.Fprintf(&b, "%s: %q\n", path, value)
	}
	return b.String()
}

// What a crash leaves beside a file is removed by the next piece of work.
func TestDo_CleansUpAfterCrash(t *testing.T) {
	fx := newFixture(t, t.TempDir())
	rc := fx.path(".config/storing/storingrc")
	left := false
	for steps := range 20 {
		_, _ = fx.journal.CrashAfter(steps).Do(t.Context(), login.Login{Tool: storingTool(), Target: fakeTarget("lib", "one")})
		if _, err := os.Stat(login.Staged(rc)); err == nil {
			left = true
			break
		}
	}
	if !left {
		t.Fatal("no crash left anything")
	}
	if info, err := os.Stat(login.Staged(rc)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	fx.logout("storing", "lib")
	if _, err := os.Stat(filepath.Dir(rc)); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
