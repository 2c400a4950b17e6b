package config

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
)

// PublicPrefix begins the names of CodeArtifact's external connections.
const PublicPrefix = "public:"

// An Upstream is another registry. See [egress.UpstreamConfig] for what the settings do.
type Upstream struct {
	// Format is the format of its packages. External connections have theirs by name.
	Format string `yaml:"format"`
	// URL is what a client of the format would be given. It may be missing for an external
	// connection whose address is found on the machine.
	URL          string             `yaml:"url"`
	FileHosts    []string           `yaml:"file_hosts"`
	AllowPrivate bool               `yaml:"allow_private"`
	CA           string             `yaml:"ca"`
	Proxy        string             `yaml:"proxy"`
	Credential   UpstreamCredential `yaml:"credential"`
	Limits       UpstreamLimits     `yaml:"limits"`
	// Accounts are those whose pull-through cache rules may use the upstream, with its
	// credential. None means the first account. Only for the format oci.
	Accounts []string `yaml:"accounts"`
	// Cache has settings of upstream_cache that are different for this upstream.
	Cache UpstreamTimes `yaml:"cache"`
}

// An UpstreamCredential is an [egress.Credential].
type UpstreamCredential struct {
	Scheme string   `yaml:"scheme"`
	User   string   `yaml:"user"`
	Header string   `yaml:"header"`
	File   string   `yaml:"file"`
	Env    string   `yaml:"env"`
	Hosts  []string `yaml:"hosts"`
}

// UpstreamLimits are [egress.Limits].
type UpstreamLimits struct {
	Concurrent int           `yaml:"concurrent"`
	Rate       float64       `yaml:"rate"`
	Header     time.Duration `yaml:"header"`
	Idle       time.Duration `yaml:"idle"`
	MinRate    int64         `yaml:"min_rate"`
	Attempts   int           `yaml:"attempts"`
}

// upstreamName is the form of names that are the operator's own.
var upstreamName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// Egress returns the settings for package egress. An error is about the file of the
// authorities.
func (u Upstream) Egress(name string) (egress.UpstreamConfig, error) {
	c := egress.UpstreamConfig{
		Name: name, URL: u.URL, FileHosts: u.FileHosts, AllowPrivate: u.AllowPrivate, Proxy: u.Proxy,
		Credential: egress.Credential{
			Scheme: egress.Scheme(u.Credential.Scheme), User: u.Credential.User, Header: u.Credential.Header,
			File: u.Credential.File, Env: u.Credential.Env, Hosts: u.Credential.Hosts,
		},
		Limits: egress.Limits(u.Limits),
	}
	if u.CA == "" {
		return c, nil
	}
	var err error
	c.Authorities, err = authorities(u.CA)
	if err != nil {
		err = &egress.SettingError{Setting: "ca", Err: err}
	}
	return c, err
}

// validateUpstreams checks what can be checked without reading files. Package app checks
// names and formats, which it knows.
func (c *Config) validateUpstreams(bad func(setting, format string, args ...any)) {
	for _, name := range slices.Sorted(maps.Keys(c.Upstreams)) {
		u, setting := c.Upstreams[name], "upstreams."+name
		public := strings.HasPrefix(name, PublicPrefix)
		if !public && !upstreamName.MatchString(name) {
			bad(setting, "%q cannot be a name: use up to 63 lower-case letters, digits, dots, dashes and underscores", name)
		}
		if !public && u.URL == "" {
			bad(setting+".url", "is missing: name the address of the registry")
			continue
		}
		for _, account := range u.Accounts {
			if !slices.Contains(c.AllAccounts(), account) {
				bad(setting+".accounts", "%q is not an account of this installation", account)
			}
		}
		if len(u.Accounts) > 0 && u.Format != "oci" {
			bad(setting+".accounts", "is for the format oci only: permissions on repositories decide for packages")
		}
		u.Cache.validate(bad, setting+".cache", c.UpstreamCache)
		files := u
		files.CA = "" // is read when the server starts
		settings, err := files.Egress(name)
		if u.URL == "" {
			settings.URL = "https://unknown.invalid" // the address is found later
		}
		if err == nil {
			_, err = egress.NewUpstream(settings, egress.Services{})
		}
		var wrong *egress.SettingError
		if errors.As(err, &wrong) {
			bad(setting+"."+wrong.Setting, "%v", wrong.Err)
		}
	}
}
