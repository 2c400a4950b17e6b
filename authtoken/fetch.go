package authtoken

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecrpublic"
)

// CodeArtifact returns a source of tokens for the repositories of one domain. The
// caller needs codeartifact:GetAuthorizationToken on the domain and
// sts:GetServiceBearerToken on "*".
func CodeArtifact(cfg aws.Config, domain string, opts ...Option) *Source {
	o := newOptions(opts)
	client := codeartifact.NewFromConfig(cfg)
	in := &codeartifact.GetAuthorizationTokenInput{Domain: &domain, DurationSeconds: o.duration}
	if o.domainOwner != "" {
		in.DomainOwner = &o.domainOwner
	}
	duration := "default"
	if o.duration != nil {
		duration = strconv.FormatInt(*o.duration, 10)
	}
	scope := scope{"codeartifact", aws.ToString(client.Options().BaseEndpoint), cfg.Region, domain, o.domainOwner, duration}
	return newSource(cfg, o, scope, func(ctx context.Context, c aws.CredentialsProvider) (Token, error) {
		out, err := client.GetAuthorizationToken(ctx, in, func(o *codeartifact.Options) { o.Credentials = c })
		if err != nil {
			return Token{}, err
		}
		if out.AuthorizationToken == nil || out.Expiration == nil {
			return Token{}, errors.New("CodeArtifact answered GetAuthorizationToken without a token")
		}
		return Token{
			Username: "aws", Password: *out.AuthorizationToken, Expires: *out.Expiration,
			Value: *out.AuthorizationToken, Type: "Bearer",
		}, nil
	})
}

// ECR returns a source of tokens for every registry that the caller may reach in the
// configuration's region. The caller needs ecr:GetAuthorizationToken on "*".
func ECR(cfg aws.Config, opts ...Option) *Source {
	o := newOptions(opts)
	client := ecr.NewFromConfig(cfg)
	in := &ecr.GetAuthorizationTokenInput{}
	if o.registryID != "" {
		//lint:ignore SA1019 deprecated, and the one way to learn another registry's address
		in.RegistryIds = []string{o.registryID}
	}
	scope := scope{"ecr", aws.ToString(client.Options().BaseEndpoint), cfg.Region, o.registryID}
	return newSource(cfg, o, scope, func(ctx context.Context, c aws.CredentialsProvider) (Token, error) {
		out, err := client.GetAuthorizationToken(ctx, in, func(o *ecr.Options) { o.Credentials = c })
		if err != nil {
			return Token{}, err
		}
		if len(out.AuthorizationData) == 0 || out.AuthorizationData[0].AuthorizationToken == nil || out.AuthorizationData[0].ExpiresAt == nil {
			return Token{}, errors.New("ECR answered GetAuthorizationToken without a token")
		}
		data := out.AuthorizationData[0]
		return basic(*data.AuthorizationToken, *data.ExpiresAt, aws.ToString(data.ProxyEndpoint))
	})
}

const (
	// PublicHost is where the public registries of ECR are.
	PublicHost = "public.ecr.aws"
	// PublicRegion is the one in which tokens for them are issued (Amazon ECR
	// Public user guide, "Registry authentication").
	PublicRegion = "us-east-1"
)

// ECRPublic returns a source of tokens for the public registries of ECR, which are at
// [PublicHost]. The tokens come from [PublicRegion] whatever the configuration's
// is. The caller needs ecr-public:GetAuthorizationToken and
// sts:GetServiceBearerToken on "*".
func ECRPublic(cfg aws.Config, opts ...Option) *Source {
	o := newOptions(opts)
	cfg = cfg.Copy()
	cfg.Region = PublicRegion
	client := ecrpublic.NewFromConfig(cfg)
	scope := scope{"ecr-public", aws.ToString(client.Options().BaseEndpoint), cfg.Region}
	return newSource(cfg, o, scope, func(ctx context.Context, c aws.CredentialsProvider) (Token, error) {
		out, err := client.GetAuthorizationToken(ctx, &ecrpublic.GetAuthorizationTokenInput{}, func(o *ecrpublic.Options) { o.Credentials = c })
		if err != nil {
			return Token{}, err
		}
		data := out.AuthorizationData
		if data == nil || data.AuthorizationToken == nil || data.ExpiresAt == nil {
			return Token{}, errors.New("ECR Public answered GetAuthorizationToken without a token")
		}
		return basic(*data.AuthorizationToken, *data.ExpiresAt, "https://"+PublicHost)
	})
}

// basic is the token that a registry service answered: base64 of user name and
// password.
func basic(value string, expires time.Time, endpoint string) (Token, error) {
	// Not the decoder's error: it may quote what it could not read.
	pair, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return Token{}, errors.New("the registry's GetAuthorizationToken answered with a token that is not base64")
	}
	username, password, ok := strings.Cut(string(pair), ":")
	if !ok {
		return Token{}, errors.New("the registry's GetAuthorizationToken answered with a token that is not of the form user:password")
	}
	return Token{Username: username, Password: password, Expires: expires, Endpoint: endpoint, Value: value, Type: "Basic"}, nil
}

// A scope is everything that a token depends on, except the caller.
type scope []string

func newOptions(opts []Option) *options {
	o := &options{now: time.Now}
	if dir, err := UserCacheDir(); err == nil {
		o.cacheDir = dir
	}
	for _, option := range opts {
		option(o)
	}
	return o
}

// UserCacheDir is the default folder for cached tokens:
// [os.UserCacheDir]/gatehouse.
func UserCacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "gatehouse"), nil
}

// A CredentialsError says that there are no AWS credentials to request a token with.
// It wraps the SDK's error.
type CredentialsError struct{ Err error }

func (e *CredentialsError) Error() string { return fmt.Sprintf("no AWS credentials: %v", e.Err) }

// Unwrap returns the cause.
func (e *CredentialsError) Unwrap() error { return e.Err }
