package packages_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func TestDomains(t *testing.T) {
	h := open(t)
	d, err := h.CreateDomain(h.ctx, packages.NewDomain{ID: domain, EncryptionKey: "arn:aws:kms:x", Tags: map[string]string{"a": "b"}})
	if err != nil || d.ID != domain || d.EncryptionKey != "arn:aws:kms:x" || !d.Created.Equal(h.now()) {
		t.Fatalf("%+v, %v", d, err)
	}
	fails(t, second(h.CreateDomain(h.ctx, packages.NewDomain{ID: domain})), "Conflict")
	h.ok(second(h.CreateRepository(h.ctx, packages.NewRepository{ID: domain.Repository("store")})))
	d, err = h.DescribeDomain(h.ctx, domain)
	if err != nil || d.Repositories != 1 {
		t.Fatalf("%+v, %v", d, err)
	}
	// Deletion is refused while repositories remain.
	_, _, err = h.DeleteDomain(h.ctx, domain)
	fails(t, err, "Conflict")
	h.ok(second(h.DeleteRepository(h.ctx, domain.Repository("store"))))
	if _, found, err := h.DeleteDomain(h.ctx, domain); !found || err != nil {
		t.Fatal(found, err)
	}
	if _, found, err := h.DeleteDomain(h.ctx, domain); found || err != nil {
		t.Fatal(found, err)
	}
	fails(t, second(h.DescribeDomain(h.ctx, domain)), "ResourceNotFound")
	fails(t, second(h.CreateRepository(h.ctx, packages.NewRepository{ID: domain.Repository("store")})), "ResourceNotFound")

	for _, name := range []string{"", "a", "Acme", "1acme", "acme-", "ac_me", "äcme", strings.Repeat("a", 51)} {
		id := domain
		id.Name = name
		fails(t, second(h.CreateDomain(h.ctx, packages.NewDomain{ID: id})), "Validation")
	}
}

func TestRepositories(t *testing.T) {
	h := open(t)
	h.repositories("base")
	r, err := h.CreateRepository(h.ctx, packages.NewRepository{ID: domain.Repository("app"), Description: "d", Upstreams: []string{"base"}})
	if err != nil || r.Description != "d" || r.Administrator != account || fmt.Sprint(r.Upstreams) != "[base]" {
		t.Fatalf("%+v, %v", r, err)
	}
	fails(t, second(h.CreateRepository(h.ctx, packages.NewRepository{ID: domain.Repository("app")})), "Conflict")
	fails(t, second(h.CreateRepository(h.ctx, packages.NewRepository{ID: domain.Repository("own"), Upstreams: []string{"own"}})), "Validation")
	for _, name := range []string{"", "a", ".ab", "a/b", "a b", strings.Repeat("a", 101)} {
		fails(t, second(h.CreateRepository(h.ctx, packages.NewRepository{ID: domain.Repository(name)})), "Validation")
	}
	empty := ""
	r, err = h.UpdateRepository(h.ctx, domain.Repository("app"), packages.RepositoryUpdate{Description: &empty})
	if err != nil || r.Description != "" || fmt.Sprint(r.Upstreams) != "[base]" {
		t.Fatalf("what is not in the update must stay: %+v, %v", r, err)
	}
	r, err = h.UpdateRepository(h.ctx, domain.Repository("app"), packages.RepositoryUpdate{Upstreams: []string{}})
	if err != nil || len(r.Upstreams) != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	long := strings.Repeat("x", 1001)
	fails(t, second(h.UpdateRepository(h.ctx, domain.Repository("app"), packages.RepositoryUpdate{Description: &long})), "Validation")
	fails(t, second(h.UpdateRepository(h.ctx, domain.Repository("none"), packages.RepositoryUpdate{})), "ResourceNotFound")
	fails(t, second(h.DeleteRepository(h.ctx, domain.Repository("none"))), "ResourceNotFound")
}

