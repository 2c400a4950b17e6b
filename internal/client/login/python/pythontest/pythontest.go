// Package pythontest checks the logins of Python's tools as functions of texts.
package pythontest

import (
	"io/fs"
	"net/url"
	"slices"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
)

// Repository and Index are the addresses of [Target].
const (
	Repository = "https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/pypi/lib/"
	Index      = "https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/pypi/lib/simple/"
	Asking     = "https://aws@acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/pypi/lib/simple/"
)

// Insecure is the address of a repository without TLS.
const Insecure = "http://gate.example:4283/codeartifact/eu-west-1/111122223333/acme/pypi/lib/"

// Target is the repository lib of the domain acme.
func Target(t testing.TB, address string, placement login.Placement) login.Target {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return login.Target{Endpoint: u, Name: "acme-lib", Placement: placement}
}

// Environment is a person's environment on an operating system.
func Environment(goos string, env map[string]string) login.Environment {
	return login.Environment{
		Home: "/home/ada", Dir: "/src/app", GOOS: goos, Program: "/opt/gatehouse",
		Getenv: func(name string) string { return env[name] },
	}
}

// A Case is a text before and after a login.
type Case struct {
	Address       string // "" is Repository
	Placement     login.Placement
	Before, After string
	// Left is what the login's Remove leaves of After; "same" stands for Before.
	Left string
}

// Edit checks the tool's first edit: Apply turns Before into After and does not
// change After, Remove turns After into Left and does not change Left.
func (c Case) Edit(t *testing.T, tool login.Tool) {
	t.Helper()
	if c.Address == "" {
		c.Address = Repository
	}
	if c.Left == "same" {
		c.Left = c.Before
	}
	edits, err := tool.Edits(Target(t, c.Address, c.Placement), Environment("linux", nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name       string
		do         func([]byte) ([]byte, error)
		text, want string
	}{
		{"login", edits[0].Apply, c.Before, c.After},
		{"login again", edits[0].Apply, c.After, c.After},
		{"logout", edits[0].Remove, c.After, c.Left},
		{"logout again", edits[0].Remove, c.Left, c.Left},
	} {
		got, err := step.do([]byte(step.text))
		if err != nil || string(got) != step.want {
			t.Fatalf("%s: %v\n%s\nwant:\n%s", step.name, err, got, step.want)
		}
	}
}

// Files checks the paths of the tool's edits.
func Files(t *testing.T, tool login.Tool, p login.Environment, want ...string) {
	t.Helper()
	edits, err := tool.Edits(Target(t, Repository, login.Replace), p)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range edits {
		got = append(got, e.Path)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Addresses checks what the tool finds in files.
func Addresses(t *testing.T, tool login.Tool, p login.Environment, files map[string]string, want ...string) {
	t.Helper()
	read := func(path string) ([]byte, error) {
		if text, ok := files[path]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	}
	got, err := tool.Addresses(p, read)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	for path := range files {
		broken := func(string) ([]byte, error) { return []byte("=\n"), nil }
		if _, err := tool.Addresses(p, broken); err == nil {
			t.Errorf("%s: a file that cannot be read was read", path)
		}
	}
}
