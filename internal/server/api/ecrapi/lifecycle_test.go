package ecrapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

const keepOne = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"tagged","tagPrefixList":["v"],"countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`

// The SDK's waiter and paginator work with a preview, and the run removes what it names.
func TestLifecyclePolicy(t *testing.T) {
	f := serve(t)
	f.create("app")
	app := aws.String("app")
	for i := range 4 {
		f.push("app", fmt.Sprint("config ", i), fmt.Sprint("v", i))
		f.Advance(time.Second)
	}
	_, err := f.client.GetLifecyclePolicy(t.Context(), &ecr.GetLifecyclePolicyInput{RepositoryName: app})
	wantException[*types.LifecyclePolicyNotFoundException](t, err)
	if want := "Lifecycle policy does not exist for the repository with name 'app' in the registry with id '" + account + "'"; err != nil && !strings.Contains(err.Error(), want) {
		t.Error(err)
	}
	_, err = f.client.GetLifecyclePolicyPreview(t.Context(), &ecr.GetLifecyclePolicyPreviewInput{RepositoryName: app})
	wantException[*types.LifecyclePolicyPreviewNotFoundException](t, err)
	_, err = f.client.PutLifecyclePolicy(t.Context(), &ecr.PutLifecyclePolicyInput{RepositoryName: app, LifecyclePolicyText: aws.String(strings.Replace(keepOne, `"tagged"`, `"both"`, 1))})
	wantException[*types.InvalidParameterException](t, err)
	if want := `Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: instance value ("both") not found in enum :(possible values: ["any","tagged","untagged"])'`; err == nil || !strings.Contains(err.Error(), want) {
		t.Error(err)
	}

	if _, err := f.client.PutLifecyclePolicy(t.Context(), &ecr.PutLifecyclePolicyInput{RepositoryName: app, LifecyclePolicyText: aws.String(keepOne)}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.client.StartLifecyclePolicyPreview(t.Context(), &ecr.StartLifecyclePolicyPreviewInput{RepositoryName: app}); err != nil {
		t.Fatal(err)
	}
	_, err = f.client.StartLifecyclePolicyPreview(t.Context(), &ecr.StartLifecyclePolicyPreviewInput{RepositoryName: app})
	wantException[*types.LifecyclePolicyPreviewInProgressException](t, err)
	if err := f.work.RunDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	in := &ecr.GetLifecyclePolicyPreviewInput{RepositoryName: app, MaxResults: aws.Int32(2)}
	waiter := ecr.NewLifecyclePolicyPreviewCompleteWaiter(f.client)
	if err := waiter.Wait(t.Context(), &ecr.GetLifecyclePolicyPreviewInput{RepositoryName: app}, time.Minute); err != nil {
		t.Fatal(err)
	}
	tags := ""
	for p := ecr.NewGetLifecyclePolicyPreviewPaginator(f.client, in); p.HasMorePages(); {
		page, err := p.NextPage(t.Context())
		if err != nil || page.Status != types.LifecyclePolicyPreviewStatusComplete || len(page.PreviewResults) > 2 || *page.Summary.ExpiringImageTotalCount != 3 {
			t.Fatal(page, err)
		}
		for _, r := range page.PreviewResults {
			tags += r.ImageTags[0]
		}
	}
	if tags != "v2v1v0" {
		t.Error(tags)
	}
	_, err = f.client.GetLifecyclePolicyPreview(t.Context(), &ecr.GetLifecyclePolicyPreviewInput{RepositoryName: app, NextToken: aws.String("x")})
	wantException[*types.InvalidParameterException](t, err)
	_, err = f.client.GetLifecyclePolicyPreview(t.Context(), &ecr.GetLifecyclePolicyPreviewInput{RepositoryName: app, MaxResults: aws.Int32(2), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v0")}}})
	wantException[*types.InvalidParameterException](t, err)
	named, err := f.client.GetLifecyclePolicyPreview(t.Context(), &ecr.GetLifecyclePolicyPreviewInput{RepositoryName: app, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v0")}, {ImageTag: aws.String("v3")}}})
	if err != nil || len(named.PreviewResults) != 1 {
		t.Error(named, err)
	}
	f.Advance(11 * time.Minute)
	if err := f.work.RunDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, err := f.client.ListImages(t.Context(), &ecr.ListImagesInput{RepositoryName: app})
	if err != nil || len(left.ImageIds) != 1 || *left.ImageIds[0].ImageTag != "v3" {
		t.Error(left, err)
	}
	got, err := f.client.GetLifecyclePolicy(t.Context(), &ecr.GetLifecyclePolicyInput{RepositoryName: app})
	if err != nil || *got.LifecyclePolicyText != keepOne || got.LastEvaluatedAt == nil {
		t.Error(got, err)
	}
}
