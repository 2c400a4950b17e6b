package login_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/jsonedit"
)

// A tool that rewrites its file in its own order and spacing keeps none of our
// lines as they were. Then they are found by their keys, and what cannot be put
// back is reported.
func TestLogout_RewrittenFile(t *testing.T) {
	fx := newFixture(t, t.TempDir())
	rc := fx.path(".config/storing/storingrc")
	fx.write(rc, "default = https://old.example/\nother = 1\n", 0o640)
	fx.login(storingTool(), fakeTarget("lib", "one"))
	rewrite(t, fx, rc)
	c := fx.logout("storing", "lib")
	if got := fx.read(rc); got != "other=1\n" {
		t.Errorf("%q", got)
	}
	if len(c.Notes) != 1 || !strings.Contains(c.Notes[0], rc+" was rewritten") || !strings.HasSuffix(c.Notes[0], "default = https://old.example/") {
		t.Errorf("%q", c.Notes)
	}
}

// The same if nothing remains of a file that login created.
func TestLogout_RewrittenFileThatLoginMade(t *testing.T) {
	fx := newFixture(t, t.TempDir())
	before := fx.tree()
	fx.login(storingTool(), fakeTarget("lib", "one"))
	rewrite(t, fx, fx.path(".config/storing/storingrc"))
	fx.logout("storing", "lib")
	if after := fx.tree(); !maps.Equal(before, after) {
		t.Errorf("%v", after)
	}
}

// A line that login changes may stand above one that is the same as the new line. A
// person's line above both stays above them.
func TestLogout_LineAboveEqualLines(t *testing.T) {
	for _, x := range []struct{ before, want string }{
		{
			"# 1\nalways-auth=false\nalways-auth = true\n# 2",
			"# 1\nmine = x\nalways-auth=false\nalways-auth = true\n# 2",
		},
		{
			"# 1\nalways-auth=false\nalways-auth = true\nalways-auth = true\n",
			"# 1\nmine = x\nalways-auth=false\nalways-auth = true\nalways-auth = true\n",
		},
	} {
		fx := newFixture(t, t.TempDir())
		rc := fx.path(".config/storing/storingrc")
		fx.write(rc, x.before, 0o640)
		fx.login(storingTool(), fakeTarget("lib", "one"))
		fx.write(rc, strings.Replace(fx.read(rc), "# 1\n", "# 1\nmine = x\n", 1), 0o600)
		fx.logout("storing", "lib")
		if got := fx.read(rc); got != x.want {
			t.Errorf("%q, want %q", got, x.want)
		}
	}
}

// What was lost at one of several logouts is reported at the last.
func TestLogout_ReportsLossesAtTheLast(t *testing.T) {
	fx := newFixture(t, t.TempDir())
	rc := fx.path(".config/storing/storingrc")
	fx.write(rc, "default = https://old.example/\ntoken.x = secret!\n", 0o640)
	fx.login(storingTool(), fakeTarget("lib", "one"))
	rewrite(t, fx, rc)
	fx.login(storingTool(), fakeTarget("other", "two"))
	if c := fx.logout("storing", "lib"); len(c.Notes) != 0 {
		t.Errorf("%q", c.Notes)
	}
	if c := fx.logout("storing", "other"); len(c.Notes) != 1 || !strings.Contains(c.Notes[0], "old.example") {
		t.Errorf("%q", c.Notes)
	}
	if got := fx.read(rc); got != "token.x=secret!\n" {
		t.Errorf("%q", got)
	}
}

// rewrite changes a file as some tools do.
func rewrite(t *testing.T, fx *fixture, path string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(fx.read(path)) {
		k, v := parseLine(line)
		lines = append(lines, k+"="+v+"\n")
	}
	slices.Sort(lines)
	fx.write(path, strings.Join(lines, ""), 0o600)
}

