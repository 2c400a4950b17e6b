package iam

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/token"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/resourcetags"
)

// A NewEntity is what a user, a group, a role or a managed policy begins with.
type NewEntity struct {
	// Path is "/" if it is empty.
	Path, Name string
	// Boundary is the ARN of the permissions boundary, or empty. Only users and
	// roles have one.
	Boundary string
	Tags     []Tag
}

// begin does what all creations have in common: it checks the form, authorizes,
// and checks that the name is free.
func (s *Service) begin(ctx context.Context, sn *Snapshot, kind Kind, prefix token.IDPrefix, n NewEntity) (Common, error) {
	var none Common
	path, err := CheckPath(n.Path)
	if err != nil {
		return none, err
	}
	if err := CheckName(kind, n.Name); err != nil {
		return none, err
	}
	n.Path = path
	return s.admit(ctx, sn, kind, prefix, n)
}

// admit is what is left of begin once path and name have the form of their kind.
func (s *Service) admit(ctx context.Context, sn *Snapshot, kind Kind, prefix token.IDPrefix, n NewEntity) (Common, error) {
	var none Common
	tags, err := MergeTags(nil, n.Tags)
	if err != nil {
		return none, err
	}
	c, err := caller(ctx)
	if err != nil {
		return none, err
	}
	req := authz.Request{
		Action:      "iam:Create" + string(kind),
		Resource:    arn.New("iam", "", c.Account, kind.Noun()+n.Path+n.Name).String(),
		RequestTags: resourcetags.Map(n.Tags),
		Keys:        boundaryKey(n.Boundary),
	}
	if err := s.authz.Authorize(ctx, &req); err != nil {
		return none, err
	}
	if len(n.Tags) > 0 {
		req.Action = "iam:Tag" + string(kind)
		if err := s.authz.Authorize(ctx, &req); err != nil {
			return none, err
		}
	}
	if sn.taken(c.Account, kind, n.Name) {
		return none, exists(kind, n.Name)
	}
	if n.Boundary != "" {
		if _, err := usable(sn, c.Account, n.Boundary); err != nil {
			return none, err
		}
	}
	return Common{ID: token.NewID(prefix), Account: c.Account, Path: n.Path, Name: n.Name, Created: s.second(), Tags: tags}, nil
}

// second is the moment, as exactly as IAM shows it.
func (s *Service) second() time.Time { return s.now().UTC().Truncate(time.Second) }

func exists(kind Kind, name string) error {
	if kind == KindPolicy {
		return fault.New(fault.Conflict, "EntityAlreadyExists", "A policy called %s already exists. Duplicate names are not allowed.", name).About(kind.Noun(), name)
	}
	return fault.New(fault.Conflict, "EntityAlreadyExists", "%s with name %s already exists.", kind, name).About(kind.Noun(), name)
}

// boundaryKey is the condition key for a permissions boundary in a request.
func boundaryKey(policyARN string) map[string][]string {
	if policyARN == "" {
		return nil
	}
	return map[string][]string{"iam:PermissionsBoundary": {policyARN}}
}

// boundaryActions are those that have the condition key iam:PermissionsBoundary
// from the user or role that they change (Service Authorization Reference, "AWS
// IAM"). So who may give permissions only within a boundary cannot give them to
// whom has none.
var boundaryActions = []string{
	"iam:AttachUserPolicy", "iam:DetachUserPolicy", "iam:PutUserPolicy", "iam:DeleteUserPolicy", "iam:DeleteUserPermissionsBoundary",
	"iam:AttachRolePolicy", "iam:DetachRolePolicy", "iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:DeleteRolePermissionsBoundary",
}

// withBoundary returns the keys with the permissions boundary of the entity,
// if the action has it.
func withBoundary(keys map[string][]string, action string, e Entity) map[string][]string {
	h, ok := e.(principalEntity)
	if !ok || h.permissions().Boundary == "" || !slices.Contains(boundaryActions, action) {
		return keys
	}
	with := boundaryKey(h.permissions().Boundary)
	maps.Copy(with, keys)
	return with
}

func conflict(format string, args ...any) error {
	return fault.New(fault.Conflict, "DeleteConflict", format, args...)
}

func limit(format string, args ...any) error {
	return fault.New(fault.Limit, "LimitExceeded", format, args...)
}
