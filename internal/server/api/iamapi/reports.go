package iamapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/report"
)

func registerReports(s *wire.Service, a *API) {
	wire.Handle(s, a.GetAccountAuthorizationDetails)
	wire.Handle(s, a.GenerateCredentialReport)
	wire.Handle(s, a.GetCredentialReport)
}

// GetAccountAuthorizationDetails lists users, groups, roles and policies with
// everything that they are given.
func (a *API) GetAccountAuthorizationDetails(ctx context.Context, in *api.GetAccountAuthorizationDetailsInput) (*api.GetAccountAuthorizationDetailsOutput, error) {
	filter := make([]string, len(in.Filter))
	for i, kind := range in.Filter {
		filter[i] = string(kind)
	}
	list := pagetoken.NewScope("GetAccountAuthorizationDetails", filter...)
	after, err := afterMarker(list, in.Marker)
	if err != nil {
		return nil, err
	}
	kinds := convert(in.Filter, func(t types.EntityType) report.DetailKind { return report.DetailKind(t) })
	l, err := a.report.AccountDetails(ctx, kinds, after, int(aws.ToInt32(in.MaxItems)))
	if err != nil {
		return nil, err
	}
	out := &api.GetAccountAuthorizationDetailsOutput{
		UserDetailList: []types.UserDetail{}, GroupDetailList: []types.GroupDetail{}, RoleDetailList: []types.RoleDetail{},
		Policies: []types.ManagedPolicyDetail{}, IsTruncated: l.Next != "", Marker: nextMarker(list, l.Next),
	}
	for _, d := range l.Entries {
		switch {
		case d.User != nil:
			out.UserDetailList = append(out.UserDetailList, userDetail(d))
		case d.Group != nil:
			out.GroupDetailList = append(out.GroupDetailList, groupDetail(d))
		case d.Role != nil:
			out.RoleDetailList = append(out.RoleDetailList, a.roleDetail(d))
		case d.Policy != nil:
			out.Policies = append(out.Policies, policyDetail(*d.Policy))
		}
	}
	return out, nil
}

func userDetail(d report.Detail) types.UserDetail {
	u := userOut(d.User)
	return types.UserDetail{
		Arn: u.Arn, UserId: u.UserId, UserName: u.UserName, Path: u.Path, CreateDate: u.CreateDate, PermissionsBoundary: u.PermissionsBoundary, Tags: u.Tags,
		AttachedManagedPolicies: convert(d.Attached, attachedOut), UserPolicyList: convert(d.User.Inline, inlineDetail),
		GroupList: convert(d.Groups, func(g *iam.Group) string { return g.Name }),
	}
}

func groupDetail(d report.Detail) types.GroupDetail {
	g := groupOut(d.Group)
	return types.GroupDetail{
		Arn: g.Arn, GroupId: g.GroupId, GroupName: g.GroupName, Path: g.Path, CreateDate: g.CreateDate,
		AttachedManagedPolicies: convert(d.Attached, attachedOut), GroupPolicyList: convert(d.Group.Inline, inlineDetail),
	}
}

func (a *API) roleDetail(d report.Detail) types.RoleDetail {
	r := a.roleOut(d.Role)
	return types.RoleDetail{
		Arn: r.Arn, RoleId: r.RoleId, RoleName: r.RoleName, Path: r.Path, CreateDate: r.CreateDate, PermissionsBoundary: r.PermissionsBoundary, Tags: r.Tags,
		AssumeRolePolicyDocument: r.AssumeRolePolicyDocument, InstanceProfileList: []types.InstanceProfile{}, RoleLastUsed: a.roleLastUsed(d.Role),
		AttachedManagedPolicies: convert(d.Attached, attachedOut), RolePolicyList: convert(d.Role.Inline, inlineDetail),
	}
}

func policyDetail(p iam.PolicyUse) types.ManagedPolicyDetail {
	listed := policyOut(p)
	return types.ManagedPolicyDetail{
		Arn: listed.Arn, PolicyId: listed.PolicyId, PolicyName: listed.PolicyName, Path: listed.Path, Description: listed.Description,
		CreateDate: listed.CreateDate, UpdateDate: listed.UpdateDate, DefaultVersionId: listed.DefaultVersionId, IsAttachable: listed.IsAttachable,
		AttachmentCount: listed.AttachmentCount, PermissionsBoundaryUsageCount: listed.PermissionsBoundaryUsageCount,
		PolicyVersionList: convert(p.Versions, func(v iam.PolicyVersion) types.PolicyVersion {
			out := versionOut(p.Policy, v)
			out.Document = document(v.Document)
			return out
		}),
	}
}

func inlineDetail(p iam.InlinePolicy) types.PolicyDetail {
	return types.PolicyDetail{PolicyName: &p.Name, PolicyDocument: document(p.Document)}
}

// GenerateCredentialReport writes the credential report; it is complete at once.
func (a *API) GenerateCredentialReport(ctx context.Context, _ *api.GenerateCredentialReportInput) (*api.GenerateCredentialReportOutput, error) {
	if err := a.report.GenerateCredentialReport(ctx); err != nil {
		return nil, err
	}
	return &api.GenerateCredentialReportOutput{State: types.ReportStateTypeComplete}, nil
}

// GetCredentialReport returns the report that was written last.
func (a *API) GetCredentialReport(ctx context.Context, _ *api.GetCredentialReportInput) (*api.GetCredentialReportOutput, error) {
	r, err := a.report.CredentialReport(ctx)
	if err != nil {
		return nil, err
	}
	return &api.GetCredentialReportOutput{Content: r.CSV, GeneratedTime: &r.Generated, ReportFormat: types.ReportFormatTypeTextCsv}, nil
}
