package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecrpublic"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/shellquote"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/netrcedit"
)

// awsFlags choose among what the AWS configuration has, as the AWS CLI's do. The
// variables are for helpers, which their clients start without flags.
type awsFlags struct {
	Profile     string `placeholder:"NAME" env:"GATEHOUSE_PROFILE" help:"Profile of the AWS configuration (AWS_PROFILE)."`
	Region      string `placeholder:"REGION" env:"GATEHOUSE_REGION" help:"AWS region (AWS_REGION, or the profile's)."`
	EndpointURL string `name:"endpoint-url" placeholder:"URL" env:"GATEHOUSE_ENDPOINT_URL" help:"Endpoint of the API (AWS_ENDPOINT_URL, the profile's, or AWS's own)."`
}

func (f awsFlags) load(ctx context.Context) (aws.Config, error) {
	cfg, err := credential.AWS(f).Load(ctx, "")
	return cfg, credential.Explain(err, credential.Request{})
}

type tokenCommand struct {
	CodeArtifact codeArtifactCommand `cmd:"" name:"codeartifact" help:"Print a token for the repositories of a CodeArtifact domain."`
	ECR          ecrCommand          `cmd:"" name:"ecr" help:"Print a token for the container registries of ECR."`
	ECRPublic    ecrPublicCommand    `cmd:"" name:"ecr-public" help:"Print a token for the public registries of ECR, from AWS."`
}

// Help is what --help shows below the flags.
func (tokenCommand) Help() string {
	return `The token comes from the user's cache while it is good. Formats:

  text           the token alone, as a password
  json           the answer of GetAuthorizationToken
  export         assignments for a POSIX shell
  header         an HTTP header, for curl -H @-
  authorization  the value of that header, as pnpm's tokenHelper prints it
  netrc          a line for a netrc file

Examples:

  gatehouse token codeartifact --domain acme
  gatehouse token ecr --profile work --region eu-central-1 | docker login --username AWS --password-stdin HOST
  gatehouse token codeartifact --domain acme --format header | curl -H @- URL
  eval "$(gatehouse token codeartifact --domain acme --format export)"`
}

// A format is how a token is printed.
type format struct {
	Format string `enum:"text,json,export,header,authorization,netrc" default:"text" help:"text, json, export, header, authorization or netrc."`
	Host   string `placeholder:"HOST" help:"The host of the netrc line, where it is not the endpoint's own."`
}

type codeArtifactCommand struct {
	Domain      string  `required:"" placeholder:"NAME" help:"The domain."`
	DomainOwner string  `placeholder:"ID" help:"12-digit account that owns the domain, if not the caller's own."`
	Duration    *string `placeholder:"TIME" help:"15m to 12h, or in seconds, or 0 for as long as the caller's session (12h)."`
	format
	awsFlags
}

// Run prints the token.
func (c *codeArtifactCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	options := []authtoken.Option{now.tokens()}
	if c.DomainOwner != "" {
		options = append(options, authtoken.DomainOwner(c.DomainOwner))
	}
	if c.Duration != nil {
		var d credential.Lifetime
		if err := d.UnmarshalText([]byte(*c.Duration)); err != nil && *c.Duration != "0" {
			return usageError{fmt.Errorf("--duration: %w, nor 0", err)}
		}
		options = append(options, authtoken.Duration(time.Duration(d)))
	}
	cfg, err := c.load(ctx)
	if err != nil {
		return err
	}
	endpoint := aws.ToString(codeartifact.NewFromConfig(cfg).Options().BaseEndpoint)
	host := cmp.Or(c.Host, c.host(ctx, cfg, endpoint))
	if c.Format == "netrc" && host == "" {
		return usageError{errors.New("a netrc line names a host: give --domain-owner or --host")}
	}
	t, err := authtoken.CodeArtifact(cfg, c.Domain, options...).Token(ctx)
	if err != nil {
		return credential.Explain(err, credential.Request{
			Service: "codeartifact", Domain: c.Domain, Owner: c.DomainOwner, Region: cfg.Region, Endpoint: endpoint,
		})
	}
	return c.print(stdout, t, tokenOutput{
		host:    host,
		exports: [][2]string{{"CODEARTIFACT_AUTH_TOKEN", t.Password}},
		answer:  map[string]any{"authorizationToken": t.Value, "expiration": t.Expires.Unix()},
	})
}

