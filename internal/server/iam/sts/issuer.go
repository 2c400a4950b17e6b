package sts

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/resourcetags"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

const (
	// The lifetime of web identity tokens, in seconds, and how many audiences they have
	// (STS API Reference, GetWebIdentityToken).
	minWebIdentityToken     = 60
	maxWebIdentityToken     = 3600
	defaultWebIdentityToken = 300
	maxAudiences            = 10
	maxAudience             = 1000
	// maxPayload bounds the claims of a token in bytes: AssumeRoleWithWebIdentity accepts
	// tokens of 20,000 characters.
	maxPayload = 14_000
	// awsClaims is the claim that has what AWS adds to OpenID Connect (IAM User Guide,
	// "Understanding token claims").
	awsClaims = "https://sts.amazonaws.com/"
)

// A WebIdentityToken asks for a token with which the caller proves to others who they are.
type WebIdentityToken struct {
	Audience  []string
	Algorithm string
	// Seconds is how long the token is good; 0 is five minutes.
	Seconds int
	Tags    []iam.Tag
}

// WebIdentityToken returns a token of the caller's account as an OpenID Connect issuer, and
// when it expires. Its subject is the ARN of the user, or of the role of a session. Faults:
// AccessDenied, OutboundWebIdentityFederationDisabled, SessionDurationEscalation,
// JWTPayloadSizeExceeded, ValidationError.
func (s *Service) WebIdentityToken(ctx context.Context, in WebIdentityToken) (signed string, expires time.Time, err error) {
	c, err := caller(ctx)
	if err != nil {
		return "", expires, err
	}
	seconds := cmp.Or(in.Seconds, defaultWebIdentityToken)
	if err := s.authorizeWebIdentityToken(ctx, in, seconds); err != nil {
		return "", expires, err
	}
	if err := in.check(seconds); err != nil {
		return "", expires, err
	}
	tags, err := mergeTags(in.Tags)
	if err != nil {
		return "", expires, err
	}
	if !s.core.Snapshot().Issues(c.Account) {
		return "", expires, fault.New(fault.Denied, "OutboundWebIdentityFederationDisabled", "Outbound web identity federation is not enabled for the account: call iam:EnableOutboundWebIdentityFederation.")
	}
	now := s.core.Second()
	expires = now.Add(time.Duration(seconds) * time.Second)
	if c.Temporary() && expires.After(c.ExpiresAt) {
		return "", expires, fault.New(fault.Denied, "SessionDurationEscalation", "The token would be good until %s, but the session ends at %s. Ask for a shorter time.", expires.Format(time.RFC3339), c.ExpiresAt.UTC().Format(time.RFC3339))
	}
	payload, err := json.Marshal(s.webIdentityClaims(c, in, tags, now, expires))
	if err != nil {
		return "", expires, err
	}
	if len(payload) > maxPayload {
		return "", expires, fault.New(fault.Invalid, "JWTPayloadSizeExceeded", "The claims of the token have %d bytes, and at most %d are possible. Ask for fewer tags and audiences.", len(payload), maxPayload)
	}
	signed, err = s.signWebIdentity(in.Algorithm, payload)
	return signed, expires, err
}

// check checks the request's values.
func (in *WebIdentityToken) check(seconds int) error {
	if in.Algorithm != token.RS256 && in.Algorithm != token.ES384 {
		return invalid("SigningAlgorithm must be %s or %s.", token.RS256, token.ES384)
	}
	if seconds < minWebIdentityToken || seconds > maxWebIdentityToken {
		return invalid("DurationSeconds must be between %d and %d.", minWebIdentityToken, maxWebIdentityToken)
	}
	if len(in.Audience) == 0 || len(in.Audience) > maxAudiences {
		return invalid("Audience must have 1 to %d values.", maxAudiences)
	}
	for _, a := range in.Audience {
		if a == "" || len(a) > maxAudience {
			return invalid("An audience must have 1 to %d characters.", maxAudience)
		}
	}
	return nil
}

