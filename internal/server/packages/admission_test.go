package packages_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

// denyIf is a policy of a resource that denies reading versions under a condition.
func denyIf(sid, condition string) string {
	return `{"Version":"2012-10-17","Statement":[{"Sid":"` + sid + `","Effect":"Deny","Principal":"*","Resource":"*",
		"Action":["codeartifact:ReadFromRepository","codeartifact:GetPackageVersionAsset"],"Condition":` + condition + `}]}`
}

const (
	youngerThanWeek = `{"NumericLessThan":{"gatehouse:VersionAge":"7"},"StringEquals":{"gatehouse:PackageOrigin":"external"}}`
	allowAll        = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
)

func (h *fixture) setPolicy(repo, document string) {
	h.t.Helper()
	h.ok(second(h.SetRepositoryPolicy(h.ctx, domain.Repository(repo), document, "")))
}

// tagged is the version that a tag names, as clients see it.
func (h *fixture) tagged(repo string, id packages.PackageID, tag string) string {
	h.t.Helper()
	p, err := h.Package(h.ctx, domain.Repository(repo), id)
	h.ok(err)
	return p.Tags[tag]
}

// A malicious version appears in the registry: clients stay on the version before it, until
// it is a week old.
func TestAdmission_VersionAge(t *testing.T) {
	r := newRegistry(t)
	h := remotely(t, r, source.Settings{Fresh: time.Second, Background: time.Second}, "app: npm-store")
	left, mine := npm("left"), npm("mine")
	r.times = h.now().Add(-30 * 24 * time.Hour)
	r.add("left", "1.0.0", "good")
	r.times = h.now().Add(-8 * 24 * time.Hour)
	r.add("left", "2.0.0-rc.1", "preview")
	r.times = h.now().Add(-time.Hour)
	r.add("left", "1.0.1", "worm")
	h.setPolicy("app", denyIf("NothingYoung", youngerThanWeek))
	h.mustPublish("app", mine, "1.0.0", tarball, "mine")

	if got := h.versions("app", left); got != "1.0.0 2.0.0-rc.1" {
		t.Fatalf("clients see %s", got)
	}
	if got := h.tagged("app", left, "latest"); got != "1.0.0" {
		t.Errorf("latest is %s", got)
	}
	h.wantRead("app", left, "1.0.0", "good")
	err := second(h.read("app", left, "1.0.1", tarball))
	fails(t, err, "AccessDenied")
	for _, want := range []string{"version 1.0.1", "the rule NothingYoung of the resource-based policy arn:aws:codeartifact:eu-west-1:111122223333:repository/acme/app", "gatehouse:VersionAge is 0", "gatehouse:PackageOrigin is external"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the refusal %q does not say %q", err, want)
		}
	}
	fails(t, h.WhyNotVisible(h.ctx, domain.Repository("app"), left, "1.0.1"), "AccessDenied")
	// Nothing was downloaded. What was published here has no rule.
	if got := h.kept("npm-store", left); got != "1.0.0" {
		t.Errorf("the server has %s", got)
	}
	h.wantRead("app", mine, "1.0.0", "mine")
	// The rule is of another repository.
	if got := h.versions("npm-store", left); got != "1.0.0 2.0.0-rc.1 1.0.1" {
		t.Errorf("clients of npm-store see %s", got)
	}

	h.pass(6*24*time.Hour + 22*time.Hour)
	if got := h.versions("app", left); got != "1.0.0 2.0.0-rc.1" {
		t.Errorf("after six days clients see %s", got)
	}
	h.pass(2 * time.Hour)
	if got := h.versions("app", left); got != "1.0.0 2.0.0-rc.1 1.0.1" {
		t.Errorf("after seven days clients see %s", got)
	}
	h.wantRead("app", left, "1.0.1", "worm")
}

