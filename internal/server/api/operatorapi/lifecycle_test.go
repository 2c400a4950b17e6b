package operatorapi_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

func TestLifecycle(t *testing.T) {
	f := serve(t)
	admin := f.admin()
	id := images.RepositoryID{Account: iamtest.Account, Region: iamtest.Region, Name: "app"}
	if _, err := f.images.CreateRepository(f.AsAdmin(), id, images.Settings{Mutability: images.Mutable}); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"n":"%d"}}`, i)
		if _, err := f.images.PutManifest(f.AsAdmin(), id, images.PutManifest{Tags: []string{fmt.Sprint("v", i)}, Body: bytes.NewReader([]byte(body))}); err != nil {
			t.Fatal(err)
		}
		f.Advance(time.Minute)
	}
	policy := `{"rules":[{"rulePriority":1,"description":"keep two releases","selection":{"tagStatus":"tagged","tagPrefixList":["v"],"countType":"imageCountMoreThan","countNumber":2},"action":{"type":"expire"}}]}`
	explain := &operatormodel.ExplainLifecycleInput{RepositoryName: "app", MaxResults: aws.Int32(1)}
	_, err := admin.ExplainLifecycle(t.Context(), explain)
	wantCode(t, err, "LifecyclePolicyNotFoundException")
	put, err := admin.PutDefaultLifecyclePolicy(t.Context(), &operatormodel.PutDefaultLifecyclePolicyInput{PolicyText: policy})
	if err != nil || put.Policy.PolicyText != policy || put.Policy.ChangedBy == "" {
		t.Fatal(put, err)
	}
	if got, err := admin.GetDefaultLifecyclePolicy(t.Context(), new(operatormodel.GetDefaultLifecyclePolicyInput)); err != nil || got.Policy.PolicyText != policy {
		t.Error(got, err)
	}
	var lines []string
	for more := true; more; more = explain.NextToken != nil {
		page, err := admin.ExplainLifecycle(t.Context(), explain)
		if err != nil || len(page.Images) > 1 {
			t.Fatal(page, err)
		}
		for _, v := range page.Images {
			lines = append(lines, fmt.Sprint(v.ImageTags, v.Decision, aws.ToInt32(v.RulePriority), " ", v.Rules[0].Reason))
		}
		explain.NextToken = page.NextToken
	}
	want := "[v3]kept0 0 younger images match; the rule keeps 2, [v2]kept0 1 younger images match; the rule keeps 2, [v1]expired1 2 younger images match; the rule keeps 2, [v0]expired1 3 younger images match; the rule keeps 2"
	if got := strings.Join(lines, ", "); got != want {
		t.Errorf("%s", got)
	}
	started, err := admin.RunLifecycle(t.Context(), &operatormodel.RunLifecycleInput{RepositoryName: "app"})
	if err != nil || started.Run.State != "queued" {
		t.Fatal(started, err)
	}
	if err := f.work.RunDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	undo := &operatormodel.UndoLifecycleInput{RepositoryName: "app", RunID: started.Run.RunID}
	for _, want := range []string{"done 4 2 0", "undone 4 2 2"} {
		runs, err := admin.ListLifecycleRuns(t.Context(), &operatormodel.ListLifecycleRunsInput{RepositoryName: "app", RunID: &started.Run.RunID})
		if err != nil || len(runs.Runs) != 1 {
			t.Fatal(runs, err)
		}
		r := runs.Runs[0]
		if got := fmt.Sprint(r.State, " ", r.ImageCount, " ", r.Removed, " ", r.Restored); got != want || r.UndoUntil == nil || r.FinishedAt == nil || r.StartedBy == nil {
			t.Errorf("%+v, want %s", r, want)
		}
		if out, err := admin.UndoLifecycle(t.Context(), undo); err != nil || r.State == "done" && out.Run.State != "undoing" {
			t.Error(out, err)
		}
		if err := f.work.RunDue(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := admin.RunLifecycle(t.Context(), &operatormodel.RunLifecycleInput{RepositoryName: "app"}); err != nil {
		t.Fatal(err)
	}
	list := &operatormodel.ListLifecycleRunsInput{RepositoryName: "app", MaxResults: aws.Int32(1)}
	seen := 0
	for more := true; more; more = list.NextToken != nil {
		page, err := admin.ListLifecycleRuns(t.Context(), list)
		if err != nil || len(page.Runs) != 1 {
			t.Fatal(page, err)
		}
		seen, list.NextToken = seen+1, page.NextToken
	}
	if seen != 2 {
		t.Errorf("%d runs", seen)
	}
	if _, err := admin.DeleteDefaultLifecyclePolicy(t.Context(), new(operatormodel.DeleteDefaultLifecyclePolicyInput)); err != nil {
		t.Error(err)
	}
	_, err = admin.GetDefaultLifecyclePolicy(t.Context(), new(operatormodel.GetDefaultLifecyclePolicyInput))
	wantCode(t, err, "LifecyclePolicyNotFoundException")
}
