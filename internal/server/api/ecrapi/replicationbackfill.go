package ecrapi

import (
	"context"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// registryOf returns the registry that a request about a registry is about.
func registryOf(ctx context.Context, registryID *string) images.RegistryID {
	r := registry(ctx, registryID)
	return images.RegistryID{Account: r.Account, Region: r.Region}
}

// StartReplicationBackfill begins to copy existing images to a destination.
func (a *API) StartReplicationBackfill(ctx context.Context, in *ecr.StartReplicationBackfillInput) (*ecr.StartReplicationBackfillOutput, error) {
	id, to := registryOf(ctx, in.RegistryId), optional.Value(in.Destination)
	b, err := a.c.Images.StartReplicationBackfill(ctx, id, images.RegistryID{Account: optional.Value(to.RegistryId), Region: optional.Value(to.Region)})
	if err != nil {
		return nil, err
	}
	return &ecr.StartReplicationBackfillOutput{
		Destination: replicationDestination(b.To), RegistryId: &id.Account, ReplicationBackfillId: &b.ID, StartedAt: &b.Started, Status: types.ReplicationBackfillStatus(b.Status),
	}, nil
}

// StopReplicationBackfill ends a backfill.
func (a *API) StopReplicationBackfill(ctx context.Context, in *ecr.StopReplicationBackfillInput) (*ecr.StopReplicationBackfillOutput, error) {
	id := registryOf(ctx, in.RegistryId)
	b, err := a.c.Images.StopReplicationBackfill(ctx, id, optional.Value(in.ReplicationBackfillId))
	if err != nil {
		return nil, err
	}
	return &ecr.StopReplicationBackfillOutput{
		Destination: replicationDestination(b.To), RegistryId: &id.Account, ReplicationBackfillId: &b.ID, StartedAt: &b.Started, Status: types.ReplicationBackfillStatus(b.Status),
	}, nil
}

// backfillProgress is nil until the counts are known.
func backfillProgress(b *images.Backfill) *types.ReplicationBackfillProgress {
	if !b.Prepared {
		return nil
	}
	return &types.ReplicationBackfillProgress{
		TotalReplicationCount: new(int32(b.Total)), CompletedReplicationCount: new(int32(b.Completed)), FailedReplicationCount: new(int32(b.Failed)),
		FailureCodes: append([]string{}, b.Codes...),
	}
}

// DescribeReplicationBackfillResults describes a backfill and, after its end, what became
// of each image.
func (a *API) DescribeReplicationBackfillResults(ctx context.Context, in *ecr.DescribeReplicationBackfillResultsInput) (*ecr.DescribeReplicationBackfillResultsOutput, error) {
	id := registryOf(ctx, in.RegistryId)
	page := pagetoken.NewScope("DescribeReplicationBackfillResults", id.Account, id.Region, optional.Value(in.ReplicationBackfillId), string(in.ResultStatusFilter))
	cursor, err := cursorOf(page, in.NextToken, 3)
	if err != nil {
		return nil, err
	}
	after := images.BackfillResult{Repository: cursor[0], Reference: images.Reference{Digest: digest.Digest(cursor[1]), Tag: cursor[2]}}
	b, list, more, err := a.c.Images.ReplicationBackfillResults(ctx, id, optional.Value(in.ReplicationBackfillId), string(in.ResultStatusFilter), after, pageSize(in.MaxResults))
	if err != nil {
		return nil, err
	}
	out := &ecr.DescribeReplicationBackfillResultsOutput{
		Destination: replicationDestination(b.To), EndedAt: optional.Time(b.Ended), Progress: backfillProgress(&b), RegistryId: &id.Account,
		ReplicationBackfillId: &b.ID, StartedAt: &b.Started, Status: types.ReplicationBackfillStatus(b.Status), Results: []types.ReplicationBackfillResult{},
	}
	for _, r := range list {
		out.Results = append(out.Results, types.ReplicationBackfillResult{
			RepositoryName: &r.Repository, ImageId: &types.ImageIdentifier{ImageDigest: new(string(r.Digest)), ImageTag: optional.Text(r.Tag)},
			Status: types.ReplicationBackfillResultStatus(r.Status), FailureCode: optional.Text(r.Code),
		})
	}
	if more {
		last := list[len(list)-1]
		out.NextToken = page.Next(more, last.Repository, string(last.Digest), last.Tag)
	}
	return out, nil
}

// defaultBackfills is the length of a page of backfills if the request does not say it.
const defaultBackfills = 25

// ListReplicationBackfills lists the backfills of a registry, the latest first.
func (a *API) ListReplicationBackfills(ctx context.Context, in *ecr.ListReplicationBackfillsInput) (*ecr.ListReplicationBackfillsOutput, error) {
	id := registryOf(ctx, in.RegistryId)
	page := pagetoken.NewScope("ListReplicationBackfills", id.Account, id.Region)
	cursor, err := cursorOf(page, in.NextToken, 2)
	if err != nil {
		return nil, err
	}
	after := images.Backfill{ID: cursor[1]}
	if after.ID != "" {
		started, err := strconv.ParseInt(cursor[0], 10, 64)
		if err != nil {
			return nil, invalidParameter("nextToken", "The token is not one that this operation returned")
		}
		after.Started = time.UnixMicro(started)
	}
	limit := defaultBackfills
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	list, more, err := a.c.Images.ReplicationBackfills(ctx, id, after, limit)
	if err != nil {
		return nil, err
	}
	out := &ecr.ListReplicationBackfillsOutput{RegistryId: &id.Account, Backfills: []types.ReplicationBackfillSummary{}}
	for i := range list {
		b := &list[i]
		out.Backfills = append(out.Backfills, types.ReplicationBackfillSummary{
			Destination: replicationDestination(b.To), ReplicationBackfillId: &b.ID, StartedAt: &b.Started, EndedAt: optional.Time(b.Ended),
			Status: types.ReplicationBackfillStatus(b.Status), Progress: backfillProgress(b),
		})
	}
	if more {
		last := list[len(list)-1]
		out.NextToken = page.Next(more, strconv.FormatInt(last.Started.UnixMicro(), 10), last.ID)
	}
	return out, nil
}
