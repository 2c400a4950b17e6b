// Package pdm logs in PDM. Its configuration has the index and the repository
// to publish to, with the user name and without a password. For the password
// PDM asks Python's library keyring if it is installed beside PDM, and
// otherwise the command keyring; both ask this program.
package pdm

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/python"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/tomledit"
)

// Tool is PDM. The repository replaces the public index, or is added as a
// further source.
func Tool() login.Tool {
	return login.Tool{
		Name: "pdm", Format: "pypi", Programs: []string{"pdm"}, Helper: "keyring", Secret: login.FromHelper,
		Edits: edits, Addresses: addresses,
		Next: func(t login.Target) string { return "pdm add PACKAGE\npdm publish -r " + t.Name },
	}
}

func edits(t login.Target, p login.Environment) ([]login.Edit, error) {
	if t.Name == "pypi" || t.Name == "testpypi" {
		return nil, fmt.Errorf("%s is a repository that PDM already has: choose another --name", t.Name)
	}
	edit := login.Edit{
		Path: file(p), Mode: 0o644,
		Apply:  func(text []byte) ([]byte, error) { return apply(text, t) },
		Remove: func(text []byte) ([]byte, error) { return remove(text, t) },
	}
	if python.KeyringChosen(p) != nil { // the library is not asked, but the command may be
		return []login.Edit{edit}, nil
	}
	return append([]login.Edit{edit}, python.Keyring(p)...), nil
}

// file is the person's own configuration (PDM's documentation, Configure PDM).
func file(p login.Environment) string {
	switch path := p.Getenv("PDM_CONFIG_FILE"); {
	case path != "":
		return p.Absolute(path)
	case p.GOOS == "windows":
		return filepath.Join(python.LocalAppData(p), "pdm", "pdm", "config.toml")
	}
	return filepath.Join(python.PlatformConfig(p), "pdm", "config.toml")
}

// A setting is one key and its value.
type setting struct {
	path  []string
	value any
}

// source is the table of an index: [pypi] replaces the public one.
func source(t login.Target) []string {
	if t.Placement == login.Add {
		return []string{"pypi", t.Name}
	}
	return []string{"pypi"}
}

func settings(t login.Target) []setting {
	index, repository := source(t), []string{"repository", t.Name}
	all := []setting{
		{below(index, "url"), python.Index(t)},
		{below(index, "username"), python.Username},
		{below(repository, "url"), python.Upload(t)},
		{below(repository, "username"), python.Username},
	}
	if python.Untrusted(t) != "" {
		all = append(all, setting{below(index, "verify_ssl"), false})
	}
	return all
}

func below(table []string, key string) []string {
	return append(table[:len(table):len(table)], key)
}

func apply(text []byte, t login.Target) (_ []byte, err error) {
	for _, table := range [][]string{source(t), {"repository", t.Name}} { // a stored password would be used instead of asking
		if text, err = tomledit.Delete(text, below(table, "password")); err != nil {
			return nil, err
		}
	}
	for _, s := range settings(t) {
		if text, err = tomledit.Set(text, s.path, s.value); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// remove removes a table's settings if it has the address that login wrote.
func remove(text []byte, t login.Target) (_ []byte, err error) {
	ours := map[string]bool{}
	for _, s := range settings(t) {
		table := strings.Join(s.path[:len(s.path)-1], ".")
		now, _, err := tomledit.Get(text, s.path)
		if err != nil {
			return nil, err
		}
		if s.path[len(s.path)-1] == "url" {
			ours[table] = now == s.value
		}
		if !ours[table] || now != s.value {
			continue
		}
		if text, err = tomledit.Delete(text, s.path); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// addresses returns the addresses of the person's configuration, and of the
// sources of the project in the working folder.
func addresses(p login.Environment, read login.ReadFile) ([]string, error) {
	url := []string{"url"}
	return python.Addresses(read, []python.Setting{
		{File: file(p), Path: []string{"pypi"}, Keys: url},
		{File: file(p), Path: []string{"repository"}, Keys: url},
		{File: filepath.Join(p.Dir, "pyproject.toml"), Path: []string{"tool", "pdm", "source"}, Keys: url},
	}, p.Getenv("PDM_PYPI_URL"))
}
