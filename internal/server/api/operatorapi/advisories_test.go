package operatorapi_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

func TestAdvisories(t *testing.T) {
	f := serve(t)
	admin := f.admin()
	document := func(id, severity string) string {
		return `{"id":"` + id + `","summary":"bad","modified":"2026-01-02T03:04:05Z","database_specific":{"severity":"` + severity + `"},"affected":[{"package":{"ecosystem":"npm","name":"@acme/ui"},"ranges":[{"type":"SEMVER","events":[{"introduced":"1.0.0"},{"fixed":"1.2.0"}]}],"versions":["3.0.0"]}]}`
	}
	got, err := admin.ImportAdvisories(t.Context(), &operatormodel.ImportAdvisoriesInput{Documents: []string{document("A-1", "LOW"), document("A-2", "HIGH"), "x"}})
	if err != nil || got.Imported != 2 || len(got.Refused) != 1 || got.Refused[0].Index != 2 || got.Refused[0].Reason == "" {
		t.Fatal(got, err)
	}
	list := &operatormodel.ListAdvisoriesInput{Format: "npm", Namespace: aws.String("acme"), Package: "ui", MaxResults: aws.Int32(1)}
	var ids []string
	for more := true; more; more = list.NextToken != nil {
		page, err := admin.ListAdvisories(t.Context(), list)
		if err != nil || len(page.Advisories) != 1 || page.TotalCount != 2 {
			t.Fatal(page, err)
		}
		a := page.Advisories[0]
		if len(a.Affected) != 2 || a.Affected[0] != "3.0.0" || a.Affected[1] != ">=1.0.0 <1.2.0" || a.ModifiedAt == nil {
			t.Errorf("%+v", a)
		}
		ids, list.NextToken = append(ids, a.AdvisoryID+" "+a.Severity), page.NextToken
	}
	if len(ids) != 2 || ids[0] != "A-2 high" || ids[1] != "A-1 low" {
		t.Errorf("%q", ids)
	}
	if out, err := admin.DeleteAdvisories(t.Context(), &operatormodel.DeleteAdvisoriesInput{AdvisoryIDs: []string{"A-1", "A-9"}}); err != nil || out.Deleted != 1 {
		t.Error(out, err)
	}
}

func TestRefreshAdvisories_NoAddress(t *testing.T) {
	f := serve(t)
	if out, err := f.admin().ListAdvisorySources(t.Context(), &operatormodel.ListAdvisorySourcesInput{}); err != nil || len(out.Sources) != 0 || out.Sources == nil {
		t.Error(out, err)
	}
	if _, err := f.admin().RefreshAdvisories(t.Context(), &operatormodel.RefreshAdvisoriesInput{}); err == nil || !strings.Contains(err.Error(), "advisories.sources") {
		t.Error(err)
	}
	stranger := f.user("reader", `{"Effect":"Allow","Action":"gatehouse:ListAdvisor*","Resource":"*"}`)
	if _, err := stranger.RefreshAdvisories(t.Context(), &operatormodel.RefreshAdvisoriesInput{}); err == nil || !strings.Contains(err.Error(), "gatehouse:RefreshAdvisories") {
		t.Error(err)
	}
	if _, err := stranger.ListAdvisorySources(t.Context(), &operatormodel.ListAdvisorySourcesInput{}); err != nil {
		t.Error(err)
	}
}
