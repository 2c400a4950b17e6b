// Package yarn logs in Yarn: Yarn 1, which reads .npmrc, and Yarn 2 and later,
// which read .yarnrc.yml and nothing else.
//
// Since 3.2, Yarn asks its plug-ins for the header of each request to a
// registry (hook getNpmAuthenticationHeader of plugin-npm), and loads the
// plug-ins that the .yarnrc.yml in the home folder names besides the project's.
// So login writes a plug-in for each repository, a small script that starts
// this program, and names it there. No file contains a secret. In a project,
//
//	npmRegistryServer: https://registry.example/npm/lib
//
// in its own .yarnrc.yml takes precedence over the person's.
package yarn

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/npmrc"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/yamledit"
)

// Tool is Yarn 3.2 and later.
func Tool() login.Tool {
	return login.Tool{
		Name: "yarn", Format: "npm", Programs: []string{"yarn", "yarnpkg"}, Secret: login.FromHelper,
		Edits: edits, Addresses: addresses,
		Next: next,
	}
}

// next adds a hint at Yarn's age gate, which login only opens for scopes: other
// packages may come from anywhere.
func next(t login.Target) string {
	lines := npmrc.Next(t, "yarn add PACKAGE")
	if len(t.Scopes) == 0 {
		lines += "\n# Yarn 4.10 and later refuse versions that are less than a day old (npmMinimalAgeGate). For your own packages, name them:\n" +
			`yarn config set --home npmPreapprovedPackages --json '["PACKAGE"]'`
	}
	return lines
}

// rcName is the name of the configuration files in projects.
func rcName(p login.Environment) string {
	if name := p.Getenv("YARN_RC_FILENAME"); name != "" {
		return name
	}
	return ".yarnrc.yml"
}

// home is the person's configuration, whose name no variable changes.
func home(p login.Environment) string { return filepath.Join(p.Home, ".yarnrc.yml") }

func edits(t login.Target, p login.Environment) ([]login.Edit, error) {
	scopes, err := npmrc.Scopes(t)
	if err != nil {
		return nil, err
	}
	c := configuration{Target: t, scopes: scopes}
	sum := sha256.Sum256([]byte(t.Endpoint.String()))
	name := t.Name + "-" + hex.EncodeToString(sum[:4])
	c.plugin = filepath.Join(p.DataFolder("yarn"), name+".cjs")
	text, err := script(name, t, p)
	if err != nil {
		return nil, err
	}
	// The plug-in is written first: Yarn fails if the file does not exist.
	return []login.Edit{{
		Path: c.plugin, Mode: 0o600,
		Apply:  func([]byte) ([]byte, error) { return text, nil },
		Remove: func([]byte) ([]byte, error) { return nil, nil },
	}, c.edit(p)}, nil
}

//go:embed plugin.cjs
var plugin string

// script is the plug-in of one repository.
func script(name string, t login.Target, p login.Environment) ([]byte, error) {
	var replacements []string
	for _, r := range []struct {
		placeholder string
		value       any
	}{
		{"NAME", "@gatehouse/" + name},
		{"REGISTRY", trimSlash(t.Endpoint.String())},
		{"COMMAND", slices.Concat([]string{p.Program}, t.TokenArguments(), []string{"--format", "authorization"})},
	} {
		literal, err := json.Marshal(r.value) // also a JavaScript literal
		if err != nil {
			return nil, err
		}
		replacements = append(replacements, r.placeholder, string(literal))
	}
	return []byte(strings.NewReplacer(replacements...).Replace(plugin)), nil
}

// A configuration is the target's part of .yarnrc.yml.
type configuration struct {
	login.Target
	scopes []string
	plugin string // its path
}

func (c configuration) edit(p login.Environment) login.Edit {
	return login.Edit{Path: home(p), Mode: 0o644, Apply: c.apply, Remove: c.remove}
}

// trimSlash removes the / at the end of an address, as Yarn does when it
// compares.
func trimSlash(address string) string { return strings.TrimSuffix(address, "/") }

func (c configuration) apply(text []byte) (_ []byte, err error) {
	address := trimSlash(c.Endpoint.String())
	set := func(value string, path ...string) {
		if err != nil {
			return
		}
		if now, ok, _ := yamledit.Get(text, path); !ok || trimSlash(now) != value {
			text, err = yamledit.Set(text, path, value)
		}
	}
	drop := func(path ...string) {
		if err == nil {
			text, err = yamledit.Delete(text, path)
		}
	}
	if len(c.scopes) == 0 {
		set(address, "npmRegistryServer")
	}
	for _, scope := range c.scopes {
		set(address, "npmScopes", scope, "npmRegistryServer")
		set(address, "npmScopes", scope, "npmPublishRegistry") // otherwise the one for all packages would be used
		// A scope's own token would be sent instead, and is for another
		// registry.
		drop("npmScopes", scope, "npmAuthToken")
		drop("npmScopes", scope, "npmAuthIdent")
		if err == nil {
			text, err = yamledit.Include(text, preapproved, ownPackages(scope))
		}
	}
	if err != nil {
		return nil, err
	}
	registry, err := c.registry(text)
	if err != nil {
		return nil, err
	}
	if text, err = yamledit.SetBool(text, append(registry, "npmAlwaysAuth"), true); err != nil {
		return nil, err
	}
	text, err = yamledit.Include(text, []string{"plugins"}, c.plugin)
	if err == nil && c.Endpoint.Scheme == "http" {
		text, err = yamledit.Include(text, []string{"unsafeHttpWhitelist"}, c.Endpoint.Hostname())
	}
	return text, err
}

