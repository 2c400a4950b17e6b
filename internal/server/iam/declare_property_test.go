package iam_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/declare"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
)

// TestApply_Properties applies one random declaration after another to one server.
// After each: everything is as declared and nothing else is; what was declared
// before under the same name is still the same entity, with the same keys; the
// database holds what memory holds; and to apply it again changes nothing.
func TestApply_Properties(t *testing.T) {
	w := iamtest.New(t)
	undeclared := shown(t, w, func(declared bool) bool { return !declared })
	ids := map[string]string{}
	rapid.Check(t, func(rt *rapid.T) {
		d := drawDeclaration(rt)
		if _, err := declare.Apply(t.Context(), w.IAM, d); err != nil {
			rt.Fatal(err)
		}
		once := iam.Describe(w.IAM)
		if again, err := declare.Apply(t.Context(), w.IAM, d); err != nil || len(again) != 0 || !maps.Equal(once, iam.Describe(w.IAM)) {
			rt.Fatalf("the second time: %v, %v", again, err)
		}
		if stored, err := iam.DescribeStored(t.Context(), w.IAM); err != nil || !maps.Equal(withoutSeq(stored), withoutSeq(once)) {
			rt.Fatalf("the database holds something else (%v)", err)
		}
		is := shown(t, w, func(declared bool) bool { return declared })
		if want := wanted(d); !maps.Equal(texts(is), want) {
			rt.Fatalf("is\n%v\nwant\n%v", texts(is), want)
		}
		if now := shown(t, w, func(declared bool) bool { return !declared }); !maps.Equal(now, undeclared) {
			rt.Fatalf("undeclared: %v, and was %v", now, undeclared)
		}
		next := map[string]string{}
		for name, e := range is {
			next[name] = e.ids
			if was, ok := ids[name]; ok && !keeps(was, e.ids) {
				rt.Fatalf("%s was %s and is %s", name, was, e.ids)
			}
		}
		ids = next
	})
}

// keeps reports whether everything that both have is the same.
func keeps(was, is string) bool {
	old := map[string]string{}
	for part := range strings.FieldsSeq(was) {
		name, id, _ := strings.Cut(part, "=")
		old[name] = id
	}
	for part := range strings.FieldsSeq(is) {
		name, id, _ := strings.Cut(part, "=")
		if before, ok := old[name]; ok && before != id {
			return false
		}
	}
	return true
}

func withoutSeq(m map[string]string) map[string]string {
	m = maps.Clone(m)
	delete(m, "seq")
	return m
}

// A shownEntity is an entity as the API shows it, without what time and chance
// made of it, which is in ids.
type shownEntity struct{ text, ids string }

func texts(m map[string]shownEntity) map[string]string {
	out := map[string]string{}
	for name, e := range m {
		out[name] = e.text
	}
	return out
}

// shown returns the users, groups, roles and policies of both accounts that want
// accepts, by their ARN or, if the path can change, their name.
func shown(t *testing.T, w *iamtest.Fixture, want func(declared bool) bool) map[string]shownEntity {
	t.Helper()
	out := map[string]shownEntity{}
	for account, ctx := range map[string]context.Context{iamtest.Account: w.AsAdmin(), iamtest.Other: w.AsOtherAdmin()} {
		put := func(kind, name string, c iam.Common, text string, keys ...iam.AccessKey) {
			if !want(c.Declared) {
				return
			}
			e := shownEntity{fmt.Sprint(c.Path, c.Tags, text), "id=" + c.ID}
			for _, k := range keys {
				e.text += " key " + k.Name
				e.ids += " " + k.Name + "=" + k.ID
			}
			out[account+" "+kind+" "+name] = e
		}
		groups, err := w.IAM.Groups(ctx, iam.Page{})
		ok(t, err)
		for _, g := range groups.Entries {
			put("group", g.Name, g.Common, permissionsText(g.Permissions))
		}
		users, err := w.IAM.Users(ctx, iam.Page{})
		ok(t, err)
		for _, u := range users.Entries {
			in, err := w.IAM.UserGroups(ctx, u.Name)
			ok(t, err)
			names := []string{}
			for _, g := range in {
				names = append(names, g.Name)
			}
			put("user", u.Name, u.Common, permissionsText(u.Permissions)+fmt.Sprint(names), u.Keys...)
		}
		roles, err := w.IAM.Roles(ctx, iam.Page{})
		ok(t, err)
		for _, r := range roles.Entries {
			put("role", r.Path+r.Name, r.Common, permissionsText(r.Permissions)+w.IAM.ShowPrincipals(r.Trust))
		}
		policies, err := w.IAM.ManagedPolicies(ctx, iam.PolicyFilter{Scope: iam.ScopeLocal}, iam.Page{})
		ok(t, err)
		for _, p := range policies.Entries {
			put("policy", p.Path+p.Name, p.Common, p.DefaultVersion().Document)
		}
	}
	return out
}

