package images

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/ociremote"
)

// A CacheRule is a pull-through cache rule: repositories whose names begin with its prefix
// get their images from another registry (Amazon ECR User Guide, "Sync an upstream registry
// with an Amazon ECR private registry").
type CacheRule struct {
	// Prefix is the beginning of the names, without a "/" at its end, or [RootPrefix].
	Prefix string `json:"prefix"`
	// URL is the host of the other registry, or its address with https://.
	URL string `json:"url"`
	// Upstream is what the client calls the kind of the registry, or empty.
	Upstream string `json:"upstream,omitempty"`
	// UpstreamPrefix stands for Prefix in the names of the other registry. [RootPrefix]
	// means that they have none, and so does an empty one. Answers have what was given:
	// Terraform replaces a rule that has a prefix of which its configuration says nothing.
	UpstreamPrefix string `json:"upstreamPrefix"`
	// CredentialARN is a secret with a user name and an access token, or empty.
	CredentialARN string    `json:"credentialArn,omitempty"`
	Created       time.Time `json:"created"`
	Updated       time.Time `json:"updated"`
}

// RootPrefix as the prefix of a rule or of a repository creation template means every name
// for which there is no other one.
const RootPrefix = "ROOT"

// Limits of rules (Amazon ECR User Guide, "Service quotas", and the model).
const (
	maxCacheRules = 50
	maxUpstream   = 2048 // characters of an address
)

// Upstreams opens the other registries of pull-through cache rules.
type Upstreams interface {
	// CheckURL returns why rules of a registry cannot use an address, or nil.
	CheckURL(id RegistryID, url string) error
	// CheckCredential returns an error unless the secret can be used, and the caller in the
	// context may read it. Faults: SecretNotFound, UnableToAccessSecret,
	// UnableToDecryptSecretValue.
	CheckCredential(ctx context.Context, id RegistryID, secretARN string) error
	// Open returns the registry of a rule with its credential. Faults: as CheckCredential.
	Open(ctx context.Context, id RegistryID, rule *CacheRule) (*ociremote.Registry, error)
}

// cutPrefix returns what a name has after a prefix and "/".
func cutPrefix(name, prefix string) (rest string, ok bool) {
	if prefix == RootPrefix {
		return name, true
	}
	rest, ok = strings.CutPrefix(name, prefix+"/")
	return rest, ok && rest != ""
}

// isLonger reports whether one prefix goes before another that matches the same name: the
// longer one does, and [RootPrefix] is the shortest.
func isLonger(prefix, than string) bool {
	return than == RootPrefix || prefix != RootPrefix && len(prefix) > len(than)
}

// upstreamName returns the name that a repository has in the other registry.
func (c *CacheRule) upstreamName(name string) string {
	rest, _ := cutPrefix(name, c.Prefix)
	if c.UpstreamPrefix == RootPrefix || c.UpstreamPrefix == "" {
		return rest
	}
	return c.UpstreamPrefix + "/" + rest
}

// cacheRule returns the rule for a name: the one with the longest prefix. It is nil if there
// is none.
func (r *registrySettings) cacheRule(name string) (found *CacheRule) {
	for _, c := range r.CacheRules {
		if _, ok := cutPrefix(name, c.Prefix); !ok {
			continue
		}
		if found == nil || isLonger(c.Prefix, found.Prefix) {
			found = c
		}
	}
	return found
}

func (r *registrySettings) cacheRuleIndex(prefix string) (at int, found bool) {
	return slices.BinarySearchFunc(r.CacheRules, strings.TrimSuffix(prefix, "/"), func(c *CacheRule, p string) int { return strings.Compare(c.Prefix, p) })
}

