package packages

import (
	"context"
	"errors"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A PermissionsPolicy is the resource policy of a domain or a repository.
type PermissionsPolicy struct {
	ResourceARN string
	Document    string
	// Revision changes with every change of the policy. A caller who passes it
	// changes the policy only if it is still the one that the caller read.
	Revision string
}

// policyView is the policy of the resource, with ARNs for users and roles.
func (s *Service) policyView(p resourcePolicy, arn string) PermissionsPolicy {
	return PermissionsPolicy{arn, s.principals.ShowPrincipals(p.document), p.revision}
}

// DomainPolicy returns a domain's policy. Fault ResourceNotFound: it has none. codeartifact:GetDomainPermissionsPolicy on the domain.
func (s *Service) DomainPolicy(ctx context.Context, id DomainID) (PermissionsPolicy, error) {
	d, err := s.authorizeDomain(ctx, "codeartifact:GetDomainPermissionsPolicy", id, authz.Request{})
	if err != nil {
		return PermissionsPolicy{}, err
	}
	return s.policyOrNotFound(d.policy, d.id.ARN(), typeDomain, id.Name)
}

// SetDomainPolicy replaces a domain's policy. Fault Conflict: the revision is not
// empty and not the current one.
// codeartifact:PutDomainPermissionsPolicy on the domain.
func (s *Service) SetDomainPolicy(ctx context.Context, id DomainID, document, revision string) (PermissionsPolicy, error) {
	d, err := s.authorizeDomain(ctx, "codeartifact:PutDomainPermissionsPolicy", id, authz.Request{})
	if err != nil {
		return PermissionsPolicy{}, err
	}
	if document, err = s.bindPolicy(document); err != nil {
		return PermissionsPolicy{}, err
	}
	return s.setPolicy(ctx, id, d.policyTable(), document, revision)
}

// DeleteDomainPolicy removes a domain's policy and returns it; the revision works as
// in SetDomainPolicy. codeartifact:DeleteDomainPermissionsPolicy on the
// domain.
func (s *Service) DeleteDomainPolicy(ctx context.Context, id DomainID, revision string) (PermissionsPolicy, error) {
	d, err := s.authorizeDomain(ctx, "codeartifact:DeleteDomainPermissionsPolicy", id, authz.Request{})
	if err != nil {
		return PermissionsPolicy{}, err
	}
	return s.setPolicy(ctx, id, d.policyTable(), "", revision)
}

// RepositoryPolicy returns a repository's policy. Fault ResourceNotFound: it has
// none. codeartifact:GetRepositoryPermissionsPolicy on the
// repository.
func (s *Service) RepositoryPolicy(ctx context.Context, id RepositoryID) (PermissionsPolicy, error) {
	r, err := s.authorizeRepository(ctx, "codeartifact:GetRepositoryPermissionsPolicy", id)
	if err != nil {
		return PermissionsPolicy{}, err
	}
	return s.policyOrNotFound(r.policy, r.arn, typeRepository, id.Name)
}

// SetRepositoryPolicy replaces a repository's policy; the revision works as in
// SetDomainPolicy. The current policy of the repository is not evaluated, because it
// could lock everybody out for good (User Guide, "Interaction between repository and
// domain policies"). codeartifact:PutRepositoryPermissionsPolicy on the
// repository.
func (s *Service) SetRepositoryPolicy(ctx context.Context, id RepositoryID, document, revision string) (PermissionsPolicy, error) {
	const action = "codeartifact:PutRepositoryPermissionsPolicy"
	d, r := s.find(id)
	req := authz.Request{Action: action, Resource: id.ARN(), Account: id.Domain.Owner, Policies: d.policies()}
	if r != nil {
		req.Account, req.ResourceTags = r.account(ctx), r.tags
	}
	if err := s.authz.Authorize(ctx, &req); err != nil {
		return PermissionsPolicy{}, err
	}
	if err := checkExists(d, r, id); err != nil {
		return PermissionsPolicy{}, err
	}
	document, err := s.bindPolicy(document)
	if err != nil {
		return PermissionsPolicy{}, err
	}
	return s.setPolicy(ctx, id.Domain, r.policyTable(), document, revision)
}

// DeleteRepositoryPolicy removes a repository's policy and returns it; the revision
// works as in SetDomainPolicy.
// codeartifact:DeleteRepositoryPermissionsPolicy on the repository.
func (s *Service) DeleteRepositoryPolicy(ctx context.Context, id RepositoryID, revision string) (PermissionsPolicy, error) {
	r, err := s.authorizeRepository(ctx, "codeartifact:DeleteRepositoryPermissionsPolicy", id)
	if err != nil {
		return PermissionsPolicy{}, err
	}
	return s.setPolicy(ctx, id.Domain, r.policyTable(), "", revision)
}

func (s *Service) policyOrNotFound(p resourcePolicy, arn, resourceType, name string) (PermissionsPolicy, error) {
	if p.document == "" {
		return PermissionsPolicy{}, noPolicy(resourceType, name)
	}
	return s.policyView(p, arn), nil
}

func noPolicy(resourceType, name string) error {
	return fault.New(fault.NotFound, "ResourceNotFound", "The %s %s has no permissions policy.", resourceType, name).About(resourceType, name)
}

// maxPolicy is the length of the longest policy document, in characters (CodeArtifact API Reference, PolicyDocument).
const maxPolicy = 7168

// bindPolicy checks a policy document and replaces its principals with their unique ids.
func (s *Service) bindPolicy(document string) (string, error) {
	if document == "" || len([]rune(document)) > maxPolicy {
		return "", invalid("A policy document has 1 to %d characters.", maxPolicy)
	}
	if _, err := policy.Parse(document, policy.Resource); err != nil {
		var malformed *policy.MalformedError
		if errors.As(err, &malformed) {
			return "", invalid("The policy document is not valid: %s", malformed)
		}
		return "", err
	}
	bound, err := s.principals.BindPrincipals(document)
	if fault.Is(err, "MalformedPolicyDocument") {
		return "", invalid("The policy document is not valid: %s", fault.From(err).Message)
	}
	return bound, err
}

// A policyTable names the row that has the policy of a resource.
type policyTable struct {
	delta              delta
	table, row         string
	arn                string
	resourceType, name string
	notFound           error
}

func (d *domain) policyTable() policyTable {
	return policyTable{delta{domain: true}, "pkg_domain", d.row, d.id.ARN(), typeDomain, d.id.Name, domainNotFound(d.id)}
}

func (r *repository) policyTable() policyTable {
	return policyTable{delta{repository: r.id.Name}, "pkg_repository", r.row, r.arn, typeRepository, r.id.Name, repositoryNotFound(r.id)}
}

// setPolicy replaces the policy and returns the new one. If document is empty, it
// removes the policy and returns the removed one.
func (s *Service) setPolicy(ctx context.Context, id DomainID, t policyTable, document, revision string) (PermissionsPolicy, error) {
	t.delta.policy.document = document
	if err := t.delta.policy.compile(t.arn); err != nil {
		return PermissionsPolicy{}, err
	}
	var out PermissionsPolicy
	err := s.changeDomain(ctx, id, t.delta, func(tx *db.Tx) error {
		old, err := db.One(ctx, tx, func(r db.Row) (p resourcePolicy, err error) {
			err = r.Scan(&p.document, &p.revision)
			return p, err
		}, `SELECT policy, policy_revision FROM `+t.table+` WHERE id = $1`, t.row)
		if err != nil {
			return orNotFound(err, t.notFound)
		}
		if document == "" && old.document == "" {
			return noPolicy(t.resourceType, t.name)
		}
		if revision != "" && revision != old.revision {
			return conflict(t.resourceType, t.name, "The revision of the policy is not %s any more. Read the policy and try again.", revision)
		}
		next := resourcePolicy{document: document}
		if out = s.policyView(old, t.arn); document != "" {
			next.revision = newRevision()
			out = s.policyView(next, t.arn)
		}
		_, err = tx.Exec(ctx, `UPDATE `+t.table+` SET policy = $2, policy_revision = $3 WHERE id = $1`, t.row, next.document, next.revision)
		return err
	})
	return out, err
}
