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

	"github.com/gatehouse-registry/gatehouse/internal/login"
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
	} {
		t.Run(name, func(t *testing.T) {
			crashed := true
			for steps := 0; crashed; steps++ {
				crashed = crash(t, steps, c.start, c.work)
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

// crash lets a piece of work crash after some steps, and reports whether it did.
func crash(t *testing.T, steps int, start func(*world), work login.Work) bool {
	t.Helper()
	w := newWorld(t, t.TempDir())
	files := map[string]string{}
	remember := func() map[string]string {
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
	origin := origin(t, w, start)
	start(w)
	files = remember()
	_, err := w.journal.CrashAfter(steps).Do(t.Context(), work)
	crashed := errors.Is(err, login.ErrCrashed)
	if err != nil && !crashed {
		t.Fatal(err)
	}
	between := remember()
	twin := newWorld(t, t.TempDir()) // where nothing crashes
	start(twin)
	if _, err := twin.journal.Do(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	home := w.home
	w.home = twin.home
	whole := remember()
	w.home = home
	for path, text := range between {
		if text != files[path] && text != whole[path] {
			t.Fatalf("after %d steps %s is %q", steps, path, text)
		}
	}
	for _, tool := range w.tools {
		if _, err := w.journal.Do(t.Context(), login.Logout{Tool: tool.Name}); err != nil && !errors.Is(err, login.ErrNotLoggedIn) {
			t.Fatal(err)
		}
	}
	if after := w.tree(); !maps.Equal(after, origin) {
		t.Fatalf("after %d steps and logout\n%s\nnot\n%s", steps, show(after), show(origin))
	}
	return crashed
}

// origin is the home before any login: start without them.
func origin(t *testing.T, w *world, start func(*world)) map[string]string {
	t.Helper()
	clean := newWorld(t, t.TempDir())
	start(clean)
	for _, tool := range clean.tools {
		_, err := clean.journal.Do(t.Context(), login.Logout{Tool: tool.Name})
		if err != nil && !errors.Is(err, login.ErrNotLoggedIn) {
			t.Fatal(err)
		}
	}
	return clean.tree()
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
