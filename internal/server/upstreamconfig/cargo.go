package upstreamconfig

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// cargo looks for a source that replaces the public one (The Cargo Book, "Source
// Replacement"). Only sparse registries can be upstreams.
func cargo(e Environment) (address, error) {
	dir := e.Getenv("CARGO_HOME")
	if dir == "" {
		dir = e.home(".cargo")
	}
	if dir == "" {
		return address{}, errNotSet
	}
	return e.first("cargo", cargoReplacement, filepath.Join(dir, "config.toml"), filepath.Join(dir, "config"))
}

// cargoReplacement returns the address of the registry that replaces the public one.
func cargoReplacement(text string) (string, error) {
	var file struct {
		Source map[string]struct {
			ReplaceWith string `toml:"replace-with"`
			Registry    string `toml:"registry"`
		} `toml:"source"`
		Registries map[string]struct {
			Index string `toml:"index"`
		} `toml:"registries"`
	}
	if err := toml.Unmarshal([]byte(text), &file); err != nil {
		return "", errors.New("it is not TOML")
	}
	const public = "crates-io"
	name := public
	for range 5 { // a replacement can be replaced
		next := file.Source[name].ReplaceWith
		if next == "" {
			break
		}
		name = next
	}
	if name == public {
		return "", nil
	}
	registry := file.Source[name].Registry
	if registry == "" {
		registry = file.Registries[name].Index
	}
	if registry == "" {
		return "", errors.New("the public registry is replaced with a folder")
	}
	address, ok := strings.CutPrefix(registry, "sparse+")
	if !ok {
		return "", errors.New("the registry has an index in Git, and only those with a sparse index can be upstreams")
	}
	return address, nil
}
