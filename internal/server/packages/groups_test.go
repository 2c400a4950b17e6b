package packages_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func groupID(pattern string) packages.GroupID {
	return packages.GroupID{Domain: domain, Pattern: pattern}
}

// groups creates package groups.
func (h *fixture) groups(patterns ...string) {
	h.t.Helper()
	for _, p := range patterns {
		h.ok(second(h.CreateGroup(h.ctx, packages.NewGroup{ID: groupID(p)})))
	}
}

// restrict sets modes of a group, written as "TYPE MODE" or "TYPE REPOSITORY…" for
// specific ones.
func (h *fixture) restrict(pattern string, rules ...string) {
	h.t.Helper()
	u := packages.OriginUpdate{Modes: map[packages.OriginType]packages.OriginMode{}, Add: map[packages.OriginType][]string{}}
	for _, rule := range rules {
		words := strings.Fields(rule)
		t := packages.OriginType(words[0])
		switch mode := packages.OriginMode(words[1]); mode {
		case packages.AllowAll, packages.BlockAll, packages.Inherit:
			u.Modes[t] = mode
		default:
			u.Modes[t], u.Add[t] = packages.AllowSpecific, words[1:]
		}
	}
	_, _, err := h.UpdateGroupOrigin(h.ctx, groupID(pattern), u)
	h.ok(err)
}

// belongs is the pattern of a package's group, with a question mark if it is weak.
func (h *fixture) belongs(id packages.PackageID) string {
	h.t.Helper()
	g, strong, err := h.GroupOf(h.ctx, domain, id)
	h.ok(err)
	if !strong {
		return g.ID.Pattern + "?"
	}
	return g.ID.Pattern
}

func scoped(namespace, name string) packages.PackageID {
	return packages.PackageID{Format: packages.NPM, Namespace: namespace, Name: name}
}

func TestGroupOf(t *testing.T) {
	h := open(t)
	h.repositories()
	wantText(t, h.belongs(npm("lib")), "/*")
	h.groups("/npm/*", "/npm/corp/*", "/npm/corp/ui~", "/npm/corp/ui$", "/npm/corp/Special$", "/npm/corp/special$", "/pypi//My_Lib$", "/maven/com.corp~", "/nuget//Corp.*")
	for want, ids := range map[string][]packages.PackageID{
		"/npm/*":              {npm("lib"), scoped("other", "x")},
		"/npm/corp/*":         {scoped("corp", "x"), scoped("corp", "uikit")},
		"/npm/corp/ui~":       {scoped("corp", "ui-core")},
		"/npm/corp/ui$":       {scoped("corp", "ui")},
		"/npm/corp/ui$?":      {scoped("corp", "UI"), scoped("Corp", "ui")},
		"/npm/corp/Special$":  {scoped("corp", "Special")},
		"/npm/corp/special$":  {scoped("corp", "special")},
		"/npm/corp/Special$?": {scoped("corp", "SPECIAL")}, // the first of several that it resembles
		"/pypi//my-lib$":      {{Format: packages.PyPI, Name: "my.lib"}},
		"/maven/com.corp~":    {{Format: packages.Maven, Namespace: "com.corp.web", Name: "x"}},
		"/nuget//corp.*":      {{Format: packages.NuGet, Name: "CORP.Json"}},
		"/*":                  {{Format: packages.Maven, Namespace: "com.corporation", Name: "x"}, {Format: packages.NuGet, Name: "corporate"}},
	} {
		for _, id := range ids {
			wantText(t, h.belongs(id), want)
		}
	}
}

