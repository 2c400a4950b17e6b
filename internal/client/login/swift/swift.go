// Package swift logs in the Swift Package Manager, as `swift package-registry
// set` and `login` do (SE-0292, SE-0378): the registry goes into the person's
// registries.json, and the token into ~/.netrc, with the login name token.
//
// Swift has one default registry, and others for scopes. It cannot ask a
// helper. On macOS it first looks in the keychain, which login does not change:
// an old entry there has to be removed by hand.
//
// A netrc entry is for a host, whatever its port.
package swift

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/jsonedit"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/netrcedit"
)

// Tool is Swift.
func Tool() login.Tool {
	return login.Tool{
		Name: "swift", Format: "swift", Programs: []string{"swift"}, Secret: login.Stored,
		Edits: edits, Addresses: addresses, Next: next,
	}
}

// username is the login name with which Swift sends the password as a bearer
// token.
const username = "token"

// defaultScope is the name of the registry for packages whose scope has no
// registry of its own.
const defaultScope = "[default]"

func registries(p login.Environment) string {
	return filepath.Join(p.Home, ".swiftpm", "configuration", "registries.json")
}

func edits(t login.Target, p login.Environment) ([]login.Edit, error) {
	scopes := []string{defaultScope}
	if len(t.Scopes) > 0 {
		scopes = nil
		for _, s := range t.Scopes {
			scopes = append(scopes, strings.TrimPrefix(s, "@"))
		}
	} else if t.Placement == login.Add {
		return nil, errors.New("there is one default registry: choose with --scope the scopes whose packages come from this one")
	}
	host := strings.ToLower(t.Endpoint.Hostname())
	return []login.Edit{
		{
			Path: registries(p), Mode: 0o644,
			Apply:  func(text []byte) ([]byte, error) { return apply(text, t, scopes) },
			Remove: func(text []byte) ([]byte, error) { return remove(text, t) },
		},
		{
			Path: filepath.Join(p.Home, ".netrc"), Mode: 0o600,
			Apply:  func(text []byte) ([]byte, error) { return netrcedit.Set(text, host, username, t.Token.Password) },
			Remove: func(text []byte) ([]byte, error) { return netrcedit.Delete(text, host, username) },
		},
	}, nil
}

func apply(text []byte, t login.Target, scopes []string) ([]byte, error) {
	host := strings.ToLower(t.Endpoint.Hostname())
	type setting struct {
		path  []string
		value any
	}
	var settings []setting
	for _, scope := range scopes {
		settings = append(settings,
			setting{[]string{"registries", scope, "supportsAvailability"}, false},
			setting{[]string{"registries", scope, "url"}, t.Endpoint.String()})
	}
	settings = append(settings,
		setting{[]string{"authentication", host, "loginAPIPath"}, t.Endpoint.Path + "login"},
		setting{[]string{"authentication", host, "type"}, "token"},
		setting{[]string{"version"}, 1})
	for _, s := range settings {
		var err error
		if text, err = jsonedit.Set(text, s.path, s.value); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// remove removes the registries with the address, and their authentication
// settings.
func remove(text []byte, t login.Target) ([]byte, error) {
	at, err := registriesIn(text)
	if err != nil {
		return nil, err
	}
	for _, scope := range slices.Sorted(maps.Keys(at)) {
		if at[scope] != t.Endpoint.String() {
			continue
		}
		if text, err = jsonedit.Delete(text, []string{"registries", scope}); err != nil {
			return nil, err
		}
	}
	host := strings.ToLower(t.Endpoint.Hostname())
	if path, _, _ := jsonedit.Get(text, []string{"authentication", host, "loginAPIPath"}); path == t.Endpoint.Path+"login" {
		if text, err = jsonedit.Delete(text, []string{"authentication", host}); err != nil {
			return nil, err
		}
		if onlyVersion(text) {
			return nil, nil
		}
	}
	return text, nil
}

// onlyVersion reports whether a text has nothing but the version of its format.
func onlyVersion(text []byte) bool {
	rest, err := jsonedit.Delete(text, []string{"version"})
	return err == nil && len(rest) < len(text) && strings.Trim(string(rest), "{} \t\r\n") == ""
}

// registriesIn returns the addresses that a text has for scopes.
func registriesIn(text []byte) (map[string]string, error) {
	value, _, err := jsonedit.Get(text, []string{"registries"})
	if err != nil {
		return nil, err
	}
	at := map[string]string{}
	members, _ := value.(map[string]any)
	for scope, r := range members {
		if registry, ok := r.(map[string]any); ok {
			at[scope], _ = registry["url"].(string)
		}
	}
	return at, nil
}

// addresses returns the addresses in the person's registries and in the
// project's.
func addresses(p login.Environment, read login.ReadFile) ([]string, error) {
	return read.Addresses(func(text []byte) ([]string, error) {
		at, err := registriesIn(text)
		return slices.DeleteFunc(slices.Collect(maps.Values(at)), func(address string) bool { return address == "" }), err
	}, registries(p), filepath.Join(p.Dir, ".swiftpm", "configuration", "registries.json"))
}

func next(t login.Target) string {
	return "swift package resolve\nswift package-registry publish SCOPE.NAME VERSION --url " + t.Endpoint.String()
}
