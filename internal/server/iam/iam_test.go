package iam_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/managed"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/sts"
)

const (
	account  = iamtest.Account
	allowECR = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecr:*","Resource":"*"}}`
)

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func code(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Code
	}
	return fmt.Sprint(err)
}

func TestBootstrap_Once(t *testing.T) {
	w := iamtest.New(t)
	if w.Admin.Account != account || w.Admin.User != iam.AdminUser || len(w.Admin.Secret) != 40 {
		t.Errorf("first credentials of %s in %s", w.Admin.User, w.Admin.Account)
	}
	before := iam.Describe(w.IAM)
	again, err := w.IAM.Bootstrap(t.Context(), []string{iamtest.Account, iamtest.Other})
	ok(t, err)
	if len(again) != 2 || again[0] != w.Admin || again[1] != w.OtherAdmin || !maps.Equal(before, iam.Describe(w.IAM)) {
		t.Error("a second start changed something")
	}

	third, err := w.IAM.Bootstrap(t.Context(), []string{"000000000003", account})
	ok(t, err)
	if len(third) != 2 || third[0].Account != "000000000003" || third[1] != w.Admin {
		t.Error("a new account beside an old one is not added")
	}

	// Who took the admin's key away has decided so.
	ctx := w.AsAdmin()
	ok(t, w.IAM.DeleteAccessKey(ctx, iam.AdminUser, w.Admin.AccessKeyID))
	left, err := w.IAM.Bootstrap(t.Context(), []string{account})
	if err != nil || len(left) != 0 {
		t.Errorf("after the key was deleted: %d keys, %v", len(left), err)
	}
	if _, err := w.IAM.Bootstrap(t.Context(), []string{"1"}); code(err) != "ValidationError" {
		t.Errorf("a bad account: %v", err)
	}
}

func TestService_Restart(t *testing.T) {
	w := iamtest.New(t)
	ctx := w.AsAdmin()
	_, err := w.IAM.CreateUser(ctx, iam.NewEntity{Name: "alice", Path: "/a/", Tags: []iam.Tag{{Key: "k", Value: "v"}}})
	ok(t, err)
	ok(t, w.IAM.PutInlinePolicy(ctx, iam.KindUser, "alice", "p", allowECR))
	_, key, secret, err := w.IAM.CreateAccessKey(ctx, "alice")
	ok(t, err)
	w.IAM.Used(key.ID, w.Now(), "ecr", "eu-central-1")
	ok(t, w.IAM.Maintain(t.Context()))

	second := w.Start()
	if !maps.Equal(iam.Describe(second), iam.Describe(w.IAM)) {
		t.Error("the second start holds something else")
	}
	if again, known := second.Secret(key.ID); !known || again != secret {
		t.Error("the access key has another secret after a restart")
	}
	_, use, err := second.AccessKeyLastUsed(ctx, key.ID)
	if err != nil || use == nil || use.Service != "ecr" || use.At.Sub(w.Now()).Abs() > time.Minute {
		t.Errorf("last used %+v, %v", use, err)
	}

	ok(t, second.DeleteAccessKey(ctx, "alice", key.ID))
	ok(t, second.Maintain(t.Context()))
	if _, _, err := w.Start().AccessKeyLastUsed(ctx, key.ID); code(err) != "NoSuchEntity" {
		t.Errorf("the use of a deleted key: %v", err)
	}
}

