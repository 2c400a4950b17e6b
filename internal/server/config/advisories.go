package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
)

// Advisories says from which addresses advisories about packages come. See
// [egress.UpstreamConfig] for what the settings of a source do.
type Advisories struct {
	// Every is how often the sources are asked.
	Every   time.Duration             `yaml:"every"`
	Sources map[string]AdvisorySource `yaml:"sources"`
}

// An AdvisorySource is one address of documents of OSV.
type AdvisorySource struct {
	// URL is the address of a zip or of a JSON file.
	URL          string             `yaml:"url"`
	AllowPrivate bool               `yaml:"allow_private"`
	CA           string             `yaml:"ca"`
	Proxy        string             `yaml:"proxy"`
	Credential   UpstreamCredential `yaml:"credential"`
}

// maxAdvisorySources bounds the addresses: there are few ecosystems.
const maxAdvisorySources = 50

// Names returns the names of the sources in their order.
func (a Advisories) Names() []string { return slices.Sorted(maps.Keys(a.Sources)) }

// Egress returns the settings for package egress. An error is about the address, or about
// the file of the authorities.
func (a AdvisorySource) Egress(name string) (egress.UpstreamConfig, error) {
	u, err := egress.ParseBase(a.URL, a.AllowPrivate)
	if err == nil && strings.HasSuffix(a.URL, "/") {
		err = errors.New("it is a folder: name a file, such as https://osv.example.com/npm/all.zip")
	}
	if err != nil {
		return egress.UpstreamConfig{}, &egress.SettingError{Setting: "url", Err: err}
	}
	u.Path, u.RawPath = "/", "" // the file itself is asked for
	c, err := Upstream{URL: u.String(), AllowPrivate: a.AllowPrivate, CA: a.CA, Proxy: a.Proxy, Credential: a.Credential}.Egress(name)
	c.Name, c.Settings = "advisories/"+name, "advisories.sources."+name
	return c, err
}

func (a Advisories) validate(bad func(setting, format string, args ...any)) {
	if a.Every < 5*time.Minute || a.Every > 30*24*time.Hour {
		bad("advisories.every", "must be between 5m and 720h")
	}
	if len(a.Sources) > maxAdvisorySources {
		bad("advisories.sources", "has %d addresses, and at most %d are possible", len(a.Sources), maxAdvisorySources)
	}
	for _, name := range a.Names() {
		source, setting := a.Sources[name], "advisories.sources."+name
		if !upstreamName.MatchString(name) {
			bad(setting, "%q cannot be a name: use up to 63 lower-case letters, digits, dots, dashes and underscores", name)
		}
		if source.URL == "" {
			bad(setting+".url", "is missing: name the address of a zip or a JSON file")
			continue
		}
		source.CA = "" // is read when the server starts
		settings, err := source.Egress(name)
		if err == nil {
			_, err = egress.NewUpstream(settings, egress.Services{})
		}
		var wrong *egress.SettingError
		if errors.As(err, &wrong) {
			bad(setting+"."+wrong.Setting, "%v", wrong.Err)
		}
	}
}

// Open returns the client of a source. The error names the setting.
func (a AdvisorySource) Open(name string, s egress.Services) (*egress.Upstream, error) {
	settings, err := a.Egress(name)
	if err != nil {
		return nil, fmt.Errorf("advisories.sources.%s: %w", name, err)
	}
	u, err := egress.NewUpstream(settings, s)
	if err != nil {
		return nil, fmt.Errorf("advisories.sources.%s: %w", name, err)
	}
	return u, nil
}
