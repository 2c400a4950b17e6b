// Package ecrapi is the edge of the Amazon ECR API: one Go method an operation,
// with the signature of the SDK's client. It decides nothing: package images
// holds the rules and authorizes, and this package turns inputs into its calls,
// and its answers and faults into ECR's.
//
// A request is about the registry of the caller's account, or of the account
// that registryId names, in the region that the request was signed for. An
// operation of ECR that is not registered here answers that it is not
// implemented.
package ecrapi

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// Tokens mints authorization tokens. It is *token.Keyring.
type Tokens interface {
	Mint(token.Purpose, token.Claims) (string, error)
}

// An Authorizer decides about the operations that are about no repository. It is
// *authz.Authorizer.
type Authorizer interface {
	Authorize(context.Context, *authz.Request) error
}

// Addresses are those of the registries. It is *endpoint.Addresses.
type Addresses interface {
	// RegistryHost is a host with its port where it is not the scheme's own.
	RegistryHost(endpoint.Registry) string
	// RegistryURL is the scheme and that host.
	RegistryURL(endpoint.Registry) string
}

// LayerURLs makes addresses that open one blob for a while, without credentials.
// It is *oci.LayerURLs, and asked after the domain has authorized.
type LayerURLs interface {
	LayerURL(images.RepositoryID, digest.Digest) string
}

// Config is what an [API] is made of. All of it is required.
type Config struct {
	Images    *images.Service
	Tokens    Tokens
	Authz     Authorizer
	Addresses Addresses
	LayerURLs LayerURLs
	Now       func() time.Time
}

// An API is the ECR API.
type API struct{ c Config }

// New returns the API.
func New(c Config) *API { return &API{c} }

// Register has s serve the operations of a.
func Register(s *wire.Service, a *API) {
	wire.Handle(s, a.GetAuthorizationToken)
	wire.Handle(s, a.DescribeRegistry)

	wire.Handle(s, a.CreateRepository)
	wire.Handle(s, a.DescribeRepositories)
	wire.Handle(s, a.DeleteRepository)
	wire.Handle(s, a.PutImageTagMutability)
	wire.Handle(s, a.PutImageScanningConfiguration)
	wire.Handle(s, a.GetRepositoryPolicy)
	wire.Handle(s, a.SetRepositoryPolicy)
	wire.Handle(s, a.DeleteRepositoryPolicy)
	wire.Handle(s, a.ListTagsForResource)
	wire.Handle(s, a.TagResource)
	wire.Handle(s, a.UntagResource)

	wire.Handle(s, a.PutImage)
	wire.Handle(s, a.ListImages)
	wire.Handle(s, a.DescribeImages)
	wire.Handle(s, a.BatchGetImage)
	wire.Handle(s, a.BatchDeleteImage)

	wire.Handle(s, a.InitiateLayerUpload)
	wire.Handle(s, a.UploadLayerPart)
	wire.Handle(s, a.CompleteLayerUpload)
	wire.Handle(s, a.BatchCheckLayerAvailability)
	wire.Handle(s, a.GetDownloadUrlForLayer)
}

// registry is the one that a request is about. Without a caller it is nobody's,
// and the domain denies.
func registry(ctx context.Context, registryID *string) endpoint.Registry {
	var r endpoint.Registry
	if c := authn.FromContext(ctx); c != nil {
		r = endpoint.Registry{Account: c.Account, Region: c.Region}
	}
	if registryID != nil {
		r.Account = *registryID
	}
	return r
}

// repository is the one that a request is about.
func repository(ctx context.Context, registryID, name *string) images.RepositoryID {
	r := registry(ctx, registryID)
	return images.RepositoryID{Account: r.Account, Region: r.Region, Name: deref(name)}
}

// deref returns what p points to, or the zero value.
func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// optional returns nil for an empty text, which has no place in an answer.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
