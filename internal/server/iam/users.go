package iam

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/server/token"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/resourcetags"
)

// CreateUser creates a user without any permission. Faults: ValidationError,
// InvalidInput, EntityAlreadyExists, NoSuchEntity (the boundary), LimitExceeded.
func (s *Service) CreateUser(ctx context.Context, n NewEntity) (u *User, err error) {
	err = s.change(ctx, func(d *Draft) error {
		common, err := s.begin(ctx, d.Snapshot, KindUser, token.UserID, n)
		if err != nil {
			return err
		}
		u = &User{Common: common, Permissions: Permissions{Boundary: n.Boundary}}
		d.set(u)
		return nil
	})
	return u, err
}

// User returns a user of the caller's account; the caller, if name is empty.
// Faults: NoSuchEntity, and ValidationError if the caller is not a user.
func (s *Service) User(ctx context.Context, name string) (*User, error) {
	name, err := orCaller(ctx, name)
	if err != nil {
		return nil, err
	}
	return find[*User](ctx, s, s.current.Load(), KindUser, name, authz.Request{Action: "iam:GetUser"})
}

// orCaller returns name or, if it is empty, the name of the user who calls.
func orCaller(ctx context.Context, name string) (string, error) {
	if name != "" {
		return name, nil
	}
	c, err := caller(ctx)
	if err != nil {
		return "", err
	}
	if c.Type != authn.User {
		return "", invalid("Must specify userName when calling with non-User credentials")
	}
	return c.Name, nil
}

// Users lists the users of the caller's account.
func (s *Service) Users(ctx context.Context, p Page) (Listing[*User], error) {
	c, err := s.authorizeList(ctx, "iam:ListUsers", KindUser, p.PathPrefix)
	if err != nil {
		return Listing[*User]{}, err
	}
	return page(s.current.Load(), c.Account, KindUser, p, all[*User]), nil
}

// UpdateUser gives a user another name, another path, or both; what is empty
// stays. The user stays the same one, with the same unique id and keys. Faults:
// ValidationError, NoSuchEntity, EntityAlreadyExists.
func (s *Service) UpdateUser(ctx context.Context, name, newPath, newName string) error {
	return s.change(ctx, func(d *Draft) error {
		old, err := find[*User](ctx, s, d.Snapshot, KindUser, name, authz.Request{Action: "iam:UpdateUser"})
		if err != nil {
			return err
		}
		u := *old
		return s.rename(ctx, d, &u, newPath, newName)
	})
}

// rename gives e, a copy, another path and another name, if they are not
// empty. The caller needs the permission for the old ARN, which was checked, and
// for the new one (IAM API Reference, UpdateUser and UpdateGroup).
func (s *Service) rename(ctx context.Context, d *Draft, e Entity, newPath, newName string) error {
	c, kind := e.Base(), e.Kind()
	if newName != "" {
		if err := CheckName(kind, newName); err != nil {
			return err
		}
		c.Name = newName
	}
	if newPath != "" {
		path, err := CheckPath(newPath)
		if err != nil {
			return err
		}
		c.Path = path
	}
	err := s.authz.Authorize(ctx, &authz.Request{Action: "iam:Update" + string(kind), Resource: ARNOf(e), ResourceTags: resourcetags.Map(c.Tags)})
	if err != nil {
		return err
	}
	if other, ok := d.byName.Get(keyOf(e)); ok && other.Base().ID != c.ID {
		return exists(kind, c.Name)
	}
	d.set(e)
	return nil
}

// DeleteUser deletes a user who has nothing left: no access keys, policies or
// groups. Faults: NoSuchEntity, DeleteConflict.
func (s *Service) DeleteUser(ctx context.Context, name string) error {
	return s.change(ctx, func(d *Draft) error {
		u, err := find[*User](ctx, s, d.Snapshot, KindUser, name, authz.Request{Action: "iam:DeleteUser"})
		if err != nil {
			return err
		}
		if err := undeclared(u); err != nil {
			return err
		}
		switch {
		case len(u.Keys) > 0:
			return conflict("Cannot delete entity, must delete access keys first.")
		case len(u.Groups) > 0:
			return conflict("Cannot delete entity, must remove users from group first.")
		}
		if err := u.Permissions.empty(); err != nil {
			return err
		}
		d.remove(u)
		return nil
	})
}

// UserGroups lists the groups of a user. Faults: NoSuchEntity.
func (s *Service) UserGroups(ctx context.Context, name string) ([]*Group, error) {
	sn := s.current.Load()
	u, err := find[*User](ctx, s, sn, KindUser, name, authz.Request{Action: "iam:ListGroupsForUser"})
	if err != nil {
		return nil, err
	}
	var groups []*Group
	for _, id := range u.Groups {
		if g, ok := get[*Group](sn, id); ok {
			groups = append(groups, g)
		}
	}
	return groups, nil
}

// CheckUser reports whether the caller may do an action on a user, and whether
// there is that user. It serves the lists of credentials that do not exist here
// (MFA devices, SSH keys, certificates), which are empty for every user. An
// empty name is the caller's. Faults: NoSuchEntity, ValidationError.
func (s *Service) CheckUser(ctx context.Context, action, name string) error {
	name, err := orCaller(ctx, name)
	if err != nil {
		return err
	}
	_, err = find[*User](ctx, s, s.current.Load(), KindUser, name, authz.Request{Action: action})
	return err
}

// LoginProfile is the password of a user for the console, which no one has.
// Faults: NoSuchEntity, always.
func (s *Service) LoginProfile(ctx context.Context, action, name string) error {
	name, err := orCaller(ctx, name)
	if err != nil {
		return err
	}
	if err := s.CheckUser(ctx, action, name); err != nil {
		return err
	}
	return fault.New(fault.NotFound, "NoSuchEntity", "Login Profile for User %s cannot be found.", name)
}
