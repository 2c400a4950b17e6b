package codeartifactapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"

	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// CreateRepository creates a repository; the caller's account administers it.
func (a *API) CreateRepository(ctx context.Context, in *codeartifact.CreateRepositoryInput) (*codeartifact.CreateRepositoryOutput, error) {
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	r, err := a.packages.CreateRepository(ctx, packages.NewRepository{
		ID:          repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository),
		Description: text(in.Description), Upstreams: upstreamNames(in.Upstreams), Tags: tags,
	})
	if err != nil {
		return nil, err
	}
	return &codeartifact.CreateRepositoryOutput{Repository: repositoryDescription(r)}, nil
}

// DescribeRepository describes a repository.
func (a *API) DescribeRepository(ctx context.Context, in *codeartifact.DescribeRepositoryInput) (*codeartifact.DescribeRepositoryOutput, error) {
	r, err := a.packages.DescribeRepository(ctx, repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository))
	if err != nil {
		return nil, err
	}
	return &codeartifact.DescribeRepositoryOutput{Repository: repositoryDescription(r)}, nil
}

// AssociateExternalConnection connects a repository to a public one.
func (a *API) AssociateExternalConnection(ctx context.Context, in *codeartifact.AssociateExternalConnectionInput) (*codeartifact.AssociateExternalConnectionOutput, error) {
	r, err := a.packages.AssociateExternalConnection(ctx, repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository), text(in.ExternalConnection))
	if err != nil {
		return nil, err
	}
	return &codeartifact.AssociateExternalConnectionOutput{Repository: repositoryDescription(r)}, nil
}

// DisassociateExternalConnection removes the connection of a repository.
func (a *API) DisassociateExternalConnection(ctx context.Context, in *codeartifact.DisassociateExternalConnectionInput) (*codeartifact.DisassociateExternalConnectionOutput, error) {
	r, err := a.packages.DisassociateExternalConnection(ctx, repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository), text(in.ExternalConnection))
	if err != nil {
		return nil, err
	}
	return &codeartifact.DisassociateExternalConnectionOutput{Repository: repositoryDescription(r)}, nil
}

// UpdateRepository changes the description and the upstreams. A field that the request
// does not have is left as it is.
func (a *API) UpdateRepository(ctx context.Context, in *codeartifact.UpdateRepositoryInput) (*codeartifact.UpdateRepositoryOutput, error) {
	r, err := a.packages.UpdateRepository(ctx, repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository), packages.RepositoryUpdate{
		Description: in.Description, Upstreams: upstreamNames(in.Upstreams),
	})
	if err != nil {
		return nil, err
	}
	return &codeartifact.UpdateRepositoryOutput{Repository: repositoryDescription(r)}, nil
}

// DeleteRepository deletes a repository and its packages.
func (a *API) DeleteRepository(ctx context.Context, in *codeartifact.DeleteRepositoryInput) (*codeartifact.DeleteRepositoryOutput, error) {
	r, err := a.packages.DeleteRepository(ctx, repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository))
	if err != nil {
		return nil, err
	}
	return &codeartifact.DeleteRepositoryOutput{Repository: repositoryDescription(r)}, nil
}

// ListRepositories lists the repositories of the caller's account, by domain
// and name.
func (a *API) ListRepositories(ctx context.Context, in *codeartifact.ListRepositoriesInput) (*codeartifact.ListRepositoriesOutput, error) {
	own := domainID(ctx, nil, nil)
	list := pagetoken.NewScope("ListRepositories", own.Owner, own.Region, text(in.RepositoryPrefix))
	after, err := cursor(list, in.NextToken, 3)
	if err != nil {
		return nil, err
	}
	last := packages.DomainID{Owner: after[1], Region: own.Region, Name: after[0]}.Repository(after[2])
	page, more, err := a.packages.ListRepositories(ctx, own.Owner, own.Region, packages.RepositoryFilter{NamePrefix: text(in.RepositoryPrefix)}, last, limit(in.MaxResults))
	if err != nil {
		return nil, err
	}
	out := &codeartifact.ListRepositoriesOutput{Repositories: repositorySummaries(page)}
	if more {
		id := page[len(page)-1].ID
		out.NextToken = list.Next(more, id.Domain.Name, id.Domain.Owner, id.Name)
	}
	return out, nil
}

