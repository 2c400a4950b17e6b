package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
)

// Events says how long events are kept, and who is told of them.
type Events struct {
	// Keep and Max bound what is kept for those who read events: an age, and a number.
	Keep time.Duration `yaml:"keep"`
	Max  int64         `yaml:"max"`
	// Webhooks are posted the events that they choose, by name.
	Webhooks map[string]Webhook `yaml:"webhooks"`
	// AllowNetworks are networks in CIDR form that webhooks may be in, although they are
	// not public.
	AllowNetworks []string `yaml:"allow_networks"`
	// AllowLoopbackHTTP allows webhooks on this machine, also over http: for laptops and
	// tests.
	AllowLoopbackHTTP bool `yaml:"allow_loopback_http"`
	// CA is a PEM file of authorities that are trusted for the certificates of webhooks,
	// in addition to the system's.
	CA string `yaml:"ca"`
}

// A Webhook is an address that events are posted to: see [events.Webhook].
type Webhook struct {
	URL string `yaml:"url"`
	// SecretFile has the secret, whsec_ and base64, on a line of its own. With two lines,
	// both sign. It is read for each delivery.
	SecretFile string `yaml:"secret_file"`
	// SecretEnv is the name of an environment variable with the secret instead.
	SecretEnv string `yaml:"secret_env"`
	// The lists choose events, as [events.Filter] does.
	Sources      []string `yaml:"sources"`
	DetailTypes  []string `yaml:"detail_types"`
	Accounts     []string `yaml:"accounts"`
	Domains      []string `yaml:"domains"`
	Repositories []string `yaml:"repositories"`
}

// maxWebhooks bounds how many jobs a change can put into the work queue.
const maxWebhooks = 20

// Networks returns the ranges of AllowNetworks.
func (e Events) Networks() ([]netip.Prefix, error) { return parseNetworks(e.AllowNetworks) }

// Authorities returns the authorities that may sign the certificates of webhooks. nil
// means those of the system.
func (e Events) Authorities() (*x509.CertPool, error) {
	if e.CA == "" {
		return nil, nil
	}
	return authorities(e.CA)
}

// Hooks returns the webhooks in the order of their names.
func (e Events) Hooks() (all []events.Webhook) {
	for _, name := range slices.Sorted(maps.Keys(e.Webhooks)) {
		w := e.Webhooks[name]
		all = append(all, events.Webhook{
			Name: name, URL: w.URL, Secrets: w.secrets,
			Filter: events.Filter{Sources: w.Sources, DetailTypes: w.DetailTypes, Accounts: w.Accounts, Domains: w.Domains, Repositories: w.Repositories},
		})
	}
	return all
}

// secrets reads the secrets.
func (w Webhook) secrets() ([]events.Secret, error) {
	text, from := os.Getenv(w.SecretEnv), "environment variable "+w.SecretEnv
	if w.SecretFile != "" {
		raw, err := os.ReadFile(w.SecretFile)
		if err != nil {
			return nil, err
		}
		text, from = string(raw), w.SecretFile
	}
	var all []events.Secret
	for line := range strings.FieldsSeq(text) {
		s, err := events.ParseSecret(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", from, err)
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: there is no secret", from)
	}
	return all, nil
}

func (e Events) validate(bad func(setting, format string, args ...any)) {
	if e.Keep < time.Minute {
		bad("events.keep", "must be a minute or more")
	}
	if e.Max < 1000 {
		bad("events.max", "must be 1000 or more")
	}
	if _, err := e.Networks(); err != nil {
		bad("events.allow_networks", "%v", err)
	}
	if len(e.Webhooks) > maxWebhooks {
		bad("events.webhooks", "has %d webhooks, and at most %d are possible", len(e.Webhooks), maxWebhooks)
	}
	guard := egress.New(egress.Config{LoopbackHTTP: e.AllowLoopbackHTTP})
	for _, name := range slices.Sorted(maps.Keys(e.Webhooks)) {
		w, setting := e.Webhooks[name], "events.webhooks."+name
		if !upstreamName.MatchString(name) {
			bad(setting, "%q cannot be a name: use up to 63 lower-case letters, digits, dots, dashes and underscores", name)
		}
		if err := w.checkURL(guard); err != nil {
			bad(setting+".url", "%v", err)
		}
		if (w.SecretFile == "") == (w.SecretEnv == "") {
			bad(setting, "set either secret_file or secret_env, from which requests are signed")
		}
	}
}

// checkURL does not repeat the address, whose query may be secret.
func (w Webhook) checkURL(guard *egress.Guard) error {
	u, err := url.Parse(w.URL)
	switch {
	case w.URL == "":
		return errors.New("is missing: name the address that events are posted to")
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("is not an address, such as https://hooks.example.com/gatehouse")
	case u.User != nil || u.Fragment != "":
		return errors.New("must not have a user or a fragment")
	}
	_, err = guard.For(u.Scheme + "://" + u.Host)
	return err
}

// CheckSecrets returns what is wrong with the secrets of the webhooks, by setting.
func (e Events) CheckSecrets() map[string]error {
	wrong := map[string]error{}
	for name, w := range e.Webhooks {
		if (w.SecretFile == "") == (w.SecretEnv == "") {
			continue // Validate says so
		}
		if _, err := w.secrets(); err != nil {
			setting := "secret_env"
			if w.SecretFile != "" {
				setting = "secret_file"
			}
			wrong["events.webhooks."+name+"."+setting] = err
		}
	}
	return wrong
}
