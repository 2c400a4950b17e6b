package images

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
)

// maxPolicy is the maximum length of a policy's text (RepositoryPolicyText).
const maxPolicy = 10240

// Lockout says what happens to a policy that would prevent the caller from setting
// another one.
type Lockout uint8

const (
	// RefuseLockout refuses it.
	RefuseLockout Lockout = iota
	// AllowLockout sets it: ECR's force.
	AllowLockout
)

// SetPolicy sets the repository's policy. Action ecr:SetRepositoryPolicy.
// Faults: AccessDenied, RepositoryNotFound, InvalidParameter.
func (s *Service) SetPolicy(ctx context.Context, id RepositoryID, text string, lockout Lockout) (*Repository, error) {
	const action = "ecr:SetRepositoryPolicy"
	repo, err := s.authorize(ctx, id, action)
	if err != nil {
		return nil, err
	}
	bound, p, err := s.checkRepositoryPolicy(text)
	if err != nil {
		return nil, err
	}
	if lockout == RefuseLockout {
		err := s.authz.Authorize(ctx, &authz.Request{
			Action: action, Resource: repo.arn, Account: id.Account, ResourceTags: repo.Tags,
			Policies: append([]*policy.Policy{p.WithSource(policy.Source{ARN: repo.arn})}, s.registries.get(id.registry()).policies...),
		})
		if err != nil {
			return nil, invalidParameter("PolicyText", "The policy would prevent you from setting another policy on this repository: use force if this is intended")
		}
	}
	changed, err := s.edit(ctx, repo, func(r *Repository) error {
		r.Policy = bound
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.withPrincipalARNs(changed), nil
}

// checkRepositoryPolicy parses a repository policy as it is given, and replaces the ARNs of
// its principals with ids. Fault: InvalidParameter.
func (s *Service) checkRepositoryPolicy(text string) (string, *policy.Policy, error) {
	if len(text) > maxPolicy {
		return "", nil, invalidParameter("PolicyText", "Member must have length less than or equal to 10240")
	}
	bound, p, err := s.parseAndBind(text)
	if err != nil {
		return "", nil, fault.Wrap(err, fault.Invalid, "InvalidParameter", "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided': %v", err)
	}
	return bound, p, nil
}

// parseAndBind parses a policy and replaces the ARNs of its principals with ids. The errors are
// *policy.MalformedError and the fault MalformedPolicyDocument.
func (s *Service) parseAndBind(text string) (string, *policy.Policy, error) {
	if _, err := policy.Parse(text, policy.Resource); err != nil {
		return "", nil, err
	}
	bound, err := s.principals.BindPrincipals(text)
	if err != nil {
		return "", nil, err
	}
	p, err := policy.Parse(bound, policy.Resource)
	return bound, p, err
}

// withPrincipalARNs returns a copy of r whose policy names users and roles by ARN.
func (s *Service) withPrincipalARNs(r *Repository) *Repository {
	c := *r
	c.Policy = s.principals.ShowPrincipals(r.Policy)
	return &c
}

// Policy returns a repository that has a policy. Action
// ecr:GetRepositoryPolicy. Faults: AccessDenied, RepositoryNotFound,
// RepositoryPolicyNotFound.
func (s *Service) Policy(ctx context.Context, id RepositoryID) (*Repository, error) {
	repo, err := s.authorize(ctx, id, "ecr:GetRepositoryPolicy")
	if err != nil {
		return nil, err
	}
	if repo.Policy == "" {
		return nil, policyNotFound(id)
	}
	return s.withPrincipalARNs(repo), nil
}

// DeletePolicy removes the repository's policy and returns its text. Action
// ecr:DeleteRepositoryPolicy. Faults: as [Service.Policy].
func (s *Service) DeletePolicy(ctx context.Context, id RepositoryID) (text string, err error) {
	_, err = s.change(ctx, id, "ecr:DeleteRepositoryPolicy", func(r *Repository) error {
		if r.Policy == "" {
			return policyNotFound(id)
		}
		text, r.Policy = s.principals.ShowPrincipals(r.Policy), ""
		return nil
	})
	return text, err
}

func policyNotFound(id RepositoryID) error {
	return fault.New(fault.NotFound, "RepositoryPolicyNotFound", "Repository policy does not exist for the repository with name '%s' in the registry with id '%s'", id.Name, id.Account)
}
