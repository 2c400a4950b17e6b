package operatorapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// scope is a repository of the domain, or the domain itself.
func scope(repository string) operatormodel.AdmissionScope {
	s := operatormodel.AdmissionScope{Domain: "acme"}
	if repository != "" {
		s.Repository = &repository
	}
	return s
}

func TestAdmission(t *testing.T) {
	f := serve(t)
	f.createRepository()
	ui := packages.PackageID{Format: packages.NPM, Namespace: "acme", Name: "ui"}
	for _, v := range []string{"1.0.0", "1.1.0", "1.2.0"} {
		f.publish(ui, v)
	}
	rule := `{"Version":"2012-10-17","Statement":[{"Sid":"Young","Effect":"Deny","Principal":"*","Action":"codeartifact:ReadFromRepository","Resource":"*","Condition":{"NumericLessThan":{"gatehouse:VersionAge":7}}}]}`
	if _, err := f.store.SetRepositoryPolicy(f.adminContext(), lib, rule, ""); err != nil {
		t.Fatal(err)
	}
	admin := f.admin()
	acme := aws.String("acme")
	until := f.Now().Add(time.Hour).Truncate(time.Second)
	made, err := admin.PutAdmissionException(t.Context(), &operatormodel.PutAdmissionExceptionInput{
		AdmissionScope: scope("lib"), Format: "npm", Namespace: acme, Package: "ui", Version: aws.String("1.1.0"), Rules: []string{"Young"}, Until: until, Reason: aws.String("ticket"),
	})
	if err != nil || made.Entry.EntryID == "" || made.Entry.Kind != "exception" || !made.Entry.Until.Equal(until) || aws.ToString(made.Entry.Version) != "1.1.0" {
		t.Fatal(made, err)
	}
	held, err := admin.PutQuarantine(t.Context(), &operatormodel.PutQuarantineInput{AdmissionScope: scope(""), Format: "npm", Namespace: acme, Package: "ui", Version: aws.String("1.2.0"), Reason: aws.String("malware")})
	if err != nil || held.Entry.Kind != "quarantine" || held.Entry.Repository != nil || held.Entry.Until != nil {
		t.Fatal(held, err)
	}

	explain := &operatormodel.ExplainAdmissionInput{RepositoryName: libName, Format: "npm", Namespace: acme, Package: "ui", MaxResults: aws.Int32(2)}
	var got []string
	for more := true; more; more = explain.NextToken != nil {
		page, err := admin.ExplainAdmission(t.Context(), explain)
		if err != nil || len(page.Verdicts) > 2 {
			t.Fatal(page, err)
		}
		for _, v := range page.Verdicts {
			got = append(got, v.Version+" "+v.Outcome)
		}
		explain.NextToken = page.NextToken
	}
	if got := strings.Join(got, ", "); got != "1.0.0 denied, 1.1.0 excepted, 1.2.0 denied" {
		t.Error(got)
	}
	_, err = admin.ExplainAdmission(t.Context(), &operatormodel.ExplainAdmissionInput{RepositoryName: libName, Format: "npm", Namespace: acme, Package: "ui", Version: aws.String("9.0.0")})
	wantCode(t, err, "ResourceNotFoundException")

	list := &operatormodel.ListAdmissionEntriesInput{AdmissionScope: scope(""), MaxResults: aws.Int32(1)}
	seen := 0
	for more := true; more; more = list.NextToken != nil {
		page, err := admin.ListAdmissionEntries(t.Context(), list)
		if err != nil || len(page.Entries) != 1 {
			t.Fatal(page, err)
		}
		seen, list.NextToken = seen+1, page.NextToken
	}
	if seen != 2 {
		t.Errorf("%d entries", seen)
	}
	_, err = admin.ListAdmissionEntries(t.Context(), &operatormodel.ListAdmissionEntriesInput{AdmissionScope: scope(""), NextToken: aws.String("x")})
	wantCode(t, err, "InvalidParameterException")

	// Who may make exceptions for one repository may make none for the domain, and may not
	// release.
	alice := f.user("alice", `{"Effect":"Allow","Action":"gatehouse:*AdmissionException","Resource":"arn:aws:codeartifact:*:*:repository/acme/lib"}`)
	_, err = alice.PutAdmissionException(t.Context(), &operatormodel.PutAdmissionExceptionInput{AdmissionScope: scope(""), Format: "npm", Package: "ui", Until: until})
	wantCode(t, err, "AccessDeniedException")
	_, err = alice.ReleaseQuarantine(t.Context(), &operatormodel.ReleaseQuarantineInput{AdmissionScope: scope(""), EntryID: held.Entry.EntryID})
	wantCode(t, err, "AccessDeniedException")
	if _, err := alice.DeleteAdmissionException(t.Context(), &operatormodel.DeleteAdmissionExceptionInput{AdmissionScope: scope("lib"), EntryID: made.Entry.EntryID}); err != nil {
		t.Error(err)
	}
	if _, err := admin.ReleaseQuarantine(t.Context(), &operatormodel.ReleaseQuarantineInput{AdmissionScope: scope(""), EntryID: held.Entry.EntryID}); err != nil {
		t.Error(err)
	}
	if all, err := admin.ListAdmissionEntries(t.Context(), &operatormodel.ListAdmissionEntriesInput{AdmissionScope: scope("")}); err != nil || len(all.Entries) != 0 {
		t.Error(all, err)
	}
}
