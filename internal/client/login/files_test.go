package login_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
)

// A file that gets a secret is closed to others, and open again without it.
func TestModes(t *testing.T) {
	t.Parallel()
	for _, mode := range []os.FileMode{0o644, 0o640, 0o600, 0o666} {
		w := newWorld(t, t.TempDir())
		rc := w.path(".config/pot/potrc")
		w.write(rc, "a = 1\n", mode)
		w.login(kettle(), target("lib", "x"))
		if got := modeOf(t, rc); got != mode {
			t.Errorf("%v became %v for no secret", mode, got)
		}
		w.login(pot(), target("lib", "x"))
		w.login(pot(), target("lib", "y"))
		if got := modeOf(t, rc); got != 0o600 {
			t.Errorf("%v became %v for a secret", mode, got)
		}
		w.logout("pot", "lib")
		if got := modeOf(t, rc); got != mode {
			t.Errorf("%v is %v without the secret", mode, got)
		}
		w.logout("kettle", "lib")
		if got := modeOf(t, rc); got != mode || w.read(rc) != "a = 1\n" {
			t.Errorf("%v is %v after all", mode, got)
		}
	}
}

// Whoever changes the mode after login means it.
func TestAModeOfOnesOwn(t *testing.T) {
	w := newWorld(t, t.TempDir())
	rc := w.path(".config/pot/potrc")
	w.write(rc, "a = 1\n", 0o644)
	w.login(pot(), target("lib", "x"))
	if err := os.Chmod(rc, 0o400); err != nil {
		t.Fatal(err)
	}
	w.logout("pot", "lib")
	if got := modeOf(t, rc); got != 0o400 {
		t.Errorf("%v", got)
	}
}

func modeOf(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

// A configuration that is a link, into a folder of dotfiles say, stays one.
func TestLinkedConfigurations(t *testing.T) {
	for name, c := range map[string]struct{ link, file string }{
		"file":            {".config/pot/potrc", "dotfiles/potrc"},
		"folder":          {".config/pot", "dotfiles/pot"},
		"not there yet":   {".config/pot/potrc", "dotfiles/new"},
		"folder, no file": {".config/pot", "dotfiles/empty"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir())
			w.write(w.path("dotfiles/potrc"), "a = 1\n", 0o644)
			w.write(w.path("dotfiles/pot/potrc"), "a = 1\n", 0o644)
			w.write(w.path("dotfiles/empty/other"), "", 0o644)
			if err := os.MkdirAll(filepath.Dir(w.path(c.link)), 0o755); err != nil {
				t.Fatal(err)
			}
			relative, err := filepath.Rel(filepath.Dir(w.path(c.link)), w.path(c.file))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(relative, w.path(c.link)); err != nil {
				t.Fatal(err)
			}
			before := w.tree()
			w.login(pot(), target("lib", "x"))
			if target, err := os.Readlink(w.path(c.link)); err != nil || target != relative {
				t.Errorf("the link is %q, %v", target, err)
			}
			if !strings.Contains(w.read(w.path(".config/pot/potrc")), "ghct_x") {
				t.Error("nothing was written")
			}
			w.logout("pot", "lib")
			if after := w.tree(); !maps.Equal(before, after) {
				t.Errorf("%s", show(after))
			}
		})
	}
}

