package iamapi

import (
	"context"

	api "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
)

func registerOIDC(s *wire.Service, a *API) {
	wire.Handle(s, a.CreateOpenIDConnectProvider)
	wire.Handle(s, a.GetOpenIDConnectProvider)
	wire.Handle(s, a.ListOpenIDConnectProviders)
	wire.Handle(s, a.DeleteOpenIDConnectProvider)
	wire.Handle(s, a.AddClientIDToOpenIDConnectProvider)
	wire.Handle(s, a.RemoveClientIDFromOpenIDConnectProvider)
	wire.Handle(s, a.UpdateOpenIDConnectProviderThumbprint)
	wire.Handle(s, a.TagOpenIDConnectProvider)
	wire.Handle(s, a.UntagOpenIDConnectProvider)
	wire.Handle(s, a.ListOpenIDConnectProviderTags)
}

// CreateOpenIDConnectProvider makes the account trust an issuer.
func (a *API) CreateOpenIDConnectProvider(ctx context.Context, in *api.CreateOpenIDConnectProviderInput) (*api.CreateOpenIDConnectProviderOutput, error) {
	p, err := a.iam.CreateOIDCProvider(ctx, iam.NewOIDCProvider{
		Issuer: *in.Url, ClientIDs: in.ClientIDList, Thumbprints: in.ThumbprintList, Tags: tagsIn(in.Tags),
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateOpenIDConnectProviderOutput{OpenIDConnectProviderArn: new(p.ARN()), Tags: tagsOrNone(p.Tags)}, nil
}

// GetOpenIDConnectProvider returns a provider. Its URL comes without the scheme,
// as AWS answers it.
func (a *API) GetOpenIDConnectProvider(ctx context.Context, in *api.GetOpenIDConnectProviderInput) (*api.GetOpenIDConnectProviderOutput, error) {
	p, err := a.iam.OIDCProvider(ctx, *in.OpenIDConnectProviderArn)
	if err != nil {
		return nil, err
	}
	return &api.GetOpenIDConnectProviderOutput{
		Url: &p.Name, CreateDate: &p.Created, Tags: tagsOrNone(p.Tags),
		ClientIDList:   convert(p.ClientIDs, func(s string) string { return s }),
		ThumbprintList: convert(p.Thumbprints, func(s string) string { return s }),
	}, nil
}

// ListOpenIDConnectProviders lists the ARNs.
func (a *API) ListOpenIDConnectProviders(ctx context.Context, _ *api.ListOpenIDConnectProvidersInput) (*api.ListOpenIDConnectProvidersOutput, error) {
	all, err := a.iam.OIDCProviders(ctx)
	if err != nil {
		return nil, err
	}
	return &api.ListOpenIDConnectProvidersOutput{
		OpenIDConnectProviderList: convert(all, func(p *iam.OIDCProvider) types.OpenIDConnectProviderListEntry {
			return types.OpenIDConnectProviderListEntry{Arn: new(p.ARN())}
		}),
	}, nil
}

// DeleteOpenIDConnectProvider ends the trust in an issuer.
func (a *API) DeleteOpenIDConnectProvider(ctx context.Context, in *api.DeleteOpenIDConnectProviderInput) (*api.DeleteOpenIDConnectProviderOutput, error) {
	return emptyOutput[api.DeleteOpenIDConnectProviderOutput](a.iam.DeleteOIDCProvider(ctx, *in.OpenIDConnectProviderArn))
}

// AddClientIDToOpenIDConnectProvider adds an audience.
func (a *API) AddClientIDToOpenIDConnectProvider(ctx context.Context, in *api.AddClientIDToOpenIDConnectProviderInput) (*api.AddClientIDToOpenIDConnectProviderOutput, error) {
	return emptyOutput[api.AddClientIDToOpenIDConnectProviderOutput](a.iam.AddClientID(ctx, *in.OpenIDConnectProviderArn, *in.ClientID))
}

// RemoveClientIDFromOpenIDConnectProvider removes an audience.
func (a *API) RemoveClientIDFromOpenIDConnectProvider(ctx context.Context, in *api.RemoveClientIDFromOpenIDConnectProviderInput) (*api.RemoveClientIDFromOpenIDConnectProviderOutput, error) {
	return emptyOutput[api.RemoveClientIDFromOpenIDConnectProviderOutput](a.iam.RemoveClientID(ctx, *in.OpenIDConnectProviderArn, *in.ClientID))
}

// UpdateOpenIDConnectProviderThumbprint replaces the thumbprints.
func (a *API) UpdateOpenIDConnectProviderThumbprint(ctx context.Context, in *api.UpdateOpenIDConnectProviderThumbprintInput) (*api.UpdateOpenIDConnectProviderThumbprintOutput, error) {
	return emptyOutput[api.UpdateOpenIDConnectProviderThumbprintOutput](a.iam.SetThumbprints(ctx, *in.OpenIDConnectProviderArn, in.ThumbprintList))
}

// TagOpenIDConnectProvider adds tags.
func (a *API) TagOpenIDConnectProvider(ctx context.Context, in *api.TagOpenIDConnectProviderInput) (*api.TagOpenIDConnectProviderOutput, error) {
	return emptyOutput[api.TagOpenIDConnectProviderOutput](a.iam.TagOIDCProvider(ctx, *in.OpenIDConnectProviderArn, tagsIn(in.Tags)))
}

// UntagOpenIDConnectProvider removes tags.
func (a *API) UntagOpenIDConnectProvider(ctx context.Context, in *api.UntagOpenIDConnectProviderInput) (*api.UntagOpenIDConnectProviderOutput, error) {
	return emptyOutput[api.UntagOpenIDConnectProviderOutput](a.iam.UntagOIDCProvider(ctx, *in.OpenIDConnectProviderArn, in.TagKeys))
}

// ListOpenIDConnectProviderTags lists the tags.
func (a *API) ListOpenIDConnectProviderTags(ctx context.Context, in *api.ListOpenIDConnectProviderTagsInput) (*api.ListOpenIDConnectProviderTagsOutput, error) {
	tags, err := a.iam.OIDCProviderTags(ctx, *in.OpenIDConnectProviderArn)
	if err != nil {
		return nil, err
	}
	list := pagetoken.NewScope("ListOpenIDConnectProviderTags", *in.OpenIDConnectProviderArn)
	entries, next, err := pageOf(list, tagsOut(tags), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.ListOpenIDConnectProviderTagsOutput{Tags: entries, IsTruncated: next != nil, Marker: next}, nil
}
