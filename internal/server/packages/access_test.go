package packages_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

const everything = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`

// allowOther is a resource policy for the other account.
func allowOther(actions ...string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + other + `:root"},"Action":["` +
		strings.Join(actions, `","`) + `"],"Resource":"*"}}`
}

func allow(action, resource string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}}`
}

// Each method authorizes its action on its resource: a caller with exactly this
// permission succeeds, and a caller with all other permissions does not.
func TestService_EveryMethodAuthorizes(t *testing.T) {
	h := open(t)
	h.repositories("base", "store: base")
	repo, id := domain.Repository("store"), packages.PackageID{Format: packages.NPM, Namespace: "acme", Name: "lib"}
	plain := npm("plain")
	h.mustPublish("store", id, "1.0.0", "a", "x")
	h.mustPublish("store", plain, "1.0.0", "a", "x")
	const base = "arn:aws:codeartifact:" + region + ":" + account + ":"
	const (
		domainARN     = base + "domain/acme"
		repositoryARN = base + "repository/acme/store"
		packageARN    = base + "package/acme/store/npm/acme/lib"
		plainARN      = base + "package/acme/store/npm//plain"
	)
	sel := packages.Selection{Versions: []string{"9.9.9"}}
	for _, c := range []struct {
		action, resource string
		do               func(h *fixture) error
	}{
		{"DescribeDomain", domainARN, func(h *fixture) error { return second(h.DescribeDomain(h.ctx, domain)) }},
		{"ListDomains", "*", func(h *fixture) error { _, _, err := h.ListDomains(h.ctx, account, region, "", 1); return err }},
		{"ListRepositories", "*", func(h *fixture) error {
			_, _, err := h.ListRepositories(h.ctx, account, region, packages.RepositoryFilter{}, packages.RepositoryID{}, 1)
			return err
		}},
		{"ListRepositoriesInDomain", domainARN, func(h *fixture) error {
			_, _, err := h.ListRepositoriesInDomain(h.ctx, domain, packages.RepositoryFilter{}, "", 1)
			return err
		}},
		{"GetDomainPermissionsPolicy", domainARN, func(h *fixture) error { return present(h.DomainPolicy(h.ctx, domain)) }},
		{"PutDomainPermissionsPolicy", domainARN, func(h *fixture) error {
			return second(h.SetDomainPolicy(h.ctx, domain, allowOther("codeartifact:DescribeDomain"), ""))
		}},
		{"DeleteDomainPermissionsPolicy", domainARN, func(h *fixture) error { return second(h.DeleteDomainPolicy(h.ctx, domain, "")) }},
		{"DescribeRepository", repositoryARN, func(h *fixture) error { return second(h.DescribeRepository(h.ctx, repo)) }},
		{"UpdateRepository", repositoryARN, func(h *fixture) error {
			return second(h.UpdateRepository(h.ctx, repo, packages.RepositoryUpdate{}))
		}},
		{"PutRepositoryPermissionsPolicy", repositoryARN, func(h *fixture) error {
			return second(h.SetRepositoryPolicy(h.ctx, repo, allowOther("codeartifact:DescribeRepository"), ""))
		}},
		{"GetRepositoryPermissionsPolicy", repositoryARN, func(h *fixture) error { return second(h.RepositoryPolicy(h.ctx, repo)) }},
		{"DeleteRepositoryPermissionsPolicy", repositoryARN, func(h *fixture) error { return second(h.DeleteRepositoryPolicy(h.ctx, repo, "")) }},
		{"ListTagsForResource", domainARN, func(h *fixture) error { return second(h.ResourceTags(h.ctx, domainARN)) }},
		{"TagResource", repositoryARN, func(h *fixture) error {
			return h.TagResource(h.ctx, repositoryARN, map[string]string{"a": "b"})
		}},
		{"UntagResource", repositoryARN, func(h *fixture) error { return h.UntagResource(h.ctx, repositoryARN, []string{"a"}) }},
		{"GetRepositoryEndpoint", repositoryARN, func(h *fixture) error {
			return h.Authorized(h.ctx, repo, "codeartifact:GetRepositoryEndpoint")
		}},
		{"ReadFromRepository", repositoryARN, func(h *fixture) error { return second(h.Package(h.ctx, repo, id)) }},
		{"ReadFromRepository", repositoryARN, func(h *fixture) error { return second(h.read("store", id, "1.0.0", "a")) }},
		{"ReadFromRepository", repositoryARN, func(h *fixture) error { return second(h.StoredPackage(h.ctx, repo, id)) }},
		{"ReadFromRepository", repositoryARN, func(h *fixture) error { return second(h.FetchedAsset(h.ctx, repo, id, "1.0.0", "a")) }},
		{"ReadFromRepository", repositoryARN, func(h *fixture) error { return second(h.RemoteMavenPlugins(h.ctx, repo, "com.acme")) }},
		{"ReadFromRepository", repositoryARN, func(h *fixture) error {
			_, _, err := h.PackageNames(h.ctx, repo, packages.NPM, packages.PackageID{}, 1)
			return err
		}},
		{"ReadFromRepository", repositoryARN, func(h *fixture) error { return second(h.IndexRevision(h.ctx, repo, packages.NPM)) }},
		{"ReadFromRepository", repositoryARN, func(h *fixture) error { return second(h.ExternalIndex(h.ctx, repo, packages.Ruby)) }},
		{"ListPackages", repositoryARN, func(h *fixture) error {
			_, _, err := h.ListPackages(h.ctx, repo, packages.PackageFilter{}, packages.PackageID{}, 1)
			return err
		}},
		{"PublishPackageVersion", packageARN, func(h *fixture) error { return second(h.publish("store", id, "1.0.0", "a", "x")) }},
		{"PublishPackageVersion", plainARN, func(h *fixture) error { return second(h.publish("store", plain, "1.0.0", "a", "x")) }},
		{"PutPackageMetadata", packageARN, func(h *fixture) error { return h.SetTags(h.ctx, repo, id, nil, nil) }},
		{"PutPackageMetadata", packageARN, func(h *fixture) error { return h.EditMetadata(h.ctx, repo, id, nil, nil) }},
		{"DescribePackage", packageARN, func(h *fixture) error { return second(h.DescribePackage(h.ctx, repo, id)) }},
		{"PutPackageOriginConfiguration", packageARN, func(h *fixture) error {
			return h.SetOrigin(h.ctx, repo, id, packages.Origin{Publish: packages.Allow, Upstream: packages.Block})
		}},
		{"ListPackageVersions", packageARN, func(h *fixture) error { return second(h.ListVersions(h.ctx, repo, id)) }},
		{"DescribePackageVersion", packageARN, func(h *fixture) error {
			_, _, err := h.DescribeVersion(h.ctx, repo, id, "1.0.0")
			return err
		}},
		{"GetPackageVersionReadme", packageARN, func(h *fixture) error { _, _, err := h.VersionReadme(h.ctx, repo, id, "1.0.0"); return err }},
		{"ListPackageVersionDependencies", packageARN, func(h *fixture) error {
			_, _, err := h.VersionDependencies(h.ctx, repo, id, "1.0.0")
			return err
		}},
		{"ListPackageVersionAssets", packageARN, func(h *fixture) error { return second(h.VersionAssets(h.ctx, repo, id, "1.0.0")) }},
		{"GetPackageVersionAsset", packageARN, func(h *fixture) error {
			_, _, o, err := h.GetAsset(h.ctx, repo, id, "1.0.0", "", "a")
			if err == nil {
				err = o.Close()
			}
			return err
		}},
		{"UpdatePackageVersionsStatus", packageARN, func(h *fixture) error {
			return second(h.UpdateVersionsStatus(h.ctx, repo, id, sel, packages.Unlisted))
		}},
		{"DisposePackageVersions", packageARN, func(h *fixture) error { return second(h.DisposeVersions(h.ctx, repo, id, sel)) }},
		{"DeletePackageVersions", packageARN, func(h *fixture) error { return second(h.DeleteSelectedVersions(h.ctx, repo, id, sel)) }},
		{"DeletePackageVersions", packageARN, func(h *fixture) error { return h.DeleteVersions(h.ctx, repo, id, nil) }},
		{"DeletePackageVersions", packageARN, func(h *fixture) error {
			return h.AuthorizedPackage(h.ctx, repo, id, "codeartifact:DeletePackageVersions")
		}},
		{"DeletePackage", packageARN, func(h *fixture) error {
			h.ok(second(h.publishAs(as(h.t, account, "publisher", everything), packages.Publication{Repository: repo, Package: id, Version: "1.0.0"}, "a", "x")))
			return h.Unpublish(h.ctx, repo, id, []string{"1.0.0"})
		}},
		{"DeletePackage", packageARN, func(h *fixture) error {
			h.ok(second(h.publishAs(as(h.t, account, "publisher", everything), packages.Publication{Repository: repo, Package: id, Version: "1.0.0"}, "a", "x")))
			return second(h.DeletePackage(h.ctx, repo, id))
		}},
		{"DeleteRepository", repositoryARN, func(h *fixture) error { return second(h.DeleteRepository(h.ctx, repo)) }},
		{"DeleteDomain", domainARN, func(h *fixture) error {
			h.ok(second(h.DeleteRepository(as(h.t, account, "cleaner", everything), domain.Repository("base"))))
			_, _, err := h.DeleteDomain(h.ctx, domain)
			return err
		}},
		{"CreateDomain", domainARN, func(h *fixture) error { return second(h.CreateDomain(h.ctx, packages.NewDomain{ID: domain})) }},
	} {
		t.Run(c.action, func(t *testing.T) {
			action := "codeartifact:" + c.action
			with := func(policies ...string) *fixture {
				one := *h
				one.t, one.ctx = t, as(t, account, "tester", policies...)
				return &one
			}
			if c.action != "DeleteDomain" { // whose denial below would delete the last repository
				err := c.do(with(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","NotAction":"` + action + `","Resource":"*"}}`))
				fails(t, err, "AccessDenied")
				if c.resource != "*" {
					fails(t, c.do(with(allow(action, c.resource+"x"))), "AccessDenied")
				}
			}
			if err := c.do(with(allow(action, c.resource))); err != nil {
				t.Fatalf("with exactly %s on %s: %v", action, c.resource, err)
			}
		})
	}
}

