package packages

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
)

// Which policies apply is in the CodeArtifact User Guide, "Interaction between
// repository and domain policies": none to operations on an account, the
// domain's to a domain, and both the domain's and the repository's to a
// repository and the packages in it. Where they say nothing, callers of the
// account that owns the domain or administers the repository need but their
// own permission, and all others are refused.

// Authorized reports whether the caller may do the action (such as
// "codeartifact:ReadFromRepository") on the repository, which must exist. It is
// for requests that read nothing, such as a ping.
func (s *Service) Authorized(ctx context.Context, repo RepositoryID, action string) error {
	_, err := s.onRepository(ctx, action, repo)
	return err
}

// AuthorizedDomain is [Service.Authorized] for a domain.
func (s *Service) AuthorizedDomain(ctx context.Context, id DomainID, action string) error {
	_, err := s.onDomain(ctx, action, id, authz.Request{})
	return err
}

// AuthorizedServiceBearerToken asks for sts:GetServiceBearerToken, which has no
// resource. keys are its condition keys. A caller of another account than the
// domain's owner needs it from the domain's policy too, so that the domain
// decides who gets tokens for it.
func (s *Service) AuthorizedServiceBearerToken(ctx context.Context, id DomainID, keys map[string][]string) error {
	req := authz.Request{Action: "sts:GetServiceBearerToken", Resource: "*", Account: id.Owner, Keys: keys}
	if d := s.snapshot.Load().domain(id); d != nil {
		req.Policies = policies(d.policy)
	}
	return s.authz.Authorize(ctx, &req)
}

// AuthorizedToWrite reports whether the caller may publish versions of the
// package, or change what is said about those that are there: for a door that
// reads a large request before it knows which of the two is meant, and which
// would read it for anybody otherwise. What is then done is decided by itself.
func (s *Service) AuthorizedToWrite(ctx context.Context, repo RepositoryID, p PackageID) error {
	_, err := s.onPackage(ctx, publishPackageVersion, repo, p)
	if err != nil && fault.From(err).Kind == fault.Denied {
		if _, other := s.onPackage(ctx, putPackageMetadata, repo, p); other == nil {
			return nil
		}
	}
	return err
}

// onAccount authorizes an action that is about no resource.
func (s *Service) onAccount(ctx context.Context, action string) error {
	return s.authz.Authorize(ctx, &authz.Request{Action: action, Resource: "*"})
}

// onDomain authorizes the action and returns the domain. more adds the
// request's tags and condition keys.
func (s *Service) onDomain(ctx context.Context, action string, id DomainID, more authz.Request) (*domain, error) {
	d := s.snapshot.Load().domain(id)
	more.Action, more.Resource, more.Account = action, id.ARN(), id.Owner
	if d != nil {
		more.Policies, more.ResourceTags = policies(d.policy), d.tags
	}
	if err := s.authz.Authorize(ctx, &more); err != nil {
		return nil, err
	}
	if d == nil {
		return nil, domainNotFound(id)
	}
	return d, nil
}

// onRepository authorizes the action and returns the repository.
func (s *Service) onRepository(ctx context.Context, action string, id RepositoryID) (*repository, error) {
	return s.onRepositoryWith(ctx, action, id, authz.Request{})
}

func (s *Service) onRepositoryWith(ctx context.Context, action string, id RepositoryID, more authz.Request) (*repository, error) {
	d, r := s.find(id)
	more.Action = action
	if r != nil {
		more.Resource, more.Account, more.ResourceTags = r.arn, r.account(ctx), r.tags
		more.Policies = policies(d.policy, r.policy)
	} else {
		more.Resource, more.Account = id.ARN(), id.Domain.Owner
		more.Policies = d.policies()
	}
	if err := s.authz.Authorize(ctx, &more); err != nil {
		return nil, err
	}
	return r, missing(d, r, id)
}

// onPackage authorizes the action on the package, whether it exists or not, and
// returns the repository.
func (s *Service) onPackage(ctx context.Context, action string, id RepositoryID, p PackageID) (*repository, error) {
	d, r := s.find(id)
	req := authz.Request{Action: action, Resource: id.PackageARN(p), Account: id.Domain.Owner, Policies: d.policies()}
	if r != nil {
		req.Account, req.Policies = r.account(ctx), policies(d.policy, r.policy)
	}
	if err := s.authz.Authorize(ctx, &req); err != nil {
		return nil, err
	}
	if err := missing(d, r, id); err != nil {
		return nil, err
	}
	return r, validPackage(p)
}

func (s *Service) find(id RepositoryID) (*domain, *repository) {
	d := s.snapshot.Load().domain(id.Domain)
	if d == nil {
		return nil, nil
	}
	return d, d.repositories[id.Name]
}

func missing(d *domain, r *repository, id RepositoryID) error {
	if d == nil {
		return domainNotFound(id.Domain)
	}
	if r == nil {
		return repositoryNotFound(id)
	}
	return nil
}

// policies of a domain that may not exist.
func (d *domain) policies() []*policy.Policy {
	if d == nil {
		return nil
	}
	return policies(d.policy)
}

func policies(all ...resourcePolicy) []*policy.Policy {
	var out []*policy.Policy
	for _, p := range all {
		if p.compiled != nil {
			out = append(out, p.compiled)
		}
	}
	return out
}

// account is the one whose callers the repository counts as its own: its
// administrator's for a caller from there, and otherwise the domain's owner.
func (r *repository) account(ctx context.Context) string {
	if c := authn.FromContext(ctx); c != nil && c.Account == r.administrator {
		return r.administrator
	}
	return r.id.Domain.Owner
}
