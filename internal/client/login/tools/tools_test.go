package tools_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/tools"
)

// These tests check what holds for every tool.

// environment is an empty home folder on some operating system.
func environment(t *testing.T, goos string) login.Environment {
	t.Helper()
	root := t.TempDir()
	home, project := filepath.Join(root, "home"), filepath.Join(root, "project")
	program := filepath.Join(root, "bin", "gatehouse")
	for _, dir := range []string{home, project, filepath.Dir(program)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return login.Environment{
		Home: home, Dir: project, GOOS: goos, Program: program,
		Getenv: func(name string) string { return map[string]string{"PATH": filepath.Dir(program)}[name] },
	}
}

// target returns a repository or a registry for a tool. Odd numbers are at an
// endpoint with one address, even numbers have hosts of AWS's form.
func target(t *testing.T, tool login.Tool, n int, secret string) login.Target {
	t.Helper()
	repository := fmt.Sprintf("lib%d", n)
	address, username, kind := fmt.Sprintf("https://acme-111122223333.d.codeartifact.us-east-1.gate.example/%s/%s/", tool.Format, repository), "aws", "Bearer"
	switch {
	case tool.Format == "":
		address, username, kind = fmt.Sprintf("https://11112222333%d.dkr.ecr.us-east-1.gate.example", n), "AWS", "Basic"
	case n%2 == 1:
		address = fmt.Sprintf("http://127.0.0.1:4283/codeartifact/us-east-1/111122223333/acme/%s/%s/", tool.Format, repository)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	to := login.Target{
		Endpoint: u, Name: "acme-" + repository, Domain: "acme", Owner: "111122223333", Repository: repository, Region: "us-east-1",
		Token: authtoken.Token{Username: username, Password: secret, Value: secret, Type: kind, Expires: time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC)},
	}
	if tool.Format == "" {
		to.Name, to.Domain, to.Owner, to.Repository = "ecr", "", "", ""
	}
	return to
}

var (
	one = "ghct_" + strings.Repeat("one", 30)
	two = "ghct_" + strings.Repeat("two", 30)
)

// each calls a function for every tool on every system, with targets that
// differ in what a tool may treat differently.
func each(t *testing.T, do func(t *testing.T, tool login.Tool, p login.Environment, to login.Target)) {
	for _, tool := range tools.All() {
		for _, goos := range []string{"linux", "darwin", "windows"} {
			t.Run(tool.Name+"/"+goos, func(t *testing.T) {
				t.Parallel() // most of it waits for the disk
				all := variants(t, tool)
				if goos != "linux" { // which differs from the others in its paths alone
					all = all[:1]
				}
				for _, to := range all {
					if p := environment(t, goos); possible(t, tool, p, to) {
						do(t, tool, p, to)
					}
				}
			})
		}
	}
}

// possible reports whether a tool can be logged in this way. Some tools cannot
// have two repositories side by side; their error says what to do instead.
func possible(t *testing.T, tool login.Tool, p login.Environment, to login.Target) bool {
	t.Helper()
	all, err := tool.Edits(to, p)
	for _, e := range all {
		if err == nil {
			_, err = e.Apply(nil)
		}
	}
	if err != nil && (to.Placement != login.Add || len(to.Scopes) > 0) {
		t.Fatal(err)
	}
	return err == nil
}

func variants(t *testing.T, tool login.Tool) []login.Target {
	t.Helper()
	all := []login.Target{target(t, tool, 1, one), target(t, tool, 2, one)}
	if tool.Format != "" {
		beside := target(t, tool, 1, one)
		beside.Placement = login.Add
		all = append(all, beside)
	}
	if tool.Format == "npm" || tool.Format == "swift" {
		scoped := target(t, tool, 2, one)
		scoped.Scopes = []string{"@acme", "@team"}
		beside := scoped
		beside.Placement = login.Add
		all = append(all, scoped, beside)
	}
	if tool.Secret == login.StoredOrEnv {
		referred := target(t, tool, 1, one)
		referred.Variable = "CODEARTIFACT_AUTH_TOKEN"
		all = append(all, referred)
	}
	return all
}

// texts returns the files after the edits, by their paths, starting from the
// given ones.
func texts(t *testing.T, edits []login.Edit, from map[string][]byte) map[string][]byte {
	t.Helper()
	after := maps.Clone(from)
	for _, e := range edits {
		text, err := e.Apply(after[e.Path])
		if err != nil {
			t.Fatalf("%s: %v", e.Path, err)
		}
		after[e.Path] = text
	}
	return after
}

func removed(t *testing.T, edits []login.Edit, from map[string][]byte) map[string][]byte {
	t.Helper()
	after := maps.Clone(from)
	for _, e := range slices.Backward(edits) {
		text, err := e.Remove(after[e.Path])
		if err != nil {
			t.Fatalf("%s: %v", e.Path, err)
		}
		after[e.Path] = text
	}
	return after
}

func edits(t *testing.T, tool login.Tool, p login.Environment, to login.Target) []login.Edit {
	t.Helper()
	all, err := tool.Edits(to, p)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("nothing changes")
	}
	return all
}

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, tool := range tools.All() {
		if tool.Name == "" || strings.ToLower(tool.Name) != tool.Name || seen[tool.Name] || len(tool.Programs) == 0 {
			t.Errorf("%+v", tool)
		}
		seen[tool.Name] = true
	}
}