func TestListings(t *testing.T) {
	h := open(t)
	for _, d := range []string{"dd", "bb", "cc"} {
		id := packages.DomainID{Owner: account, Region: region, Name: d}
		h.ok(second(h.CreateDomain(h.ctx, packages.NewDomain{ID: id})))
		for _, r := range []string{"web", "api", "app"} {
			h.ok(second(h.CreateRepository(h.ctx, packages.NewRepository{ID: id.Repository(r)})))
		}
	}
	elsewhere := packages.DomainID{Owner: account, Region: "us-east-1", Name: "far"}
	h.ok(second(h.CreateDomain(h.ctx, packages.NewDomain{ID: elsewhere})))

	var domains []string
	for after, more := "", true; more; {
		var page []packages.Domain
		var err error
		page, more, err = h.ListDomains(h.ctx, account, region, after, 2)
		h.ok(err)
		for _, d := range page {
			domains = append(domains, d.ID.Name)
			after = d.ID.Name
		}
	}
	if fmt.Sprint(domains) != "[bb cc dd]" {
		t.Fatalf("%v", domains)
	}
	var repositories []string
	var after packages.RepositoryID
	for more := true; more; {
		var page []packages.Repository
		var err error
		page, more, err = h.ListRepositories(h.ctx, account, region, packages.RepositoryFilter{NamePrefix: "a"}, after, 4)
		h.ok(err)
		for _, r := range page {
			repositories = append(repositories, r.ID.Domain.Name+"/"+r.ID.Name)
			after = r.ID
		}
	}
	if fmt.Sprint(repositories) != "[bb/api bb/app cc/api cc/app dd/api dd/app]" {
		t.Fatalf("%v", repositories)
	}
	id := packages.DomainID{Owner: account, Region: region, Name: "bb"}
	page, more, err := h.ListRepositoriesInDomain(h.ctx, id, packages.RepositoryFilter{}, "api", 5)
	if err != nil || more || len(page) != 2 || page[0].ID.Name != "app" || page[1].ID.Name != "web" {
		t.Fatalf("%v, %v, %v", page, more, err)
	}
	page, _, err = h.ListRepositoriesInDomain(h.ctx, id, packages.RepositoryFilter{Administrator: other}, "", 5)
	if err != nil || len(page) != 0 {
		t.Fatalf("%v, %v", page, err)
	}
}

