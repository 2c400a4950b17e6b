// Package cargo logs in cargo 1.74 or newer: the first release that
// authenticates reads as well as publishing, and that starts credential
// providers.
//
// Login adds the repository to the registries of the person's configuration
// (The Cargo Book, "Configuration"), with this program as its credential
// provider ("Registry Authentication"). The provider takes precedence over a
// token that cargo has for the registry from elsewhere. Cargo starts a provider
// by its path with the one argument --cargo-plugin, so no link on PATH is
// needed.
//
// A repository that replaces the former one becomes the default for publishing,
// and replaces the public registry ("Source Replacement"), as a CodeArtifact
// repository with an external connection can.
package cargo

import (
	"cmp"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/tomledit"
)

// Tool is cargo.
func Tool() login.Tool {
	return login.Tool{
		Name: "cargo", Format: "cargo", Programs: []string{"cargo"}, Secret: login.FromHelper,
		Edits: edits, Addresses: addresses, Next: next,
	}
}

// A setting is one value in cargo's configuration.
type setting struct {
	path  []string
	value any
}

func settings(t login.Target, p login.Environment) []setting {
	all := []setting{
		{[]string{"registries", t.Name, "index"}, "sparse+" + t.Endpoint.String()},
		{[]string{"registries", t.Name, "credential-provider"}, []string{p.Program}},
	}
	if t.Placement == login.Replace {
		all = append(all,
			setting{[]string{"registry", "default"}, t.Name},
			setting{[]string{"source", "crates-io", "replace-with"}, t.Name})
	}
	return all
}

func edits(t login.Target, p login.Environment) ([]login.Edit, error) {
	all := settings(t, p)
	apply := func(text []byte) ([]byte, error) { return set(text, all) }
	remove := func(text []byte) ([]byte, error) { return unset(text, all) }
	return []login.Edit{
		{Path: file(p), Mode: 0o644, Apply: apply, Remove: remove},
		// Cargo still reads the file under its old name, if there is one,
		// instead of the new one.
		{Path: strings.TrimSuffix(file(p), ".toml"), Mode: 0o644, Apply: ifExists(apply), Remove: ifExists(remove)},
	}, nil
}

// ifExists leaves a file that does not exist as it is.
func ifExists(change func([]byte) ([]byte, error)) func([]byte) ([]byte, error) {
	return func(text []byte) ([]byte, error) {
		if text == nil {
			return nil, nil
		}
		return change(text)
	}
}

func set(text []byte, all []setting) ([]byte, error) {
	var err error
	for _, s := range all {
		if text, err = tomledit.Set(text, s.path, s.value); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// unset removes the settings that are still as login wrote them.
func unset(text []byte, all []setting) ([]byte, error) {
	for _, s := range slices.Backward(all) {
		value, ok, err := tomledit.Get(text, s.path)
		if err != nil {
			return nil, err
		}
		if !ok || !same(value, s.value) {
			continue
		}
		if text, err = tomledit.Delete(text, s.path); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// same compares a value that was read with one that was written.
func same(read, written any) bool {
	if list, ok := written.([]string); ok {
		items := make([]any, len(list))
		for i, item := range list {
			items[i] = item
		}
		written = items
	}
	return reflect.DeepEqual(read, written)
}

// file is the person's own configuration.
func file(p login.Environment) string {
	return filepath.Join(p.Absolute(cmp.Or(p.Getenv("CARGO_HOME"), filepath.Join(p.Home, ".cargo"))), "config.toml")
}

func addresses(p login.Environment, read login.ReadFile) ([]string, error) {
	for _, path := range []string{strings.TrimSuffix(file(p), ".toml"), file(p)} {
		text, err := read.Text(path)
		if err != nil {
			return nil, err
		}
		if text == nil {
			continue
		}
		value, _, err := tomledit.Get(text, []string{"registries"})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return indexes(value), nil
	}
	return nil, nil
}

// indexes returns the addresses in the table of registries, sorted.
func indexes(registries any) []string {
	tables, _ := registries.(map[string]any)
	var found []string
	for _, table := range tables {
		registry, _ := table.(map[string]any)
		if index, ok := registry["index"].(string); ok {
			found = append(found, strings.TrimPrefix(index, "sparse+"))
		}
	}
	slices.Sort(found)
	return found
}

func next(t login.Target) string {
	flag := ""
	if t.Placement == login.Add {
		flag = " --registry " + t.Name
	}
	return "cargo add CRATE" + flag + "\ncargo publish" + flag
}
