package images_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

var home = images.RegistryID{Account: app.Account, Region: app.Region}

// ofRegistry has one call of each method that is about a registry as a whole.
var ofRegistry = map[string]func(context.Context, *store) error{
	"ecr:DescribeRegistry":                  func(ctx context.Context, s *store) error { _, err := s.DescribeRegistry(ctx, home); return err },
	"ecr:PutReplicationConfiguration":       func(ctx context.Context, s *store) error { return s.PutReplicationConfiguration(ctx, home, nil) },
	"ecr:PutRegistryPolicy":                 func(ctx context.Context, s *store) error { _, err := s.PutRegistryPolicy(ctx, home, ""); return err },
	"ecr:GetRegistryPolicy":                 func(ctx context.Context, s *store) error { _, err := s.RegistryPolicy(ctx, home); return err },
	"ecr:DeleteRegistryPolicy":              func(ctx context.Context, s *store) error { _, err := s.DeleteRegistryPolicy(ctx, home); return err },
	"ecr:GetAccountSetting":                 func(ctx context.Context, s *store) error { _, err := s.AccountSetting(ctx, home, ""); return err },
	"ecr:PutAccountSetting":                 func(ctx context.Context, s *store) error { return s.PutAccountSetting(ctx, home, "", "") },
	"ecr:DeregisterPullTimeUpdateExclusion": func(ctx context.Context, s *store) error { return s.DeregisterPullTimeExclusion(ctx, home, "") },
	"ecr:RegisterPullTimeUpdateExclusion": func(ctx context.Context, s *store) error {
		_, err := s.RegisterPullTimeExclusion(ctx, home, "")
		return err
	},
	"ecr:ListPullTimeUpdateExclusions": func(ctx context.Context, s *store) error {
		_, _, err := s.PullTimeExclusions(ctx, home, "", 1)
		return err
	},
	"ecr:CreateRepositoryCreationTemplate": func(ctx context.Context, s *store) error {
		_, err := s.CreateTemplate(ctx, home, images.Template{})
		return err
	},
	"ecr:UpdateRepositoryCreationTemplate": func(ctx context.Context, s *store) error {
		_, err := s.UpdateTemplate(ctx, home, "x", images.TemplateChange{})
		return err
	},
	"ecr:DeleteRepositoryCreationTemplate": func(ctx context.Context, s *store) error {
		_, err := s.DeleteTemplate(ctx, home, "x")
		return err
	},
	"ecr:DescribeRepositoryCreationTemplates": func(ctx context.Context, s *store) error {
		if _, err := s.TemplatesOf(ctx, home, nil); err == nil {
			return nil
		}
		s.authz.asked = nil
		_, _, err := s.Templates(ctx, home, "", 1)
		return err
	},
	"ecr:StartReplicationBackfill": func(ctx context.Context, s *store) error {
		_, err := s.StartReplicationBackfill(ctx, home, west)
		return err
	},
	"ecr:StopReplicationBackfill": func(ctx context.Context, s *store) error {
		_, err := s.StopReplicationBackfill(ctx, home, "id")
		return err
	},
	"ecr:DescribeReplicationBackfillResults": func(ctx context.Context, s *store) error {
		_, _, _, err := s.ReplicationBackfillResults(ctx, home, "id", "", images.BackfillResult{}, 1)
		return err
	},
	"ecr:ListReplicationBackfills": func(ctx context.Context, s *store) error {
		_, _, err := s.ReplicationBackfills(ctx, home, images.Backfill{}, 1)
		return err
	},
	"ecr:GetRegistryScanningConfiguration": func(ctx context.Context, s *store) error {
		_, err := s.ScanningConfiguration(ctx, home)
		return err
	},
	"ecr:PutRegistryScanningConfiguration": func(ctx context.Context, s *store) error {
		return s.PutScanningConfiguration(ctx, home, images.ScanningConfiguration{})
	},
}

func TestRegistry_EveryMethodAuthorizes(t *testing.T) {
	s := newStore(t)
	for action, call := range ofRegistry {
		s.authz.denied, s.authz.asked = map[string]bool{action + " *": true}, nil
		wantFault(t, call(t.Context(), s), "AccessDenied")
		if len(s.authz.asked) != 1 || s.authz.asked[0].Account != app.Account {
			t.Errorf("%s: asked for %+v", action, s.authz.asked)
		}
	}
}