func TestGroups_Hierarchy(t *testing.T) {
	h := open(t)
	h.repositories("store")
	h.groups("/npm/*", "/npm/corp/*", "/npm/corp/ui~", "/npm/corp/ui$")
	parents := func() string {
		all, more, err := h.ListGroups(h.ctx, domain, "/", "", 100)
		if err != nil || more {
			t.Fatal(more, err)
		}
		var text []string
		for _, g := range all {
			r := g.Restrictions[packages.ByPublish]
			text = append(text, fmt.Sprintf("%s<%s %s:%s:%s", g.ID.Pattern, g.Parent, r.Mode, r.Effective, r.InheritedFrom))
		}
		return strings.Join(text, "\n")
	}
	wantText(t, parents(), `/*< ALLOW:ALLOW:
/npm/*</* INHERIT:ALLOW:/*
/npm/corp/*</npm/* INHERIT:ALLOW:/*
/npm/corp/ui$</npm/corp/ui~ INHERIT:ALLOW:/*
/npm/corp/ui~</npm/corp/* INHERIT:ALLOW:/*`)
	h.restrict("/npm/corp/*", "PUBLISH store")
	wantText(t, parents(), `/*< ALLOW:ALLOW:
/npm/*</* INHERIT:ALLOW:/*
/npm/corp/*</npm/* ALLOW_SPECIFIC_REPOSITORIES:ALLOW_SPECIFIC_REPOSITORIES:
/npm/corp/ui$</npm/corp/ui~ INHERIT:ALLOW_SPECIFIC_REPOSITORIES:/npm/corp/*
/npm/corp/ui~</npm/corp/* INHERIT:ALLOW_SPECIFIC_REPOSITORIES:/npm/corp/*`)
	// Deleting a group gives its children to its parent.
	gone, err := h.DeleteGroup(h.ctx, groupID("/npm/corp/*"))
	if err != nil || gone.Restrictions[packages.ByPublish].Repositories != 1 {
		t.Fatalf("%+v, %v", gone, err)
	}
	wantText(t, parents(), `/*< ALLOW:ALLOW:
/npm/*</* INHERIT:ALLOW:/*
/npm/corp/ui$</npm/corp/ui~ INHERIT:ALLOW:/*
/npm/corp/ui~</npm/* INHERIT:ALLOW:/*`)
	sub, _, err := h.ListSubGroups(h.ctx, groupID("/npm/*"), "", 10)
	if err != nil || len(sub) != 1 || sub[0].ID.Pattern != "/npm/corp/ui~" {
		t.Fatalf("%+v, %v", sub, err)
	}
}

func TestGroups_Refused(t *testing.T) {
	h := open(t)
	h.repositories("store")
	h.groups("/pypi//My_Lib$")
	fails(t, second(h.CreateGroup(h.ctx, packages.NewGroup{ID: groupID("/pypi//my.lib$")})), "Conflict")
	fails(t, second(h.CreateGroup(h.ctx, packages.NewGroup{ID: groupID("/*")})), "Conflict")
	fails(t, second(h.CreateGroup(h.ctx, packages.NewGroup{ID: groupID("/npm/corp")})), "Validation")
	fails(t, second(h.DeleteGroup(h.ctx, groupID("/*"))), "Validation")
	fails(t, second(h.DescribeGroup(h.ctx, groupID("/npm/*"))), "ResourceNotFound")
	_, _, err := h.UpdateGroupOrigin(h.ctx, groupID("/*"), packages.OriginUpdate{Modes: map[packages.OriginType]packages.OriginMode{packages.ByPublish: packages.Inherit}})
	fails(t, err, "Validation")
	_, _, err = h.UpdateGroupOrigin(h.ctx, groupID("/*"), packages.OriginUpdate{Add: map[packages.OriginType][]string{packages.ByPublish: {"none"}}})
	fails(t, err, "ResourceNotFound")
	_, _, err = h.UpdateGroupOrigin(h.ctx, groupID("/*"), packages.OriginUpdate{Modes: map[packages.OriginType]packages.OriginMode{"OTHER": packages.BlockAll}})
	fails(t, err, "Validation")
	// A domain with package groups can be deleted.
	h.ok(second(h.DeleteRepository(h.ctx, domain.Repository("store"))))
	if _, found, err := h.DeleteDomain(h.ctx, domain); !found || err != nil {
		t.Fatal(found, err)
	}
}

