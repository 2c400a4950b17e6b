// Package bundler logs in Bundler. It can ask no helper, so its configuration
// holds the token until it expires; a variable of the same name as the key comes
// before it, which `gatehouse exec` sets.
//
// The person's configuration is flat, and a key is BUNDLE_ with the name of the
// setting behind (bundle-config(1), "Configuration keys"): for a password, the
// address of the source or its host. Of the repository that is to stand instead
// of the sources in a Gemfile, login makes their mirror.
package bundler

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/login"
	"github.com/gatehouse-registry/gatehouse/internal/textedit/yaml"
)

// mirrorKey is the setting mirror.all: where every source is fetched from.
const mirrorKey = "BUNDLE_MIRROR__ALL"

// Tool is Bundler.
func Tool() login.Tool {
	return login.Tool{
		Name: "bundler", Format: "ruby", Programs: []string{"bundle", "bundler"}, Secret: login.Held,
		Edits: edits, Addresses: addresses, Next: next,
	}
}

func edits(t login.Target, p login.Places) ([]login.Edit, error) {
	key := []string{Key(t.Endpoint)}
	return []login.Edit{{
		Path: file(p), Mode: 0o600,
		Apply: func(text []byte) ([]byte, error) {
			text, err := yaml.Set(text, key, Credentials(t))
			if err != nil || t.Placement == login.Beside {
				return text, err
			}
			return yaml.Set(text, []string{mirrorKey}, t.Endpoint.String())
		},
		Remove: func(text []byte) ([]byte, error) {
			if mirror, _, err := yaml.Get(text, []string{mirrorKey}); err != nil {
				return nil, err
			} else if mirror == t.Endpoint.String() {
				if text, err = yaml.Delete(text, []string{mirrorKey}); err != nil {
					return nil, err
				}
			}
			return yaml.Delete(text, key)
		},
	}}, nil
}

// Key is the name under which Bundler looks for the user name and password of a
// repository, in its configuration and in the environment: that of the host if it
// is the domain's own, and else that of the address, which comes first, so that
// the token goes nowhere else.
func Key(endpoint *url.URL) string {
	if _, ok := authtoken.ParseRepositoryURL(endpoint.Host); ok {
		return HostKey(endpoint)
	}
	return key(endpoint.String())
}

// HostKey is the name under which Bundler looks for the user name and password of
// all repositories at a host, whatever its port. A shell passes it on, which few
// do with a name that holds a whole address.
func HostKey(endpoint *url.URL) string { return key(endpoint.Hostname()) }

func key(name string) string {
	return "BUNDLE_" + strings.ToUpper(strings.NewReplacer(".", "__", "-", "___").Replace(name))
}

// Credentials are the value for the target's [Key]: user name and token, escaped
// as Bundler reads them.
func Credentials(t login.Target) string {
	return t.Token.Username + ":" + url.QueryEscape(t.Token.Password)
}

// address is what a key was made of, in lower case; "" where that was neither an
// address nor a host.
func address(key string) string {
	name := strings.ToLower(strings.NewReplacer("___", "-", "__", ".").Replace(strings.TrimPrefix(key, "BUNDLE_")))
	if strings.Contains(name, "://") {
		return name
	}
	if _, ok := authtoken.ParseRepositoryURL(name); ok {
		return "https://" + name + "/"
	}
	return ""
}

// file is the person's configuration (bundle-config(1), "Description").
func file(p login.Places) string {
	dir := cmp.Or(p.Getenv("BUNDLE_USER_HOME"), filepath.Join(p.Home, ".bundle"))
	path := cmp.Or(p.Getenv("BUNDLE_CONFIG"), p.Getenv("BUNDLE_USER_CONFIG"), filepath.Join(dir, "config"))
	if !filepath.IsAbs(path) {
		path = filepath.Join(p.Dir, path)
	}
	return path
}

func addresses(p login.Places, read login.ReadFile) ([]string, error) {
	text, err := read(file(p))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	keys, err := yaml.Keys(text, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file(p), err)
	}
	var found []string
	for _, key := range keys {
		if strings.HasPrefix(key, "BUNDLE_MIRROR__") {
			value, _, err := yaml.Get(text, []string{key})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file(p), err)
			}
			found = append(found, value)
		} else if a := address(key); a != "" {
			found = append(found, a)
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

func next(t login.Target) string {
	if t.Placement == login.Beside {
		return "bundle install # with the line in the Gemfile: source \"" + t.Endpoint.String() + "\""
	}
	return "bundle install"
}
