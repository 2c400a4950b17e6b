// Package pip logs in pip. pip.conf has the index, with the user name and
// without a password, and tells pip to ask the command keyring, which is a link
// to this program.
package pip

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/python"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/iniedit"
)

// Tool is pip. A repository that is added is an extra index: pip takes the best
// version of a package from any index.
func Tool() login.Tool {
	return login.Tool{
		Name: "pip", Format: "pypi", Programs: []string{"pip", "pip3"}, Helper: "keyring", Secret: login.FromHelper,
		Edits: edits, Addresses: addresses,
		Next: func(login.Target) string { return "pip install PACKAGE" },
	}
}

// The options of pip.conf have the names of the command line's. [global] is for
// every command.
const (
	global   = "global"
	index    = "index-url"
	extra    = "extra-index-url"
	provider = "keyring-provider"
	trusted  = "trusted-host"
)

func edits(t login.Target, p login.Environment) ([]login.Edit, error) {
	path, err := file(p)
	if err != nil {
		return nil, err
	}
	address, host := python.WithUser(python.Index(t)), python.Untrusted(t)
	return []login.Edit{{
		Path: path, Mode: 0o644,
		Apply:  func(text []byte) ([]byte, error) { return apply(text, address, host, t.Placement) },
		Remove: func(text []byte) ([]byte, error) { return remove(text, address, host) },
	}}, nil
}

// file is the file that `pip config set` changes, or the one that
// PIP_CONFIG_FILE names, which pip reads instead.
func file(p login.Environment) (string, error) {
	if path := p.Getenv("PIP_CONFIG_FILE"); path == os.DevNull || path == "nul" {
		return "", errors.New("PIP_CONFIG_FILE turns pip's configuration off: unset it, or use gatehouse exec")
	} else if path != "" {
		return p.Absolute(path), nil
	}
	switch p.GOOS {
	case "windows":
		return filepath.Join(python.RoamingAppData(p), "pip", "pip.ini"), nil
	case "darwin":
		dir := filepath.Join(python.ApplicationSupport(p), "pip")
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return filepath.Join(dir, "pip.conf"), nil
		}
		return filepath.Join(p.Home, ".config", "pip", "pip.conf"), nil
	}
	return filepath.Join(python.XDGConfig(p), "pip", "pip.conf"), nil
}

func apply(text []byte, address, host string, placement login.Placement) (_ []byte, err error) {
	if placement == login.Add {
		text, err = add(text, extra, address)
	} else {
		text, err = set(text, index, address)
	}
	if err == nil && host != "" {
		text, err = add(text, trusted, host)
	}
	if err != nil {
		return nil, err
	}
	return set(text, provider, "subprocess")
}

func remove(text []byte, address, host string) (_ []byte, err error) {
	if get(text, index) == address {
		if text, err = unset(text, index); err != nil {
			return nil, err
		}
	}
	if text, err = drop(text, extra, address); err != nil {
		return nil, err
	}
	if others, err := indexes(text); err != nil || slices.ContainsFunc(others, python.Asks) {
		return text, err // another login needs it
	}
	if host != "" {
		if text, err = drop(text, trusted, host); err != nil {
			return nil, err
		}
	}
	if get(text, provider) == "subprocess" {
		return unset(text, provider)
	}
	return text, nil
}

// optionKey returns the spelling that a text has for an option of [global]: pip
// takes index_url for index-url, and rejects a file with both.
func optionKey(text []byte, option string) string {
	entries, _ := iniedit.Python.Entries(text)
	for _, e := range entries {
		if e.Section == global && normal(e.Key) == option {
			return e.Key
		}
	}
	return option
}

func normal(key string) string {
	return strings.TrimPrefix(strings.ReplaceAll(strings.ToLower(key), "_", "-"), "--")
}

func get(text []byte, option string) string {
	value, _ := iniedit.Get(text, global, optionKey(text, option))
	return value
}

func set(text []byte, option, value string) ([]byte, error) {
	return iniedit.Set(text, global, optionKey(text, option), value)
}

func unset(text []byte, option string) ([]byte, error) {
	return iniedit.Delete(text, global, optionKey(text, option))
}

// add adds an element to an option that has several.
func add(text []byte, option, element string) ([]byte, error) {
	return set(text, option, python.With(get(text, option), element))
}

// drop removes an element, and the option with its last element.
func drop(text []byte, option, element string) ([]byte, error) {
	now := get(text, option)
	left := python.Without(now, element)
	switch {
	case left == now:
		return text, nil
	case strings.TrimSpace(left) == "":
		return unset(text, option)
	}
	return set(text, option, left)
}

// indexes returns the indexes that a configuration names, for all commands or
// for one.
func indexes(text []byte) ([]string, error) {
	entries, err := iniedit.Python.Entries(text)
	var named []string
	for _, e := range entries {
		if key := normal(e.Key); key == index || key == extra {
			named = append(named, strings.Fields(e.Value)...)
		}
	}
	return named, err
}

func addresses(p login.Environment, read login.ReadFile) ([]string, error) {
	named := []string{p.Getenv("PIP_INDEX_URL")}
	named = append(named, strings.Fields(p.Getenv("PIP_EXTRA_INDEX_URL"))...)
	for _, path := range files(p) {
		text, err := read.Text(path)
		if err != nil {
			return nil, err
		}
		found, err := indexes(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		named = append(named, found...)
	}
	return python.Named(named...), nil
}

// files returns the files of the person and of the virtual environment that pip
// reads.
func files(p login.Environment) []string {
	path, err := file(p)
	if err != nil {
		return nil
	}
	old, name := ".pip", "pip.conf" // where pip had its configuration once
	if p.GOOS == "windows" {
		old, name = "pip", "pip.ini"
	}
	paths := []string{path}
	if p.Getenv("PIP_CONFIG_FILE") == "" {
		paths = append(paths, filepath.Join(p.Home, old, name))
	}
	if environment := p.Getenv("VIRTUAL_ENV"); environment != "" {
		paths = append(paths, filepath.Join(environment, name))
	}
	return paths
}
