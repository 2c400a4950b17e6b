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

func registerUsers(s *wire.Service, a *API) {
	wire.Handle(s, a.CreateUser)
	wire.Handle(s, a.GetUser)
	wire.Handle(s, a.ListUsers)
	wire.Handle(s, a.UpdateUser)
	wire.Handle(s, a.DeleteUser)
	wire.Handle(s, a.CreateAccessKey)
	wire.Handle(s, a.ListAccessKeys)
	wire.Handle(s, a.UpdateAccessKey)
	wire.Handle(s, a.DeleteAccessKey)
	wire.Handle(s, a.GetAccessKeyLastUsed)
	wire.Handle(s, a.ListGroupsForUser)
	wire.Handle(s, a.GetLoginProfile)
	wire.Handle(s, a.DeleteLoginProfile)
	wire.Handle(s, a.ListMFADevices)
	wire.Handle(s, a.ListSigningCertificates)
	wire.Handle(s, a.ListSSHPublicKeys)
	wire.Handle(s, a.ListServiceSpecificCredentials)
	registerUserPermissions(s, a)
}

func userOut(u *iam.User) types.User {
	return types.User{
		Arn: new(u.ARN()), UserId: &u.ID, UserName: &u.Name, Path: &u.Path, CreateDate: &u.Created,
		PermissionsBoundary: boundaryOut(u.Boundary), Tags: tagsOrNone(u.Tags),
	}
}

// listedUser is a user in a list, which leaves out the boundary and the tags
// (IAM API Reference, ListUsers).
func listedUser(u *iam.User) types.User {
	out := userOut(u)
	out.PermissionsBoundary, out.Tags = nil, nil
	return out
}

// tagsOrNone leaves the element out if there are no tags.
func tagsOrNone(tags []iam.Tag) []types.Tag {
	if len(tags) == 0 {
		return nil
	}
	return tagsOut(tags)
}

