package codeartifactapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// CreateDomain creates a domain in the caller's account. An encryption key is only
// reported, not used: the operator decides how bytes are stored.
func (a *API) CreateDomain(ctx context.Context, in *codeartifact.CreateDomainInput) (*codeartifact.CreateDomainOutput, error) {
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	d, err := a.packages.CreateDomain(ctx, packages.NewDomain{
		ID: domainID(ctx, in.Domain, nil), EncryptionKey: text(in.EncryptionKey), Tags: tags,
	})
	if err != nil {
		return nil, err
	}
	return &codeartifact.CreateDomainOutput{Domain: domainDescription(d)}, nil
}

// DescribeDomain describes a domain.
func (a *API) DescribeDomain(ctx context.Context, in *codeartifact.DescribeDomainInput) (*codeartifact.DescribeDomainOutput, error) {
	d, err := a.packages.DescribeDomain(ctx, domainID(ctx, in.Domain, in.DomainOwner))
	if err != nil {
		return nil, err
	}
	return &codeartifact.DescribeDomainOutput{Domain: domainDescription(d)}, nil
}

// DeleteDomain deletes a domain without repositories. If the domain does not exist,
// the answer is empty and not an error.
func (a *API) DeleteDomain(ctx context.Context, in *codeartifact.DeleteDomainInput) (*codeartifact.DeleteDomainOutput, error) {
	d, found, err := a.packages.DeleteDomain(ctx, domainID(ctx, in.Domain, in.DomainOwner))
	if err != nil || !found {
		return &codeartifact.DeleteDomainOutput{}, err
	}
	out := domainDescription(d)
	out.Status = types.DomainStatusDeleted
	return &codeartifact.DeleteDomainOutput{Domain: out}, nil
}

// ListDomains lists the domains of the caller's account, by name.
func (a *API) ListDomains(ctx context.Context, in *codeartifact.ListDomainsInput) (*codeartifact.ListDomainsOutput, error) {
	own := domainID(ctx, nil, nil)
	list := pagetoken.NewScope("ListDomains", own.Owner, own.Region)
	after, err := cursor(list, in.NextToken, 1)
	if err != nil {
		return nil, err
	}
	page, more, err := a.packages.ListDomains(ctx, own.Owner, own.Region, after[0], limit(in.MaxResults))
	if err != nil {
		return nil, err
	}
	out := &codeartifact.ListDomainsOutput{Domains: []types.DomainSummary{}}
	for _, d := range page {
		full := domainDescription(d)
		out.Domains = append(out.Domains, types.DomainSummary{
			Arn: full.Arn, CreatedTime: full.CreatedTime, EncryptionKey: full.EncryptionKey,
			Name: full.Name, Owner: full.Owner, Status: full.Status,
		})
		out.NextToken = list.Next(more, d.ID.Name)
	}
	return out, nil
}

// assetBucket names the bucket in which AWS keeps a domain's assets. Here it is only a
// name: clients such as Terraform expect one.
func assetBucket(id packages.DomainID) string {
	return arn.New("s3", "", "", "assets-"+id.Owner+"-"+id.Region).String()
}

func domainDescription(d packages.Domain) *types.DomainDescription {
	domainARN := d.ID.ARN()
	return &types.DomainDescription{
		Arn:             &domainARN,
		AssetSizeBytes:  d.AssetBytes,
		CreatedTime:     &d.Created,
		EncryptionKey:   optional.Text(d.EncryptionKey),
		Name:            &d.ID.Name,
		Owner:           &d.ID.Owner,
		RepositoryCount: int32(d.Repositories),
		S3BucketArn:     optional.Text(assetBucket(d.ID)),
		Status:          types.DomainStatusActive,
	}
}