// present tells "there is none" from "you may not know".
func present(_ packages.PermissionsPolicy, err error) error {
	if fault.Is(err, "ResourceNotFound") {
		return nil
	}
	return err
}

// What the package is called stands in the bytes: whoever may publish all packages, or
// read from the repository, may send them. Publish decides about the package.
func TestStageUnnamed_Authorizes(t *testing.T) {
	h := open(t)
	h.repositories("store")
	const base = "arn:aws:codeartifact:" + region + ":" + account + ":"
	for _, c := range []struct {
		policy, code string
	}{
		{allow("codeartifact:ReadFromRepository", base+"repository/acme/store"), ""},
		{allow("codeartifact:PublishPackageVersion", base+"package/acme/store/nuget/*"), ""},
		{allow("codeartifact:PublishPackageVersion", base+"package/acme/store/nuget//one"), "AccessDenied"},
		{allow("codeartifact:PublishPackageVersion", base+"package/acme/store/npm/*"), "AccessDenied"},
		{allow("codeartifact:ReadFromRepository", base+"repository/acme/other"), "AccessDenied"},
	} {
		staged, err := h.StageUnnamed(as(t, account, "u", c.policy), domain.Repository("store"), packages.NuGet, strings.NewReader("x"), 10)
		if c.code == "" && err != nil || c.code != "" && !fault.Is(err, c.code) {
			t.Errorf("%s: error %v, want %q", c.policy, err, c.code)
		}
		staged.Discard()
	}
	staged, err := h.StageUnnamed(as(t, account, "u", allow("codeartifact:ReadFromRepository", "*")), domain.Repository("store"), packages.NuGet, strings.NewReader("x"), 10)
	h.ok(err)
	_, err = h.Publish(as(t, account, "u", allow("codeartifact:ReadFromRepository", "*")), packages.Publication{
		Repository: domain.Repository("store"), Package: packages.PackageID{Format: packages.NuGet, Name: "one"}, Version: "1.0.0",
		Assets: []packages.StagedAsset{{Name: "one.1.0.0.nupkg", Content: staged}},
	})
	fails(t, err, "AccessDenied")
}

