package upstreamconfig

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/loopback"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
)

// An Upstream is a registry that is configured, or that an external connection names.
type Upstream struct {
	Name   string
	Format string // npm, pypi, maven, nuget, ruby or cargo
	URL    string // without credentials; empty if none is known
	// From says where the address comes from, such as "the configuration file" or
	// "npm: /home/a/.npmrc".
	From string
	// Err says why the upstream cannot be used, and what to do. nil if it can.
	Err error

	settings config.Upstream
}

// Known are the external connections with their formats, and the formats that upstreams
// can have.
type Known struct {
	Connections map[string]string
	Formats     []string
}

// FromFile is the value of [Upstream.From] for the configuration file.
const FromFile = "the configuration file"

// List returns the upstreams of a configuration and all external connections, by name.
// own are the hosts of this server: an address on one of them, which the machine's clients
// have if they get their packages from this server, is not used.
func List(c *config.Config, known Known, e Environment, own []string) []Upstream {
	names := slices.Collect(maps.Keys(known.Connections))
	for name := range c.Upstreams {
		if _, ok := known.Connections[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var all []Upstream
	for _, name := range names {
		settings := c.Upstreams[name]
		u := Upstream{Name: name, Format: known.Connections[name], URL: settings.URL, From: FromFile, settings: settings}
		if u.Format == "" {
			u.Format = settings.Format
		}
		u.Err = checkFormat(name, settings, known)
		switch {
		case u.URL == "" && c.DiscoverUpstreams:
			u.URL, u.From, u.Err = discover(name, settings, e, own)
		case u.URL == "":
			u.From, u.Err = "", noAddress(name, "")
		}
		all = append(all, u)
	}
	return all
}

func checkFormat(name string, settings config.Upstream, known Known) error {
	setting := fmt.Sprintf("upstreams.%q.format", name)
	public, ok := known.Connections[name]
	switch {
	case ok && settings.Format != "" && settings.Format != public:
		return fmt.Errorf("%s is %s, and the packages of %s are %s: leave the setting out", setting, settings.Format, name, public)
	case ok:
		return nil
	case strings.HasPrefix(name, config.PublicPrefix):
		return fmt.Errorf("%s is not an external connection. There are: %s", name, strings.Join(slices.Sorted(maps.Keys(known.Connections)), ", "))
	case !slices.Contains(known.Formats, settings.Format):
		return fmt.Errorf("%s is %q: want one of %s", setting, settings.Format, strings.Join(known.Formats, ", "))
	}
	return nil
}

// noAddress is the error of a connection without an address.
func noAddress(name, why string) error {
	if why != "" {
		why = " (" + why + ")"
	}
	return fmt.Errorf("no address is known for %s%s: set upstreams.%q.url in the configuration file", name, why, name)
}

// An address is what a client's settings have.
type address struct {
	url  string
	from string // the client, and the file or variable
}

// errNotSet means that a client's settings have no address.
var errNotSet = errors.New("the settings of this machine's clients have none")

// finders look for the address of a public registry in the settings of its clients.
var finders = map[string]func(Environment) (address, error){
	"public:npmjs":               npm,
	"public:pypi":                python,
	"public:nuget-org":           nuget,
	"public:crates-io":           cargo,
	"public:ruby-gems-org":       ruby,
	"public:maven-central":       maven("central"),
	"public:maven-googleandroid": maven("google"),
	"public:maven-gradleplugins": maven("gradle-plugins"),
	"public:maven-commonsware":   maven("commonsware"),
	"public:maven-clojars":       maven("clojars"),
}

// discover returns the address of an external connection from the machine.
func discover(name string, settings config.Upstream, e Environment, own []string) (found, from string, err error) {
	find := finders[name]
	if find == nil {
		return "", "", noAddress(name, "")
	}
	a, err := find(e)
	if err != nil {
		return "", "", noAddress(name, err.Error())
	}
	u, err := url.Parse(a.url)
	switch {
	case err != nil:
		return "", "", noAddress(name, a.from+" has one that is not a URL")
	case u.User != nil:
		return "", "", noAddress(name, a.from+" has one with a password, which needs upstreams."+`"`+name+`".credential too`)
	case isOwn(u.Hostname(), own):
		return "", "", noAddress(name, a.from+" has the address of this server")
	}
	base, err := egress.ParseBase(a.url, settings.AllowPrivate)
	if err != nil {
		return "", "", noAddress(name, a.from+": "+err.Error())
	}
	return base.String(), a.from, nil
}

// isOwn reports whether a host is this server's: one of own, or below one that begins with
// a dot.
func isOwn(host string, own []string) bool {
	host = strings.ToLower(host)
	return slices.ContainsFunc(own, func(o string) bool {
		o = strings.ToLower(o)
		return host == o && !loopback.Is(host) || strings.HasPrefix(o, ".") && strings.HasSuffix(host, o)
	})
}

// Open returns the client of the upstream.
func (u Upstream) Open(s egress.Services) (*egress.Upstream, error) {
	if u.Err != nil {
		return nil, u.Err
	}
	settings, err := u.settings.Egress(u.Name)
	if err != nil {
		return nil, err
	}
	settings.URL = u.URL
	return egress.NewUpstream(settings, s)
}
