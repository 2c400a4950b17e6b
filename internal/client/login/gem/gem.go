// Package gem logs in gem, the client of RubyGems, 3.3 or newer. It cannot ask
// a helper and replaces no variables in its files, so they store the token
// until it expires:
//
//   - ~/.gemrc for installing: the repository is one of :sources:, with user name
//     and token in its address. If this file exists, gem does not read gem/gemrc in
//     XDG_CONFIG_HOME (Gem.find_config_file), which is used again after logout.
//   - for publishing, a file of API keys with the key of each host, which gem sends
//     unchanged in the header Authorization. It is ~/.gem/credentials if that
//     exists, and otherwise gem/credentials in XDG_DATA_HOME
//     (Gem::ConfigFile#credentials_path). Login does not create the first: if the
//     folder ~/.gem existed, gem would no longer find what it installed in
//     XDG_DATA_HOME (Gem.user_dir).
//
// `gatehouse exec` gives gem a fresh token for publishing in GEM_HOST_API_KEY,
// which takes precedence over the file.
package gem

import (
	"cmp"
	"errors"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/yamledit"
)

// sources is the key of the list of addresses to install from, a Ruby symbol.
var sources = []string{":sources"}

// Tool is gem.
func Tool() login.Tool {
	return login.Tool{
		Name: "gem", Format: "ruby", Programs: []string{"gem"}, Secret: login.Stored,
		Edits: edits, Addresses: addresses, Next: next,
	}
}

func edits(t login.Target, p login.Environment) ([]login.Edit, error) {
	shared, own := keyFiles(p)
	push := login.Edit{
		Path: own, Mode: 0o600,
		Apply:  func(text []byte) ([]byte, error) { return setKeys(text, t) },
		Remove: func(text []byte) ([]byte, error) { return deleteKeys(text, t.Endpoint) },
	}
	old := push
	old.Path = shared
	old.Apply = func(text []byte) ([]byte, error) {
		if text == nil {
			return nil, nil
		}
		return push.Apply(text)
	}
	return []login.Edit{
		{
			Path: rcFile(p), Mode: 0o600,
			Apply:  func(text []byte) ([]byte, error) { return include(text, t) },
			Remove: func(text []byte) ([]byte, error) { return exclude(text, t.Endpoint) },
		},
		push, old,
	}, nil
}

// setKeys stores the token for publishing. gem looks for the host as --host spells
// it, so there is a key for the address with and without "/" at the end.
func setKeys(text []byte, t login.Target) (_ []byte, err error) {
	for _, key := range []string{host(t.Endpoint), host(t.Endpoint) + "/"} {
		if text, err = yamledit.Set(text, []string{key}, "Bearer "+t.Token.Value); err != nil {
			return nil, err
		}
	}
	return text, nil
}

func deleteKeys(text []byte, endpoint *url.URL) (_ []byte, err error) {
	for _, key := range []string{host(endpoint), host(endpoint) + "/"} {
		if text, err = yamledit.Delete(text, []string{key}); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// include makes the repository the only source, or adds it.
func include(text []byte, t login.Target) ([]byte, error) {
	before, err := yamledit.Items(text, sources)
	if err != nil {
		return nil, err
	}
	if t.Placement == login.Add && len(before) == 0 {
		return nil, errors.New("it has no :sources:, and a list with only this repository would replace the default sources: " +
			"write the list with `gem sources --add` and one of the addresses that `gem sources` shows, or log in without --extra")
	}
	ours := source(t)
	out, err := yamledit.Include(text, sources, ours)
	if err != nil {
		return nil, err
	}
	for _, item := range before {
		if item == ours || t.Placement == login.Add && !same(item, t.Endpoint) {
			continue
		}
		if out, err = yamledit.Exclude(out, sources, item); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// source returns the repository's address with user name and token, escaped as
// gem reads them: it would decode a plus sign to a space
// (Gem::UriFormatter#unescape).
func source(t login.Target) string {
	return t.Endpoint.Scheme + "://" + t.Token.Username + ":" + url.QueryEscape(t.Token.Password) + "@" + t.Endpoint.Host + t.Endpoint.EscapedPath()
}

// exclude removes the repository from the sources, whatever its token is.
func exclude(text []byte, endpoint *url.URL) ([]byte, error) {
	items, err := yamledit.Items(text, sources)
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		if !same(item, endpoint) {
			continue
		}
		if text, err = yamledit.Exclude(text, sources, item); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// same reports whether a source is the repository, with any credentials.
func same(source string, endpoint *url.URL) bool { return anonymous(source) == endpoint.String() }

// anonymous returns an address without user name and password.
func anonymous(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	u.User = nil
	return u.String()
}

// host is how gem names the repository when it publishes: gem appends "/" and
// its path.
func host(endpoint *url.URL) string { return strings.TrimSuffix(endpoint.String(), "/") }

func rcFile(p login.Environment) string { return filepath.Join(p.Home, ".gemrc") }

// keyFiles returns the files of API keys: the one that gem reads if it exists,
// and the one that it reads otherwise.
func keyFiles(p login.Environment) (shared, own string) {
	data := cmp.Or(p.Getenv("XDG_DATA_HOME"), filepath.Join(p.Home, ".local", "share"))
	return filepath.Join(p.Home, ".gem", "credentials"), filepath.Join(data, "gem", "credentials")
}

func addresses(p login.Environment, read login.ReadFile) ([]string, error) {
	shared, own := keyFiles(p)
	found, err := read.Addresses(listed(func(text []byte) ([]string, error) { return yamledit.Items(text, sources) }), rcFile(p))
	if err != nil {
		return nil, err
	}
	keyed, err := read.Addresses(listed(hosts), shared, own)
	return login.Unique(append(found, keyed...)...), err
}

// listed returns the addresses of a list as other tools write them: without a
// password, and with "/" at the end.
func listed(list func([]byte) ([]string, error)) func([]byte) ([]string, error) {
	return func(text []byte) ([]string, error) {
		addresses, err := list(text)
		for i, a := range addresses {
			addresses[i] = strings.TrimSuffix(anonymous(a), "/") + "/"
		}
		return addresses, err
	}
}

// hosts returns the hosts for which a file has keys. Keys that a person named
// otherwise are left out.
func hosts(text []byte) ([]string, error) {
	keys, err := yamledit.Keys(text, nil)
	return slices.DeleteFunc(keys, func(key string) bool { return !strings.Contains(key, "://") }), err
}

func next(t login.Target) string {
	return "gem install GEM\ngem push --host " + host(t.Endpoint) + " GEM-VERSION.gem"
}
