// Package webidentity verifies the tokens of OpenID Connect issuers: that a token
// was signed by the issuer that it names, is for an audience that the provider
// accepts, and is valid now. The trust policy of a role, in package iam, decides
// what its subject may do.
//
// The keys of an issuer come from its discovery document and its JWKS. They are
// fetched through package egress and cached (keys.go). A token selects one of them
// by its kid only: keys and URLs in its own header (jwk, jku, x5c, x5u) are
// ignored. Only signatures of the RSA and ECDSA families are supported, so neither
// "none" nor a public key that is used as an HMAC secret can pass.
//
// The rules come from OpenID Connect Core 1.0 (3.1.3.7, ID Token Validation),
// Discovery 1.0, and STS's AssumeRoleWithWebIdentity. Faults have STS's error
// codes: InvalidIdentityToken, ExpiredWebIdentityToken, IDPRejectedClaim,
// IDPCommunicationError.
package webidentity

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/go-jose/go-jose/v4"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

const (
	// maxToken is the length of a token in bytes (STS API Reference,
	// AssumeRoleWithWebIdentity, WebIdentityToken).
	maxToken = 20_000
	// maxIssuers bounds how many issuers' keys are remembered.
	maxIssuers = 1024
)

// A Provider is what an account trusts: an issuer, and for whom its tokens must
// be meant.
type Provider struct {
	// Issuer is exactly the iss of its tokens: a URL.
	Issuer    string
	ClientIDs []string
}

// An Identity is what a token proves.
type Identity struct {
	Issuer, Subject string
	// Audience is the client id of the provider that the token is meant for.
	Audience string
	// Expires is when the token ceases to be good, without the tolerance for clocks.
	Expires time.Time
	// Digest is the SHA-256 of the signed claims. Two texts of one token have the same.
	Digest [sha256.Size]byte
	// Claims are the claims that are texts or lists of texts, for condition keys:
	// by name in lower case. The key aud follows AWS's rule: it is azp if the
	// token has one, and oaud then is aud (IAM User Guide, "Available keys for AWS
	// OIDC federation").
	Claims map[string][]string
	// Tags, TransitiveTagKeys and SourceIdentity are asked for by the claims below
	// https://aws.amazon.com/ (IAM User Guide, "Pass session tags in AWS STS").
	Tags              map[string]string
	TransitiveTagKeys []string
	SourceIdentity    string
}

// Config is what a [Verifier] is made of. Every field is required.
type Config struct {
	Upstream *egress.Guard
	Now      func() time.Time
}

// A Verifier proves tokens. It is safe for use by many goroutines.
type Verifier struct {
	upstream *egress.Guard
	now      func() time.Time
	issuers  *lru.Cache[string, *issuer]
}

// New returns a verifier, which knows no key yet.
func New(c Config) *Verifier {
	issuers, err := lru.New[string, *issuer](maxIssuers)
	if err != nil {
		panic(err) // only of a size that is not positive
	}
	return &Verifier{c.Upstream, c.Now, issuers}
}

// Verify proves a token of a provider that find returns for the token's issuer.
// Faults: InvalidIdentityToken, ExpiredWebIdentityToken, IDPRejectedClaim,
// IDPCommunicationError.
func (v *Verifier) Verify(ctx context.Context, token string, find func(issuer string) (Provider, bool)) (*Identity, error) {
	if len(token) > maxToken {
		return nil, invalidToken("The token is longer than %d characters.", maxToken)
	}
	jws, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		return nil, invalidToken("The token is not a JWT with one signature of the RS, PS or ES algorithms.")
	}
	// The issuer is believed only as far as to choose whose keys have to prove it.
	claimed, err := parseClaims(jws.UnsafePayloadWithoutVerification())
	if err != nil {
		return nil, err
	}
	iss, _ := claimed.text("iss")
	provider, ok := find(iss)
	if !ok || iss == "" || provider.Issuer != iss {
		return nil, invalidToken("No OpenIDConnect provider found in your account for %s", shorten(iss))
	}
	payload, err := v.signed(ctx, iss, jws)
	if err != nil {
		return nil, err
	}
	proven, err := parseClaims(payload)
	if err != nil {
		return nil, err
	}
	id, err := proven.identity(provider, v.now())
	if err != nil {
		return nil, err
	}
	id.Digest = sha256.Sum256(payload)
	return id, nil
}

// signed returns the payload of a token that the issuer signed.
func (v *Verifier) signed(ctx context.Context, iss string, jws *jose.JSONWebSignature) ([]byte, error) {
	header := jws.Signatures[0].Protected
	keys, err := v.keys(ctx, iss, header)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, invalidToken("Couldn't retrieve verification key from your identity provider: %s has no key for the token's kid and alg.", iss)
	}
	for _, k := range keys {
		if payload, err := jws.Verify(k.Key); err == nil {
			return payload, nil
		}
	}
	return nil, invalidToken("The token's signature is not of %s.", iss)
}

func invalidToken(format string, args ...any) error {
	return fault.New(fault.Invalid, "InvalidIdentityToken", format, args...)
}

func rejected(format string, args ...any) error {
	return fault.New(fault.Denied, "IDPRejectedClaim", format, args...)
}

// shorten shortens text of a token that is shown in the message of an error.
func shorten(s string) string { return truncate.String(s, 255) }
