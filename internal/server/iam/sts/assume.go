package sts

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/resourcetags"
)

// The lifetimes of sessions, in seconds (STS API Reference: AssumeRole,
// GetSessionToken, GetFederationToken).
const (
	minSession      = 900
	defaultAssumed  = 3600
	maxChained      = 3600
	defaultUser     = 43200
	maxUser         = 129600
	maxRoot         = 3600
	maxPolicyARNs   = 10
	maxSessionBytes = 2048 // of all session policies, and what PackedPolicySize is a part of
)

// SessionPolicies limit a session to what they allow.
type SessionPolicies struct {
	// Document is an inline policy, or empty.
	Document string
	// ARNs are managed policies.
	ARNs []string
}

// An AssumeRole asks for a session of a role.
type AssumeRole struct {
	RoleARN, SessionName string
	// Seconds is how long; 0 is an hour.
	Seconds           int
	Policies          SessionPolicies
	Tags              []iam.Tag
	TransitiveTagKeys []string
	SourceIdentity    string
	ExternalID        string
}

// A SessionCredentials is a session that was begun.
type SessionCredentials struct {
	AccessKeyID, Secret, Token string
	Expires                    time.Time
	// ARN and UserID are the session's, as GetCallerIdentity answers them.
	ARN, UserID string
	// PackedSize is the percentage of what session policies and tags may take.
	// It is 0 if there are none.
	PackedSize     int
	SourceIdentity string
}

// AssumeRole begins a session of a role that trusts the caller. Faults:
// AccessDenied (no such role as well), ValidationError, MalformedPolicyDocument,
// PackedPolicyTooLarge, InvalidParameterValue.
func (s *Service) AssumeRole(ctx context.Context, in AssumeRole) (SessionCredentials, error) {
	var none SessionCredentials
	c, err := caller(ctx)
	if err != nil {
		return none, err
	}
	switch c.Type {
	case authn.Root:
		return none, fault.New(fault.Denied, "AccessDenied", "Roles may not be assumed by root accounts.")
	case authn.FederatedUser:
		return none, fault.New(fault.Denied, "AccessDenied", "Cannot call AssumeRole with the credentials of a federated user.")
	}
	if err := in.check(); err != nil {
		return none, err
	}
	record, err := s.assumedRecord(c, in)
	if err != nil {
		return none, err
	}
	return s.assume(ctx, c, "sts:AssumeRole", in, record)
}

// check checks the form of what names the role and the session.
func (in *AssumeRole) check() error {
	if a, err := arn.Parse(in.RoleARN); err != nil || a.Service != "iam" || !strings.HasPrefix(a.Resource, "role/") {
		return invalid("%s is invalid", in.RoleARN)
	}
	return checkSessionName(in.SessionName, 64)
}

// assume begins the session with the record, if the role trusts the caller, who
// is also the one in the context, with the action.
func (s *Service) assume(ctx context.Context, c *authn.Caller, action string, in AssumeRole, record iam.SessionRecord) (SessionCredentials, error) {
	p, err := s.prepare(ctx, c, action, in, record)
	if err != nil {
		return SessionCredentials{}, err
	}
	return s.begin(ctx, c, p)
}

// A preparedSession is a session of a role that may begin.
type preparedSession struct {
	role    *iam.Role
	name    string
	record  iam.SessionRecord
	seconds int
	// keyID is the id of its access key. If it is empty, a new one is made.
	keyID string
}

// prepare checks everything that assume does, and begins nothing.
func (s *Service) prepare(ctx context.Context, c *authn.Caller, action string, in AssumeRole, record iam.SessionRecord) (preparedSession, error) {
	var none preparedSession
	sn := s.core.Snapshot()
	role := sn.Role(in.RoleARN)
	if err := s.authorizeAssume(ctx, c, action, in, role, record); err != nil {
		return none, err
	}
	if role == nil {
		// Unreachable while the authorizer holds to trustsNobody; not an error
		// that may ever become an allowance.
		return none, mayNotAssume(c, action, in.RoleARN)
	}
	seconds, err := assumedSeconds(c, role, in.Seconds)
	if err != nil {
		return none, err
	}
	if err := s.limitSession(sn, role.Account, in.Policies, &record); err != nil {
		return none, err
	}
	return preparedSession{role: role, name: in.SessionName, record: record, seconds: seconds}, nil
}

