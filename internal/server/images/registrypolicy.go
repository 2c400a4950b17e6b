package images

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
)

// A registry policy is a second resource policy: it counts in every request about a
// repository of the registry, beside the policy of the repository.

// PutRegistryPolicy sets the registry policy, and returns its text. A policy that would
// prevent the caller from setting another one is refused. Action
// ecr:PutRegistryPolicy. Faults: AccessDenied, InvalidParameter.
func (s *Service) PutRegistryPolicy(ctx context.Context, id RegistryID, text string) (string, error) {
	const action = "ecr:PutRegistryPolicy"
	if _, err := s.authorizeSettings(ctx, id, action); err != nil {
		return "", err
	}
	if len(text) > maxPolicy {
		return "", invalidParameter("PolicyText", "Member must have length less than or equal to 10240")
	}
	bound, p, err := s.parseAndBind(text)
	if err != nil {
		return "", fault.Wrap(err, fault.Invalid, "InvalidParameter", "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid registry policy provided': %v", err)
	}
	if err := s.authz.Authorize(ctx, &authz.Request{Action: action, Resource: "*", Account: id.Account, Policies: []*policy.Policy{p}}); err != nil {
		return "", invalidParameter("PolicyText", "The policy would prevent you from setting another registry policy")
	}
	r, err := s.editRegistry(ctx, id, func(r *Registry) error {
		r.Policy = bound
		return nil
	})
	if err != nil {
		return "", err
	}
	return s.principals.ShowPrincipals(r.Policy), nil
}

// RegistryPolicy returns the text of the registry policy. Action ecr:GetRegistryPolicy.
// Faults: AccessDenied, RegistryPolicyNotFound.
func (s *Service) RegistryPolicy(ctx context.Context, id RegistryID) (string, error) {
	r, err := s.authorizeSettings(ctx, id, "ecr:GetRegistryPolicy")
	if err != nil {
		return "", err
	}
	if r.Policy == "" {
		return "", registryPolicyNotFound(id)
	}
	return s.principals.ShowPrincipals(r.Policy), nil
}

// DeleteRegistryPolicy removes the registry policy and returns its text. Action
// ecr:DeleteRegistryPolicy. Faults: as [Service.RegistryPolicy].
func (s *Service) DeleteRegistryPolicy(ctx context.Context, id RegistryID) (text string, err error) {
	if _, err := s.authorizeSettings(ctx, id, "ecr:DeleteRegistryPolicy"); err != nil {
		return "", err
	}
	_, err = s.editRegistry(ctx, id, func(r *Registry) error {
		if r.Policy == "" {
			return registryPolicyNotFound(id)
		}
		text, r.Policy = s.principals.ShowPrincipals(r.Policy), ""
		return nil
	})
	return text, err
}

func registryPolicyNotFound(id RegistryID) error {
	return fault.New(fault.NotFound, "RegistryPolicyNotFound", "Registry policy does not exist in the registry with id '%s'", id.Account)
}
