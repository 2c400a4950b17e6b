package codeartifactapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// PublishPackageVersion publishes an asset of a generic package. The body of the request
// is the asset, which is not held in memory. The header with its hash is also the hash
// that the signature covers, so reading the body fails before its end if it differs.
func (a *API) PublishPackageVersion(ctx context.Context, in *codeartifact.PublishPackageVersionInput) (*codeartifact.PublishPackageVersionOutput, error) {
	v, err := a.packages.PublishGeneric(ctx, packages.GenericPublication{
		Repository: repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository), Package: packageID(in.Format, in.Namespace, in.Package),
		Version: text(in.PackageVersion), Asset: text(in.AssetName), SHA256: text(in.AssetSHA256), Content: in.AssetContent,
		Unfinished: in.Unfinished != nil && *in.Unfinished,
	})
	if err != nil {
		return nil, err
	}
	out := &codeartifact.PublishPackageVersionOutput{
		Format: in.Format, Namespace: in.Namespace, Package: in.Package, Version: &v.Version,
		VersionRevision: &v.Revision, Status: versionStatus(v.Status),
	}
	if asset := v.Asset(text(in.AssetName)); asset != nil {
		summary := assetSummary(*asset)
		out.Asset = &summary
	}
	return out, nil
}

// CopyPackageVersions copies versions between two repositories of a domain. The answer is
// a success even if no version could be copied.
func (a *API) CopyPackageVersions(ctx context.Context, in *codeartifact.CopyPackageVersionsInput) (*codeartifact.CopyPackageVersionsOutput, error) {
	out, err := a.packages.CopyVersions(ctx, packages.Copy{
		Source:      repositoryID(ctx, in.Domain, in.DomainOwner, in.SourceRepository),
		Destination: repositoryID(ctx, in.Domain, in.DomainOwner, in.DestinationRepository),
		Package:     packageID(in.Format, in.Namespace, in.Package),
		Versions:    in.Versions, Revisions: in.VersionRevisions,
		AllowOverwrite: in.AllowOverwrite != nil && *in.AllowOverwrite, IncludeFromUpstream: in.IncludeFromUpstream != nil && *in.IncludeFromUpstream,
	})
	if err != nil {
		return nil, err
	}
	return &codeartifact.CopyPackageVersionsOutput{SuccessfulVersions: successful(out), FailedVersions: failed(out)}, nil
}