// CreateCacheRule adds a rule. Action ecr:CreatePullThroughCacheRule. The caller must be
// allowed to read the secret too, since the server sends it to the address of the rule.
// Faults: AccessDenied, InvalidParameter, UnsupportedUpstreamRegistry,
// PullThroughCacheRuleAlreadyExists, TooManyCacheRules, SecretNotFound,
// UnableToAccessSecret, UnableToDecryptSecretValue.
func (s *Service) CreateCacheRule(ctx context.Context, id RegistryID, rule CacheRule) (*CacheRule, error) {
	if _, err := s.authorizeSettings(ctx, id, "ecr:CreatePullThroughCacheRule"); err != nil {
		return nil, err
	}
	rule.Prefix, rule.UpstreamPrefix = strings.TrimSuffix(rule.Prefix, "/"), strings.TrimSuffix(rule.UpstreamPrefix, "/")
	if rule.Prefix == RootPrefix && rule.UpstreamPrefix != RootPrefix && rule.UpstreamPrefix != "" {
		return nil, invalidParameter("upstreamRepositoryPrefix", "must be ROOT if ecrRepositoryPrefix is ROOT")
	}
	if s.pull.Upstreams == nil || len(rule.URL) > maxUpstream {
		return nil, unsupportedUpstream("it is too long, or this server asks no other registries")
	}
	if err := s.pull.Upstreams.CheckURL(id, rule.URL); err != nil {
		return nil, unsupportedUpstream(err.Error())
	}
	if err := s.checkRuleCredential(ctx, id, rule.CredentialARN); err != nil {
		return nil, err
	}
	rule.Created = s.now().UTC().Truncate(time.Microsecond)
	rule.Updated = rule.Created
	_, err := s.editRegistry(ctx, id, func(r *Registry) error {
		at, found := r.cacheRuleIndex(rule.Prefix)
		switch {
		case found:
			return fault.New(fault.Conflict, "PullThroughCacheRuleAlreadyExists", "Pull through cache rule already exists for ecrRepositoryPrefix '%s' in the registry with id '%s'", rule.Prefix, id.Account)
		case len(r.CacheRules) >= maxCacheRules:
			return fault.New(fault.Limit, "TooManyCacheRules", "A registry can have at most %d pull through cache rules.", maxCacheRules)
		}
		r.CacheRules = slices.Insert(slices.Clone(r.CacheRules), at, &rule)
		return nil
	})
	return &rule, err
}

func unsupportedUpstream(why string) error {
	return fault.New(fault.Invalid, "UnsupportedUpstreamRegistry", "The upstream registry URL cannot be used: %s.", strings.TrimSuffix(why, "."))
}

// checkRuleCredential checks the secret of a rule, unless it has none.
func (s *Service) checkRuleCredential(ctx context.Context, id RegistryID, secretARN string) error {
	if secretARN == "" {
		return nil
	}
	if a, err := arn.Parse(secretARN); err != nil || a.AccountID != id.Account || a.Region != id.Region {
		return invalidParameter("credentialArn", "must be a secret of the same account and region")
	}
	return s.pull.Upstreams.CheckCredential(ctx, id, secretARN)
}

// UpdateCacheRule replaces the credential of a rule. Action ecr:UpdatePullThroughCacheRule.
// Faults: as [Service.CreateCacheRule], PullThroughCacheRuleNotFound.
func (s *Service) UpdateCacheRule(ctx context.Context, id RegistryID, prefix, secretARN string) (*CacheRule, error) {
	if _, err := s.authorizeSettings(ctx, id, "ecr:UpdatePullThroughCacheRule"); err != nil {
		return nil, err
	}
	if s.pull.Upstreams == nil {
		return nil, cacheRuleNotFound(id, prefix)
	}
	if err := s.checkRuleCredential(ctx, id, secretARN); err != nil {
		return nil, err
	}
	var updated *CacheRule
	_, err := s.editRegistry(ctx, id, func(r *Registry) error {
		at, found := r.cacheRuleIndex(prefix)
		if !found {
			return cacheRuleNotFound(id, prefix)
		}
		next := *r.CacheRules[at]
		next.CredentialARN, next.Updated = secretARN, s.now().UTC().Truncate(time.Microsecond)
		r.CacheRules = slices.Clone(r.CacheRules)
		r.CacheRules[at], updated = &next, &next
		return nil
	})
	return updated, err
}

