package stsapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/sts"
)

// AssumeRoleWithWebIdentity begins a session of a role for the subject of an OIDC
// token. The request is not signed.
func (a *API) AssumeRoleWithWebIdentity(ctx context.Context, in *api.AssumeRoleWithWebIdentityInput) (*api.AssumeRoleWithWebIdentityOutput, error) {
	if in.ProviderId != nil {
		return nil, fault.New(fault.Invalid, "InvalidParameterValue",
			"ProviderId is for the access tokens of www.amazon.com and graph.facebook.com, which this server does not accept. Leave it out: an OpenID Connect token names its issuer.")
	}
	s, err := a.sts.AssumeRoleWithWebIdentity(ctx, sts.AssumeRoleWithWebIdentity{
		RoleARN: *in.RoleArn, SessionName: *in.RoleSessionName, Token: *in.WebIdentityToken,
		Seconds:  int(aws.ToInt32(in.DurationSeconds)),
		Policies: policiesIn(in.Policy, in.PolicyArns),
	})
	if err != nil {
		return nil, err
	}
	out := &api.AssumeRoleWithWebIdentityOutput{
		AssumedRoleUser:             &types.AssumedRoleUser{Arn: &s.ARN, AssumedRoleId: &s.UserID},
		Credentials:                 credentialsOut(s.SessionCredentials),
		SubjectFromWebIdentityToken: &s.Subject,
		Audience:                    &s.Audience,
		Provider:                    &s.Provider,
		//lint:ignore SA1019 all clients but the newest read this one
		PackedPolicySize: packedSize(s.SessionCredentials),
	}
	if s.SourceIdentity != "" {
		out.SourceIdentity = &s.SourceIdentity
	}
	return out, nil
}

// GetWebIdentityToken gives the caller a token that proves to others who the caller is.
func (a *API) GetWebIdentityToken(ctx context.Context, in *api.GetWebIdentityTokenInput) (*api.GetWebIdentityTokenOutput, error) {
	token, expires, err := a.sts.WebIdentityToken(ctx, sts.WebIdentityToken{
		Audience: in.Audience, Algorithm: *in.SigningAlgorithm, Seconds: int(aws.ToInt32(in.DurationSeconds)), Tags: tagsIn(in.Tags),
	})
	if err != nil {
		return nil, err
	}
	return &api.GetWebIdentityTokenOutput{WebIdentityToken: &token, Expiration: &expires}, nil
}

// AssumeRoleWithSAML is not supported, and says so in the words of a client that
// has no SAML provider.
func (a *API) AssumeRoleWithSAML(context.Context, *api.AssumeRoleWithSAMLInput) (*api.AssumeRoleWithSAMLOutput, error) {
	return nil, fault.New(fault.Invalid, "InvalidIdentityToken",
		"No SAML provider exists: this server does not support SAML. Use an OpenID Connect provider with AssumeRoleWithWebIdentity.")
}
