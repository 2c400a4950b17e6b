// Package authtoken gives Go programs the authorization tokens of AWS
// CodeArtifact and Amazon ECR, over the AWS SDK, and keeps them from expiring.
//
//	cfg, err := config.LoadDefaultConfig(ctx)
//	...
//	tokens := authtoken.CodeArtifact(cfg, "acme")
//	token, err := tokens.Token(ctx) // call it whenever a token is needed
//
// A [Source] is used like an oauth2.TokenSource: ask it each time, keep nothing.
// It works with AWS and with any server that speaks the same API, through the
// credentials, the region and the endpoint of the aws.Config.
//
// A token is cached in memory and in a file, so that the many short processes of a
// build share it. It is renewed at about half of its life. As long as it is still
// valid, no caller waits for the renewal for more than ten seconds, and a failure
// has no effect. If several goroutines and processes wait for a first token, one of
// them makes the call.
//
// Package keychain below this one is an adapter for go-containerregistry.
//
// # The cache
//
// The file is in [os.UserCacheDir]/gatehouse, with mode 0600 in a folder of mode
// 0700. Its name and the key that it is encrypted with are derived from the
// secret access key, the access key id, the session token, the endpoint, the
// region and everything that was requested. So other credentials find no file and
// could not decrypt it, and the file alone is of no use to a thief.
//
// For the same reason each process gets its own token if it obtains new temporary
// credentials (a role that the profile assumes, IAM Identity Center): AWS may have
// tied different permissions to them.
//
// If the folder cannot be used, tokens are cached in memory only.
package authtoken

import (
	"context"
	"encoding/base64"
	"log/slog"
	"time"

	"golang.org/x/oauth2"
)

// A Token opens repositories or registries until it expires.
type Token struct {
	// Username and Password are for HTTP Basic authentication, which is what most
	// package clients and all container clients use. The user name is "aws" for
	// CodeArtifact and "AWS" for ECR, private and public.
	Username string
	Password string
	// Expires is when the service stops accepting the token.
	Expires time.Time
	// Endpoint is the address of the registry that ECR named together with the
	// token, its proxyEndpoint; for ECR Public, PublicHost. It is empty for
	// CodeArtifact.
	Endpoint string
	// Value is what the service answered: the password itself for CodeArtifact,
	// and base64 of user name and password for ECR.
	Value string
	// Type is the scheme that goes with Value in an Authorization header: "Bearer"
	// for CodeArtifact and "Basic" for ECR.
	Type string
}

// Authorization is the value of an HTTP Authorization header.
func (t Token) Authorization() string { return t.Type + " " + t.Value }

// BasicAuthorization is the value of an HTTP Authorization header in the Basic
// scheme, which both services accept.
func (t Token) BasicAuthorization() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(t.Username+":"+t.Password))
}

// String, GoString and LogValue keep the secret out of logs.
func (t Token) String() string {
	return "authtoken.Token(" + t.Username + ", expires " + t.Expires.Format(time.RFC3339) + ")"
}

// GoString is [Token.String].
func (t Token) GoString() string { return t.String() }

// LogValue is [Token.String].
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// OAuth2 makes the source one of package oauth2, whose http.Client then puts a
// valid token on each request. Calls for tokens are made under ctx.
func (s *Source) OAuth2(ctx context.Context) oauth2.TokenSource { return oauth2Source{ctx, s} }

type oauth2Source struct {
	ctx    context.Context
	source *Source
}

// Token implements oauth2.TokenSource.
func (s oauth2Source) Token() (*oauth2.Token, error) {
	t, err := s.source.Token(s.ctx)
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{AccessToken: t.Value, TokenType: t.Type, Expiry: t.Expires}, nil
}
