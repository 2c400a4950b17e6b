package operatorapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func TestRetention(t *testing.T) {
	f := serve(t)
	f.createRepository()
	for i := range 6 {
		f.publish(packages.PackageID{Format: packages.NPM, Namespace: "acme", Name: "ui"}, fmt.Sprintf("1.%d.0", i))
	}
	f.Advance(2 * time.Hour)
	admin := f.admin()
	_, err := admin.PutRetentionRules(t.Context(), &operatormodel.PutRetentionRulesInput{RepositoryName: libName, Document: aws.String("rules: [{name: a}]")})
	wantCode(t, err, "ValidationException")
	list := operatormodel.LockList{Name: "app", Text: "npm/@acme/ui@1.1.0\n"}
	_, err = admin.PutRetentionRules(t.Context(), &operatormodel.PutRetentionRulesInput{RepositoryName: libName, Document: aws.String("x"), LockLists: []operatormodel.LockList{list, list}})
	wantCode(t, err, "InvalidParameterException")
	document := "rules: [{name: two, keep_newest: 2}]"
	put, err := admin.PutRetentionRules(t.Context(), &operatormodel.PutRetentionRulesInput{RepositoryName: libName, Document: &document, LockLists: []operatormodel.LockList{list}})
	if err != nil || put.Rules.Document != document || len(put.Rules.LockLists) != 1 || put.Rules.LockLists[0] != list {
		t.Fatal(put, err)
	}
	if got, err := admin.GetRetentionRules(t.Context(), &operatormodel.GetRetentionRulesInput{RepositoryName: libName}); err != nil || got.Rules.Revision != put.Rules.Revision {
		t.Error(got, err)
	}

	preview := &operatormodel.PreviewRetentionInput{RepositoryName: libName, MaxResults: aws.Int32(1)}
	var verdicts []string
	for more := true; more; more = preview.NextToken != nil {
		page, err := admin.PreviewRetention(t.Context(), preview)
		if err != nil || len(page.Verdicts) > 1 || page.VersionCount != 6 || page.MaxShare != 0.25 {
			t.Fatal(page, err)
		}
		for _, v := range page.Verdicts {
			verdicts = append(verdicts, fmt.Sprint(aws.ToString(v.Namespace), " ", v.Version, " ", v.Removed, " ", v.Rule, " ", aws.ToString(v.Protection), " ", aws.ToString(v.ProtectedBy)))
		}
		preview.NextToken = page.NextToken
	}
	if got := strings.Join(verdicts, ", "); got != "acme 1.3.0 true two  , acme 1.2.0 true two  , acme 1.1.0 false two lock app, acme 1.0.0 true two  " {
		t.Errorf("%s", got)
	}

	started, err := admin.RunRetention(t.Context(), &operatormodel.RunRetentionInput{RepositoryName: libName, MaxShare: aws.Float64(1)})
	if err != nil || started.Run.State != "queued" {
		t.Fatal(started, err)
	}
	if err := f.work.RunDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	undo := &operatormodel.UndoRetentionInput{RepositoryName: libName, RunID: started.Run.RunID}
	for _, want := range []string{"done 3 0", "undone 3 3"} {
		runs, err := admin.ListRetentionRuns(t.Context(), &operatormodel.ListRetentionRunsInput{RepositoryName: libName, RunID: &started.Run.RunID})
		if err != nil || len(runs.Runs) != 1 {
			t.Fatal(runs, err)
		}
		r := runs.Runs[0]
		if got := fmt.Sprint(r.State, " ", r.Removed, " ", r.Restored); got != want || r.UndoUntil == nil || r.FinishedAt == nil || r.StartedBy == nil {
			t.Errorf("%+v, want %s", r, want)
		}
		if out, err := admin.UndoRetention(t.Context(), undo); err != nil || r.State == "done" && out.Run.State != "undoing" {
			t.Error(out, err)
		}
		if err := f.work.RunDue(t.Context()); err != nil {
			t.Fatal(err)
		}
	}

	if _, err := admin.RunRetention(t.Context(), &operatormodel.RunRetentionInput{RepositoryName: libName}); err != nil {
		t.Fatal(err)
	}
	list1 := &operatormodel.ListRetentionRunsInput{RepositoryName: libName, MaxResults: aws.Int32(1)}
	seen := 0
	for more := true; more; more = list1.NextToken != nil {
		page, err := admin.ListRetentionRuns(t.Context(), list1)
		if err != nil || len(page.Runs) != 1 {
			t.Fatal(page, err)
		}
		seen, list1.NextToken = seen+1, page.NextToken
	}
	if seen != 2 {
		t.Errorf("%d runs", seen)
	}
	if _, err := admin.DeleteRetentionRules(t.Context(), &operatormodel.DeleteRetentionRulesInput{RepositoryName: libName}); err != nil {
		t.Error(err)
	}
	_, err = admin.GetRetentionRules(t.Context(), &operatormodel.GetRetentionRulesInput{RepositoryName: libName})
	wantCode(t, err, "ResourceNotFoundException")
}
