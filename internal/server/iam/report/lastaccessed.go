package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
)

// The report of which services an entity may use, and when it did so last (IAM User Guide,
// "Refine permissions in AWS using last accessed information"). A job is only a note of what
// was asked: the report is made when it is read.

// jobLifetime is how long the report of a job can be read.
const jobLifetime = 24 * time.Hour

// A Granularity says whether a report has actions too. No action is tracked here.
type Granularity string

// ServiceLevel is the default granularity.
const ServiceLevel Granularity = "SERVICE_LEVEL"

// An AccessJob is a report of services that was asked for.
type AccessJob struct {
	ID          string
	Granularity Granularity
	Created     time.Time

	account, arn string
}

// A ServiceAccess says when a service was used last. If it was not, only the name is set.
type ServiceAccess struct {
	iam.ServiceName
	At     time.Time
	Region string
	// Entity is the ARN of the user or role that used it last.
	Entity string
	// Entities is how many users and roles used it.
	Entities int
}

// An EntityAccess says when a user or a role used a service last: zero if it did not.
type EntityAccess struct {
	Entity iam.Entity
	At     time.Time
}

// GenerateAccessReport begins the report about a user, a group, a role or a managed policy,
// and returns the id of the job. Action iam:GenerateServiceLastAccessedDetails on it. Faults:
// AccessDenied, NoSuchEntity.
func (s *Service) GenerateAccessReport(ctx context.Context, arn string, g Granularity) (id string, err error) {
	c, err := s.core.Caller(ctx)
	if err != nil {
		return "", err
	}
	if err := s.core.Authorize(ctx, &authz.Request{Action: "iam:GenerateServiceLastAccessedDetails", Resource: arn}); err != nil {
		return "", err
	}
	job := AccessJob{ID: randid.UUID(), Granularity: cmp.Or(g, ServiceLevel), Created: s.core.Second(), account: c.Account, arn: arn}
	if _, err := s.subject(job); err != nil {
		return "", err
	}
	err = s.core.DB().Tx(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM iam_access_job WHERE created < $1`, db.Micros(job.Created.Add(-jobLifetime))); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO iam_access_job (id, account, arn, granularity, created) VALUES ($1, $2, $3, $4, $5)`,
			job.ID, job.account, job.arn, string(job.Granularity), db.Micros(job.Created))
		return err
	})
	return job.ID, err
}

// subject returns the entity that a job is about.
func (s *Service) subject(job AccessJob) (iam.Entity, error) {
	e, ok := s.core.Snapshot().ByARN(job.arn)
	if owner := job.account; !ok || e.Base().Account != owner && (e.Kind() != iam.KindPolicy || e.Base().Account != iam.AWSAccount) {
		return nil, fault.New(fault.NotFound, "NoSuchEntity", "The entity with the ARN %s cannot be found.", job.arn)
	}
	return e, nil
}

// AccessReport returns the services that the entity of a job may use by its policies, in the
// order of their prefixes. Action iam:GetServiceLastAccessedDetails. Faults: AccessDenied,
// NoSuchEntity.
func (s *Service) AccessReport(ctx context.Context, jobID string) (AccessJob, []ServiceAccess, error) {
	job, e, err := s.job(ctx, jobID, "iam:GetServiceLastAccessedDetails")
	if err != nil {
		return job, nil, err
	}
	sn := s.core.Snapshot()
	list := []ServiceAccess{}
	for _, name := range iam.Services {
		if grants(sn, e, name.Namespace) {
			list = append(list, ServiceAccess{ServiceName: name})
		}
	}
	for _, holder := range sn.Holders(job.account, e) {
		uses, err := s.core.ServiceUses(ctx, holder.Base().ID)
		if err != nil {
			return job, nil, err
		}
		for i := range list {
			list[i].add(uses, holder)
		}
	}
	return job, list, nil
}

// add takes the uses of a user or a role into account.
func (a *ServiceAccess) add(uses map[string]iam.KeyUse, holder iam.Entity) {
	use, ok := uses[a.Namespace]
	if !ok {
		return
	}
	a.Entities++
	if use.At.After(a.At) {
		a.At, a.Region, a.Entity = use.At, use.Region, iam.ARNOf(holder)
	}
}

// grants reports whether a policy of the entity allows an action of the service.
func grants(sn *iam.Snapshot, e iam.Entity, service string) bool {
	for _, p := range sn.PoliciesOf(e) {
		if p.GrantsService(service) {
			return true
		}
	}
	return false
}

// EntityAccessReport returns the users and then the roles that may use a service by the
// entity of a job, in the order of their names: those after the ARN after, at most limit of
// them. Action iam:GetServiceLastAccessedDetailsWithEntities. Faults: AccessDenied,
// NoSuchEntity, InvalidInput (the entity may not use the service).
func (s *Service) EntityAccessReport(ctx context.Context, jobID, service, after string, limit int) (job AccessJob, l iam.Listing[EntityAccess], err error) {
	job, e, err := s.job(ctx, jobID, "iam:GetServiceLastAccessedDetailsWithEntities")
	if err != nil {
		return job, l, err
	}
	sn := s.core.Snapshot()
	if !grants(sn, e, service) {
		return job, l, fault.New(fault.Invalid, "InvalidInput", "The service namespace %s is not in the report of this job.", service)
	}
	holders := sn.Holders(job.account, e)
	if after != "" {
		holders = holders[slices.IndexFunc(holders, func(h iam.Entity) bool { return iam.ARNOf(h) == after })+1:]
	}
	if limit == 0 {
		limit = iam.DefaultPage
	}
	for i, holder := range holders[:min(limit, len(holders))] {
		uses, err := s.core.ServiceUses(ctx, holder.Base().ID)
		if err != nil {
			return job, l, err
		}
		l.Entries = append(l.Entries, EntityAccess{holder, uses[service].At})
		if i+1 == limit && limit < len(holders) {
			l.Next = iam.ARNOf(holder)
		}
	}
	return job, l, nil
}

// job returns a job of the caller's account, and the entity that it is about.
func (s *Service) job(ctx context.Context, id, action string) (AccessJob, iam.Entity, error) {
	a, err := s.core.Account(ctx, s.core.Snapshot(), action)
	if err != nil {
		return AccessJob{}, nil, err
	}
	job, err := db.One(ctx, s.core.DB(), func(row db.Row) (job AccessJob, err error) {
		var created int64
		err = row.Scan(&job.ID, &job.account, &job.arn, &job.Granularity, &created)
		job.Created = db.Time(created)
		return job, err
	}, `SELECT id, account, arn, granularity, created FROM iam_access_job WHERE id = $1 AND account = $2`, id, a.ID)
	if errors.Is(err, db.ErrNoRows) || err == nil && s.core.Now().Sub(job.Created) >= jobLifetime {
		return job, nil, fault.New(fault.NotFound, "NoSuchEntity", "The job with the id %s cannot be found.", id)
	}
	if err != nil {
		return job, nil, fmt.Errorf("iam: job of last accessed details: %w", err)
	}
	e, err := s.subject(job)
	return job, e, err
}
