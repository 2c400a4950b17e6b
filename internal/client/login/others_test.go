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

// A tool that writes its file anew, in an order and with spaces of its own,
// keeps none of our lines as they were. What we added goes by its names then,
// and what cannot be put back is said.
func TestLogoutAfterRewriting(t *testing.T) {
	w := newWorld(t, t.TempDir())
	rc := w.path(".config/pot/potrc")
	w.write(rc, "default = https://old.example/\nother = 1\n", 0o640)
	w.login(pot(), target("lib", "one"))
	rewrite(t, w, rc)
	c := w.logout("pot", "lib")
	if got := w.read(rc); got != "other=1\n" {
		t.Errorf("%q", got)
	}
	if len(c.Notes) != 1 || !strings.Contains(c.Notes[0], rc+" was rewritten") || !strings.HasSuffix(c.Notes[0], "default = https://old.example/") {
		t.Errorf("%q", c.Notes)
	}
}

// Also where nothing is left of a file that login made.
func TestRemovingARewrittenFile(t *testing.T) {
	w := newWorld(t, t.TempDir())
	before := w.tree()
	w.login(pot(), target("lib", "one"))
	rewrite(t, w, w.path(".config/pot/potrc"))
	w.logout("pot", "lib")
	if after := w.tree(); !maps.Equal(before, after) {
		t.Errorf("%v", after)
	}
}

// What was lost at one logout of several is said at the last.
func TestLossesAreRemembered(t *testing.T) {
	w := newWorld(t, t.TempDir())
	rc := w.path(".config/pot/potrc")
	w.write(rc, "default = https://old.example/\ntoken.x = secret!\n", 0o640)
	w.login(pot(), target("lib", "one"))
	rewrite(t, w, rc)
	w.login(pot(), target("other", "two"))
	if c := w.logout("pot", "lib"); len(c.Notes) != 0 {
		t.Errorf("%q", c.Notes)
	}
	if c := w.logout("pot", "other"); len(c.Notes) != 1 || !strings.Contains(c.Notes[0], "old.example") {
		t.Errorf("%q", c.Notes)
	}
	if got := w.read(rc); got != "token.x=secret!\n" {
		t.Errorf("%q", got)
	}
}

// rewrite is what some tools do to their files.
func rewrite(t *testing.T, w *world, path string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(w.read(path)) {
		k, v := keyed(line)
		lines = append(lines, k+"="+v+"\n")
	}
	slices.Sort(lines)
	w.write(path, strings.Join(lines, ""), 0o600)
}

// Whatever others have made of a file, logout leaves none of ours in it, and all
// of theirs.
func TestLogoutAfterAnything(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		w := newWorld(t, filepath.Join(root, fmt.Sprint(n)))
		rc := w.path(".config/pot/potrc")
		if rapid.Bool().Draw(rt, "there") {
			w.write(rc, "# mine\nother = 1\n", 0o600)
		}
		tools := rapid.SliceOfNDistinct(rapid.SampledFrom(w.tools), 1, 2, func(t login.Tool) string { return t.Name }).Draw(rt, "tools")
		for _, tool := range tools {
			w.login(tool, target("lib", "one"))
		}
		lines := strings.SplitAfter(w.read(rc), "\n")
		lines = rapid.Permutation(lines).Draw(rt, "lines")
		for range rapid.IntRange(0, 3).Draw(rt, "duplicates") {
			line := rapid.SampledFrom(lines).Draw(rt, "line")
			if !strings.HasPrefix(line, "token.") { // a copy of it would be theirs
				lines = append(lines, line)
			}
		}
		lines = append(lines, "foreign = 2\n")
		w.write(rc, strings.Join(lines, ""), 0o600)
		for _, tool := range tools {
			w.logout(tool.Name, "lib")
		}
		got := w.read(rc)
		for _, ours := range []string{"ghct_", "token."} {
			if strings.Contains(got, ours) {
				rt.Fatalf("%q", got)
			}
		}
		for _, line := range lines {
			if k, _ := keyed(line); (k == "foreign" || k == "other") && !strings.Contains(got, line) {
				rt.Fatalf("%q is lost: %q", line, got)
			}
		}
	})
}

