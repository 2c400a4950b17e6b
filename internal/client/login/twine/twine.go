// Package twine logs in twine. .pypirc has the repository and the user name and
// no password. Twine asks Python's keyring for it.
package twine

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/python"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/iniedit"
)

// Tool is twine. A repository is always one of several, and is named for each
// upload.
func Tool() login.Tool {
	return login.Tool{
		Name: "twine", Format: "pypi", Programs: []string{"twine"}, Secret: login.FromHelper,
		Edits: edits, Addresses: addresses,
		Next: func(t login.Target) string { return "twine upload -r " + t.Name + " dist/*" },
	}
}

// .pypirc lists the repositories that have a section (Python Packaging User
// Guide, The .pypirc file). Without a list twine knows these two.
const (
	distutils = "distutils"
	servers   = "index-servers"
	known     = "pypi\ntestpypi"
)

func edits(t login.Target, p login.Environment) ([]login.Edit, error) {
	if t.Name == "pypi" || t.Name == "testpypi" || t.Name == distutils {
		return nil, fmt.Errorf("%s is a repository that twine already has: choose another --name", t.Name)
	}
	if err := python.KeyringChosen(p); err != nil {
		return nil, err
	}
	return append([]login.Edit{{
		Path: file(p), Mode: 0o600, // other repositories in it have passwords
		Apply:  func(text []byte) ([]byte, error) { return apply(text, t) },
		Remove: func(text []byte) ([]byte, error) { return remove(text, t) },
	}}, python.Keyring(p)...), nil
}

func file(p login.Environment) string { return filepath.Join(p.Home, ".pypirc") }

func apply(text []byte, t login.Target) (_ []byte, err error) {
	list, ok := iniedit.Get(text, distutils, servers)
	if !ok {
		list = "\n" + known
	}
	if text, err = iniedit.Set(text, distutils, servers, python.With(list, t.Name)); err != nil {
		return nil, err
	}
	if _, held := iniedit.Get(text, t.Name, "password"); held { // it would be used instead of asking
		if text, err = iniedit.Delete(text, t.Name, "password"); err != nil {
			return nil, err
		}
	}
	if text, err = iniedit.Set(text, t.Name, "repository", python.Upload(t)); err != nil {
		return nil, err
	}
	return iniedit.Set(text, t.Name, "username", python.Username)
}

func remove(text []byte, t login.Target) (_ []byte, err error) {
	if now, _ := iniedit.Get(text, t.Name, "repository"); now != python.Upload(t) {
		return text, nil
	}
	for _, key := range []string{"repository", "username"} {
		if text, err = iniedit.Delete(text, t.Name, key); err != nil {
			return nil, err
		}
	}
	if rest, err := iniedit.Python.Entries(text); err != nil || slices.ContainsFunc(rest, func(e iniedit.Entry) bool { return e.Section == t.Name }) {
		return text, err // it still has a section
	}
	list, _ := iniedit.Get(text, distutils, servers)
	switch left := python.Without(list, t.Name); {
	case left == list:
		return text, nil
	case strings.TrimSpace(left) == known || strings.TrimSpace(left) == "":
		return iniedit.Delete(text, distutils, servers)
	default:
		return iniedit.Set(text, distutils, servers, left)
	}
}

func addresses(p login.Environment, read login.ReadFile) ([]string, error) {
	named := []string{p.Getenv("TWINE_REPOSITORY_URL")}
	text, err := read.Text(file(p))
	if err != nil {
		return nil, err
	}
	entries, err := iniedit.Python.Entries(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file(p), err)
	}
	for _, e := range entries {
		if strings.EqualFold(e.Key, "repository") {
			named = append(named, e.Value)
		}
	}
	return python.Named(named...), nil
}
