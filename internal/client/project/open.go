package project

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
)

// maxCalls bounds the calls for addresses and tokens at one time.
const maxCalls = 8

// An Endpoint is a repository in one format, or a registry, that tools are configured
// for.
type Endpoint struct {
	// Target has the address and the names. Its Token is the one from when the endpoint
	// was opened; the zero Token if none is needed, as behind the proxy.
	login.Target
	// Format is CodeArtifact's name for the package format; "" for a registry.
	Format string

	source *source
}

// A source is shared by the endpoints with the same token.
type source struct {
	tokens *authtoken.Source
	req    credential.Request
	http   *http.Transport
}

// Authorize returns a token for the endpoint that is valid now. The errors are as
// with [credential.Explain].
func (e Endpoint) Authorize(ctx context.Context) (authtoken.Token, error) {
	t, err := e.source.tokens.Token(ctx)
	return t, credential.Explain(err, e.source.req)
}

// Forget drops the cached token. Use it if the endpoint refuses the token before it
// expires.
func (e Endpoint) Forget(ctx context.Context) error { return e.source.tokens.Forget(ctx) }

// Transport returns a new transport that trusts what the AWS configuration
// trusts (ca_bundle, AWS_CA_BUNDLE) and goes by the same proxies.
func (e Endpoint) Transport() *http.Transport { return e.source.http.Clone() }

// Registry reports whether the endpoint is a container registry.
func (e Endpoint) Registry() bool { return e.Format == "" }

// Open finds the addresses of all repositories and registries and fetches their
// tokens, in parallel. The endpoints are in the order of the file, and those of one
// repository are sorted by format. What was chosen overrides the file. Call
// [Trust.Check] before.
//
// The errors are as with [credential.Explain].
func (p Project) Open(ctx context.Context, chosen credential.AWS, options ...authtoken.Option) ([]Endpoint, error) {
	o := opener{chosen: chosen, options: options, sources: make(map[sourceKey]*source)}
	var steps []func(context.Context) (Endpoint, error)
	for _, r := range p.Repositories {
		for _, format := range r.formats() {
			step, err := o.repository(ctx, r, format)
			if err != nil {
				return nil, err
			}
			steps = append(steps, step)
		}
	}
	for i, r := range p.Registries {
		step, err := o.registry(ctx, r, registryName(i))
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	endpoints := make([]Endpoint, len(steps))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxCalls)
	for i, step := range steps {
		group.Go(func() (err error) {
			endpoints[i], err = step(ctx)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return endpoints, nil
}

// registryName is used for the names of the registry's variables, since registries
// have no names.
func registryName(i int) string {
	if i == 0 {
		return "ecr"
	}
	return fmt.Sprintf("ecr-%d", i+1)
}

// An opener opens the endpoints of one project.
type opener struct {
	chosen  credential.AWS
	options []authtoken.Option
	sources map[sourceKey]*source
}

// A sourceKey has everything that a token depends on.
type sourceKey struct {
	service       string
	aws           credential.AWS
	domain, owner string
	duration      time.Duration
}

// A grant is what login.Repository and login.Registry have in common.
type grant interface {
	Source(context.Context) (*authtoken.Source, credential.Request, error)
}

func (o *opener) source(ctx context.Context, k sourceKey, g grant) (*source, error) {
	if s, ok := o.sources[k]; ok {
		return s, nil
	}
	tokens, req, err := g.Source(ctx)
	if err != nil {
		return nil, err
	}
	cfg, err := k.aws.Load(ctx, "")
	if err != nil {
		return nil, credential.Explain(err, req)
	}
	transport := http.DefaultTransport.(*http.Transport)
	if c, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		transport = c.GetTransport()
	}
	s := &source{tokens: tokens, req: req, http: transport}
	o.sources[k] = s
	return s, nil
}

func (o *opener) repository(ctx context.Context, r Repository, format string) (func(context.Context) (Endpoint, error), error) {
	named := login.Repository{
		AWS: r.aws(o.chosen), Domain: r.Domain, Owner: r.DomainOwner, Name: r.Name,
		Duration: time.Duration(r.Duration), Options: o.options,
	}
	s, err := o.source(ctx, sourceKey{"codeartifact", named.AWS, r.Domain, r.DomainOwner, named.Duration}, named)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (Endpoint, error) {
		target, err := named.Target(ctx, format)
		if err != nil {
			return Endpoint{}, err
		}
		target.Name = r.alias()
		if format == "npm" {
			target.Scopes = slices.Clone(r.Scopes)
		}
		e := Endpoint{Target: target, Format: format, source: s}
		e.Token, err = e.Authorize(ctx)
		return e, err
	}, nil
}

func (o *opener) registry(ctx context.Context, r Registry, name string) (func(context.Context) (Endpoint, error), error) {
	named := login.Registry{AWS: r.aws(o.chosen), ID: r.ID, Options: o.options}
	s, err := o.source(ctx, sourceKey{service: "ecr", aws: named.AWS, owner: r.ID}, named)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (Endpoint, error) {
		target, err := named.Target(ctx)
		if err != nil {
			return Endpoint{}, err
		}
		target.Name = name
		return Endpoint{Target: target, source: s}, nil
	}, nil
}
