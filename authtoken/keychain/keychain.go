// Package keychain lets programs that use go-containerregistry (crane, ko and
// others) pull from and push to ECR, ECR Public and Gatehouse with the
// credentials of an aws.Config:
//
//	cfg, err := config.LoadDefaultConfig(ctx)
//	...
//	image, err := remote.Image(ref, remote.WithAuthFromKeychain(keychain.New(cfg)))
//
// A [Keychain] has credentials for these registries and for no other:
//
//   - If the configuration's endpoint is AWS: every registry with a host name of
//     AWS's, with tokens of the host's region, and public.ecr.aws.
//   - If the configuration names another endpoint: the registry that the endpoint
//     names with its tokens, and registries with ECR's form of host names below
//     the same suffix.
//
// For every other registry it answers [authn.Anonymous], so that it can be one of
// several in an [authn.NewMultiKeychain].
package keychain

import (
	"context"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/gatehouse-registry/gatehouse/authtoken"
)

// A Keychain is an [authn.Keychain] and an [authn.ContextKeychain]. It is safe
// for use by many goroutines.
type Keychain struct {
	config  aws.Config
	options []authtoken.Option
	custom  bool // the configuration names an endpoint that is not AWS's

	mu      sync.Mutex
	sources map[string]*authtoken.Source // by region; ECR Public's by its host
}

// New returns a keychain over an AWS configuration. The options are given to
// every source of tokens.
func New(cfg aws.Config, options ...authtoken.Option) *Keychain {
	endpoint := aws.ToString(ecr.NewFromConfig(cfg).Options().BaseEndpoint)
	return &Keychain{
		config: cfg, options: options,
		custom:  endpoint != "" && !authtoken.IsAWS(endpoint),
		sources: make(map[string]*authtoken.Source),
	}
}

// Resolve implements [authn.Keychain].
func (k *Keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), target)
}

// ResolveContext implements [authn.ContextKeychain]. For a registry that only the
// endpoint can recognize it fetches a token; the errors are those of
// [authtoken.Source.Token].
func (k *Keychain) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	host := authtoken.Host(target.RegistryStr())
	registry, ok := authtoken.ParseRegistryHost(host)
	switch {
	case !k.custom && host == authtoken.PublicHost:
		return authenticator{k.publicSource()}, nil
	case !k.custom && ok && registry.AWS():
		return authenticator{k.source(registry.Region)}, nil
	case !k.custom:
		return authn.Anonymous, nil
	}
	source := k.source(k.config.Region)
	token, err := source.Token(ctx)
	if err != nil {
		return nil, err
	}
	if !sameRegistry(host, authtoken.Host(token.Endpoint)) {
		return authn.Anonymous, nil
	}
	return authenticator{source}, nil
}

// sameRegistry reports whether a host is the one that the endpoint named, or a
// registry of another account or region below the same suffix.
func sameRegistry(host, named string) bool {
	if host != "" && host == named {
		return true
	}
	a, okA := authtoken.ParseRegistryHost(host)
	b, okB := authtoken.ParseRegistryHost(named)
	return okA && okB && a.Suffix == b.Suffix
}

func (k *Keychain) source(region string) *authtoken.Source {
	return k.cached(region, func() *authtoken.Source {
		cfg := k.config.Copy()
		cfg.Region = region
		return authtoken.ECR(cfg, k.options...)
	})
}

func (k *Keychain) publicSource() *authtoken.Source {
	return k.cached(authtoken.PublicHost, func() *authtoken.Source { return authtoken.ECRPublic(k.config, k.options...) })
}

// cached returns the source of a name. Sources keep tokens in memory, so each is
// made once.
func (k *Keychain) cached(name string, create func() *authtoken.Source) *authtoken.Source {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sources[name] == nil {
		k.sources[name] = create()
	}
	return k.sources[name]
}

// An authenticator asks for the token at each request, so that a transfer that
// takes longer than a token lives goes on with the next one.
type authenticator struct{ source *authtoken.Source }

// Authorization implements [authn.Authenticator].
func (a authenticator) Authorization() (*authn.AuthConfig, error) {
	return a.AuthorizationContext(context.Background())
}

// AuthorizationContext implements [authn.ContextAuthenticator].
func (a authenticator) AuthorizationContext(ctx context.Context) (*authn.AuthConfig, error) {
	token, err := a.source.Token(ctx)
	if err != nil {
		return nil, err
	}
	return &authn.AuthConfig{Username: token.Username, Password: token.Password}, nil
}