// DeleteCacheRule removes a rule and returns it. Images that came through it stay. Action
// ecr:DeletePullThroughCacheRule. Faults: AccessDenied, PullThroughCacheRuleNotFound.
func (s *Service) DeleteCacheRule(ctx context.Context, id RegistryID, prefix string) (deleted *CacheRule, err error) {
	if _, err := s.authorizeSettings(ctx, id, "ecr:DeletePullThroughCacheRule"); err != nil {
		return nil, err
	}
	_, err = s.editRegistry(ctx, id, func(r *Registry) error {
		at, found := r.cacheRuleIndex(prefix)
		if !found {
			return cacheRuleNotFound(id, prefix)
		}
		deleted = r.CacheRules[at]
		r.CacheRules = slices.Delete(slices.Clone(r.CacheRules), at, at+1)
		return nil
	})
	return deleted, err
}

// CacheRules lists rules in the order of their prefixes: those after the prefix after, at
// most limit of them. more is true if there are further ones. Action
// ecr:DescribePullThroughCacheRules. Fault: AccessDenied.
func (s *Service) CacheRules(ctx context.Context, id RegistryID, after string, limit int) (list []*CacheRule, more bool, err error) {
	r, err := s.authorizeSettings(ctx, id, "ecr:DescribePullThroughCacheRules")
	if err != nil {
		return nil, false, err
	}
	for _, c := range r.CacheRules {
		if c.Prefix <= after {
			continue
		}
		if len(list) >= max(limit, 1) {
			return list, true, nil
		}
		list = append(list, c)
	}
	return list, false, nil
}

// CacheRulesOf returns the rules with the prefixes, of which each must exist. Action
// ecr:DescribePullThroughCacheRules. Faults: AccessDenied, PullThroughCacheRuleNotFound.
func (s *Service) CacheRulesOf(ctx context.Context, id RegistryID, prefixes []string) (list []*CacheRule, err error) {
	r, err := s.authorizeSettings(ctx, id, "ecr:DescribePullThroughCacheRules")
	if err != nil {
		return nil, err
	}
	for _, prefix := range prefixes {
		at, found := r.cacheRuleIndex(prefix)
		if !found {
			return nil, cacheRuleNotFound(id, prefix)
		}
		list = append(list, r.CacheRules[at])
	}
	return list, nil
}

// ValidateCacheRule asks the other registry whether it is one and accepts the credential. It
// returns why not, or "". Action ecr:ValidatePullThroughCacheRule. Faults: AccessDenied,
// PullThroughCacheRuleNotFound.
func (s *Service) ValidateCacheRule(ctx context.Context, id RegistryID, prefix string) (rule *CacheRule, failure string, err error) {
	r, err := s.authorizeSettings(ctx, id, "ecr:ValidatePullThroughCacheRule")
	if err != nil {
		return nil, "", err
	}
	at, found := r.cacheRuleIndex(prefix)
	if !found || s.pull.Upstreams == nil {
		return nil, "", cacheRuleNotFound(id, prefix)
	}
	rule = r.CacheRules[at]
	remote, err := s.pull.Upstreams.Open(ctx, id, rule)
	if err == nil {
		err = remote.Ping(ctx)
	}
	if err != nil {
		failed, ok := upstreamFault(rule, err).(*fault.Error)
		if !ok {
			return nil, "", err
		}
		return rule, failed.Message, nil
	}
	return rule, "", nil
}

func cacheRuleNotFound(id RegistryID, prefix string) error {
	return fault.New(fault.NotFound, "PullThroughCacheRuleNotFound", "Pull through cache rule for ecrRepositoryPrefix '%s' does not exist in the registry with id '%s'", prefix, id.Account)
}
