package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/ociremote"
	"github.com/gatehouse-registry/gatehouse/internal/server/secrets"
)

// formatOCI is the format of upstreams that are container registries.
const formatOCI = "oci"

// cacheUpstreams opens the registries of pull-through cache rules. An address that an
// upstream of the configuration has is asked with the settings of that; every other one must
// be public. It implements [images.Upstreams].
type cacheUpstreams struct {
	configured map[string]configuredUpstream // by HOST:PORT
	services   egress.Services
	own        func(host string) bool // whether HOST:PORT is this server's
	secrets    *secrets.Service
	now        func() time.Time

	mu         sync.Mutex
	clients    map[string]*egress.Upstream
	registries map[registryKey]*ociremote.Registry
}

// A configuredUpstream is one of the configuration. Rules of other accounts must not use it:
// it may have a credential of the operator's, and lead into their network. Nor must they tell
// what is configured: for them its host is like any other.
type configuredUpstream struct {
	client   *egress.Upstream
	accounts []string
}

// A registryKey names a registry with a credential.
type registryKey struct {
	address    string
	credential ociremote.Credential
}

// cacheLabel is the label in metrics of all addresses that no upstream of the configuration
// has.
const cacheLabel = "pull-through-cache"

// maxRemembered bounds the clients, and the registries with their tokens, that are kept.
const maxRemembered = 1000

func (p *components) cacheUpstreams(services egress.Services) *cacheUpstreams {
	c := &cacheUpstreams{
		configured: map[string]configuredUpstream{}, services: services, secrets: p.secrets, now: p.now,
		clients: map[string]*egress.Upstream{}, registries: map[registryKey]*ociremote.Registry{},
		own: func(host string) bool {
			_, registry := p.addresses.ParseRegistryHost(host)
			u, err := url.Parse(p.addresses.URL())
			return registry || err == nil && hostPort(u) == host
		},
	}
	for _, u := range p.upstreams {
		if u.Format != formatOCI {
			continue
		}
		if base, err := url.Parse(u.Client.Base()); err == nil {
			accounts := p.config.Upstreams[u.Name].Accounts
			if len(accounts) == 0 {
				accounts = []string{p.config.Account}
			}
			c.configured[hostPort(base)] = configuredUpstream{u.Client, accounts}
		}
	}
	return c
}

// hostPort returns the host of an address with its port.
func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return strings.ToLower(u.Host)
	}
	return strings.ToLower(u.Host) + ":" + map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

// client returns the client of an address for the rules of an account.
func (c *cacheUpstreams) client(account, text string) (*egress.Upstream, error) {
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return nil, errors.New("it is not the host of a registry")
	}
	if u.Path != "" && u.Path != "/" {
		return nil, errors.New("it has a path: name the host alone, and write the path into upstreamRepositoryPrefix")
	}
	if strings.HasSuffix(u.Hostname(), ".") {
		return nil, errors.New("its host ends with a dot: leave the dot out")
	}
	if c.own(hostPort(u)) {
		return nil, errors.New("it is this server")
	}
	if configured, ok := c.configured[hostPort(u)]; ok && slices.Contains(configured.accounts, account) {
		return configured.client, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.clients[text]; known != nil {
		return known, nil
	}
	client, err := egress.NewUpstream(egress.UpstreamConfig{Name: u.Host, Label: cacheLabel, URL: text}, c.services)
	if err != nil {
		var wrong *egress.SettingError
		if errors.As(err, &wrong) {
			err = fmt.Errorf("%w. An operator can allow it as an upstream of the format %s in the configuration, for the accounts that it names", wrong.Err, formatOCI)
		}
		return nil, err
	}
	if len(c.clients) >= maxRemembered {
		clear(c.clients)
	}
	c.clients[text] = client
	return client, nil
}

// CheckURL implements [images.Upstreams].
func (c *cacheUpstreams) CheckURL(id images.RegistryID, address string) error {
	_, err := c.client(id.Account, address)
	return err
}

// CheckCredential implements [images.Upstreams].
func (c *cacheUpstreams) CheckCredential(ctx context.Context, id images.RegistryID, secretARN string) error {
	secret, _, v, err := c.secrets.Get(ctx, secrets.Place(id), secretARN, "", "")
	switch {
	case fault.Is(err, "AccessDenied"):
		return fault.Wrap(err, fault.Invalid, "UnableToAccessSecret", "The secret %s cannot be used: you must be allowed secretsmanager:GetSecretValue on it.", secretARN)
	case fault.Is(err, "ResourceNotFound"):
		return secretNotFound(secretARN)
	case fault.Is(err, "InvalidRequest"), fault.Is(err, "DecryptionFailure"):
		return secretUnreadable(secretARN, err)
	case err != nil:
		return err
	case secret.ARN != secretARN: // without the six characters: it could be another one later
		return secretNotFound(secretARN)
	}
	_, err = parseCredential(secretARN, v.Bytes)
	return err
}

func secretNotFound(arn string) error {
	return fault.New(fault.NotFound, "SecretNotFound", "The secret %s does not exist. Name it by its whole ARN, with the six characters at the end.", arn)
}

func secretUnreadable(arn string, cause error) error {
	return fault.Wrap(cause, fault.Invalid, "UnableToDecryptSecretValue", "The secret %s cannot be read: it is marked for deletion, or its value was encrypted by a key that this server does not have.", arn)
}

// parseCredential reads the value of a secret (Amazon ECR User Guide, "Storing your upstream
// repository credentials in an AWS Secrets Manager secret").
func parseCredential(arn string, value []byte) (ociremote.Credential, error) {
	var c struct {
		Username    string `json:"username"`
		AccessToken string `json:"accessToken"`
	}
	// The error could have parts of the value.
	if json.Unmarshal(value, &c) != nil || c.Username == "" || c.AccessToken == "" || strings.Contains(c.Username, ":") {
		return ociremote.Credential{}, fault.New(fault.Invalid, "UnableToAccessSecret", `The secret %s must be {"username": "…", "accessToken": "…"}.`, arn)
	}
	return ociremote.Credential{Username: c.Username, Password: c.AccessToken}, nil
}

// Open implements [images.Upstreams].
func (c *cacheUpstreams) Open(ctx context.Context, id images.RegistryID, rule *images.CacheRule) (*ociremote.Registry, error) {
	client, err := c.client(id.Account, rule.URL)
	if err != nil {
		return nil, fault.New(fault.BadGateway, "UpstreamUnavailable", "The upstream registry %s cannot be used: %v.", rule.URL, err)
	}
	key := registryKey{address: client.Base()}
	if rule.CredentialARN != "" {
		value, err := c.secrets.ReadForService(ctx, secrets.Place(id), rule.CredentialARN)
		switch {
		case fault.Is(err, "ResourceNotFound") && !errors.Is(err, secrets.ErrUnreadable):
			return nil, secretNotFound(rule.CredentialARN)
		case errors.Is(err, secrets.ErrUnreadable):
			return nil, secretUnreadable(rule.CredentialARN, err)
		case err != nil:
			return nil, err
		}
		if key.credential, err = parseCredential(rule.CredentialARN, value); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.registries[key]
	if r == nil {
		if len(c.registries) >= maxRemembered {
			clear(c.registries)
		}
		r = ociremote.New(client, key.credential, c.now)
		c.registries[key] = r
	}
	return r, nil
}
