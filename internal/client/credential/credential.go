// Package credential answers the question that package clients and container
// clients ask a credential helper: which user name and password open this address?
//
// Each package below this one is one client's protocol (docker, cargo, keyring, …).
// It reads a request, asks a [Lookup] for the token, and writes the answer. The
// Lookup finds the domain or the registry that the address belongs to, loads the
// AWS configuration for it, and gets a token from package authtoken. [Problem] and
// [Explain] turn the SDK's errors into words for people. [Addresses] is the address
// book, in which `gatehouse login` records the AWS configuration of an address.
//
// Before it asks for a token, a Lookup decides whether the token may be sent to the
// address at all. The address comes from a client's configuration, a Dockerfile or
// a list of requirements, which others may have written, and a token opens
// everything that its caller may reach. A token is for an address if one of these
// is true:
//
//   - The address is one of AWS's own names, reached by HTTPS, and AWS issues the
//     token.
//   - The endpoint that issues the token is at the same host.
//   - The endpoint names that host as the host of the repository or of its registry,
//     or the host is a registry below the same suffix.
//   - [Lookup.Hosts] has it.
package credential

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecrpublic"

	"github.com/gatehouse-registry/gatehouse/authtoken"
)

// ErrNotOurs says that there is no token for the address. A helper then says that it
// has no credentials, and the client goes on without.
var ErrNotOurs = errors.New("not a registry or repository of the configured AWS endpoint, so no token is sent there")

// A Lookup finds tokens for addresses.
//
// The AWS configuration for an address comes from the first of these that says
// something:
//
//  1. the address, which may name its region;
//  2. the helper's flags and its own variables (GATEHOUSE_PROFILE, GATEHOUSE_REGION,
//     GATEHOUSE_ENDPOINT_URL);
//  3. the address book's entry for the address;
//  4. AWS's own variables and files.
//
// So the address book comes before AWS_PROFILE. That variable is set for everything
// that a shell starts, usually with another command in mind, and a pull that fails
// because of it offers no flag to correct it. The entry is about this one address,
// and somebody asked for it. Most addresses have no entry; for them AWS_PROFILE
// counts as usual.
type Lookup struct {
	// Config loads the AWS configuration for a region ("" means the profile's own) and
	// for what the address book says.
	Config func(ctx context.Context, region string, remembered AWS) (aws.Config, error)
	// Addresses reads the address book; nil means an empty one.
	Addresses func() (Addresses, error)
	// Hosts get tokens in addition to those that the endpoint names, such as a custom
	// name in front of AWS's registry. An entry is a host, with its port if it has
	// one, in which * matches within one label. An address that begins with http://
	// matches only entries that do.
	Hosts []string
	// Options are given to every source of tokens.
	Options []authtoken.Option
}

// Token returns the token for any address: a repository's if the address has the
// form of one, and otherwise a registry's. The errors are as with
// [Lookup.Packages].
func (l *Lookup) Token(ctx context.Context, address string) (authtoken.Token, error) {
	if _, ok := authtoken.ParseRepositoryURL(address); ok {
		return l.Packages(ctx, address)
	}
	return l.Registry(ctx, address)
}

// Registry returns the token for the container registry at a host. The errors are as
// with [Lookup.Packages].
func (l *Lookup) Registry(ctx context.Context, address string) (authtoken.Token, error) {
	source, req, err := l.registry(ctx, address)
	if err != nil {
		return authtoken.Token{}, err
	}
	t, err := source.Token(ctx)
	if err != nil {
		return authtoken.Token{}, Explain(err, req)
	}
	if !l.hostAllowed(address) && !sameRegistries(address, t.Endpoint) {
		return authtoken.Token{}, notOurs(address)
	}
	return t, nil
}

// config loads the configuration for an address.
func (l *Lookup) config(ctx context.Context, address, region string) (aws.Config, Address, error) {
	var remembered Address
	if l.Addresses != nil {
		book, err := l.Addresses()
		if err != nil {
			return aws.Config{}, Address{}, err
		}
		remembered = book.Find(address)
	}
	cfg, err := l.Config(ctx, region, remembered.AWS)
	return cfg, remembered, err
}

