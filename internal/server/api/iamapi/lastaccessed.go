package iamapi

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/report"
)

func registerLastAccessed(s *wire.Service, a *API) {
	wire.Handle(s, a.GenerateServiceLastAccessedDetails)
	wire.Handle(s, a.GetServiceLastAccessedDetails)
	wire.Handle(s, a.GetServiceLastAccessedDetailsWithEntities)
}

// GenerateServiceLastAccessedDetails begins a report of the services that an entity may use,
// which is complete at once.
func (a *API) GenerateServiceLastAccessedDetails(ctx context.Context, in *api.GenerateServiceLastAccessedDetailsInput) (*api.GenerateServiceLastAccessedDetailsOutput, error) {
	id, err := a.report.GenerateAccessReport(ctx, *in.Arn, report.Granularity(in.Granularity))
	if err != nil {
		return nil, err
	}
	return &api.GenerateServiceLastAccessedDetailsOutput{JobId: &id}, nil
}

// GetServiceLastAccessedDetails returns the services that an entity may use, and when it did
// so last.
func (a *API) GetServiceLastAccessedDetails(ctx context.Context, in *api.GetServiceLastAccessedDetailsInput) (*api.GetServiceLastAccessedDetailsOutput, error) {
	list := pagetoken.NewScope("GetServiceLastAccessedDetails", *in.JobId)
	after, err := afterMarker(list, in.Marker)
	if err != nil {
		return nil, err
	}
	job, services, err := a.report.AccessReport(ctx, *in.JobId)
	if err != nil {
		return nil, err
	}
	out := &api.GetServiceLastAccessedDetailsOutput{
		JobStatus: types.JobStatusTypeCompleted, JobType: types.AccessAdvisorUsageGranularityType(job.Granularity),
		JobCreationDate: &job.Created, JobCompletionDate: &job.Created, ServicesLastAccessed: []types.ServiceLastAccessed{},
	}
	services = services[slices.IndexFunc(services, func(s report.ServiceAccess) bool { return s.Namespace == after })+1:]
	if size := int(aws.ToInt32(in.MaxItems)); size > 0 && size < len(services) {
		services = services[:size]
		out.IsTruncated, out.Marker = true, nextMarker(list, services[size-1].Namespace)
	}
	for _, s := range services {
		out.ServicesLastAccessed = append(out.ServicesLastAccessed, serviceAccessOut(s))
	}
	return out, nil
}

func serviceAccessOut(s report.ServiceAccess) types.ServiceLastAccessed {
	out := types.ServiceLastAccessed{ServiceName: &s.Name, ServiceNamespace: &s.Namespace, TotalAuthenticatedEntities: aws.Int32(int32(s.Entities))}
	if s.Entities > 0 {
		out.LastAuthenticated, out.LastAuthenticatedEntity, out.LastAuthenticatedRegion = &s.At, &s.Entity, &s.Region
	}
	return out
}

// GetServiceLastAccessedDetailsWithEntities returns the users and roles that may use a service
// by the entity of the report, and when they did so last.
func (a *API) GetServiceLastAccessedDetailsWithEntities(ctx context.Context, in *api.GetServiceLastAccessedDetailsWithEntitiesInput) (*api.GetServiceLastAccessedDetailsWithEntitiesOutput, error) {
	list := pagetoken.NewScope("GetServiceLastAccessedDetailsWithEntities", *in.JobId, *in.ServiceNamespace)
	after, err := afterMarker(list, in.Marker)
	if err != nil {
		return nil, err
	}
	job, l, err := a.report.EntityAccessReport(ctx, *in.JobId, *in.ServiceNamespace, after, int(aws.ToInt32(in.MaxItems)))
	if err != nil {
		return nil, err
	}
	return &api.GetServiceLastAccessedDetailsWithEntitiesOutput{
		JobStatus: types.JobStatusTypeCompleted, JobCreationDate: &job.Created, JobCompletionDate: &job.Created,
		EntityDetailsList: convert(l.Entries, entityAccessOut), IsTruncated: l.Next != "", Marker: nextMarker(list, l.Next),
	}, nil
}

func entityAccessOut(e report.EntityAccess) types.EntityDetails {
	c := e.Entity.Base()
	kind := types.PolicyOwnerEntityTypeUser
	if e.Entity.Kind() == iam.KindRole {
		kind = types.PolicyOwnerEntityTypeRole
	}
	out := types.EntityDetails{EntityInfo: &types.EntityInfo{Arn: aws.String(iam.ARNOf(e.Entity)), Id: &c.ID, Name: &c.Name, Path: &c.Path, Type: kind}}
	if !e.At.IsZero() {
		out.LastAuthenticated = aws.Time(e.At.Truncate(time.Second))
	}
	return out
}
