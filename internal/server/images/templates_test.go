package images_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

const (
	templateRole = "arn:aws:iam::000000000001:role/templates"
	openPolicy   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}`
	keepOne      = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`
)

func template(prefix string, causes ...images.Cause) images.Template {
	return images.Template{Prefix: prefix, AppliedFor: causes, Settings: images.Settings{Mutability: images.Mutable, Encryption: images.Encryption{Type: "AES256"}}}
}

func (s *store) template(t testing.TB, tpl images.Template) {
	t.Helper()
	if _, err := s.CreateTemplate(t.Context(), home, tpl); err != nil {
		t.Fatal(err)
	}
}

// roles are those that exist and trust every service.
type roles map[string]*policy.Policy

func (r roles) AsService(roleARN, _ string) (*authn.Principal, error) {
	p, ok := r[roleARN]
	if !ok {
		return nil, fault.New(fault.NotFound, "NoSuchEntity", "no role")
	}
	return &authn.Principal{Type: authn.AssumedRole, Account: app.Account, ARN: roleARN, PrincipalARN: roleARN, UniqueID: "AROA1", Policies: []*policy.Policy{p}}, nil
}

// A template with everything survives a restart, and an update changes what it names.
func TestTemplate_Restart(t *testing.T) {
	s := newStore(t)
	tpl := template("prod/", images.CauseReplication, images.CauseCreateOnPush, images.CauseReplication)
	tpl.Description, tpl.RepositoryPolicy, tpl.LifecyclePolicy, tpl.RoleARN = "for prod", openPolicy, keepOne, templateRole
	tpl.Settings = images.Settings{Mutability: images.ImmutableWithExclusion, Exclusions: []string{"dev*"}, Encryption: images.Encryption{Type: "KMS"}, Tags: map[string]string{"team": "a"}}
	created, err := s.CreateTemplate(t.Context(), home, tpl)
	if err != nil || !slices.Equal(created.AppliedFor, []images.Cause{images.CauseCreateOnPush, images.CauseReplication}) {
		t.Fatal(created, err)
	}
	_, err = s.CreateTemplate(t.Context(), home, template("prod", images.CauseReplication))
	wantFault(t, err, "TemplateAlreadyExists")
	s.clock.advance(1e9)
	empty, mode := "", images.Mutable
	_, err = s.UpdateTemplate(t.Context(), home, "none", images.TemplateChange{})
	wantFault(t, err, "TemplateNotFound")
	_, err = s.UpdateTemplate(t.Context(), home, "prod", images.TemplateChange{Exclusions: []string{}})
	wantFault(t, err, "InvalidParameter")
	if _, err := s.UpdateTemplate(t.Context(), home, "prod", images.TemplateChange{Description: &empty, Mutability: &mode}); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, s.dir, s.clock, same)
	list, more, err := s.Templates(t.Context(), home, "", 1)
	if err != nil || more || len(list) != 1 {
		t.Fatal(list, more, err)
	}
	got := list[0]
	if got.Prefix != "prod/" || got.Description != "" || got.Settings.Mutability != images.Mutable || got.Settings.Exclusions != nil || got.Settings.Tags["team"] != "a" ||
		got.RepositoryPolicy != openPolicy || got.LifecyclePolicy != keepOne || got.RoleARN != templateRole || !got.Created.Equal(created.Created) || !got.Updated.After(got.Created) {
		t.Errorf("%+v", got)
	}
	if _, err := s.DeleteTemplate(t.Context(), home, "prod"); err != nil {
		t.Fatal(err)
	}
	_, err = s.DeleteTemplate(t.Context(), home, "prod/")
	wantFault(t, err, "TemplateNotFound")
}

