package login_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
)

// A file that gets a secret becomes private, and gets its mode back without the
// secret.
func TestLogin_FileModes(t *testing.T) {
	t.Parallel()
	for _, mode := range []os.FileMode{0o644, 0o640, 0o600, 0o666} {
		fx := newFixture(t, t.TempDir())
		rc := fx.path(".config/storing/storingrc")
		fx.write(rc, "a = 1\n", mode)
		fx.login(askingTool(), fakeTarget("lib", "x"))
		if got := modeOf(t, rc); got != mode {
			t.Errorf("%v became %v for no secret", mode, got)
		}
		fx.login(storingTool(), fakeTarget("lib", "x"))
		fx.login(storingTool(), fakeTarget("lib", "y"))
		if got := modeOf(t, rc); got != 0o600 {
			t.Errorf("%v became %v for a secret", mode, got)
		}
		fx.logout("storing", "lib")
		if got := modeOf(t, rc); got != mode {
			t.Errorf("%v is %v without the secret", mode, got)
		}
		fx.logout("asking", "lib")
		if got := modeOf(t, rc); got != mode || fx.read(rc) != "a = 1\n" {
			t.Errorf("%v is %v after all", mode, got)
		}
	}
}

// A mode that somebody set after login stays.
func TestLogout_ModeChangedByUser(t *testing.T) {
	fx := newFixture(t, t.TempDir())
	rc := fx.path(".config/storing/storingrc")
	fx.write(rc, "a = 1\n", 0o644)
	fx.login(storingTool(), fakeTarget("lib", "x"))
	if err := os.Chmod(rc, 0o400); err != nil {
		t.Fatal(err)
	}
	fx.logout("storing", "lib")
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

// A configuration that is a symbolic link, for example into a folder of
// dotfiles, stays one.
func TestLogin_SymlinkedConfig(t *testing.T) {
	for name, c := range map[string]struct{ link, file string }{
		"file":            {".config/storing/storingrc", "dotfiles/storingrc"},
		"folder":          {".config/storing", "dotfiles/storing"},
		"not there yet":   {".config/storing/storingrc", "dotfiles/new"},
		"folder, no file": {".config/storing", "dotfiles/empty"},
	} {
		t.Run(name, func(t *testing.T) {
			fx := newFixture(t, t.TempDir())
			fx.write(fx.path("dotfiles/storingrc"), "a = 1\n", 0o644)
			fx.write(fx.path("dotfiles/storing/storingrc"), "a = 1\n", 0o644)
			fx.write(fx.path("dotfiles/empty/other"), "", 0o644)
			if err := os.MkdirAll(filepath.Dir(fx.path(c.link)), 0o755); err != nil {
				t.Fatal(err)
			}
			relative, err := filepath.Rel(filepath.Dir(fx.path(c.link)), fx.path(c.file))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(relative, fx.path(c.link)); err != nil {
				t.Fatal(err)
			}
			before := fx.tree()
			fx.login(storingTool(), fakeTarget("lib", "x"))
			if fakeTarget, err := os.Readlink(fx.path(c.link)); err != nil || fakeTarget != relative {
				t.Errorf("the link is %q, %v", fakeTarget, err)
			}
			if !strings.Contains(fx.read(fx.path(".config/storing/storingrc")), "ghct_x") {
				t.Error("nothing was written")
			}
			fx.logout("storing", "lib")
			if after := fx.tree(); !maps.Equal(before, after) {
				t.Errorf("%s", show(after))
			}
		})
	}
}

// Dotfiles are often kept in a git repository. A token written there is
// reported.
func TestLogin_WarnsOfGitWorkTree(t *testing.T) {
	fx := newFixture(t, t.TempDir())
	fx.write(fx.path("dotfiles/.git/HEAD"), "", 0o644)
	fx.write(fx.path("dotfiles/storingrc"), "", 0o644)
	if err := os.MkdirAll(fx.path(".config/storing"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(fx.path("dotfiles/storingrc"), fx.path(".config/storing/storingrc")); err != nil {
		t.Fatal(err)
	}
	if c := fx.login(askingTool(), fakeTarget("lib", "x")); len(c.Notes) != 0 {
		t.Errorf("%q", c.Notes)
	}
	want := fx.path("dotfiles/storingrc") + " contains a token and is in the git work tree " + fx.path("dotfiles") + ": do not commit it"
	if c := fx.login(storingTool(), fakeTarget("lib", "x")); len(c.Notes) != 1 || c.Notes[0] != want {
		t.Errorf("%q", c.Notes)
	}
}

// Two paths that lead to one file are treated as one file.
func TestLogin_OneFileTwoPaths(t *testing.T) {
	fx := newFixture(t, t.TempDir())
	rc := fx.path(".config/storing/storingrc")
	fx.write(rc, "a = 1\n", 0o644)
	if err := os.Symlink(rc, fx.path("rc")); err != nil {
		t.Fatal(err)
	}
	before := fx.tree()
	fx.login(storingTool(), fakeTarget("lib", "x"))
	fx.env["POTRC"] = fx.path("rc")
	fx.login(storingTool(), fakeTarget("lib", "y"))
	fx.env["POTRC"] = ""
	fx.login(storingTool(), fakeTarget("other", "z"))
	if _, err := fx.journal.Do(t.Context(), login.Logout{Tool: "storing"}); err != nil {
		t.Fatal(err)
	}
	if after := fx.tree(); !maps.Equal(before, after) {
		t.Errorf("%s", show(after))
	}
}

// The error names the file that cannot be written, and nothing has changed.
func TestLogin_UnwritableFile(t *testing.T) {
	for name, block := range map[string]func(fx *fixture) (path string){
		"a file where a folder should be": func(fx *fixture) string {
			fx.write(fx.path(".config/storing"), "", 0o644)
			return fx.path(".config/storing/storingrc")
		},
		"a folder where the file should be": func(fx *fixture) string {
			if err := os.MkdirAll(fx.path(".config/storing/storingrc/x"), 0o755); err != nil {
				fx.t.Fatal(err)
			}
			return fx.path(".config/storing/storingrc")
		},
		"a link to itself": func(fx *fixture) string {
			if err := os.Symlink(".asking", fx.path(".asking")); err != nil {
				fx.t.Fatal(err)
			}
			return fx.path(".asking")
		},
		"too large": func(fx *fixture) string {
			fx.write(fx.path(".asking"), strings.Repeat("# ten byte\n", 1<<20), 0o644)
			return fx.path(".asking")
		},
	} {
		t.Run(name, func(t *testing.T) {
			fx := newFixture(t, t.TempDir())
			path := block(fx)
			before := fx.tree()
			_, err := fx.journal.Do(t.Context(), login.Login{Tool: askingTool(), Target: fakeTarget("lib", "x")})
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%v", err)
			}
			if after := fx.tree(); !maps.Equal(before, after) {
				t.Errorf("%s", show(after))
			}
			if logins, err := fx.journal.Logins(); err != nil || len(logins) != 0 {
				t.Errorf("%v, %v", logins, err)
			}
		})
	}
}

// A record that is damaged or of another version is not overwritten.
func TestJournal_DamagedRecord(t *testing.T) {
	for _, text := range []string{
		"{", `{"version":2}`, `{"version":1,"unknown":1}`, `{"version":1,"files":{"rc":{"now":{"lines":[]}}}}`,
		`{"version":1,"files":{"/rc":{"now":{"lines":[],"hunks":[{"from":0,"to":1}]}}}}`,
	} {
		fx := newFixture(t, t.TempDir())
		path := filepath.Join(fx.state(), "logins.json")
		fx.write(path, text, 0o600)
		_, err := fx.journal.Do(t.Context(), login.Login{Tool: storingTool(), Target: fakeTarget("lib", "x")})
		if err == nil || !strings.Contains(err.Error(), path) || fx.read(path) != text {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A preview changes nothing and shows no secret: neither the token in any
// encoding nor secrets that were in the files before.
func TestPreview(t *testing.T) {
	fx := newFixture(t, t.TempDir())
	rc := fx.path(".config/storing/storingrc")
	fx.write(rc, "# mine\n_password = hunter2\ndefault = https://me:hunter2@old.example/\n//old.example/:_authToken=hunter2\n_auth=${NPM_AUTH}", 0o644)
	before := fx.tree()
	c, err := fx.journal.Preview(login.Login{Tool: storingTool(), Target: fakeTarget("lib", "one")})
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
	if after := fx.tree(); !maps.Equal(before, after) {
		t.Errorf("%s", show(after))
	}
	if _, err := os.Stat(fx.state()); !os.IsNotExist(err) {
		t.Error(err)
	}
	// A renewal shows neither the old token nor the new one.
	fx.login(storingTool(), fakeTarget("lib", "one"))
	c, err = fx.journal.Preview(login.Login{Tool: storingTool(), Target: fakeTarget("lib", "two")})
	if err != nil || strings.Contains(c.Diff(), "ghct_") || strings.Count(c.Diff(), "****") < 2 {
		t.Errorf("%v\n%s", err, c.Diff())
	}
	c, err = fx.journal.Preview(login.Logout{Tool: "storing"})
	if err != nil || strings.Contains(c.Diff(), "ghct_") || strings.Contains(c.Diff(), "hunter2") || !strings.Contains(c.Diff(), "-token.https") {
		t.Errorf("%v\n%s", err, c.Diff())
	}
}