// preapproved is the list of packages that Yarn installs however young they are. By
// default it refuses a version in its first day, which protects from public packages
// that were taken over, and which a person's own packages do not need.
//
// It is not npmScopes' own npmMinimalAgeGate: Yarn before 4.10 knows neither, and
// ignores unknown settings of the home folder only at the top.
var preapproved = []string{"npmPreapprovedPackages"}

// ownPackages is the pattern of a scope's packages.
func ownPackages(scope string) string { return "@" + scope + "/*" }

// registry is the path of the registry's own settings, as the text writes it:
// with or without a scheme, and with or without a / at the end.
func (c configuration) registry(text []byte) ([]string, error) {
	written, err := yamledit.Keys(text, []string{"npmRegistries"})
	if err != nil {
		return nil, err
	}
	address := trimSlash(npmrc.Address(c.Target))
	for _, form := range []string{c.Endpoint.Scheme + ":" + address, address} { // the one that takes precedence first
		for _, key := range written {
			if trimSlash(key) == form {
				return []string{"npmRegistries", key}, nil
			}
		}
	}
	return []string{"npmRegistries", address}, nil
}

func (c configuration) remove(text []byte) (_ []byte, err error) {
	drop := func(path ...string) {
		if err == nil {
			text, err = yamledit.Delete(text, path)
		}
	}
	ours := func(path ...string) bool {
		value, ok, _ := yamledit.Get(text, path)
		return ok && trimSlash(value) == trimSlash(c.Endpoint.String())
	}
	if len(c.scopes) == 0 && ours("npmRegistryServer") {
		drop("npmRegistryServer")
	}
	for _, scope := range c.scopes {
		for _, name := range []string{"npmPublishRegistry", "npmRegistryServer"} {
			if ours("npmScopes", scope, name) {
				drop("npmScopes", scope, name)
			}
		}
		if err == nil {
			text, err = yamledit.Exclude(text, preapproved, ownPackages(scope))
		}
	}
	if err != nil {
		return nil, err
	}
	left, err := registriesIn(text)
	if err != nil || slices.ContainsFunc(left, func(address string) bool { return trimSlash(address) == trimSlash(c.Endpoint.String()) }) {
		return text, err // something else still comes from there
	}
	registry, err := c.registry(text)
	if err != nil {
		return nil, err
	}
	drop(append(registry, "npmAlwaysAuth")...)
	if err == nil {
		text, err = yamledit.Exclude(text, []string{"plugins"}, c.plugin)
	}
	if err != nil || c.Endpoint.Scheme != "http" || slices.ContainsFunc(left, func(address string) bool { return strings.HasPrefix(address, "http://"+c.Endpoint.Hostname()) }) {
		return text, err
	}
	return yamledit.Exclude(text, []string{"unsafeHttpWhitelist"}, c.Endpoint.Hostname())
}

// registriesIn returns the registries that a text names.
func registriesIn(text []byte) ([]string, error) {
	paths := [][]string{{"npmRegistryServer"}, {"npmPublishRegistry"}}
	scopes, err := yamledit.Keys(text, []string{"npmScopes"})
	if err != nil {
		return nil, err
	}
	for _, scope := range scopes {
		paths = append(paths, []string{"npmScopes", scope, "npmRegistryServer"}, []string{"npmScopes", scope, "npmPublishRegistry"})
	}
	var found []string
	for _, path := range paths {
		address, ok, err := yamledit.Get(text, path)
		if err != nil {
			return nil, err
		}
		if ok && !slices.Contains(found, address) {
			found = append(found, address)
		}
	}
	return found, nil
}

// addresses returns the registries that the environment, the project's file and
// the person's file name.
func addresses(p login.Environment, read login.ReadFile) ([]string, error) {
	all, err := read.Addresses(registriesIn, filepath.Join(p.Dir, rcName(p)), home(p))
	if address := p.Getenv("YARN_NPM_REGISTRY_SERVER"); address != "" && err == nil {
		all = login.Unique(append(all, address)...)
	}
	return all, err
}
