package sts

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
)

const (
	// publisherSession is the name of the sessions of trusted publishers.
	publisherSession = "trusted-publishing"
	// maxPublisherToken is how long the token of a trusted publisher may still be good.
	// The record of its session, by which a second use is noticed, is kept for longer.
	maxPublisherToken = 12 * time.Hour
)

// A PublisherRole is a role that CI jobs may assume to publish packages, if it trusts
// them. Policy limits the session.
type PublisherRole struct{ ARN, Policy string }

// An AssumePublisherRole asks for the session of a trusted publisher: a CI job that has
// nothing but a token of an OIDC provider, and does not say which role it wants.
type AssumePublisherRole struct {
	Token string
	// Audiences are whom the token must be for: this server, as the publishing clients
	// name it. A token for another service is refused, whatever the provider accepts.
	Audiences []string
	// Use is what the token is used for. A token can be used for the same thing once.
	Use string
	// Roles are the ones in question. Exactly one of them must trust the token.
	Roles []PublisherRole
}

// A PublisherSession is the session of a trusted publisher.
type PublisherSession struct {
	SessionCredentials
	// Role is the index of the role.
	Role int
}

// AssumePublisherRole begins a session of the role that trusts the token, as
// AssumeRoleWithWebIdentity does: the same providers, the same trust policies with the
// same condition keys. It lasts for the shortest time. The faults say why it was refused,
// which the client must not be told.
func (s *Service) AssumePublisherRole(ctx context.Context, in AssumePublisherRole) (PublisherSession, error) {
	var none PublisherSession
	connection := authn.FromContext(ctx)
	if connection == nil {
		return none, errAnonymous()
	}
	trusting, err := s.publisherCandidates(ctx, connection, in)
	if err != nil {
		return none, err
	}
	c := trusting[0]
	audit.From(ctx).Caller(c.proof.caller)
	if err := c.check(trusting, s.core.Now()); err != nil {
		return none, err
	}
	prepared, err := s.prepare(authn.WithCaller(ctx, c.proof.caller), c.proof.caller, assumeWithWebIdentity, c.assume, c.record)
	if err != nil {
		return none, err
	}
	prepared.keyID = publisherKeyID(prepared.role.Account, c.proof.identity.Digest, in.Use)
	credentials, err := s.begin(ctx, c.proof.caller, prepared)
	if fault.Is(err, "SessionExists") {
		return none, fault.New(fault.Denied, "TokenUsed", "The token of %s was used for this before. A job must get another one from its CI system.", c.proof.caller.ARN)
	}
	if err != nil {
		return none, err
	}
	return PublisherSession{credentials, c.index}, nil
}

// check refuses what is clear only when all roles that trust the token are known.
func (c *publisherCandidate) check(trusting []publisherCandidate, now time.Time) error {
	if len(trusting) > 1 {
		var roles []string
		for _, t := range trusting {
			roles = append(roles, t.assume.RoleARN)
		}
		return fault.New(fault.Denied, "AmbiguousPublisher", "Several roles trust %s, and it must be one: %s", c.proof.caller.ARN, strings.Join(roles, ", "))
	}
	if end := c.proof.identity.Expires; end.After(now.Add(maxPublisherToken)) {
		return fault.New(fault.Denied, "IDPRejectedClaim", "The token is good until %s. Trusted publishing accepts tokens that expire within %s.", end.UTC().Format(time.RFC3339), maxPublisherToken)
	}
	return nil
}

// A publisherCandidate is a role in question, with what the token proved to its account.
type publisherCandidate struct {
	index  int
	proof  webIdentityProof
	assume AssumeRole
	record iam.SessionRecord
}

// publisherCandidates returns the roles that trust the token, at least one.
func (s *Service) publisherCandidates(ctx context.Context, connection *authn.Caller, in AssumePublisherRole) ([]publisherCandidate, error) {
	var trusting []publisherCandidate
	refusal := fault.New(fault.Denied, "NoPublisher", "There is no trusted publisher for this: tag the package group with the ARN of the role that CI jobs assume.")
	prove := s.proveOnce(ctx, connection, in.Token)
	for i, role := range in.Roles {
		c, err := s.publisherCandidate(prove, in, role)
		if err == nil {
			// Only the decision about the role that is assumed belongs in the audit record.
			silent := audit.WithEntry(authn.WithCaller(ctx, c.proof.caller), nil)
			_, err = s.prepare(silent, c.proof.caller, assumeWithWebIdentity, c.assume, c.record)
		}
		if err == nil {
			c.index = i
			trusting = append(trusting, c)
			continue
		}
		f := fault.From(err)
		switch f.Kind {
		case fault.Internal, fault.Unavailable, fault.Throttled:
			return nil, err
		}
		if i == 0 || f.Code == "AccessDenied" { // the role that came closest
			refusal = f
		}
	}
	if len(trusting) == 0 {
		return nil, refusal
	}
	return trusting, nil
}

// proveOnce returns a function that proves the token to an account, once for all of its
// roles: anyone may send a token, and there may be many roles in question.
func (s *Service) proveOnce(ctx context.Context, connection *authn.Caller, token string) func(account string) (webIdentityProof, error) {
	type result struct {
		proof webIdentityProof
		err   error
	}
	known := map[string]result{}
	return func(account string) (webIdentityProof, error) {
		r, ok := known[account]
		if !ok {
			r.proof, r.err = s.prove(ctx, connection, account, token)
			known[account] = r
		}
		return r.proof, r.err
	}
}

func (s *Service) publisherCandidate(prove func(account string) (webIdentityProof, error), in AssumePublisherRole, role PublisherRole) (publisherCandidate, error) {
	c := publisherCandidate{assume: AssumeRole{
		RoleARN: role.ARN, SessionName: publisherSession, Seconds: minSession, Policies: SessionPolicies{Document: role.Policy},
	}}
	if err := c.assume.check(); err != nil {
		return c, err
	}
	a, _ := arn.Parse(role.ARN) // was checked
	var err error
	if c.proof, err = prove(a.AccountID); err != nil {
		return c, err
	}
	if id := c.proof.identity; !slices.Contains(in.Audiences, id.Audience) {
		return c, fault.New(fault.Invalid, "InvalidIdentityToken", "The token of %s is for the audience %s, and must be for %s", id.Subject, id.Audience, strings.Join(in.Audiences, " or "))
	}
	c.record, err = s.federatedRecord(c.proof, &c.assume)
	return c, err
}

// publisherKeyID is the id of the session that the token begins for a use: always the
// same one. So a second session of the token would have the id of the first.
func publisherKeyID(account string, digest [sha256.Size]byte, use string) string {
	sum := sha256.Sum256(append(digest[:], use...))
	return sessionKeyID(account, [sessionKeyIDRandom]byte(sum[:]))
}
