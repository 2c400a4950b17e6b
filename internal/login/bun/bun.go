// Package bun logs bun in, by the person's .bunfig.toml:
//
//	[install.registry]
//	url = "https://registry.example/npm/lib/"
//	token = "…"
//
// and the like in install.scopes for each scope. It has the token, or a reference
// to an environment variable; where that is not set, bun sends no token. bun
// cannot ask a helper.
//
// bun reads .npmrc as well, but what its own file says goes first. A project's
// bunfig.toml wins over the person's, and is left alone: it is committed.
package bun

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/login"
	"github.com/gatehouse-registry/gatehouse/internal/login/npmrc"
	"github.com/gatehouse-registry/gatehouse/internal/textedit/toml"
)

// Tool is bun.
func Tool() login.Tool {
	return login.Tool{
		Name: "bun", Format: "npm", Programs: []string{"bun"}, Secret: login.HeldOrReferred,
		Edits: edits, Addresses: addresses,
		Next: func(t login.Target) string { return npmrc.Next(t, "bun add PACKAGE") },
	}
}

// bunfig is the person's file. Where XDG_CONFIG_HOME is set, bun looks nowhere
// else.
func bunfig(p login.Places) string {
	dir := p.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		dir = p.Home
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(p.Dir, dir)
	}
	return filepath.Join(dir, ".bunfig.toml")
}

func edits(t login.Target, p login.Places) ([]login.Edit, error) {
	scopes, err := npmrc.Scopes(t)
	if err != nil {
		return nil, err
	}
	token, mode := t.Token.Password, fs.FileMode(0o600)
	if t.Variable != "" {
		token, mode = "$"+t.Variable, 0o644
	}
	return []login.Edit{{
		Path: bunfig(p), Mode: mode,
		Apply: func(text []byte) (_ []byte, err error) {
			for _, registry := range registries(text, scopes) {
				if text, err = point(text, registry, t.Endpoint.String(), token); err != nil {
					return nil, err
				}
			}
			return text, nil
		},
		Remove: func(text []byte) (_ []byte, err error) {
			for _, registry := range registries(text, scopes) {
				if text, err = forget(text, registry, t.Endpoint.String()); err != nil {
					return nil, err
				}
			}
			return text, nil
		},
	}}, nil
}

// registries are the paths of what names a registry: for all packages, or for
// each scope, whose name a text may write with its @.
func registries(text []byte, scopes []string) [][]string {
	var paths [][]string
	for _, scope := range scopes {
		path := []string{"install", "scopes", "@" + scope}
		if _, there, _ := toml.Get(text, path); !there {
			path[2] = scope
		}
		paths = append(paths, path)
	}
	if len(paths) == 0 {
		paths = [][]string{{"install", "registry"}}
	}
	return paths
}

func below(path []string, name string) []string { return append(slices.Clone(path), name) }

// point names a registry and its token.
func point(text []byte, path []string, address, token string) (_ []byte, err error) {
	now, _, err := toml.Get(text, path)
	if err != nil {
		return nil, err
	}
	if _, table := now.(map[string]any); !table { // an address alone, or nothing
		if text, err = toml.Delete(text, path); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"username", "password"} { // another registry's
		if text, err = toml.Delete(text, below(path, name)); err != nil {
			return nil, err
		}
	}
	if text, err = toml.Set(text, below(path, "url"), address); err != nil {
		return nil, err
	}
	return toml.Set(text, below(path, "token"), token)
}

// forget takes out a registry that is the one at an address.
func forget(text []byte, path []string, address string) (_ []byte, err error) {
	now, _, err := toml.Get(text, below(path, "url"))
	if err != nil || now != address {
		return text, err
	}
	if text, err = toml.Delete(text, below(path, "token")); err != nil {
		return nil, err
	}
	return toml.Delete(text, below(path, "url"))
}

// addresses are the registries that the project's file and the person's name,
// and those of .npmrc.
func addresses(p login.Places, read login.ReadFile) ([]string, error) {
	all, err := npmrc.Addresses(p, read)
	if err != nil {
		return nil, err
	}
	for _, path := range []string{filepath.Join(p.Dir, "bunfig.toml"), bunfig(p)} {
		text, err := read(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found, err := named(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, found...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// named are the registries that a text names, each as an address or as a table.
func named(text []byte) ([]string, error) {
	registry, _, err := toml.Get(text, []string{"install", "registry"})
	if err != nil {
		return nil, err
	}
	all := []any{registry}
	scopes, _, _ := toml.Get(text, []string{"install", "scopes"})
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