// A file that others change in the very moment is planned again.
func TestAChangeInBetween(t *testing.T) {
	w := newWorld(t, t.TempDir())
	rc := w.path(".config/pot/potrc")
	w.write(rc, "a = 1\n", 0o600)
	_, err := w.journal.Meddle(func() { w.write(rc, "a = 1\nb = 2\n", 0o600) }).
		Do(t.Context(), login.Login{Tool: pot(), Target: target("lib", "one")})
	if err != nil || !strings.HasPrefix(w.read(rc), "a = 1\nb = 2\ndefault = ") {
		t.Errorf("%v: %q", err, w.read(rc))
	}
	w.logout("pot", "lib")
	if w.read(rc) != "a = 1\nb = 2\n" {
		t.Errorf("%q", w.read(rc))
	}
}

// So is one that becomes a link in the very moment, with the same text behind it:
// the link stays, and what is behind it is changed.
func TestALinkInBetween(t *testing.T) {
	w := newWorld(t, t.TempDir())
	rc, kept := w.path(".config/pot/potrc"), w.path("dotfiles/potrc")
	w.write(rc, "a = 1\n", 0o600)
	_, err := w.journal.Meddle(func() {
		w.write(kept, "a = 1\n", 0o600)
		if err := errors.Join(os.Remove(rc), os.Symlink(kept, rc)); err != nil {
			t.Fatal(err)
		}
	}).Do(t.Context(), login.Login{Tool: pot(), Target: target("lib", "one")})
	if to, linked := os.Readlink(rc); err != nil || linked != nil || to != kept || !strings.Contains(w.read(kept), "default = ") {
		t.Errorf("%v; the link: %q, %v; %q", err, to, linked, w.read(kept))
	}
	w.logout("pot", "lib")
	if to, err := os.Readlink(rc); err != nil || to != kept || w.read(kept) != "a = 1\n" {
		t.Errorf("after logout: %q, %v: %q", to, err, w.read(kept))
	}
	if _, err := os.Stat(filepath.Join(w.state(), "logins.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a record is left: %v", err)
	}
}

