package images

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
)

// A repository creation template says which settings a repository has that the server
// creates by itself (Amazon ECR User Guide, "Templates to control repositories created
// during a pull through cache, create on push, or replication action"). Repositories that
// exist are not changed by it. create_for_cause.go creates them.

// A Cause is why the server creates a repository by itself.
type Cause string

// The causes of ECR, in ECR's words.
const (
	CausePullThroughCache Cause = "PULL_THROUGH_CACHE"
	CauseReplication      Cause = "REPLICATION"
	CauseCreateOnPush     Cause = "CREATE_ON_PUSH"
)

// A Template is a repository creation template.
type Template struct {
	// Prefix is what the names of repositories begin with: "prod" means "prod/". It may
	// be [RootPrefix].
	Prefix      string `json:"prefix"`
	Description string `json:"description,omitempty"`
	// AppliedFor are the causes for which the template counts.
	AppliedFor []Cause `json:"appliedFor"`
	// Settings are those of the repositories.
	Settings Settings `json:"settings"`
	// RepositoryPolicy and LifecyclePolicy are texts, empty for none. The first one names
	// users and roles by their unique ids, except in the results of methods.
	RepositoryPolicy string `json:"repositoryPolicy,omitempty"`
	LifecyclePolicy  string `json:"lifecyclePolicy,omitempty"`
	// RoleARN is the role as which repositories are created. It is empty for none, and
	// needed for tags and for KMS keys.
	RoleARN string    `json:"roleArn,omitempty"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
}

// A TemplateChange has what changes in a template. What is nil stays as it is.
type TemplateChange struct {
	Description                       *string
	AppliedFor                        []Cause
	Mutability                        *Mutability
	Exclusions                        []string // nil with a Mutability: none
	Encryption                        *Encryption
	Tags                              map[string]string
	RepositoryPolicy, LifecyclePolicy *string
	RoleARN                           *string
}

const (
	// ecrService is the service that assumes the role of a template.
	ecrService = "ecr.amazonaws.com"
	// maxTemplates bounds the settings of a registry, which are in memory. ECR documents
	// no number.
	maxTemplates = 100
	// maxTemplateDescription is in characters (RepositoryTemplateDescription).
	maxTemplateDescription = 256
)

// templatePrefixPattern is that of Prefix in ECR's model.
const templatePrefixPattern = `^([a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*\/?|ROOT)$`

var templatePrefix = lazyregexp.New(templatePrefixPattern)

// templateKey returns a prefix without the "/" at the end, which is assumed anyway.
func templateKey(prefix string) string { return strings.TrimSuffix(prefix, "/") }

// matches reports whether the template is about repositories with a name.
func (t *Template) matches(name string) bool {
	_, ok := cutPrefix(name, templateKey(t.Prefix))
	return ok
}

// templateIndex returns where a prefix is among the templates, or would be.
func (r *registrySettings) templateIndex(prefix string) (at int, found bool) {
	return slices.BinarySearchFunc(r.Templates, templateKey(prefix), func(t *Template, key string) int {
		return strings.Compare(templateKey(t.Prefix), key)
	})
}

// template returns the template for a new repository, or nil: the one with the longest
// prefix among those that are applied for the cause.
func (r *registrySettings) template(name string, cause Cause) *Template {
	var best *Template
	for _, t := range r.Templates {
		if !t.matches(name) || !slices.Contains(t.AppliedFor, cause) {
			continue
		}
		if best == nil || isLonger(templateKey(t.Prefix), templateKey(best.Prefix)) {
			best = t
		}
	}
	return best
}

// CreateTemplate creates a repository creation template. Actions
// ecr:CreateRepositoryCreationTemplate, and those of [Service.authorizeTemplate]. Faults:
// AccessDenied, InvalidParameter, InvalidTagParameter, TooManyTags, TemplateAlreadyExists,
// TooManyTemplates.
func (s *Service) CreateTemplate(ctx context.Context, id RegistryID, t Template) (*Template, error) {
	if err := s.authorizeTemplate(ctx, id, "ecr:CreateRepositoryCreationTemplate", &t); err != nil {
		return nil, err
	}
	if err := checkTemplate(id, &t); err != nil {
		return nil, err
	}
	if err := s.bindTemplate(&t, t.RepositoryPolicy); err != nil {
		return nil, err
	}
	t.Created = s.now().UTC().Truncate(time.Microsecond)
	t.Updated = t.Created
	_, err := s.editRegistry(ctx, id, func(r *Registry) error {
		at, found := r.templateIndex(t.Prefix)
		switch {
		case found:
			return fault.New(fault.Conflict, "TemplateAlreadyExists", "The repository creation template with prefix '%s' already exists in the registry with id '%s'", t.Prefix, id.Account)
		case len(r.Templates) >= maxTemplates:
			return fault.New(fault.Limit, "TooManyTemplates", "A registry can have at most %d repository creation templates. Delete one that is not needed.", maxTemplates)
		}
		r.Templates = slices.Insert(slices.Clone(r.Templates), at, &t)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.shownTemplate(&t), nil
}

// UpdateTemplate changes a repository creation template. Actions
// ecr:UpdateRepositoryCreationTemplate, and those of [Service.authorizeTemplate] for the
// template as it will be. Faults: as [Service.CreateTemplate], TemplateNotFound.
func (s *Service) UpdateTemplate(ctx context.Context, id RegistryID, prefix string, change TemplateChange) (*Template, error) {
	const action = "ecr:UpdateRepositoryCreationTemplate"
	r, err := s.authorizeSettings(ctx, id, action)
	if err != nil {
		return nil, err
	}
	var updated Template
	prepare := func(r *registrySettings) error {
		at, found := r.templateIndex(prefix)
		if !found {
			return templateNotFound(id, prefix)
		}
		updated = *r.Templates[at]
		change.apply(&updated)
		if err := s.authorizeTemplate(ctx, id, action, &updated); err != nil {
			return err
		}
		if err := checkTemplate(id, &updated); err != nil || change.RepositoryPolicy == nil {
			return err
		}
		return s.bindTemplate(&updated, *change.RepositoryPolicy)
	}
	if err := prepare(&r.registrySettings); err != nil { // a refusal needs no transaction
		return nil, err
	}
	_, err = s.editRegistry(ctx, id, func(r *Registry) error {
		if err := prepare(&r.registrySettings); err != nil {
			return err
		}
		at, _ := r.templateIndex(prefix)
		updated.Updated = s.now().UTC().Truncate(time.Microsecond)
		r.Templates = slices.Clone(r.Templates)
		r.Templates[at] = new(updated)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.shownTemplate(&updated), nil
}

func (c *TemplateChange) apply(t *Template) {
	if c.Description != nil {
		t.Description = *c.Description
	}
	if c.AppliedFor != nil {
		t.AppliedFor = c.AppliedFor
	}
	if c.Mutability != nil {
		t.Settings.Mutability, t.Settings.Exclusions = *c.Mutability, nil
	}
	if c.Exclusions != nil {
		t.Settings.Exclusions = c.Exclusions
	}
	if c.Encryption != nil {
		t.Settings.Encryption = *c.Encryption
	}
	if c.Tags != nil {
		t.Settings.Tags = c.Tags
	}
	if c.RepositoryPolicy != nil {
		t.RepositoryPolicy = *c.RepositoryPolicy
	}
	if c.LifecyclePolicy != nil {
		t.LifecyclePolicy = *c.LifecyclePolicy
	}
	if c.RoleARN != nil {
		t.RoleARN = *c.RoleARN
	}
}

// DeleteTemplate removes a repository creation template and returns it. Action
// ecr:DeleteRepositoryCreationTemplate. Faults: AccessDenied, TemplateNotFound.
func (s *Service) DeleteTemplate(ctx context.Context, id RegistryID, prefix string) (deleted *Template, err error) {
	if _, err := s.authorizeSettings(ctx, id, "ecr:DeleteRepositoryCreationTemplate"); err != nil {
		return nil, err
	}
	_, err = s.editRegistry(ctx, id, func(r *Registry) error {
		at, found := r.templateIndex(prefix)
		if !found {
			return templateNotFound(id, prefix)
		}
		deleted = s.shownTemplate(r.Templates[at])
		r.Templates = slices.Delete(slices.Clone(r.Templates), at, at+1)
		return nil
	})
	return deleted, err
}

// Templates lists the repository creation templates of a registry in the order of their
// prefixes: those after the prefix given, at most limit of them. more is true if there are
// further ones. Action ecr:DescribeRepositoryCreationTemplates. Fault: AccessDenied.
func (s *Service) Templates(ctx context.Context, id RegistryID, after string, limit int) (list []*Template, more bool, err error) {
	r, err := s.authorizeSettings(ctx, id, "ecr:DescribeRepositoryCreationTemplates")
	if err != nil {
		return nil, false, err
	}
	for _, t := range r.Templates {
		if templateKey(t.Prefix) <= templateKey(after) {
			continue
		}
		if len(list) >= max(limit, 1) {
			return list, true, nil
		}
		list = append(list, s.shownTemplate(t))
	}
	return list, false, nil
}

// TemplatesOf returns the templates with the given prefixes, in the order of the prefixes.
// A prefix without a template is left out. Action and fault: as [Service.Templates].
func (s *Service) TemplatesOf(ctx context.Context, id RegistryID, prefixes []string) (list []*Template, err error) {
	r, err := s.authorizeSettings(ctx, id, "ecr:DescribeRepositoryCreationTemplates")
	if err != nil {
		return nil, err
	}
	for _, prefix := range prefixes {
		if at, found := r.templateIndex(prefix); found {
			list = append(list, s.shownTemplate(r.Templates[at]))
		}
	}
	return list, nil
}

// shownTemplate returns a copy of t whose policy names users and roles by ARN.
func (s *Service) shownTemplate(t *Template) *Template {
	c := *t
	c.RepositoryPolicy = s.principals.ShowPrincipals(t.RepositoryPolicy)
	return &c
}

// authorizeTemplate authorizes a template: the action itself, what its repositories are
// given (ecr:CreateRepository, and if the template has them, ecr:TagResource,
// ecr:SetRepositoryPolicy and ecr:PutLifecyclePolicy, on all repositories below the
// prefix), and iam:PassRole on its role. Otherwise a template would give permissions that
// the caller does not have.
func (s *Service) authorizeTemplate(ctx context.Context, id RegistryID, action string, t *Template) error {
	if _, err := s.authorizeSettings(ctx, id, action); err != nil {
		return err
	}
	below := RepositoryID{id.Account, id.Region, "*"}
	if t.Prefix != RootPrefix {
		below.Name = templateKey(t.Prefix) + "/*"
	}
	requests := []authz.Request{{Action: "ecr:CreateRepository", RequestTags: t.Settings.Tags}}
	if len(t.Settings.Tags) > 0 {
		requests = append(requests, authz.Request{Action: "ecr:TagResource", RequestTags: t.Settings.Tags})
	}
	if t.RepositoryPolicy != "" {
		requests = append(requests, authz.Request{Action: "ecr:SetRepositoryPolicy"})
	}
	if t.LifecyclePolicy != "" {
		requests = append(requests, authz.Request{Action: "ecr:PutLifecyclePolicy"})
	}
	for _, req := range requests {
		if err := s.authorizeRequest(ctx, below, nil, req); err != nil {
			return err
		}
	}
	return s.authorizePassRole(ctx, id, t.RoleARN, ecrService)
}

// authorizePassRole authorizes that a service does something as a role. An empty ARN is no
// role.
func (s *Service) authorizePassRole(ctx context.Context, id RegistryID, roleARN, service string) error {
	if roleARN == "" {
		return nil
	}
	return s.authz.Authorize(ctx, &authz.Request{
		Action: "iam:PassRole", Resource: roleARN, Account: id.Account,
		Keys: map[string][]string{"iam:PassedToService": {service}},
	})
}

// checkTemplate checks what a template has, except for its repository policy.
func checkTemplate(id RegistryID, t *Template) error {
	switch {
	case len(t.Prefix) > 256 || !templatePrefix.MatchString(t.Prefix):
		return invalidParameter("prefix", "must be at most 256 characters and satisfy regular expression '"+templatePrefixPattern+"'")
	case utf8.RuneCountInString(t.Description) > maxTemplateDescription:
		return invalidParameter("description", "Member must have length less than or equal to 256")
	case len(t.AppliedFor) == 0:
		return invalidParameter("appliedFor", "Member must have at least one of PULL_THROUGH_CACHE, REPLICATION and CREATE_ON_PUSH")
	case t.RoleARN != "" && !isRoleOf(id.Account, t.RoleARN):
		return invalidParameter("customRoleArn", "Member must be the ARN of a role in the account of the registry")
	}
	t.AppliedFor = slices.Compact(slices.Sorted(slices.Values(t.AppliedFor)))
	for _, cause := range t.AppliedFor {
		if cause != CausePullThroughCache && cause != CauseReplication && cause != CauseCreateOnPush {
			return invalidParameter("appliedFor", "Member must satisfy enum value set: [REPLICATION, PULL_THROUGH_CACHE, CREATE_ON_PUSH]")
		}
	}
	if err := checkMutability(t.Settings.Mutability, t.Settings.Exclusions); err != nil {
		return err
	}
	if _, err := mergeTags(nil, t.Settings.Tags); err != nil {
		return err
	}
	if t.LifecyclePolicy == "" {
		return nil
	}
	_, err := parseLifecycle(t.LifecyclePolicy)
	return err
}

// bindTemplate gives a template a repository policy, in which the ARNs of users and roles
// are replaced by ids.
func (s *Service) bindTemplate(t *Template, document string) (err error) {
	if t.RepositoryPolicy = ""; document != "" {
		t.RepositoryPolicy, _, err = s.checkRepositoryPolicy(document)
	}
	return err
}

// isRoleOf reports whether text is the ARN of a role of an account.
func isRoleOf(account, text string) bool {
	a, err := arn.Parse(text)
	return err == nil && a.Partition == arn.Partition && a.Service == "iam" && a.Region == "" && a.AccountID == account && strings.HasPrefix(a.Resource, "role/")
}

func templateNotFound(id RegistryID, prefix string) error {
	return fault.New(fault.NotFound, "TemplateNotFound", "The repository creation template with prefix '%s' does not exist in the registry with id '%s'", prefix, id.Account)
}