func TestPublish_GroupRestricts(t *testing.T) {
	h := open(t)
	h.repositories("store", "other")
	h.mustPublish("other", scoped("corp", "old"), "1.0.0", "a", "x")
	h.groups("/npm/corp/*")
	h.restrict("/npm/corp/*", "PUBLISH store")
	h.mustPublish("store", scoped("corp", "lib"), "1.0.0", "a", "x")
	err := second(h.publish("other", scoped("corp", "lib"), "1.0.0", "a", "x"))
	fails(t, err, "Conflict")
	if !packages.IsOriginBlocked(err) || !strings.Contains(err.Error(), "/npm/corp/*") {
		t.Error(err)
	}
	wantText(t, h.versions("other", scoped("corp", "old")), "1.0.0") // what is there stays
	fails(t, second(h.publish("other", scoped("corp", "old"), "2.0.0", "a", "x")), "Conflict")
	fails(t, second(h.publish("store", scoped("Corp", "lib"), "1.0.0", "a", "x")), "Conflict") // weak
	h.mustPublish("other", npm("lib"), "1.0.0", "a", "x")

	// A group that restricts decides about origins instead of the package.
	d, err := h.DescribePackage(h.ctx, domain.Repository("store"), scoped("corp", "lib"))
	if err != nil || d.Origin != (packages.Origin{Publish: packages.Allow, Upstream: packages.Allow}) {
		t.Errorf("%+v, %v", d, err)
	}
	// Both the group and the package must allow it.
	h.ok(h.SetOrigin(h.ctx, domain.Repository("store"), scoped("corp", "lib"), packages.Origin{Publish: packages.Block, Upstream: packages.Allow}))
	fails(t, second(h.publish("store", scoped("corp", "lib"), "2.0.0", "a", "x")), "Conflict")

	h.restrict("/npm/corp/*", "PUBLISH BLOCK")
	fails(t, second(h.publish("store", scoped("corp", "new"), "1.0.0", "a", "x")), "Conflict")
	h.restrict("/npm/corp/*", "PUBLISH INHERIT")
	h.mustPublish("other", scoped("corp", "new"), "1.0.0", "a", "x")
	// A repository of the same name as a deleted one is another one.
	h.restrict("/npm/corp/*", "PUBLISH store")
	h.ok(second(h.DeleteRepository(h.ctx, domain.Repository("store"))))
	h.ok(second(h.CreateRepository(h.ctx, packages.NewRepository{ID: domain.Repository("store")})))
	fails(t, second(h.publish("store", scoped("corp", "new"), "1.0.0", "a", "x")), "Conflict")
}

func TestPackage_GroupHidesUpstream(t *testing.T) {
	h := open(t)
	h.repositories("base", "mid: base", "store: mid", "open: mid")
	corp := scoped("corp", "lib")
	h.mustPublish("base", corp, "1.0.0", "a", "x")
	h.mustPublish("base", corp, "2.0.0", "a", "x")
	h.ok(second(h.read("store", corp, "1.0.0", "a"))) // kept
	h.groups("/npm/corp/*")
	h.restrict("/npm/corp/*", "INTERNAL_UPSTREAM open")
	wantText(t, h.versions("store", corp), "1.0.0")
	wantText(t, h.versions("mid", corp), "none")
	wantText(t, h.versions("open", corp), "1.0.0 2.0.0")
	_, err := h.read("mid", corp, "2.0.0", "a")
	fails(t, err, "ResourceNotFound")
	if !strings.Contains(err.Error(), "package group /npm/corp/* blocks upstream versions in repository mid") {
		t.Error(err)
	}
	names := func(repo string) string {
		t.Helper()
		all, _, err := h.PackageNames(h.ctx, domain.Repository(repo), packages.NPM, packages.PackageID{}, 10)
		h.ok(err)
		return fmt.Sprint(all)
	}
	wantText(t, names("mid"), "[]")
	if got := names("open"); !strings.Contains(got, "lib") {
		t.Error(got)
	}
	// What is hidden is not in the way of a publication, and not copied.
	c := packages.Copy{Source: domain.Repository("mid"), Destination: domain.Repository("open"), Package: corp, Versions: []string{"2.0.0"}, IncludeFromUpstream: true}
	out, err := h.CopyVersions(h.ctx, c)
	if err != nil || out.Failed["2.0.0"].Code != "NOT_FOUND" {
		t.Errorf("%+v, %v", out, err)
	}
	h.mustPublish("mid", corp, "2.0.0", "a", "own")
	fails(t, second(h.publish("open", corp, "1.0.0", "a", "own")), "Conflict")
	// A lookalike is not read from upstream either.
	h.mustPublish("base", npm("lib"), "1.0.0", "a", "x")
	h.groups("/npm//1ib$")
	wantText(t, h.versions("open", npm("lib")), "none")
}