// as returns the context of a user with a policy, in an account.
func as(t testing.TB, account, document string) context.Context {
	t.Helper()
	p, err := policy.Parse(document, policy.Identity)
	if err != nil {
		t.Fatal(err)
	}
	arn := "arn:aws:iam::" + account + ":user/alice"
	return authn.WithCaller(t.Context(), &authn.Caller{Region: app.Region, Principal: &authn.Principal{
		Type: authn.User, Account: account, ARN: arn, PrincipalARN: arn, Name: "alice", UserID: "AIDA" + account, UniqueID: "AIDA" + account, Policies: []*policy.Policy{p},
	}})
}

const allowAll = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`

// The registry policy counts in every request beside the repository's: what either denies
// is denied, and another account needs one of them.
func TestPutRegistryPolicy_IsEvaluated(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.pushImage(t, app, "one", "v1")
	evaluated, err := images.New(t.Context(), images.Config{DB: s.db, Blobs: s.blobs, Authz: new(authz.PolicyAuthorizer), Principals: iamtest.Unbound{}, Now: s.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	admin, other := as(t, app.Account, allowAll), as(t, "000000000002", allowAll)
	pull := func(ctx context.Context) error {
		_, err := evaluated.Manifest(ctx, app, images.Reference{Tag: "v1"})
		return err
	}
	push := func(ctx context.Context) error {
		_, err := evaluated.StartUpload(ctx, app, "")
		return err
	}
	create := func(ctx context.Context) error {
		_, err := evaluated.CreateRepository(ctx, named("new"+fmt.Sprint(s.clock.now().UnixMicro())), images.Settings{Mutability: images.Mutable})
		return err
	}
	want := func(what string, err error, allowed bool) {
		t.Helper()
		if allowed && err != nil || !allowed && !fault.Is(err, "AccessDenied") {
			t.Errorf("%s: %v, want allowed: %v", what, err, allowed)
		}
	}
	want("another account", pull(other), false)
	_, err = evaluated.RegistryPolicy(admin, home)
	wantFault(t, err, "RegistryPolicyNotFound")
	if err != nil && fault.From(err).Message != "Registry policy does not exist in the registry with id '000000000001'" {
		t.Error(err)
	}
	statement := func(effect, principal, actions string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"` + effect + `","Principal":` + principal + `,"Action":[` + actions + `],"Resource":"arn:aws:ecr:us-east-1:000000000001:repository/*"}]}`
	}
	put := func(text string) {
		t.Helper()
		if got, err := evaluated.PutRegistryPolicy(admin, home, text); err != nil || got != text {
			t.Fatal(got, err)
		}
	}
	grant := statement("Allow", `{"AWS":"arn:aws:iam::000000000002:root"}`, `"ecr:BatchGetImage","ecr:CreateRepository"`)
	put(grant)
	want("another account with the grant", pull(other), true)
	want("another account beyond the grant", push(other), false)
	want("another account creates", create(other), true)
	if got, err := evaluated.RegistryPolicy(admin, home); err != nil || got != grant {
		t.Error(got, err)
	}
	put(statement("Deny", `"*"`, `"ecr:InitiateLayerUpload","ecr:CreateRepository"`))
	want("the admin pulls", pull(admin), true)
	want("the admin pushes", push(admin), false)
	want("the admin creates", create(admin), false)
	want("another account without the grant", pull(other), false)

	for _, text := range []string{"", "{}", strings.Repeat(" ", 11_000)} {
		_, err = evaluated.PutRegistryPolicy(admin, home, text)
		wantFault(t, err, "InvalidParameter")
	}
	_, err = evaluated.PutRegistryPolicy(admin, home, `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:*","Resource":"*"}]}`)
	wantFault(t, err, "InvalidParameter")

	// It survives a restart.
	evaluated, err = images.New(t.Context(), images.Config{DB: s.db, Blobs: s.blobs, Authz: new(authz.PolicyAuthorizer), Principals: iamtest.Unbound{}, Now: s.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	want("the admin pushes after a restart", push(admin), false)
	if _, err := evaluated.DeleteRegistryPolicy(admin, home); err != nil {
		t.Fatal(err)
	}
	want("the admin pushes again", push(admin), true)
	_, err = evaluated.DeleteRegistryPolicy(admin, home)
	wantFault(t, err, "RegistryPolicyNotFound")
}

// What is set for a registry on one server holds on the others from the moment of the
// answer.
func TestServers_RegistryIsSeen(t *testing.T) {
	all, _ := newServers(t, 2)
	if err := all[0].PutAccountSetting(t.Context(), home, "BLOB_MOUNTING", "DISABLED"); err != nil {
		t.Fatal(err)
	}
	if value, err := all[1].AccountSetting(t.Context(), home, "BLOB_MOUNTING"); err != nil || value != "DISABLED" {
		t.Error(value, err)
	}
}

func TestAccountSettings(t *testing.T) {
	s := newStore(t)
	for name, want := range map[string]string{"BASIC_SCAN_TYPE_VERSION": "AWS_NATIVE", "REGISTRY_POLICY_SCOPE": "V2", "BLOB_MOUNTING": "ENABLED"} {
		if value, err := s.AccountSetting(t.Context(), home, name); err != nil || value != want {
			t.Errorf("%s: %s, %v", name, value, err)
		}
		if err := s.PutAccountSetting(t.Context(), home, name, want); err != nil {
			t.Error(err)
		}
		wantFault(t, s.PutAccountSetting(t.Context(), home, name, "V1"), "InvalidParameter")
	}
	_, err := s.AccountSetting(t.Context(), home, "OTHER")
	wantFault(t, err, "InvalidParameter")
	wantFault(t, s.PutAccountSetting(t.Context(), home, "OTHER", "x"), "InvalidParameter")

	s.create(t, app)
	s.create(t, named("to"))
	s.push(t, app, "layer")
	if err := s.PutAccountSetting(t.Context(), home, "BLOB_MOUNTING", "DISABLED"); err != nil {
		t.Fatal(err)
	}
	_, err = s.MountBlob(t.Context(), named("to"), app.Name, digest.FromString("layer"))
	wantFault(t, err, "BlobNotFound")
	if err := s.PutAccountSetting(t.Context(), home, "BLOB_MOUNTING", "ENABLED"); err != nil {
		t.Fatal(err)
	}
	if _, err = s.MountBlob(t.Context(), named("to"), app.Name, digest.FromString("layer")); err != nil {
		t.Error(err)
	}
}

func TestScanningConfiguration(t *testing.T) {
	s := newStore(t)
	if c, err := s.ScanningConfiguration(t.Context(), home); err != nil || c.Type != images.ScanBasic || c.Rules != nil {
		t.Error(c, err)
	}
	rule := func(frequency string, filters ...string) images.ScanningRule {
		return images.ScanningRule{Frequency: frequency, Filters: filters}
	}
	for _, c := range []images.ScanningConfiguration{
		{Type: "BASIC", Rules: []images.ScanningRule{rule("CONTINUOUS_SCAN", "*")}},
		{Type: "ENHANCED", Rules: []images.ScanningRule{rule("MANUAL", "*")}},
		{Type: "ENHANCED", Rules: []images.ScanningRule{rule("SCAN_ON_PUSH", "*"), rule("SCAN_ON_PUSH", "a")}},
		{Type: "BASIC", Rules: []images.ScanningRule{rule("SCAN_ON_PUSH")}},
	} {
		wantFault(t, s.PutScanningConfiguration(t.Context(), home, c), "InvalidParameter")
	}
	for _, name := range []string{"prod-app", "team/prod", "prod/db", "other"} {
		s.create(t, named(name))
	}
	if _, err := s.SetScanOnPush(t.Context(), named("other"), true); err != nil {
		t.Fatal(err)
	}
	if err := s.PutScanningConfiguration(t.Context(), home, images.ScanningConfiguration{Type: "ENHANCED", Rules: []images.ScanningRule{rule("CONTINUOUS_SCAN", "*prod", "x"), rule("SCAN_ON_PUSH", "prod")}}); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, s.dir, s.clock, same)
	for name, want := range map[string]string{"prod-app": "SCAN_ON_PUSH true [prod]", "team/prod": "CONTINUOUS_SCAN true [*prod]", "prod/db": "SCAN_ON_PUSH true [prod]", "other": "MANUAL false []"} {
		c, err := s.RepositoryScanning(t.Context(), named(name))
		if got := fmt.Sprint(c.Frequency, " ", c.ScanOnPush, " ", c.Filters); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", name, got, err, want)
		}
	}
}

