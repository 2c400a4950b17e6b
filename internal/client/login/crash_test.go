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

// A crash at any step leaves each file as it was or as it becomes, and logout
// finds everything that has to be undone.
func TestCrashes(t *testing.T) {
	const rc = "default = https://old.example/\n# mine\n"
	for name, c := range map[string]struct {
		start func(w *world)
		work  login.Work
	}{
		"login to nothing":      {func(*world) {}, login.Login{Tool: kettle(), Target: target("lib", "new")}},
		"login to a file":       {func(w *world) { w.write(w.path(".config/pot/potrc"), rc, 0o644) }, login.Login{Tool: kettle(), Target: target("lib", "new")}},
		"login with a token":    {func(w *world) { w.write(w.path(".config/pot/potrc"), rc, 0o644) }, login.Login{Tool: pot(), Target: target("lib", "new")}},
		"renewal":               {both, login.Login{Tool: pot(), Target: target("lib", "new")}},
		"another repository":    {both, login.Login{Tool: kettle(), Target: target("other", "new")}},
		"logout of one of two":  {both, only("kettle", "lib")},
		"logout of the other":   {both, only("pot", "lib")},
		"logout that removes":   {func(w *world) { w.login(kettle(), target("lib", "old")) }, only("kettle", "lib")},
		"logout that puts back": {func(w *world) { w.write(w.path(".kettle"), rc, 0o640); w.login(kettle(), target("lib", "old")) }, only("kettle", "lib")},
		"only the mode":         {opened, login.Login{Tool: pot(), Target: target("lib", "old")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of it waits for the disk
			expected := withoutCrash(t, c.start, c.work)
			crashed := true
			for steps := 0; crashed; steps++ {
				crashed = crash(t, steps, c.start, c.work, expected, func(*world) {})
			}
			expected = withTheirs(expected)
			for steps, crashed := 0, true; crashed; steps++ {
				crashed = crash(t, steps, c.start, c.work, expected, (*world).theirs)
			}
		})
	}
}

// both logs both tools in to a file that they share.
func both(w *world) {
	w.write(w.path(".config/pot/potrc"), "default = https://old.example/\r\n# mine", 0o640)
	w.login(pot(), target("lib", "old"))
	w.login(kettle(), target("lib", "old"))
}

// opened logs in to a file that is then open to others.
func opened(w *world) {
	w.write(w.path(".config/pot/potrc"), "# mine\n", 0o640)
	w.login(pot(), target("lib", "old"))
	if err := os.Chmod(w.path(".config/pot/potrc"), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// theirLines are those that others put before everything else in a file, more
// than the work changes.
var theirLines = strings.Repeat("# theirs\n", 8)

// theirs has others change each of the tools' files.
func (w *world) theirs() {
	for _, path := range []string{".kettle", ".config/pot/potrc"} {
		if info, err := os.Stat(w.path(path)); err == nil {
			w.write(w.path(path), theirLines+w.read(w.path(path)), info.Mode().Perm())
		}
	}
}

// withTheirs is the outcome with theirs in the files that are there in the end.
// One that is not was either not there to be changed, or has theirs alone, which
// crash knows.
func withTheirs(o outcome) outcome {
	o.origin = maps.Clone(o.origin)
	for _, path := range []string{"/.kettle", "/.config/pot/potrc"} {
		if mode, text, ok := strings.Cut(o.origin[path], " "); ok {
			o.origin[path] = mode + " " + theirLines + text
		}
	}
	return o
}

// An outcome is what the files of the tools may be.
type outcome struct {
	before, after map[string]string // the work
	origin        map[string]string // the whole home, without any login
}

func withoutCrash(t *testing.T, start func(*world), work login.Work) outcome {
	t.Helper()
	w := newWorld(t, t.TempDir())
	start(w)
	o := outcome{before: w.texts()}
	if _, err := w.journal.Do(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	o.after = w.texts()
	clean := newWorld(t, t.TempDir())
	start(clean)
	clean.logoutAll()
	o.origin = clean.tree()
	return o
}

// texts are those of the tools' files.
func (w *world) texts() map[string]string {
	texts := map[string]string{}
	for _, path := range []string{".kettle", ".config/pot/potrc"} {
		text, err := os.ReadFile(w.path(path))
		if err == nil {
			texts[path] = "there: " + string(text)
		} else if errors.Is(err, fs.ErrNotExist) {
			texts[path] = "none"
		}
	}
	return texts
}

func (w *world) logoutAll() {
	w.t.Helper()
	for _, tool := range w.tools {
		if _, err := w.journal.Do(w.t.Context(), login.Logout{Tool: tool.Name}); err != nil && !errors.Is(err, login.ErrNotLoggedIn) {
			w.t.Fatal(err)
		}
	}
}

// crash lets a piece of work crash after some steps, and reports whether it did.
// Others change the files between that and the logout.
func crash(t *testing.T, steps int, start func(*world), work login.Work, expected outcome, others func(*world)) bool {
	t.Helper()
	w := newWorld(t, t.TempDir())
	start(w)
	_, err := w.journal.CrashAfter(steps).Do(t.Context(), work)
	crashed := errors.Is(err, login.ErrCrashed)
	if err != nil && !crashed {
		t.Fatal(err)
	}
	for path, text := range w.texts() {
		if text != expected.before[path] && text != expected.after[path] {
			t.Fatalf("after %d steps %s is %q", steps, path, text)
		}
	}
	others(w)
	w.logoutAll()
	after := w.tree()
	for _, path := range []string{"/.kettle", "/.config/pot/potrc"} {
		if _, text, _ := strings.Cut(after[path], " "); text == theirLines && expected.origin[path] == "" {
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
func TestWhatACrashLeaves(t *testing.T) {
	w := newWorld(t, t.TempDir())
	rc := w.path(".config/pot/potrc")
	left := false
	for steps := range 20 {
		_, _ = w.journal.CrashAfter(steps).Do(t.Context(), login.Login{Tool: pot(), Target: target("lib", "one")})
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
	w.logout("pot", "lib")
	if _, err := os.Stat(filepath.Dir(rc)); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
