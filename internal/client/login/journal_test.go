package login_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
)

func TestLoginLogout(t *testing.T) {
	fx := newFixture(t, t.TempDir())
	before := fx.tree()
	if c := fx.login(storingTool(), fakeTarget("lib", "one")); len(c.Lines()) != 1 || c.Lines()[0] != "created "+fx.path(".config/storing/storingrc") {
		t.Errorf("%q", c.Lines())
	}
	rc := fx.path(".config/storing/storingrc")
	if !strings.Contains(fx.read(rc), "ghct_one") {
		t.Error(fx.read(rc))
	}
	info, err := os.Stat(rc)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	logins, err := fx.journal.Logins()
	if err != nil || len(logins) != 1 || logins[0].Tool != "storing" || logins[0].Target.Repository != "lib" || logins[0].Expires.IsZero() || logins[0].Files[0] != rc {
		t.Errorf("%+v, %v", logins, err)
	}
	if c := fx.logout("storing", "lib"); len(c.Lines()) != 1 || c.Lines()[0] != "removed "+rc {
		t.Errorf("%q", c.Lines())
	}
	if after := fx.tree(); !maps.Equal(before, after) {
		t.Errorf("%v", after)
	}
	if _, err := fx.journal.Do(t.Context(), login.Logout{Tool: "storing"}); !errors.Is(err, login.ErrNotLoggedIn) {
		t.Error(err)
	}
}

// Logins, renewals and logouts in any order, with other people's changes
// between them, end with the file that those changes alone would have made.
func TestLogout_UndoesOnlyOurs(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	fixture, mu := 0, sync.Mutex{}
	rapid.Check(t, func(rt *rapid.T) {
		mu.Lock()
		fixture++
		fx := newFixture(t, filepath.Join(root, fmt.Sprint(fixture)))
		mu.Unlock()
		rc := fx.path(".config/storing/storingrc")
		f := newOtherEditor(rt, fx, rc)
		before := fx.tree()
		in := map[string]bool{}
		tokens := 0
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"in", "in", "out", "foreign", "foreign"}).Draw(rt, "step") {
			case "in":
				tool := rapid.SampledFrom(fx.tools).Draw(rt, "tool")
				repository := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "repository")
				tokens++
				fx.login(tool, fakeTarget(repository, fmt.Sprint(tokens)))
				in[tool.Name+" "+repository] = true
			case "out":
				f.logoutOne(rt, fx, in)
			case "foreign":
				f.change(rt)
			}
			checkRecord(rt, fx)
		}
		for len(in) > 0 {
			f.logoutOne(rt, fx, in)
		}
		f.check(rt, fx, before)
	})
}

// An otherEditor changes a file as a person does who does not touch our lines.
// It tracks what the file would be without our changes.
type otherEditor struct {
	path  string
	alone []string // nil: there is no file
	there bool
	end   string
	n     int
}

