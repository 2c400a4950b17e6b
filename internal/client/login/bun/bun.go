// Package bun logs in bun, through the .npmrc that npm reads too. That file has
// the token or a reference to an environment variable, since bun cannot ask a
// helper.
//
// The person's own .bunfig.toml takes precedence over .npmrc:
//
//	[install]
//	registry = "https://registry.example/npm/lib/"
//
//	[install.scopes]
//	acme = { url = "https://registry.example/npm/lib/", token = "…" }
//
// So if it names the registry that login replaces, it gets the new address,
// without a token: bun takes that from .npmrc. A project's bunfig.toml takes
// precedence over both. Login does not change it, since it is committed.
package bun

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/npmrc"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/tomledit"
)

// Tool is bun.
func Tool() login.Tool {
	return login.Tool{
		Name: "bun", Format: "npm", Programs: []string{"bun"}, Secret: login.StoredOrEnv,
		Edits: edits, Addresses: addresses,
		Next: func(t login.Target) string { return npmrc.Next(t, "bun add PACKAGE") },
	}
}

// xdg returns the path of a file in the folder that XDG_CONFIG_HOME names, and
// whether the variable is set.
func xdg(p login.Environment, name string) (string, bool) {
	dir := p.Getenv("XDG_CONFIG_HOME")
	return filepath.Join(p.Absolute(dir), name), dir != ""
}

// bunfig is the person's file. If XDG_CONFIG_HOME is set, bun looks for it only
// there.
func bunfig(p login.Environment) string {
	if path, ok := xdg(p, ".bunfig.toml"); ok {
		return path
	}
	return filepath.Join(p.Home, ".bunfig.toml")
}

// npmrcInstead is the .npmrc in the folder that XDG_CONFIG_HOME names. If it
// exists, bun reads it instead of the one in the home folder.
func npmrcInstead(p login.Environment) (string, bool) {
	if p.Getenv("npm_config_userconfig") != "" || p.Getenv("NPM_CONFIG_USERCONFIG") != "" {
		return "", false
	}
	return xdg(p, ".npmrc")
}

func edits(t login.Target, p login.Environment) ([]login.Edit, error) {
	scopes, err := npmrc.Scopes(t)
	if err != nil {
		return nil, err
	}
	path, err := npmrc.Path(p)
	if err != nil {
		return nil, err
	}
	token, mode := npmrc.Token(t)
	edit, err := npmrc.Edit(path, mode, t, token)
	if err != nil {
		return nil, err
	}
	all := []login.Edit{edit}
	if instead, ok := npmrcInstead(p); ok {
		if edit, err = npmrc.Edit(instead, mode, t, token); err != nil {
			return nil, err
		}
		all = append(all, ifExists(edit))
	}
	return append(all, ifExists(login.Edit{
		Path: bunfig(p), Mode: 0o644,
		Apply:  func(text []byte) ([]byte, error) { return forEachRegistry(text, scopes, t, setAddress) },
		Remove: func(text []byte) ([]byte, error) { return forEachRegistry(text, scopes, t, removeAddress) },
	})), nil
}

// ifExists leaves a file that does not exist as it is.
func ifExists(e login.Edit) login.Edit {
	always := e.Apply
	e.Apply = func(text []byte) ([]byte, error) {
		if text == nil {
			return nil, nil
		}
		return always(text)
	}
	return e
}

// forEachRegistry makes a change to each registry of the text that the target
// replaces: the one for all packages, or those of scopes. A text may write the
// name of a scope with or without its @.
func forEachRegistry(text []byte, scopes []string, t login.Target, change func([]byte, []string, string) ([]byte, error)) (_ []byte, err error) {
	paths := [][]string{{"install", "registry"}}
	if len(scopes) > 0 {
		paths = nil
	}
	for _, scope := range scopes {
		paths = append(paths, []string{"install", "scopes", scope}, []string{"install", "scopes", "@" + scope})
	}
	for _, path := range paths {
		if _, there, err := tomledit.Get(text, path); err != nil {
			return nil, err
		} else if !there {
			continue
		}
		if text, err = change(text, path, t.Endpoint.String()); err != nil {
			return nil, err
		}
	}
	return text, nil
}

func below(path []string, name string) []string { return append(slices.Clone(path), name) }

// addressPath is the path of a registry's address: the registry is either a
// table with a url, or a string.
func addressPath(text []byte, path []string) []string {
	now, _, _ := tomledit.Get(text, path)
	if _, table := now.(map[string]any); table {
		return below(path, "url")
	}
	return path
}

// setAddress gives a registry another address, and removes the credentials,
// which were for the old one.
func setAddress(text []byte, path []string, address string) (_ []byte, err error) {
	url := addressPath(text, path)
	if text, err = tomledit.Set(text, url, address); err != nil || len(url) == len(path) {
		return text, err
	}
	for _, name := range []string{"username", "password", "token"} {
		if text, err = tomledit.Delete(text, below(path, name)); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// removeAddress removes a registry's address if it is this one.
func removeAddress(text []byte, path []string, address string) ([]byte, error) {
	url := addressPath(text, path)
	if now, _, _ := tomledit.Get(text, url); now != address {
		return text, nil
	}
	return tomledit.Delete(text, url)
}

// addresses returns the registries that the project's bunfig.toml, the
// person's, and .npmrc name.
func addresses(p login.Environment, read login.ReadFile) ([]string, error) {
	all, err := npmrc.Addresses(p, read)
	if err != nil {
		return nil, err
	}
	found, err := read.Addresses(registriesIn, filepath.Join(p.Dir, "bunfig.toml"), bunfig(p))
	return login.Unique(append(all, found...)...), err
}

// registriesIn returns the registries that a text names, each as a string or as
// a table.
func registriesIn(text []byte) ([]string, error) {
	registry, _, err := tomledit.Get(text, []string{"install", "registry"})
	if err != nil {
		return nil, err
	}
	all := []any{registry}
	scopes, _, _ := tomledit.Get(text, []string{"install", "scopes"})
	if scopes, ok := scopes.(map[string]any); ok {
		for _, registry := range scopes {
			all = append(all, registry)
		}
	}
	var found []string
	for _, registry := range all {
		if table, ok := registry.(map[string]any); ok {
			registry = table["url"]
		}
		if address, ok := registry.(string); ok && strings.Contains(address, "//") {
			found = append(found, address)
		}
	}
	return found, nil
}