// Applying an edit a second time changes nothing, also after another
// repository's.
func TestApply_Idempotent(t *testing.T) {
	each(t, func(t *testing.T, tool login.Tool, p login.Environment, to login.Target) {
		mine, others := edits(t, tool, p, to), edits(t, tool, p, target(t, tool, 3, one))
		for name, from := range map[string]map[string][]byte{"nothing": {}, "another": texts(t, others, map[string][]byte{})} {
			once := texts(t, mine, from)
			if twice := texts(t, mine, once); !maps.EqualFunc(once, twice, bytes.Equal) {
				t.Errorf("after %s: %q became %q", name, once, twice)
			}
		}
	})
}

// Remove finds what Apply wrote by its names, whatever the token was.
func TestRemove_LeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, tool login.Tool, p login.Environment, to login.Target) {
		mine := edits(t, tool, p, to)
		later := to
		if later.Token.Password = two; tool.Secret == login.FromHelper {
			later.Token = authtoken.Token{}
		}
		left := removed(t, edits(t, tool, p, later), texts(t, mine, map[string][]byte{}))
		for path, text := range left {
			for _, ours := range []string{one, two, to.Endpoint.Host, to.Variable} {
				if ours != "" && bytes.Contains(text, []byte(ours)) {
					t.Errorf("%s has %s: %q", path, ours, text)
				}
			}
		}
		if again := removed(t, mine, left); !maps.EqualFunc(again, left, bytes.Equal) {
			t.Errorf("%q became %q", left, again)
		}
	})
}

// A secret is only in files that are private to the person, and never in a
// project's.
func TestEdits_SecretFilesArePrivate(t *testing.T) {
	each(t, func(t *testing.T, tool login.Tool, p login.Environment, to login.Target) {
		held := false
		for _, e := range edits(t, tool, p, to) {
			if !filepath.IsAbs(e.Path) {
				t.Errorf("%s is not absolute", e.Path)
			}
			text, err := e.Apply(nil)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(text, []byte(one)) {
				continue
			}
			held = true
			if e.Mode != 0o600 {
				t.Errorf("%s is of mode %v", e.Path, e.Mode)
			}
			if strings.HasPrefix(e.Path, p.Dir+string(filepath.Separator)) {
				t.Errorf("%s is in the project", e.Path)
			}
		}
		if held && (tool.Secret == login.FromHelper || to.Variable != "") {
			t.Error("the token is in a file")
		}
	})
}

// Logging in and out, in either order with another repository, leaves
// everything as it was.
func TestJournal_LoginLogout(t *testing.T) {
	each(t, func(t *testing.T, tool login.Tool, p login.Environment, to login.Target) {
		j := login.NewJournal(t.TempDir(), p, tools.All())
		before := tree(t, filepath.Dir(p.Home))
		other := target(t, tool, 4, two)
		for _, work := range []login.Work{
			login.Login{Tool: tool, Target: to},
			login.Login{Tool: tool, Target: other},
			login.Login{Tool: tool, Target: to},
			out(tool, to),
			login.Login{Tool: tool, Target: to},
			out(tool, other), out(tool, to),
		} {
			if _, err := j.Do(t.Context(), work); err != nil {
				t.Fatalf("%+v: %v", work, err)
			}
		}
		if after := tree(t, filepath.Dir(p.Home)); !maps.Equal(before, after) {
			t.Errorf("%q\nnot %q", after, before)
		}
	})
}

// Renewing a login changes only the token: no file grows or is created.
func TestJournal_Renewal(t *testing.T) {
	each(t, func(t *testing.T, tool login.Tool, p login.Environment, to login.Target) {
		j := login.NewJournal(t.TempDir(), p, tools.All())
		for i, secret := range []string{one, one, two, one} {
			before := tree(t, filepath.Dir(p.Home))
			to.Token.Password, to.Token.Value = secret, secret
			c, err := j.Do(t.Context(), login.Login{Tool: tool, Target: to})
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				continue
			}
			if len(c.Linked)+len(c.Unlinked) > 0 || i == 1 && len(c.Files) > 0 {
				t.Errorf("login %d: %q", i+1, c.Lines())
			}
			after := tree(t, filepath.Dir(p.Home))
			if !slices.Equal(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after))) {
				t.Errorf("login %d: %q", i+1, c.Lines())
			}
			for path, text := range after {
				if len(text) != len(before[path]) {
					t.Errorf("login %d: %s became %q", i+1, path, text)
				}
			}
		}
	})
}

func out(tool login.Tool, to login.Target) login.Logout {
	return login.Logout{Tool: tool.Name, Match: func(t login.Target) bool { return t.Endpoint.String() == to.Endpoint.String() }}
}

// tree returns every file and folder below a folder.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		all[path] = info.Mode().String()
		if info.Mode().IsRegular() {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			all[path] += " " + string(text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