// A registry that tells no times: a version is as old as it is known here.
func TestAdmission_UnknownTime(t *testing.T) {
	r := newRegistry(t)
	h := remotely(t, r, source.Settings{Fresh: time.Second, Background: time.Second})
	r.add("left", "1.0.0", "one")
	clear(r.packs["left"].Times)
	r.save("left")
	h.setPolicy("npm-store", denyIf("NothingYoung", youngerThanWeek))
	left := npm("left")
	see := func(want string) {
		t.Helper()
		if got := h.versions("npm-store", left); got != want {
			t.Errorf("clients see %s, want %s", got, want)
		}
	}
	see("none")
	h.pass(4 * 24 * time.Hour)
	r.add("left", "1.1.0", "two")
	clear(r.packs["left"].Times)
	r.save("left")
	see("none")
	h.pass(3*24*time.Hour + time.Hour)
	see("1.0.0")
	h.wantRead("npm-store", left, "1.0.0", "one")
	fails(t, second(h.read("npm-store", left, "1.1.0", tarball)), "AccessDenied")
	h.pass(4 * 24 * time.Hour)
	see("1.0.0 1.1.0")
}

// Rules are in the policies of the repository, the domain and the caller, and may be about
// some packages only.
func TestAdmission_Policies(t *testing.T) {
	h := open(t)
	h.repositories("app", "other")
	ours, theirs := packages.PackageID{Format: packages.NPM, Namespace: "acme", Name: "ui"}, npm("left")
	for _, id := range []packages.PackageID{ours, theirs} {
		h.mustPublish("app", id, "1.0.0", tarball, "x")
	}
	young := `{"NumericLessThan":{"gatehouse:VersionAge":7}}`
	deny := func(extra, condition string) string {
		return `{"Version":"2012-10-17","Statement":[{"Sid":"Young","Effect":"Deny","Action":["codeartifact:Read*","codeartifact:GetPackageVersionAsset"],` + extra + `,"Condition":` + condition + `}]}`
	}
	arn := "arn:aws:codeartifact:eu-west-1:111122223333:"
	for name, c := range map[string]struct {
		identity, repository, domain string
		sees                         string // of ours and theirs
	}{
		"none":                        {sees: "1.0.0 1.0.0"},
		"repository":                  {repository: deny(`"Principal":"*","Resource":"*"`, young), sees: "none none"},
		"domain":                      {domain: deny(`"Principal":"*","Resource":"*"`, young), sees: "none none"},
		"identity":                    {identity: deny(`"Resource":"*"`, young), sees: "none none"},
		"identity, the repository":    {identity: deny(`"Resource":"`+arn+`repository/acme/app"`, young), sees: "none none"},
		"identity, other repository":  {identity: deny(`"Resource":"`+arn+`repository/acme/other"`, young), sees: "1.0.0 1.0.0"},
		"identity, one package":       {identity: deny(`"Resource":"`+arn+`package/acme/app/npm//left"`, young), sees: "1.0.0 none"},
		"identity, except ours":       {identity: deny(`"NotResource":"`+arn+`package/*/npm/acme/*"`, young), sees: "1.0.0 none"},
		"identity, except repository": {identity: deny(`"NotResource":"`+arn+`repository/acme/app"`, young), sees: "1.0.0 1.0.0"},
		"old enough":                  {repository: deny(`"Principal":"*","Resource":"*"`, `{"NumericLessThan":{"gatehouse:VersionAge":0}}`), sees: "1.0.0 1.0.0"},
		"another principal":           {repository: deny(`"Principal":{"AWS":"arn:aws:iam::111122223333:user/bob"},"Resource":"*"`, young), sees: "1.0.0 1.0.0"},
		"another condition, no":       {repository: deny(`"Principal":"*","Resource":"*"`, `{"NumericLessThan":{"gatehouse:VersionAge":7},"StringEquals":{"aws:username":"bob"}}`), sees: "1.0.0 1.0.0"},
		"another condition, yes":      {repository: deny(`"Principal":"*","Resource":"*"`, `{"NumericLessThan":{"gatehouse:VersionAge":7},"StringEquals":{"aws:username":"alice"}}`), sees: "none none"},
		"a negation is no trap":       {repository: deny(`"Principal":"*","Resource":"*"`, `{"StringNotEquals":{"gatehouse:PackageOrigin":"internal"}}`), sees: "1.0.0 1.0.0"},
		"a negation":                  {repository: deny(`"Principal":"*","Resource":"*"`, `{"StringNotEquals":{"gatehouse:PackageOrigin":"external"}}`), sees: "none none"},
		"a missing key":               {repository: deny(`"Principal":"*","Resource":"*"`, `{"Null":{"gatehouse:ExternalConnection":"true"}}`), sees: "none none"},
		"group":                       {repository: deny(`"Principal":"*","Resource":"*"`, `{"StringNotLike":{"gatehouse:PackageGroup":"/npm/acme/*"}}`), sees: "1.0.0 none"},
		"a variable":                  {repository: deny(`"Principal":"*","Resource":"*"`, `{"StringEquals":{"gatehouse:PackageOrigin":"${aws:PrincipalTag/denied, 'internal'}"}}`), sees: "none none"},
		"only reports":                {repository: deny(`"Principal":"*","Resource":"*"`, `{"NumericLessThan":{"gatehouse:VersionAge":7},"Bool":{"gatehouse:ReportOnly":true}}`), sees: "1.0.0 1.0.0"},
	} {
		documents := []string{allowAll}
		if c.identity != "" {
			documents = append(documents, c.identity)
		}
		h.ok(second(h.CreateGroup(h.ctx, packages.NewGroup{ID: packages.GroupID{Domain: domain, Pattern: "/npm/acme/*"}})))
		if c.repository != "" {
			h.setPolicy("app", c.repository)
		}
		if c.domain != "" {
			h.ok(second(h.SetDomainPolicy(h.ctx, domain, c.domain, "")))
		}
		admin := h.ctx
		h.ctx = as(t, account, "alice", documents...)
		got := h.versions("app", ours) + " " + h.versions("app", theirs)
		if got != c.sees {
			t.Errorf("%s: clients see %s, want %s", name, got, c.sees)
		}
		for i, id := range []packages.PackageID{ours, theirs} {
			err := second(h.read("app", id, "1.0.0", tarball))
			if hidden := strings.Fields(got)[i] == "none"; hidden != fault.Is(err, "AccessDenied") || !hidden && err != nil {
				t.Errorf("%s: reading %s: %v", name, id, err)
			}
			_, _, o, err := h.GetAsset(h.ctx, domain.Repository("app"), id, "1.0.0", "", tarball)
			if err == nil {
				o.Close()
			}
			if hidden := strings.Fields(got)[i] == "none"; hidden != (err != nil) {
				t.Errorf("%s: GetPackageVersionAsset of %s: %v", name, id, err)
			}
		}
		h.ctx = admin
		h.ok(second(h.DeleteGroup(h.ctx, packages.GroupID{Domain: domain, Pattern: "/npm/acme/*"})))
		if c.repository != "" {
			h.ok(second(h.DeleteRepositoryPolicy(h.ctx, domain.Repository("app"), "")))
		}
		if c.domain != "" {
			h.ok(second(h.DeleteDomainPolicy(h.ctx, domain, "")))
		}
	}
}

