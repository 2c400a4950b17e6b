package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/ecrremote"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/secrets"
)

// A destination is a registry of replication.destinations.
type destination struct {
	registry *ecrremote.Registry
	sources  []string // accounts
}

// destinations implements [images.Destinations].
type destinations map[images.RegistryID]destination

// Open implements [images.Destinations].
func (d destinations) Open(source string, to images.RegistryID) *ecrremote.Registry {
	if found, ok := d[to]; ok && slices.Contains(found.sources, source) {
		return found.registry
	}
	return nil
}

// destinationLabel is the label in metrics of all destinations.
const destinationLabel = "replication"

// destinations opens the destinations of the configuration.
func (p *components) destinations() (destinations, error) {
	all := destinations{}
	for _, name := range slices.Sorted(maps.Keys(p.config.Replication.Destinations)) {
		d := p.config.Replication.Destinations[name]
		registry, err := p.openDestination(name, d)
		if err != nil {
			return nil, fmt.Errorf("%w: replication.destinations.%s: %w", ErrConfiguration, name, err)
		}
		all[images.RegistryID{Account: d.Account, Region: d.Region}] = destination{registry, p.config.SourceAccounts(d)}
	}
	return all, nil
}

func (p *components) openDestination(name string, d config.Destination) (*ecrremote.Registry, error) {
	api, endpoint, sts, err := d.Egress(name)
	if err != nil {
		return nil, err
	}
	c := ecrremote.Config{Account: d.Account, Region: d.Region, Credentials: &destinationKey{d, p.secrets}, Role: d.Role, Now: p.now}
	for _, u := range []struct {
		client **egress.Upstream
		config egress.UpstreamConfig
	}{{&c.API, api}, {&c.Endpoint, endpoint}, {&c.STS, sts}} {
		u.config.Label = destinationLabel
		if *u.client, err = egress.NewUpstream(u.config, p.egress); err != nil {
			return nil, err
		}
	}
	return ecrremote.New(c), nil
}

// A destinationKey reads the access key of a destination whenever it is needed, so it can be
// replaced while the server runs. It implements aws.CredentialsProvider.
type destinationKey struct {
	config.Destination
	secrets *secrets.Service
}

// maxKeySecret bounds the file of a secret, in bytes.
const maxKeySecret = 4 << 10

// Retrieve implements aws.CredentialsProvider.
func (k *destinationKey) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c := aws.Credentials{AccessKeyID: k.AccessKey}
	switch {
	case k.CredentialARN != "":
		return k.stored(ctx)
	case k.SecretEnv != "":
		c.SecretAccessKey = os.Getenv(k.SecretEnv)
	default:
		info, err := os.Stat(k.SecretFile)
		if err == nil && info.Size() > maxKeySecret {
			err = errors.New("it is too large")
		}
		if err != nil {
			return c, fmt.Errorf("secret_file: %w", err)
		}
		secret, err := os.ReadFile(k.SecretFile)
		if err != nil {
			return c, fmt.Errorf("secret_file: %w", err)
		}
		c.SecretAccessKey = strings.TrimSpace(string(secret))
	}
	if c.SecretAccessKey == "" {
		return c, errors.New("the secret of the access key is empty")
	}
	return c, nil
}

// stored reads the access key from a secret of this installation.
func (k *destinationKey) stored(ctx context.Context) (c aws.Credentials, err error) {
	a, err := arn.Parse(k.CredentialARN)
	if err != nil {
		return c, err
	}
	value, err := k.secrets.ReadForService(ctx, secrets.Place{Account: a.AccountID, Region: a.Region}, k.CredentialARN)
	if err != nil {
		return c, fmt.Errorf("the secret %s cannot be read: %w", k.CredentialARN, err)
	}
	var key struct {
		ID     string `json:"accessKeyId"`
		Secret string `json:"secretAccessKey"`
	}
	// The error could have parts of the value.
	if json.Unmarshal(value, &key) != nil || key.ID == "" || key.Secret == "" {
		return c, fmt.Errorf(`the secret %s must be {"accessKeyId": "…", "secretAccessKey": "…"}`, k.CredentialARN)
	}
	return aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}, nil
}
