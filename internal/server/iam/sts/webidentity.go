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
	proof, err := s.prove(ctx, connection, role.AccountID, in.Token)
	if err != nil {
		return none, err
	}
	record, err := s.federatedRecord(proof, &assume)
	if err != nil {
		return none, err
	}
	credentials, err := s.assume(authn.WithCaller(ctx, proof.caller), proof.caller, assumeWithWebIdentity, assume, record)
	if err != nil {
		return none, err
	}
	return WebIdentitySession{credentials, proof.identity.Subject, proof.identity.Audience, proof.caller.Federation.Provider}, nil
}

const assumeWithWebIdentity = "sts:AssumeRoleWithWebIdentity"

// A webIdentityProof is what a token of a provider proved.
type webIdentityProof struct {
	identity *webidentity.Identity
	caller   *authn.Caller // the web identity on the connection
}

// prove verifies a token of one of the account's providers.
func (s *Service) prove(ctx context.Context, connection *authn.Caller, account, token string) (webIdentityProof, error) {
	var provider *iam.OIDCProvider
	id, err := s.core.WebIdentities().Verify(ctx, token, func(issuer string) (webidentity.Provider, bool) {
		// A session could begin anew without what it must keep otherwise: its end, its
		// source identity, its transitive tags (as on AWS: IAM User Guide, "Getting
		// started with outbound identity federation").
		if own := s.core.IssuerBase(); own != "" && strings.HasPrefix(issuer, own) {
			return webidentity.Provider{}, false
		}
		provider = s.core.Snapshot().OIDCProvider(account, webidentity.Name(issuer))
		if provider == nil {
			return webidentity.Provider{}, false
		}
		return webidentity.Provider{Issuer: provider.Issuer, ClientIDs: provider.ClientIDs}, true
	})
	if err != nil {
		return webIdentityProof{}, err
	}
	return webIdentityProof{id, webCaller(connection, provider.ARN(), id)}, nil
}

// federatedRecord is what the session of a web identity carries. It adds to assume what
// the token asks for.
func (s *Service) federatedRecord(p webIdentityProof, assume *AssumeRole) (iam.SessionRecord, error) {
	assume.SourceIdentity, assume.Tags = p.identity.SourceIdentity, nil
	for key, value := range p.identity.Tags {
		assume.Tags = append(assume.Tags, iam.Tag{Key: key, Value: value})
	}
	assume.TransitiveTagKeys = p.identity.TransitiveTagKeys
	record, err := s.assumedRecord(p.caller, *assume)
	if err != nil { // it is the token that asks for this
		return record, fault.New(fault.Denied, "IDPRejectedClaim", "The token's claims cannot be taken over into the session: %s", fault.From(err).Message)
	}
	record.Federation = &iam.SessionFederation{Provider: p.caller.Federation.Provider, Keys: sessionKeys(p.caller.Federation, p.identity.Issuer)}
	return record, nil
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
