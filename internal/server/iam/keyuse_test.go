package iam_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/report"
)

// Every service that has a handler is among those whose use is reported.
func TestServices(t *testing.T) {
	handlers, err := filepath.Glob("../api/*api")
	if err != nil || len(handlers) == 0 {
		t.Fatal(handlers, err)
	}
	var want, got []string
	for _, dir := range handlers {
		name := strings.TrimSuffix(filepath.Base(dir), "api")
		if name == "operator" {
			name = "gatehouse"
		}
		want = append(want, name)
	}
	slices.Sort(want)
	for _, s := range iam.Services {
		got = append(got, s.Namespace)
	}
	if !slices.Equal(got, want) {
		t.Errorf("services %v, handlers %v", got, want)
	}
}

// TestUsed_Services checks that the use of a service is stored, that another server shows it
// and does not replace it by an older one, and that it ends with the user.
func TestUsed_Services(t *testing.T) {
	w := iamtest.New(t)
	ctx := w.AsAdmin()
	u, err := w.IAM.CreateUser(ctx, iam.NewEntity{Name: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	err = w.IAM.PutInlinePolicy(ctx, iam.KindUser, "alice", "ecr", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecr:*","Resource":"*"}}`)
	if err != nil {
		t.Fatal(err)
	}
	second := w.Start()
	job, err := report.New(w.IAM).GenerateAccessReport(ctx, u.ARN(), "")
	if err != nil {
		t.Fatal(err)
	}
	check := func(s *iam.Service, entities int, at time.Time) {
		t.Helper()
		_, list, err := report.New(s).AccessReport(ctx, job)
		if err != nil || len(list) != 1 || list[0].Entities != entities || !list[0].At.Equal(at) {
			t.Errorf("%+v, %v; want %v", list, err, at)
		}
	}
	check(w.IAM, 0, time.Time{})
	late := w.Now().Truncate(time.Microsecond)
	early := late.Add(-time.Hour)
	w.IAM.Used(u.ID, late, "ecr", "us-east-1")
	second.Used(u.ID, early, "ecr", "us-east-1")
	check(w.IAM, 1, late)
	check(second, 1, early)
	for _, s := range []*iam.Service{w.IAM, second} {
		if err := s.Maintain(ctx); err != nil {
			t.Fatal(err)
		}
	}
	check(second, 1, late)
	check(w.Start(), 1, late)

	if err := w.IAM.DeleteInlinePolicy(ctx, iam.KindUser, "alice", "ecr"); err != nil {
		t.Fatal(err)
	}
	if err := w.IAM.DeleteUser(ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	if err := w.IAM.Maintain(ctx); err != nil {
		t.Fatal(err)
	}
	if uses, err := w.IAM.ServiceUses(ctx, u.ID); err != nil || len(uses) != 0 {
		t.Errorf("of a deleted user: %v, %v", uses, err)
	}
}
