// Package stsapi is the AWS API of the Security Token Service: one method for each
// operation, with the signature of the SDK's client. Package iam/sts has the rules.
package stsapi

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/queryerrors"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/sts"
)

// Config is what an [API] is made of.
type Config struct {
	IAM *iam.Service
}

// An API is the operations.
type API struct{ sts *sts.Service }

// New returns the API over the domain's service.
func New(c Config) *API { return &API{sts.New(c.IAM)} }

// Register hands the operations to the protocol.
func Register(s *wire.Service, a *API) {
	wire.Handle(s, a.GetCallerIdentity)
	wire.Handle(s, a.AssumeRole)
	wire.Handle(s, a.AssumeRoleWithWebIdentity)
	wire.Handle(s, a.AssumeRoleWithSAML)
	wire.Handle(s, a.GetSessionToken)
	wire.Handle(s, a.GetFederationToken)
	wire.Handle(s, a.GetWebIdentityToken)
	wire.Handle(s, a.GetAccessKeyInfo)
	wire.Handle(s, a.DecodeAuthorizationMessage)
}

// MapError turns errors of the domain into errors of the STS API (STS API
// Reference, the Errors of each operation, and "Common Errors").
func MapError(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	switch f.Code {
	case "MalformedPolicyDocument":
		return &types.MalformedPolicyDocumentException{Message: &f.Message}
	case "PackedPolicyTooLarge":
		return &types.PackedPolicyTooLargeException{Message: &f.Message}
	case "InvalidAuthorizationMessage":
		return &types.InvalidAuthorizationMessageException{Message: &f.Message}
	case "OutboundWebIdentityFederationDisabled":
		return &types.OutboundWebIdentityFederationDisabledException{Message: &f.Message}
	case "SessionDurationEscalation":
		return &types.SessionDurationEscalationException{Message: &f.Message}
	case "JWTPayloadSizeExceeded":
		return &types.JWTPayloadSizeExceededException{Message: &f.Message}
	case "InvalidIdentityToken":
		return &types.InvalidIdentityTokenException{Message: &f.Message}
	case "ExpiredWebIdentityToken":
		return &types.ExpiredTokenException{Message: &f.Message}
	case "IDPRejectedClaim":
		return &types.IDPRejectedClaimException{Message: &f.Message}
	case "IDPCommunicationError":
		return &types.IDPCommunicationErrorException{Message: &f.Message}
	}
	return queryerrors.Map(err)
}

// GetCallerIdentity says who calls.
func (a *API) GetCallerIdentity(ctx context.Context, _ *api.GetCallerIdentityInput) (*api.GetCallerIdentityOutput, error) {
	c, err := a.sts.CallerIdentity(ctx)
	if err != nil {
		return nil, err
	}
	return &api.GetCallerIdentityOutput{Account: &c.Account, Arn: &c.ARN, UserId: &c.UserID}, nil
}

// AssumeRole begins a session of a role.
func (a *API) AssumeRole(ctx context.Context, in *api.AssumeRoleInput) (*api.AssumeRoleOutput, error) {
	if err := noMFA(in.SerialNumber, in.TokenCode); err != nil {
		return nil, err
	}
	if len(in.ProvidedContexts) > 0 {
		return nil, fault.New(fault.Unimplemented, "InvalidParameterValue", "ProvidedContexts are not supported.")
	}
	s, err := a.sts.AssumeRole(ctx, sts.AssumeRole{
		RoleARN: *in.RoleArn, SessionName: *in.RoleSessionName,
		Seconds:  int(aws.ToInt32(in.DurationSeconds)),
		Policies: policiesIn(in.Policy, in.PolicyArns),
		Tags:     tagsIn(in.Tags), TransitiveTagKeys: in.TransitiveTagKeys,
		SourceIdentity: aws.ToString(in.SourceIdentity), ExternalID: aws.ToString(in.ExternalId),
	})
	if err != nil {
		return nil, err
	}
	out := &api.AssumeRoleOutput{
		AssumedRoleUser: &types.AssumedRoleUser{Arn: &s.ARN, AssumedRoleId: &s.UserID},
		Credentials:     credentialsOut(s),
		//lint:ignore SA1019 all clients but the newest read this one
		PackedPolicySize: packedSize(s),
	}
	if s.SourceIdentity != "" {
		out.SourceIdentity = &s.SourceIdentity
	}
	return out, nil
}