// begin begins a prepared session.
func (s *Service) begin(ctx context.Context, c *authn.Caller, p preparedSession) (SessionCredentials, error) {
	out, err := s.startSession(ctx, c, sessionOf{p.role.Account, p.role.ID, p.name, p.keyID}, p.record, p.seconds)
	if err != nil {
		return SessionCredentials{}, err
	}
	out.ARN = arn.New("sts", "", p.role.Account, "assumed-role/"+p.role.Name+"/"+p.name).String()
	out.UserID = p.role.ID + ":" + p.name
	return out, nil
}

// trustsNobody stands for the trust policy of a role that does not exist, so
// that the answer does not tell whether it does.
func trustsNobody(roleARN string) *policy.Policy {
	p, err := policy.Parse(iam.TrustsNobody, policy.Trust)
	if err != nil {
		p = policy.Unreadable(iam.TrustsNobody, policy.Trust)
	}
	return p.WithSource(policy.Source{ARN: roleARN})
}

// authorizeAssume checks the trust policy and the caller's own policies, for each
// of the actions that the request amounts to.
func (s *Service) authorizeAssume(ctx context.Context, c *authn.Caller, action string, in AssumeRole, role *iam.Role, record iam.SessionRecord) error {
	a, _ := arn.Parse(in.RoleARN)
	req := authz.Request{
		Resource: in.RoleARN, Account: a.AccountID,
		RequestTags: resourcetags.Map(in.Tags),
		Keys: map[string][]string{
			"sts:RoleSessionName": {in.SessionName},
			"sts:DurationSeconds": {strconv.Itoa(cmp.Or(in.Seconds, defaultAssumed))},
		},
	}
	if role == nil {
		req.Policies = []*policy.Policy{trustsNobody(in.RoleARN)}
	} else {
		req.Policies, req.ResourceTags = []*policy.Policy{role.TrustPolicy()}, resourcetags.Map(role.Tags)
	}
	if in.ExternalID != "" {
		req.Keys["sts:ExternalId"] = []string{in.ExternalID}
	}
	if record.SourceIdentity != "" {
		req.Keys["sts:SourceIdentity"] = []string{record.SourceIdentity}
	}
	if len(in.TransitiveTagKeys) > 0 {
		req.Keys["sts:TransitiveTagKeys"] = in.TransitiveTagKeys
	}
	actions := []string{action}
	if len(record.Tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	if record.SourceIdentity != "" {
		actions = append(actions, "sts:SetSourceIdentity")
	}
	for _, action := range actions {
		r := req
		r.Action = action
		if err := s.core.Authorize(ctx, &r); fault.Is(err, "AccessDenied") {
			return mayNotAssume(c, action, in.RoleARN)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// mayNotAssume says no more, as STS does: which policy was missing would tell
// whether there is the role. The audit record has the reason.
func mayNotAssume(c *authn.Caller, action, roleARN string) error {
	return fault.New(fault.Denied, "AccessDenied", "User: %s is not authorized to perform: %s on resource: %s", c.ARN, action, roleARN)
}

// assumedRecord is what the session carries, from the request and from the
// session that assumes the role (IAM User Guide, "Pass session tags in AWS STS",
// Chaining roles with session tags; "Monitor and control actions taken with
// assumed roles").
func (s *Service) assumedRecord(c *authn.Caller, in AssumeRole) (iam.SessionRecord, error) {
	r := iam.SessionRecord{SourceIdentity: in.SourceIdentity}
	if c.SourceIdentity != "" {
		if in.SourceIdentity != "" && in.SourceIdentity != c.SourceIdentity {
			return r, fault.New(fault.Denied, "AccessDenied", "The source identity %q is set already and cannot be changed.", c.SourceIdentity)
		}
		r.SourceIdentity = c.SourceIdentity
	}
	if r.SourceIdentity != "" {
		if err := checkSessionName(r.SourceIdentity, 64); err != nil {
			return r, err
		}
	}
	for _, key := range in.TransitiveTagKeys {
		i := resourcetags.Index(in.Tags, key)
		if i < 0 {
			return r, fault.New(fault.Invalid, "InvalidParameterValue", "The specified transitive tag key must be included in the requested tags.")
		}
		r.TransitiveKeys = append(r.TransitiveKeys, in.Tags[i].Key) // as the tag spells it
	}
	tags := slices.Clone(in.Tags)
	for _, key := range c.TransitiveTagKeys {
		if resourcetags.Index(in.Tags, key) >= 0 {
			return r, fault.New(fault.Invalid, "InvalidParameterValue", "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session: %q", key)
		}
		tags = append(tags, iam.Tag{Key: key, Value: c.Tags[key]})
		r.TransitiveKeys = append(r.TransitiveKeys, key)
	}
	var err error
	r.Tags, err = mergeTags(tags)
	return r, err
}

// assumedSeconds is how long the session lasts.
func assumedSeconds(c *authn.Caller, role *iam.Role, asked int) (int, error) {
	switch {
	case asked == 0:
		return defaultAssumed, nil
	case asked < minSession:
		return 0, invalid("DurationSeconds must be at least %d.", minSession)
	case asked > role.MaxSession:
		return 0, invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	case c.Type == authn.AssumedRole && asked > maxChained:
		return 0, invalid("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	}
	return asked, nil
}

// limitSession checks session policies and puts them into the record.
func (s *Service) limitSession(sn *iam.Snapshot, account string, p SessionPolicies, r *iam.SessionRecord) error {
	if len(p.ARNs) > maxPolicyARNs {
		return invalid("At most %d managed policies can limit a session.", maxPolicyARNs)
	}
	size := len(p.Document)
	if p.Document != "" {
		if err := iam.CheckDocument(p.Document, policy.Session); err != nil {
			return err
		}
		r.Policy, r.Limited = p.Document, true
	}
	for _, a := range p.ARNs {
		if _, err := sn.AttachablePolicy(account, a); err != nil {
			return invalid("The managed policy %s does not exist, or is of another account than the session's.", a)
		}
		size += len(a)
		r.PolicyARNs, r.Limited = append(r.PolicyARNs, a), true
	}
	if size > maxSessionBytes {
		return fault.New(fault.Invalid, "PackedPolicyTooLarge", "The session policies have %d characters, and at most %d are accepted.", size, maxSessionBytes)
	}
	return nil
}

// packedSize is the part of maxSessionBytes that is used, in percent.
func packedSize(r *iam.SessionRecord) int {
	size := len(r.Policy)
	for _, a := range r.PolicyARNs {
		size += len(a)
	}
	for _, t := range r.Tags {
		size += len(t.Key) + len(t.Value)
	}
	return min((size*100+maxSessionBytes-1)/maxSessionBytes, 100)
}

var sessionNamePattern = lazyregexp.New(`^[\w+=,.@-]{2,64}$`)

func checkSessionName(name string, most int) error {
	if len(name) > most || !sessionNamePattern.MatchString(name) {
		return invalid("The session name %q is invalid: it has 2 to %d letters, digits or characters of _+=,.@-", name, most)
	}
	return nil
}

// mergeTags checks the tags of a session. STS has another code than IAM for a key
// that is there twice.
func mergeTags(tags []iam.Tag) ([]iam.Tag, error) {
	merged, err := iam.MergeTags(nil, tags)
	if fault.Is(err, "InvalidInput") {
		return nil, fault.New(fault.Invalid, "InvalidParameterValue", "%s", fault.From(err).Message)
	}
	return merged, err
}