// Many at once lose nothing of each other.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t.TempDir())
	rc := w.path(".config/pot/potrc")
	w.write(rc, "a = 1", 0o644)
	before := w.tree()
	const many = 12
	at := func(work func(repository string) login.Work) {
		var all sync.WaitGroup
		for i := range many {
			all.Go(func() {
				j := login.NewJournal(w.state(), w.places, w.tools)
				if _, err := j.Do(t.Context(), work(fmt.Sprint("r", i))); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	at(func(r string) login.Work { return login.Login{Tool: pot(), Target: target(r, r)} })
	for i := range many {
		if !strings.Contains(w.read(rc), fmt.Sprintf("/r%d/ = ghct_r%dx", i, i)) {
			t.Errorf("r%d is lost:\n%s", i, w.read(rc))
		}
	}
	at(func(r string) login.Work { return only("pot", r) })
	if after := w.tree(); !maps.Equal(before, after) {
		t.Errorf("%s", show(after))
	}
}

// A login of the same repository that asks for less leaves nothing of the first.
func TestReplacingALogin(t *testing.T) {
	w := newWorld(t, t.TempDir())
	scoped := login.Tool{Name: "scoped", Edits: func(t login.Target, p login.Environment) ([]login.Edit, error) {
		var pairs [][2]string
		for _, scope := range t.Scopes {
			pairs = append(pairs, [2]string{scope, t.Endpoint.String()})
		}
		return []login.Edit{set(filepath.Join(p.Home, "rc"), 0o644, pairs...)}, nil
	}}
	w.journal = login.NewJournal(w.state(), w.places, append(w.tools, scoped))
	w.write(w.path("rc"), "@a = https://old.example/\n", 0o644)
	first, second := target("lib", "x"), target("lib", "x")
	first.Scopes, second.Scopes = []string{"@a", "@b"}, []string{"@b", "@c"}
	w.login(scoped, first)
	w.login(scoped, second)
	if got := w.read(w.path("rc")); !strings.HasPrefix(got, "@a = https://old.example/\n@b = ") || strings.Count(got, "\n") != 3 {
		t.Errorf("%q", got)
	}
	w.logout("scoped", "lib")
	if got := w.read(w.path("rc")); got != "@a = https://old.example/\n" {
		t.Errorf("%q", got)
	}
}

// What two logins share stays until the last of them is out.
func TestWhatIsShared(t *testing.T) {
	w := newWorld(t, t.TempDir())
	rc := w.path(".config/pot/potrc")
	w.login(pot(), target("a", "one"))
	w.login(pot(), target("b", "two"))
	w.logout("pot", "a")
	want := "default = " + target("b", "").Endpoint.String() + "\ntoken." + target("b", "").Endpoint.String() + " = " + target("b", "two").Token.Password + "\nalways-auth = true\n"
	if got := w.read(rc); got != want {
		t.Errorf("%q", got)
	}
}

// The last login says what the default is, also when it was a renewal, and when
// the file is written again for the sake of another.
func TestTheLastOneCounts(t *testing.T) {
	w := newWorld(t, t.TempDir())
	rc := w.path(".config/pot/potrc")
	for _, repository := range []string{"a", "b", "a"} {
		w.login(pot(), target(repository, repository))
	}
	w.login(kettle(), target("c", "c"))
	w.logout("kettle", "c")
	if got := w.read(rc); !strings.HasPrefix(got, "default = "+target("a", "").Endpoint.String()+"\n") || strings.Count(got, "\n") != 4 {
		t.Errorf("%q", got)
	}
	w.logout("pot", "a")
	if got := w.read(rc); !strings.HasPrefix(got, "default = "+target("b", "").Endpoint.String()+"\n") || strings.Count(got, "\n") != 3 {
		t.Errorf("%q", got)
	}
}

// Where the token of a login that stays is not to be found, its lines stay as
// they are.
func TestATokenThatIsNotFound(t *testing.T) {
	w := newWorld(t, t.TempDir())
	rc := w.path(".config/pot/potrc")
	w.login(pot(), target("a", "one"))
	w.login(pot(), target("b", "two"))
	text := strings.ReplaceAll(w.read(rc), target("b", "two").Token.Password, "another")
	w.write(rc, text, 0o600)
	w.logout("pot", "a")
	if got := w.read(rc); !strings.Contains(got, "/b/ = another\n") || strings.Contains(got, "/a/") {
		t.Errorf("%q", got)
	}
}

// What two logins share stays with the one, also where a third one's token is not
// to be found.
func TestWhatIsSharedStays(t *testing.T) {
	w := newWorld(t, t.TempDir())
	rc := w.path(".config/pot/potrc")
	for _, repository := range []string{"a", "b", "c"} {
		w.login(pot(), target(repository, repository))
	}
	w.write(rc, strings.ReplaceAll(w.read(rc), target("a", "a").Token.Password, "another"), 0o600)
	w.logout("pot", "b")
	for _, line := range []string{"/a/ = another\n", "/c/ = ghct_c", "always-auth = true\n", "default = " + target("c", "").Endpoint.String() + "\n"} {
		if got := w.read(rc); !strings.Contains(got, line) || strings.Contains(got, "/b/") {
			t.Errorf("%q is not in %q", line, got)
		}
	}
}

// A text whose last line has no end gets one where others have gone on below.
func TestAfterALineWithoutAnEnd(t *testing.T) {
	for _, end := range []string{"\n", "\r\n"} {
		w := newWorld(t, t.TempDir())
		rc := w.path(".config/pot/potrc")
		w.write(rc, "a = 1"+end+"b = 2", 0o600)
		w.login(pot(), target("lib", "one"))
		w.write(rc, w.read(rc)+"c = 3"+end, 0o600)
		w.logout("pot", "lib")
		if got := w.read(rc); got != "a = 1"+end+"b = 2"+end+"c = 3"+end {
			t.Errorf("%q", got)
		}
	}
}

// What others have built on ours is not broken by taking ours from under it.
func TestWhatOthersBuiltOn(t *testing.T) {
	w := newWorld(t, t.TempDir())
	tool := login.Tool{Name: "json", Edits: func(t login.Target, p login.Environment) ([]login.Edit, error) {
		key := []string{"registries", t.Name}
		return []login.Edit{{
			Path: filepath.Join(p.Home, "rc.json"), Mode: 0o644,
			Apply:  func(text []byte) ([]byte, error) { return jsonedit.Set(text, key, t.Endpoint.String()) },
			Remove: func(text []byte) ([]byte, error) { return jsonedit.Delete(text, key) },
		}}, nil
	}}
	w.journal = login.NewJournal(w.state(), w.places, []login.Tool{tool})
	rc := w.path("rc.json")
	w.write(rc, "{\n  \"registries\": {\n  }\n}\n", 0o644)
	w.login(tool, target("lib", ""))
	var lines []string
	for line := range strings.Lines(w.read(rc)) {
		lines = append(lines, line)
		if strings.Contains(line, "acme-lib") {
			lines = append(lines, "    , \"theirs\": 1\n")
		}
	}
	w.write(rc, strings.Join(lines, ""), 0o644)
	w.logout("json", "lib")
	got := w.read(rc)
	if value, _, err := jsonedit.Get([]byte(got), []string{"registries", "theirs"}); err != nil || fmt.Sprint(value) != "1" || strings.Contains(got, "acme-lib") {
		t.Errorf("%v, %v: %q", value, err, got)
	}
}

// A file that was removed is not made again by logout.
func TestARemovedFile(t *testing.T) {
	w := newWorld(t, t.TempDir())
	rc := w.path(".config/pot/potrc")
	w.write(rc, "a = 1\n", 0o644)
	w.login(pot(), target("a", "one"))
	if err := os.Remove(rc); err != nil {
		t.Fatal(err)
	}
	w.logout("pot", "a")
	if _, err := os.Stat(rc); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// A file that cannot be read is named, with the line, and stays as it is; once
// it is mended, logout goes on.
func TestAFileThatCannotBeRead(t *testing.T) {
	w := newWorld(t, t.TempDir())
	rc := w.path(".config/pot/potrc")
	w.write(rc, "a = 1\n!\n", 0o644)
	_, err := w.journal.Do(t.Context(), login.Login{Tool: pot(), Target: target("a", "one")})
	if err == nil || err.Error() != rc+": line 2: unexpected !" || w.read(rc) != "a = 1\n!\n" {
		t.Errorf("%v", err)
	}
	if logins, err := w.journal.Logins(); err != nil || len(logins) != 0 {
		t.Errorf("%v, %v", logins, err)
	}
	w.write(rc, "a = 1\n", 0o644)
	w.login(pot(), target("a", "one"))
	broken := strings.Replace(w.read(rc), "default", "!default", 1)
	w.write(rc, broken, 0o600)
	if _, err := w.journal.Do(t.Context(), only("pot", "a")); err == nil || !strings.Contains(err.Error(), "line 2: unexpected !") || w.read(rc) != broken {
		t.Errorf("%v", err)
	}
	w.write(rc, strings.Replace(broken, "!", "", 1), 0o600)
	w.logout("pot", "a")
	if w.read(rc) != "a = 1\n" {
		t.Errorf("%q", w.read(rc))
	}
}
