package packages

import (
	"context"
	"strconv"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
)

// The CodeArtifact User Guide, "Interaction between repository and domain policies",
// says which policies apply: none to operations on an account, the domain's to a
// domain, and the domain's and the repository's to a repository and the packages in
// it. If these policies say nothing, callers of the account that owns the domain or
// administers the repository need only their own permission, and all others are
// refused.

// Authorized reports whether the caller may do the action (such as
// "codeartifact:ReadFromRepository") on the repository, which must exist. It is
// for requests that read nothing else, such as a ping.
func (s *Service) Authorized(ctx context.Context, repo RepositoryID, action string) error {
	_, err := s.authorizeRepository(ctx, action, repo)
	return err
}

// AuthorizeToken authorizes the caller to get a token for the repositories of a domain,
// for the time of life: codeartifact:GetAuthorizationToken on the domain, and
// sts:GetServiceBearerToken. Root never gets one.
func (s *Service) AuthorizeToken(ctx context.Context, id DomainID, life time.Duration) error {
	const action = "codeartifact:GetAuthorizationToken"
	if c := authn.FromContext(ctx); c != nil && c.Type == authn.Root {
		return fault.New(fault.Denied, "AccessDenied",
			"User: %s is not authorized to perform: %s on resource: %s because the root user cannot call this operation; use a user or a role", c.ARN, action, id.ARN())
	}
	_, err := s.authorizeDomain(ctx, action, id, authz.Request{})
	if err != nil && !fault.Is(err, "ResourceNotFound") {
		return err
	}
	if denied := s.authorizeServiceBearerToken(ctx, id, life); denied != nil {
		return denied
	}
	return err
}

// authorizeServiceBearerToken authorizes sts:GetServiceBearerToken, which has no
// resource. For a caller of another account, the domain's policy must allow it too, so
// the domain decides who gets tokens for it.
func (s *Service) authorizeServiceBearerToken(ctx context.Context, id DomainID, life time.Duration) error {
	req := authz.Request{Action: "sts:GetServiceBearerToken", Resource: "*", Account: id.Owner, Keys: map[string][]string{
		"sts:AWSServiceName":  {"codeartifact.amazonaws.com"},
		"sts:DurationSeconds": {strconv.FormatInt(int64(life/time.Second), 10)},
	}}
	if d := s.snapshot.Load().domain(id); d != nil {
		req.Policies = policies(d.policy)
	}
	return s.authz.Authorize(ctx, &req)
}

// AuthorizedPackage is [Service.Authorized] for a package, which need not exist.
// Handlers ask it before they read a body.
func (s *Service) AuthorizedPackage(ctx context.Context, repo RepositoryID, p PackageID, action string) error {
	_, err := s.authorizePackage(ctx, action, repo, p)
	return err
}

// AuthorizedToWrite reports whether the caller may publish versions of the package
// or change their metadata. A handler that must read a large request to know which of
// the two it is asks this first. The operation itself is authorized again.
func (s *Service) AuthorizedToWrite(ctx context.Context, repo RepositoryID, p PackageID) error {
	_, err := s.authorizePackage(ctx, publishPackageVersion, repo, p)
	if err != nil && fault.From(err).Kind == fault.Denied {
		if _, other := s.authorizePackage(ctx, putPackageMetadata, repo, p); other == nil {
			return nil
		}
	}
	return err
}

// authorizeAccount authorizes an action that has no resource.
func (s *Service) authorizeAccount(ctx context.Context, action string) error {
	return s.authz.Authorize(ctx, &authz.Request{Action: action, Resource: "*"})
}

// authorizeDomain authorizes the action and returns the domain. more adds the
// request's tags and condition keys.
func (s *Service) authorizeDomain(ctx context.Context, action string, id DomainID, more authz.Request) (*domain, error) {
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

// authorizeRepository authorizes the action and returns the repository.
func (s *Service) authorizeRepository(ctx context.Context, action string, id RepositoryID) (*repository, error) {
	// A rule about versions is none about a request that reads no version.
	r, err := s.authorizeRepositoryWith(ctx, action, id, authz.Request{PerVersion: action == readFromRepository})
	if err == nil && action != readFromRepository { // who reads gets what is being stored from the spool
		err = s.settle(ctx, r, nil)
	}
	return r, err
}

func (s *Service) authorizeRepositoryWith(ctx context.Context, action string, id RepositoryID, more authz.Request) (*repository, error) {
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
	return r, checkExists(d, r, id)
}

// authorizePackage authorizes the action on the package, whether it exists or not, and
// returns the repository.
func (s *Service) authorizePackage(ctx context.Context, action string, id RepositoryID, p PackageID) (*repository, error) {
	d, r := s.find(id)
	req := authz.Request{Action: action, Resource: id.PackageARN(p), Account: id.Domain.Owner, Policies: d.policies(), PerVersion: action == getPackageVersionAsset}
	if r != nil {
		req.Account, req.Policies = r.account(ctx), policies(d.policy, r.policy)
	}
	if err := s.authz.Authorize(ctx, &req); err != nil {
		return nil, err
	}
	if err := checkExists(d, r, id); err != nil {
		return nil, err
	}
	if err := validPackage(p); err != nil {
		return nil, err
	}
	return r, s.settle(ctx, r, &p)
}

func (s *Service) find(id RepositoryID) (*domain, *repository) {
	d := s.snapshot.Load().domain(id.Domain)
	if d == nil {
		return nil, nil
	}
	return d, d.repository(id.Name)
}

func checkExists(d *domain, r *repository, id RepositoryID) error {
	if d == nil {
		return domainNotFound(id.Domain)
	}
	if r == nil {
		return repositoryNotFound(id)
	}
	return nil
}

// policies are the policies of a domain, which may be nil.
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

// account is the account whose callers need no resource policy: the administrator's
// for a caller of that account, and otherwise the domain owner's.
func (r *repository) account(ctx context.Context) string {
	if c := authn.FromContext(ctx); c != nil && c.Account == r.administrator {
		return r.administrator
	}
	return r.id.Domain.Owner
}
