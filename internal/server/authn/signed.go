package authn

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/aws/sigv4"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// The global region is what clients sign for if a service has no region (IAM and
// the global endpoint of STS), whatever region they are set to. The SDK for Java
// signs for its pseudo region as it is if it is given an endpoint
// (Region.AWS_GLOBAL).
const (
	globalRegion       = "us-east-1"
	pseudoGlobalRegion = "aws-global"
)

// isGlobal reports whether a signature for the region is good for the service
// whatever regions the server has.
func isGlobal(service, region string) bool {
	return (service == "iam" || service == "sts") && (region == globalRegion || region == pseudoGlobalRegion)
}

// Signed returns the caller who signed a request for the service with a
// long-term key AKIA…, or with temporary credentials ASIA… and their session
// token. body is the whole body; if it is nil the body is still to be read,
// and r.Body verifies it on the way: it ends with a fault SignatureDoesNotMatch
// instead of io.EOF if it is not the one that was signed.
//
// Errors are faults: MissingAuthenticationToken, IncompleteSignature,
// InvalidClientTokenId (no such key, or not any more), SignatureDoesNotMatch
// (which another service, region or day is as well), RequestExpired (the clocks
// differ), ExpiredToken; ServiceUnavailable, as [Directory] has it. An unknown key
// takes as long as a wrong signature.
func (a *Authenticator) Signed(r *http.Request, service string, body []byte) (*Caller, error) {
	if err := a.directory.Ready(); err != nil {
		return nil, err
	}
	s := new(struct {
		caller    Caller
		principal Principal
	})
	now := a.now()
	s.caller.connection(r, now)
	credential, err := a.verifier.Verify(r, s.caller.channel(r.Header), service, body, a.lookup(r, service, &s.principal))
	if err != nil {
		return nil, signatureFault(err)
	}
	if body == nil {
		r.Body = faultBody{r.Body}
	}
	if credential.Region == pseudoGlobalRegion {
		credential.Region = globalRegion // what aws:RequestedRegion is for a global service
	}
	switch {
	case credential.SessionToken == "":
		a.directory.Used(credential.AccessKeyID, now, service, credential.Region)
	case s.principal.Type != Root:
		a.directory.Used(s.principal.UniqueID, now, service, credential.Region)
	}
	s.caller.Principal, s.caller.Region = &s.principal, credential.Region
	return &s.caller, nil
}

// PrecheckSigned reports whether a request can be one that Signed accepts, as far as can
// be told before its body is read: the signature has its form, is of now, and is
// said to be by a key that exists. It returns the same errors as Signed.
func (a *Authenticator) PrecheckSigned(r *http.Request, service string) error {
	if err := a.directory.Ready(); err != nil {
		return err
	}
	var c Caller
	c.connection(r, a.now())
	return signatureFault(a.verifier.Precheck(r, c.channel(r.Header), service, a.lookup(r, service, new(Principal))))
}

// lookup finds the secret of a credential, and makes p its principal.
func (a *Authenticator) lookup(r *http.Request, service string, p *Principal) sigv4.Lookup {
	return func(c *sigv4.Credential) (string, error) {
		if !a.serves(c.Region) && !isGlobal(service, c.Region) {
			return "", fault.New(fault.Unauthenticated, "SignatureDoesNotMatch", "The signature is for the region %q, which this server does not have. Use another region, or add it to the setting regions of the server.", c.Region)
		}
		return a.signer(r, c, p)
	}
}

// signer makes p the principal whose credential it is, and returns the secret
// that has to have signed.
func (a *Authenticator) signer(r *http.Request, c *sigv4.Credential, p *Principal) (string, error) {
	if c.SessionToken != "" {
		return a.temporary(r, c, p)
	}
	if strings.HasPrefix(c.AccessKeyID, string(token.TemporaryKey)) {
		return "", unknownKey() // useless without its session token
	}
	account, uniqueID, ok := a.directory.KeyOwner(c.AccessKeyID)
	if !ok {
		return "", unknownKey()
	}
	identity := a.directory.Identity(account, uniqueID)
	secret, ok := a.directory.Secret(c.AccessKeyID)
	if identity == nil || !ok {
		return "", unknownKey()
	}
	*p = *identity
	p.AccessKeyID = c.AccessKeyID
	return secret, nil
}

// temporary is signer for temporary credentials.
func (a *Authenticator) temporary(r *http.Request, c *sigv4.Credential, p *Principal) (string, error) {
	claims, secret, err := a.keyring.OpenSession(c.SessionToken)
	if fault.Is(err, "ExpiredToken") {
		return "", err
	}
	if err != nil || claims.ID != c.AccessKeyID {
		return "", unknownKey()
	}
	if err := a.identify(r.Context(), p, &claims); err != nil {
		if fault.Is(err, "InvalidToken") {
			return "", unknownKey()
		}
		return "", err
	}
	if p.Type != AssumedRole {
		p.IssuerKeyID = claims.AccessKeyID
	}
	p.AccessKeyID = c.AccessKeyID
	p.IssuedAt, p.ExpiresAt = claims.Issued, claims.Expires
	return secret, nil
}

// Session returns the caller of a request to whom the server itself has just given
// temporary credentials: the session that the token describes, for the region. The errors
// are the faults of Signed.
func (a *Authenticator) Session(r *http.Request, sessionToken, region string) (*Caller, error) {
	claims, _, err := a.keyring.OpenSession(sessionToken)
	if err != nil {
		return nil, err
	}
	c := &Caller{Principal: new(Principal), Region: region}
	if _, err := a.temporary(r, &sigv4.Credential{AccessKeyID: claims.ID, SessionToken: sessionToken}, c.Principal); err != nil {
		return nil, err
	}
	c.connection(r, a.now())
	if c.Type == AssumedRole {
		a.directory.Used(c.UniqueID, c.Time, "codeartifact", region)
	}
	return c, nil
}

// unknownKey is the same answer for a key that does not exist, is inactive or was
// revoked, and for a session token that does not belong to its key.
func unknownKey() error {
	return fault.New(fault.Unauthenticated, "InvalidClientTokenId", "The security token included in the request is invalid.")
}

// signatureFault turns the errors of package sigv4 into the domain's.
func signatureFault(err error) error {
	var e *sigv4.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Reason {
	case sigv4.Missing:
		return fault.New(fault.Unauthenticated, "MissingAuthenticationToken", "%s", e.Message)
	case sigv4.Skewed:
		return fault.New(fault.Expired, "RequestExpired", "%s", e.Message)
	case sigv4.Scope, sigv4.SignatureMismatch, sigv4.BodyMismatch:
		return fault.New(fault.Unauthenticated, "SignatureDoesNotMatch", "%s", e.Message)
	default:
		return fault.New(fault.Invalid, "IncompleteSignature", "%s", e.Message)
	}
}

// faultBody is a body whose errors are the domain's.
type faultBody struct{ io.ReadCloser }

func (b faultBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = signatureFault(err)
	}
	return n, err
}
