// Package npmrc is what npm, pnpm and Yarn 1 have in common: the person's .npmrc,
// which names a registry for all packages and one for each scope, and has the
// credentials of each by its address:
//
//	registry=https://registry.example/npm/lib/
//	@acme:registry=https://registry.example/npm/lib/
//	//registry.example/npm/lib/:_authToken=…
//
// A project's own .npmrc wins over it, and is left alone: it is committed.
//
// References to environment variables, ${NAME}, are replaced when the file is
// read, each tool in its own way where there is no such variable: npm and bun
// send the reference itself, Yarn 1 refuses to do anything, and pnpm ignores the
// whole file, and with it the registry.
package npmrc

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/iniedit"
)

// Path is the person's .npmrc: the one in the home folder, or that which the
// environment names for npm's setting userconfig.
func Path(p login.Environment) (string, error) {
	lower, upper := p.Getenv("npm_config_userconfig"), p.Getenv("NPM_CONFIG_USERCONFIG")
	switch {
	case lower == "":
		lower = upper
	case upper != "" && upper != lower:
		return "", errors.New("npm_config_userconfig and NPM_CONFIG_USERCONFIG name two files, and which of them counts depends on their order: unset one")
	}
	if lower == "" {
		return filepath.Join(p.Home, ".npmrc"), nil
	}
	return p.Absolute(lower), nil
}

// A Setting is one of those that belong to a registry's address.
type Setting struct{ Name, Value string }

// Edit points the tools that read a file at the target, with settings for its
// address. The error says that the target cannot be had beside another one.
func Edit(path string, mode fs.FileMode, t login.Target, settings ...Setting) (login.Edit, error) {
	names, err := Names(t)
	if err != nil {
		return login.Edit{}, err
	}
	return login.Edit{
		Path: path, Mode: mode,
		Apply:  func(text []byte) ([]byte, error) { return apply(text, t, names, settings) },
		Remove: func(text []byte) ([]byte, error) { return remove(text, t, names, settings) },
	}, nil
}

// Scopes are the target's, without their @. The error says that one is none, or
// that there is none for a repository beside another one.
func Scopes(t login.Target) ([]string, error) {
	if len(t.Scopes) == 0 && t.Placement == login.Add {
		return nil, errors.New("there is one registry for all packages without a scope: name the scopes that come from this one with --scope @NAME, or leave --extra out to have every package from it")
	}
	var scopes []string
	for _, s := range t.Scopes {
		if !login.IsScope(s) {
			return nil, fmt.Errorf("%q is no scope: one is written @NAME, with letters, digits and - . _ ~", s)
		}
		scopes = append(scopes, s[1:])
	}
	return scopes, nil
}

// Names are the keys that name the registry. The error is that of [Scopes].
func Names(t login.Target) ([]string, error) {
	scopes, err := Scopes(t)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, s := range scopes {
		names = append(names, "@"+s+":registry")
	}
	if len(names) == 0 {
		names = []string{"registry"}
	}
	return names, nil
}

// Address is what the keys of a registry's settings begin with: its address
// without the scheme, and without the port that the scheme has anyway, as the
// tools compare it.
func Address(t login.Target) string {
	host := strings.ToLower(t.Endpoint.Host)
	if port := map[string]string{"https": ":443", "http": ":80"}[t.Endpoint.Scheme]; port != "" {
		host = strings.TrimSuffix(host, port)
	}
	return "//" + host + t.Endpoint.EscapedPath()
}

func apply(text []byte, t login.Target, names []string, settings []Setting) (_ []byte, err error) {
	for _, name := range names {
		if now, ok := iniedit.NPM.Get(text, "", name); ok && same(now, t) {
			continue
		}
		if text, err = iniedit.NPM.Set(text, "", name, t.Endpoint.String()); err != nil {
			return nil, err
		}
	}
	for _, s := range settings {
		if text, err = iniedit.NPM.Set(text, "", Address(t)+":"+s.Name, s.Value); err != nil {
			return nil, err
		}
	}
	return text, nil
}

func remove(text []byte, t login.Target, names []string, settings []Setting) (_ []byte, err error) {
	for _, name := range names {
		if now, ok := iniedit.NPM.Get(text, "", name); !ok || !same(now, t) {
			continue
		}
		if text, err = iniedit.NPM.Delete(text, "", name); err != nil {
			return nil, err
		}
	}
	if slices.ContainsFunc(registries(text), func(address string) bool { return same(address, t) }) {
		return text, nil // another scope is still had from there
	}
	for _, s := range settings {
		if text, err = iniedit.NPM.Delete(text, "", Address(t)+":"+s.Name); err != nil {
			return nil, err
		}
	}
	return text, nil
}

func same(address string, t login.Target) bool {
	return strings.TrimSuffix(address, "/") == strings.TrimSuffix(t.Endpoint.String(), "/")
}

// registries are the addresses that a text names.
func registries(text []byte) []string {
	entries, err := iniedit.NPM.Entries(text)
	if err != nil {
		return nil
	}
	var named []string
	for _, e := range entries {
		if e.Section == "" && (e.Key == "registry" || strings.HasPrefix(e.Key, "@") && strings.HasSuffix(e.Key, ":registry")) && !slices.Contains(named, e.Value) {
			named = append(named, e.Value)
		}
	}
	return named
}

// Addresses are the registries that the environment, the project's file and the
// person's name.
func Addresses(p login.Environment, read login.ReadFile) ([]string, error) {
	var named []string
	for _, variable := range []string{"npm_config_registry", "NPM_CONFIG_REGISTRY"} {
		if address := p.Getenv(variable); address != "" {
			named = append(named, address)
		}
	}
	path, err := Path(p)
	if err != nil {
		return nil, err
	}
	found, err := read.Addresses(func(text []byte) ([]string, error) { return registries(text), nil }, filepath.Join(p.Dir, ".npmrc"), path)
	return login.Unique(append(named, found...)...), err
}

// Token is the setting with the credentials: the token, or a reference to the
// variable that has it; and the mode of a file that has it.
func Token(t login.Target) (Setting, fs.FileMode) {
	if t.Variable != "" {
		return Setting{"_authToken", "${" + t.Variable + "}"}, 0o644
	}
	return Setting{"_authToken", t.Token.Password}, 0o600
}

// Next are lines to use the repository with, given those of a tool, in which
// PACKAGE becomes the name of one that comes from it.
func Next(t login.Target, lines ...string) string {
	name := "PACKAGE"
	if len(t.Scopes) > 0 {
		name = t.Scopes[0] + "/PACKAGE"
	}
	use := t.Export() + strings.ReplaceAll(strings.Join(lines, "\n"), "PACKAGE", name)
	if t.Variable != "" {
		use += "\n# Without " + t.Variable + ", npm and bun are refused, Yarn 1 stops, and pnpm ignores .npmrc and uses the public registry."
	}
	return use
}
