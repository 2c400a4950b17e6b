package codeartifactapi

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// ListPackageVersions lists the versions that a repository itself holds: the
// highest first in the format's order, or, sorted by PUBLISHED_TIME, the newest.
func (a *API) ListPackageVersions(ctx context.Context, in *codeartifact.ListPackageVersionsInput) (*codeartifact.ListPackageVersionsOutput, error) {
	repository, id := repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository), packageID(in.Format, in.Namespace, in.Package)
	list := pagetoken.NewScope("ListPackageVersions", repository.ARN(), string(in.Format), text(in.Namespace), text(in.Package), string(in.Status), string(in.SortBy), string(in.OriginType))
	p, err := cursor(list, in.NextToken, 2)
	if err != nil {
		return nil, err
	}
	held, err := a.packages.ListVersions(ctx, repository, id)
	if err != nil {
		return nil, err
	}
	order := listOrder(id.Format, in.SortBy)
	all := slices.DeleteFunc(slices.Clone(held.All), func(v *packages.Version) bool {
		return in.Status != "" && string(v.Status) != string(in.Status) || in.OriginType != "" && in.OriginType != versionOrigin(v).OriginType
	})
	slices.SortFunc(all, order)
	if in.NextToken != nil {
		last, err := time.Parse(time.RFC3339Nano, p[1])
		if err != nil {
			return nil, invalidToken()
		}
		behind := &packages.Version{Version: p[0], Published: last}
		all = slices.DeleteFunc(all, func(v *packages.Version) bool { return order(v, behind) <= 0 })
	}
	out := &codeartifact.ListPackageVersionsOutput{
		DefaultDisplayVersion: optional.Text(held.Default), Format: in.Format,
		Namespace: optional.Text(held.ID.Namespace), Package: &held.ID.Name, Versions: []types.PackageVersionSummary{},
	}
	page := all[:min(limit(in.MaxResults), len(all))]
	for _, v := range page {
		out.Versions = append(out.Versions, types.PackageVersionSummary{
			Version: &v.Version, Revision: &v.Revision, Status: versionStatus(v.Status), Origin: versionOrigin(v),
		})
		out.NextToken = list.Next(len(all) > len(page), v.Version, v.Published.Format(time.RFC3339Nano))
	}
	return out, nil
}

func listOrder(f packages.Format, by types.PackageVersionSortType) func(a, b *packages.Version) int {
	return func(a, b *packages.Version) int {
		c := f.Compare(b.Version, a.Version)
		if by == types.PackageVersionSortTypePublishedTime {
			c = cmp.Or(b.Published.Compare(a.Published), c)
		}
		return c
	}
}

// DescribePackageVersion describes a version that the repository itself holds.
func (a *API) DescribePackageVersion(ctx context.Context, in *codeartifact.DescribePackageVersionInput) (*codeartifact.DescribePackageVersionOutput, error) {
	id := packageID(in.Format, in.Namespace, in.Package)
	v, d, err := a.packages.DescribeVersion(ctx, repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository), id, text(in.PackageVersion))
	if err != nil {
		return nil, err
	}
	out := &types.PackageVersionDescription{
		DisplayName: optional.Text(d.DisplayName), Format: in.Format, HomePage: optional.Text(d.HomePage), Licenses: []types.LicenseInfo{},
		Namespace: in.Namespace, Origin: versionOrigin(v), PackageName: in.Package, PublishedTime: &v.Published,
		Revision: &v.Revision, SourceCodeRepository: optional.Text(d.SourceCodeRepository), Status: versionStatus(v.Status),
		Summary: optional.Text(d.Summary), Version: &v.Version,
	}
	for _, l := range d.Licenses {
		out.Licenses = append(out.Licenses, types.LicenseInfo{Name: optional.Text(l.Name), Url: optional.Text(l.URL)})
	}
	return &codeartifact.DescribePackageVersionOutput{PackageVersion: out}, nil
}

// GetPackageVersionReadme returns the readme that was published with a version.
func (a *API) GetPackageVersionReadme(ctx context.Context, in *codeartifact.GetPackageVersionReadmeInput) (*codeartifact.GetPackageVersionReadmeOutput, error) {
	id := packageID(in.Format, in.Namespace, in.Package)
	v, readme, err := a.packages.VersionReadme(ctx, repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository), id, text(in.PackageVersion))
	if err != nil {
		return nil, err
	}
	if readme == "" {
		return nil, fault.New(fault.NotFound, "ResourceNotFound", "Version %s of %s was published without a readme.", v.Version, id).About("package-version", v.Version)
	}
	return &codeartifact.GetPackageVersionReadmeOutput{
		Format: in.Format, Namespace: in.Namespace, Package: in.Package, Readme: &readme, Version: &v.Version, VersionRevision: &v.Revision,
	}, nil
}

