// Package ecrapi is the handler of the Amazon ECR API. Each operation is one method of
// [API] with the signature of the SDK's client, and [Register] adds all of them to a
// wire.Service. The rules and the authorization are in package images: a method turns
// its input into calls of images, and the results into ECR's output. [MapError] turns
// faults into ECR's exceptions.
//
// A request is about the registry of the caller's account, or of the account in
// registryId, in the region for which the request was signed.
//
// This package must not import another handler, or a database.
package ecrapi

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// Tokens issues authorization tokens. It is *token.Keyring.
type Tokens interface {
	Mint(token.Purpose, token.Claims) (string, error)
}

// Addresses knows the addresses of the registries. It is *endpoint.Addresses.
type Addresses interface {
	// RegistryHost returns the host, with the port if it is not the scheme's default.
	RegistryHost(endpoint.Registry) string
	// RegistryURL returns the scheme and the host.
	RegistryURL(endpoint.Registry) string
}

// LayerURLs makes signed URLs of blobs, after the domain has authorized. It is *oci.LayerURLs.
type LayerURLs interface {
	LayerURL(images.RepositoryID, digest.Digest) (string, error)
}

// Config has what an [API] needs. All fields are required.
type Config struct {
	Images    *images.Service
	Tokens    Tokens
	Authz     authz.Authorizer
	Addresses Addresses
	LayerURLs LayerURLs
	Now       func() time.Time
}

// An API is the ECR API.
type API struct{ c Config }

// New returns the API.
func New(c Config) *API { return &API{c} }

// Register adds the operations of a to s.
func Register(s *wire.Service, a *API) {
	wire.Handle(s, a.GetAuthorizationToken)

	wire.Handle(s, a.DescribeRegistry)
	wire.Handle(s, a.PutReplicationConfiguration)
	wire.Handle(s, a.DescribeImageReplicationStatus)
	wire.Handle(s, a.StartReplicationBackfill)
	wire.Handle(s, a.StopReplicationBackfill)
	wire.Handle(s, a.DescribeReplicationBackfillResults)
	wire.Handle(s, a.ListReplicationBackfills)
	wire.Handle(s, a.PutRegistryPolicy)
	wire.Handle(s, a.GetRegistryPolicy)
	wire.Handle(s, a.DeleteRegistryPolicy)
	wire.Handle(s, a.GetAccountSetting)
	wire.Handle(s, a.PutAccountSetting)
	wire.Handle(s, a.GetRegistryScanningConfiguration)
	wire.Handle(s, a.PutRegistryScanningConfiguration)
	wire.Handle(s, a.BatchGetRepositoryScanningConfiguration)
	wire.Handle(s, a.RegisterPullTimeUpdateExclusion)
	wire.Handle(s, a.DeregisterPullTimeUpdateExclusion)
	wire.Handle(s, a.ListPullTimeUpdateExclusions)

	wire.Handle(s, a.CreateRepositoryCreationTemplate)
	wire.Handle(s, a.UpdateRepositoryCreationTemplate)
	wire.Handle(s, a.DeleteRepositoryCreationTemplate)
	wire.Handle(s, a.DescribeRepositoryCreationTemplates)

	wire.Handle(s, a.CreatePullThroughCacheRule)
	wire.Handle(s, a.DescribePullThroughCacheRules)
	wire.Handle(s, a.UpdatePullThroughCacheRule)
	wire.Handle(s, a.DeletePullThroughCacheRule)
	wire.Handle(s, a.ValidatePullThroughCacheRule)

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

	wire.Handle(s, a.PutLifecyclePolicy)
	wire.Handle(s, a.GetLifecyclePolicy)
	wire.Handle(s, a.DeleteLifecyclePolicy)
	wire.Handle(s, a.StartLifecyclePolicyPreview)
	wire.Handle(s, a.GetLifecyclePolicyPreview)

	wire.Handle(s, a.PutImage)
	wire.Handle(s, a.ListImages)
	wire.Handle(s, a.DescribeImages)
	wire.Handle(s, a.BatchGetImage)
	wire.Handle(s, a.BatchDeleteImage)
	wire.Handle(s, a.ListImageReferrers)
	wire.Handle(s, a.UpdateImageStorageClass)

	wire.Handle(s, a.StartImageScan)
	wire.Handle(s, a.DescribeImageScanFindings)
	wire.Handle(s, a.PutSigningConfiguration)
	wire.Handle(s, a.GetSigningConfiguration)
	wire.Handle(s, a.DeleteSigningConfiguration)
	wire.Handle(s, a.DescribeImageSigningStatus)

	wire.Handle(s, a.InitiateLayerUpload)
	wire.Handle(s, a.UploadLayerPart)
	wire.Handle(s, a.CompleteLayerUpload)
	wire.Handle(s, a.BatchCheckLayerAvailability)
	wire.Handle(s, a.GetDownloadUrlForLayer)
}

// registry returns the registry that a request is about. Without a caller it is empty,
// and the domain denies access.
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

// repository returns the repository that a request is about.
func repository(ctx context.Context, registryID, name *string) images.RepositoryID {
	r := registry(ctx, registryID)
	return images.RepositoryID{Account: r.Account, Region: r.Region, Name: optional.Value(name)}
}
