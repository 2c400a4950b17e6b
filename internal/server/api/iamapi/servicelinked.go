package iamapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
)

func registerServiceLinkedRoles(s *wire.Service, a *API) {
	wire.Handle(s, a.CreateServiceLinkedRole)
	wire.Handle(s, a.DeleteServiceLinkedRole)
	wire.Handle(s, a.GetServiceLinkedRoleDeletionStatus)
}

// CreateServiceLinkedRole creates the role of a service of AWS's.
func (a *API) CreateServiceLinkedRole(ctx context.Context, in *api.CreateServiceLinkedRoleInput) (*api.CreateServiceLinkedRoleOutput, error) {
	r, err := a.iam.CreateServiceLinkedRole(ctx, *in.AWSServiceName, aws.ToString(in.CustomSuffix), aws.ToString(in.Description))
	if err != nil {
		return nil, err
	}
	return &api.CreateServiceLinkedRoleOutput{Role: new(a.roleOut(r))}, nil
}

// DeleteServiceLinkedRole deletes such a role, at once.
func (a *API) DeleteServiceLinkedRole(ctx context.Context, in *api.DeleteServiceLinkedRoleInput) (*api.DeleteServiceLinkedRoleOutput, error) {
	id, err := a.iam.DeleteServiceLinkedRole(ctx, *in.RoleName)
	if err != nil {
		return nil, err
	}
	return &api.DeleteServiceLinkedRoleOutput{DeletionTaskId: &id}, nil
}

// GetServiceLinkedRoleDeletionStatus says that a deletion succeeded.
func (a *API) GetServiceLinkedRoleDeletionStatus(ctx context.Context, in *api.GetServiceLinkedRoleDeletionStatusInput) (*api.GetServiceLinkedRoleDeletionStatusOutput, error) {
	deleted, err := a.iam.ServiceLinkedRoleDeleted(ctx, *in.DeletionTaskId)
	if err != nil {
		return nil, err
	}
	if !deleted {
		return &api.GetServiceLinkedRoleDeletionStatusOutput{
			Status: types.DeletionTaskStatusTypeFailed,
			Reason: &types.DeletionTaskFailureReasonType{Reason: aws.String("The role exists: it was created again after its deletion.")},
		}, nil
	}
	return &api.GetServiceLinkedRoleDeletionStatusOutput{Status: types.DeletionTaskStatusTypeSucceeded}, nil
}