func TestAssociatedPackages(t *testing.T) {
	h := open(t)
	h.repositories("store", "other")
	for _, name := range []string{"a", "b", "c"} {
		h.mustPublish("store", scoped("corp", name), "1.0.0", "a", "x")
	}
	h.mustPublish("other", scoped("corp", "a"), "1.0.0", "a", "x")
	h.mustPublish("other", scoped("Corp", "a"), "1.0.0", "a", "x")
	h.mustPublish("other", npm("zed"), "1.0.0", "a", "x")
	list := func(call func(packages.PackageID) ([]packages.AssociatedPackage, *packages.PackageID, error)) string {
		t.Helper()
		var text []string
		next := &packages.PackageID{}
		for next != nil {
			var page []packages.AssociatedPackage
			var err error
			page, next, err = call(*next)
			h.ok(err)
			for _, p := range page {
				text = append(text, fmt.Sprintf("%s/%s:%t", p.ID.Namespace, p.ID.Name, p.Strong))
			}
		}
		return strings.Join(text, " ")
	}
	of := func(pattern string) string {
		return list(func(after packages.PackageID) ([]packages.AssociatedPackage, *packages.PackageID, error) {
			return h.AssociatedPackages(h.ctx, groupID(pattern), after, 2)
		})
	}
	wantText(t, of("/*"), "/zed:true Corp/a:true corp/a:true corp/b:true corp/c:true")
	wantText(t, list(func(after packages.PackageID) ([]packages.AssociatedPackage, *packages.PackageID, error) {
		return h.PreviewAssociatedPackages(h.ctx, groupID("/npm/corp/*"), after, 2)
	}), "Corp/a:false corp/a:true corp/b:true corp/c:true")
	_, _, err := h.AssociatedPackages(h.ctx, groupID("/npm/corp/*"), packages.PackageID{}, 2)
	fails(t, err, "ResourceNotFound")
	h.groups("/npm/corp/b$", "/npm/corp/*")
	wantText(t, of("/npm/corp/*"), "Corp/a:false corp/a:true corp/c:true")
	wantText(t, of("/*"), "/zed:true")
}

// Restrictions, tags and texts are there after a restart, the root's too.
func TestGroups_Restart(t *testing.T) {
	h := open(t)
	h.repositories("store")
	h.ok(second(h.CreateGroup(h.ctx, packages.NewGroup{ID: groupID("/npm/corp~"), Contact: "team@corp.example", Description: "ours", Tags: map[string]string{"team": "web"}})))
	h.restrict("/npm/corp~", "PUBLISH store", "EXTERNAL_UPSTREAM BLOCK")
	h.restrict("/*", "INTERNAL_UPSTREAM BLOCK")
	h.ok(h.TagResource(h.ctx, groupID("/*").ARN(), map[string]string{"all": "yes"}))
	contact := "new@corp.example"
	h.ok(second(h.UpdateGroup(h.ctx, groupID("/*"), packages.GroupUpdate{Contact: &contact})))
	check := func(h *fixture) {
		t.Helper()
		g, err := h.DescribeGroup(h.ctx, groupID("/npm/corp~"))
		h.ok(err)
		wantText(t, fmt.Sprint(g.Contact, " ", g.Description, " ", g.Parent, " ", g.Restrictions), "team@corp.example ours /* map["+
			"EXTERNAL_UPSTREAM:{BLOCK BLOCK  0} INTERNAL_UPSTREAM:{INHERIT BLOCK /* 0} PUBLISH:{ALLOW_SPECIFIC_REPOSITORIES ALLOW_SPECIFIC_REPOSITORIES  1}]")
		names, _, err := h.AllowedRepositories(h.ctx, groupID("/npm/corp~"), packages.ByPublish, "", 10)
		wantText(t, fmt.Sprint(names, err), "[store] <nil>")
		for pattern, want := range map[string]string{"/npm/corp~": "map[team:web]", "/*": "map[all:yes]"} {
			tags, err := h.ResourceTags(h.ctx, groupID(pattern).ARN())
			wantText(t, fmt.Sprint(tags, err), want+" <nil>")
		}
		root, err := h.DescribeGroup(h.ctx, groupID("/*"))
		wantText(t, fmt.Sprint(root.Contact, root.Parent, root.Restrictions[packages.ByInternalUpstream].Mode, err), contact+"BLOCK<nil>")
	}
	check(h)
	check(reopen(t, h.dir, h.clock))
}