func TestService_NoCaller(t *testing.T) {
	h := open(t)
	h.repositories("store")
	fails(t, h.Authorized(t.Context(), domain.Repository("store"), "codeartifact:ReadFromRepository"), "AccessDenied")
	fails(t, second(h.Package(t.Context(), domain.Repository("store"), npm("lib"))), "AccessDenied")
	fails(t, second(h.CreateDomain(t.Context(), packages.NewDomain{ID: domain})), "AccessDenied")
}

// A denial does not reveal whether something exists.
func TestService_DenialRevealsNothing(t *testing.T) {
	h := open(t)
	h.repositories("store")
	guest := as(t, other, "guest", everything)
	for _, repo := range []packages.RepositoryID{domain.Repository("store"), domain.Repository("none"), {Domain: packages.DomainID{Owner: account, Region: region, Name: "none"}, Name: "x"}} {
		fails(t, second(h.Package(guest, repo, npm("lib"))), "AccessDenied")
		fails(t, second(h.DescribeRepository(guest, repo)), "AccessDenied")
		fails(t, second(h.DescribePackage(guest, repo, npm("lib"))), "AccessDenied")
	}
}

// Across accounts both the caller's policies and the domain's or the
// repository's must allow; a Deny in either wins.
func TestPolicies_OtherAccounts(t *testing.T) {
	h := open(t)
	h.repositories("store", "second")
	h.mustPublish("store", npm("lib"), "1.0.0", "a", "x")
	repo := domain.Repository("store")
	guest := as(t, other, "guest", everything)
	read := func() error { return second(h.Package(guest, repo, npm("lib"))) }
	fails(t, read(), "AccessDenied")

	h.ok(second(h.SetRepositoryPolicy(h.ctx, repo, allowOther("codeartifact:ReadFromRepository"), "")))
	h.ok(read())
	fails(t, second(h.Package(guest, domain.Repository("second"), npm("lib"))), "AccessDenied")
	fails(t, second(h.Package(as(t, other, "poor"), repo, npm("lib"))), "AccessDenied")
	fails(t, second(h.DescribePackage(guest, repo, npm("lib"))), "AccessDenied")

	// The domain's policy counts for its repositories and packages too.
	h.ok(second(h.SetDomainPolicy(h.ctx, domain, allowOther("codeartifact:DescribePackage", "codeartifact:CreateRepository", "codeartifact:DescribeDomain"), "")))
	h.ok(second(h.DescribePackage(guest, repo, npm("lib"))))
	h.ok(second(h.DescribeDomain(guest, domain)))

	// The creator of a repository administers it without any policy.
	theirs := domain.Repository("theirs")
	r, err := h.CreateRepository(guest, packages.NewRepository{ID: theirs})
	if err != nil || r.Administrator != other {
		t.Fatalf("%+v, %v", r, err)
	}
	h.ok(second(h.publishAs(guest, packages.Publication{Repository: theirs, Package: npm("own"), Version: "1.0.0"}, "a", "x")))
	h.ok(second(h.Package(h.ctx, theirs, npm("own")))) // and so does the domain's owner

	h.ok(second(h.SetDomainPolicy(h.ctx, domain, `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"codeartifact:ReadFromRepository","Resource":"*"}}`, "")))
	fails(t, read(), "AccessDenied")
	fails(t, second(h.Package(h.ctx, repo, npm("lib"))), "AccessDenied")
}