func newOtherEditor(t *rapid.T, fx *fixture, path string) *otherEditor {
	f := &otherEditor{path: path, end: rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end")}
	f.there = rapid.Bool().Draw(t, "there")
	if !f.there {
		return f
	}
	for range rapid.IntRange(0, 6).Draw(t, "lines") {
		f.alone = append(f.alone, f.line(t)+f.end)
	}
	for _, key := range []string{"default = https://old.example/", "always-auth=false", "always-auth = true", "helper = mine"} {
		if rapid.Bool().Draw(t, key) {
			i := rapid.IntRange(0, len(f.alone)).Draw(t, "at")
			f.alone = append(f.alone[:i:i], append([]string{key + f.end}, f.alone[i:]...)...)
		}
	}
	if n := len(f.alone); n > 0 && rapid.Bool().Draw(t, "unended") {
		f.alone[n-1] = strings.TrimRight(f.alone[n-1], "\r\n")
	}
	fx.write(path, strings.Join(f.alone, ""), rapid.SampledFrom([]os.FileMode{0o644, 0o600, 0o640}).Draw(t, "mode"))
	return f
}

func (f *otherEditor) line(t *rapid.T) string {
	f.n++
	return fmt.Sprintf(rapid.SampledFrom([]string{"# comment %d", "key%d = value", "  key%d=  spaced  ", "\tä %d"}).Draw(t, "line"), f.n)
}

// change inserts a line, at the beginning or after a line that is there both
// with and without our changes, or removes one.
func (f *otherEditor) change(t *rapid.T) {
	text, err := os.ReadFile(f.path)
	if err != nil {
		return // nothing to change
	}
	lines := strings.SplitAfter(string(text), "\n")
	i := rapid.IntRange(-1, len(f.alone)-1).Draw(t, "after")
	f.n++
	inserted := fmt.Sprintf("foreign%d = x%s", f.n, f.end)
	if i < 0 {
		f.alone = append([]string{inserted}, f.alone...)
		f.store(t, append([]string{inserted}, lines...))
		f.there = true
		return
	}
	anchor := f.alone[i]
	at := -1
	for j, line := range lines {
		if line == anchor {
			at = j
		}
	}
	if at < 0 || !strings.HasSuffix(anchor, "\n") || count(f.alone, anchor) != 1 || count(lines, anchor) != 1 {
		return // it is not visible at the moment
	}
	if rapid.Bool().Draw(t, "remove") {
		if k, _ := parseLine(anchor); k == "default" || k == "always-auth" {
			return // login sets this key
		}
		f.alone = append(f.alone[:i:i], f.alone[i+1:]...)
		f.store(t, append(lines[:at:at], lines[at+1:]...))
		return
	}
	f.alone = append(f.alone[:i+1:i+1], append([]string{inserted}, f.alone[i+1:]...)...)
	f.store(t, append(lines[:at+1:at+1], append([]string{inserted}, lines[at+1:]...)...))
}

func count(lines []string, line string) int {
	n := 0
	for _, l := range lines {
		if l == line {
			n++
		}
	}
	return n
}

func (f *otherEditor) store(t *rapid.T, lines []string) {
	if err := os.WriteFile(f.path, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (f *otherEditor) logoutOne(t *rapid.T, fx *fixture, in map[string]bool) {
	if len(in) == 0 {
		return
	}
	var names []string
	for _, tool := range fx.tools {
		for _, repository := range []string{"a", "b", "c"} {
			if name := tool.Name + " " + repository; in[name] {
				names = append(names, name)
			}
		}
	}
	name := rapid.SampledFrom(names).Draw(t, "out")
	tool, repository, _ := strings.Cut(name, " ")
	c := fx.logout(tool, repository)
	delete(in, name)
	for _, note := range c.Notes {
		t.Errorf("%s: %s", name, note)
	}
	if text, err := os.ReadFile(f.path); err == nil && strings.Contains(string(text), "token."+fakeTarget(repository, "").Endpoint.String()) && tool == "storing" {
		t.Fatalf("%s is still in\n%s", name, text)
	}
}

func (f *otherEditor) check(t *rapid.T, fx *fixture, before map[string]string) {
	after := fx.tree()
	name := strings.TrimPrefix(f.path, fx.home)
	text := after[name]
	want := strings.Join(f.alone, "")
	if before[name] == "" && want == "" && text == "" {
		return // made by login, and emptied by others
	}
	if f.there && !strings.HasSuffix(text, " "+want) || !f.there && text != "" {
		t.Fatalf("is  %q\nnot %q", text, want)
	}
	if f.there && before[name] != "" && before[name][:10] != text[:10] {
		t.Fatalf("mode %s, was %s", text[:10], before[name][:10])
	}
	if before[name] == "" {
		return // the folder is there for the file
	}
	delete(before, name)
	delete(after, name)
	if !maps.Equal(before, after) {
		t.Fatalf("%v\nnot %v", after, before)
	}
}

// checkRecord checks that the record is private and holds no token.
func checkRecord(t *rapid.T, fx *fixture) {
	err := filepath.WalkDir(fx.state(), func(path string, d os.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Fatalf("%s has mode %v", path, info.Mode())
		}
		if !d.IsDir() && strings.Contains(fx.read(path), "ghct_") {
			t.Fatalf("a token is in %s", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
