package codeartifactapi

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// The bounds of a token's lifetime (CodeArtifact API Reference,
// GetAuthorizationToken). The default is the longest.
const (
	shortest = 15 * time.Minute
	longest  = 12 * time.Hour
)

// GetAuthorizationToken issues a token for the repositories of one domain. The
// caller needs codeartifact:GetAuthorizationToken on the domain and
// sts:GetServiceBearerToken, and must not be the account's root.
func (a *API) GetAuthorizationToken(ctx context.Context, in *codeartifact.GetAuthorizationTokenInput) (*codeartifact.GetAuthorizationTokenOutput, error) {
	c := authn.FromContext(ctx)
	if c == nil {
		return nil, fault.New(fault.Denied, "AccessDenied", "The request is not authenticated.")
	}
	now := a.now().Truncate(time.Second)
	expires, err := expiry(c, in.DurationSeconds, now)
	if err != nil {
		return nil, err
	}
	id := domainID(ctx, in.Domain, in.DomainOwner)
	if err := a.packages.AuthorizeToken(ctx, id, expires.Sub(now)); err != nil {
		return nil, err
	}
	claims := c.BearerClaims()
	claims.ID = token.NewID(token.BearerToken)
	claims.Issued, claims.Expires = now, expires
	claims.Region, claims.Domain, claims.DomainOwner = id.Region, id.Name, id.Owner
	t, err := a.tokens.Mint(token.CodeArtifact, claims)
	if err != nil {
		return nil, err
	}
	return &codeartifact.GetAuthorizationTokenOutput{AuthorizationToken: &t, Expiration: &expires}, nil
}

// expiry returns the end of a token that is issued now. A duration of 0 means the end
// of the caller's temporary credentials, but at most the longest lifetime. A caller
// with a long-term key gets the default then. Any other duration counts from now, even
// if the session ends before.
func expiry(c *authn.Caller, duration *int64, now time.Time) (time.Time, error) {
	end := now.Add(longest)
	if duration == nil {
		return end, nil
	}
	if *duration == 0 {
		if c.Temporary() && c.ExpiresAt.Before(end) {
			return c.ExpiresAt.Truncate(time.Second), nil
		}
		return end, nil
	}
	// The comparison is in seconds because a large number would overflow a Duration.
	if *duration < int64(shortest/time.Second) || *duration > int64(longest/time.Second) {
		return end, fault.New(fault.Invalid, "Validation", "durationSeconds is %d; it must be 0, or from %d to %d.",
			*duration, int64(shortest/time.Second), int64(longest/time.Second))
	}
	return now.Add(time.Duration(*duration) * time.Second), nil
}
