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
// begin with # are comments; one that begins with ! cannot be read.

// pot holds its token. Its default is the last repository that it was logged in
// to.
func pot() login.Tool {
	return login.Tool{
		Name: "pot", Format: "npm", Programs: []string{"pot"}, Secret: login.Stored,
		Edits: func(t login.Target, p login.Environment) ([]login.Edit, error) {
			path := p.Getenv("POTRC")
			if path == "" {
				path = filepath.Join(p.Home, ".config", "pot", "potrc")
			}
			return []login.Edit{set(path, 0o600,
				[2]string{"default", t.Endpoint.String()},
				[2]string{"token." + t.Endpoint.String(), t.Token.Password},
				[2]string{"always-auth", "true"},
			)}, nil
		},
	}
}

// kettle asks a helper.
func kettle() login.Tool {
	return login.Tool{
		Name: "kettle", Helper: "kettle-credential-gatehouse", Secret: login.FromHelper,
		Edits: func(t login.Target, p login.Environment) ([]login.Edit, error) {
			return []login.Edit{
				set(filepath.Join(p.Home, ".kettle"), 0o644, [2]string{"helper." + t.Endpoint.Host, "gatehouse"}, [2]string{"ask", "true"}),
				set(filepath.Join(p.Home, ".config", "pot", "potrc"), 0o644, [2]string{"default", t.Endpoint.String()}),
			}, nil
		},
	}
}

// set changes the first line of each key, or adds one at the end.
func set(path string, mode fs.FileMode, pairs ...[2]string) login.Edit {
	return login.Edit{
		Path: path, Mode: mode,
		Apply: func(text []byte) ([]byte, error) {
			if err := readable(text); err != nil {
				return nil, err
			}
			for _, p := range pairs {
				text = setLine(text, p[0], p[1])
			}
			return text, nil
		},
		Remove: func(text []byte) ([]byte, error) {
			if err := readable(text); err != nil {
				return nil, err
			}
			for _, p := range pairs {
				text = dropLine(text, p[0], p[1])
			}
			return text, nil
		},
	}
}

func readable(text []byte) error {
	n := 0
	for line := range bytes.Lines(text) {
		if n++; line[0] == '!' {
			return fmt.Errorf("line %d: unexpected !", n)
		}
	}
	return nil
}

// keyed returns the key and the value of a line.
func keyed(line string) (key, value string) {
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
		if k, v := keyed(line); k == key {
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

// dropLine removes a key that has the value, or any value if it is a token's.
func dropLine(text []byte, key, value string) []byte {
	return []byte(strings.Join(slices.DeleteFunc(strings.SplitAfter(string(text), "\n"), func(line string) bool {
		k, v := keyed(line)
		return k == key && (v == value || strings.HasPrefix(key, "token."))
	}), ""))
}

// A world is a person's home.
type world struct {
	t       testing.TB
	home    string
	env     map[string]string
	places  login.Environment
	tools   []login.Tool
	journal *login.Journal
}

func newWorld(t testing.TB, dir string) *world {
	w := &world{t: t, home: filepath.Join(dir, "home"), env: map[string]string{}, tools: []login.Tool{pot(), kettle()}}
	program := filepath.Join(dir, "opt", "gatehouse")
	w.write(program, "#!/bin/sh\n", 0o755)
	if err := os.MkdirAll(w.home, 0o755); err != nil {
		t.Fatal(err)
	}
	w.env["PATH"] = filepath.Join(w.home, ".local", "bin")
	w.places = login.Environment{
		Home: w.home, Dir: w.home, GOOS: "linux", Program: program,
		Getenv: func(name string) string { return w.env[name] },
	}
	w.journal = login.NewJournal(w.state(), w.places, w.tools)
	return w
}

func (w *world) state() string { return filepath.Join(filepath.Dir(w.home), "state") }

func (w *world) path(name string) string { return filepath.Join(w.home, name) }

func (w *world) write(path, text string, mode fs.FileMode) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(path string) string {
	w.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// tree is everything in the home: files with their modes, links and folders.
func (w *world) tree() map[string]string {
	w.t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(w.home, func(path string, d fs.DirEntry, err error) error {
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
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			value += " " + target
		case info.Mode().IsRegular():
			value += " " + w.read(path)
		}
		all[strings.TrimPrefix(path, w.home)] = value
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// target is a repository whose token is made of a name.
func target(repository, token string) login.Target {
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

func (w *world) login(tool login.Tool, t login.Target) login.Changes {
	w.t.Helper()
	c, err := w.journal.Do(w.t.Context(), login.Login{Tool: tool, Target: t})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) logout(tool, repository string) login.Changes {
	w.t.Helper()
	c, err := w.journal.Do(w.t.Context(), only(tool, repository))
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func only(tool, repository string) login.Logout {
	return login.Logout{Tool: tool, Match: func(t login.Target) bool { return t.Repository == repository }}
}