// Each operation on groups authorizes its action on its resource.
func TestGroups_Authorize(t *testing.T) {
	h := open(t)
	h.repositories("store")
	h.groups("/npm/corp~")
	const base = "arn:aws:codeartifact:" + region + ":" + account + ":"
	const groupARN, domainARN = base + "package-group/acme/npm/corp%7e", base + "domain/acme"
	id := groupID("/npm/corp~")
	wantText(t, id.ARN(), groupARN)
	for _, c := range []struct {
		action, resource string
		do               func(h *fixture) error
	}{
		{"DescribePackageGroup", groupARN, func(h *fixture) error { return second(h.DescribeGroup(h.ctx, id)) }},
		{"UpdatePackageGroup", groupARN, func(h *fixture) error { return second(h.UpdateGroup(h.ctx, id, packages.GroupUpdate{})) }},
		{"UpdatePackageGroupOriginConfiguration", groupARN, func(h *fixture) error {
			_, _, err := h.UpdateGroupOrigin(h.ctx, id, packages.OriginUpdate{})
			return err
		}},
		{"ListAllowedRepositoriesForGroup", groupARN, func(h *fixture) error {
			_, _, err := h.AllowedRepositories(h.ctx, id, packages.ByPublish, "", 1)
			return err
		}},
		{"ListAssociatedPackages", groupARN, func(h *fixture) error {
			_, _, err := h.AssociatedPackages(h.ctx, id, packages.PackageID{}, 1)
			return err
		}},
		{"ListAssociatedPackages", groupARN, func(h *fixture) error {
			_, _, err := h.PreviewAssociatedPackages(h.ctx, id, packages.PackageID{}, 1)
			return err
		}},
		{"ListSubPackageGroups", groupARN, func(h *fixture) error { _, _, err := h.ListSubGroups(h.ctx, id, "", 1); return err }},
		{"ListPackageGroups", domainARN, func(h *fixture) error { _, _, err := h.ListGroups(h.ctx, domain, "", "", 1); return err }},
		{"GetAssociatedPackageGroup", domainARN, func(h *fixture) error { _, _, err := h.GroupOf(h.ctx, domain, npm("lib")); return err }},
		{"ListTagsForResource", groupARN, func(h *fixture) error { return second(h.ResourceTags(h.ctx, groupARN)) }},
		{"TagResource", groupARN, func(h *fixture) error { return h.TagResource(h.ctx, groupARN, map[string]string{"a": "b"}) }},
		{"DeletePackageGroup", groupARN, func(h *fixture) error { return second(h.DeleteGroup(h.ctx, id)) }},
		{"CreatePackageGroup", groupARN, func(h *fixture) error { return second(h.CreateGroup(h.ctx, packages.NewGroup{ID: id})) }},
	} {
		action := "codeartifact:" + c.action
		fails(t, c.do(h.withContext(as(t, account, "tester", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","NotAction":"`+action+`","Resource":"*"}}`))), "AccessDenied")
		fails(t, c.do(h.withContext(as(t, account, "tester", allow(action, c.resource+"x")))), "AccessDenied")
		if err := c.do(h.withContext(as(t, account, "tester", allow(action, c.resource)))); err != nil {
			t.Errorf("with exactly %s on %s: %v", action, c.resource, err)
		}
	}
}

func TestCheck_Groups(t *testing.T) {
	h := open(t)
	h.repositories()
	h.groups("/npm/a~", "/npm/b~", "/npm/c~")
	findings := func() string {
		t.Helper()
		var kinds []string
		for f, err := range packages.Check(t.Context(), h.db) {
			h.ok(err)
			kinds = append(kinds, f.Kind)
		}
		return strings.Join(kinds, " ")
	}
	wantText(t, findings(), "")
	for _, damage := range []string{
		`UPDATE pkg_group SET pattern = '/npm/a' WHERE pattern = '/npm/a~'`,
		`UPDATE pkg_group SET restrictions = '[' WHERE pattern = '/npm/b~'`,
		`UPDATE pkg_group SET tags = '[' WHERE pattern = '/npm/c~'`,
	} {
		h.ok(h.db.Tx(t.Context(), func(tx *db.Tx) error { return second(tx.Exec(t.Context(), damage)) }))
	}
	wantText(t, findings(), "bad-group bad-group bad-tags")
}