// What one version is allowed must not open the whole request.
func TestAdmission_AllowWithVersionKey(t *testing.T) {
	h := open(t)
	h.repositories("app")
	h.mustPublish("app", npm("left"), "1.0.0", tarball, "x")
	ctx := as(t, account, "alice", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"gatehouse:PackageOrigin":"external"}}}}`)
	fails(t, second(h.Package(ctx, domain.Repository("app"), npm("left"))), "AccessDenied")
}

// A version that is denied cannot be copied to where it is not.
func TestAdmission_Copy(t *testing.T) {
	h := open(t)
	h.repositories("app", "other")
	left := npm("left")
	h.mustPublish("app", left, "1.0.0", tarball, "old")
	h.pass(10 * 24 * time.Hour)
	h.mustPublish("app", left, "1.1.0", tarball, "new")
	h.setPolicy("app", denyIf("Young", `{"NumericLessThan":{"gatehouse:VersionAge":7}}`))
	copied, err := h.CopyVersions(h.ctx, packages.Copy{Source: domain.Repository("app"), Destination: domain.Repository("other"), Package: left, Versions: []string{"1.0.0", "1.1.0"}})
	if err != nil || copied.Failed["1.1.0"].Code != "NOT_ALLOWED" || copied.Failed["1.0.0"].Code != "SKIPPED" || len(copied.Successful) > 0 {
		t.Errorf("%+v, %v", copied, err)
	}
	copied, err = h.CopyVersions(h.ctx, packages.Copy{Source: domain.Repository("app"), Destination: domain.Repository("other"), Package: left, Versions: []string{"1.0.0"}})
	if err != nil || len(copied.Successful) != 1 {
		t.Errorf("%+v, %v", copied, err)
	}
}

// An archived version is decided about too: the copy could be published again.
func TestAdmission_CopyOfArchived(t *testing.T) {
	h := open(t)
	h.repositories("app", "other")
	left := npm("left")
	h.mustPublish("app", left, "1.0.0", tarball, "worm")
	h.ok(second(h.PutQuarantine(h.ctx, packages.NewEntry{Domain: domain, Repository: "app", Package: left, Version: "1.0.0"})))
	h.ok(second(h.UpdateVersionsStatus(h.ctx, domain.Repository("app"), left, packages.Selection{Versions: []string{"1.0.0"}}, packages.Archived)))
	copied, err := h.CopyVersions(h.ctx, packages.Copy{Source: domain.Repository("app"), Destination: domain.Repository("other"), Package: left, Versions: []string{"1.0.0"}})
	if err != nil || copied.Failed["1.0.0"].Code != "NOT_ALLOWED" {
		t.Errorf("%+v, %v", copied, err)
	}
}

// A snapshot has the files of its newest build. Whichever of the two is in quarantine, the
// files are not served.
func TestAdmission_MavenSnapshot(t *testing.T) {
	const one, two, snapshot = "1.1-20261129.234155-1", "1.1-20261130.080000-2", "1.1-SNAPSHOT"
	h := open(t)
	h.repositories("app")
	id, repo := maven("app"), domain.Repository("app")
	for _, build := range []string{one, two} {
		h.ok(h.put("app", id, build, "app-"+build+".pom", build))
		h.ok(h.Finish(h.ctx, repo, id, []string{build}))
	}
	get := func(version, build string) error {
		_, _, o, err := h.GetAsset(h.ctx, repo, id, version, "", "app-"+build+".pom")
		if err == nil {
			o.Close()
		}
		return err
	}
	for quarantined, denied := range map[string]string{snapshot: "one two snapshot", one: "one", two: "two snapshot", "1.2-SNAPSHOT": ""} {
		q, err := h.PutQuarantine(h.ctx, packages.NewEntry{Domain: domain, Package: id, Version: quarantined})
		h.ok(err)
		for _, c := range []struct{ name, version, build string }{{"one", one, one}, {"two", two, two}, {"snapshot", snapshot, two}} {
			if err := get(c.version, c.build); (err == nil) == strings.Contains(denied, c.name) {
				t.Errorf("%s is in quarantine; %s: %v", quarantined, c.version, err)
			}
			if _, err := h.ExportVersion(h.ctx, repo, id, c.version); (err == nil) == strings.Contains(denied, c.name) {
				t.Errorf("%s is in quarantine; export of %s: %v", quarantined, c.version, err)
			}
		}
		h.ok(second(h.ReleaseQuarantine(h.ctx, domain, "", q.ID)))
	}
}

// A version is put in quarantine while a client reads the package: the next client does not
// see it.
func TestAdmission_QuarantineWhileReading(t *testing.T) {
	h := open(t)
	h.repositories("app")
	left := npm("left")
	h.mustPublish("app", left, "1.0.0", tarball, "x")
	h.mustPublish("app", left, "1.1.0", tarball, "worm")
	h.setPolicy("app", denyIf("Malware", `{"Bool":{"gatehouse:Malware":"true"}}`))
	put := false
	h.onNow = func() {
		if !put {
			put = true
			h.ok(second(h.PutQuarantine(h.ctx, packages.NewEntry{Domain: domain, Package: left, Version: "1.1.0"})))
		}
	}
	h.versions("app", left)
	if !put {
		t.Fatal("there was no quarantine during the request")
	}
	if got := h.versions("app", left); got != "1.0.0" {
		t.Errorf("the next client sees %s", got)
	}
}

// Exceptions and quarantines, with the counters and what is told of downloads.
func TestAdmission_Entries(t *testing.T) {
	h := open(t)
	h.repositories("app", "other")
	left := npm("left")
	for _, repo := range []string{"app", "other"} {
		h.mustPublish(repo, left, "1.0.0", tarball, "x")
		h.mustPublish(repo, left, "1.1.0", tarball, "y")
		h.setPolicy(repo, denyIf("Young", `{"NumericLessThan":{"gatehouse:VersionAge":7}}`))
	}
	see := func(repo, want string) {
		t.Helper()
		if got := h.versions(repo, left); got != want {
			t.Errorf("clients of %s see %s, want %s", repo, got, want)
		}
	}
	see("app", "none")
	until := h.now().Add(time.Hour)
	entry := packages.NewEntry{Domain: domain, Repository: "app", Package: left, Version: "1.1.0", Until: until, Reason: "ticket 7"}
	exception, err := h.PutException(h.ctx, entry)
	h.ok(err)
	see("app", "1.1.0")
	see("other", "none")
	h.wantRead("app", left, "1.1.0", "y")
	quarantine, err := h.PutQuarantine(h.ctx, packages.NewEntry{Domain: domain, Package: left, Version: "1.1.0", Reason: "malware"})
	h.ok(err)
	see("app", "none")
	err = second(h.read("app", left, "1.1.0", tarball))
	if fails(t, err, "AccessDenied"); !strings.Contains(err.Error(), "it is in quarantine (malware)") {
		t.Error(err)
	}
	// Who may act on one repository may not end what holds for the whole domain.
	fails(t, second(h.ReleaseQuarantine(h.ctx, domain, "app", quarantine.ID)), "ResourceNotFound")
	fails(t, second(h.DeleteException(h.ctx, domain, "", quarantine.ID)), "ResourceNotFound")
	h.ok(second(h.ReleaseQuarantine(h.ctx, domain, "", quarantine.ID)))
	see("app", "1.1.0")
	all, err := h.AdmissionEntries(h.ctx, domain, "app")
	if h.ok(err); len(all) != 1 || all[0].ID != exception.ID || all[0].Reason != "ticket 7" || !all[0].Until.Equal(until) || all[0].CreatedBy == "" || all[0].Repository != "app" {
		t.Errorf("%+v", all)
	}
	// Another rule is not suspended, and one that does not exist cannot be.
	entry.Rules = []string{"Yuong"}
	err = second(h.PutException(h.ctx, entry))
	if fails(t, err, "Validation"); !strings.Contains(err.Error(), "There is no rule Yuong") || !strings.Contains(err.Error(), "are: Young.") {
		t.Error(err)
	}
	h.ok(second(h.SetDomainPolicy(h.ctx, domain, denyIf("Another", `{"NumericLessThan":{"gatehouse:VersionAge":1},"StringEquals":{"aws:PrincipalTag/team":"x"}}`), "")))
	entry.Rules = []string{"Another"}
	h.ok(second(h.PutException(h.ctx, entry)))
	see("app", "none")
	entry.Rules, entry.Version = []string{"Young"}, ""
	h.ok(second(h.PutException(h.ctx, entry)))
	see("app", "1.0.0 1.1.0")
	h.pass(time.Hour)
	see("app", "none")
	if all, err = h.AdmissionEntries(h.ctx, domain, ""); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
	if n := h.Admissions(); n != (packages.AdmissionCounts{Denied: 1, Excepted: 1}) {
		t.Errorf("%+v", n)
	}

	// An entry survives a restart, and goes with its domain.
	h.ok(second(h.PutQuarantine(h.ctx, packages.NewEntry{Domain: domain, Package: left})))
	h.pass(30 * 24 * time.Hour)
	next := reopen(t, h.dir, h.clock)
	if got := next.versions("other", left); got != "none" {
		t.Errorf("after a restart clients see %s", got)
	}

	for name, bad := range map[string]packages.NewEntry{
		"no end":       {Domain: domain, Package: left},
		"passed":       {Domain: domain, Package: left, Until: h.now()},
		"too far":      {Domain: domain, Package: left, Until: h.now().Add(400 * 24 * time.Hour)},
		"no package":   {Domain: domain, Until: until.Add(1e6 * time.Hour)},
		"bad version":  {Domain: domain, Package: left, Version: "a b", Until: h.now().Add(time.Hour)},
		"empty rule":   {Domain: domain, Package: left, Rules: []string{""}, Until: h.now().Add(time.Hour)},
		"NUL":          {Domain: domain, Package: left, Reason: "\x00", Until: h.now().Add(time.Hour)},
		"long reasons": {Domain: domain, Package: left, Reason: strings.Repeat("x", 1001), Until: h.now().Add(time.Hour)},
	} {
		if _, err := h.PutException(h.ctx, bad); !fault.Is(err, "Validation") {
			t.Errorf("%s: %v", name, err)
		}
	}
	fails(t, second(h.PutQuarantine(h.ctx, packages.NewEntry{Domain: domain, Package: left, Rules: []string{"Young"}})), "Validation")
}

// A rule that only reports denies nothing; a download is told.
func TestAdmission_ReportOnly(t *testing.T) {
	h := open(t)
	h.repositories("app")
	left := npm("left")
	h.mustPublish("app", left, "1.0.0", tarball, "x")
	h.setPolicy("app", denyIf("Try", `{"NumericLessThan":{"gatehouse:VersionAge":7},"Bool":{"gatehouse:ReportOnly":"true"}}`))
	h.wantRead("app", left, "1.0.0", "x")
	if n := h.Admissions(); n != (packages.AdmissionCounts{Reported: 1}) {
		t.Errorf("%+v", n)
	}
	verdicts, err := h.ExplainAdmission(h.ctx, domain.Repository("app"), left, "")
	if err != nil || len(verdicts) != 1 || verdicts[0].Outcome != packages.Reported || !strings.Contains(verdicts[0].Reason, "the rule Try of the resource-based policy") {
		t.Errorf("%+v, %v", verdicts, err)
	}
}

// Reads tell which versions they leave out.
func TestAdmission_HiddenNotice(t *testing.T) {
	h := open(t)
	h.repositories("app")
	left := npm("left")
	h.mustPublish("app", left, "1.0.0", tarball, "x")
	h.pass(10 * 24 * time.Hour)
	h.mustPublish("app", left, "1.1.0", tarball, "y")
	h.setPolicy("app", denyIf("Young", `{"NumericLessThan":{"gatehouse:VersionAge":7}}`))
	var told []string
	ctx := packages.WithHiddenNotice(h.ctx, func(n packages.HiddenNotice) {
		for _, v := range n.Versions {
			told = append(told, v.String())
		}
	})
	p, err := h.Package(ctx, domain.Repository("app"), left)
	h.ok(err)
	if len(told) != 1 || !strings.HasPrefix(told[0], "version 1.1.0, because the rule Young") || len(p.Hidden) != 1 {
		t.Errorf("%q, %+v", told, p.Hidden)
	}
	err = second(h.Package(as(t, account, "eve"), domain.Repository("app"), left))
	fails(t, err, "AccessDenied") // and nothing about rules
	if strings.Contains(err.Error(), "Young") {
		t.Error(err)
	}
}

// The revision of an index changes when a version comes of age.
func TestAdmission_IndexRevision(t *testing.T) {
	h := open(t)
	h.repositories("app")
	h.mustPublish("app", npm("left"), "1.0.0", tarball, "x")
	revision := func(ctx context.Context) string {
		t.Helper()
		text, err := h.IndexRevision(ctx, domain.Repository("app"), packages.NPM)
		h.ok(err)
		return text
	}
	before := revision(h.ctx)
	h.pass(time.Hour)
	if revision(h.ctx) != before {
		t.Error("without a rule, time changes the revision")
	}
	h.setPolicy("app", denyIf("Young", `{"NumericLessThan":{"gatehouse:VersionAge":7}}`))
	before = revision(h.ctx)
	bound := as(t, account, "alice", allowAll, `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"arn:aws:codeartifact:*:*:package/acme/app/npm//left","Condition":{"Bool":{"gatehouse:ReportOnly":"false"}}}}`)
	if revision(bound) == before {
		t.Error("callers with other rules share an index")
	}
	h.pass(time.Hour)
	if revision(h.ctx) == before {
		t.Error("the revision does not change with time")
	}
}

// visibleTo are the versions that a caller sees, and those that the caller can download.
func (h *fixture) visibleTo(ctx context.Context, repo string, id packages.PackageID, versions []string) (seen, read []string, err error) {
	p, err := h.Package(ctx, domain.Repository(repo), id)
	switch {
	case fault.Is(err, "ResourceNotFound"):
	case err != nil:
		return nil, nil, err
	default:
		for _, v := range p.Versions {
			seen = append(seen, v.Version)
		}
	}
	for _, version := range versions {
		_, o, err := h.OpenAsset(ctx, domain.Repository(repo), id, version, tarball)
		if err == nil {
			o.Close()
			read = append(read, version)
		} else if !fault.Is(err, "AccessDenied") {
			return nil, nil, fmt.Errorf("version %s: %w", version, err)
		}
	}
	slices.Sort(seen)
	slices.Sort(read)
	return seen, read, nil
}

// A malicious file is added to an old version: clients see the version without it.
func TestAdmission_FileAddedLater(t *testing.T) {
	h := open(t)
	h.repositories("app", "other")
	lib := packages.PackageID{Format: packages.PyPI, Name: "lib"}
	h.mustPublish("app", lib, "1.0", "lib-1.0.tar.gz", "good")
	h.pass(30 * 24 * time.Hour)
	h.mustPublish("app", lib, "1.0", "lib-1.0-py3-none-any.whl", "worm")
	h.setPolicy("app", denyIf("Young", `{"NumericLessThan":{"gatehouse:VersionAge":7}}`))
	files := func() (names []string) {
		t.Helper()
		p, err := h.Package(h.ctx, domain.Repository("app"), lib)
		h.ok(err)
		for _, a := range p.Version("1.0").Assets {
			names = append(names, a.Name)
		}
		return names
	}
	before, err := h.Package(h.ctx, domain.Repository("app"), lib)
	h.ok(err)
	if got := files(); !slices.Equal(got, []string{"lib-1.0.tar.gz"}) || len(before.Hidden) != 1 || !strings.HasPrefix(before.Hidden[0].String(), "version 1.0 (lib-1.0-py3-none-any.whl), because the rule Young") {
		t.Errorf("%v, hidden are %v", got, before.Hidden)
	}
	if got, err := h.read("app", lib, "1.0", "lib-1.0.tar.gz"); err != nil || got != "good" {
		t.Errorf("%q, %v", got, err)
	}
	fails(t, second(h.read("app", lib, "1.0", "lib-1.0-py3-none-any.whl")), "AccessDenied")
	copied, err := h.CopyVersions(h.ctx, packages.Copy{Source: domain.Repository("app"), Destination: domain.Repository("other"), Package: lib, Versions: []string{"1.0"}})
	if err != nil || copied.Failed["1.0"].Code != "NOT_ALLOWED" {
		t.Errorf("%+v, %v", copied, err)
	}
	h.pass(8 * 24 * time.Hour)
	after, err := h.Package(h.ctx, domain.Repository("app"), lib)
	h.ok(err)
	if got := files(); len(got) != 2 || after.Revision == before.Revision {
		t.Errorf("after a week: %v", got)
	}
}

// A HEAD is decided once, whether the file is kept or not.
func TestAdmission_StatCountsOnce(t *testing.T) {
	h := open(t)
	h.repositories("app")
	left := npm("left")
	h.mustPublish("app", left, "1.0.0", tarball, "x")
	h.setPolicy("app", denyIf("Try", `{"NumericLessThan":{"gatehouse:VersionAge":7},"Bool":{"gatehouse:ReportOnly":"true"}}`))
	_, o, err := h.StatAsset(h.ctx, domain.Repository("app"), left, "1.0.0", tarball)
	h.ok(err)
	defer o.Close()
	if n := h.Admissions(); n != (packages.AdmissionCounts{Reported: 1}) {
		t.Errorf("%+v", n)
	}
}
