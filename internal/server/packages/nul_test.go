package packages_test

import (
	"encoding/json"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// No text with a NUL character reaches a database: PostgreSQL refuses it, which would look
// like a failure of the server.
func TestService_NUL(t *testing.T) {
	const nul = "a\x00b"
	h := open(t)
	h.repositories("store", "other")
	repo, id := domain.Repository("store"), npm("lib")
	h.mustPublish("store", id, "1.0.0", "a", "x")
	h.groups("/npm/*")
	group := groupID("/npm/*")
	bad := npm(nul)
	scoped := packages.PackageID{Format: packages.NPM, Namespace: nul, Name: "lib"}
	sel := packages.Selection{Versions: []string{nul}}
	outcome := func(o packages.Outcome, err error) error {
		if err != nil || len(o.Failed) == 0 {
			return err
		}
		return fault.New(fault.Invalid, "Failed", "%v", o.Failed)
	}
	// What is only looked for in memory may be not found instead.
	lookups := map[string]bool{
		"describe version": true, "readme": true, "dependencies": true, "assets": true, "asset of version": true, "asset": true, "revision": true,
		"open asset": true, "open version": true, "uploaded asset": true, "uploaded asset name": true,
	}
	for name, err := range map[string]error{
		"package":             second(h.Package(h.ctx, repo, bad)),
		"namespace":           second(h.Package(h.ctx, repo, scoped)),
		"publish package":     second(h.publish("store", bad, "1.0.0", "a", "x")),
		"publish version":     second(h.publish("store", id, nul, "a", "x")),
		"publish asset":       second(h.publish("store", id, "2.0.0", nul, "x")),
		"tag":                 h.SetTags(h.ctx, repo, id, map[string]string{nul: "1.0.0"}, nil),
		"tagged version":      h.SetTags(h.ctx, repo, id, map[string]string{"t": nul}, nil),
		"removed tag":         h.SetTags(h.ctx, repo, id, nil, []string{nul}),
		"finish":              h.Finish(h.ctx, repo, id, []string{nul}),
		"describe package":    second(h.DescribePackage(h.ctx, repo, bad)),
		"describe version":    func() error { _, _, err := h.DescribeVersion(h.ctx, repo, id, nul); return err }(),
		"readme":              func() error { _, _, err := h.VersionReadme(h.ctx, repo, id, nul); return err }(),
		"dependencies":        func() error { _, _, err := h.VersionDependencies(h.ctx, repo, id, nul); return err }(),
		"assets":              second(h.VersionAssets(h.ctx, repo, id, nul)),
		"asset of version":    func() error { _, _, _, err := h.GetAsset(h.ctx, repo, id, nul, "", "a"); return err }(),
		"asset":               func() error { _, _, _, err := h.GetAsset(h.ctx, repo, id, "1.0.0", "", nul); return err }(),
		"revision":            func() error { _, _, _, err := h.GetAsset(h.ctx, repo, id, "1.0.0", nul, "a"); return err }(),
		"open asset":          func() error { _, _, err := h.OpenAsset(h.ctx, repo, id, "1.0.0", nul); return err }(),
		"open version":        func() error { _, _, err := h.OpenAsset(h.ctx, repo, id, nul, "a"); return err }(),
		"uploaded asset":      second(h.UploadedAsset(h.ctx, repo, id, nul, "a")),
		"uploaded asset name": second(h.UploadedAsset(h.ctx, repo, id, "1.0.0", nul)),
		"edit metadata":       h.EditMetadata(h.ctx, repo, id, []string{nul}, func(string, json.RawMessage) (json.RawMessage, error) { return nil, nil }),
		"status":              outcome(h.UpdateVersionsStatus(h.ctx, repo, id, sel, packages.Unlisted)),
		"dispose":             outcome(h.DisposeVersions(h.ctx, repo, id, sel)),
		"delete selected":     outcome(h.DeleteSelectedVersions(h.ctx, repo, id, sel)),
		"delete":              h.DeleteVersions(h.ctx, repo, id, []string{nul}),
		"copy":                outcome(h.CopyVersions(h.ctx, packages.Copy{Source: repo, Destination: domain.Repository("other"), Package: id, Versions: []string{nul}})),
		"list packages prefix": func() error {
			_, _, err := h.ListPackages(h.ctx, repo, packages.PackageFilter{NamePrefix: nul}, packages.PackageID{}, 1)
			return err
		}(),
		"packages in":          second(h.PackagesIn(h.ctx, repo, packages.NPM, nul)),
		"origin":               h.SetOrigin(h.ctx, repo, bad, packages.Origin{Publish: packages.Allow, Upstream: packages.Block}),
		"group":                second(h.CreateGroup(h.ctx, packages.NewGroup{ID: groupID("/npm/" + nul + "*")})),
		"description of group": second(h.UpdateGroup(h.ctx, group, packages.GroupUpdate{Description: new(nul)})),
		"repository":           second(h.CreateRepository(h.ctx, packages.NewRepository{ID: domain.Repository(nul)})),
		"description":          second(h.CreateRepository(h.ctx, packages.NewRepository{ID: domain.Repository("described"), Description: nul})),
		"resource tag":         h.TagResource(h.ctx, repo.ARN(), map[string]string{"k": nul}),
		"resource tag key":     h.TagResource(h.ctx, repo.ARN(), map[string]string{nul: "v"}),
	} {
		if name == "removed tag" || name == "resource tag" || name == "resource tag key" || name == "finish" {
			// They look for nothing in a column of text.
			if f := fault.From(err); f != nil && f.Kind == fault.Internal {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if f := fault.From(err); f == nil || f.Kind != fault.Invalid && (f.Kind != fault.NotFound || !lookups[name]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The text for searches comes from what a client published, and is kept without NUL.
func TestPublish_SearchTextWithNUL(t *testing.T) {
	h := open(t)
	h.repositories("store")
	repo := domain.Repository("store")
	h.ok(second(h.publishAs(h.ctx, packages.Publication{Repository: repo, Package: npm("lib"), Version: "1.0.0", Search: "one\x00two"}, "a", "x")))
	found, _, err := h.Search(h.ctx, repo, packages.NPM, packages.SearchPage{Size: 1}, func(_ packages.PackageID, text string) bool { return text == "one two" })
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
}
