package python

import (
	"fmt"
	"net/url"
	"slices"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/tomledit"
)

// A Setting is a place in a TOML file that names addresses: a string, a list of
// strings, a table that has them under Keys, or a list or table of such tables.
type Setting struct {
	File string
	Path []string
	Keys []string
}

// Addresses returns the addresses that settings name, each once, sorted and
// without its password, and those of others that can be a repository's. The
// error names the file that cannot be read.
func Addresses(read login.ReadFile, settings []Setting, others ...string) ([]string, error) {
	for _, in := range settings {
		text, err := read.Text(in.File)
		if err != nil {
			return nil, err
		}
		value, _, err := tomledit.Get(text, in.Path)
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

// Named returns the addresses that can be a repository's, each once, sorted and
// without its password.
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
	return login.Unique(named...)
}
