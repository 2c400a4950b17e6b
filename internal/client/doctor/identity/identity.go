// Package identity finds out who the caller is to AWS, or to the configured endpoint:
// where the credentials come from, and which tokens IAM allows.
//
// [Answer] answers a [Question] with a [Report], for `gatehouse whoami`; the doctor
// uses the steps one by one. Like any client, the package relies on the endpoint's
// answers only: to find out whether a token is allowed it requests one, and does not
// store it.
package identity

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	smithyendpoints "github.com/aws/smithy-go/endpoints"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
)

// A Caller is who the credentials belong to, as STS says.
type Caller struct {
	Account string `json:"account"`
	ARN     string `json:"arn"`
	UserID  string `json:"userId"`
}

// Ask asks STS who the caller is (GetCallerIdentity, which needs no permission).
// The errors are as with [credential.Explain].
func Ask(ctx context.Context, cfg aws.Config) (Caller, error) {
	client := sts.NewFromConfig(cfg)
	req := credential.Request{Service: "sts", Region: cfg.Region, Endpoint: aws.ToString(client.Options().BaseEndpoint)}
	out, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return Caller{}, credential.Explain(err, req)
	}
	return Caller{Account: aws.ToString(out.Account), ARN: aws.ToString(out.Arn), UserID: aws.ToString(out.UserId)}, nil
}

// Entity is the user or the role that the caller is. kind is "user" or "role", and ""
// for callers without policies of their own: root and federated users.
func (c Caller) Entity() (kind, name string) {
	parts := strings.SplitN(c.ARN, ":", 6)
	if len(parts) < 6 {
		return "", ""
	}
	path := strings.Split(parts[5], "/")
	switch {
	case path[0] == "user" && len(path) > 1: // user/path/of/it/NAME
		return "user", path[len(path)-1]
	case path[0] == "assumed-role" && len(path) > 1: // assumed-role/NAME/SESSION
		return "role", path[1]
	}
	return "", ""
}

// Credentials describe the caller's credentials. They contain no secret.
type Credentials struct {
	// Kind says how they were obtained.
	Kind string `json:"kind"`
	// Source is the SDK's name for that, with the file if there is one.
	Source string `json:"source"`
	// AccessKeyID identifies them. It is not a secret.
	AccessKeyID string `json:"accessKeyId"`
	// Temporary says that a session token goes with them.
	Temporary bool `json:"temporary"`
	// Expires is when they expire; nil if they do not, or do not say when.
	Expires *time.Time `json:"expires,omitempty"`
}

// Find gets the credentials of a configuration that [credential.AWS] loaded.
// The errors are as with [credential.Explain].
func Find(ctx context.Context, cfg aws.Config) (Credentials, error) {
	if cfg.Credentials == nil {
		return Credentials{}, credential.Explain(&authtoken.CredentialsError{Err: errors.New("the configuration names no source of them")}, credential.Request{})
	}
	c, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return Credentials{}, credential.Explain(err, credential.Request{})
	}
	found := Credentials{Kind: kind(c), Source: c.Source, AccessKeyID: c.AccessKeyID, Temporary: c.SessionToken != ""}
	if c.CanExpire {
		found.Expires = &c.Expires
	}
	return found, nil
}

// kinds are the SDK's names for sources of credentials. The name of a file source is
// followed by the path.
var kinds = []struct{ source, kind string }{
	{"EnvConfigCredentials", "environment"},
	{"SharedConfigCredentials", "static"},
	{"StaticCredentials", "static"},
	{"SSOProvider", "sso"},
	{"AssumeRoleProvider", "assumed-role"},
	{"WebIdentityCredentials", "web-identity"},
	{"ProcessProvider", "process"},
	{"LoginProvider", "login"},
	{"EC2RoleProvider", "instance"},
	{"CredentialsEndpointProvider", "container"},
}

func kind(c aws.Credentials) string {
	for _, k := range kinds {
		if strings.HasPrefix(c.Source, k.source) {
			return k.kind
		}
	}
	return "other"
}

// Endpoints are the addresses of the three services that clients ask.
type Endpoints struct {
	STS          string `json:"sts"`
	ECR          string `json:"ecr"`
	CodeArtifact string `json:"codeartifact"`
}

// Resolve finds the endpoints as the SDK does. An address is "" if it depends on a
// region that is not set.
func Resolve(ctx context.Context, cfg aws.Config) Endpoints {
	s := sts.NewFromConfig(cfg).Options()
	e := ecr.NewFromConfig(cfg).Options()
	c := codeartifact.NewFromConfig(cfg).Options()
	return Endpoints{
		STS: resolve(s.Region, s.BaseEndpoint, func() (smithyendpoints.Endpoint, error) {
			return s.EndpointResolverV2.ResolveEndpoint(ctx, sts.EndpointParameters{
				Region: &s.Region, Endpoint: s.BaseEndpoint, UseGlobalEndpoint: aws.Bool(false),
				UseFIPS: fips(s.EndpointOptions.UseFIPSEndpoint), UseDualStack: dualStack(s.EndpointOptions.UseDualStackEndpoint),
			})
		}),
		ECR: resolve(e.Region, e.BaseEndpoint, func() (smithyendpoints.Endpoint, error) {
			return e.EndpointResolverV2.ResolveEndpoint(ctx, ecr.EndpointParameters{
				Region: &e.Region, Endpoint: e.BaseEndpoint,
				UseFIPS: fips(e.EndpointOptions.UseFIPSEndpoint), UseDualStack: dualStack(e.EndpointOptions.UseDualStackEndpoint),
			})
		}),
		CodeArtifact: resolve(c.Region, c.BaseEndpoint, func() (smithyendpoints.Endpoint, error) {
			return c.EndpointResolverV2.ResolveEndpoint(ctx, codeartifact.EndpointParameters{
				Region: &c.Region, Endpoint: c.BaseEndpoint,
				UseFIPS: fips(c.EndpointOptions.UseFIPSEndpoint), UseDualStack: dualStack(c.EndpointOptions.UseDualStackEndpoint),
			})
		}),
	}
}

// resolve calls the resolver, unless the address would have no region.
func resolve(region string, base *string, call func() (smithyendpoints.Endpoint, error)) string {
	if region == "" && aws.ToString(base) == "" {
		return ""
	}
	e, err := call()
	if err != nil {
		return ""
	}
	return e.URI.String()
}

func fips(s aws.FIPSEndpointState) *bool { return aws.Bool(s == aws.FIPSEndpointStateEnabled) }

func dualStack(s aws.DualStackEndpointState) *bool {
	return aws.Bool(s == aws.DualStackEndpointStateEnabled)
}
