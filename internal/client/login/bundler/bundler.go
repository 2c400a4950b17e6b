// Package bundler logs in Bundler. It can ask no helper, so its configuration
// holds the token until it expires; a variable of the same name as the key comes
// before it, which `gatehouse exec` sets.
//
// The person's configuration is flat, and a key is BUNDLE_ with the name of the
// setting behind (bundle-config(1), "Configuration keys"). Of a repository that
// is to stand instead of the sources in a Gemfile, login makes their mirror, with
// user name and token in its address: for the gems themselves Bundler takes them
// from nowhere else (Bundler::RubygemsIntegration#download_gem). Of one beside
// them, it sets the password: of its host where that is the domain's own, as at
// AWS, and else of its address.
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

// mirrorKey is the name of the setting for where everything is fetched from.
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
// repository, in its configuration and in the environment: [HostKey] if the host
// is the domain's own, and else that of its address, which comes first and sends
// the token nowhere else.
func Key(endpoint *url.URL) string {
	if _, ok := authtoken.ParseRepositoryURL(endpoint.Host); ok {
		return HostKey(endpoint)
	}
	return key(endpoint.String())
}

// HostKey is the name for all repositories at a host, whatever its port. A shell
// passes a variable of this name on, which some do not if it holds an address.
func HostKey(endpoint *url.URL) string { return key(endpoint.Hostname()) }

func key(name string) string {
	return "BUNDLE_" + strings.ToUpper(strings.NewReplacer(".", "__", "-", "___").Replace(name))
}

// A Setting is a line of the configuration, or a variable.
type Setting struct{ Name, Value string }

// Renew returns those settings that hold a token for the repository in a
// configuration, with another token in its place.
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

// credentials are user name and token, escaped as Bundler reads them.
func credentials(t authtoken.Token) string { return t.Username + ":" + url.QueryEscape(t.Password) }

// Address is the repository's with user name and token in it.
func Address(endpoint *url.URL, t authtoken.Token) string {
	return endpoint.Scheme + "://" + credentials(t) + "@" + endpoint.Host + endpoint.EscapedPath()
}

// mirrored reports whether a configuration has everything fetched from the
// repository, whatever its token.
func mirrored(text []byte, endpoint *url.URL) (bool, error) {
	mirror, _, err := yamledit.Get(text, []string{mirrorKey})
	return err == nil && anonymous(mirror) == endpoint.String(), err
}

// anonymous is an address without user name and password.
func anonymous(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	u.User = nil
	return u.String()
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

// File is the person's configuration (bundle-config(1), "Description").
func File(p login.Environment) string {
	dir := cmp.Or(p.Getenv("BUNDLE_USER_HOME"), filepath.Join(p.Home, ".bundle"))
	return p.Absolute(cmp.Or(p.Getenv("BUNDLE_CONFIG"), p.Getenv("BUNDLE_USER_CONFIG"), filepath.Join(dir, "config")))
}

func addresses(p login.Environment, read login.ReadFile) ([]string, error) {
	return read.Addresses(named, File(p))
}

// named are the addresses that a text has mirrors and passwords for.
func named(text []byte) ([]string, error) {
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