// A repository's policy locks nobody out.
func TestSetRepositoryPolicy_NoLockout(t *testing.T) {
	h := open(t)
	h.repositories("store")
	repo := domain.Repository("store")
	h.ok(second(h.SetRepositoryPolicy(h.ctx, repo, `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}`, "")))
	fails(t, second(h.DescribeRepository(h.ctx, repo)), "AccessDenied")
	h.ok(second(h.SetRepositoryPolicy(h.ctx, repo, allowOther("codeartifact:ReadFromRepository"), "")))
	h.ok(second(h.DescribeRepository(h.ctx, repo)))
}

func TestUpdateRepository_UpstreamPermission(t *testing.T) {
	h := open(t)
	h.repositories("base")
	ctx := as(t, account, "dev", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},
		{"Effect":"Deny","Action":"codeartifact:AssociateWithDownstreamRepository","Resource":"arn:aws:codeartifact:*:*:repository/acme/base"}]}`)
	_, err := h.CreateRepository(ctx, packages.NewRepository{ID: domain.Repository("app"), Upstreams: []string{"base"}})
	fails(t, err, "AccessDenied")
	h.ok(second(h.CreateRepository(ctx, packages.NewRepository{ID: domain.Repository("app")})))
	_, err = h.UpdateRepository(ctx, domain.Repository("app"), packages.RepositoryUpdate{Upstreams: []string{"base"}})
	fails(t, err, "AccessDenied")
}

func TestCreate_TagsNeedTagResource(t *testing.T) {
	h := open(t)
	h.repositories()
	ctx := as(t, account, "dev", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","NotAction":"codeartifact:TagResource","Resource":"*"}}`)
	tags := map[string]string{"a": "b"}
	far := packages.DomainID{Owner: account, Region: region, Name: "far"}
	fails(t, second(h.CreateDomain(ctx, packages.NewDomain{ID: far, Tags: tags})), "AccessDenied")
	fails(t, second(h.CreateRepository(ctx, packages.NewRepository{ID: domain.Repository("app"), Tags: tags})), "AccessDenied")
	h.ok(second(h.CreateRepository(ctx, packages.NewRepository{ID: domain.Repository("app")})))
}

func TestPolicies_ConditionsOnTags(t *testing.T) {
	h := open(t)
	h.repositories()
	ctx := as(t, account, "dev", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"codeartifact:*","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/team":"web"}}},
		{"Effect":"Allow","Action":"codeartifact:DescribeRepository","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"web"}}}]}`)
	create := func(name string, tags map[string]string) error {
		return second(h.CreateRepository(ctx, packages.NewRepository{ID: domain.Repository(name), Tags: tags}))
	}
	h.ok(create("web", map[string]string{"team": "web"}))
	fails(t, create("ops", map[string]string{"team": "ops"}), "AccessDenied")
	fails(t, create("none", nil), "AccessDenied")
	h.ok(second(h.DescribeRepository(ctx, domain.Repository("web"))))
	h.ok(h.UntagResource(h.ctx, domain.Repository("web").ARN(), []string{"team"}))
	fails(t, second(h.DescribeRepository(ctx, domain.Repository("web"))), "AccessDenied")
}