// Dotfiles are mostly a repository of git: a token in it is said.
func TestTokensInWorkTrees(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.write(w.path("dotfiles/.git/HEAD"), "", 0o644)
	w.write(w.path("dotfiles/potrc"), "", 0o644)
	if err := os.MkdirAll(w.path(".config/pot"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(w.path("dotfiles/potrc"), w.path(".config/pot/potrc")); err != nil {
		t.Fatal(err)
	}
	if c := w.login(kettle(), target("lib", "x")); len(c.Notes) != 0 {
		t.Errorf("%q", c.Notes)
	}
	want := w.path("dotfiles/potrc") + " gets a token and is in the work tree of git at " + w.path("dotfiles") + ": keep it out of commits"
	if c := w.login(pot(), target("lib", "x")); len(c.Notes) != 1 || c.Notes[0] != want {
		t.Errorf("%q", c.Notes)
	}
}

// Two paths that lead to one file are one file.
func TestOneFileByTwoNames(t *testing.T) {
	w := newWorld(t, t.TempDir())
	rc := w.path(".config/pot/potrc")
	w.write(rc, "a = 1\n", 0o644)
	if err := os.Symlink(rc, w.path("rc")); err != nil {
		t.Fatal(err)
	}
	before := w.tree()
	w.login(pot(), target("lib", "x"))
	w.env["POTRC"] = w.path("rc")
	w.login(pot(), target("lib", "y"))
	w.env["POTRC"] = ""
	w.login(pot(), target("other", "z"))
	if _, err := w.journal.Do(t.Context(), login.Logout{Tool: "pot"}); err != nil {
		t.Fatal(err)
	}
	if after := w.tree(); !maps.Equal(before, after) {
		t.Errorf("%s", show(after))
	}
}

// What cannot be written is named, and nothing has changed then.
func TestWhatCannotBeWritten(t *testing.T) {
	for name, block := range map[string]func(w *world) (path string){
		"a file where a folder should be": func(w *world) string {
			w.write(w.path(".config/pot"), "", 0o644)
			return w.path(".config/pot/potrc")
		},
		"a folder where the file should be": func(w *world) string {
			if err := os.MkdirAll(w.path(".config/pot/potrc/x"), 0o755); err != nil {
				w.t.Fatal(err)
			}
			return w.path(".config/pot/potrc")
		},
		"a link to itself": func(w *world) string {
			if err := os.Symlink(".kettle", w.path(".kettle")); err != nil {
				w.t.Fatal(err)
			}
			return w.path(".kettle")
		},
		"too large": func(w *world) string {
			w.write(w.path(".kettle"), strings.Repeat("# ten byte\n", 1<<20), 0o644)
			return w.path(".kettle")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir())
			path := block(w)
			before := w.tree()
			_, err := w.journal.Do(t.Context(), login.Login{Tool: kettle(), Target: target("lib", "x")})
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%v", err)
			}
			if after := w.tree(); !maps.Equal(before, after) {
				t.Errorf("%s", show(after))
			}
			if logins, err := w.journal.Logins(); err != nil || len(logins) != 0 {
				t.Errorf("%v, %v", logins, err)
			}
		})
	}
}

// A record that is damaged, or another version's, is not written over.
func TestRecordsThatCannotBeRead(t *testing.T) {
	for _, text := range []string{
		"{", `{"version":2}`, `{"version":1,"unknown":1}`, `{"version":1,"files":{"rc":{"now":{"lines":[]}}}}`,
		`{"version":1,"files":{"/rc":{"now":{"lines":[],"hunks":[{"from":0,"to":1}]}}}}`,
	} {
		w := newWorld(t, t.TempDir())
		path := filepath.Join(w.state(), "logins.json")
		w.write(path, text, 0o600)
		_, err := w.journal.Do(t.Context(), login.Login{Tool: pot(), Target: target("lib", "x")})
		if err == nil || !strings.Contains(err.Error(), path) || w.read(path) != text {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A preview changes nothing, and shows no secret: not the token in any of its
// forms, and not what others have in their files.
func TestPreview(t *testing.T) {
	w := newWorld(t, t.TempDir())
	rc := w.path(".config/pot/potrc")
	w.write(rc, "# mine\n_password = hunter2\ndefault = https://me:hunter2@old.example/\n//old.example/:_authToken=hunter2\n_auth=${NPM_AUTH}", 0o644)
	before := w.tree()
	c, err := w.journal.Preview(login.Login{Tool: pot(), Target: target("lib", "one")})
	if err != nil {
		t.Fatal(err)
	}
	want := `--- ` + rc + `
+++ ` + rc + `
@@ -1,5 +1,7 @@
 # mine
 _password = ****
-default = https://me:****@old.example/
+default = https://gate.example/codeartifact/us-east-1/111122223333/acme/npm/lib/
 //old.example/:_authToken=****
-_auth=${NPM_AUTH}
\ No newline at end of file
+_auth=${NPM_AUTH}
+token.https://gate.example/codeartifact/us-east-1/111122223333/acme/npm/lib/ = ****
+always-auth = true
mode of ` + rc + `: 0600, was 0644
`
	if c.Diff() != want {
		t.Errorf("%s", c.Diff())
	}
	if after := w.tree(); !maps.Equal(before, after) {
		t.Errorf("%s", show(after))
	}
	if _, err := os.Stat(w.state()); !os.IsNotExist(err) {
		t.Error(err)
	}
	// A renewal shows neither the old token nor the new one.
	w.login(pot(), target("lib", "one"))
	c, err = w.journal.Preview(login.Login{Tool: pot(), Target: target("lib", "two")})
	if err != nil || strings.Contains(c.Diff(), "ghct_") || strings.Count(c.Diff(), "****") < 2 {
		t.Errorf("%v\n%s", err, c.Diff())
	}
	c, err = w.journal.Preview(login.Logout{Tool: "pot"})
	if err != nil || strings.Contains(c.Diff(), "ghct_") || strings.Contains(c.Diff(), "hunter2") || !strings.Contains(c.Diff(), "-token.https") {
		t.Errorf("%v\n%s", err, c.Diff())
	}
}
