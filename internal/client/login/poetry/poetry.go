// Package poetry logs in Poetry. Its configuration has the repository to
// publish to, and it asks Python's keyring for the password, also to install.
//
// In Poetry the sources of packages are part of a project. A person has no
// index of their own. The project's source needs no user name and no password.
package poetry

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/python"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/tomledit"
)

// Tool is Poetry. The project's source decides whether the repository replaces
// the public index or is added to it.
func Tool() login.Tool {
	return login.Tool{
		Name: "poetry", Format: "pypi", Programs: []string{"poetry"}, Secret: login.FromHelper,
		Edits: edits, Addresses: addresses, Next: next,
	}
}

func next(t login.Target) string {
	priority := "primary"
	if t.Placement == login.Add {
		priority = "supplemental"
	}
	return fmt.Sprintf("poetry source add --priority=%s %s %s\npoetry publish -r %s", priority, t.Name, python.Index(t), t.Name)
}

func edits(t login.Target, p login.Environment) ([]login.Edit, error) {
	if t.Name == "pypi" {
		return nil, errors.New("pypi is a repository that Poetry already has: choose another --name")
	}
	if off := strings.ToLower(p.Getenv("POETRY_KEYRING_ENABLED")); off == "false" || off == "0" {
		return nil, errors.New("POETRY_KEYRING_ENABLED keeps Poetry from asking for passwords: unset it, or use gatehouse exec")
	}
	if err := python.KeyringChosen(p); err != nil {
		return nil, err
	}
	repository := []string{"repositories", t.Name, "url"}
	return append([]login.Edit{
		{
			Path: filepath.Join(folder(p), "config.toml"), Mode: 0o644,
			Apply: func(text []byte) ([]byte, error) {
				if enabled, _, _ := tomledit.Get(text, []string{"keyring", "enabled"}); enabled == false {
					return nil, errors.New("keyring.enabled keeps Poetry from asking for passwords: poetry config keyring.enabled true, or use gatehouse exec")
				}
				return tomledit.Set(text, repository, python.Upload(t))
			},
			Remove: func(text []byte) ([]byte, error) { return forget(text, repository, python.Upload(t)) },
		},
		{
			Path: filepath.Join(folder(p), "auth.toml"), Mode: 0o600,
			Apply: func(text []byte) ([]byte, error) { // a stored password would be used instead of asking
				return tomledit.Delete(text, []string{"http-basic", t.Name, "password"})
			},
			Remove: func(text []byte) ([]byte, error) { return text, nil },
		},
	}, python.Keyring(p)...), nil
}

// folder is Poetry's configuration folder (Poetry's documentation,
// Configuration).
func folder(p login.Environment) string {
	switch dir := p.Getenv("POETRY_CONFIG_DIR"); {
	case dir != "":
		return p.Absolute(dir)
	case p.GOOS == "windows":
		return filepath.Join(python.RoamingAppData(p), "pypoetry")
	}
	return filepath.Join(python.PlatformConfig(p), "pypoetry")
}

// forget removes a value if it is the one that login wrote.
func forget(text []byte, path []string, value string) ([]byte, error) {
	if now, _, err := tomledit.Get(text, path); err != nil || now != value {
		return text, err
	}
	return tomledit.Delete(text, path)
}

// addresses returns the repositories to publish to, and the sources of the
// project in the working folder.
func addresses(p login.Environment, read login.ReadFile) ([]string, error) {
	url := []string{"url"}
	return python.Addresses(read, []python.Setting{
		{File: filepath.Join(folder(p), "config.toml"), Path: []string{"repositories"}, Keys: url},
		{File: filepath.Join(p.Dir, "pyproject.toml"), Path: []string{"tool", "poetry", "source"}, Keys: url},
	})
}