// CreateUser creates a user.
func (a *API) CreateUser(ctx context.Context, in *api.CreateUserInput) (*api.CreateUserOutput, error) {
	u, err := a.iam.CreateUser(ctx, iam.NewEntity{
		Path: aws.ToString(in.Path), Name: *in.UserName, Boundary: aws.ToString(in.PermissionsBoundary), Tags: tagsIn(in.Tags),
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateUserOutput{User: new(userOut(u))}, nil
}

// GetUser returns a user; without a name, the caller.
func (a *API) GetUser(ctx context.Context, in *api.GetUserInput) (*api.GetUserOutput, error) {
	u, err := a.iam.User(ctx, aws.ToString(in.UserName))
	if err != nil {
		return nil, err
	}
	return &api.GetUserOutput{User: new(userOut(u))}, nil
}

// ListUsers lists users.
func (a *API) ListUsers(ctx context.Context, in *api.ListUsersInput) (*api.ListUsersOutput, error) {
	list := pagetoken.NewScope("ListUsers", aws.ToString(in.PathPrefix))
	p, err := page(list, in.PathPrefix, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	l, err := a.iam.Users(ctx, p)
	if err != nil {
		return nil, err
	}
	return &api.ListUsersOutput{Users: convert(l.Entries, listedUser), IsTruncated: l.Next != "", Marker: nextMarker(list, l.Next)}, nil
}

// UpdateUser renames or moves a user.
func (a *API) UpdateUser(ctx context.Context, in *api.UpdateUserInput) (*api.UpdateUserOutput, error) {
	return emptyOutput[api.UpdateUserOutput](a.iam.UpdateUser(ctx, *in.UserName, aws.ToString(in.NewPath), aws.ToString(in.NewUserName)))
}

// DeleteUser deletes a user who has nothing left.
func (a *API) DeleteUser(ctx context.Context, in *api.DeleteUserInput) (*api.DeleteUserOutput, error) {
	return emptyOutput[api.DeleteUserOutput](a.iam.DeleteUser(ctx, *in.UserName))
}

func status(active bool) types.StatusType {
	if active {
		return types.StatusTypeActive
	}
	return types.StatusTypeInactive
}

// CreateAccessKey creates an access key and returns its secret, this once.
func (a *API) CreateAccessKey(ctx context.Context, in *api.CreateAccessKeyInput) (*api.CreateAccessKeyOutput, error) {
	owner, k, secret, err := a.iam.CreateAccessKey(ctx, aws.ToString(in.UserName))
	if err != nil {
		return nil, err
	}
	return &api.CreateAccessKeyOutput{AccessKey: &types.AccessKey{
		AccessKeyId: &k.ID, SecretAccessKey: &secret, Status: status(k.Active), CreateDate: &k.Created, UserName: userName(owner),
	}}, nil
}

// userName is the name in answers about access keys; root's keys have none.
func userName(o iam.KeyOwner) *string {
	if o.User == "" {
		return nil
	}
	return &o.User
}

// ListAccessKeys lists access keys.
func (a *API) ListAccessKeys(ctx context.Context, in *api.ListAccessKeysInput) (*api.ListAccessKeysOutput, error) {
	owner, keys, err := a.iam.AccessKeys(ctx, aws.ToString(in.UserName))
	if err != nil {
		return nil, err
	}
	list := pagetoken.NewScope("ListAccessKeys", aws.ToString(in.UserName))
	entries, next, err := pageOf(list, convert(keys, func(k iam.AccessKey) types.AccessKeyMetadata {
		return types.AccessKeyMetadata{AccessKeyId: &k.ID, Status: status(k.Active), CreateDate: &k.Created, UserName: userName(owner)}
	}), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.ListAccessKeysOutput{AccessKeyMetadata: entries, IsTruncated: next != nil, Marker: next}, nil
}

// UpdateAccessKey activates or deactivates an access key.
func (a *API) UpdateAccessKey(ctx context.Context, in *api.UpdateAccessKeyInput) (*api.UpdateAccessKeyOutput, error) {
	active, err := activeIn(in.Status)
	if err != nil {
		return nil, err
	}
	return emptyOutput[api.UpdateAccessKeyOutput](a.iam.SetAccessKeyActive(ctx, aws.ToString(in.UserName), *in.AccessKeyId, active))
}

// DeleteAccessKey deletes an access key.
func (a *API) DeleteAccessKey(ctx context.Context, in *api.DeleteAccessKeyInput) (*api.DeleteAccessKeyOutput, error) {
	return emptyOutput[api.DeleteAccessKeyOutput](a.iam.DeleteAccessKey(ctx, aws.ToString(in.UserName), *in.AccessKeyId))
}

// notUsed stands for the service and the region of a key that no one used (IAM
// API Reference, AccessKeyLastUsed).
const notUsed = "N/A"

// GetAccessKeyLastUsed says when an access key was last used.
func (a *API) GetAccessKeyLastUsed(ctx context.Context, in *api.GetAccessKeyLastUsedInput) (*api.GetAccessKeyLastUsedOutput, error) {
	owner, use, err := a.iam.AccessKeyLastUsed(ctx, *in.AccessKeyId)
	if err != nil {
		return nil, err
	}
	last := &types.AccessKeyLastUsed{Region: new(notUsed), ServiceName: new(notUsed)}
	if use != nil {
		last = &types.AccessKeyLastUsed{LastUsedDate: &use.At, Region: &use.Region, ServiceName: &use.Service}
	}
	return &api.GetAccessKeyLastUsedOutput{UserName: userName(owner), AccessKeyLastUsed: last}, nil
}

// ListGroupsForUser lists a user's groups.
func (a *API) ListGroupsForUser(ctx context.Context, in *api.ListGroupsForUserInput) (*api.ListGroupsForUserOutput, error) {
	groups, err := a.iam.UserGroups(ctx, *in.UserName)
	if err != nil {
		return nil, err
	}
	list := pagetoken.NewScope("ListGroupsForUser", *in.UserName)
	entries, next, err := pageOf(list, convert(groups, groupOut), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.ListGroupsForUserOutput{Groups: entries, IsTruncated: next != nil, Marker: next}, nil
}

// GetLoginProfile answers that the user has no password: there is no console
// login with one.
func (a *API) GetLoginProfile(ctx context.Context, in *api.GetLoginProfileInput) (*api.GetLoginProfileOutput, error) {
	return nil, a.iam.LoginProfile(ctx, "iam:GetLoginProfile", aws.ToString(in.UserName))
}

// DeleteLoginProfile answers that the user has no password.
func (a *API) DeleteLoginProfile(ctx context.Context, in *api.DeleteLoginProfileInput) (*api.DeleteLoginProfileOutput, error) {
	return nil, a.iam.LoginProfile(ctx, "iam:DeleteLoginProfile", aws.ToString(in.UserName))
}

// ListMFADevices lists none: there are no MFA devices.
func (a *API) ListMFADevices(ctx context.Context, in *api.ListMFADevicesInput) (*api.ListMFADevicesOutput, error) {
	if err := a.iam.CheckUser(ctx, "iam:ListMFADevices", aws.ToString(in.UserName)); err != nil {
		return nil, err
	}
	return &api.ListMFADevicesOutput{MFADevices: []types.MFADevice{}}, nil
}

// ListSigningCertificates lists none: there are no signing certificates.
func (a *API) ListSigningCertificates(ctx context.Context, in *api.ListSigningCertificatesInput) (*api.ListSigningCertificatesOutput, error) {
	if err := a.iam.CheckUser(ctx, "iam:ListSigningCertificates", aws.ToString(in.UserName)); err != nil {
		return nil, err
	}
	return &api.ListSigningCertificatesOutput{Certificates: []types.SigningCertificate{}}, nil
}

// ListSSHPublicKeys lists none: there are no SSH keys.
func (a *API) ListSSHPublicKeys(ctx context.Context, in *api.ListSSHPublicKeysInput) (*api.ListSSHPublicKeysOutput, error) {
	if err := a.iam.CheckUser(ctx, "iam:ListSSHPublicKeys", aws.ToString(in.UserName)); err != nil {
		return nil, err
	}
	return &api.ListSSHPublicKeysOutput{SSHPublicKeys: []types.SSHPublicKeyMetadata{}}, nil
}

// ListServiceSpecificCredentials lists none: there are no such credentials.
func (a *API) ListServiceSpecificCredentials(ctx context.Context, in *api.ListServiceSpecificCredentialsInput) (*api.ListServiceSpecificCredentialsOutput, error) {
	if err := a.iam.CheckUser(ctx, "iam:ListServiceSpecificCredentials", aws.ToString(in.UserName)); err != nil {
		return nil, err
	}
	return &api.ListServiceSpecificCredentialsOutput{ServiceSpecificCredentials: []types.ServiceSpecificCredentialMetadata{}}, nil
}