// host is that of the domain's repositories at AWS, and elsewhere the endpoint's
// own; "" where the owner would have to be known.
func (c *codeArtifactCommand) host(ctx context.Context, cfg aws.Config, endpoint string) string {
	if endpoint != "" && !authtoken.IsAWS(endpoint) {
		return hostname(endpoint)
	}
	if c.DomainOwner == "" {
		return ""
	}
	api, err := codeartifact.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, codeartifact.EndpointParameters{Region: &cfg.Region})
	if err != nil {
		return ""
	}
	return c.Domain + "-" + c.DomainOwner + ".d." + api.URI.Host
}

type ecrCommand struct {
	RegistryID string `name:"registry-id" placeholder:"ID" help:"12-digit account whose registry is named, if not the caller's own."`
	format
	awsFlags
}

// Run prints the token.
func (c *ecrCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	cfg, err := c.load(ctx)
	if err != nil {
		return err
	}
	options := []authtoken.Option{now.tokens()}
	if c.RegistryID != "" {
		options = append(options, authtoken.RegistryID(c.RegistryID))
	}
	t, err := authtoken.ECR(cfg, options...).Token(ctx)
	if err != nil {
		endpoint := aws.ToString(ecr.NewFromConfig(cfg).Options().BaseEndpoint)
		return credential.Explain(err, credential.Request{Service: "ecr", Region: cfg.Region, Endpoint: endpoint})
	}
	return c.print(stdout, t, tokenOutput{
		host:    cmp.Or(c.Host, hostname(t.Endpoint)),
		exports: [][2]string{{"ECR_REGISTRY", authtoken.Host(t.Endpoint)}, {"ECR_PASSWORD", t.Password}},
		answer: map[string]any{"authorizationData": []any{map[string]any{
			"authorizationToken": t.Value, "expiresAt": t.Expires.Unix(), "proxyEndpoint": t.Endpoint,
		}}},
	})
}

type ecrPublicCommand struct {
	format
	Profile     string `placeholder:"NAME" env:"GATEHOUSE_PROFILE" help:"Profile of the AWS configuration (AWS_PROFILE)."`
	EndpointURL string `name:"endpoint-url" placeholder:"URL" env:"GATEHOUSE_ENDPOINT_URL" help:"Endpoint of the API (AWS_ENDPOINT_URL, the profile's, or AWS's own)."`
}

// Run prints the token.
func (c *ecrPublicCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	cfg, err := credential.AWS{Profile: c.Profile, EndpointURL: c.EndpointURL}.Load(ctx, authtoken.PublicRegion)
	req := credential.Request{Service: "ecr-public", Region: authtoken.PublicRegion}
	if err != nil {
		return credential.Explain(err, req)
	}
	t, err := authtoken.ECRPublic(cfg, now.tokens()).Token(ctx)
	if err != nil {
		req.Endpoint = aws.ToString(ecrpublic.NewFromConfig(cfg).Options().BaseEndpoint)
		return credential.Explain(err, req)
	}
	return c.print(stdout, t, tokenOutput{
		host:    cmp.Or(c.Host, hostname(t.Endpoint)),
		exports: [][2]string{{"ECR_PUBLIC_REGISTRY", authtoken.Host(t.Endpoint)}, {"ECR_PUBLIC_PASSWORD", t.Password}},
		answer: map[string]any{"authorizationData": map[string]any{
			"authorizationToken": t.Value, "expiresAt": t.Expires.Unix(),
		}},
	})
}

// printed is what the formats say about a token, besides the token.
type tokenOutput struct {
	host    string      // of the netrc line, without a port: netrc has none
	exports [][2]string // name and value
	answer  any         // the API's own, with times in seconds since 1970
}

func (f format) print(w io.Writer, t authtoken.Token, p tokenOutput) (err error) {
	switch f.Format {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		err = e.Encode(p.answer)
	case "export":
		for _, v := range p.exports {
			if _, err = fmt.Fprintf(w, "export %s=%s\n", v[0], shellquote.Quote(v[1])); err != nil {
				break
			}
		}
	case "header":
		_, err = fmt.Fprintf(w, "Authorization: %s\n", t.Authorization())
	case "authorization":
		_, err = fmt.Fprintln(w, t.Authorization())
	case "netrc":
		var line []byte
		if line, err = netrcedit.Set(nil, p.host, t.Username, t.Password); err == nil {
			_, err = w.Write(line)
		}
	default:
		_, err = fmt.Fprintln(w, t.Password)
	}
	return err
}

func hostname(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
