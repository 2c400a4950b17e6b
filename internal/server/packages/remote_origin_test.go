package packages_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

// Dependency confusion: somebody registers the name of an internal package at the public
// registry, with a higher version. In each of these layouts clients get the internal one,
// and the registry is not even asked.
func TestRemote_DependencyConfusion(t *testing.T) {
	for name, repositories := range map[string][]string{
		"in the connected repository": nil,
		"in the one that is asked":    {"app: npm-store"},
		"in a sibling before":         {"internal", "app: internal npm-store"},
		"in a sibling behind":         {"internal", "app: npm-store internal"},
		"below a sibling":             {"internal", "team: internal", "app: npm-store team"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			r.add("@acme/secret", "99.0.0", "evil")
			r.add("acme-secret", "99.0.0", "evil")
			h := remotely(t, r, source.Settings{}, repositories...)
			asked, publishedTo := "app", "internal"
			switch name {
			case "in the connected repository":
				asked, publishedTo = "npm-store", "npm-store"
			case "in the one that is asked":
				publishedTo = "app"
			}
			for _, id := range []packages.PackageID{{Format: packages.NPM, Namespace: "acme", Name: "secret"}, npm("acme-secret")} {
				h.mustPublish(publishedTo, id, "1.0.0", tarball, "own")
				r.Forget() // publishing a first version asks
				if got := h.versions(asked, id); got != "1.0.0" {
					t.Errorf("clients see %s of %s", got, id)
				}
				_, err := h.read(asked, id, "99.0.0", tarball)
				fails(t, err, "ResourceNotFound")
				if !strings.Contains(err.Error(), "origin configuration") || !strings.Contains(err.Error(), publishedTo) {
					t.Errorf("the reason is not told: %v", err)
				}
				if n := r.Count(""); n != 0 {
					t.Errorf("the registry got %d requests", n)
				}
				// Deleting all versions does not open the name.
				h.ok(h.DeleteVersions(h.ctx, domain.Repository(publishedTo), id, []string{"1.0.0"}))
				if got := h.versions(asked, id); got != "none" && got != "" {
					t.Errorf("after the deletion clients see %s of %s", got, id)
				}
				// An administrator can.
				h.ok(h.SetOrigin(h.ctx, domain.Repository(publishedTo), id, packages.Origin{Publish: packages.Allow, Upstream: packages.Allow}))
				if got := h.versions(asked, id); got != "99.0.0" {
					t.Errorf("with upstream ALLOW clients see %s of %s", got, id)
				}
			}
		})
	}
}

// A name that is reserved before it is used is not taken from outside.
func TestRemote_ReservedName(t *testing.T) {
	r := newRegistry(t)
	r.add("acme-next", "1.0.0", "evil")
	h := remotely(t, r, source.Settings{}, "app: npm-store")
	h.ok(h.SetOrigin(h.ctx, domain.Repository("npm-store"), npm("acme-next"), packages.Origin{Publish: packages.Allow, Upstream: packages.Block}))
	if got := h.versions("app", npm("acme-next")); got != "none" || r.Count("") != 0 {
		t.Errorf("clients see %s after %d requests", got, r.Count(""))
	}
}

