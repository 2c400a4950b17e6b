package iam

import (
	"context"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// The bounds of a role's MaxSession, in seconds; the lower one is the default
// (IAM API Reference, CreateRole).
const (
	DefaultMaxSession = 3600
	maxMaxSession     = 43200
)

// A RoleChange is what UpdateRole changes; nil stays.
type RoleChange struct {
	Description *string
	// MaxSession is in seconds.
	MaxSession *int
}

// CreateRole creates a role without any permission. A maxSession of 0 is an
// hour. Faults: ValidationError, InvalidInput, EntityAlreadyExists,
// NoSuchEntity (the boundary), MalformedPolicyDocument, LimitExceeded.
func (s *Service) CreateRole(ctx context.Context, n NewEntity, description, trust string, maxSession int) (r *Role, err error) {
	if maxSession == 0 {
		maxSession = DefaultMaxSession
	}
	if err := CheckMaxSession(maxSession); err != nil {
		return nil, err
	}
	if strings.HasPrefix(n.Path, serviceLinkedPath) {
		return nil, invalidInput("The path %s is reserved for service-linked roles. Use CreateServiceLinkedRole.", serviceLinkedPath)
	}
	err = s.change(ctx, func(d *Draft) error {
		common, err := s.begin(ctx, d.Snapshot, KindRole, token.RoleID, n)
		if err != nil {
			return err
		}
		bound, err := d.bindTrust(trust)
		if err != nil {
			return err
		}
		r = &Role{Common: common, Permissions: Permissions{Boundary: n.Boundary}, Description: description, MaxSession: maxSession, Trust: bound}
		d.set(r)
		return nil
	})
	return r, err
}

func CheckMaxSession(seconds int) error {
	if seconds < DefaultMaxSession || seconds > maxMaxSession {
		return invalid("The specified value for MaxSessionDuration is invalid. It must be between %d and %d seconds.", DefaultMaxSession, maxMaxSession)
	}
	return nil
}

// Role returns a role of the caller's account. Faults: NoSuchEntity.
func (s *Service) Role(ctx context.Context, name string) (*Role, error) {
	return find[*Role](ctx, s, s.current.Load(), KindRole, name, authz.Request{Action: "iam:GetRole"})
}

// RoleLastUsed is when a session of the role signed a request last, nil if
// none did that is known.
func (s *Service) RoleLastUsed(r *Role) *KeyUse { return s.uses.last(r.ID) }

// Roles lists the roles of the caller's account.
func (s *Service) Roles(ctx context.Context, p Page) (Listing[*Role], error) {
	c, err := s.authorizeList(ctx, "iam:ListRoles", KindRole, p.PathPrefix)
	if err != nil {
		return Listing[*Role]{}, err
	}
	return page(s.current.Load(), c.Account, KindRole, p, all[*Role]), nil
}

// UpdateRole changes the description and the longest session of a role. Faults:
// NoSuchEntity, ValidationError.
func (s *Service) UpdateRole(ctx context.Context, name string, c RoleChange) (updated *Role, err error) {
	err = s.editRole(ctx, "iam:UpdateRole", name, func(_ *Draft, r *Role) error {
		updated = r
		if c.Description != nil {
			r.Description = *c.Description
		}
		if c.MaxSession != nil {
			r.MaxSession = *c.MaxSession
		}
		return CheckMaxSession(r.MaxSession)
	})
	return updated, err
}

// UpdateTrustPolicy replaces the trust policy of a role. Faults: NoSuchEntity,
// MalformedPolicyDocument, LimitExceeded.
func (s *Service) UpdateTrustPolicy(ctx context.Context, name, trust string) error {
	return s.editRole(ctx, "iam:UpdateAssumeRolePolicy", name, func(d *Draft, r *Role) (err error) {
		r.Trust, err = d.bindTrust(trust)
		return err
	})
}

func (s *Service) editRole(ctx context.Context, action, name string, fn func(*Draft, *Role) error) error {
	return s.edit(ctx, KindRole, name, authz.Request{Action: action}, func(d *Draft, h principalEntity) error {
		return fn(d, h.(*Role))
	})
}

// DeleteRole deletes a role without policies. Its sessions end with it. Faults:
// NoSuchEntity, DeleteConflict.
func (s *Service) DeleteRole(ctx context.Context, name string) error {
	return s.change(ctx, func(d *Draft) error {
		r, err := find[*Role](ctx, s, d.Snapshot, KindRole, name, authz.Request{Action: "iam:DeleteRole"})
		if err != nil {
			return err
		}
		if err := undeclared(r); err != nil {
			return err
		}
		if err := r.unmodifiable(); err != nil {
			return err
		}
		if err := r.Permissions.empty(); err != nil {
			return err
		}
		d.remove(r)
		return nil
	})
}

// InstanceProfiles reports whether the caller may list a role's instance
// profiles and whether there is that role; it has none. Faults: NoSuchEntity.
func (s *Service) InstanceProfiles(ctx context.Context, role string) error {
	_, err := find[*Role](ctx, s, s.current.Load(), KindRole, role, authz.Request{Action: "iam:ListInstanceProfilesForRole"})
	return err
}
