package codeartifactapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"

	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func packageID(format types.PackageFormat, namespace, name *string) packages.PackageID {
	return packages.PackageID{Format: packages.Format(format), Namespace: text(namespace), Name: text(name)}
}

// ListPackages lists the packages that a repository itself holds.
func (a *API) ListPackages(ctx context.Context, in *codeartifact.ListPackagesInput) (*codeartifact.ListPackagesOutput, error) {
	repository := repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository)
	list := pagetoken.NewScope("ListPackages", repository.ARN(), string(in.Format), text(in.Namespace), text(in.PackagePrefix), string(in.Publish), string(in.Upstream))
	p, err := cursor(list, in.NextToken, 3)
	if err != nil {
		return nil, err
	}
	filter := packages.PackageFilter{
		Format: packages.Format(in.Format), NamespacePrefix: text(in.Namespace), NamePrefix: text(in.PackagePrefix),
		Publish: packages.Restriction(in.Publish), Upstream: packages.Restriction(in.Upstream),
	}
	after := packages.PackageID{Format: packages.Format(p[0]), Namespace: p[1], Name: p[2]}
	page, more, err := a.packages.ListPackages(ctx, repository, filter, after, limit(in.MaxResults))
	if err != nil {
		return nil, err
	}
	out := &codeartifact.ListPackagesOutput{Packages: []types.PackageSummary{}}
	for _, s := range page {
		out.Packages = append(out.Packages, *packageSummary(s))
		out.NextToken = list.Next(more, string(s.ID.Format), s.ID.Namespace, s.ID.Name)
	}
	return out, nil
}

// DescribePackage describes a package that the repository itself holds.
func (a *API) DescribePackage(ctx context.Context, in *codeartifact.DescribePackageInput) (*codeartifact.DescribePackageOutput, error) {
	s, err := a.packages.DescribePackage(ctx, repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository), packageID(in.Format, in.Namespace, in.Package))
	if err != nil {
		return nil, err
	}
	return &codeartifact.DescribePackageOutput{Package: &types.PackageDescription{
		Format: types.PackageFormat(s.ID.Format), Namespace: optional.Text(s.ID.Namespace), Name: &s.ID.Name, OriginConfiguration: originConfiguration(s.Origin),
	}}, nil
}

// DeletePackage deletes a package with all its versions.
func (a *API) DeletePackage(ctx context.Context, in *codeartifact.DeletePackageInput) (*codeartifact.DeletePackageOutput, error) {
	s, err := a.packages.DeletePackage(ctx, repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository), packageID(in.Format, in.Namespace, in.Package))
	if err != nil {
		return nil, err
	}
	return &codeartifact.DeletePackageOutput{DeletedPackage: packageSummary(s)}, nil
}

// PutPackageOriginConfiguration sets how versions of a package may come into
// the repository.
func (a *API) PutPackageOriginConfiguration(ctx context.Context, in *codeartifact.PutPackageOriginConfigurationInput) (*codeartifact.PutPackageOriginConfigurationOutput, error) {
	o := packages.Origin{Publish: packages.Restriction(in.Restrictions.Publish), Upstream: packages.Restriction(in.Restrictions.Upstream)}
	id := packageID(in.Format, in.Namespace, in.Package)
	if err := a.packages.SetOrigin(ctx, repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository), id, o); err != nil {
		return nil, err
	}
	return &codeartifact.PutPackageOriginConfigurationOutput{OriginConfiguration: originConfiguration(o)}, nil
}

func packageSummary(s packages.PackageSummary) *types.PackageSummary {
	return &types.PackageSummary{
		Format: types.PackageFormat(s.ID.Format), Namespace: optional.Text(s.ID.Namespace), Package: &s.ID.Name, OriginConfiguration: originConfiguration(s.Origin),
	}
}

func originConfiguration(o packages.Origin) *types.PackageOriginConfiguration {
	return &types.PackageOriginConfiguration{Restrictions: &types.PackageOriginRestrictions{
		Publish: types.AllowPublish(o.Publish), Upstream: types.AllowUpstream(o.Upstream),
	}}
}
