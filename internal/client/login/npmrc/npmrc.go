// Package npmrc has what npm, pnpm, Yarn 1 and bun have in common: the person's
// .npmrc. It names a registry for all packages and one for each scope, and has
// the credentials of each registry by its address:
//
//	registry=https://registry.example/npm/lib/
//	@acme:registry=https://registry.example/npm/lib/
//	//registry.example/npm/lib/:_authToken=…
//
// A project's own .npmrc takes precedence. Login does not change it, since it
// is committed.
//
// References to environment variables, ${NAME}, are replaced when the file is
// read. The tools differ if a variable is not set: npm and bun send the
// reference itself, Yarn 1 refuses to do anything, and pnpm ignores the whole
// file, and with it the registry.
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

// Path is the person's .npmrc: in the home folder, or where the environment
// sets npm's setting userconfig.
func Path(p login.Environment) (string, error) {
	lower, upper := p.Getenv("npm_config_userconfig"), p.Getenv("NPM_CONFIG_USERCONFIG")
	switch {
	case lower == "":
		lower = upper
	case upper != "" && upper != lower:
		return "", errors.New("npm_config_userconfig and NPM_CONFIG_USERCONFIG name two different files, and their order decides which one is used: unset one of them")
	}
	if lower == "" {
		return filepath.Join(p.Home, ".npmrc"), nil
	}
	return p.Absolute(lower), nil
}

// A Setting belongs to a registry's address.
type Setting struct{ Name, Value string }

// Edit points the tools that read a file at the target, with settings for its
// address. The error says that the target cannot be added to another one.
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

// Scopes returns the target's scopes without their @. The error says that one
// is not a scope, or that a repository cannot be added without a scope.
func Scopes(t login.Target) ([]string, error) {
	if len(t.Scopes) == 0 && t.Placement == login.Add {
		return nil, errors.New("packages without a scope have only one registry: choose with --scope @NAME the scopes that come from this one, or leave out --extra to get every package from it")
	}
	var scopes []string
	for _, s := range t.Scopes {
		if !login.IsScope(s) {
			return nil, fmt.Errorf("%q is not a scope: write @NAME, with letters, digits and - . _ ~", s)
		}
		scopes = append(scopes, s[1:])
	}
	return scopes, nil
}

// Names returns the keys that name the registry. The errors are those of
// [Scopes].
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

// Address is the beginning of the keys of a registry's settings: its address
// without the scheme, and without the scheme's default port, as the tools
// compare it.
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
		return text, nil // another scope still comes from there
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

// registries returns the addresses that a text names.
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

// Addresses returns the registries that the environment, the project's file and
// the person's file name.
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

// Token returns the setting with the credentials, which are the token or a
// reference to the variable that has it, and the mode for a file that contains
// it.
func Token(t login.Target) (Setting, fs.FileMode) {
	if t.Variable != "" {
		return Setting{"_authToken", "${" + t.Variable + "}"}, 0o644
	}
	return Setting{"_authToken", t.Token.Password}, 0o600
}

// Next returns lines for using the repository, from the lines of a tool.
// PACKAGE in them becomes the name of a package that comes from the repository.
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
