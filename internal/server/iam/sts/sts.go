package sts

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/resourcetags"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// CallerIdentity returns who calls. It needs no permission, and no policy can
// take it away (STS API Reference, GetCallerIdentity).
func (s *Service) CallerIdentity(ctx context.Context) (*authn.Caller, error) {
	return caller(ctx)
}

// SessionToken gives a user or root temporary credentials. They end with the
// user, and with the access key that signed the request. 0 seconds are 12 hours,
// for root one. It needs no permission (IAM User Guide, "Permissions for
// GetSessionToken"). Faults: AccessDenied, ValidationError.
func (s *Service) SessionToken(ctx context.Context, seconds int) (SessionCredentials, error) {
	c, err := caller(ctx)
	if err != nil {
		return SessionCredentials{}, err
	}
	if c.Temporary() {
		return SessionCredentials{}, fault.New(fault.Denied, "AccessDenied", "Cannot call GetSessionToken with session credentials")
	}
	if seconds, err = userSeconds(c, seconds); err != nil {
		return SessionCredentials{}, err
	}
	out, err := s.startSession(ctx, c, sessionOf{account: c.Account, uniqueID: c.UniqueID}, iam.SessionRecord{}, seconds)
	out.ARN, out.UserID = c.ARN, c.UserID
	return out, err
}

// A FederationToken asks for a session of someone whom the caller vouches for.
type FederationToken struct {
	Name string
	// Seconds is how long; 0 is 12 hours.
	Seconds  int
	Policies SessionPolicies
	Tags     []iam.Tag
}

// FederationToken gives temporary credentials with the part of the caller's
// permissions that the session policies allow: without any, none. Root cannot
// call it, unlike on AWS. Faults:
// AccessDenied, ValidationError, MalformedPolicyDocument, PackedPolicyTooLarge.
func (s *Service) FederationToken(ctx context.Context, in FederationToken) (SessionCredentials, error) {
	var none SessionCredentials
	c, err := caller(ctx)
	if err != nil {
		return none, err
	}
	if c.Temporary() {
		return none, fault.New(fault.Denied, "AccessDenied", "Cannot call GetFederationToken with session credentials")
	}
	if c.Type == authn.Root {
		return none, fault.New(fault.Denied, "AccessDenied", "GetFederationToken is not supported with the credentials of root. Call it as a user.")
	}
	if err := checkSessionName(in.Name, 32); err != nil {
		return none, err
	}
	federated := arn.New("sts", "", c.Account, "federated-user/"+in.Name).String()
	req := authz.Request{Action: "sts:GetFederationToken", Resource: federated, RequestTags: resourcetags.Map(in.Tags)}
	if err := s.core.Authorize(ctx, &req); err != nil {
		return none, err
	}
	record := iam.SessionRecord{Limited: true}
	if len(in.Tags) > 0 {
		req.Action = "sts:TagSession"
		if err := s.core.Authorize(ctx, &req); err != nil {
			return none, err
		}
		if record.Tags, err = mergeTags(in.Tags); err != nil {
			return none, err
		}
	}
	seconds, err := userSeconds(c, in.Seconds)
	if err != nil {
		return none, err
	}
	if err := s.limitSession(s.core.Snapshot(), c.Account, in.Policies, &record); err != nil {
		return none, err
	}
	out, err := s.startSession(ctx, c, sessionOf{account: c.Account, uniqueID: c.UniqueID, name: in.Name}, record, seconds)
	out.ARN, out.UserID = federated, c.Account+":"+in.Name
	return out, err
}

// userSeconds is how long a session of the caller's own lasts.
func userSeconds(c *authn.Caller, asked int) (int, error) {
	most, usual := maxUser, defaultUser
	if c.Type == authn.Root {
		most, usual = maxRoot, maxRoot
	}
	switch {
	case asked == 0:
		return usual, nil
	case asked < minSession || asked > maxUser:
		return 0, invalid("DurationSeconds must be between %d and %d.", minSession, most)
	}
	return min(asked, most), nil // root's is cut, not refused
}

// AccessKeyAccount returns the account of an access key, AKIA… or ASIA…. Faults:
// ValidationError if it is not a key of this server.
func (s *Service) AccessKeyAccount(ctx context.Context, keyID string) (string, error) {
	if _, err := caller(ctx); err != nil {
		return "", err
	}
	if err := s.core.Authorize(ctx, &authz.Request{Action: "sts:GetAccessKeyInfo", Resource: "*"}); err != nil {
		return "", err
	}
	sn := s.core.Snapshot()
	if account, ok := sn.KeyAccount(keyID); ok {
		return account, nil
	}
	if strings.HasPrefix(keyID, string(token.TemporaryKey)) {
		if account, ok := accountOfSessionKey(keyID); ok {
			if sn.HasAccount(account) {
				return account, nil
			}
		}
	}
	return "", invalid("Invalid Access Key Id: no account here has the key %s.", keyID)
}

// DecodeAuthorizationMessage returns what an encoded message says about a denial
// of someone of the caller's account. Faults: InvalidAuthorizationMessage.
func (s *Service) DecodeAuthorizationMessage(ctx context.Context, encoded string) (string, error) {
	c, err := caller(ctx)
	if err != nil {
		return "", err
	}
	if err := s.core.Authorize(ctx, &authz.Request{Action: "sts:DecodeAuthorizationMessage", Resource: "*"}); err != nil {
		return "", err
	}
	message, err := s.core.Keyring().OpenMessage(c.Account, encoded)
	return string(message), err
}

// sessionOf is whose session begins. keyID is the id of its access key; if it is empty, a
// new one is made.
type sessionOf struct{ account, uniqueID, name, keyID string }

// startSession mints the credentials of a session, after making its record, if
// it has one, durable. Fault Conflict: the session was to have an id that another one
// has.
func (s *Service) startSession(ctx context.Context, c *authn.Caller, of sessionOf, record iam.SessionRecord, seconds int) (SessionCredentials, error) {
	var none SessionCredentials
	now := s.core.Second()
	claims := token.Claims{
		ID: cmp.Or(of.keyID, newSessionKeyID(of.account)), Account: of.account, PrincipalID: of.uniqueID, SessionName: of.name,
		AccessKeyID: c.AccessKeyID, Issued: now, Expires: now.Add(time.Duration(seconds) * time.Second),
	}
	if !record.Empty() {
		claims.SessionID = claims.ID
		saved, err := s.core.SaveSession(ctx, claims.ID, record, claims.Expires)
		for err == nil && !saved { // one in 2^40, for each live session of the account
			if of.keyID != "" {
				return none, fault.New(fault.Conflict, "SessionExists", "The session exists already.")
			}
			claims.ID = newSessionKeyID(of.account)
			claims.SessionID = claims.ID
			saved, err = s.core.SaveSession(ctx, claims.ID, record, claims.Expires)
		}
		if err != nil {
			return none, err
		}
	}
	session, secret, err := s.core.Keyring().MintSession(claims)
	if err != nil {
		return none, err
	}
	return SessionCredentials{
		AccessKeyID: claims.ID, Secret: secret, Token: session, Expires: claims.Expires,
		PackedSize: packedSize(&record), SourceIdentity: record.SourceIdentity,
	}, nil
}