// GetSessionToken gives the caller temporary credentials.
func (a *API) GetSessionToken(ctx context.Context, in *api.GetSessionTokenInput) (*api.GetSessionTokenOutput, error) {
	if err := noMFA(in.SerialNumber, in.TokenCode); err != nil {
		return nil, err
	}
	s, err := a.sts.SessionToken(ctx, int(aws.ToInt32(in.DurationSeconds)))
	if err != nil {
		return nil, err
	}
	return &api.GetSessionTokenOutput{Credentials: credentialsOut(s)}, nil
}

// GetFederationToken gives temporary credentials for someone else.
func (a *API) GetFederationToken(ctx context.Context, in *api.GetFederationTokenInput) (*api.GetFederationTokenOutput, error) {
	s, err := a.sts.FederationToken(ctx, sts.FederationToken{
		Name: *in.Name, Seconds: int(aws.ToInt32(in.DurationSeconds)),
		Policies: policiesIn(in.Policy, in.PolicyArns), Tags: tagsIn(in.Tags),
	})
	if err != nil {
		return nil, err
	}
	return &api.GetFederationTokenOutput{
		Credentials:   credentialsOut(s),
		FederatedUser: &types.FederatedUser{Arn: &s.ARN, FederatedUserId: &s.UserID},
		//lint:ignore SA1019 all clients but the newest read this one
		PackedPolicySize: new(int32(s.PackedSize)), // AWS has it here even if it is 0
	}, nil
}

// GetAccessKeyInfo says which account an access key is of.
func (a *API) GetAccessKeyInfo(ctx context.Context, in *api.GetAccessKeyInfoInput) (*api.GetAccessKeyInfoOutput, error) {
	account, err := a.sts.AccessKeyAccount(ctx, *in.AccessKeyId)
	if err != nil {
		return nil, err
	}
	return &api.GetAccessKeyInfoOutput{Account: &account}, nil
}

// DecodeAuthorizationMessage opens what the message of a denial carries.
func (a *API) DecodeAuthorizationMessage(ctx context.Context, in *api.DecodeAuthorizationMessageInput) (*api.DecodeAuthorizationMessageOutput, error) {
	message, err := a.sts.DecodeAuthorizationMessage(ctx, *in.EncodedMessage)
	if err != nil {
		return nil, err
	}
	return &api.DecodeAuthorizationMessageOutput{DecodedMessage: &message}, nil
}

// noMFA refuses the code of an MFA device: no one has one, so none is right.
func noMFA(serial, code *string) error {
	if serial == nil && code == nil {
		return nil
	}
	return fault.New(fault.Denied, "AccessDenied", "MultiFactorAuthentication failed: this server has no MFA devices. Leave out SerialNumber and TokenCode.")
}

func credentialsOut(s sts.SessionCredentials) *types.Credentials {
	return &types.Credentials{AccessKeyId: &s.AccessKeyID, SecretAccessKey: &s.Secret, SessionToken: &s.Token, Expiration: &s.Expires}
}

func packedSize(s sts.SessionCredentials) *int32 {
	if s.PackedSize == 0 {
		return nil
	}
	return new(int32(s.PackedSize))
}

func policiesIn(document *string, arns []types.PolicyDescriptorType) sts.SessionPolicies {
	p := sts.SessionPolicies{Document: aws.ToString(document)}
	for _, a := range arns {
		p.ARNs = append(p.ARNs, aws.ToString(a.Arn))
	}
	return p
}

func tagsIn(tags []types.Tag) []iam.Tag {
	var out []iam.Tag
	for _, t := range tags {
		out = append(out, iam.Tag{Key: aws.ToString(t.Key), Value: aws.ToString(t.Value)})
	}
	return out
}
