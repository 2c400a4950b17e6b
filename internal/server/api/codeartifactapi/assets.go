package codeartifactapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"

	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// ListPackageVersionAssets lists the assets of a version, by name.
func (a *API) ListPackageVersionAssets(ctx context.Context, in *codeartifact.ListPackageVersionAssetsInput) (*codeartifact.ListPackageVersionAssetsOutput, error) {
	list := pagetoken.NewScope("ListPackageVersionAssets", repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository).ARN(), string(in.Format), text(in.Namespace), text(in.Package), text(in.PackageVersion))
	after, err := cursor(list, in.NextToken, 1)
	if err != nil {
		return nil, err
	}
	id := packageID(in.Format, in.Namespace, in.Package)
	v, err := a.packages.VersionAssets(ctx, repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository), id, text(in.PackageVersion))
	if err != nil {
		return nil, err
	}
	out := &codeartifact.ListPackageVersionAssetsOutput{
		Assets: []types.AssetSummary{}, Format: in.Format, Namespace: in.Namespace, Package: in.Package,
		Version: &v.Version, VersionRevision: &v.Revision,
	}
	for _, asset := range v.Assets {
		if asset.Name <= after[0] {
			continue
		}
		if len(out.Assets) == limit(in.MaxResults) {
			out.NextToken = list.Next(true, *out.Assets[len(out.Assets)-1].Name)
			break
		}
		out.Assets = append(out.Assets, assetSummary(asset))
	}
	return out, nil
}

// GetPackageVersionAsset streams an asset of a version.
func (a *API) GetPackageVersionAsset(ctx context.Context, in *codeartifact.GetPackageVersionAssetInput) (*codeartifact.GetPackageVersionAssetOutput, error) {
	id := packageID(in.Format, in.Namespace, in.Package)
	v, asset, content, err := a.packages.GetAsset(ctx, repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository), id,
		text(in.PackageVersion), text(in.PackageVersionRevision), text(in.Asset))
	if err != nil {
		return nil, err
	}
	asset.RecordDownload()
	return &codeartifact.GetPackageVersionAssetOutput{
		Asset: content, AssetName: &asset.Name, PackageVersion: &v.Version, PackageVersionRevision: &v.Revision,
	}, nil
}

func assetSummary(a packages.Asset) types.AssetSummary {
	return types.AssetSummary{Name: &a.Name, Size: &a.Size, Hashes: map[string]string{
		string(types.HashAlgorithmMd5): a.MD5, string(types.HashAlgorithmSha1): a.SHA1,
		string(types.HashAlgorithmSha256): a.SHA256, string(types.HashAlgorithmSha512): a.SHA512,
	}}
}
