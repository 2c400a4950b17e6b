// Package bun logs bun in, by the .npmrc that npm reads too: it has the token, or
// a reference to an environment variable. bun cannot ask a helper.
//
// What the person's own .bunfig.toml says of a registry,
//
//	[install]
//	registry = "https://registry.example/npm/lib/"
//
//	[install.scopes]
//	acme = { url = "https://registry.example/npm/lib/", token = "…" }
//
// goes before what .npmrc says of it. So where it names the registry that is to
// be another one, it gets the new one's address there, and no token: bun takes it
// from .npmrc. A project's bunfig.toml wins over all of it, and is left alone: it
// is committed.
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

// xdg is a file of the person's in the folder that XDG_CONFIG_HOME names, and
// whether it names one.
func xdg(p login.Environment, name string) (string, bool) {
	dir := p.Getenv("XDG_CONFIG_HOME")
	return filepath.Join(p.Absolute(dir), name), dir != ""
}

// bunfig is the person's file. Where XDG_CONFIG_HOME is set, bun looks for it
// nowhere else.
func bunfig(p login.Environment) string {
	if path, ok := xdg(p, ".bunfig.toml"); ok {
		return path
	}
	return filepath.Join(p.Home, ".bunfig.toml")
}

// npmrcInstead is the .npmrc in the folder that XDG_CONFIG_HOME names, which bun
// reads, if it is there, instead of the one in the home folder.
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
		all = append(all, whereThere(edit))
	}
	return append(all, whereThere(login.Edit{
		Path: bunfig(p), Mode: 0o644,
		Apply:  func(text []byte) ([]byte, error) { return each(text, scopes, t, readdress) },
		Remove: func(text []byte) ([]byte, error) { return each(text, scopes, t, forget) },
	})), nil
}

// whereThere leaves a file that is not there as it is.
func whereThere(e login.Edit) login.Edit {
	always := e.Apply
	e.Apply = func(text []byte) ([]byte, error) {
		if text == nil {
			return nil, nil
		}
		return always(text)
	}
	return e
}

// each makes a change to whatever a text says about the registries that the
// target is to be: that of all packages, or those of scopes, whose names a text
// may write with their @.
func each(text []byte, scopes []string, t login.Target, change func([]byte, []string, string) ([]byte, error)) (_ []byte, err error) {
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

// where is the path of a registry's address, which is a table's url or stands
// alone.
func where(text []byte, path []string) []string {
	now, _, _ := tomledit.Get(text, path)
	if _, table := now.(map[string]any); table {
		return below(path, "url")
	}
	return path
}

// readdress gives a registry another address, and takes out the credentials,
// which were for the former one.
func readdress(text []byte, path []string, address string) (_ []byte, err error) {
	url := where(text, path)
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

// forget takes out a registry's address if it is that one.
func forget(text []byte, path []string, address string) ([]byte, error) {
	url := where(text, path)
	if now, _, _ := tomledit.Get(text, url); now != address {
		return text, nil
	}
	return tomledit.Delete(text, url)
}

// addresses are the registries that the project's bunfig.toml and the person's
// name, and those of .npmrc.
func addresses(p login.Environment, read login.ReadFile) ([]string, error) {
	all, err := npmrc.Addresses(p, read)
	if err != nil {
		return nil, err
	}
	found, err := read.Addresses(named, filepath.Join(p.Dir, "bunfig.toml"), bunfig(p))
	return login.Unique(append(all, found...)...), err
}

// named are the registries that a text names, each as an address or as a table.
func named(text []byte) ([]string, error) {
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
