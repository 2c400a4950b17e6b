package python

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"

	"github.com/gatehouse-registry/gatehouse/internal/login"
	"github.com/gatehouse-registry/gatehouse/internal/textedit/toml"
)

// A Setting is where a TOML file names addresses: as a string, a list of strings, a
// table that has them by Keys, or a list or a table of such tables.
type Setting struct {
	File string
	Path []string
	Keys []string
}

// Addresses returns those that settings name, each once and without its password,
// in order; and of others the ones that can be a repository's. The error names
// the file that cannot be read.
func Addresses(read login.ReadFile, settings []Setting, others ...string) ([]string, error) {
	for _, in := range settings {
		text, err := Text(read, in.File)
		if err != nil {
			return nil, err
		}
		value, _, err := toml.Get(text, in.Path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", in.File, err)
		}
		others = append(others, in.strings(value, 2)...)
	}
	return Named(others...), nil
}

// strings collects addresses down to a depth.
func (in Setting) strings(value any, depth int) []string {
	var found []string
	switch value := value.(type) {
	case string:
		found = append(found, value)
	case []any:
		for _, element := range value {
			found = append(found, in.strings(element, depth-1)...)
		}
	case map[string]any:
		for key, element := range value {
			_, text := element.(string)
			if depth > 0 && (!text || slices.Contains(in.Keys, key)) {
				found = append(found, in.strings(element, depth-1)...)
			}
		}
	}
	return found
}

// Named returns those addresses that can be a repository's, each once and without
// its password, in order.
func Named(addresses ...string) []string {
	var named []string
	for _, address := range addresses {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			continue
		}
		if u.User != nil {
			u.User = url.User(u.User.Username())
		}
		named = append(named, u.String())
	}
	slices.Sort(named)
	return slices.Compact(named)
}

// Text reads a configuration file, of which there may be none.
func Text(read login.ReadFile, path string) ([]byte, error) {
	text, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}