func TestPolicies(t *testing.T) {
	h := open(t)
	h.repositories("store")
	repo := domain.Repository("store")
	fails(t, second(h.RepositoryPolicy(h.ctx, repo)), "ResourceNotFound")
	fails(t, second(h.DeleteRepositoryPolicy(h.ctx, repo, "")), "ResourceNotFound")
	fails(t, second(h.DomainPolicy(h.ctx, domain)), "ResourceNotFound")
	for _, bad := range []string{"", "{", `{"Statement":[]`, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, strings.Repeat(" ", 7169)} {
		fails(t, second(h.SetRepositoryPolicy(h.ctx, repo, bad, "")), "Validation")
		fails(t, second(h.SetDomainPolicy(h.ctx, domain, bad, "")), "Validation")
	}
	doc := allowOther("codeartifact:ReadFromRepository")
	first, err := h.SetRepositoryPolicy(h.ctx, repo, doc, "")
	if err != nil || first.Document != doc || first.Revision == "" || first.ResourceARN != repo.ARN() {
		t.Fatalf("%+v, %v", first, err)
	}
	// A policy's revision is a lock.
	next, err := h.SetRepositoryPolicy(h.ctx, repo, doc, first.Revision)
	h.ok(err)
	if next.Revision == first.Revision {
		t.Fatal("the revision did not change")
	}
	fails(t, second(h.SetRepositoryPolicy(h.ctx, repo, doc, first.Revision)), "Conflict")
	fails(t, second(h.DeleteRepositoryPolicy(h.ctx, repo, first.Revision)), "Conflict")
	gone, err := h.DeleteRepositoryPolicy(h.ctx, repo, next.Revision)
	if err != nil || gone != next {
		t.Fatalf("%+v, %v", gone, err)
	}
	d, err := h.SetDomainPolicy(h.ctx, domain, doc, "")
	if err != nil || d.ResourceARN != domain.ARN() {
		t.Fatalf("%+v, %v", d, err)
	}
	if got, err := h.DomainPolicy(h.ctx, domain); got != d || err != nil {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestResourceTags(t *testing.T) {
	h := open(t)
	h.repositories("store")
	for _, arn := range []string{domain.ARN(), domain.Repository("store").ARN()} {
		h.ok(h.TagResource(h.ctx, arn, map[string]string{"a": "1", "b": "2"}))
		h.ok(h.TagResource(h.ctx, arn, map[string]string{"b": "3", "c": ""}))
		h.ok(h.UntagResource(h.ctx, arn, []string{"a", "never"}))
		got, err := h.ResourceTags(h.ctx, arn)
		if err != nil || !maps.Equal(got, map[string]string{"b": "3", "c": ""}) {
			t.Fatalf("%s: %v, %v", arn, got, err)
		}
		fails(t, h.TagResource(h.ctx, arn, map[string]string{"aws:x": "1"}), "Validation")
		fails(t, h.TagResource(h.ctx, arn, map[string]string{"": "1"}), "Validation")
		many := map[string]string{}
		for i := range 49 {
			many[fmt.Sprint(i)] = "x"
		}
		fails(t, h.TagResource(h.ctx, arn, many), "ServiceQuotaExceeded")
	}
	for _, bad := range []string{"", "x", "arn:aws:ecr:eu-west-1:111122223333:repository/x", domain.Repository("store").PackageARN(npm("x"))} {
		fails(t, second(h.ResourceTags(h.ctx, bad)), "Validation")
	}
	fails(t, second(h.ResourceTags(h.ctx, domain.Repository("none").ARN())), "ResourceNotFound")
}

func TestARNs(t *testing.T) {
	repo := domain.Repository("store")
	for want, got := range map[string]string{
		"arn:aws:codeartifact:eu-west-1:111122223333:domain/acme":                     domain.ARN(),
		"arn:aws:codeartifact:eu-west-1:111122223333:repository/acme/store":           repo.ARN(),
		"arn:aws:codeartifact:eu-west-1:111122223333:package/acme/store/npm//lib":     repo.PackageARN(npm("lib")),
		"arn:aws:codeartifact:eu-west-1:111122223333:package/acme/store/npm/acme/lib": repo.PackageARN(packages.PackageID{Format: packages.NPM, Namespace: "acme", Name: "lib"}),
		"arn:aws:codeartifact:eu-west-1:111122223333:package/acme/store/pypi//a-b":    repo.PackageARN(packages.PackageID{Format: packages.PyPI, Name: "A_b"}),
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// A change of one repository reads and compiles nothing of the others: its cost does not
// grow with the domain.
func TestChangeDomain_CostOfOneChange(t *testing.T) {
	var policies [2]string
	for i := range policies {
		var statements []string
		for j := range 20 {
			statements = append(statements, fmt.Sprintf(`{"Effect":"Allow","Principal":"*","Action":"codeartifact:Describe*","Resource":"*","Condition":{"StringLike":{"aws:PrincipalTag/team":"team-%d-%d-*"}}}`, i, j))
		}
		policies[i] = `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
	}
	cost := func(repositories int) float64 {
		h := open(t)
		h.repositories()
		for i := range repositories {
			id := domain.Repository(fmt.Sprint("r-", i))
			h.ok(second(h.CreateRepository(h.ctx, packages.NewRepository{ID: id})))
			h.ok(second(h.SetRepositoryPolicy(h.ctx, id, policies[0], "")))
		}
		n := 0
		return testing.AllocsPerRun(5, func() {
			n++
			h.ok(second(h.SetRepositoryPolicy(h.ctx, domain.Repository("r-0"), policies[n%2], "")))
		})
	}
	few, many := cost(2), cost(60)
	if many > 1.5*few {
		t.Fatalf("a change takes %.0f allocations in a domain with 2 repositories, and %.0f with 60", few, many)
	}
}
