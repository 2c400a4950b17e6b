package images

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
)

// maxPullTimeExclusions is the number of exclusions of a registry (Amazon ECR User Guide,
// "Service quotas").
const maxPullTimeExclusions = 100

// RegisterPullTimeExclusion adds a role or a user whose pulls do not count. Action
// ecr:RegisterPullTimeUpdateExclusion. Faults: AccessDenied, InvalidParameter,
// ExclusionAlreadyExists, TooManyExclusions.
func (s *Service) RegisterPullTimeExclusion(ctx context.Context, id RegistryID, principal string) (PullTimeExclusion, error) {
	if _, err := s.authorizeSettings(ctx, id, "ecr:RegisterPullTimeUpdateExclusion"); err != nil {
		return PullTimeExclusion{}, err
	}
	if !isPrincipal(principal) {
		return PullTimeExclusion{}, invalidParameter("principalArn", "Member must be the ARN of an IAM role or user")
	}
	e := PullTimeExclusion{ARN: principal, Created: s.now().UTC().Truncate(time.Microsecond)}
	_, err := s.editRegistry(ctx, id, func(r *Registry) error {
		at, found := r.exclusion(principal)
		switch {
		case found:
			return fault.New(fault.Conflict, "ExclusionAlreadyExists", "The pull time update exclusion for '%s' already exists in the registry with id '%s'", principal, id.Account)
		case len(r.PullTimeExclusions) >= maxPullTimeExclusions:
			return fault.New(fault.Limit, "TooManyExclusions", "A registry can have at most %d pull time update exclusions.", maxPullTimeExclusions)
		}
		r.PullTimeExclusions = slices.Insert(slices.Clone(r.PullTimeExclusions), at, e)
		return nil
	})
	return e, err
}

// isPrincipal reports whether text is the ARN of a role or a user.
func isPrincipal(text string) bool {
	a, err := arn.Parse(text)
	return err == nil && a.Service == "iam" && a.Partition == arn.Partition && arn.IsAccountID(a.AccountID) &&
		(strings.HasPrefix(a.Resource, "role/") || strings.HasPrefix(a.Resource, "user/"))
}

// exclusion returns where a principal is among the exclusions, or would be.
func (r *Registry) exclusion(principal string) (at int, found bool) {
	return slices.BinarySearchFunc(r.PullTimeExclusions, principal, func(e PullTimeExclusion, p string) int { return strings.Compare(e.ARN, p) })
}

// DeregisterPullTimeExclusion removes an exclusion. Action
// ecr:DeregisterPullTimeUpdateExclusion. Faults: AccessDenied, ExclusionNotFound.
func (s *Service) DeregisterPullTimeExclusion(ctx context.Context, id RegistryID, principal string) error {
	if _, err := s.authorizeSettings(ctx, id, "ecr:DeregisterPullTimeUpdateExclusion"); err != nil {
		return err
	}
	_, err := s.editRegistry(ctx, id, func(r *Registry) error {
		at, found := r.exclusion(principal)
		if !found {
			return fault.New(fault.NotFound, "ExclusionNotFound", "The pull time update exclusion for '%s' does not exist in the registry with id '%s'", principal, id.Account)
		}
		r.PullTimeExclusions = slices.Delete(slices.Clone(r.PullTimeExclusions), at, at+1)
		return nil
	})
	return err
}

// PullTimeExclusions lists the principals that are excluded, ordered by ARN: those after
// the one given, at most limit of them. more is true if there are further ones. Action
// ecr:ListPullTimeUpdateExclusions. Fault: AccessDenied.
func (s *Service) PullTimeExclusions(ctx context.Context, id RegistryID, after string, limit int) (list []string, more bool, err error) {
	r, err := s.authorizeSettings(ctx, id, "ecr:ListPullTimeUpdateExclusions")
	if err != nil {
		return nil, false, err
	}
	for _, e := range r.PullTimeExclusions {
		if e.ARN <= after {
			continue
		}
		if len(list) >= max(limit, 1) {
			return list, true, nil
		}
		list = append(list, e.ARN)
	}
	return list, false, nil
}

// countsPull reports whether a pull of the caller counts as the last pull of an image.
func (r *Registry) countsPull(ctx context.Context) bool {
	if len(r.PullTimeExclusions) == 0 {
		return true
	}
	c := authn.FromContext(ctx)
	if c == nil || c.Principal == nil {
		return true
	}
	_, excluded := r.exclusion(c.PrincipalARN)
	return !excluded
}