// TestCommit_TwoServers: of two servers that have not heard of
// each other's changes, the second decides on what the first has done.
func TestCommit_TwoServers(t *testing.T) {
	w := iamtest.New(t)
	ctx, second := w.AsAdmin(), w.Start()
	_, err := w.IAM.CreateUser(ctx, iam.NewEntity{Name: "alice"})
	ok(t, err)
	if _, err := second.CreateUser(ctx, iam.NewEntity{Name: "Alice"}); code(err) != "EntityAlreadyExists" {
		t.Errorf("the same name on the second server: %v", err)
	}
	var wg sync.WaitGroup
	created := make(chan string, 8)
	for _, s := range []*iam.Service{w.IAM, second} {
		for range 4 {
			wg.Go(func() {
				_, key, _, err := s.CreateAccessKey(ctx, "alice")
				if err == nil {
					created <- key.ID
				} else if code(err) != "LimitExceeded" {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if len(created) != 2 {
		t.Errorf("two servers made %d keys of one user, want 2", len(created))
	}
	ok(t, iam.Follow(t.Context(), w.IAM))
	ok(t, iam.Follow(t.Context(), second))
	if !maps.Equal(iam.Describe(second), iam.Describe(w.IAM)) {
		t.Error("the servers hold different things")
	}
}

func TestTrust_RecreatedUser(t *testing.T) {
	w := iamtest.New(t)
	admin := w.AsAdmin()
	login := func() (alice *authn.Caller) {
		u, err := w.IAM.CreateUser(admin, iam.NewEntity{Name: "alice"})
		ok(t, err)
		return authn.FromContext(w.As(account, u.ID, ""))
	}
	first := login()
	role, err := w.IAM.CreateRole(admin, iam.NewEntity{Name: "r"}, "", trusting(first.ARN), 0)
	ok(t, err)
	in := sts.AssumeRole{RoleARN: role.ARN(), SessionName: "s-1"}
	_, err = sts.New(w.IAM).AssumeRole(authn.WithCaller(t.Context(), first), in)
	ok(t, err)
	ok(t, w.IAM.DeleteUser(admin, "alice"))
	if _, err := sts.New(w.IAM).AssumeRole(authn.WithCaller(t.Context(), login()), in); code(err) != "AccessDenied" {
		t.Errorf("another user of the same name: %v", err)
	}
}

// A session that a trust policy names is one of the role that there was when the
// policy was written.
func TestTrust_RecreatedRole(t *testing.T) {
	w := iamtest.New(t)
	admin := w.AsAdmin()
	create := func() *iam.Role {
		r, err := w.IAM.CreateRole(admin, iam.NewEntity{Name: "ops", Path: "/team/"}, "", trusting(account), 0)
		ok(t, err)
		ok(t, w.IAM.PutInlinePolicy(admin, iam.KindRole, "ops", "p", strings.ReplaceAll(allowECR, "ecr:", "sts:")))
		return r
	}
	session := func(r *iam.Role, name string) context.Context {
		p := *w.IAM.Identity(account, r.ID)
		p.ARN, p.SessionName = "arn:aws:sts::"+account+":assumed-role/ops/"+name, name
		return authn.WithCaller(t.Context(), &authn.Caller{Principal: &p, Region: iamtest.Region, Time: w.Now()})
	}
	first := create()
	target, err := w.IAM.CreateRole(admin, iam.NewEntity{Name: "target"}, "", trusting("arn:aws:sts::"+account+":assumed-role/ops/s-1"), 0)
	ok(t, err)
	if shown := w.IAM.ShowPrincipals(target.Trust); shown != trusting("arn:aws:sts::"+account+":assumed-role/ops/s-1") || strings.Contains(target.Trust, "assumed-role") {
		t.Errorf("kept as %s, shown as %s", target.Trust, shown)
	}
	in := sts.AssumeRole{RoleARN: target.ARN(), SessionName: "x-1"}
	_, err = sts.New(w.IAM).AssumeRole(session(first, "s-1"), in)
	ok(t, err)
	if _, err := sts.New(w.IAM).AssumeRole(session(first, "s-2"), in); code(err) != "AccessDenied" {
		t.Errorf("another session: %v", err)
	}
	ok(t, w.IAM.DeleteInlinePolicy(admin, iam.KindRole, "ops", "p"))
	ok(t, w.IAM.DeleteRole(admin, "ops"))
	if _, err := sts.New(w.IAM).AssumeRole(session(create(), "s-1"), in); code(err) != "AccessDenied" {
		t.Errorf("a session of another role of the same name: %v", err)
	}
	if shown := w.IAM.ShowPrincipals(target.Trust); !strings.Contains(shown, first.ID+":s-1") {
		t.Errorf("with the role gone the policy is shown as %s", shown)
	}
	if _, err := w.IAM.CreateRole(admin, iam.NewEntity{Name: "other"}, "", trusting("arn:aws:sts::"+account+":assumed-role/nobody/s-1"), 0); code(err) != "MalformedPolicyDocument" {
		t.Errorf("trust in a session of no role: %v", err)
	}
}

func TestBindPrincipals_InPlace(t *testing.T) {
	w := iamtest.New(t)
	u, err := w.IAM.CreateUser(w.AsAdmin(), iam.NewEntity{Name: "alice"})
	ok(t, err)
	arn := u.ARN()
	for _, document := range []string{
		`{ "Statement" : { "Principal" : { "AWS" : "%s" }, "Sid": "%[1]s" } }`,
		`{"Statement":[{"Principal":{"AWS":["1","%s","%[1]s"],"Service":"%[1]s"}},{"NotPrincipal":{"AWS":"%[1]s"}}]}`,
		"{\"Statement\":[{\"Sid\":\"\u00fc\\u00fc\\\"\",\n\t\"Principal\":{\"AWS\":\"%s\"},\"Resource\":\"%[1]s\",\"AWS\":\"%[1]s\"}]}",
		`{"Statement":[{"Principal":"*"}],"AWS":"%s"}`,
	} {
		text := fmt.Sprintf(document, arn)
		bound, err := w.IAM.BindPrincipals(text)
		ok(t, err)
		if shown := w.IAM.ShowPrincipals(bound); shown != text {
			t.Errorf("shown as %s, want %s", shown, text)
		}
	}
	bound, err := w.IAM.BindPrincipals(`{"Statement":[{"Sid":"` + arn + `","Principal":{"AWS":["` + arn + `","*"]}}]}`)
	ok(t, err)
	if want := `{"Statement":[{"Sid":"` + arn + `","Principal":{"AWS":["` + u.ID + `","*"]}}]}`; bound != want {
		t.Errorf("bound to %s, want %s", bound, want)
	}
}

func TestManagedPolicies_AWS(t *testing.T) {
	w := iamtest.New(t)
	for _, p := range managed.Policies() {
		got, err := w.IAM.ManagedPolicy(w.AsAdmin(), p.ARN)
		if err != nil || got.DefaultVersion().Document != p.Document || !got.AWSManaged() {
			t.Errorf("%s: %v", p.ARN, err)
		}
	}
}

func TestOperations_Anonymous(t *testing.T) {
	w := iamtest.New(t)
	for name, call := range map[string]func() error{
		"read":   func() error { _, err := w.IAM.User(t.Context(), "admin"); return err },
		"list":   func() error { _, err := w.IAM.Users(t.Context(), iam.Page{}); return err },
		"change": func() error { return w.IAM.DeleteUser(t.Context(), "admin") },
		"assume": func() error { _, err := sts.New(w.IAM).AssumeRole(t.Context(), sts.AssumeRole{}); return err },
		"whoami": func() error { _, err := sts.New(w.IAM).CallerIdentity(t.Context()); return err },
	} {
		if err := call(); code(err) != "MissingAuthenticationToken" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkManyUsers(b *testing.B) {
	w := iamtest.New(b)
	ctx := w.AsAdmin()
	iam.Fill(b, w.DB, account, benchmarkUsers)
	var s *iam.Service
	b.Run("load", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s = w.Start()
		}
		b.ReportMetric(float64(benchmarkUsers)/b.Elapsed().Seconds()*float64(b.N), "users/s")
	})
	b.Run("change", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			ok(b, s.TagEntity(ctx, iam.KindUser, "user-5000", []iam.Tag{{Key: "k", Value: fmt.Sprint(i)}}))
			i++
		}
	})
	b.Run("page", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			l, err := s.Users(ctx, iam.Page{After: "user-5000", Limit: 100})
			if err != nil || len(l.Entries) != 100 {
				b.Fatal(len(l.Entries), err)
			}
		}
	})
}

const benchmarkUsers = 100_000
