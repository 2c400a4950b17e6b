package images

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// Roles finds the roles as which this service does something. It is *iam.Service.
type Roles interface {
	// AsService returns who a service is after it has assumed a role. Faults:
	// NoSuchEntity, and AccessDenied if the role does not trust the service.
	AsService(roleARN, service string) (*authn.Principal, error)
}

// pushTarget is [Service.authorize] for the beginning of a push. A repository that does not
// exist is created if a template for it is applied to pushes, and the caller is allowed
// ecr:CreateRepository on it too. Faults: AccessDenied, RepositoryNotFound, and those of
// [Service.createForCause].
func (s *Service) pushTarget(ctx context.Context, id RepositoryID, actions ...string) (*Repository, error) {
	repo, err := s.authorize(ctx, id, actions...)
	if !fault.Is(err, "RepositoryNotFound") {
		return repo, err
	}
	t := s.registries.get(id.registry()).template(id.Name, CauseCreateOnPush)
	if t == nil {
		return nil, err
	}
	if err := s.authorizeRequest(ctx, id, nil, authz.Request{Action: "ecr:CreateRepository", RequestTags: t.Settings.Tags}); err != nil {
		return nil, err
	}
	if _, err := s.createForCause(ctx, id, CauseCreateOnPush); err != nil {
		return nil, err
	}
	return s.authorize(ctx, id, actions...) // the policy and the tags of the template count
}

// createForCause creates a repository that no client has created by name: with the
// template of its registry for the cause, or with the default settings. If the repository
// exists, it is returned as it is. Two calls at once, also on two servers, create one
// repository. What is created is durable, known to every server and has an audit record
// when the call returns.
//
// It does not authorize: the caller must have done it, with ecr:CreateRepository on the
// repository (with the tags of the template as request tags) or what stands for it.
//
// Faults: InvalidParameter if the name is not one of a repository; RepositoryNotFound if
// the cause is a push and no template is for it; TemplateRoleUnusable if the template needs
// a role that it does not have, or that may not create the repository; TooManyRepositories.
func (s *Service) createForCause(ctx context.Context, id RepositoryID, cause Cause) (*Repository, error) {
	if err := checkRepositoryName(id.Name); err != nil {
		return nil, err
	}
	for {
		c := creation{s: s, ctx: ctx, id: id, cause: cause}
		repo, err := s.changeRepository(ctx, id, c.run)
		if errors.Is(err, errCreatedMeanwhile) {
			continue // by another server: the next attempt finds it
		}
		if err != nil || !c.created {
			return repo, err
		}
		return repo, c.record(repo)
	}
}

// errCreatedMeanwhile ends a transaction that found the name taken only when it inserted
// it.
var errCreatedMeanwhile = errors.New("images: another server created the repository")

// A creation is the transaction of [Service.createForCause].
type creation struct {
	s     *Service
	ctx   context.Context
	id    RepositoryID
	cause Cause
	// template is the one that was used, or nil.
	template *Template
	created  bool
}

func (c *creation) run(tx *db.Tx) (_ *Repository, changed bool, err error) {
	c.template, c.created = nil, false
	r, err := db.One(c.ctx, tx, scanRepository(c.s.repositories.get(c.id)), `SELECT `+repositoryColumns+` FROM image_repository WHERE account = $1 AND region = $2 AND name = $3`, c.id.Account, c.id.Region, c.id.Name)
	if !errors.Is(err, db.ErrNoRows) {
		return r, false, err
	}
	registry, err := readRegistry(c.ctx, tx, c.id.registry()) // memory may be older
	if err != nil {
		return nil, false, err
	}
	t := registry.template(c.id.Name, c.cause)
	if t == nil && c.cause == CauseCreateOnPush {
		return nil, false, repositoryNotFound(c.id)
	}
	r = &Repository{ID: c.id, Created: c.s.now().UTC().Truncate(time.Microsecond), row: randid.Row()}
	if t == nil {
		r.Settings = Settings{Mutability: Mutable, Encryption: Encryption{Type: "AES256"}}
	} else {
		if err := c.s.authorizeRole(c.ctx, c.id, t); err != nil {
			return nil, false, err
		}
		r.Settings, r.Policy = t.Settings, t.RepositoryPolicy
	}
	if err := c.s.insertRepository(c.ctx, tx, r); err != nil {
		if fault.Is(err, "RepositoryAlreadyExists") {
			err = errCreatedMeanwhile
		}
		return nil, false, err
	}
	if t != nil && t.LifecyclePolicy != "" {
		if err := c.s.setLifecycle(c.ctx, tx, r, t.LifecyclePolicy); err != nil {
			return nil, false, err
		}
	}
	c.template, c.created = t, true
	return r, true, nil
}

// authorizeRole authorizes the role of a template, as which a repository is created. A
// template with tags or a KMS key needs one (Amazon ECR User Guide, "Templates to control
// repositories created during …").
func (s *Service) authorizeRole(ctx context.Context, id RepositoryID, t *Template) error {
	if t.RoleARN == "" {
		if len(t.Settings.Tags) > 0 || t.Settings.Encryption.usesKMS() {
			return roleUnusable(id, t, nil, "it has tags or KMS encryption, and no custom role. Set customRoleArn to a role that ecr.amazonaws.com can assume")
		}
		return nil
	}
	p, err := s.roles.AsService(t.RoleARN, ecrService)
	if err != nil {
		return roleUnusable(id, t, err, "its custom role "+t.RoleARN+" does not exist or does not trust "+ecrService)
	}
	ctx = authn.WithCaller(ctx, &authn.Caller{Principal: p, Region: id.Region, Secure: true, Time: s.now()})
	requests := []authz.Request{{Action: "ecr:CreateRepository", RequestTags: t.Settings.Tags}}
	if len(t.Settings.Tags) > 0 {
		requests = append(requests, authz.Request{Action: "ecr:TagResource", RequestTags: t.Settings.Tags})
	}
	for _, req := range requests {
		if err := s.authorizeRequest(ctx, id, nil, req); err != nil {
			return roleUnusable(id, t, err, "its custom role "+t.RoleARN+" is not allowed to perform "+req.Action)
		}
	}
	return nil
}

func roleUnusable(id RepositoryID, t *Template, cause error, why string) error {
	return fault.Wrap(cause, fault.Denied, "TemplateRoleUnusable", "The repository with name '%s' was not created. The repository creation template with prefix '%s' cannot be used: %s.", id.Name, t.Prefix, why)
}

// A creationLog is what the audit log has about a repository that the server created.
type creationLog struct {
	RepositoryName string `json:"repositoryName"`
	Cause          Cause  `json:"appliedFor"`
	Template       string `json:"repositoryCreationTemplatePrefix,omitempty"`
	RoleARN        string `json:"customRoleArn,omitempty"`
	// Caller is whose request was the cause; empty for background work.
	Caller string `json:"callerArn,omitempty"`
}

// record writes the audit record.
func (c *creation) record(repo *Repository) error {
	details := creationLog{RepositoryName: c.id.Name, Cause: c.cause, Caller: callerARN(c.ctx)}
	if c.template != nil {
		details.Template, details.RoleARN = c.template.Prefix, c.template.RoleARN
	}
	return c.s.recordDetails(c.ctx, "CreateRepository", repo, details)
}
