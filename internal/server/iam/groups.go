package iam

import (
	"context"
	"slices"

	"github.com/gatehouse-registry/gatehouse/internal/server/token"

	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
)

// MaxGroups is the number of groups that a user can be in (IAM User Guide, "IAM
// and AWS STS quotas").
const MaxGroups = 10

// CreateGroup creates a group without members. Faults: ValidationError,
// EntityAlreadyExists.
func (s *Service) CreateGroup(ctx context.Context, path, name string) (g *Group, err error) {
	err = s.change(ctx, func(d *Draft) error {
		common, err := s.begin(ctx, d.Snapshot, KindGroup, token.GroupID, NewEntity{Path: path, Name: name})
		if err != nil {
			return err
		}
		g = &Group{Common: common}
		d.set(g)
		return nil
	})
	return g, err
}

// Group returns a group and a page of its members. Faults: NoSuchEntity.
func (s *Service) Group(ctx context.Context, name string, p Page) (*Group, Listing[*User], error) {
	sn := s.current.Load()
	g, err := find[*Group](ctx, s, sn, KindGroup, name, authz.Request{Action: "iam:GetGroup"})
	if err != nil {
		return nil, Listing[*User]{}, err
	}
	members := page(sn, g.Account, KindUser, p, func(u *User) bool { return slices.Contains(u.Groups, g.ID) })
	return g, members, nil
}

// Groups lists the groups of the caller's account.
func (s *Service) Groups(ctx context.Context, p Page) (Listing[*Group], error) {
	c, err := s.authorizeList(ctx, "iam:ListGroups", KindGroup, p.PathPrefix)
	if err != nil {
		return Listing[*Group]{}, err
	}
	return page(s.current.Load(), c.Account, KindGroup, p, all[*Group]), nil
}

// UpdateGroup is for groups what [Service.UpdateUser] is for users.
func (s *Service) UpdateGroup(ctx context.Context, name, newPath, newName string) error {
	return s.change(ctx, func(d *Draft) error {
		old, err := find[*Group](ctx, s, d.Snapshot, KindGroup, name, authz.Request{Action: "iam:UpdateGroup"})
		if err != nil {
			return err
		}
		g := *old
		return s.rename(ctx, d, &g, newPath, newName)
	})
}

// DeleteGroup deletes a group without members and policies. Faults:
// NoSuchEntity, DeleteConflict.
func (s *Service) DeleteGroup(ctx context.Context, name string) error {
	return s.change(ctx, func(d *Draft) error {
		g, err := find[*Group](ctx, s, d.Snapshot, KindGroup, name, authz.Request{Action: "iam:DeleteGroup"})
		if err != nil {
			return err
		}
		if err := undeclared(g); err != nil {
			return err
		}
		if d.uses(membershipOf(g.ID)) > 0 {
			return conflict("Cannot delete entity, must remove users from group first.")
		}
		if err := g.Permissions.empty(); err != nil {
			return err
		}
		d.remove(g)
		return nil
	})
}

// AddUserToGroup makes a user a member; a member stays one. Faults: NoSuchEntity,
// LimitExceeded.
func (s *Service) AddUserToGroup(ctx context.Context, group, user string) error {
	return s.regroup(ctx, "iam:AddUserToGroup", group, user, func(groups []string, id string) ([]string, error) {
		if slices.Contains(groups, id) {
			return groups, nil
		}
		if len(groups) == MaxGroups {
			return nil, TooManyGroups()
		}
		return append(slices.Clone(groups), id), nil
	})
}

func TooManyGroups() error {
	return limit("Cannot exceed quota for GroupsPerUser: %d", MaxGroups)
}

// RemoveUserFromGroup ends a membership. Faults: NoSuchEntity.
func (s *Service) RemoveUserFromGroup(ctx context.Context, group, user string) error {
	return s.regroup(ctx, "iam:RemoveUserFromGroup", group, user, func(groups []string, id string) ([]string, error) {
		return without(groups, id), nil
	})
}

func (s *Service) regroup(ctx context.Context, action, group, user string, edit func(groups []string, id string) ([]string, error)) error {
	return s.change(ctx, func(d *Draft) error {
		g, err := find[*Group](ctx, s, d.Snapshot, KindGroup, group, authz.Request{Action: action})
		if err != nil {
			return err
		}
		old, ok := d.named(g.Account, KindUser, user)
		if !ok {
			return NoSuchEntity(KindUser, user)
		}
		u := *old.(*User)
		groups, err := edit(u.Groups, g.ID)
		if err != nil || slices.Equal(groups, u.Groups) {
			return err
		}
		u.Groups = groups
		d.set(&u)
		return nil
	})
}

// without returns a copy of list without s.
func without(list []string, s string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(x string) bool { return x == s })
}