func TestRemote_Groups(t *testing.T) {
	r := newRegistry(t)
	for _, name := range []string{"@acme/ui", "@acme-evil/ui", "acme-ui", "ACME-ui", "acme_ui", "left-pad", "right-pad"} {
		r.add(name, "9.0.0", "evil")
	}
	h := remotely(t, r, source.Settings{}, "app: npm-store")
	h.groups("/npm/acme/*", "/npm//acme-ui$")
	h.restrict("/npm/acme/*", "EXTERNAL_UPSTREAM BLOCK")
	h.restrict("/npm//acme-ui$", "EXTERNAL_UPSTREAM BLOCK")
	for _, tt := range []struct {
		what string
		id   packages.PackageID
		want string
	}{
		{"a scope of the company", packages.PackageID{Format: packages.NPM, Namespace: "acme", Name: "ui"}, "none"},
		{"a name of the company", npm("acme-ui"), "none"},
		{"a look-alike in case", npm("ACME-ui"), "none"},
		{"a look-alike in separators", npm("acme_ui"), "none"},
		{"another scope", packages.PackageID{Format: packages.NPM, Namespace: "acme-evil", Name: "ui"}, "9.0.0"},
		{"another package", npm("left-pad"), "9.0.0"},
	} {
		r.Forget()
		if got := h.versions("app", tt.id); got != tt.want {
			t.Errorf("%s: clients see %s, want %s", tt.what, got, tt.want)
		}
		if asked := r.Count("") > 0; asked != (tt.want != "none") {
			t.Errorf("%s: the registry was asked: %v", tt.what, asked)
		}
		if _, err := h.read("app", tt.id, "9.0.0", tarball); tt.want == "none" && (!fault.Is(err, "ResourceNotFound") || !strings.Contains(err.Error(), "package group")) {
			t.Errorf("%s: %v", tt.what, err)
		}
	}
	// EXTERNAL_UPSTREAM counts in the repository with the connection, and INTERNAL_UPSTREAM
	// in the one that is asked.
	h.groups("/npm//right-pad$")
	h.restrict("/npm//right-pad$", "EXTERNAL_UPSTREAM npm-store", "INTERNAL_UPSTREAM app")
	h.ok(second(h.CreateRepository(h.ctx, packages.NewRepository{ID: domain.Repository("other"), Upstreams: []string{"npm-store"}})))
	for repo, want := range map[string]string{"npm-store": "9.0.0", "app": "9.0.0", "other": "none"} {
		if got := h.versions(repo, npm("right-pad")); got != want {
			t.Errorf("%s: clients see %s, want %s", repo, got, want)
		}
	}
	// As AWS documents, a package that is new gets ALLOW for both if its group restricts.
	h.wantRead("app", npm("right-pad"), "9.0.0", "evil")
	s, err := h.DescribePackage(h.ctx, domain.Repository("app"), npm("right-pad"))
	h.ok(err)
	if s.Origin != (packages.Origin{Publish: packages.Allow, Upstream: packages.Allow}) {
		t.Errorf("the origin is %+v", s.Origin)
	}
}

func TestRemote_PublishTaken(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", "one")
	h := remotely(t, r, source.Settings{}, "app: npm-store")
	_, err := h.publish("app", npm("left-pad"), "1.0.0", tarball, "own")
	fails(t, err, "Conflict")
	if !strings.Contains(err.Error(), npmjs) {
		t.Errorf("the error is %v", err)
	}
	h.mustPublish("app", npm("left-pad"), "1.0.0-acme", tarball, "own") // another version may
	// What came from outside is not published to.
	r.add("right-pad", "1.0.0", "one")
	h.wantRead("app", npm("right-pad"), "1.0.0", "one")
	_, err = h.publish("app", npm("right-pad"), "2.0.0", tarball, "own")
	fails(t, err, "Conflict")
	if !packages.IsOriginBlocked(err) {
		t.Errorf("the error is %v", err)
	}
	// If the registry does not answer, publishing goes on.
	r.Close()
	h.mustPublish("app", npm("own"), "1.0.0", tarball, "own")
}

