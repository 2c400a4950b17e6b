package login

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
)

// A Repository is a CodeArtifact repository as a person names it.
type Repository struct {
	AWS credential.AWS
	// Domain and Name are required. Owner is the domain's 12-digit account, if
	// it is not the caller's own.
	Domain, Owner, Name string
	// Duration is how long its tokens live; 0 means the service's default, 12
	// hours.
	Duration time.Duration
	// EndpointType is [Choice]'s.
	EndpointType types.EndpointType
	// Options are given to the token source.
	Options []authtoken.Option
}

// Target finds the repository's address for a package format. The errors come
// from [credential.Explain].
func (r Repository) Target(ctx context.Context, format string) (Target, error) {
	cfg, req, err := r.load(ctx)
	if err != nil {
		return Target{}, err
	}
	in := &codeartifact.GetRepositoryEndpointInput{Domain: &r.Domain, Repository: &r.Name, Format: types.PackageFormat(format), EndpointType: r.EndpointType}
	if r.Owner != "" {
		in.DomainOwner = &r.Owner
	}
	out, err := codeartifact.NewFromConfig(cfg).GetRepositoryEndpoint(ctx, in)
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) && missing.ResourceType == types.ResourceTypeRepository {
		return Target{}, fmt.Errorf("there is no repository %q in the domain %q in region %s: check --repository (%w)", r.Name, r.Domain, cfg.Region, err)
	}
	if err != nil {
		return Target{}, credential.Explain(err, req)
	}
	endpoint, err := parseEndpoint(aws.ToString(out.RepositoryEndpoint), req.Endpoint)
	if err != nil {
		return Target{}, err
	}
	endpoint.Path = strings.TrimSuffix(endpoint.Path, "/") + "/"
	named, _ := authtoken.ParseRepositoryURL(endpoint.String())
	owner := r.Owner
	if owner == "" {
		owner = named.Owner
	}
	return Target{
		Endpoint: endpoint, Name: NameOf(r.Domain, r.Name),
		Domain: r.Domain, Owner: owner, Repository: r.Name, Region: cfg.Region,
		AWS: r.AWS, Duration: r.Duration,
	}, nil
}

// Token returns a token for the repository. The errors come from
// [credential.Explain].
func (r Repository) Token(ctx context.Context) (authtoken.Token, error) {
	source, req, err := r.Source(ctx)
	if err != nil {
		return authtoken.Token{}, err
	}
	t, err := source.Token(ctx)
	return t, credential.Explain(err, req)
}

// Source returns a token source for the repository, for callers that need more
// than one token, and what [credential.Explain] needs to explain the source's
// errors. The returned error is explained already.
func (r Repository) Source(ctx context.Context) (*authtoken.Source, credential.Request, error) {
	cfg, req, err := r.load(ctx)
	if err != nil {
		return nil, req, err
	}
	var options []authtoken.Option
	if r.Owner != "" {
		options = append(options, authtoken.DomainOwner(r.Owner))
	}
	if r.Duration != 0 {
		options = append(options, authtoken.Duration(r.Duration))
	}
	return authtoken.CodeArtifact(cfg, r.Domain, append(options, r.Options...)...), req, nil
}

func (r Repository) load(ctx context.Context) (aws.Config, credential.Request, error) {
	cfg, err := r.AWS.Load(ctx, "")
	req := credential.Request{Service: "codeartifact", Domain: r.Domain, Owner: r.Owner, Region: cfg.Region}
	if err != nil {
		return cfg, req, credential.Explain(err, req)
	}
	req.Endpoint = aws.ToString(codeartifact.NewFromConfig(cfg).Options().BaseEndpoint)
	return cfg, req, nil
}

// A Registry is an ECR container registry as a person names it.
type Registry struct {
	AWS credential.AWS
	// ID is the registry's 12-digit account, if it is not the caller's own.
	ID string
	// EndpointType is [Choice]'s.
	EndpointType types.EndpointType
	// Options are given to the token source.
	Options []authtoken.Option
}

// Target finds the registry's address. The service returns it together with a
// token, which becomes Target.Token. The errors come from [credential.Explain].
func (r Registry) Target(ctx context.Context) (Target, error) {
	source, req, err := r.Source(ctx)
	if err != nil {
		return Target{}, err
	}
	t, err := source.Token(ctx)
	if err != nil {
		return Target{}, credential.Explain(err, req)
	}
	endpoint, err := parseEndpoint(t.Endpoint, req.Endpoint)
	if err != nil {
		return Target{}, err
	}
	endpoint.Path = ""
	if r.EndpointType == types.EndpointTypeDualstack {
		endpoint.Host = dualStackRegistry(endpoint.Host)
	}
	return Target{Endpoint: endpoint, Name: "ecr", Region: req.Region, AWS: r.AWS, Token: t}, nil
}

// dualStackRegistry returns the dual-stack name of an AWS registry, of which the
// service only tells the other one (Amazon ECR User Guide, "Making requests to ECR
// registries over IPv6"). Any other registry has one name for both.
func dualStackRegistry(host string) string {
	r, ok := authtoken.ParseRegistryHost(host)
	suffix := map[string]string{"amazonaws.com": "on.aws", "amazonaws.com.cn": "on.amazonwebservices.com.cn", "amazonaws.eu": "on.amazonwebservices.eu"}[r.Suffix]
	if !ok || suffix == "" {
		return host
	}
	label := ".dkr-ecr."
	if strings.Contains(host, "ecr-fips.") {
		label = ".dkr-ecr-fips."
	}
	return r.Account + label + r.Region + "." + suffix
}

// Source is [Repository.Source] for the registry's tokens.
func (r Registry) Source(ctx context.Context) (*authtoken.Source, credential.Request, error) {
	cfg, err := r.AWS.Load(ctx, "")
	req := credential.Request{Service: "ecr", Region: cfg.Region}
	if err != nil {
		return nil, req, credential.Explain(err, req)
	}
	req.Endpoint = aws.ToString(ecr.NewFromConfig(cfg).Options().BaseEndpoint)
	var options []authtoken.Option
	if r.ID != "" {
		options = append(options, authtoken.RegistryID(r.ID))
	}
	return authtoken.ECR(cfg, append(options, r.Options...)...), req, nil
}

// parseEndpoint parses an address from the service's answer before it is
// written to configuration files. Only a plain address is accepted. Without TLS
// the token would be sent in the clear, so such an address is only accepted if
// the issuer itself is reached without TLS.
func parseEndpoint(address, issuer string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		strings.ContainsAny(address, "\"'`<>\\ $\r\n\t") {
		return nil, fmt.Errorf("the endpoint named the address %q, which is not a plain http or https address", address)
	}
	if u.Scheme == "http" && !strings.HasPrefix(strings.ToLower(issuer), "http://") {
		return nil, fmt.Errorf("the endpoint named %s, to which a token would be sent in the clear", u)
	}
	return u, nil
}
