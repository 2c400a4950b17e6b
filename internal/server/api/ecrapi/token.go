package ecrapi

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

const (
	// tokenLifetime begins with the call, whatever the lifetime of the credentials
	// that signed it (Amazon ECR API Reference, GetAuthorizationToken).
	tokenLifetime = 12 * time.Hour
	// tokenUser is the user name that belongs to the token as password.
	tokenUser = "AWS"
	// maxRegistryIDs is from ECR's model.
	maxRegistryIDs = 10
)

// GetAuthorizationToken issues a token that identifies the caller at every registry.
// registryIds, which AWS deprecated, does not restrict it: the answer has one entry
// for each id, with the address of that registry. Action ecr:GetAuthorizationToken on *.
func (a *API) GetAuthorizationToken(ctx context.Context, in *ecr.GetAuthorizationTokenInput) (*ecr.GetAuthorizationTokenOutput, error) {
	if err := a.c.Authz.Authorize(ctx, &authz.Request{Action: "ecr:GetAuthorizationToken", Resource: "*"}); err != nil {
		return nil, err
	}
	registries := []endpoint.Registry{registry(ctx, nil)}
	//lint:ignore SA1019 deprecated, and still sent: by the ECR credential helper, for one
	if ids := in.RegistryIds; ids != nil {
		var err error
		if registries, err = registriesOf(ctx, ids); err != nil {
			return nil, err
		}
	}
	claims := authn.FromContext(ctx).BearerClaims()
	claims.ID = token.NewID(token.BearerToken)
	claims.Issued = a.c.Now().UTC().Truncate(time.Second)
	claims.Expires = claims.Issued.Add(tokenLifetime)
	password, err := a.c.Tokens.Mint(token.ECR, claims)
	if err != nil {
		return nil, err
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(tokenUser + ":" + password))
	out := new(ecr.GetAuthorizationTokenOutput)
	for _, r := range registries {
		out.AuthorizationData = append(out.AuthorizationData, types.AuthorizationData{
			AuthorizationToken: &encoded,
			ExpiresAt:          &claims.Expires,
			ProxyEndpoint:      new(a.c.Addresses.RegistryURL(r)),
		})
	}
	return out, nil
}

func registriesOf(ctx context.Context, ids []string) ([]endpoint.Registry, error) {
	if len(ids) == 0 || len(ids) > maxRegistryIDs {
		return nil, invalidParameter("registryIds", "Member must have between 1 and 10 registry ids")
	}
	list := make([]endpoint.Registry, len(ids))
	for i := range ids {
		if !arn.IsAccountID(ids[i]) {
			return nil, invalidParameter("registryIds", "must satisfy regular expression '[0-9]{12}'")
		}
		list[i] = registry(ctx, &ids[i])
	}
	return list, nil
}
