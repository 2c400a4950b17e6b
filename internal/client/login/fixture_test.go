package login_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
)

// The tools of these tests read files with lines of "key = value". Lines that
// begin with # are comments; a line that begins with ! cannot be read.

// storingTool stores its token. Its default is the repository that it was
// logged in to last.
func storingTool() login.Tool {
	return login.Tool{
		Name: "storing", Format: "npm", Programs: []string{"storing"}, Secret: login.Stored,
		Edits: func(t login.Target, p login.Environment) ([]login.Edit, error) {
			path := p.Getenv("POTRC")
			if path == "" {
				path = filepath.Join(p.Home, ".config", "storing", "storingrc")
			}
			return []login.Edit{set(path, 0o600,
				[2]string{"default", t.Endpoint.String()},
				[2]string{"token." + t.Endpoint.String(), t.Token.Password},
				[2]string{"always-auth", "true"},
			)}, nil
		},
	}
}

// askingTool asks a helper.
func askingTool() login.Tool {
	return login.Tool{
		Name: "asking", Helper: "asking-credential-gatehouse", Secret: login.FromHelper,
		Edits: func(t login.Target, p login.Environment) ([]login.Edit, error) {
			return []login.Edit{
				set(filepath.Join(p.Home, ".asking"), 0o644, [2]string{"helper." + t.Endpoint.Host, "gatehouse"}, [2]string{"ask", "true"}),
				set(filepath.Join(p.Home, ".config", "storing", "storingrc"), 0o644, [2]string{"default", t.Endpoint.String()}),
			}, nil
		},
	}
}

// set changes the first line of each key, or adds one at the end.
func set(path string, mode fs.FileMode, pairs ...[2]string) login.Edit {
	return login.Edit{
		Path: path, Mode: mode,
		Apply: func(text []byte) ([]byte, error) {
			if err := checkReadable(text); err != nil {
				return nil, err
			}
			for _, p := range pairs {
				text = setLine(text, p[0], p[1])
			}
			return text, nil
		},
		Remove: func(text []byte) ([]byte, error) {
			if err := checkReadable(text); err != nil {
				return nil, err
			}
			for _, p := range pairs {
				text = dropLine(text, p[0], p[1])
			}
			return text, nil
		},
	}
}

func checkReadable(text []byte) error {
	n := 0
	for line := range bytes.Lines(text) {
		if n++; line[0] == '!' {
			return fmt.Errorf("line %d: unexpected !", n)
		}
	}
	return nil
}

// parseLine returns the key and the value of a line.
func parseLine(line string) (key, value string) {
	key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
	if !ok || line[0] == '#' {
		return "", ""
	}
	return strings.TrimSpace(key), strings.TrimSpace(value)
}

func setLine(text []byte, key, value string) []byte {
	end := "\n"
	if bytes.Contains(text, []byte("\r\n")) {
		end = "\r\n"
	}
	lines := strings.SplitAfter(string(text), "\n")
	for i, line := range lines {
		if k, v := parseLine(line); k == key {
			if v != value {
				lines[i] = key + " = " + value + line[len(strings.TrimRight(line, "\r\n")):]
			}
			return []byte(strings.Join(lines, ""))
		}
	}
	if last := lines[len(lines)-1]; last != "" {
		lines = append(lines, end)
	}
	return []byte(strings.Join(lines, "") + key + " = " + value + end)
}

// dropLine removes a key if it has the value. An empty value matches any token.
func dropLine(text []byte, key, value string) []byte {
	return []byte(strings.Join(slices.DeleteFunc(strings.SplitAfter(string(text), "\n"), func(line string) bool {
		k, v := parseLine(line)
		return k == key && (v == value || strings.HasPrefix(key, "token."))
	}), ""))
}

// A fixture is a person's home folder with a journal.
type fixture struct {
	t       testing.TB
	home    string
	env     map[string]string
	places  login.Environment
	tools   []login.Tool
	journal *login.Journal
}

func newFixture(t testing.TB, dir string) *fixture {
	fx := &fixture{t: t, home: filepath.Join(dir, "home"), env: map[string]string{}, tools: []login.Tool{storingTool(), askingTool()}}
	program := filepath.Join(dir, "opt", "gatehouse")
	fx.write(program, "#!/bin/sh\n", 0o755)
	if err := os.MkdirAll(fx.home, 0o755); err != nil {
		t.Fatal(err)
	}
	fx.env["PATH"] = filepath.Join(fx.home, ".local", "bin")
	fx.places = login.Environment{
		Home: fx.home, Dir: fx.home, GOOS: "linux", Program: program,
		Getenv: func(name string) string { return fx.env[name] },
	}
	fx.journal = login.NewJournal(fx.state(), fx.places, fx.tools)
	return fx
}

func (fx *fixture) state() string { return filepath.Join(filepath.Dir(fx.home), "state") }

func (fx *fixture) path(name string) string { return filepath.Join(fx.home, name) }

func (fx *fixture) write(path, text string, mode fs.FileMode) {
	fx.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		fx.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		fx.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		fx.t.Fatal(err)
	}
}

func (fx *fixture) read(path string) string {
	fx.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		fx.t.Fatal(err)
	}
	return string(text)
}

// tree returns everything in the home: files with their modes, links and
// folders.
func (fx *fixture) tree() map[string]string {
	fx.t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(fx.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		value := info.Mode().String()
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			fakeTarget, err := os.Readlink(path)
			if err != nil {
				return err
			}
			value += " " + fakeTarget
		case info.Mode().IsRegular():
			value += " " + fx.read(path)
		}
		all[strings.TrimPrefix(path, fx.home)] = value
		return nil
	})
	if err != nil {
		fx.t.Fatal(err)
	}
	return all
}

// fakeTarget is a repository whose token is made from a name.
func fakeTarget(repository, token string) login.Target {
	u, err := url.Parse("https://gate.example/codeartifact/us-east-1/111122223333/acme/npm/" + repository + "/")
	if err != nil {
		panic(err)
	}
	secret := "ghct_" + token + strings.Repeat("x", 60)
	return login.Target{
		Endpoint: u, Name: "acme-" + repository, Domain: "acme", Owner: "111122223333", Repository: repository, Region: "us-east-1",
		Token: authtoken.Token{Username: "aws", Password: secret, Value: secret, Type: "Bearer", Expires: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)},
	}
}

func (fx *fixture) login(tool login.Tool, t login.Target) login.Changes {
	fx.t.Helper()
	c, err := fx.journal.Do(fx.t.Context(), login.Login{Tool: tool, Target: t})
	if err != nil {
		fx.t.Fatal(err)
	}
	return c
}

func (fx *fixture) logout(tool, repository string) login.Changes {
	fx.t.Helper()
	c, err := fx.journal.Do(fx.t.Context(), logoutOf(tool, repository))
	if err != nil {
		fx.t.Fatal(err)
	}
	return c
}

func logoutOf(tool, repository string) login.Logout {
	return login.Logout{Tool: tool, Match: func(t login.Target) bool { return t.Repository == repository }}
}
