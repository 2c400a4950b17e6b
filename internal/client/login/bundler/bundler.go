// Package bundler logs in Bundler. It cannot ask a helper, so its configuration
// stores the token until it expires. An environment variable with the same name
// as the key takes precedence; `gatehouse exec` sets it.
//
// The person's configuration is flat. A key is BUNDLE_ and the name of the
// setting (bundle-config(1), "Configuration keys"). If the repository replaces
// the sources of Gemfiles, login sets it as their mirror, with user name and
// token in its address, since Bundler has no other place for the credentials of
// a mirror when it downloads gems (Bundler::RubygemsIntegration#download_gem).
// If the repository is added, login sets its password: for the host if that
// belongs to the domain alone, as at AWS, otherwise for the address.
package bundler

import (
	"cmp"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/yamledit"
)

// mirrorKey is the setting for a mirror of every source.
const mirrorKey = "BUNDLE_MIRROR__ALL"

// Tool is Bundler.
func Tool() login.Tool {
	return login.Tool{
		Name: "bundler", Format: "ruby", Programs: []string{"bundle", "bundler"}, Secret: login.Stored,
		Edits: edits, Addresses: addresses, Next: next,
	}
}

func edits(t login.Target, p login.Environment) ([]login.Edit, error) {
	e := login.Edit{
		Path: File(p), Mode: 0o600,
		Apply: func(text []byte) ([]byte, error) {
			return yamledit.Set(text, []string{Key(t.Endpoint)}, credentials(t.Token))
		},
		Remove: func(text []byte) ([]byte, error) { return yamledit.Delete(text, []string{Key(t.Endpoint)}) },
	}
	if t.Placement == login.Replace {
		e.Apply = func(text []byte) ([]byte, error) {
			return yamledit.Set(text, []string{mirrorKey}, Address(t.Endpoint, t.Token))
		}
		e.Remove = func(text []byte) ([]byte, error) {
			if ok, err := mirrored(text, t.Endpoint); !ok || err != nil {
				return text, err
			}
			return yamledit.Delete(text, []string{mirrorKey})
		}
	}
	return []login.Edit{e}, nil
}

// Key is the name under which Bundler looks for the user name and password of a
// repository, in its configuration and in the environment: [HostKey] if the
// host belongs to the domain alone, otherwise the key of its address, which
// takes precedence and sends the token nowhere else.
func Key(endpoint *url.URL) string {
	if _, ok := authtoken.ParseRepositoryURL(endpoint.Host); ok {
		return HostKey(endpoint)
	}
	return key(endpoint.String())
}

// HostKey is the key for all repositories at a host, whatever its port. Every
// shell passes a variable of this name on. Some do not if the name contains an
// address.
func HostKey(endpoint *url.URL) string { return key(endpoint.Hostname()) }

func key(name string) string {
	return "BUNDLE_" + strings.ToUpper(strings.NewReplacer(".", "__", "-", "___").Replace(name))
}

// A Setting is a line of the configuration, or an environment variable.
type Setting struct{ Name, Value string }

// Renew returns the settings of a configuration that hold a token for the
// repository, with another token in its place.
func Renew(text []byte, endpoint *url.URL, t authtoken.Token) ([]Setting, error) {
	var all []Setting
	ok, err := mirrored(text, endpoint)
	if err != nil {
		return nil, err
	}
	if ok {
		all = append(all, Setting{mirrorKey, Address(endpoint, t)})
	}
	_, ok, err = yamledit.Get(text, []string{Key(endpoint)})
	if ok {
		all = append(all, Setting{Key(endpoint), credentials(t)})
	}
	return all, err
}

// credentials returns user name and token, escaped as Bundler reads them.
func credentials(t authtoken.Token) string { return t.Username + ":" + url.QueryEscape(t.Password) }

// Address returns the repository's address with user name and token in it.
func Address(endpoint *url.URL, t authtoken.Token) string {
	return endpoint.Scheme + "://" + credentials(t) + "@" + endpoint.Host + endpoint.EscapedPath()
}

// mirrored reports whether a configuration has the repository as the mirror of
// every source, with any token.
func mirrored(text []byte, endpoint *url.URL) (bool, error) {
	mirror, _, err := yamledit.Get(text, []string{mirrorKey})
	return err == nil && anonymous(mirror) == endpoint.String(), err
}

// anonymous returns an address without user name and password.
func anonymous(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	u.User = nil
	return u.String()
}

// address returns what a key was made from, in lower case; "" if that is
// neither an address nor a host.
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

// File is the person's configuration (bundle-config(1), "Description").
func File(p login.Environment) string {
	dir := cmp.Or(p.Getenv("BUNDLE_USER_HOME"), filepath.Join(p.Home, ".bundle"))
	return p.Absolute(cmp.Or(p.Getenv("BUNDLE_CONFIG"), p.Getenv("BUNDLE_USER_CONFIG"), filepath.Join(dir, "config")))
}

func addresses(p login.Environment, read login.ReadFile) ([]string, error) {
	return read.Addresses(addressesIn, File(p))
}

// addressesIn returns the addresses for which a text has mirrors and passwords.
func addressesIn(text []byte) ([]string, error) {
	keys, err := yamledit.Keys(text, nil)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, key := range keys {
		if strings.HasPrefix(key, "BUNDLE_MIRROR__") {
			value, _, err := yamledit.Get(text, []string{key})
			if err != nil {
				return nil, err
			}
			found = append(found, anonymous(value))
		} else if a := address(key); a != "" {
			found = append(found, a)
		}
	}
	return found, nil
}

func next(t login.Target) string {
	if t.Placement == login.Add {
		return "bundle install # with the line in the Gemfile: source \"" + t.Endpoint.String() + "\""
	}
	return "bundle install"
}
