package main

import (
	"cmp"
	"context"
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

// awsFlags choose from the AWS configuration as the AWS CLI's flags do. The
// environment variables are for helpers, which clients start without flags.
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
	return `A token in the user's cache is used as long as it is valid. Forms of the output:

  text           the token alone, as a password
  json           the answer of GetAuthorizationToken
  export         assignments for a POSIX shell
  header         an HTTP header, for curl -H @-
  authorization  the value of that header, as pnpm's tokenHelper prints it
  netrc          a line for a netrc file

Examples:

  gatehouse token codeartifact --domain acme
  gatehouse token ecr --profile work --region eu-central-1 | docker login --username AWS --password-stdin HOST
  gatehouse token codeartifact --domain acme --output header | curl -H @- URL
  eval "$(gatehouse token codeartifact --domain acme --output export)"`
}

// tokenOutputFlags choose how a token is printed.
type tokenOutputFlags struct {
	Output string `aliases:"format" short:"o" enum:"text,json,export,header,authorization,netrc" default:"text" placeholder:"FORM" help:"Form of the output: text, json, export, header, authorization or netrc."`
	Host   string `placeholder:"HOST" help:"Host of the netrc line, if not the endpoint's own."`
}

type codeArtifactCommand struct {
	Domain      string  `required:"" placeholder:"NAME" help:"The domain."`
	DomainOwner string  `placeholder:"ID" help:"12-digit account that owns the domain, if not the caller's own."`
	Duration    *string `placeholder:"TIME" help:"15m to 12h, or in seconds, or 0 for as long as the caller's session (12h)."`
	tokenOutputFlags
	awsFlags
}

// Help is what --help shows below the flags.
func (codeArtifactCommand) Help() string {
	return `Examples:

  gatehouse token codeartifact --domain acme
  gatehouse token codeartifact --domain acme --domain-owner 111122223333 --duration 1h --output json`
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
	if c.Output == "netrc" && host == "" {
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

// host is the host of the domain's repositories at AWS, and elsewhere the
// endpoint's own host. It is "" if it depends on an owner that is not given.
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
	tokenOutputFlags
	awsFlags
}

// Help is what --help shows below the flags.
func (ecrCommand) Help() string {
	return `Examples:

  gatehouse token ecr | docker login --username AWS --password-stdin 127.0.0.1:4283
  gatehouse token ecr --output header | curl -H @- http://127.0.0.1:4283/v2/`
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
	tokenOutputFlags
	Profile     string `placeholder:"NAME" env:"GATEHOUSE_PROFILE" help:"Profile of the AWS configuration (AWS_PROFILE)."`
	EndpointURL string `name:"endpoint-url" placeholder:"URL" env:"GATEHOUSE_ENDPOINT_URL" help:"Endpoint of the API (AWS_ENDPOINT_URL, the profile's, or AWS's own)."`
}

// Help is what --help shows below the flags.
func (ecrPublicCommand) Help() string {
	return `Example:

  gatehouse token ecr-public | docker login --username AWS --password-stdin public.ecr.aws`
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

// A tokenOutput is what the forms of output have besides the token.
type tokenOutput struct {
	host    string      // of the netrc line, without a port: netrc has none
	exports [][2]string // name and value
	answer  any         // the API's answer, with times in seconds since 1970
}

func (f tokenOutputFlags) print(w io.Writer, t authtoken.Token, p tokenOutput) (err error) {
	switch f.Output {
	case outputJSON:
		err = printJSON(w, p.answer)
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