func permissionsText(p iam.Permissions) string {
	return fmt.Sprint(p.Attached, p.Boundary, p.Inline)
}

// wanted is what shown is to show of a declaration.
func wanted(d declare.Declaration) map[string]string {
	out := map[string]string{}
	permissions := func(account string, p declare.Permissions) string {
		arnOf := func(name string) string {
			for _, own := range d.Policies {
				if own.Account == account && own.Name == name {
					return "arn:aws:iam::" + account + ":policy" + own.Path + name
				}
			}
			return "arn:aws:iam::aws:policy/" + name
		}
		out := iam.Permissions{}
		for _, name := range p.Policies {
			out.Attached = append(out.Attached, arnOf(name))
		}
		if p.Boundary != "" {
			out.Boundary = arnOf(p.Boundary)
		}
		for _, doc := range p.Inline {
			out.Inline = append(out.Inline, iam.InlinePolicy{Name: doc.Name, Document: doc.Text})
		}
		return permissionsText(out)
	}
	for _, g := range d.Groups {
		out[g.Account+" group "+g.Name] = fmt.Sprint(g.Path, g.Tags, permissions(g.Account, g.Permissions))
	}
	for _, u := range d.Users {
		text := fmt.Sprint(u.Path, u.Tags, permissions(u.Account, u.Permissions)+fmt.Sprint(append([]string{}, u.Groups...)))
		for _, k := range u.AccessKeys {
			text += " key " + k
		}
		out[u.Account+" user "+u.Name] = text
	}
	for _, r := range d.Roles {
		out[r.Account+" role "+r.Path+r.Name] = fmt.Sprint(r.Path, r.Tags, permissions(r.Account, r.Permissions)+r.Trust.Text)
	}
	for _, p := range d.Policies {
		out[p.Account+" policy "+p.Path+p.Name] = fmt.Sprint(p.Path, p.Tags, p.Document.Text)
	}
	return out
}

// drawDeclaration draws few names in two accounts, which refer to each other in
// all ways.
func drawDeclaration(t *rapid.T) declare.Declaration {
	var d declare.Declaration
	for _, account := range []string{iamtest.Account, iamtest.Other} {
		entities := func(kind string) []declare.Entity {
			var out []declare.Entity
			for _, name := range []string{"a", "b", "c"} {
				if rapid.Bool().Draw(t, kind+" "+name) {
					out = append(out, declare.Entity{Where: kind + name, Account: account, Name: name, Path: rapid.SampledFrom([]string{"/", "/x/"}).Draw(t, "path")})
				}
			}
			return out
		}
		some := func(of []string, label string) []string {
			return slices.DeleteFunc(slices.Clone(of), func(string) bool { return rapid.Bool().Draw(t, label) })
		}
		text := func() string { return rapid.SampledFrom([]string{allowECR, denyECR}).Draw(t, "document") }
		managed := []string{"AdministratorAccess"}
		var groups, trusted []string
		permissions := func() (p declare.Permissions) {
			p.Policies = some(managed, "policies")
			for _, name := range some([]string{"p", "q"}, "inline") {
				p.Inline = append(p.Inline, declare.Document{Name: name, Text: text()})
			}
			return p
		}
		for _, e := range entities("policy") {
			d.Policies = append(d.Policies, declare.Policy{Entity: e, Document: declare.Document{Text: text()}})
			managed = append(managed, e.Name)
		}
		for _, e := range entities("group") {
			d.Groups = append(d.Groups, declare.Group{Entity: e, Permissions: permissions()})
			groups = append(groups, e.Name)
		}
		for _, e := range entities("user") {
			u := declare.User{Entity: e, Permissions: permissions(), Groups: some(groups, "groups"), AccessKeys: some([]string{"k", "l"}, "keys")}
			u.Tags = rapid.SampledFrom([][]iam.Tag{nil, {{Key: "k", Value: "v"}}}).Draw(t, "tags")
			u.Boundary = rapid.SampledFrom(append([]string{""}, managed...)).Draw(t, "boundary")
			d.Users = append(d.Users, u)
			trusted = append(trusted, "arn:aws:iam::"+account+":user"+e.Path+e.Name)
		}
		roles := entities("role")
		for _, e := range roles {
			trusted = append(trusted, "arn:aws:iam::"+account+":role"+e.Path+e.Name)
		}
		for _, e := range roles {
			trust := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + rapid.SampledFrom(trusted).Draw(t, "trusted") + `"},"Action":"sts:AssumeRole"}}`
			d.Roles = append(d.Roles, declare.Role{Entity: e, Permissions: permissions(), Trust: declare.Document{Text: trust}})
		}
	}
	return d
}