// registry is the source of tokens for a host that may be a registry. Whether it is
// one shows when the token names its registry.
func (l *Lookup) registry(ctx context.Context, address string) (*authtoken.Source, Request, error) {
	if authtoken.Host(address) == authtoken.PublicHost {
		return l.public(ctx, address)
	}
	r, _ := authtoken.ParseRegistryHost(address)
	cfg, _, err := l.config(ctx, address, r.Region)
	if err != nil {
		return nil, Request{}, Explain(err, Request{Region: r.Region})
	}
	endpoint := aws.ToString(ecr.NewFromConfig(cfg).Options().BaseEndpoint)
	// AWS's registries have AWS's names, so no call is needed.
	if isAWS(endpoint) && !l.hostAllowed(address) && (!r.AWS() || insecure(address)) {
		return nil, Request{}, notOurs(address)
	}
	return authtoken.ECR(cfg, l.Options...), Request{Service: "ecr", Region: cfg.Region, Endpoint: endpoint}, nil
}

// public is the source of tokens for ECR Public, which only AWS has.
func (l *Lookup) public(ctx context.Context, address string) (*authtoken.Source, Request, error) {
	cfg, _, err := l.config(ctx, address, authtoken.PublicRegion)
	if err != nil {
		return nil, Request{}, Explain(err, Request{Region: authtoken.PublicRegion})
	}
	endpoint := aws.ToString(ecrpublic.NewFromConfig(cfg).Options().BaseEndpoint)
	if !l.hostAllowed(address) && (!isAWS(endpoint) || insecure(address)) {
		return nil, Request{}, notOurs(address)
	}
	return authtoken.ECRPublic(cfg, l.Options...), Request{Service: "ecr-public", Region: authtoken.PublicRegion, Endpoint: endpoint}, nil
}

// Packages returns the token for the repository at an address.
//
// The error is [ErrNotOurs] if there is no token for the address, and otherwise one
// of [Explain].
func (l *Lookup) Packages(ctx context.Context, address string) (authtoken.Token, error) {
	source, req, err := l.packages(ctx, address)
	if err != nil {
		return authtoken.Token{}, err
	}
	t, err := source.Token(ctx)
	if err != nil {
		return authtoken.Token{}, Explain(err, req)
	}
	return t, nil
}

func (l *Lookup) packages(ctx context.Context, address string) (*authtoken.Source, Request, error) {
	r, ok := authtoken.ParseRepositoryURL(address)
	if !ok {
		return nil, Request{}, notOurs(address)
	}
	cfg, remembered, err := l.config(ctx, address, r.Region)
	if err != nil {
		return nil, Request{}, Explain(err, Request{Region: r.Region})
	}
	client := codeartifact.NewFromConfig(cfg)
	req := Request{
		Service: "codeartifact", Domain: r.Domain, Owner: r.Owner, Region: cfg.Region,
		Endpoint: aws.ToString(client.Options().BaseEndpoint),
	}
	switch {
	case l.hostAllowed(address):
	case isAWS(req.Endpoint):
		if !r.AWS() || insecure(address) {
			return nil, req, notOurs(address)
		}
	case sameHost(req.Endpoint, address):
		if insecure(address) && !insecure(req.Endpoint) {
			return nil, req, notOurs(address)
		}
	default:
		if err := checkRepositoryEndpoint(ctx, client, r, address, req); err != nil {
			return nil, req, err
		}
	}
	options := append([]authtoken.Option{authtoken.DomainOwner(r.Owner)}, l.Options...)
	if remembered.Duration != 0 {
		options = append(options, authtoken.Duration(remembered.Duration))
	}
	return authtoken.CodeArtifact(cfg, r.Domain, options...), req, nil
}

// checkRepositoryEndpoint asks the endpoint whether the repository is at the
// address.
func checkRepositoryEndpoint(ctx context.Context, client *codeartifact.Client, r authtoken.Repository, address string, req Request) error {
	if r.Name == "" {
		return notOurs(address)
	}
	for _, kind := range []types.EndpointType{types.EndpointTypeIpv4, types.EndpointTypeDualstack} {
		out, err := client.GetRepositoryEndpoint(ctx, &codeartifact.GetRepositoryEndpointInput{
			Domain: &r.Domain, DomainOwner: &r.Owner, Repository: &r.Name, Format: types.PackageFormat(r.Format), EndpointType: kind,
		})
		if err != nil {
			return Explain(err, req)
		}
		if e := aws.ToString(out.RepositoryEndpoint); sameHost(e, address) && (!insecure(address) || insecure(e)) {
			return nil
		}
	}
	return notOurs(address)
}

