package codeartifactapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// GetDomainPermissionsPolicy returns a domain's policy.
func (a *API) GetDomainPermissionsPolicy(ctx context.Context, in *codeartifact.GetDomainPermissionsPolicyInput) (*codeartifact.GetDomainPermissionsPolicyOutput, error) {
	p, err := a.packages.DomainPolicy(ctx, domainID(ctx, in.Domain, in.DomainOwner))
	if err != nil {
		return nil, err
	}
	return &codeartifact.GetDomainPermissionsPolicyOutput{Policy: resourcePolicy(p)}, nil
}

// PutDomainPermissionsPolicy sets a domain's policy.
func (a *API) PutDomainPermissionsPolicy(ctx context.Context, in *codeartifact.PutDomainPermissionsPolicyInput) (*codeartifact.PutDomainPermissionsPolicyOutput, error) {
	p, err := a.packages.SetDomainPolicy(ctx, domainID(ctx, in.Domain, in.DomainOwner), text(in.PolicyDocument), text(in.PolicyRevision))
	if err != nil {
		return nil, err
	}
	return &codeartifact.PutDomainPermissionsPolicyOutput{Policy: resourcePolicy(p)}, nil
}

// DeleteDomainPermissionsPolicy removes a domain's policy.
func (a *API) DeleteDomainPermissionsPolicy(ctx context.Context, in *codeartifact.DeleteDomainPermissionsPolicyInput) (*codeartifact.DeleteDomainPermissionsPolicyOutput, error) {
	p, err := a.packages.DeleteDomainPolicy(ctx, domainID(ctx, in.Domain, in.DomainOwner), text(in.PolicyRevision))
	if err != nil {
		return nil, err
	}
	return &codeartifact.DeleteDomainPermissionsPolicyOutput{Policy: resourcePolicy(p)}, nil
}

// GetRepositoryPermissionsPolicy returns a repository's policy.
func (a *API) GetRepositoryPermissionsPolicy(ctx context.Context, in *codeartifact.GetRepositoryPermissionsPolicyInput) (*codeartifact.GetRepositoryPermissionsPolicyOutput, error) {
	p, err := a.packages.RepositoryPolicy(ctx, repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository))
	if err != nil {
		return nil, err
	}
	return &codeartifact.GetRepositoryPermissionsPolicyOutput{Policy: resourcePolicy(p)}, nil
}

// PutRepositoryPermissionsPolicy sets a repository's policy.
func (a *API) PutRepositoryPermissionsPolicy(ctx context.Context, in *codeartifact.PutRepositoryPermissionsPolicyInput) (*codeartifact.PutRepositoryPermissionsPolicyOutput, error) {
	p, err := a.packages.SetRepositoryPolicy(ctx, repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository), text(in.PolicyDocument), text(in.PolicyRevision))
	if err != nil {
		return nil, err
	}
	return &codeartifact.PutRepositoryPermissionsPolicyOutput{Policy: resourcePolicy(p)}, nil
}

// DeleteRepositoryPermissionsPolicy removes a repository's policy.
func (a *API) DeleteRepositoryPermissionsPolicy(ctx context.Context, in *codeartifact.DeleteRepositoryPermissionsPolicyInput) (*codeartifact.DeleteRepositoryPermissionsPolicyOutput, error) {
	p, err := a.packages.DeleteRepositoryPolicy(ctx, repositoryID(ctx, in.Domain, in.DomainOwner, in.Repository), text(in.PolicyRevision))
	if err != nil {
		return nil, err
	}
	return &codeartifact.DeleteRepositoryPermissionsPolicyOutput{Policy: resourcePolicy(p)}, nil
}

func resourcePolicy(p packages.PermissionsPolicy) *types.ResourcePolicy {
	return &types.ResourcePolicy{Document: &p.Document, ResourceArn: &p.ResourceARN, Revision: &p.Revision}
}
