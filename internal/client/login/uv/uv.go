// Package uv logs in uv. The person's uv.toml has the index, with the user name
// and without a password, and tells uv to ask the command keyring, which is a
// link to this program.
package uv

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/python"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/tomledit"
)

// Tool is uv. The index replaces the default index, or is added before it: uv
// takes a package from the first index that has it.
func Tool() login.Tool {
	return login.Tool{
		Name: "uv", Format: "pypi", Programs: []string{"uv"}, Helper: "keyring", Secret: login.FromHelper,
		Edits: edits, Addresses: addresses,
		Next: func(t login.Target) string {
			return "uv add PACKAGE\nuv publish --index " + t.Name
		},
	}
}

// The settings of uv.toml (uv's reference of settings).
var (
	table    = []string{"index"}
	provider = []string{"keyring-provider"}
)

const asks = "subprocess"

func edits(t login.Target, p login.Environment) ([]login.Edit, error) {
	if off := p.Getenv("UV_NO_CONFIG"); off != "" && off != "0" && !strings.EqualFold(off, "false") {
		return nil, errors.New("UV_NO_CONFIG turns uv's configuration off: unset it, or use gatehouse exec")
	}
	return []login.Edit{{
		Path: file(p), Mode: 0o644,
		Apply:  func(text []byte) ([]byte, error) { return apply(text, t) },
		Remove: func(text []byte) ([]byte, error) { return remove(text, t) },
	}}, nil
}

// file is the person's own configuration, or the file that UV_CONFIG_FILE
// names, which replaces every other.
func file(p login.Environment) string {
	switch path := p.Getenv("UV_CONFIG_FILE"); {
	case path != "":
		return p.Absolute(path)
	case p.GOOS == "windows":
		return filepath.Join(python.RoamingAppData(p), "uv", "uv.toml")
	}
	return filepath.Join(python.XDGConfig(p), "uv", "uv.toml")
}

func apply(text []byte, t login.Target) ([]byte, error) {
	pairs := []tomledit.Pair{{Key: "url", Value: python.WithUser(python.Index(t))}, {Key: "publish-url", Value: python.WithUser(python.Upload(t))}}
	upsert := tomledit.Upsert
	if t.Placement == login.Replace {
		pairs = append(pairs, tomledit.Pair{Key: "default", Value: true})
		before, err := defaultBefore(text, t.Name)
		if err != nil {
			return nil, err
		}
		if before { // of several default indexes uv uses the first
			if text, err = tomledit.Drop(text, table, "name", t.Name); err != nil {
				return nil, err
			}
			upsert = tomledit.UpsertFirst
		}
	}
	text, err := tomledit.Set(text, provider, asks)
	if err != nil {
		return nil, err
	}
	return upsert(text, table, "name", t.Name, pairs...)
}

func remove(text []byte, t login.Target) ([]byte, error) {
	text, err := tomledit.Drop(text, table, "name", t.Name)
	if err != nil {
		return nil, err
	}
	left, err := indexes(text)
	if err != nil {
		return nil, err
	}
	for _, i := range left {
		if address, _ := i["url"].(string); python.Asks(address) {
			return text, nil // another login's
		}
	}
	if now, _, _ := tomledit.Get(text, provider); now == asks {
		return tomledit.Delete(text, provider)
	}
	return text, nil
}

// defaultBefore reports whether a default index stands before the named one, or
// before the place where that would be added.
func defaultBefore(text []byte, name string) (bool, error) {
	all, err := indexes(text)
	for _, i := range all {
		if i["name"] == name {
			return false, err
		}
		if i["default"] == true {
			return true, err
		}
	}
	return false, err
}

func indexes(text []byte) ([]map[string]any, error) {
	value, _, err := tomledit.Get(text, table)
	list, _ := value.([]any)
	var all []map[string]any
	for _, element := range list {
		if i, ok := element.(map[string]any); ok {
			all = append(all, i)
		}
	}
	return all, err
}

// addresses returns the indexes of the person's configuration and of the
// project's in the working folder.
func addresses(p login.Environment, read login.ReadFile) ([]string, error) {
	var settings []python.Setting
	for _, in := range []struct {
		file  string
		above []string
	}{{file(p), nil}, {filepath.Join(p.Dir, "uv.toml"), nil}, {filepath.Join(p.Dir, "pyproject.toml"), []string{"tool", "uv"}}} {
		for _, name := range []string{"index", "index-url", "extra-index-url", "publish-url"} {
			settings = append(settings, python.Setting{File: in.file, Path: append(in.above[:len(in.above):len(in.above)], name), Keys: []string{"url", "publish-url"}})
		}
	}
	return python.Addresses(read, settings, p.Getenv("UV_DEFAULT_INDEX"), p.Getenv("UV_INDEX_URL"), p.Getenv("UV_PUBLISH_URL"))
}
