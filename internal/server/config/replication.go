package config

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
)

// Replication has what images can be replicated to beside the registries of the installation.
type Replication struct {
	// Destinations are registries of other installations, by a name of the operator's own.
	Destinations map[string]Destination `yaml:"destinations"`
}

// A Destination is a container registry of another Gatehouse or of Amazon ECR.
type Destination struct {
	// Account and Region are what replication rules call it.
	Account string `yaml:"account"`
	Region  string `yaml:"region"`
	// URL is the address of the API. The registry's endpoint and STS are there too, unless
	// RegistryURL and STSURL say otherwise.
	URL         string `yaml:"url"`
	RegistryURL string `yaml:"registry_url"`
	STSURL      string `yaml:"sts_url"`
	// Sources are the accounts of this installation that may use the credential. None means
	// the first account.
	Sources []string `yaml:"sources"`
	// AccessKey and its secret, or CredentialARN, sign requests. Role is assumed with them
	// if it is not empty.
	AccessKey  string `yaml:"access_key"`
	SecretFile string `yaml:"secret_file"`
	SecretEnv  string `yaml:"secret_env"`
	// CredentialARN is a secret of this installation: {"accessKeyId": …, "secretAccessKey": …}.
	CredentialARN string `yaml:"credential_arn"`
	Role          string `yaml:"role"`

	AllowPrivate bool           `yaml:"allow_private"`
	CA           string         `yaml:"ca"`
	Proxy        string         `yaml:"proxy"`
	Limits       UpstreamLimits `yaml:"limits"`
}

// Egress returns the settings of the API, the registry's endpoint and STS for package egress.
// An error is about the file of the authorities.
func (d Destination) Egress(name string) (api, endpoint, sts egress.UpstreamConfig, err error) {
	api = egress.UpstreamConfig{
		Name: name, Settings: "replication.destinations." + name, URL: d.URL,
		AllowPrivate: d.AllowPrivate, Proxy: d.Proxy, Limits: egress.Limits(d.Limits),
	}
	if d.CA != "" {
		if api.Authorities, err = authorities(d.CA); err != nil {
			err = &egress.SettingError{Setting: "ca", Err: err}
		}
	}
	endpoint, sts = api, api
	endpoint.URL, sts.URL = cmp.Or(d.RegistryURL, d.URL), cmp.Or(d.STSURL, d.URL)
	return api, endpoint, sts, err
}

// SourceAccounts are the accounts that may replicate to a destination.
func (c *Config) SourceAccounts(d Destination) []string {
	if len(d.Sources) == 0 {
		return []string{c.Account}
	}
	return d.Sources
}

// validateReplication checks what can be checked without reading files.
func (c *Config) validateReplication(bad func(setting, format string, args ...any)) {
	known := map[[2]string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Replication.Destinations)) {
		d, setting := c.Replication.Destinations[name], "replication.destinations."+name
		if !upstreamName.MatchString(name) {
			bad(setting, "%q cannot be a name: use up to 63 lower-case letters, digits, dots, dashes and underscores", name)
		}
		if !arn.IsAccountID(d.Account) {
			bad(setting+".account", "%q is not an account id, which has 12 digits", d.Account)
		}
		if !regionPattern.MatchString(d.Region) {
			bad(setting+".region", "%q does not look like a region, such as us-east-1", d.Region)
		}
		id := [2]string{d.Account, d.Region}
		switch {
		case slices.Contains(c.AllAccounts(), d.Account) && slices.Contains(c.AllRegions(), d.Region):
			bad(setting, "is a registry of this installation, which needs no destination")
		case known[id] != "":
			bad(setting, "is the same registry as %s", known[id])
		}
		known[id] = name
		for _, source := range d.Sources {
			if !slices.Contains(c.AllAccounts(), source) {
				bad(setting+".sources", "%q is not an account of this installation", source)
			}
		}
		d.validateCredential(bad, setting)
		d.CA = "" // is read when the server starts
		api, endpoint, sts, _ := d.Egress(name)
		for _, u := range []struct {
			setting string
			config  egress.UpstreamConfig
		}{{"url", api}, {"registry_url", endpoint}, {"sts_url", sts}} {
			_, err := egress.NewUpstream(u.config, egress.Services{})
			if wrong, ok := errors.AsType[*egress.SettingError](err); ok {
				bad(setting+"."+map[bool]string{true: u.setting, false: wrong.Setting}[wrong.Setting == "url"], "%v", wrong.Err)
				break
			}
		}
	}
}

func (d Destination) validateCredential(bad func(setting, format string, args ...any), setting string) {
	switch {
	case d.CredentialARN != "" && (d.AccessKey != "" || d.SecretFile != "" || d.SecretEnv != ""):
		bad(setting+".credential_arn", "and access_key exclude each other")
	case d.CredentialARN != "":
		if a, err := arn.Parse(d.CredentialARN); err != nil || a.Service != "secretsmanager" {
			bad(setting+".credential_arn", "is not the ARN of a secret")
		}
	case d.AccessKey == "":
		bad(setting+".access_key", "is missing: name an access key of the other installation, or a secret in credential_arn")
	case (d.SecretFile == "") == (d.SecretEnv == ""):
		bad(setting+".access_key", "needs its secret: name either a file (secret_file) or an environment variable (secret_env)")
	}
}