// The pulls of excluded principals do not count as the last pull.
func TestPullTimeExclusions(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.pushImage(t, app, "one", "v1")
	alice := "arn:aws:iam::000000000001:user/alice"
	role := "arn:aws:iam::000000000001:role/ci"
	for _, wrong := range []string{"", "x", "arn:aws:iam::000000000001:group/g", "arn:aws:sts::000000000001:assumed-role/ci/s"} {
		_, err := s.RegisterPullTimeExclusion(t.Context(), home, wrong)
		wantFault(t, err, "InvalidParameter")
	}
	for _, principal := range []string{alice, role} {
		if e, err := s.RegisterPullTimeExclusion(t.Context(), home, principal); err != nil || e.ARN != principal || !e.Created.Equal(s.clock.now()) {
			t.Error(e, err)
		}
	}
	_, err := s.RegisterPullTimeExclusion(t.Context(), home, alice)
	wantFault(t, err, "ExclusionAlreadyExists")
	var all []string
	for after, more := "", true; more; {
		var page []string
		if page, more, err = s.PullTimeExclusions(t.Context(), home, after, 1); err != nil || len(page) != 1 {
			t.Fatal(page, err)
		}
		all, after = append(all, page...), page[0]
	}
	if !slices.Equal(all, []string{role, alice}) {
		t.Error(all)
	}
	pull := func() {
		t.Helper()
		if _, err := s.PullManifest(as(t, app.Account, allowAll), app, images.Reference{Tag: "v1"}); err != nil {
			t.Fatal(err)
		}
	}
	pull()
	if at := s.pulledAt(t, "v1"); !at.IsZero() {
		t.Errorf("a pull that is excluded counts: %v", at)
	}
	if err := s.DeregisterPullTimeExclusion(t.Context(), home, alice); err != nil {
		t.Fatal(err)
	}
	wantFault(t, s.DeregisterPullTimeExclusion(t.Context(), home, alice), "ExclusionNotFound")
	pull()
	if at := s.pulledAt(t, "v1"); at.IsZero() {
		t.Error("a pull does not count")
	}
	for i := range 99 {
		if _, err := s.RegisterPullTimeExclusion(t.Context(), home, fmt.Sprint("arn:aws:iam::000000000001:user/", i)); err != nil {
			t.Fatal(err)
		}
	}
	_, err = s.RegisterPullTimeExclusion(t.Context(), home, "arn:aws:iam::000000000001:user/one-more")
	wantFault(t, err, "TooManyExclusions")
}

func TestImageReferrers(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	subject := s.pushImage(t, app, "one", "v1")
	for i := range 3 {
		s.referrer(t, subject, fmt.Sprint(i))
	}
	q := images.ReferrersQuery{Subject: subject, ArtifactTypes: []string{"application/vnd.example", "application/vnd.other"}, Limit: 2, MaxBytes: 1 << 20}
	list, next, err := s.ImageReferrers(t.Context(), app, q)
	if err != nil || len(list) != 2 || next == "" {
		t.Fatal(list, next, err)
	}
	q.After = next
	if list, next, err = s.ImageReferrers(t.Context(), app, q); err != nil || len(list) != 1 || next != "" {
		t.Error(list, next, err)
	}
	q.ArtifactTypes, q.After = []string{"application/vnd.other"}, ""
	if list, _, err = s.ImageReferrers(t.Context(), app, q); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
	q.Subject = digest.FromString("none")
	_, _, err = s.ImageReferrers(t.Context(), app, q)
	wantFault(t, err, "ImageNotFound")
	q.Subject = "nonsense"
	_, _, err = s.ImageReferrers(t.Context(), app, q)
	wantFault(t, err, "InvalidParameter")
}
