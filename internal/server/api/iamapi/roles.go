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

func registerRoles(s *wire.Service, a *API) {
	wire.Handle(s, a.CreateRole)
	wire.Handle(s, a.GetRole)
	wire.Handle(s, a.ListRoles)
	wire.Handle(s, a.UpdateRole)
	wire.Handle(s, a.UpdateRoleDescription)
	wire.Handle(s, a.UpdateAssumeRolePolicy)
	wire.Handle(s, a.DeleteRole)
	wire.Handle(s, a.ListInstanceProfilesForRole)
	registerRolePermissions(s, a)
}

func (a *API) roleOut(r *iam.Role) types.Role {
	out := a.listedRole(r)
	out.PermissionsBoundary, out.Tags = boundaryOut(r.Boundary), tagsOrNone(r.Tags)
	return out
}

// listedRole is a role in a list, which leaves out the boundary and the tags
// (IAM API Reference, ListRoles).
func (a *API) listedRole(r *iam.Role) types.Role {
	out := types.Role{
		Arn: new(r.ARN()), RoleId: &r.ID, RoleName: &r.Name, Path: &r.Path, CreateDate: &r.Created,
		AssumeRolePolicyDocument: document(a.iam.ShowPrincipals(r.Trust)),
		MaxSessionDuration:       new(int32(r.MaxSession)),
	}
	if r.Description != "" {
		out.Description = &r.Description
	}
	return out
}

// CreateRole creates a role.
func (a *API) CreateRole(ctx context.Context, in *api.CreateRoleInput) (*api.CreateRoleOutput, error) {
	r, err := a.iam.CreateRole(ctx, iam.NewEntity{
		Path: aws.ToString(in.Path), Name: *in.RoleName, Boundary: aws.ToString(in.PermissionsBoundary), Tags: tagsIn(in.Tags),
	}, aws.ToString(in.Description), *in.AssumeRolePolicyDocument, int(aws.ToInt32(in.MaxSessionDuration)))
	if err != nil {
		return nil, err
	}
	out := a.roleOut(r)
	out.MaxSessionDuration = nil // AWS leaves it out of this answer alone
	return &api.CreateRoleOutput{Role: &out}, nil
}

// GetRole returns a role.
func (a *API) GetRole(ctx context.Context, in *api.GetRoleInput) (*api.GetRoleOutput, error) {
	r, err := a.iam.Role(ctx, *in.RoleName)
	if err != nil {
		return nil, err
	}
	out := a.roleOut(r)
	out.RoleLastUsed = a.roleLastUsed(r)
	return &api.GetRoleOutput{Role: &out}, nil
}

// roleLastUsed is empty if no session of the role is known to have done
// anything.
func (a *API) roleLastUsed(r *iam.Role) *types.RoleLastUsed {
	if use := a.iam.RoleLastUsed(r); use != nil {
		return &types.RoleLastUsed{LastUsedDate: &use.At, Region: &use.Region}
	}
	return &types.RoleLastUsed{}
}

// ListRoles lists roles.
func (a *API) ListRoles(ctx context.Context, in *api.ListRolesInput) (*api.ListRolesOutput, error) {
	list := pagetoken.NewScope("ListRoles", aws.ToString(in.PathPrefix))
	p, err := page(list, in.PathPrefix, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	l, err := a.iam.Roles(ctx, p)
	if err != nil {
		return nil, err
	}
	return &api.ListRolesOutput{Roles: convert(l.Entries, a.listedRole), IsTruncated: l.Next != "", Marker: nextMarker(list, l.Next)}, nil
}

// UpdateRole changes the description and the longest session.
func (a *API) UpdateRole(ctx context.Context, in *api.UpdateRoleInput) (*api.UpdateRoleOutput, error) {
	change := iam.RoleChange{Description: in.Description}
	if in.MaxSessionDuration != nil {
		change.MaxSession = new(int(*in.MaxSessionDuration))
	}
	_, err := a.iam.UpdateRole(ctx, *in.RoleName, change)
	return emptyOutput[api.UpdateRoleOutput](err)
}

// UpdateRoleDescription changes the description.
func (a *API) UpdateRoleDescription(ctx context.Context, in *api.UpdateRoleDescriptionInput) (*api.UpdateRoleDescriptionOutput, error) {
	r, err := a.iam.UpdateRole(ctx, *in.RoleName, iam.RoleChange{Description: in.Description})
	if err != nil {
		return nil, err
	}
	return &api.UpdateRoleDescriptionOutput{Role: new(a.roleOut(r))}, nil
}

// UpdateAssumeRolePolicy replaces the trust policy.
func (a *API) UpdateAssumeRolePolicy(ctx context.Context, in *api.UpdateAssumeRolePolicyInput) (*api.UpdateAssumeRolePolicyOutput, error) {
	return emptyOutput[api.UpdateAssumeRolePolicyOutput](a.iam.UpdateTrustPolicy(ctx, *in.RoleName, *in.PolicyDocument))
}

// DeleteRole deletes a role.
func (a *API) DeleteRole(ctx context.Context, in *api.DeleteRoleInput) (*api.DeleteRoleOutput, error) {
	return emptyOutput[api.DeleteRoleOutput](a.iam.DeleteRole(ctx, *in.RoleName))
}

// ListInstanceProfilesForRole lists none: there are no instances.
func (a *API) ListInstanceProfilesForRole(ctx context.Context, in *api.ListInstanceProfilesForRoleInput) (*api.ListInstanceProfilesForRoleOutput, error) {
	if err := a.iam.InstanceProfiles(ctx, *in.RoleName); err != nil {
		return nil, err
	}
	return &api.ListInstanceProfilesForRoleOutput{InstanceProfiles: []types.InstanceProfile{}}, nil
}