// ListPackageVersionDependencies lists the dependencies that a version declares, all
// on one page.
func (a *API) ListPackageVersionDependencies(ctx context.Context, in *codeartifact.ListPackageVersionDependenciesInput) (*codeartifact.ListPackageVersionDependenciesOutput, error) {
	id := packageID(in.Format, in.Namespace, in.Package)
	v, dependencies, err := a.packages.VersionDependencies(ctx, repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository), id, text(in.PackageVersion))
	if err != nil {
		return nil, err
	}
	out := &codeartifact.ListPackageVersionDependenciesOutput{
		Format: in.Format, Namespace: in.Namespace, Package: in.Package, Version: &v.Version, VersionRevision: &v.Revision,
		Dependencies: []types.PackageDependency{},
	}
	for _, d := range dependencies {
		out.Dependencies = append(out.Dependencies, types.PackageDependency{
			Namespace: optional.Text(d.Namespace), Package: &d.Package, DependencyType: optional.Text(d.Type), VersionRequirement: optional.Text(d.VersionRequirement),
		})
	}
	return out, nil
}

// UpdatePackageVersionsStatus sets the status of versions.
func (a *API) UpdatePackageVersionsStatus(ctx context.Context, in *codeartifact.UpdatePackageVersionsStatusInput) (*codeartifact.UpdatePackageVersionsStatusOutput, error) {
	out, err := a.packages.UpdateVersionsStatus(ctx, repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository), packageID(in.Format, in.Namespace, in.Package),
		packages.Selection{Versions: in.Versions, Revisions: in.VersionRevisions, Expected: packages.Status(in.ExpectedStatus)}, packages.Status(in.TargetStatus))
	if err != nil {
		return nil, err
	}
	return &codeartifact.UpdatePackageVersionsStatusOutput{SuccessfulVersions: successful(out), FailedVersions: failed(out)}, nil
}

// DisposePackageVersions removes the assets of versions for good.
func (a *API) DisposePackageVersions(ctx context.Context, in *codeartifact.DisposePackageVersionsInput) (*codeartifact.DisposePackageVersionsOutput, error) {
	out, err := a.packages.DisposeVersions(ctx, repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository), packageID(in.Format, in.Namespace, in.Package),
		packages.Selection{Versions: in.Versions, Revisions: in.VersionRevisions, Expected: packages.Status(in.ExpectedStatus)})
	if err != nil {
		return nil, err
	}
	return &codeartifact.DisposePackageVersionsOutput{SuccessfulVersions: successful(out), FailedVersions: failed(out)}, nil
}

// DeletePackageVersions deletes versions.
func (a *API) DeletePackageVersions(ctx context.Context, in *codeartifact.DeletePackageVersionsInput) (*codeartifact.DeletePackageVersionsOutput, error) {
	out, err := a.packages.DeleteSelectedVersions(ctx, repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository), packageID(in.Format, in.Namespace, in.Package),
		packages.Selection{Versions: in.Versions, Expected: packages.Status(in.ExpectedStatus)})
	if err != nil {
		return nil, err
	}
	return &codeartifact.DeletePackageVersionsOutput{SuccessfulVersions: successful(out), FailedVersions: failed(out)}, nil
}

func successful(o packages.Outcome) map[string]types.SuccessfulPackageVersionInfo {
	out := make(map[string]types.SuccessfulPackageVersionInfo, len(o.Successful))
	for version, s := range o.Successful {
		out[version] = types.SuccessfulPackageVersionInfo{Revision: &s.Revision, Status: versionStatus(s.Status)}
	}
	return out
}

func failed(o packages.Outcome) map[string]types.PackageVersionError {
	out := make(map[string]types.PackageVersionError, len(o.Failed))
	for version, e := range o.Failed {
		out[version] = types.PackageVersionError{ErrorCode: types.PackageVersionErrorCode(e.Code), ErrorMessage: &e.Message}
	}
	return out
}

// versionOrigin says whether a version was published to a repository of the domain, or
// came through an external connection.
func versionOrigin(v *packages.Version) *types.PackageVersionOrigin {
	if v.External() {
		return &types.PackageVersionOrigin{
			DomainEntryPoint: &types.DomainEntryPoint{ExternalConnectionName: &v.EntryPoint},
			OriginType:       types.PackageVersionOriginTypeExternal,
		}
	}
	return &types.PackageVersionOrigin{
		DomainEntryPoint: &types.DomainEntryPoint{RepositoryName: &v.EntryPoint},
		OriginType:       types.PackageVersionOriginTypeInternal,
	}
}

func versionStatus(s packages.Status) types.PackageVersionStatus {
	return types.PackageVersionStatus(s)
}
