package operatorapi_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// withFailed puts n jobs into the queue that fail for good.
func (f *fixture) withFailed(n int) {
	f.t.Helper()
	if err := f.work.Handle(work.Kind{Name: "k", MaxAttempts: 1, Run: func(context.Context, work.Run) error { return errors.New("no such thing") }}); err != nil {
		f.t.Fatal(err)
	}
	for i := range n {
		if err := f.DB.Tx(f.t.Context(), func(tx *db.Tx) error {
			return f.work.Enqueue(f.t.Context(), tx, work.Job{Kind: "k", Key: fmt.Sprint(i)})
		}); err != nil {
			f.t.Fatal(err)
		}
	}
	if err := f.work.RunDue(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

func TestListWork(t *testing.T) {
	f := serve(t)
	f.withFailed(5)
	in := &operatormodel.ListWorkInput{State: aws.String("failed"), MaxResults: aws.Int32(2)}
	var keys []string
	for more := true; more; more = in.NextToken != nil {
		page, err := f.admin().ListWork(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Work) > 2 {
			t.Errorf("%d jobs on a page", len(page.Work))
		}
		for _, w := range page.Work {
			keys = append(keys, aws.ToString(w.Key))
			if w.Kind != "k" || w.State != "failed" || w.Attempts != 1 || aws.ToString(w.LastError) != "no such thing" || w.FinishedAt == nil || w.Server != nil || w.RunAt.IsZero() {
				t.Errorf("%+v", w)
			}
		}
		in.NextToken = page.NextToken
	}
	if fmt.Sprint(keys) != "[0 1 2 3 4]" {
		t.Errorf("keys %v", keys)
	}
	page, err := f.admin().ListWork(t.Context(), &operatormodel.ListWorkInput{State: aws.String("failed"), MaxResults: aws.Int32(1)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.admin().ListWork(t.Context(), &operatormodel.ListWorkInput{State: aws.String("queued"), NextToken: page.NextToken})
	wantCode(t, err, "InvalidParameterException")
	_, err = f.admin().ListWork(t.Context(), &operatormodel.ListWorkInput{State: aws.String("gone")})
	wantCode(t, err, "ValidationException")
}

func TestRetryWork(t *testing.T) {
	f := serve(t)
	f.withFailed(3)
	failed, err := f.admin().ListWork(t.Context(), &operatormodel.ListWorkInput{State: aws.String("failed")})
	if err != nil || len(failed.Work) != 3 {
		t.Fatal(failed, err)
	}
	id := failed.Work[0].ID
	only := f.user("one", `{"Effect":"Allow","Action":"gatehouse:RetryWork","Resource":"arn:aws:gatehouse:*:`+iamtest.Account+`:work/`+id+`"}`)
	_, err = only.RetryWork(t.Context(), &operatormodel.RetryWorkInput{Kind: aws.String("k")})
	wantCode(t, err, "AccessDeniedException")
	if out, err := only.RetryWork(t.Context(), &operatormodel.RetryWorkInput{ID: &id}); err != nil || out.Retried != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	if out, err := f.admin().RetryWork(t.Context(), &operatormodel.RetryWorkInput{Kind: aws.String("k")}); err != nil || out.Retried != 2 {
		t.Errorf("%+v, %v", out, err)
	}
	_, err = f.admin().RetryWork(t.Context(), &operatormodel.RetryWorkInput{ID: aws.String("gone")})
	wantCode(t, err, "WorkNotFoundException")
	_, err = f.admin().RetryWork(t.Context(), &operatormodel.RetryWorkInput{})
	wantCode(t, err, "InvalidParameterException")
}
