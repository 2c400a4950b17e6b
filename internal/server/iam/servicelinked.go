package iam

import (
	"context"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// A service-linked role belongs to a service of AWS's, which alone may assume it
// (IAM User Guide, "Create a service-linked role"). Here the server does itself
// what those services do, without the role: it exists for the sake of clients
// that create it first, and no one can assume it.

// serviceLinkedPath begins the path of every service-linked role.
const serviceLinkedPath = "/aws-service-role/"

// serviceLinked has the name and the policy of the role of each service that an
// artifact platform meets (Amazon ECR User Guide, "Using service-linked roles for
// Amazon ECR").
var serviceLinked = map[string]struct{ role, policy string }{
	"replication.ecr.amazonaws.com":      {"AWSServiceRoleForECRReplication", "ECRReplicationServiceRolePolicy"},
	"pullthroughcache.ecr.amazonaws.com": {"AWSServiceRoleForECRPullThroughCache", "AWSECRPullThroughCache_ServiceRolePolicy"},
}

// ServiceLinked reports whether the role is a service's, and cannot be changed.
func (r *Role) ServiceLinked() bool { return strings.HasPrefix(r.Path, serviceLinkedPath) }

// unmodifiable refuses the change of a service-linked role.
func (r *Role) unmodifiable() error {
	if !r.ServiceLinked() {
		return nil
	}
	return fault.New(fault.Invalid, "UnmodifiableEntity", "Cannot perform the operation on the protected role '%s' - this role is only modifiable by AWS.", r.Name)
}

// CreateServiceLinkedRole creates the role of a service. Faults: InvalidInput
// (the service is unknown or the role exists).
func (s *Service) CreateServiceLinkedRole(ctx context.Context, service, suffix, description string) (r *Role, err error) {
	c, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	linked, known := serviceLinked[service]
	name := linked.role
	path := serviceLinkedPath + service + "/"
	if err := s.authz.Authorize(ctx, &authz.Request{
		Action: "iam:CreateServiceLinkedRole", Resource: arn.New("iam", "", c.Account, "role"+path+name).String(),
		Keys: map[string][]string{"iam:AWSServiceName": {service}},
	}); err != nil {
		return nil, err
	}
	switch {
	case !known:
		return nil, invalidInput("%s has no service-linked role here. Those of ECR are replication.ecr.amazonaws.com and pullthroughcache.ecr.amazonaws.com.", service)
	case suffix != "":
		return nil, invalidInput("Custom suffix is not allowed for %s", service)
	}
	err = s.change(ctx, func(d *Draft) error {
		if d.taken(c.Account, KindRole, name) {
			return invalidInput("Service role name %s has been taken in this account, please try a different suffix.", name)
		}
		r = &Role{
			Common:      Common{ID: token.NewID(token.RoleID), Account: c.Account, Path: path, Name: name, Created: s.second()},
			Permissions: Permissions{Attached: []string{arn.New("iam", "", AWSAccount, "policy"+serviceLinkedPath+linked.policy).String()}},
			Description: description, MaxSession: DefaultMaxSession,
			Trust: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}]}`,
		}
		d.set(r)
		return nil
	})
	return r, err
}

// HasServiceLinkedRole reports whether the caller's account has the role of a service.
func (s *Service) HasServiceLinkedRole(ctx context.Context, service string) bool {
	c, err := caller(ctx)
	if err != nil {
		return false
	}
	_, exists := s.current.Load().named(c.Account, KindRole, serviceLinked[service].role)
	return exists
}

// DeleteServiceLinkedRole deletes the role of a service, and returns the id of
// the deletion, which is done. Faults: NoSuchEntity, InvalidInput.
func (s *Service) DeleteServiceLinkedRole(ctx context.Context, name string) (taskID string, err error) {
	err = s.change(ctx, func(d *Draft) error {
		r, err := find[*Role](ctx, s, d.Snapshot, KindRole, name, authz.Request{Action: "iam:DeleteServiceLinkedRole"})
		if err != nil {
			return err
		}
		if !r.ServiceLinked() {
			return invalidInput("The role %s is not a service-linked role: use DeleteRole.", name)
		}
		taskID = "task" + r.Path + r.Name + "/" + randid.UUID()
		d.remove(r)
		return nil
	})
	return taskID, err
}

// ServiceLinkedRoleDeleted reports whether the role is gone whose deletion has
// the id. It is not gone if it was created again since. Faults: NoSuchEntity if
// there is no such deletion.
func (s *Service) ServiceLinkedRoleDeleted(ctx context.Context, taskID string) (bool, error) {
	c, err := caller(ctx)
	if err != nil {
		return false, err
	}
	path, ok := strings.CutPrefix(taskID, "task"+serviceLinkedPath)
	parts := strings.Split(path, "/")
	ok = ok && len(parts) == 3 && serviceLinked[parts[0]].role == parts[1] && parts[1] != ""
	resource := "*"
	if ok {
		resource = arn.New("iam", "", c.Account, "role"+serviceLinkedPath+parts[0]+"/"+parts[1]).String()
	}
	if err := s.authz.Authorize(ctx, &authz.Request{Action: "iam:GetServiceLinkedRoleDeletionStatus", Resource: resource}); err != nil {
		return false, err
	}
	if !ok {
		return false, fault.New(fault.NotFound, "NoSuchEntity", "The deletion task %s cannot be found.", taskID)
	}
	_, exists := s.current.Load().named(c.Account, KindRole, parts[1])
	return !exists, nil
}