// ListRepositoriesInDomain lists a domain's repositories, by name.
func (a *API) ListRepositoriesInDomain(ctx context.Context, in *codeartifact.ListRepositoriesInDomainInput) (*codeartifact.ListRepositoriesInDomainOutput, error) {
	domain := domainID(ctx, in.Domain, in.DomainOwner)
	list := pagetoken.NewScope("ListRepositoriesInDomain", domain.ARN(), text(in.RepositoryPrefix), text(in.AdministratorAccount))
	after, err := cursor(list, in.NextToken, 1)
	if err != nil {
		return nil, err
	}
	filter := packages.RepositoryFilter{NamePrefix: text(in.RepositoryPrefix), Administrator: text(in.AdministratorAccount)}
	page, more, err := a.packages.ListRepositoriesInDomain(ctx, domain, filter, after[0], limit(in.MaxResults))
	if err != nil {
		return nil, err
	}
	out := &codeartifact.ListRepositoriesInDomainOutput{Repositories: repositorySummaries(page)}
	if more {
		out.NextToken = list.Next(more, page[len(page)-1].ID.Name)
	}
	return out, nil
}

// GetRepositoryEndpoint answers the address for the clients of a format. It ends in
// "/", because `aws codeartifact login` appends to it. Both endpoint types have the
// same address.
func (a *API) GetRepositoryEndpoint(ctx context.Context, in *codeartifact.GetRepositoryEndpointInput) (*codeartifact.GetRepositoryEndpointOutput, error) {
	id := repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository)
	if err := a.packages.Authorized(ctx, id, "codeartifact:GetRepositoryEndpoint"); err != nil {
		return nil, err
	}
	url := a.addresses.PackageURL(endpoint.Domain{Name: id.Domain.Name, Owner: id.Domain.Owner, Region: id.Domain.Region}, string(in.Format), id.Name)
	return &codeartifact.GetRepositoryEndpointOutput{RepositoryEndpoint: &url}, nil
}

// upstreamNames keeps the difference between nil, which leaves the upstreams as they
// are, and empty, which removes them.
func upstreamNames(in []types.UpstreamRepository) []string {
	if in == nil {
		return nil
	}
	out := make([]string, len(in))
	for i, u := range in {
		out[i] = text(u.RepositoryName)
	}
	return out
}

func repositoryDescription(r packages.Repository) *types.RepositoryDescription {
	arn := r.ID.ARN()
	out := &types.RepositoryDescription{
		AdministratorAccount: &r.Administrator,
		Arn:                  &arn,
		CreatedTime:          &r.Created,
		Description:          optional.Text(r.Description),
		DomainName:           &r.ID.Domain.Name,
		DomainOwner:          &r.ID.Domain.Owner,
		ExternalConnections:  []types.RepositoryExternalConnectionInfo{},
		Name:                 &r.ID.Name,
		Upstreams:            []types.UpstreamRepositoryInfo{},
	}
	if c := r.ExternalConnection; c != "" {
		out.ExternalConnections = append(out.ExternalConnections, types.RepositoryExternalConnectionInfo{
			ExternalConnectionName: &c, PackageFormat: types.PackageFormat(packages.ConnectionFormat(c)), Status: types.ExternalConnectionStatusAvailable,
		})
	}
	for _, u := range r.Upstreams {
		out.Upstreams = append(out.Upstreams, types.UpstreamRepositoryInfo{RepositoryName: &u})
	}
	return out
}

func repositorySummaries(page []packages.Repository) []types.RepositorySummary {
	out := make([]types.RepositorySummary, len(page))
	for i, r := range page {
		d := repositoryDescription(r)
		out[i] = types.RepositorySummary{
			AdministratorAccount: d.AdministratorAccount, Arn: d.Arn, CreatedTime: d.CreatedTime, Description: d.Description,
			DomainName: d.DomainName, DomainOwner: d.DomainOwner, Name: d.Name,
		}
	}
	return out
}
