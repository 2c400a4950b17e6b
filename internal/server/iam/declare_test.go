package iam_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/declare"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
)

const (
	denyECR   = `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"ecr:*","Resource":"*"}}`
	readOnly  = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
	trustRole = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + account + `:role/NAME"},"Action":"sts:AssumeRole"}}`
)

func named(where, name string) declare.Entity {
	return declare.Entity{Where: where, Account: account, Name: name}
}

func document(where, name, text string) declare.Document {
	return declare.Document{Where: where, Name: name, Text: text}
}

// example has one of everything, with references in all directions.
func example() declare.Declaration {
	alice := declare.User{
		Entity: named("iam.users.alice", "alice"),
		Permissions: declare.Permissions{
			Policies: []string{"AmazonEC2ContainerRegistryReadOnly", "own"},
			Inline:   []declare.Document{document("iam.users.alice.inline.p", "p", allowECR)},
			Boundary: "own",
		},
		Groups:     []string{"developers"},
		AccessKeys: []string{"ci", "laptop"},
	}
	alice.Tags = []iam.Tag{{Key: "team", Value: "web"}}
	role := func(name, trusts string) declare.Role {
		return declare.Role{
			Entity: named("iam.roles."+name, name),
			Trust:  document("iam.roles."+name+".trust (line 7)", "", strings.Replace(trustRole, "NAME", trusts, 1)),
		}
	}
	return declare.Declaration{
		Users:  []declare.User{alice},
		Groups: []declare.Group{{Entity: named("iam.groups.developers", "developers"), Permissions: declare.Permissions{Policies: []string{readOnly}}}},
		Roles:  []declare.Role{role("deploy", "build"), role("build", "deploy")},
		Policies: []declare.Policy{{
			Entity: named("iam.policies.own", "own"), Document: document("iam.policies.own.document (line 9)", "", allowECR),
		}},
		OIDCProviders: []declare.OIDCProvider{{
			Entity: named("iam.oidc_providers.github", ""), Issuer: "https://token.actions.githubusercontent.com", ClientIDs: []string{"sts.amazonaws.com"},
		}},
	}
}

// applied applies and returns the changes, one line each.
func applied(t *testing.T, w *iamtest.Fixture, d declare.Declaration) []string {
	t.Helper()
	changes, err := declare.Apply(t.Context(), w.IAM, d)
	ok(t, err)
	var lines []string
	for _, c := range changes {
		lines = append(lines, strings.TrimSpace(string(c.Kind)+" "+strings.TrimPrefix(c.ARN, "arn:aws:iam::"+account+":")+" "+strings.Join(c.Fields, ",")))
	}
	return lines
}