// Whatever others have changed in a file, logout removes every line that login
// wrote, and keeps every other line.
func TestLogout_ArbitraryChanges(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		fx := newFixture(t, filepath.Join(root, fmt.Sprint(n)))
		rc := fx.path(".config/storing/storingrc")
		if rapid.Bool().Draw(rt, "there") {
			fx.write(rc, "# mine\nother = 1\n", 0o600)
		}
		tools := rapid.SliceOfNDistinct(rapid.SampledFrom(fx.tools), 1, 2, func(t login.Tool) string { return t.Name }).Draw(rt, "tools")
		for _, tool := range tools {
			fx.login(tool, fakeTarget("lib", "one"))
		}
		lines := strings.SplitAfter(fx.read(rc), "\n")
		lines = rapid.Permutation(lines).Draw(rt, "lines")
		for range rapid.IntRange(0, 3).Draw(rt, "duplicates") {
			line := rapid.SampledFrom(lines).Draw(rt, "line")
			if !strings.HasPrefix(line, "token.") { // a copy of it would be theirs
				lines = append(lines, line)
			}
		}
		lines = append(lines, "foreign = 2\n")
		fx.write(rc, strings.Join(lines, ""), 0o600)
		for _, tool := range tools {
			fx.logout(tool.Name, "lib")
		}
		got := fx.read(rc)
		for _, ours := range []string{"ghct_", "token."} {
			if strings.Contains(got, ours) {
				rt.Fatalf("%q", got)
			}
		}
		for _, line := range lines {
			if k, _ := parseLine(line); (k == "foreign" || k == "other") && !strings.Contains(got, line) {
				rt.Fatalf("%q is lost: %q", line, got)
			}
		}
	})
}

// If others change a file between planning and writing, the work is planned
// again.
func TestDo_FileChangedMeanwhile(t *testing.T) {
	fx := newFixture(t, t.TempDir())
	rc := fx.path(".config/storing/storingrc")
	fx.write(rc, "a = 1\n", 0o600)
	_, err := fx.journal.Interfere(func() { fx.write(rc, "a = 1\nb = 2\n", 0o600) }).
		Do(t.Context(), login.Login{Tool: storingTool(), Target: fakeTarget("lib", "one")})
	if err != nil || !strings.HasPrefix(fx.read(rc), "a = 1\nb = 2\ndefault = ") {
		t.Errorf("%v: %q", err, fx.read(rc))
	}
	fx.logout("storing", "lib")
	if fx.read(rc) != "a = 1\nb = 2\n" {
		t.Errorf("%q", fx.read(rc))
	}
}

// The same if the file becomes a link with the same text behind it: the link
// stays, and the file behind it is changed.
func TestDo_FileReplacedByLink(t *testing.T) {
	fx := newFixture(t, t.TempDir())
	rc, kept := fx.path(".config/storing/storingrc"), fx.path("dotfiles/storingrc")
	fx.write(rc, "a = 1\n", 0o600)
	_, err := fx.journal.Interfere(func() {
		fx.write(kept, "a = 1\n", 0o600)
		if err := errors.Join(os.Remove(rc), os.Symlink(kept, rc)); err != nil {
			t.Fatal(err)
		}
	}).Do(t.Context(), login.Login{Tool: storingTool(), Target: fakeTarget("lib", "one")})
	if to, linked := os.Readlink(rc); err != nil || linked != nil || to != kept || !strings.Contains(fx.read(kept), "default = ") {
		t.Errorf("%v; the link: %q, %v; %q", err, to, linked, fx.read(kept))
	}
	fx.logout("storing", "lib")
	if to, err := os.Readlink(rc); err != nil || to != kept || fx.read(kept) != "a = 1\n" {
		t.Errorf("after logout: %q, %v: %q", to, err, fx.read(kept))
	}
	if _, err := os.Stat(filepath.Join(fx.state(), "logins.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a record is left: %v", err)
	}
}

