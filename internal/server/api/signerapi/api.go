// Package signerapi is the handler of the AWS Signer API: the operations on signing profiles
// that the managed signing of ECR needs. Each operation is one method of [API] with the
// signature of the SDK's client. The rules and the authorization are in package signing. Other
// operations, such as those of signing jobs, answer NotImplementedException.
//
// This package must not import another handler, or a database.
package signerapi

import (
	"cmp"
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/signer"
	"github.com/aws/aws-sdk-go-v2/service/signer/types"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/jsonerrors"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/signing"
)

// Config has what an [API] needs.
type Config struct{ Signing *signing.Service }

// An API is the operations.
type API struct{ c Config }

// New returns the API.
func New(c Config) *API { return &API{c} }

// Register adds the operations of a to s.
func Register(s *wire.Service, a *API) {
	wire.Handle(s, a.PutSigningProfile)
	wire.Handle(s, a.GetSigningProfile)
	wire.Handle(s, a.ListSigningProfiles)
	wire.Handle(s, a.CancelSigningProfile)
}

// profile names a profile of the caller's account, or of another one.
func profile(ctx context.Context, name, owner *string) (id signing.ProfileID) {
	id.Name = optional.Value(name)
	if c := authn.FromContext(ctx); c != nil {
		id.Account, id.Region = c.Account, c.Region
	}
	if owner != nil {
		id.Account = *owner
	}
	return id
}

func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, "Validation", format, args...)
}

// PutSigningProfile creates a profile, or gives one a new version.
func (a *API) PutSigningProfile(ctx context.Context, in *signer.PutSigningProfileInput) (*signer.PutSigningProfileOutput, error) {
	id := profile(ctx, in.ProfileName, nil)
	switch {
	case optional.Value(in.PlatformId) != signing.Platform:
		return nil, invalid("The platform %q is not supported. Use %s.", optional.Value(in.PlatformId), signing.Platform)
	case in.SigningMaterial != nil || in.Overrides != nil || len(in.SigningParameters) > 0:
		return nil, invalid("The platform %s takes no signingMaterial, overrides or signingParameters.", signing.Platform)
	}
	var v signing.Validity
	if p := in.SignatureValidityPeriod; p != nil {
		v = signing.Validity{Value: int64(p.Value), Unit: string(p.Type)}
	}
	p, err := a.c.Signing.Put(ctx, id, v, in.Tags)
	if err != nil {
		return nil, err
	}
	return &signer.PutSigningProfileOutput{Arn: new(p.ARN()), ProfileVersion: &p.Version, ProfileVersionArn: new(p.VersionARN())}, nil
}

// GetSigningProfile returns a profile.
func (a *API) GetSigningProfile(ctx context.Context, in *signer.GetSigningProfileInput) (*signer.GetSigningProfileOutput, error) {
	p, err := a.c.Signing.Get(ctx, profile(ctx, in.ProfileName, in.ProfileOwner))
	if err != nil {
		return nil, err
	}
	return &signer.GetSigningProfileOutput{
		Arn: new(p.ARN()), PlatformId: new(signing.Platform), PlatformDisplayName: new(signing.PlatformName), ProfileName: &p.Name,
		ProfileVersion: &p.Version, ProfileVersionArn: new(p.VersionARN()), SignatureValidityPeriod: validity(p), Status: types.SigningProfileStatus(p.Status), Tags: p.Tags,
	}, nil
}

func validity(p *signing.Profile) *types.SignatureValidityPeriod {
	return &types.SignatureValidityPeriod{Type: types.ValidityType(p.Validity.Unit), Value: int32(p.Validity.Value)}
}

// defaultPage is the length of a page if the request does not say it.
const defaultPage = 25

// ListSigningProfiles lists the profiles of the caller's account.
func (a *API) ListSigningProfiles(ctx context.Context, in *signer.ListSigningProfilesInput) (*signer.ListSigningProfilesOutput, error) {
	id := profile(ctx, nil, nil)
	statuses := []string{signing.Active}
	if in.IncludeCanceled {
		statuses = append(statuses, signing.Canceled)
	}
	if in.Statuses != nil {
		statuses = nil
		for _, s := range in.Statuses {
			statuses = append(statuses, string(s))
		}
	}
	out := &signer.ListSigningProfilesOutput{Profiles: []types.SigningProfile{}}
	page := pagetoken.NewScope("ListSigningProfiles", append([]string{id.Account, id.Region}, statuses...)...)
	cursor, err := page.Cursor(in.NextToken, 1)
	if err != nil {
		return nil, invalid("The next token is not one that this operation returned for the same parameters.")
	}
	list, more, err := a.c.Signing.List(ctx, id.Account, id.Region, cursor[0], statuses, int(cmp.Or(optional.Value(in.MaxResults), defaultPage)))
	if err != nil {
		return nil, err
	}
	if in.PlatformId != nil && *in.PlatformId != signing.Platform {
		return out, nil
	}
	for _, p := range list {
		out.Profiles = append(out.Profiles, types.SigningProfile{
			Arn: new(p.ARN()), PlatformId: new(signing.Platform), PlatformDisplayName: new(signing.PlatformName), ProfileName: &p.Name,
			ProfileVersion: &p.Version, ProfileVersionArn: new(p.VersionARN()), SignatureValidityPeriod: validity(p), Status: types.SigningProfileStatus(p.Status), Tags: p.Tags,
		})
	}
	if more {
		out.NextToken = page.Next(true, list[len(list)-1].Name)
	}
	return out, nil
}

// CancelSigningProfile makes a profile sign nothing any more.
func (a *API) CancelSigningProfile(ctx context.Context, in *signer.CancelSigningProfileInput) (*signer.CancelSigningProfileOutput, error) {
	if err := a.c.Signing.Cancel(ctx, profile(ctx, in.ProfileName, nil)); err != nil {
		return nil, err
	}
	return new(signer.CancelSigningProfileOutput), nil
}

// MapError turns any error into what a client of Signer gets.
func MapError(err error) error {
	if invalid, ok := errors.AsType[*wire.ValidationError](err); ok {
		return &types.ValidationException{Message: new(invalid.Error())}
	}
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		if wire.Known(err) {
			return err
		}
		f = fault.From(err)
	}
	if f.Code == "ResourceNotFound" {
		return &types.ResourceNotFoundException{Message: &f.Message}
	}
	if f.Kind == fault.Denied {
		return &types.AccessDeniedException{Message: &f.Message}
	}
	if common := jsonerrors.Common(f); common != nil {
		return common
	}
	switch f.Kind {
	case fault.Invalid, fault.NotFound, fault.Conflict, fault.TooLarge, fault.Limit:
		return &types.ValidationException{Message: &f.Message}
	}
	return &types.InternalServiceErrorException{Message: &f.Message}
}