func want(t *testing.T, got []string, lines ...string) {
	t.Helper()
	if !slices.Equal(got, lines) {
		t.Errorf("changes:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(lines, "\n  "))
	}
}

func TestApply_Idempotent(t *testing.T) {
	w := iamtest.New(t)
	want(t, applied(t, w, example()), "created policy/own", "created oidc-provider/token.actions.githubusercontent.com", "created group/developers", "created user/alice", "created role/deploy", "created role/build")
	once := iam.Describe(w.IAM)
	want(t, applied(t, w, example()))
	if w.IAM = w.Start(); declare.Count(w.IAM) != 6 {
		t.Errorf("%d declared", declare.Count(w.IAM))
	}
	want(t, applied(t, w, example()))
	if !maps.Equal(once, iam.Describe(w.IAM)) {
		t.Error("the second and third time changed something")
	}

	ctx := w.AsAdmin()
	alice, err := w.IAM.User(ctx, "alice")
	ok(t, err)
	if len(alice.Groups) != 1 || len(alice.Attached) != 2 || alice.Boundary != "arn:aws:iam::"+account+":policy/own" || len(alice.Inline) != 1 {
		t.Errorf("alice = %+v", alice)
	}
	deploy, err := w.IAM.Role(ctx, "deploy")
	ok(t, err)
	if trust := w.IAM.ShowPrincipals(deploy.Trust); !strings.Contains(trust, "role/build") || trust == deploy.Trust {
		t.Errorf("deploy trusts %s (%s)", deploy.Trust, trust)
	}
	keys, err := declare.Keys(w.IAM, []string{iamtest.Other, account})
	ok(t, err)
	if len(keys) != 2 || keys[0].Key != "ci" || keys[1].Key != "laptop" || keys[0].User != "alice" {
		t.Fatalf("%d keys", len(keys))
	}
	if secret, _ := w.IAM.Secret(keys[0].AccessKeyID); secret != keys[0].Secret || keys[0].AccessKeyID != alice.Keys[0].ID {
		t.Error("the declared key has another secret")
	}
}

func TestApply_ChangedFile(t *testing.T) {
	w := iamtest.New(t)
	applied(t, w, example())
	ctx := w.AsAdmin()
	before, err := w.IAM.User(ctx, "alice")
	ok(t, err)
	oldRole, err := w.IAM.Role(ctx, "deploy")
	ok(t, err)

	d := example()
	d.Policies[0].Document.Text = denyECR
	d.Users[0].Path, d.Users[0].Tags, d.Users[0].AccessKeys, d.Users[0].Inline = "/web/", nil, []string{"laptop", "server"}, nil
	d.Roles[0].Path, d.Roles[0].MaxSession = "/ci/", 7200
	d.Roles[1].Trust.Text = strings.Replace(trustRole, "NAME", "ci/deploy", 1)
	d.Groups[0].Policies = nil
	d.OIDCProviders[0].ClientIDs = nil
	want(t, applied(t, w, d), "changed policy/own default,last,versions", "changed oidc-provider/token.actions.githubusercontent.com client_ids",
		"changed group/developers attached",
		"changed user/web/alice inline,keys,path,tags", "replaced role/ci/deploy", "changed role/build trust")
	want(t, applied(t, w, d))

	after, err := w.IAM.User(ctx, "alice")
	ok(t, err)
	if after.ID != before.ID || after.Keys[0] != before.Keys[1] || after.Keys[1].ID == before.Keys[0].ID || after.Keys[1].Name != "server" {
		t.Errorf("alice was %+v and is %+v", before, after)
	}
	if _, known := w.IAM.Secret(before.Keys[0].ID); known {
		t.Error("a key that is not declared any more still opens")
	}
	if role, err := w.IAM.Role(ctx, "deploy"); err != nil || role.ID == oldRole.ID || role.MaxSession != 7200 {
		t.Errorf("a role with another path is another role: %+v, %v", role, err)
	}

	// Every text is a version, and the oldest makes room.
	for i := range 6 {
		d.Policies[0].Document.Text = strings.Replace(allowECR, "ecr:*", "ecr:"+strings.Repeat("a", i+1), 1)
		applied(t, w, d)
	}
	p, err := w.IAM.ManagedPolicy(ctx, "arn:aws:iam::"+account+":policy/own")
	ok(t, err)
	if len(p.Versions) != 5 || p.Default != 8 || p.DefaultVersion().Document != d.Policies[0].Document.Text {
		t.Errorf("versions %+v, default %d", p.Versions, p.Default)
	}

	// The same name in another case is another entity.
	d.Users[0].Name, d.Groups[0].Name, d.Users[0].Groups = "Alice", "Developers", []string{"Developers"}
	want(t, applied(t, w, d), "deleted group/developers", "deleted user/web/alice", "replaced group/Developers", "replaced user/web/Alice")

	want(t, applied(t, w, declare.Declaration{}), "deleted group/Developers", "deleted oidc-provider/token.actions.githubusercontent.com", "deleted policy/own", "deleted role/build", "deleted role/ci/deploy", "deleted user/web/Alice")
	if declare.Count(w.IAM) != 0 {
		t.Error("something is left")
	}
	if _, err := w.IAM.User(ctx, iam.AdminUser); err != nil {
		t.Errorf("what was not declared is gone: %v", err)
	}
	stored, err := iam.DescribeStored(t.Context(), w.IAM)
	if err != nil || !maps.Equal(stored, iam.Describe(w.IAM)) {
		t.Errorf("the database holds something else (%v)", err)
	}
}

// TestAPI_DeclaredUnmodifiable: no operation changes what is declared.
func TestAPI_DeclaredUnmodifiable(t *testing.T) {
	w := iamtest.New(t)
	applied(t, w, example())
	ctx := w.AsAdmin()
	alice, err := w.IAM.User(ctx, "alice")
	ok(t, err)
	provider := "arn:aws:iam::" + account + ":oidc-provider/token.actions.githubusercontent.com"
	own, key := "arn:aws:iam::"+account+":policy/own", alice.Keys[0].ID
	refused := map[string]func(context.Context) error{
		"DeleteUser": func(ctx context.Context) error { return w.IAM.DeleteUser(ctx, "alice") },
		"UpdateUser": func(ctx context.Context) error { return w.IAM.UpdateUser(ctx, "alice", "", "bob") },
		"TagUser": func(ctx context.Context) error {
			return w.IAM.TagEntity(ctx, iam.KindUser, "alice", []iam.Tag{{Key: "a"}})
		},
		"UntagUser": func(ctx context.Context) error {
			return w.IAM.UntagEntity(ctx, iam.KindUser, "alice", []string{"team"})
		},
		"PutUserPolicy": func(ctx context.Context) error {
			return w.IAM.PutInlinePolicy(ctx, iam.KindUser, "alice", "q", allowECR)
		},
		"DeleteUserPolicy": func(ctx context.Context) error { return w.IAM.DeleteInlinePolicy(ctx, iam.KindUser, "alice", "p") },
		"AttachUserPolicy": func(ctx context.Context) error {
			return w.IAM.AttachPolicy(ctx, iam.KindUser, "alice", "arn:aws:iam::aws:policy/AdministratorAccess")
		},
		"DetachUserPolicy": func(ctx context.Context) error { return w.IAM.DetachPolicy(ctx, iam.KindUser, "alice", own) },
		"PutBoundary":      func(ctx context.Context) error { return w.IAM.PutBoundary(ctx, iam.KindUser, "alice", readOnly) },
		"DeleteBoundary":   func(ctx context.Context) error { return w.IAM.DeleteBoundary(ctx, iam.KindUser, "alice") },
		"RemoveUserFromGroup": func(ctx context.Context) error {
			return w.IAM.RemoveUserFromGroup(ctx, "developers", "alice")
		},
		"CreateAccessKey": func(ctx context.Context) error {
			_, _, _, err := w.IAM.CreateAccessKey(ctx, "alice")
			return err
		},
		"UpdateAccessKey": func(ctx context.Context) error { return w.IAM.SetAccessKeyActive(ctx, "alice", key, false) },
		"DeleteAccessKey": func(ctx context.Context) error { return w.IAM.DeleteAccessKey(ctx, "alice", key) },
		"UpdateGroup":     func(ctx context.Context) error { return w.IAM.UpdateGroup(ctx, "developers", "/x/", "") },
		"DetachGroupPolicy": func(ctx context.Context) error {
			return w.IAM.DetachPolicy(ctx, iam.KindGroup, "developers", readOnly)
		},
		"DeleteGroup":    func(ctx context.Context) error { return w.IAM.DeleteGroup(ctx, "developers") },
		"DeleteProvider": func(ctx context.Context) error { return w.IAM.DeleteOIDCProvider(ctx, provider) },
		"AddClientID":    func(ctx context.Context) error { return w.IAM.AddClientID(ctx, provider, "x") },
		"DeletePolicy":   func(ctx context.Context) error { return w.IAM.DeletePolicy(ctx, own) },
		"DeleteRole":     func(ctx context.Context) error { return w.IAM.DeleteRole(ctx, "deploy") },
		"UpdateTrust":    func(ctx context.Context) error { return w.IAM.UpdateTrustPolicy(ctx, "deploy", trustAccount) },
		"UpdateRole": func(ctx context.Context) error {
			_, err := w.IAM.UpdateRole(ctx, "deploy", iam.RoleChange{MaxSession: new(7200)})
			return err
		},
		"CreateVersion": func(ctx context.Context) error {
			_, _, err := w.IAM.CreatePolicyVersion(ctx, own, denyECR, true)
			return err
		},
		"TagPolicy": func(ctx context.Context) error { return w.IAM.TagPolicy(ctx, own, []iam.Tag{{Key: "a"}}) },
	}
	_, err = w.IAM.CreateUser(ctx, iam.NewEntity{Name: "nobody"})
	ok(t, err)
	before := iam.Describe(w.IAM)
	nobody, err := w.IAM.User(ctx, "nobody")
	ok(t, err)
	for name, operation := range refused {
		err := operation(ctx)
		if code(err) != "UnmodifiableEntity" || !strings.Contains(err.Error(), "configuration file") {
			t.Errorf("%s: %v", name, err)
		}
		if err := operation(w.As(account, nobody.ID, "AKIA")); code(err) != "AccessDenied" {
			t.Errorf("%s by who may not: %v", name, err)
		}
	}
	if !maps.Equal(before, iam.Describe(w.IAM)) {
		t.Error("something was changed all the same")
	}

	// What is not declared may use what is.
	ok(t, w.IAM.AddUserToGroup(ctx, "developers", "nobody"))
	ok(t, w.IAM.AttachPolicy(ctx, iam.KindUser, "nobody", own))
}

const trustAccount = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"sts:AssumeRole"}}`

func TestApply_KeepsUndeclared(t *testing.T) {
	w := iamtest.New(t)
	ctx := w.AsAdmin()
	created, err := w.IAM.CreateUser(ctx, iam.NewEntity{Name: "Alice"})
	ok(t, err)
	_, key, _, err := w.IAM.CreateAccessKey(ctx, "Alice")
	ok(t, err)
	_, _, _, err = w.IAM.CreateAccessKey(ctx, "Alice")
	ok(t, err)
	before := iam.Describe(w.IAM)

	refused := func(d declare.Declaration, where, message string) {
		t.Helper()
		_, err := declare.Apply(t.Context(), w.IAM, d)
		var placed *declare.Error
		if !errors.As(err, &placed) || placed.Where != where || !strings.Contains(err.Error(), message) {
			t.Errorf("err = %v", err)
		}
	}
	d := example()
	refused(d, "iam.users.alice", "adopt: true")
	d.Users[0].Adopt = true
	refused(d, "iam.users.alice", "already exists with the name Alice")
	d.Users[0].Name, d.Users[0].AccessKeys = "Alice", []string{"AKIAAAAAAAAAAAAAAAAA"}
	refused(d, "iam.users.alice", "AKIAAAAAAAAAAAAAAAAA cannot be found")
	if !maps.Equal(before, iam.Describe(w.IAM)) {
		t.Error("half of a declaration was applied")
	}

	d.Users[0].AccessKeys = []string{key.ID, "new"}
	got := applied(t, w, d)
	if !slices.Contains(got, "adopted user/Alice attached,boundary,groups,inline,keys,tags") {
		t.Errorf("changes %v", got)
	}
	alice, err := w.IAM.User(ctx, "Alice")
	ok(t, err)
	if alice.ID != created.ID || len(alice.Keys) != 2 || alice.Keys[0].ID != key.ID || alice.Keys[0].Name != key.ID || !alice.Declared {
		t.Errorf("adopted: %+v", alice)
	}
	want(t, applied(t, w, d))

	// A role's path cannot be taken over by another one.
	_, err = w.IAM.CreateRole(ctx, iam.NewEntity{Name: "ops", Path: "/a/"}, "", trustAccount, 0)
	ok(t, err)
	d.Roles = append(d.Roles, declare.Role{Entity: named("iam.roles.ops", "ops"), Trust: document("t", "", trustAccount)})
	d.Roles[2].Adopt = true
	refused(d, "iam.roles.ops", "path: /a/")
	d.Roles[2].Path = "/a/"
	want(t, applied(t, w, d), "adopted role/a/ops")
}

// TestApply_DeletesNothingInUse: a policy or a group that others have, which the
// file does not know, stays until they have it no more.
func TestApply_DeletesNothingInUse(t *testing.T) {
	w := iamtest.New(t)
	applied(t, w, example())
	ctx := w.AsAdmin()
	_, err := w.IAM.CreateUser(ctx, iam.NewEntity{Name: "zoe"})
	ok(t, err)
	own := "arn:aws:iam::" + account + ":policy/own"
	for _, use := range []struct{ begin, end func() error }{
		{func() error { return w.IAM.AttachPolicy(ctx, iam.KindUser, "zoe", own) }, func() error { return w.IAM.DetachPolicy(ctx, iam.KindUser, "zoe", own) }},
		{func() error { return w.IAM.PutBoundary(ctx, iam.KindUser, "zoe", own) }, func() error { return w.IAM.DeleteBoundary(ctx, iam.KindUser, "zoe") }},
		{func() error { return w.IAM.AddUserToGroup(ctx, "developers", "zoe") }, func() error { return w.IAM.RemoveUserFromGroup(ctx, "developers", "zoe") }},
	} {
		ok(t, use.begin())
		moved := example()
		moved.Policies[0].Path = "/elsewhere/"
		moved.Groups, moved.Users[0].Groups = nil, nil
		before := iam.Describe(w.IAM)
		for _, d := range []declare.Declaration{{}, moved} {
			var placed *declare.Error
			if _, err := declare.Apply(t.Context(), w.IAM, d); !errors.As(err, &placed) || !strings.Contains(err.Error(), "user/zoe") {
				t.Errorf("err = %v", err)
			}
		}
		if !maps.Equal(before, iam.Describe(w.IAM)) {
			t.Error("something was deleted")
		}
		ok(t, use.end())
	}
	if got := applied(t, w, declare.Declaration{}); len(got) != 6 {
		t.Errorf("changes %v", got)
	}
}

func TestApply_ErrorNamesPlace(t *testing.T) {
	w := iamtest.New(t)
	for name, c := range map[string]struct {
		spoil          func(*declare.Declaration)
		where, message string
	}{
		"name": {func(d *declare.Declaration) { d.Users[0].Name = "a b" }, "iam.users.alice", "userName is invalid"},
		"path": {func(d *declare.Declaration) { d.Groups[0].Path = "x" }, "iam.groups.developers", "path is invalid"},
		"tag":  {func(d *declare.Declaration) { d.Users[0].Tags[0].Key = "aws:x" }, "iam.users.alice", "reserved"},
		"case": {func(d *declare.Declaration) {
			d.Users = append(d.Users, declare.User{Entity: named("iam.users.ALICE", "ALICE")})
		}, "iam.users.ALICE", "iam.users.alice"},
		"inline": {func(d *declare.Declaration) { d.Users[0].Inline[0].Text = "{" }, "iam.users.alice.inline.p", "Syntax"},
		"document": {func(d *declare.Declaration) {
			d.Policies[0].Document.Text = strings.Replace(allowECR, "Allow", "Maybe", 1)
		}, "iam.policies.own.document (line 9)", "Effect"},
		"trust":   {func(d *declare.Declaration) { d.Roles[0].Trust.Text = allowECR }, "iam.roles.deploy.trust (line 7)", "AssumeRole"},
		"trusted": {func(d *declare.Declaration) { d.Roles[0].Trust.Text = strings.Replace(trustRole, "NAME", "nobody", 1) }, "iam.roles.deploy.trust (line 7)", "Invalid principal"},
		"session": {func(d *declare.Declaration) { d.Roles[0].MaxSession = 60 }, "iam.roles.deploy", "MaxSessionDuration"},
		"group":   {func(d *declare.Declaration) { d.Users[0].Groups = []string{"others"} }, "iam.users.alice", "group with name others"},
		"groups":  {func(d *declare.Declaration) { d.Users[0].Groups = []string{"developers", "developers"} }, "iam.users.alice", "named twice"},
		"policy":  {func(d *declare.Declaration) { d.Groups[0].Policies = []string{"ReadAll"} }, "iam.groups.developers", "name ReadAll"},
		"ARN":     {func(d *declare.Declaration) { d.Groups[0].Policies = []string{readOnly + "x"} }, "iam.groups.developers", "does not exist"},
		"another's": {func(d *declare.Declaration) {
			d.Groups[0].Policies = []string{"arn:aws:iam::" + iamtest.Other + ":policy/own"}
		}, "iam.groups.developers", "does not exist"},
		"boundary": {func(d *declare.Declaration) { d.Users[0].Boundary = "none" }, "iam.users.alice", "name none"},
		"keys":     {func(d *declare.Declaration) { d.Users[0].AccessKeys = []string{"a", "b", "c"} }, "iam.users.alice", "AccessKeysPerUser: 2"},
		"key":      {func(d *declare.Declaration) { d.Users[0].AccessKeys = []string{"a/b"} }, "iam.users.alice", "a/b"},
		"size": {func(d *declare.Declaration) {
			d.Users[0].Inline[0].Text = strings.Replace(allowECR, "ecr:*", "ecr:"+strings.Repeat("x", 2048), 1)
		}, "iam.users.alice", "2048"},
		"issuer": {func(d *declare.Declaration) { d.OIDCProviders[0].Issuer = "ftp://x" }, "iam.oidc_providers.github", "ftp://x"},
		"client": {func(d *declare.Declaration) { d.OIDCProviders[0].ClientIDs = []string{""} }, "iam.oidc_providers.github", "client ID"},
		"print":  {func(d *declare.Declaration) { d.OIDCProviders[0].Thumbprints = []string{"x"} }, "iam.oidc_providers.github", "hexadecimal"},
		"twice":  {func(d *declare.Declaration) { d.OIDCProviders = append(d.OIDCProviders, d.OIDCProviders[0]) }, "iam.oidc_providers.github", "same name"},
		"everybody": {func(d *declare.Declaration) {
			d.Roles[0].Trust.Text = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::` + account + `:oidc-provider/token.actions.githubusercontent.com"},"Action":"sts:AssumeRoleWithWebIdentity"}}`
		}, "iam.roles.deploy.trust (line 7)", "needs a condition"},
		"describe": {func(d *declare.Declaration) { d.Roles[0].Description = strings.Repeat("x", 1001) }, "iam.roles.deploy", "1001"},
		"attached": {func(d *declare.Declaration) {
			d.Users[0].Policies = []string{"own", "arn:aws:iam::" + account + ":policy/own"}
		}, "", ""},
	} {
		d := example()
		c.spoil(&d)
		_, err := declare.Apply(t.Context(), w.IAM, d)
		if c.where == "" {
			ok(t, err) // once is enough
			applied(t, w, declare.Declaration{})
			continue
		}
		var placed *declare.Error
		if !errors.As(err, &placed) || placed.Where != c.where || !strings.Contains(placed.Error(), c.message) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
