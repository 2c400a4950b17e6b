package iamapi

import (
	"context"

	api "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
)

func registerAccount(s *wire.Service, a *API) {
	wire.Handle(s, a.GetAccountSummary)
	wire.Handle(s, a.CreateAccountAlias)
	wire.Handle(s, a.DeleteAccountAlias)
	wire.Handle(s, a.ListAccountAliases)
	wire.Handle(s, a.ListVirtualMFADevices)
	wire.Handle(s, a.EnableOutboundWebIdentityFederation)
	wire.Handle(s, a.DisableOutboundWebIdentityFederation)
	wire.Handle(s, a.GetOutboundWebIdentityFederationInfo)
}

// GetAccountSummary counts what the account has, beside the quotas.
func (a *API) GetAccountSummary(ctx context.Context, _ *api.GetAccountSummaryInput) (*api.GetAccountSummaryOutput, error) {
	summary, err := a.report.AccountSummary(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[string]int32, len(summary))
	for name, n := range summary {
		out[name] = int32(n)
	}
	return &api.GetAccountSummaryOutput{SummaryMap: out}, nil
}

// CreateAccountAlias sets the account's alias.
func (a *API) CreateAccountAlias(ctx context.Context, in *api.CreateAccountAliasInput) (*api.CreateAccountAliasOutput, error) {
	return emptyOutput[api.CreateAccountAliasOutput](a.iam.CreateAccountAlias(ctx, *in.AccountAlias))
}

// DeleteAccountAlias takes the account's alias away.
func (a *API) DeleteAccountAlias(ctx context.Context, in *api.DeleteAccountAliasInput) (*api.DeleteAccountAliasOutput, error) {
	return emptyOutput[api.DeleteAccountAliasOutput](a.iam.DeleteAccountAlias(ctx, *in.AccountAlias))
}

// ListAccountAliases lists the account's alias, if it has one.
func (a *API) ListAccountAliases(ctx context.Context, _ *api.ListAccountAliasesInput) (*api.ListAccountAliasesOutput, error) {
	alias, err := a.iam.AccountAlias(ctx)
	if err != nil {
		return nil, err
	}
	aliases := []string{}
	if alias != "" {
		aliases = append(aliases, alias)
	}
	return &api.ListAccountAliasesOutput{AccountAliases: aliases}, nil
}

// ListVirtualMFADevices lists none: there are no MFA devices.
func (a *API) ListVirtualMFADevices(ctx context.Context, _ *api.ListVirtualMFADevicesInput) (*api.ListVirtualMFADevicesOutput, error) {
	if err := a.iam.CheckAccount(ctx, "iam:ListVirtualMFADevices"); err != nil {
		return nil, err
	}
	return &api.ListVirtualMFADevicesOutput{VirtualMFADevices: []types.VirtualMFADevice{}}, nil
}

// EnableOutboundWebIdentityFederation makes the account an OpenID Connect issuer.
func (a *API) EnableOutboundWebIdentityFederation(ctx context.Context, _ *api.EnableOutboundWebIdentityFederationInput) (*api.EnableOutboundWebIdentityFederationOutput, error) {
	issuer, err := a.iam.EnableIssuer(ctx)
	if err != nil {
		return nil, err
	}
	return &api.EnableOutboundWebIdentityFederationOutput{IssuerIdentifier: &issuer}, nil
}

// DisableOutboundWebIdentityFederation ends that.
func (a *API) DisableOutboundWebIdentityFederation(ctx context.Context, _ *api.DisableOutboundWebIdentityFederationInput) (*api.DisableOutboundWebIdentityFederationOutput, error) {
	return emptyOutput[api.DisableOutboundWebIdentityFederationOutput](a.iam.DisableIssuer(ctx))
}

// GetOutboundWebIdentityFederationInfo says which issuer the account is.
func (a *API) GetOutboundWebIdentityFederationInfo(ctx context.Context, _ *api.GetOutboundWebIdentityFederationInfoInput) (*api.GetOutboundWebIdentityFederationInfoOutput, error) {
	issuer, err := a.iam.IssuerOfAccount(ctx)
	if err != nil {
		return nil, err
	}
	return &api.GetOutboundWebIdentityFederationInfoOutput{IssuerIdentifier: &issuer, JwtVendingEnabled: true}, nil
}
