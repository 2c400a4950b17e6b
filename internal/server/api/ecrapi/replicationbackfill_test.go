package ecrapi_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

func TestReplicationBackfill(t *testing.T) {
	f := serve(t)
	ctx := t.Context()
	f.create("app")
	f.push("app", "config", "v1")
	f.push("app", "another config", "v2")
	destination := &types.ReplicationDestination{Region: aws.String("eu-west-1"), RegistryId: aws.String(account)}
	_, err := f.client.StartReplicationBackfill(ctx, &ecr.StartReplicationBackfillInput{Destination: destination})
	wantException[*types.InvalidParameterException](t, err)
	if _, err := f.client.PutReplicationConfiguration(ctx, &ecr.PutReplicationConfigurationInput{ReplicationConfiguration: replicateTo("eu-west-1", account)}); err != nil {
		t.Fatal(err)
	}
	started, err := f.client.StartReplicationBackfill(ctx, &ecr.StartReplicationBackfillInput{Destination: destination})
	if err != nil || started.Status != types.ReplicationBackfillStatusPreparing || *started.RegistryId != account || started.StartedAt == nil || *started.Destination.Region != "eu-west-1" {
		t.Fatal(started, err)
	}
	_, err = f.client.StartReplicationBackfill(ctx, &ecr.StartReplicationBackfillInput{Destination: destination})
	wantException[*types.ReplicationBackfillInProgressException](t, err)
	in := &ecr.DescribeReplicationBackfillResultsInput{ReplicationBackfillId: started.ReplicationBackfillId, MaxResults: aws.Int32(1)}
	if got, err := f.client.DescribeReplicationBackfillResults(ctx, in); err != nil || got.Progress != nil || len(got.Results) != 0 || got.EndedAt != nil {
		t.Error(got, err)
	}
	if err := f.work.RunDue(ctx); err != nil {
		t.Fatal(err)
	}
	var results []types.ReplicationBackfillResult
	for pages := ecr.NewDescribeReplicationBackfillResultsPaginator(f.client, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil || page.Status != types.ReplicationBackfillStatusComplete || page.EndedAt == nil || *page.Progress.TotalReplicationCount != 2 || *page.Progress.CompletedReplicationCount != 2 {
			t.Fatal(page, err)
		}
		results = append(results, page.Results...)
	}
	if len(results) != 2 || *results[0].RepositoryName != "app" || *results[0].ImageId.ImageDigest == "" || results[0].Status != types.ReplicationBackfillResultStatusComplete {
		t.Errorf("%+v", results)
	}
	_, err = f.client.StopReplicationBackfill(ctx, &ecr.StopReplicationBackfillInput{ReplicationBackfillId: started.ReplicationBackfillId})
	wantException[*types.ReplicationBackfillInvalidStatusException](t, err)
	_, err = f.client.StopReplicationBackfill(ctx, &ecr.StopReplicationBackfillInput{ReplicationBackfillId: aws.String("none")})
	wantException[*types.ReplicationBackfillNotFoundException](t, err)
	second, err := f.client.StartReplicationBackfill(ctx, &ecr.StartReplicationBackfillInput{Destination: destination})
	if err != nil {
		t.Fatal(err)
	}
	if stopped, err := f.client.StopReplicationBackfill(ctx, &ecr.StopReplicationBackfillInput{ReplicationBackfillId: second.ReplicationBackfillId}); err != nil || stopped.Status != types.ReplicationBackfillStatusStopped {
		t.Error(stopped, err)
	}
	listed := 0
	for pages := ecr.NewListReplicationBackfillsPaginator(f.client, &ecr.ListReplicationBackfillsInput{MaxResults: aws.Int32(1)}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		listed += len(page.Backfills)
	}
	if listed != 2 {
		t.Errorf("%d backfills are listed, want 2", listed)
	}
}
