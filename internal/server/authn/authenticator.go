package authn

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/aws/sigv4"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// Config is what an [Authenticator] is made of. Every field but UnsignedTarget
// is required.
type Config struct {
	Directory Directory
	Keyring   *token.Keyring
	// Serves reports whether a region is one of the server's.
	Serves func(region string) bool
	Now    func() time.Time
	// UnsignedTarget says when X-Amz-Target need not be signed.
	UnsignedTarget sigv4.UnsignedTarget
}

// A BearerAuthenticator proves who sent a bearer token. The registry and the
// package handlers take this interface; it is an [Authenticator].
type BearerAuthenticator interface {
	Bearer(r *http.Request, purpose token.Purpose) (*Caller, error)
}

// A SignatureAuthenticator proves who signed a request. The AWS API takes this
// interface; it is an [Authenticator].
type SignatureAuthenticator interface {
	Signed(r *http.Request, service string, body []byte) (*Caller, error)
	PrecheckSigned(r *http.Request, service string) error
	Unsigned(r *http.Request) (*Caller, error)
}

// An Authenticator proves who makes a request. It is safe for use by many
// goroutines.
type Authenticator struct {
	directory Directory
	keyring   *token.Keyring
	serves    func(region string) bool
	now       func() time.Time
	verifier  *sigv4.Verifier
}

// New returns an authenticator.
func New(c Config) *Authenticator {
	// Which regions count depends on the service: see Signed.
	return &Authenticator{c.Directory, c.Keyring, c.Serves, c.Now, sigv4.New(sigv4.Config{Now: c.Now, UnsignedTarget: c.UnsignedTarget})}
}

// identify makes p the principal that the claims are about: the identity as it
// is now, in the session that the claims describe. The claims come either
// from temporary credentials or from a bearer token. The errors are faults
// InvalidToken: what the claims rest on was taken away.
func (a *Authenticator) identify(ctx context.Context, p *Principal, claims *token.Claims) error {
	identity := a.directory.Identity(claims.Account, claims.PrincipalID)
	if identity == nil {
		return closed("the identity that it was issued to does not exist any more")
	}
	*p = *identity
	p.AccessKeyID, p.SessionID = claims.AccessKeyID, claims.SessionID
	switch {
	case identity.Type == AssumedRole:
		nameRoleSession(p, claims.SessionName)
	case !a.keyOf(claims.AccessKeyID, identity):
		return closed("the access key that it was obtained with was deleted or deactivated")
	case claims.SessionName != "":
		nameFederatedUser(p, claims.SessionName)
	}
	if claims.SessionID == "" {
		return nil
	}
	session, err := a.directory.Session(ctx, claims.SessionID)
	if err != nil {
		return err
	}
	p.SessionPolicies = session.Policies
	p.SourceIdentity = session.SourceIdentity
	p.Federation = session.Federation
	p.TransitiveTagKeys = session.TransitiveTagKeys
	p.Tags = mergedTags(p.Tags, session.Tags)
	return nil
}

// keyOf reports whether a long-term key is active and the identity's.
func (a *Authenticator) keyOf(accessKeyID string, identity *Principal) bool {
	account, uniqueID, ok := a.directory.KeyOwner(accessKeyID)
	return ok && account == identity.Account && uniqueID == identity.UniqueID
}

func nameRoleSession(p *Principal, session string) {
	// The name is what comes after the path: arn:aws:iam::ACCOUNT:role/PATH/NAME.
	role := p.PrincipalARN[strings.LastIndexByte(p.PrincipalARN, '/')+1:]
	p.ARN = "arn:" + arn.Partition + ":sts::" + p.Account + ":assumed-role/" + role + "/" + session
	p.UserID = p.UniqueID + ":" + session
	p.SessionName = session
}

func nameFederatedUser(p *Principal, name string) {
	p.Type = FederatedUser
	p.ARN = "arn:" + arn.Partition + ":sts::" + p.Account + ":federated-user/" + name
	p.PrincipalARN = p.ARN
	p.UserID = p.Account + ":" + name
	p.Name, p.SessionName = "", name
	// A federated user has the session's tags alone (IAM User Guide, "Pass
	// session tags in AWS STS"), and may do nothing but what the session's
	// policies allow.
	p.Tags, p.SessionPolicies = nil, []*policy.Policy{}
}

func mergedTags(identity, session map[string]string) map[string]string {
	if len(session) == 0 {
		return identity
	}
	if len(identity) == 0 {
		return session
	}
	merged := make(map[string]string, len(identity)+len(session))
	for k, v := range identity {
		merged[k] = v
	}
	for k, v := range session {
		for old := range merged { // keys that differ only in case are the same
			if strings.EqualFold(old, k) {
				delete(merged, old)
			}
		}
		merged[k] = v
	}
	return merged
}

func closed(why string) error {
	return fault.New(fault.Unauthenticated, "InvalidToken", "The token is not valid: %s.", why)
}

// Unsigned returns the caller of a request whose operation needs no signature:
// no one, on a connection. What the request itself proves, the domain finds out.
// The error is a fault ServiceUnavailable, as [Directory] has it.
func (a *Authenticator) Unsigned(r *http.Request) (*Caller, error) {
	if err := a.directory.Ready(); err != nil {
		return nil, err
	}
	c := &Caller{Principal: &Principal{Type: Anonymous}}
	c.connection(r, a.now())
	return c, nil
}

// connection fills in what the connection says.
func (c *Caller) connection(r *http.Request, at time.Time) {
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		c.SourceIP = from.Addr().Unmap().WithZone("")
	}
	c.Secure = r.TLS != nil
	c.UserAgent = r.UserAgent()
	c.Time = at
}

// channel says who could have changed the request on its way. It rests on what
// connection found out, so that both always agree. A request that a proxy of this
// machine passed on may have come from another one.
func (c *Caller) channel(h http.Header) sigv4.Channel {
	if c.Secure || c.SourceIP.IsLoopback() && !forwarded(h) {
		return sigv4.Protected
	}
	return sigv4.Open
}

// forwarded reports whether a proxy says that it passed the request on. A client can
// say so too, and then its request counts as less protected than it is.
func forwarded(h http.Header) bool {
	for _, name := range [...]string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip"} {
		if len(h[name]) > 0 {
			return true
		}
	}
	return false
}