// Concurrent logins do not lose each other's changes.
func TestDo_Concurrent(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, t.TempDir())
	rc := fx.path(".config/storing/storingrc")
	fx.write(rc, "a = 1", 0o644)
	before := fx.tree()
	const many = 12
	at := func(work func(repository string) login.Work) {
		var all sync.WaitGroup
		for i := range many {
			all.Go(func() {
				j := login.NewJournal(fx.state(), fx.places, fx.tools)
				if _, err := j.Do(t.Context(), work(fmt.Sprint("r", i))); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	at(func(r string) login.Work { return login.Login{Tool: storingTool(), Target: fakeTarget(r, r)} })
	for i := range many {
		if !strings.Contains(fx.read(rc), fmt.Sprintf("/r%d/ = ghct_r%dx", i, i)) {
			t.Errorf("r%d is lost:\n%s", i, fx.read(rc))
		}
	}
	at(func(r string) login.Work { return logoutOf("storing", r) })
	if after := fx.tree(); !maps.Equal(before, after) {
		t.Errorf("%s", show(after))
	}
}

// A second login of the same repository for fewer scopes leaves nothing of the
// first.
func TestLogin_ReplacesEarlier(t *testing.T) {
	fx := newFixture(t, t.TempDir())
	scoped := login.Tool{Name: "scoped", Edits: func(t login.Target, p login.Environment) ([]login.Edit, error) {
		var pairs [][2]string
		for _, scope := range t.Scopes {
			pairs = append(pairs, [2]string{scope, t.Endpoint.String()})
		}
		return []login.Edit{set(filepath.Join(p.Home, "rc"), 0o644, pairs...)}, nil
	}}
	fx.journal = login.NewJournal(fx.state(), fx.places, append(fx.tools, scoped))
	fx.write(fx.path("rc"), "@a = https://old.example/\n", 0o644)
	first, second := fakeTarget("lib", "x"), fakeTarget("lib", "x")
	first.Scopes, second.Scopes = []string{"@a", "@b"}, []string{"@b", "@c"}
	fx.login(scoped, first)
	fx.login(scoped, second)
	if got := fx.read(fx.path("rc")); !strings.HasPrefix(got, "@a = https://old.example/\n@b = ") || strings.Count(got, "\n") != 3 {
		t.Errorf("%q", got)
	}
	fx.logout("scoped", "lib")
	if got := fx.read(fx.path("rc")); got != "@a = https://old.example/\n" {
		t.Errorf("%q", got)
	}
}

// Lines that two logins share stay until the last of them is logged out.
func TestLogout_SharedLines(t *testing.T) {
	fx := newFixture(t, t.TempDir())
	rc := fx.path(".config/storing/storingrc")
	fx.login(storingTool(), fakeTarget("a", "one"))
	fx.login(storingTool(), fakeTarget("b", "two"))
	fx.logout("storing", "a")
	want := "default = " + fakeTarget("b", "").Endpoint.String() + "\ntoken." + fakeTarget("b", "").Endpoint.String() + " = " + fakeTarget("b", "two").Token.Password + "\nalways-auth = true\n"
	if got := fx.read(rc); got != want {
		t.Errorf("%q", got)
	}
}

// The last login sets the default, also if it was a renewal, and also when the
// file is written again because of another login.
func TestLogin_LastOneWins(t *testing.T) {
	fx := newFixture(t, t.TempDir())
	rc := fx.path(".config/storing/storingrc")
	for _, repository := range []string{"a", "b", "a"} {
		fx.login(storingTool(), fakeTarget(repository, repository))
	}
	fx.login(askingTool(), fakeTarget("c", "c"))
	fx.logout("asking", "c")
	if got := fx.read(rc); !strings.HasPrefix(got, "default = "+fakeTarget("a", "").Endpoint.String()+"\n") || strings.Count(got, "\n") != 4 {
		t.Errorf("%q", got)
	}
	fx.logout("storing", "a")
	if got := fx.read(rc); !strings.HasPrefix(got, "default = "+fakeTarget("b", "").Endpoint.String()+"\n") || strings.Count(got, "\n") != 3 {
		t.Errorf("%q", got)
	}
}

// If the token of a remaining login cannot be found, its lines stay as they
// are.
func TestLogout_TokenNotFound(t *testing.T) {
	fx := newFixture(t, t.TempDir())
	rc := fx.path(".config/storing/storingrc")
	fx.login(storingTool(), fakeTarget("a", "one"))
	fx.login(storingTool(), fakeTarget("b", "two"))
	text := strings.ReplaceAll(fx.read(rc), fakeTarget("b", "two").Token.Password, "another")
	fx.write(rc, text, 0o600)
	fx.logout("storing", "a")
	if got := fx.read(rc); !strings.Contains(got, "/b/ = another\n") || strings.Contains(got, "/a/") {
		t.Errorf("%q", got)
	}
}

// Lines that two logins share stay with the remaining one, even if a third
// login's token cannot be found.
func TestLogout_SharedLinesAndTokenNotFound(t *testing.T) {
	fx := newFixture(t, t.TempDir())
	rc := fx.path(".config/storing/storingrc")
	for _, repository := range []string{"a", "b", "c"} {
		fx.login(storingTool(), fakeTarget(repository, repository))
	}
	fx.write(rc, strings.ReplaceAll(fx.read(rc), fakeTarget("a", "a").Token.Password, "another"), 0o600)
	fx.logout("storing", "b")
	for _, line := range []string{"/a/ = another\n", "/c/ = ghct_c", "always-auth = true\n", "default = " + fakeTarget("c", "").Endpoint.String() + "\n"} {
		if got := fx.read(rc); !strings.Contains(got, line) || strings.Contains(got, "/b/") {
			t.Errorf("%q is not in %q", line, got)
		}
	}
}

// A last line without a line end gets one if others have added lines below it.
func TestLogout_LastLineWithoutEnd(t *testing.T) {
	for _, end := range []string{"\n", "\r\n"} {
		fx := newFixture(t, t.TempDir())
		rc := fx.path(".config/storing/storingrc")
		fx.write(rc, "a = 1"+end+"b = 2", 0o600)
		fx.login(storingTool(), fakeTarget("lib", "one"))
		fx.write(rc, fx.read(rc)+"c = 3"+end, 0o600)
		fx.logout("storing", "lib")
		if got := fx.read(rc); got != "a = 1"+end+"b = 2"+end+"c = 3"+end {
			t.Errorf("%q", got)
		}
	}
}

// What others have built on our lines is not broken by removing ours.
func TestLogout_OthersBuiltOnOurs(t *testing.T) {
	fx := newFixture(t, t.TempDir())
	tool := login.Tool{Name: "json", Edits: func(t login.Target, p login.Environment) ([]login.Edit, error) {
		key := []string{"registries", t.Name}
		return []login.Edit{{
			Path: filepath.Join(p.Home, "rc.json"), Mode: 0o644,
			Apply:  func(text []byte) ([]byte, error) { return jsonedit.Set(text, key, t.Endpoint.String()) },
			Remove: func(text []byte) ([]byte, error) { return jsonedit.Delete(text, key) },
		}}, nil
	}}
	fx.journal = login.NewJournal(fx.state(), fx.places, []login.Tool{tool})
	rc := fx.path("rc.json")
	fx.write(rc, "{\n  \"registries\": {\n  }\n}\n", 0o644)
	fx.login(tool, fakeTarget("lib", ""))
	var lines []string
	for line := range strings.Lines(fx.read(rc)) {
		lines = append(lines, line)
		if strings.Contains(line, "acme-lib") {
			lines = append(lines, "    , \"theirs\": 1\n")
		}
	}
	fx.write(rc, strings.Join(lines, ""), 0o644)
	fx.logout("json", "lib")
	got := fx.read(rc)
	if value, _, err := jsonedit.Get([]byte(got), []string{"registries", "theirs"}); err != nil || fmt.Sprint(value) != "1" || strings.Contains(got, "acme-lib") {
		t.Errorf("%v, %v: %q", value, err, got)
	}
}

// Logout does not create a file again that was removed.
func TestLogout_FileRemoved(t *testing.T) {
	fx := newFixture(t, t.TempDir())
	rc := fx.path(".config/storing/storingrc")
	fx.write(rc, "a = 1\n", 0o644)
	fx.login(storingTool(), fakeTarget("a", "one"))
	if err := os.Remove(rc); err != nil {
		t.Fatal(err)
	}
	fx.logout("storing", "a")
	if _, err := os.Stat(rc); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// The error names the file that cannot be read and the line, and the file stays
// as it is. Once it is repaired, logout works.
func TestDo_UnreadableFile(t *testing.T) {
	fx := newFixture(t, t.TempDir())
	rc := fx.path(".config/storing/storingrc")
	fx.write(rc, "a = 1\n!\n", 0o644)
	_, err := fx.journal.Do(t.Context(), login.Login{Tool: storingTool(), Target: fakeTarget("a", "one")})
	if err == nil || err.Error() != rc+": line 2: unexpected !" || fx.read(rc) != "a = 1\n!\n" {
		t.Errorf("%v", err)
	}
	if logins, err := fx.journal.Logins(); err != nil || len(logins) != 0 {
		t.Errorf("%v, %v", logins, err)
	}
	fx.write(rc, "a = 1\n", 0o644)
	fx.login(storingTool(), fakeTarget("a", "one"))
	broken := strings.Replace(fx.read(rc), "default", "!default", 1)
	fx.write(rc, broken, 0o600)
	if _, err := fx.journal.Do(t.Context(), logoutOf("storing", "a")); err == nil || !strings.Contains(err.Error(), "line 2: unexpected !") || fx.read(rc) != broken {
		t.Errorf("%v", err)
	}
	fx.write(rc, strings.Replace(broken, "!", "", 1), 0o600)
	fx.logout("storing", "a")
	if fx.read(rc) != "a = 1\n" {
		t.Errorf("%q", fx.read(rc))
	}
}