func (s *Service) authorizeWebIdentityToken(ctx context.Context, in WebIdentityToken, seconds int) error {
	actions := []string{"sts:GetWebIdentityToken"}
	if len(in.Tags) > 0 {
		actions = append(actions, "sts:TagGetWebIdentityToken")
	}
	for _, action := range actions {
		err := s.core.Authorize(ctx, &authz.Request{
			Action: action, Resource: "*", RequestTags: resourcetags.Map(in.Tags),
			Keys: map[string][]string{
				"sts:IdentityTokenAudience": in.Audience,
				"sts:DurationSeconds":       {strconv.Itoa(seconds)},
				"sts:SigningAlgorithm":      {in.Algorithm},
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// webIdentityClaims are the claims of a token. AWS's are in an object of their own.
func (s *Service) webIdentityClaims(c *authn.Caller, in WebIdentityToken, tags []iam.Tag, issued, expires time.Time) map[string]any {
	own := map[string]any{"aws_account": c.Account, "source_region": c.Region, "principal_id": c.PrincipalARN}
	if len(c.Tags) > 0 {
		own["principal_tags"] = c.Tags
	}
	if len(tags) > 0 {
		own["request_tags"] = resourcetags.Map(tags)
	}
	if c.Temporary() {
		own["original_session_exp"] = c.ExpiresAt.UTC().Format(time.RFC3339)
	}
	if c.Federation != nil {
		own["federated_provider"] = c.Federation.Provider
	}
	claims := map[string]any{
		"iss": s.core.Issuer(c.Account), "sub": c.PrincipalARN, "aud": in.Audience,
		"iat": issued.Unix(), "exp": expires.Unix(), "jti": rand.Text(),
		awsClaims: own,
	}
	if len(in.Audience) == 1 {
		claims["aud"] = in.Audience[0]
	}
	return claims
}

func (s *Service) signWebIdentity(algorithm string, payload []byte) (string, error) {
	key, err := s.core.Keyring().IssuerKey(algorithm)
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.SignatureAlgorithm(algorithm), Key: jose.JSONWebKey{Key: key.Signer, KeyID: key.ID}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}

// An IssuerDocument is the discovery document of an account as an OpenID Connect issuer
// (OpenID Connect Discovery 1.0, 3).
type IssuerDocument struct {
	Issuer        string   `json:"issuer"`
	JWKS          string   `json:"jwks_uri"`
	ResponseTypes []string `json:"response_types_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	Claims        []string `json:"claims_supported"`
}

// IssuerDocument returns the discovery document of an account. It is public. Fault
// NotFound: the account is not an issuer.
func (s *Service) IssuerDocument(account string) (IssuerDocument, error) {
	if !s.core.Snapshot().Issues(account) || s.core.Issuer(account) == "" {
		return IssuerDocument{}, errNoIssuer()
	}
	issuer := s.core.Issuer(account)
	return IssuerDocument{
		Issuer: issuer, JWKS: issuer + "/.well-known/jwks.json",
		ResponseTypes: []string{"id_token"}, SubjectTypes: []string{"public"},
		Algorithms: []string{token.RS256, token.ES384},
		Claims:     []string{"aud", "exp", "iat", "iss", "jti", "sub", awsClaims},
	}, nil
}

// IssuerKeys returns the JWKS of an account (RFC 7517, 5). All accounts have the same keys:
// a token is of the account in its iss. It is public. Fault NotFound: the account is not an
// issuer.
func (s *Service) IssuerKeys(account string) (jose.JSONWebKeySet, error) {
	var set jose.JSONWebKeySet
	if !s.core.Snapshot().Issues(account) {
		return set, errNoIssuer()
	}
	keys, err := s.core.Keyring().IssuerKeys()
	for _, k := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Signer.Public(), KeyID: k.ID, Algorithm: k.Algorithm, Use: "sig"})
	}
	return set, err
}

func errNoIssuer() error {
	return fault.New(fault.NotFound, "NoSuchIssuer", "There is no OpenID Connect issuer at this address.")
}