// Versions that are kept follow the registry's deprecations, unless they were changed
// here.
func TestRemote_Following(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", "one")
	r.add("left-pad", "1.1.0", "two")
	h := remotely(t, r, source.Settings{}, "app: npm-store")
	pad := npm("left-pad")
	h.wantRead("app", pad, "1.0.0", "one")
	h.wantRead("app", pad, "1.1.0", "two")
	edit := func(metadata string) func(string, json.RawMessage) (json.RawMessage, error) {
		return func(string, json.RawMessage) (json.RawMessage, error) { return json.RawMessage(metadata), nil }
	}
	h.ok(h.EditMetadata(h.ctx, domain.Repository("app"), pad, []string{"1.1.0"}, edit(`{"deprecated":"ours"}`)))
	for _, v := range r.packs["left-pad"].Versions {
		v["deprecated"] = "theirs"
	}
	r.save("left-pad")
	h.pass(time.Hour)
	p, err := h.Package(h.ctx, domain.Repository("app"), pad)
	h.ok(err)
	if got := string(p.Version("1.0.0").Metadata); !strings.Contains(got, "theirs") {
		t.Errorf("1.0.0 does not follow: %s", got)
	}
	if got := string(p.Version("1.1.0").Metadata); strings.Contains(got, "theirs") || !strings.Contains(got, "ours") {
		t.Errorf("1.1.0 lost its change: %s", got)
	}
	// A tag that is set there counts before the same tag here.
	h.ok(h.SetTags(h.ctx, domain.Repository("app"), pad, map[string]string{"latest": "1.0.0", "good": "1.0.0"}, nil))
	p, err = h.Package(h.ctx, domain.Repository("app"), pad)
	h.ok(err)
	if p.Tags["latest"] != "1.1.0" || p.Tags["good"] != "1.0.0" {
		t.Errorf("tags %v", p.Tags)
	}
	// An archived version is not offered again.
	h.ok(second(h.UpdateVersionsStatus(h.ctx, domain.Repository("npm-store"), pad, packages.Selection{Versions: []string{"1.0.0"}}, packages.Archived)))
	if _, err := h.read("npm-store", pad, "1.0.0", tarball); !fault.Is(err, "ResourceNotFound") {
		t.Errorf("the archived version: %v", err)
	}
}

// The API looks at the repository alone.
func TestRemote_API(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", "one")
	h := remotely(t, r, source.Settings{})
	pad := npm("left-pad")
	repo := domain.Repository("npm-store")
	_, err := h.ListVersions(h.ctx, repo, pad)
	fails(t, err, "ResourceNotFound")
	_, _, err = h.DescribeVersion(h.ctx, repo, pad, "1.0.0")
	fails(t, err, "ResourceNotFound")
	_, _, _, err = h.GetAsset(h.ctx, repo, pad, "1.0.0", "", tarball)
	fails(t, err, "ResourceNotFound")
	page, _, err := h.ListPackages(h.ctx, repo, packages.PackageFilter{}, packages.PackageID{}, 10)
	h.ok(err)
	ids, _, err := h.PackageNames(h.ctx, repo, packages.NPM, packages.PackageID{}, 10)
	h.ok(err)
	if len(page) != 0 || len(ids) != 0 || r.Count("") != 0 {
		t.Errorf("listed are %v and %v, after %d requests", page, ids, r.Count(""))
	}
}

// Nobody's credentials, name or address goes to the registry, and a caller who may not
// read causes no request.
func TestRemote_Caller(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", "one")
	h := remotely(t, r, source.Settings{})
	nobody := as(t, account, "nobody")
	_, err := h.Package(nobody, domain.Repository("npm-store"), npm("left-pad"))
	fails(t, err, "AccessDenied")
	_, _, err = h.OpenAsset(nobody, domain.Repository("npm-store"), npm("left-pad"), "1.0.0", tarball)
	fails(t, err, "AccessDenied")
	if n := r.Count(""); n != 0 {
		t.Errorf("a caller without permission caused %d requests", n)
	}
	h.wantRead("npm-store", npm("left-pad"), "1.0.0", "one")
	for _, q := range r.Requests() {
		for name := range q.Header {
			switch name {
			case "Accept", "Accept-Encoding", "User-Agent":
			default:
				t.Errorf("the registry got the header %s", name)
			}
		}
	}
}

// A connection whose registry has no address is like none, and the reason is told.
func TestRemote_NoAddress(t *testing.T) {
	h := remotely(t, newRegistry(t), source.Settings{}, "py")
	h.ok(second(h.AssociateExternalConnection(h.ctx, domain.Repository("py"), "public:pypi")))
	_, err := h.Package(h.ctx, domain.Repository("py"), packages.PackageID{Format: packages.PyPI, Name: "six"})
	fails(t, err, "ResourceNotFound")
	if !strings.Contains(err.Error(), "no address") {
		t.Errorf("the error is %v", err)
	}
}
