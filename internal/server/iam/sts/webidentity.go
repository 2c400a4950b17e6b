package sts

import (
	"context"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/webidentity"
)

// An AssumeRoleWithWebIdentity asks for a session of a role with nothing but a
// token of an OIDC provider of the role's account. Tags and source identity are
// for the token to say.
type AssumeRoleWithWebIdentity struct {
	RoleARN, SessionName, Token string
	// Seconds is how long; 0 is an hour.
	Seconds  int
	Policies SessionPolicies
}

// A WebIdentitySession is a session that a web identity began.
type WebIdentitySession struct {
	SessionCredentials
	Subject, Audience string
	// Provider is the ARN of the OIDC provider.
	Provider string
}

// AssumeRoleWithWebIdentity begins a session of a role that trusts the subject of
// the token. The caller in the context need not be anybody; their connection
// counts, for conditions. Faults: AccessDenied (no such role as well),
// InvalidIdentityToken, ExpiredWebIdentityToken, IDPRejectedClaim,
// IDPCommunicationError, ValidationError, MalformedPolicyDocument,
// PackedPolicyTooLarge.
func (s *Service) AssumeRoleWithWebIdentity(ctx context.Context, in AssumeRoleWithWebIdentity) (WebIdentitySession, error) {
	var none WebIdentitySession
	connection := authn.FromContext(ctx)
	if connection == nil {
		return none, errAnonymous()
	}
	assume := AssumeRole{RoleARN: in.RoleARN, SessionName: in.SessionName, Seconds: in.Seconds, Policies: in.Policies}
	if err := assume.check(); err != nil {
		return none, err
	}
	role, _ := arn.Parse(in.RoleARN) // was checked
	var provider *iam.OIDCProvider
	id, err := s.core.WebIdentities().Verify(ctx, in.Token, func(issuer string) (webidentity.Provider, bool) {
		provider = s.core.Snapshot().OIDCProvider(role.AccountID, webidentity.Name(issuer))
		if provider == nil {
			return webidentity.Provider{}, false
		}
		return webidentity.Provider{Issuer: provider.Issuer, ClientIDs: provider.ClientIDs}, true
	})
	if err != nil {
		return none, err
	}
	c := webCaller(connection, provider.ARN(), id)
	assume.SourceIdentity = id.SourceIdentity
	for key, value := range id.Tags {
		assume.Tags = append(assume.Tags, iam.Tag{Key: key, Value: value})
	}
	assume.TransitiveTagKeys = id.TransitiveTagKeys
	record, err := s.assumedRecord(c, assume)
	if err != nil { // it is the token that asks for this
		return none, fault.New(fault.Denied, "IDPRejectedClaim", "The token's claims cannot be taken over into the session: %s", fault.From(err).Message)
	}
	record.Federation = &iam.SessionFederation{Provider: c.Federation.Provider, Keys: sessionKeys(c.Federation, id.Issuer)}
	credentials, err := s.assume(authn.WithCaller(ctx, c), c, "sts:AssumeRoleWithWebIdentity", assume, record)
	if err != nil {
		return none, err
	}
	return WebIdentitySession{credentials, id.Subject, id.Audience, provider.ARN()}, nil
}

// webCaller is the web identity as the caller of the request.
func webCaller(connection *authn.Caller, providerARN string, id *webidentity.Identity) *authn.Caller {
	f := &authn.Federation{Provider: providerARN, Keys: make(map[string][]string, len(id.Claims))}
	for claim, values := range id.Claims {
		f.Keys[federationKey(id.Issuer, claim)] = values
	}
	c := *connection
	c.Token = nil
	c.Principal = &authn.Principal{
		Type: authn.WebIdentity, Federation: f,
		// Not an ARN, since a subject has none; it says in messages and records who
		// it was, and CloudTrail's principalId is the same with the audience.
		ARN:    providerARN + ":" + id.Subject,
		UserID: providerARN + ":" + id.Audience + ":" + id.Subject,
	}
	return &c
}

// federationKey is the condition key of a claim.
func federationKey(issuer, claim string) string {
	return strings.ToLower(webidentity.Name(issuer) + ":" + claim)
}

// sessionKeys are the condition keys that policies can ask for throughout the
// session (IAM User Guide, "Available keys for AWS OIDC federation").
func sessionKeys(f *authn.Federation, issuer string) map[string][]string {
	keys := map[string][]string{}
	for _, claim := range []string{"sub", "aud", "amr"} {
		key := federationKey(issuer, claim)
		if values, ok := f.Keys[key]; ok {
			keys[key] = values
		}
	}
	return keys
}
