package iamapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
)

func registerGroups(s *wire.Service, a *API) {
	wire.Handle(s, a.CreateGroup)
	wire.Handle(s, a.GetGroup)
	wire.Handle(s, a.ListGroups)
	wire.Handle(s, a.UpdateGroup)
	wire.Handle(s, a.DeleteGroup)
	wire.Handle(s, a.AddUserToGroup)
	wire.Handle(s, a.RemoveUserFromGroup)
	registerGroupPermissions(s, a)
}

func groupOut(g *iam.Group) types.Group {
	return types.Group{Arn: new(g.ARN()), GroupId: &g.ID, GroupName: &g.Name, Path: &g.Path, CreateDate: &g.Created}
}

// CreateGroup creates a group.
func (a *API) CreateGroup(ctx context.Context, in *api.CreateGroupInput) (*api.CreateGroupOutput, error) {
	g, err := a.iam.CreateGroup(ctx, aws.ToString(in.Path), *in.GroupName)
	if err != nil {
		return nil, err
	}
	return &api.CreateGroupOutput{Group: new(groupOut(g))}, nil
}

// GetGroup returns a group and its members.
func (a *API) GetGroup(ctx context.Context, in *api.GetGroupInput) (*api.GetGroupOutput, error) {
	list := pagetoken.NewScope("GetGroup", *in.GroupName)
	p, err := page(list, nil, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	g, members, err := a.iam.Group(ctx, *in.GroupName, p)
	if err != nil {
		return nil, err
	}
	return &api.GetGroupOutput{
		Group: new(groupOut(g)), Users: convert(members.Entries, listedUser),
		IsTruncated: members.Next != "", Marker: nextMarker(list, members.Next),
	}, nil
}

// ListGroups lists groups.
func (a *API) ListGroups(ctx context.Context, in *api.ListGroupsInput) (*api.ListGroupsOutput, error) {
	list := pagetoken.NewScope("ListGroups", aws.ToString(in.PathPrefix))
	p, err := page(list, in.PathPrefix, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	l, err := a.iam.Groups(ctx, p)
	if err != nil {
		return nil, err
	}
	return &api.ListGroupsOutput{Groups: convert(l.Entries, groupOut), IsTruncated: l.Next != "", Marker: nextMarker(list, l.Next)}, nil
}

// UpdateGroup renames or moves a group.
func (a *API) UpdateGroup(ctx context.Context, in *api.UpdateGroupInput) (*api.UpdateGroupOutput, error) {
	return emptyOutput[api.UpdateGroupOutput](a.iam.UpdateGroup(ctx, *in.GroupName, aws.ToString(in.NewPath), aws.ToString(in.NewGroupName)))
}

// DeleteGroup deletes a group.
func (a *API) DeleteGroup(ctx context.Context, in *api.DeleteGroupInput) (*api.DeleteGroupOutput, error) {
	return emptyOutput[api.DeleteGroupOutput](a.iam.DeleteGroup(ctx, *in.GroupName))
}

// AddUserToGroup makes a user a member.
func (a *API) AddUserToGroup(ctx context.Context, in *api.AddUserToGroupInput) (*api.AddUserToGroupOutput, error) {
	return emptyOutput[api.AddUserToGroupOutput](a.iam.AddUserToGroup(ctx, *in.GroupName, *in.UserName))
}

// RemoveUserFromGroup ends a membership.
func (a *API) RemoveUserFromGroup(ctx context.Context, in *api.RemoveUserFromGroupInput) (*api.RemoveUserFromGroupOutput, error) {
	return emptyOutput[api.RemoveUserFromGroupOutput](a.iam.RemoveUserFromGroup(ctx, *in.GroupName, *in.UserName))
}