func TestTemplates_Pages(t *testing.T) {
	s := newStore(t)
	for _, prefix := range []string{"ROOT", "b/c/", "b", "a/", "b-c"} {
		s.template(t, template(prefix, images.CauseReplication))
	}
	var got []string
	for after, more := "", true; more; {
		var list []*images.Template
		var err error
		if list, more, err = s.Templates(t.Context(), home, after, 2); err != nil {
			t.Fatal(err)
		}
		for _, tpl := range list {
			got = append(got, tpl.Prefix)
		}
		after = got[len(got)-1]
	}
	if want := []string{"ROOT", "a/", "b", "b-c", "b/c/"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	list, err := s.TemplatesOf(t.Context(), home, []string{"b/", "none", "ROOT"})
	if err != nil || len(list) != 2 || list[0].Prefix != "b" || list[1].Prefix != "ROOT" {
		t.Error(list, err)
	}
}

func TestCreateTemplate_Invalid(t *testing.T) {
	s := newStore(t)
	with := func(change func(*images.Template)) images.Template {
		tpl := template("x", images.CauseReplication)
		change(&tpl)
		return tpl
	}
	for name, tpl := range map[string]images.Template{
		"prefix":        template("Upper", images.CauseReplication),
		"slash":         template("/a", images.CauseReplication),
		"long":          template(strings.Repeat("a", 257), images.CauseReplication),
		"no cause":      template("x"),
		"unknown cause": template("x", "SOMETIMES"),
		"description":   with(func(tpl *images.Template) { tpl.Description = strings.Repeat("d", 257) }),
		"role":          with(func(tpl *images.Template) { tpl.RoleARN = "arn:aws:iam::000000000002:role/other-account" }),
		"no role":       with(func(tpl *images.Template) { tpl.RoleARN = "arn:aws:iam::000000000001:user/alice" }),
		"mutability":    with(func(tpl *images.Template) { tpl.Settings.Mutability = "" }),
		"six exclusions": with(func(tpl *images.Template) {
			tpl.Settings = images.Settings{Mutability: images.ImmutableWithExclusion, Exclusions: []string{"a", "b", "c", "d", "e", "f"}}
		}),
		"policy":    with(func(tpl *images.Template) { tpl.RepositoryPolicy = "{}" }),
		"lifecycle": with(func(tpl *images.Template) { tpl.LifecyclePolicy = strings.Replace(keepOne, "any", "some", 1) }),
	} {
		if _, err := s.CreateTemplate(t.Context(), home, tpl); !fault.Is(err, "InvalidParameter") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := s.CreateTemplate(t.Context(), home, with(func(tpl *images.Template) { tpl.Settings.Tags = map[string]string{"aws:x": ""} }))
	wantFault(t, err, "InvalidTagParameter")
	for i := range 100 {
		s.template(t, template(fmt.Sprint("t", i), images.CauseReplication))
	}
	_, err = s.CreateTemplate(t.Context(), home, template("x", images.CauseReplication))
	wantFault(t, err, "TooManyTemplates")
}

// A template gives its repositories only what the caller may give them.
func TestCreateTemplate_DependentPermissions(t *testing.T) {
	s := newStore(t)
	tpl := template("x", images.CauseReplication)
	tpl.RepositoryPolicy, tpl.LifecyclePolicy, tpl.RoleARN, tpl.Settings.Tags = openPolicy, keepOne, templateRole, map[string]string{"team": "a"}
	plain := template("y", images.CauseReplication)
	for denied, also := range map[string]bool{
		"ecr:CreateRepositoryCreationTemplate *":                                    true,
		"ecr:CreateRepository arn:aws:ecr:us-east-1:000000000001:repository/x/*":    false,
		"ecr:TagResource arn:aws:ecr:us-east-1:000000000001:repository/x/*":         false,
		"ecr:SetRepositoryPolicy arn:aws:ecr:us-east-1:000000000001:repository/x/*": false,
		"ecr:PutLifecyclePolicy arn:aws:ecr:us-east-1:000000000001:repository/x/*":  false,
		"iam:PassRole " + templateRole:                                              false,
		"ecr:CreateRepository arn:aws:ecr:us-east-1:000000000001:repository/y/*":    true,
	} {
		s.authz.denied, s.authz.asked = map[string]bool{denied: true}, nil
		create := tpl
		if also {
			create = plain
		}
		_, err := s.CreateTemplate(t.Context(), home, create)
		wantFault(t, err, "AccessDenied")
		if action, _, _ := strings.Cut(denied, " "); action == "iam:PassRole" && !slices.Equal(s.authz.asked[0].Keys["iam:PassedToService"], []string{"ecr.amazonaws.com"}) {
			t.Errorf("%+v", s.authz.asked)
		}
	}
	s.authz.denied = nil
	s.template(t, plain)
	s.authz.denied = map[string]bool{"iam:PassRole": true}
	role := templateRole
	_, err := s.UpdateTemplate(t.Context(), home, "y", images.TemplateChange{RoleARN: &role})
	wantFault(t, err, "AccessDenied")
}

// The template with the longest prefix counts among those for the cause, and ROOT last.
func TestCreateForCause_ChoosesTemplate(t *testing.T) {
	s := newStore(t)
	mark := func(prefix string, filter string, causes ...images.Cause) {
		tpl := template(prefix, causes...)
		tpl.Settings.Mutability, tpl.Settings.Exclusions = images.MutableWithExclusion, []string{filter}
		s.template(t, tpl)
	}
	mark("a", "a", images.CauseReplication, images.CausePullThroughCache)
	mark("a/b/", "a-b", images.CauseReplication)
	mark("ROOT", "root", images.CausePullThroughCache)
	for _, c := range []struct {
		name  string
		cause images.Cause
		want  []string
	}{
		{"a/b/c", images.CauseReplication, []string{"a-b"}},
		{"a/b/d", images.CausePullThroughCache, []string{"a"}},
		{"a/b", images.CauseReplication, []string{"a"}},
		{"a/bc", images.CauseReplication, []string{"a"}},
		{"ab/c", images.CausePullThroughCache, []string{"root"}},
		{"ab/d", images.CauseReplication, nil},
	} {
		r, err := s.CreateForCause(t.Context(), named(c.name), c.cause)
		if err != nil || !slices.Equal(r.Exclusions, c.want) || r.Encryption.Type != "AES256" {
			t.Errorf("%s: %+v, %v, want %q", c.name, r, err, c.want)
		}
	}
	_, err := s.CreateForCause(t.Context(), named("a/b/c/d"), images.CauseCreateOnPush)
	wantFault(t, err, "RepositoryNotFound")
	_, err = s.CreateForCause(t.Context(), named("A"), images.CauseReplication)
	wantFault(t, err, "InvalidParameter")
	again, err := s.CreateForCause(t.Context(), named("a/b/c"), images.CausePullThroughCache)
	if err != nil || !slices.Equal(again.Exclusions, []string{"a-b"}) {
		t.Error("a repository that exists was changed", again, err)
	}
}

// A repository gets everything that its template has.
func TestCreateForCause_Everything(t *testing.T) {
	s := newStore(t)
	tpl := template("ROOT", images.CauseReplication)
	tpl.RepositoryPolicy, tpl.LifecyclePolicy = openPolicy, keepOne
	tpl.Settings.Mutability = images.Immutable
	s.template(t, tpl)
	if _, err := s.CreateForCause(t.Context(), app, images.CauseReplication); err != nil {
		t.Fatal(err)
	}
	if len(s.audit) != 1 || s.audit[0].Name != "CreateRepository" || s.audit[0].Repository != app.ARN() {
		t.Errorf("the audit log has %+v", s.audit)
	}
	for range 2 {
		r, err := s.Policy(t.Context(), app)
		if err != nil || r.Policy != openPolicy || r.Mutability != images.Immutable {
			t.Error(r, err)
		}
		p, err := s.LifecyclePolicy(t.Context(), app)
		if err != nil || p.Document != keepOne {
			t.Error(p, err)
		}
		s = openStore(t, s.dir, s.clock, same)
	}
}

// Tags and KMS keys need a role, which must be allowed what it is for.
func TestCreateForCause_Role(t *testing.T) {
	s := newStore(t)
	trusted := roles{}
	evaluated, err := images.New(t.Context(), images.Config{DB: s.db, Blobs: s.blobs, Work: s.work, Authz: new(authz.PolicyAuthorizer), Principals: iamtest.Unbound{}, Roles: trusted, Now: s.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	admin := as(t, app.Account, allowAll)
	tagged := template("tagged", images.CauseReplication)
	tagged.Settings.Tags = map[string]string{"team": "a"}
	kms := template("kms", images.CauseReplication)
	kms.Settings.Encryption.Type = "KMS"
	create := func(name string) (*images.Repository, error) {
		return evaluated.CreateForCause(context.WithoutCancel(t.Context()), named(name), images.CauseReplication)
	}
	for _, tpl := range []images.Template{tagged, kms} {
		if _, err := evaluated.CreateTemplate(admin, home, tpl); err != nil {
			t.Fatal(err)
		}
		_, err := create(tpl.Prefix + "/app")
		wantFault(t, err, "TemplateRoleUnusable")
		role := templateRole
		if _, err := evaluated.UpdateTemplate(admin, home, tpl.Prefix, images.TemplateChange{RoleARN: &role}); err != nil {
			t.Fatal(err)
		}
		_, err = create(tpl.Prefix + "/app")
		wantFault(t, err, "TemplateRoleUnusable")
	}
	may := func(actions string) {
		p, err := policy.Parse(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":[`+actions+`],"Resource":"*"}}`, policy.Identity)
		if err != nil {
			t.Fatal(err)
		}
		trusted[templateRole] = p
	}
	may(`"ecr:CreateRepository"`)
	if r, err := create("kms/app"); err != nil || r.Encryption.Type != "KMS" || r.Encryption.KMSKey == "" {
		t.Error(r, err)
	}
	_, err = create("tagged/app")
	wantFault(t, err, "TemplateRoleUnusable")
	if err != nil && !strings.Contains(err.Error(), "ecr:TagResource") {
		t.Error(err)
	}
	may(`"ecr:CreateRepository","ecr:TagResource"`)
	if r, err := create("tagged/app"); err != nil || !maps.Equal(r.Tags, tagged.Settings.Tags) {
		t.Error(r, err)
	}
}

// A push to a missing repository creates it if a template says so and the caller may.
func TestPush_CreatesRepository(t *testing.T) {
	s := newStore(t)
	pushes := map[string]func(name string) error{
		"start": func(name string) error { _, err := s.StartUpload(t.Context(), named(name), ""); return err },
		"put": func(name string) error {
			_, err := s.PutBlob(t.Context(), named(name), describe("", []byte("x")).Digest, reader("x"))
			return err
		},
		"mount": func(name string) error {
			_, err := s.MountBlob(t.Context(), named(name), app.Name, describe("", []byte("x")).Digest)
			return err
		},
	}
	s.create(t, app)
	s.push(t, app, "x")
	s.template(t, template("other", images.CauseCreateOnPush))
	s.template(t, template("new", images.CauseReplication))
	all := func(wanted string) {
		t.Helper()
		for kind, push := range pushes {
			if err := push("new/" + kind); !fault.Is(err, wanted) {
				t.Errorf("%s: %v, want %s", kind, err, wanted)
			}
			if _, err := s.DescribeRepository(t.Context(), named("new/"+kind)); !fault.Is(err, "RepositoryNotFound") {
				t.Errorf("%s: %v", kind, err)
			}
		}
	}
	all("RepositoryNotFound")
	if _, err := s.UpdateTemplate(t.Context(), home, "new", images.TemplateChange{AppliedFor: []images.Cause{images.CauseCreateOnPush}}); err != nil {
		t.Fatal(err)
	}
	s.authz.denied = map[string]bool{"ecr:InitiateLayerUpload": true}
	all("AccessDenied")
	s.authz.denied = map[string]bool{"ecr:CreateRepository": true}
	all("AccessDenied")
	s.authz.denied = nil
	for kind, push := range pushes {
		if err := push("new/" + kind); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if len(s.audit) != len(pushes) {
		t.Errorf("the audit log has %d records", len(s.audit))
	}
	// Reading creates nothing, and neither does a manifest without its blobs.
	_, err := s.BlobInfo(t.Context(), named("new/read"), describe("", []byte("x")).Digest)
	wantFault(t, err, "RepositoryNotFound")
	_, err = s.PutManifest(t.Context(), named("new/read"), images.PutManifest{Tags: []string{"v1"}, Body: reader("{}")})
	wantFault(t, err, "RepositoryNotFound")
}

// The policy of the template counts for the push that creates the repository.
func TestPush_TemplatePolicyCounts(t *testing.T) {
	s := newStore(t)
	evaluated, err := images.New(t.Context(), images.Config{DB: s.db, Blobs: s.blobs, Authz: new(authz.PolicyAuthorizer), Principals: iamtest.Unbound{}, Now: s.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	admin := as(t, app.Account, allowAll)
	tpl := template("new", images.CauseCreateOnPush)
	tpl.RepositoryPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:InitiateLayerUpload"}]}`
	if _, err := evaluated.CreateTemplate(admin, home, tpl); err != nil {
		t.Fatal(err)
	}
	for _, ctx := range []context.Context{t.Context(), as(t, "000000000002", allowAll), admin} {
		_, err := evaluated.StartUpload(ctx, named("new/app"), "")
		wantFault(t, err, "AccessDenied")
	}
	if _, err := evaluated.DescribeRepository(admin, named("new/app")); err != nil {
		t.Error("only the admin's push creates it:", err)
	}
}

// Pushes at once to two servers create one repository.
func TestPush_CreatesOnce(t *testing.T) {
	all, _ := newServers(t, 2)
	all[0].template(t, template("ROOT", images.CauseCreateOnPush))
	for i := range 5 {
		id := named(fmt.Sprint("new/app", i))
		errs := make([]error, 8)
		var pushes sync.WaitGroup
		for j := range errs {
			pushes.Go(func() { _, errs[j] = all[j%2].StartUpload(t.Context(), id, "") })
		}
		pushes.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
	}
	for _, s := range all {
		list, _, err := s.Repositories(t.Context(), app.Account, app.Region, "", 100)
		if err != nil || len(list) != 5 {
			t.Error(len(list), err)
		}
	}
}