// Forget drops the cached token of an address, for a client whose token was refused.
// It is not an error if there is no token for the address.
func (l *Lookup) Forget(ctx context.Context, address string) error {
	find := l.registry
	if _, ok := authtoken.ParseRepositoryURL(address); ok {
		find = l.packages
	}
	source, _, err := find(ctx, address)
	if errors.Is(err, ErrNotOurs) {
		return nil
	}
	if err != nil {
		return err
	}
	return source.Forget(ctx)
}

// Cached returns the cached token of an address without asking for a new one; ok is
// false if there is none. It is not an error if there is no token for the address.
func (l *Lookup) Cached(ctx context.Context, address string) (t authtoken.Token, ok bool, err error) {
	find := l.registry
	if _, ok := authtoken.ParseRepositoryURL(address); ok {
		find = l.packages
	}
	source, req, err := find(ctx, address)
	if errors.Is(err, ErrNotOurs) {
		return authtoken.Token{}, false, nil
	}
	if err != nil {
		return authtoken.Token{}, false, err
	}
	t, ok, err = source.Cached(ctx)
	return t, ok, Explain(err, req)
}

func (l *Lookup) hostAllowed(address string) bool {
	for _, pattern := range l.Hosts {
		pattern, plain := strings.CutPrefix(pattern, "http://")
		if insecure(address) && !plain {
			continue
		}
		if match(strings.Split(strings.ToLower(pattern), "."), strings.Split(authtoken.Host(address), ".")) {
			return true
		}
	}
	return false
}

// match compares label by label, so that a * stays within one label.
func match(pattern, host []string) bool {
	if len(pattern) != len(host) {
		return false
	}
	for i := range pattern {
		if ok, err := path.Match(pattern[i], host[i]); err != nil || !ok {
			return false
		}
	}
	return true
}

func notOurs(address string) error {
	return fmt.Errorf("%s: %w", authtoken.Host(address), ErrNotOurs)
}

// isAWS reports whether an endpoint is AWS. "" is the SDK's own choice, which is
// AWS.
func isAWS(endpoint string) bool {
	return endpoint == "" || authtoken.IsAWS(endpoint) && !insecure(endpoint)
}

// sameRegistries reports whether the address is a registry of the same issuer as the
// one that is named.
func sameRegistries(address, named string) bool {
	if sameHost(address, named) {
		return !insecure(address) || insecure(named)
	}
	a, ok := authtoken.ParseRegistryHost(address)
	if !ok || insecure(address) && !insecure(named) {
		return false
	}
	b, ok := authtoken.ParseRegistryHost(named)
	return ok && (a.Suffix == b.Suffix || a.AWS() && b.AWS())
}

// sameHost compares host and port. localhost is the same as 127.0.0.1 and as ::1.
// These two are not the same as each other, nor as the other loopback addresses:
// another user of the machine may listen on one that the endpoint does not use.
func sameHost(a, b string) bool {
	hostA, portA := splitHost(a)
	hostB, portB := splitHost(b)
	return hostA != "" && portA == portB && (hostA == hostB || isLocalhost(hostA, hostB) || isLocalhost(hostB, hostA))
}

func isLocalhost(name, number string) bool {
	return name == "localhost" && (number == "127.0.0.1" || number == "::1")
}

// splitHost returns the name and the port of an address; the scheme's default port
// is "".
func splitHost(address string) (name, port string) {
	host := authtoken.Host(address)
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = strings.Trim(host, "[]"), ""
	}
	if port == "443" && !insecure(address) || port == "80" && insecure(address) {
		port = ""
	}
	return name, port
}

// insecure reports whether the address has a scheme other than HTTPS. A host without
// a scheme is not insecure: its client decides.
func insecure(address string) bool {
	scheme, _, ok := strings.Cut(address, "://")
	return ok && !strings.EqualFold(scheme, "https")
}
