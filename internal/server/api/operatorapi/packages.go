package operatorapi

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// repositoryID returns the package repository that a request names. Its domain is the
// caller's unless the request says another account.
func repositoryID(ctx context.Context, name operatormodel.RepositoryName) packages.RepositoryID {
	id := packages.DomainID{Name: name.Domain, Owner: optional.Value(name.DomainOwner)}
	if c := authn.FromContext(ctx); c != nil {
		id.Region = c.Region
		if name.DomainOwner == nil {
			id.Owner = c.Account
		}
	}
	return id.Repository(name.Repository)
}

// pageSize returns the length of the page that a request asks for.
func pageSize(maxResults *int32) int {
	if maxResults == nil {
		return defaultPage
	}
	return int(*maxResults)
}

func invalidToken(operation string) error {
	return fault.New(fault.Invalid, "InvalidParameter", "The nextToken is not one that %s returned for the same parameters.", operation)
}

// ListPackageStatistics returns a page of the downloads of packages, or of the versions of
// one package.
func (a *API) ListPackageStatistics(ctx context.Context, in *operatormodel.ListPackageStatisticsInput) (*operatormodel.ListPackageStatisticsOutput, error) {
	repo := repositoryID(ctx, in.RepositoryName)
	id := packages.PackageID{Format: packages.Format(optional.Value(in.Format)), Namespace: optional.Value(in.Namespace), Name: optional.Value(in.Package)}
	scope := pagetoken.NewScope("ListPackageStatistics", repo.ARN(), string(id.Format), id.Namespace, id.Name)
	cursor, err := scope.Cursor(in.NextToken, 3)
	if err != nil {
		return nil, invalidToken("ListPackageStatistics")
	}
	if in.Package == nil {
		if in.Format != nil || in.Namespace != nil {
			return nil, fault.New(fault.Invalid, "InvalidParameter", "A format and a namespace need the name of a package.")
		}
		after := packages.PackageID{Format: packages.Format(cursor[0]), Namespace: cursor[1], Name: cursor[2]}
		page, more, err := a.c.Packages.ListPackageStatistics(ctx, repo, after, pageSize(in.MaxResults))
		if err != nil {
			return nil, err
		}
		out := new(operatormodel.ListPackageStatisticsOutput)
		for _, p := range page {
			out.Packages = append(out.Packages, operatormodel.PackageStatistics{
				Format: string(p.ID.Format), Namespace: optional.Text(p.ID.Namespace), Package: p.ID.Name,
				VersionCount: p.Versions, Downloads: p.Downloads, LastDownloadAt: optional.Time(p.LastDownload),
			})
			out.NextToken = scope.Next(more, string(p.ID.Format), p.ID.Namespace, p.ID.Name)
		}
		return out, nil
	}
	page, more, err := a.c.Packages.ListVersionStatistics(ctx, repo, id, cursor[0], pageSize(in.MaxResults))
	if err != nil {
		return nil, err
	}
	out := new(operatormodel.ListPackageStatisticsOutput)
	for _, v := range page {
		out.Versions = append(out.Versions, operatormodel.VersionStatistics{
			Version: v.Version, Status: string(v.Status), PublishedAt: v.Published, Downloads: v.Downloads, LastDownloadAt: optional.Time(v.LastDownload),
		})
		out.NextToken = scope.Next(more, v.Version, "", "")
	}
	return out, nil
}
