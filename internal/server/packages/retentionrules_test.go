package packages_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages/retentionrule"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

const day = 24 * time.Hour

var app = domain.Repository("app")

// openNow returns a fixture whose clock is the machine's, as retention rules need it: what
// is older than the database is not judged.
func openNow(t testing.TB) *fixture {
	h := open(t)
	h.clock.Store(time.Now().Unix())
	return h
}

// days lets days pass, with the background work of each.
func (h *fixture) days(n int) {
	h.t.Helper()
	for range n {
		h.pass(day)
		h.runWork()
	}
}

func (h *fixture) rules(document string, lists ...string) {
	h.t.Helper()
	c := packages.RetentionChange{Document: document, SetLists: map[string]string{}}
	for _, list := range lists {
		name, text, _ := strings.Cut(list, ": ")
		c.SetLists[name] = text
	}
	h.ok(second(h.PutRetentionRules(h.ctx, app, c)))
}

// preview writes what the rules decide, ordered by package and version.
func (h *fixture) preview() string {
	h.t.Helper()
	var out []string
	var from packages.PreviewCursor
	for {
		page, err := h.PreviewRetention(h.ctx, app, "", from, 3)
		h.ok(err)
		for _, v := range page.Verdicts {
			s := v.Package.Name + " " + v.Version + " " + v.Rule
			if v.Protection.Kind != retentionrule.NotProtected {
				s = strings.TrimSpace(s + " " + string(v.Protection.Kind) + " " + v.Protection.By)
			}
			out = append(out, s)
		}
		if page.Next == nil {
			slices.Sort(out)
			return strings.Join(out, ", ")
		}
		from = *page.Next
	}
}

// apply runs the rules, and returns the run.
func (h *fixture) apply() packages.RetentionRun {
	h.t.Helper()
	run, err := h.RunRetention(h.ctx, app, 0)
	h.ok(err)
	h.runWork()
	run, err = h.GetRetentionRun(h.ctx, app, run.ID)
	h.ok(err)
	return run
}

func (h *fixture) undo(run packages.RetentionRun) packages.RetentionRun {
	h.t.Helper()
	h.ok(second(h.UndoRetention(h.ctx, app, run.ID)))
	h.runWork()
	run, err := h.GetRetentionRun(h.ctx, app, run.ID)
	h.ok(err)
	return run
}

// all describes everything that is stored about the versions of a package.
func (h *fixture) all(id packages.PackageID) []packages.Version {
	h.t.Helper()
	list, err := h.ListVersions(h.ctx, app, id)
	h.ok(err)
	var out []packages.Version
	for _, v := range list.All {
		out = append(out, *v)
	}
	return out
}

func TestRetention(t *testing.T) {
	h := openNow(t)
	h.repositories("app")
	lib, other := npm("lib"), packages.PackageID{Format: packages.PyPI, Name: "other"}
	for i := range 5 {
		h.mustPublish("app", lib, fmt.Sprintf("1.%d.0", i), "lib.tgz", fmt.Sprint("lib ", i))
	}
	h.mustPublish("app", other, "1.0", "other.whl", "other")
	h.mustPublish("app", other, "2.0", "other.whl", "lib 1") // content that both have
	h.ok(h.SetTags(h.ctx, app, lib, map[string]string{"latest": "1.4.0", "lts": "1.0.0"}, nil))
	h.ok(second(h.UpdateVersionsStatus(h.ctx, app, lib, packages.Selection{Versions: []string{"1.1.0"}}, packages.Unlisted)))
	h.download("app", lib, "1.1.0", "lib.tgz")
	h.rules("rules: [{name: two, keep_newest: 2}]", "frontend: npm/lib@1.2.0")
	before, objects := h.all(lib), h.objects()

	if got, want := h.preview(), "lib 1.0.0 two recent, lib 1.1.0 two recent, lib 1.2.0 two recent"; got != want {
		t.Errorf("at once: %s", got)
	}
	h.pass(2 * time.Hour)
	if got, want := h.preview(), "lib 1.0.0 two tag lts, lib 1.1.0 two, lib 1.2.0 two lock frontend"; got != want {
		t.Errorf("preview: %s", got)
	}
	if !reflect.DeepEqual(h.all(lib), before) {
		t.Errorf("the preview changed %+v", h.all(lib))
	}

	run := h.apply()
	if run.State != packages.RunDone || run.Removed != 1 || run.Versions != 7 || run.UndoUntil.Sub(h.now()) != 7*day || !strings.HasSuffix(run.StartedBy, "user/admin") {
		t.Errorf("run: %+v", run)
	}
	if got := h.versions("app", lib); got != "1.0.0 1.2.0 1.3.0 1.4.0" {
		t.Errorf("after the run: %s", got)
	}
	_, err := h.read("app", lib, "1.1.0", "lib.tgz")
	fails(t, err, "ResourceNotFound")
	_, _, err = h.DescribeVersion(h.ctx, app, lib, "1.1.0")
	fails(t, err, "ResourceNotFound")
	if list := h.all(lib); len(list) != 4 {
		t.Errorf("the API lists %d versions", len(list))
	}
	_, err = h.publish("app", lib, "1.1.0", "lib.tgz", "other bytes")
	fails(t, err, "Conflict")
	if !strings.Contains(err.Error(), "retention rule two") || !strings.Contains(err.Error(), run.ID) {
		t.Errorf("%v", err)
	}
	if h.objects() != objects {
		t.Errorf("%d objects, %d before", h.objects(), objects)
	}

	h.days(5)
	if run = h.undo(run); run.State != packages.RunUndone || run.Restored != 1 {
		t.Errorf("undo: %+v", run)
	}
	if after := h.all(lib); !reflect.DeepEqual(after, before) {
		t.Errorf("restored: %+v\nbefore: %+v", after, before)
	}
	if s := h.statistics("app", lib, "1.1.0"); s.Downloads != 1 || s.LastDownload.IsZero() {
		t.Errorf("statistics: %+v", s)
	}
	if got, err := h.read("app", lib, "1.1.0", "lib.tgz"); got != "lib 1" {
		t.Error(got, err)
	}
	want := []string{"RemovedVersions package/acme/app/npm//lib [map[reason:not among the newest 2 rule:two version:1.1.0]]", "RestoredVersions package/acme/app/npm//lib [1.1.0]"}
	if !slices.Contains(h.audited.all, want[0]) || !slices.Contains(h.audited.all, want[1]) {
		t.Errorf("audit records: %q", h.audited.all)
	}
	h.undo(run) // again changes nothing
}

// After the undo window, versions and their bytes are deleted.
func TestRetention_Expires(t *testing.T) {
	h := openNow(t)
	h.repositories("app")
	for i := range 3 {
		h.mustPublish("app", npm("lib"), fmt.Sprintf("1.%d.0", i), "lib.tgz", fmt.Sprint("lib ", i))
	}
	h.mustPublish("app", npm("twin"), "1.0.0", "twin.tgz", "lib 0")
	h.pass(2 * time.Hour)
	h.rules("{undo_window: 2d, rules: [{name: one, keep_newest: 1, package: lib}]}")
	run := h.apply()
	if run.Removed != 2 {
		t.Fatalf("%+v", run)
	}
	h.days(1)
	if n := h.objects(); n != 3 {
		t.Errorf("%d objects within the window", n)
	}
	h.days(2)
	h.pass(time.Hour)
	h.runWork() // what the deletion left to do
	if n := h.objects(); n != 2 {
		t.Errorf("%d objects after the window, want that of the version and the one of the twin", n)
	}
	_, err := h.UndoRetention(h.ctx, app, run.ID)
	fails(t, err, "Conflict")
	if got, err := h.read("app", npm("twin"), "1.0.0", "twin.tgz"); got != "lib 0" {
		t.Error(got, err)
	}
	if _, err := h.publish("app", npm("lib"), "1.0.0", "lib.tgz", "new bytes"); err != nil {
		t.Error(err)
	}
}

func TestRetention_Scheduled(t *testing.T) {
	h := openNow(t)
	h.repositories("app")
	h.mustPublish("app", npm("lib"), "1.0.0", "lib.tgz", "one")
	h.mustPublish("app", npm("lib"), "2.0.0", "lib.tgz", "two")
	h.rules("rules: [{name: one, keep_newest: 1}]")
	h.pass(2 * time.Hour)
	h.runWork()
	if got := h.versions("app", npm("lib")); got != "1.0.0 2.0.0" {
		t.Errorf("before the first scheduled run: %s", got)
	}
	h.days(2)
	if got := h.versions("app", npm("lib")); got != "2.0.0" {
		t.Errorf("after it: %s", got)
	}
	runs, more, err := h.ListRetentionRuns(h.ctx, app, packages.RetentionRun{}, 1)
	h.ok(err)
	if len(runs) != 1 || !more || runs[0].StartedBy != "" {
		t.Errorf("%+v, more: %v", runs, more)
	}
	earlier, _, err := h.ListRetentionRuns(h.ctx, app, runs[0], 10)
	h.ok(err)
	if len(earlier) == 0 || earlier[0].ID == runs[0].ID || earlier[len(earlier)-1].Removed != 1 {
		t.Errorf("%+v", earlier)
	}
}

// A wrong clock removes nothing, and neither do rules that would remove too much.
func TestRetention_Implausible(t *testing.T) {
	h := openNow(t)
	h.repositories("app")
	for i := range 30 {
		h.mustPublish("app", npm("lib"), fmt.Sprintf("1.%d.0", i), "lib.tgz", fmt.Sprint("lib ", i))
	}
	h.rules("rules: [{name: old, older_than: 365d}]")
	h.days(1)
	stopped := func(what, why string) {
		t.Helper()
		if run := h.apply(); run.State != packages.RunStopped || run.Removed != 0 || !strings.Contains(run.Message, why) {
			t.Errorf("%s: %+v", what, run)
		}
		if n := len(h.all(npm("lib"))); n != 30 {
			t.Fatalf("%s: %d versions are left", what, n)
		}
	}
	h.pass(10 * 365 * day)
	stopped("far in the future", "the clock was set")
	h.days(2) // with that clock
	stopped("still there", "more than the share")
	h.pass(-10 * 365 * day)
	stopped("set back", "the clock was set")
	h.pass(-400 * day)
	stopped("set back further", "the clock was set")
	// What is published now seems to be old when the clock is right again.
	h.mustPublish("app", npm("lib"), "2.0.0", "lib.tgz", "new")
	h.mustPublish("app", npm("lib"), "2.1.0", "lib.tgz", "newer")
	h.pass(400 * day)
	h.days(2)
	if got := h.preview(); got != "" {
		t.Errorf("preview: %s", got)
	}
	h.ok(h.DeleteVersions(h.ctx, app, npm("lib"), []string{"2.0.0", "2.1.0"}))

	h.rules("rules: [{name: one, keep_newest: 1}]")
	stopped("too many", "29 of 30 versions")
	run, err := h.RunRetention(h.ctx, app, 1)
	h.ok(err)
	h.runWork()
	if run, err = h.GetRetentionRun(h.ctx, app, run.ID); err != nil || run.Removed != 29 {
		t.Errorf("with the share 1: %+v, %v", run, err)
	}
}

// A version whose download another server has not stored yet comes back.
func TestServers_RetentionSeesDownloads(t *testing.T) {
	all, _ := newServers(t, 2)
	a, b := all[0], all[1]
	a.clock.Store(time.Now().Unix())
	a.repositories("app")
	a.mustPublish("app", npm("lib"), "1.0.0", "lib.tgz", "one")
	a.mustPublish("app", npm("lib"), "2.0.0", "lib.tgz", "two")
	for range 3 {
		a.pass(day)
		a.runWork()
	}
	a.rules("rules: [{name: unused, not_downloaded_for: 2d, version: 1*}]")
	b.download("app", npm("lib"), "1.0.0", "lib.tgz")
	if run := a.apply(); run.Removed != 1 {
		t.Fatalf("%+v", run)
	}
	_, err := b.read("app", npm("lib"), "1.0.0", "lib.tgz")
	fails(t, err, "ResourceNotFound")
	b.ok(b.Maintain(t.Context()))
	if got, err := a.read("app", npm("lib"), "1.0.0", "lib.tgz"); got != "one" {
		t.Error(got, err)
	}
	if s := a.statistics("app", npm("lib"), "1.0.0"); s.Downloads != 1 {
		t.Errorf("%+v", s)
	}
	if run := a.apply(); run.Removed != 0 {
		t.Errorf("it is in use: %+v", run)
	}
}

// A copy comes into its repository when it is made, whenever it was published.
func TestRetention_CopiesAreNew(t *testing.T) {
	h := openNow(t)
	h.repositories("dev", "app: dev")
	h.mustPublish("dev", npm("lib"), "1.0.0", "lib.tgz", "one")
	h.mustPublish("dev", npm("lib"), "2.0.0", "lib.tgz", "two")
	h.mustPublish("dev", npm("kept"), "1.0.0", "kept.tgz", "one")
	h.mustPublish("dev", npm("kept"), "2.0.0", "kept.tgz", "two")
	h.days(10)
	h.rules("rules: [{name: old, older_than: 5d}]")
	for _, v := range []string{"1.0.0", "2.0.0"} {
		h.ok(second(h.CopyVersions(h.ctx, packages.Copy{Source: domain.Repository("dev"), Destination: app, Package: npm("lib"), Versions: []string{v}})))
		h.ok(second(h.read("app", npm("kept"), v, "kept.tgz")))
	}
	h.days(3)
	if got := h.preview(); got != "" {
		t.Errorf("after 3 days: %s", got)
	}
	if got := h.versions("app", npm("lib")); got != "1.0.0 2.0.0" {
		t.Errorf("after 3 days: %s", got)
	}
	h.days(3)
	if got := h.preview(); got != "kept 2.0.0 old tag latest, lib 2.0.0 old tag latest" {
		t.Errorf("after 6 days: %s", got)
	}
	if got := h.versions("app", npm("lib")); got != "2.0.0" { // the scheduled run
		t.Errorf("after 6 days: %s", got)
	}
}

// Repositories and packages with removed versions can be deleted, with all bytes.
func TestRetention_DeletedPackage(t *testing.T) {
	h := openNow(t)
	h.repositories("app")
	for _, name := range []string{"a", "b"} {
		for i := range 3 {
			h.mustPublish("app", npm(name), fmt.Sprintf("1.%d.0", i), "x.tgz", fmt.Sprint(name, i))
		}
	}
	h.pass(2 * time.Hour)
	h.rules("rules: [{name: one, keep_newest: 1}]")
	run := h.apply()
	if run.Removed != 4 {
		t.Fatalf("%+v", run)
	}
	h.ok(second(h.DeletePackage(h.ctx, app, npm("a"))))
	if run = h.undo(run); run.State != packages.RunUndone || run.Restored != 2 {
		t.Errorf("%+v", run)
	}
	h.apply()
	h.ok(second(h.DeleteRepository(h.ctx, app)))
	h.pass(time.Hour)
	h.runWork()
	if n := h.objects(); n != 0 {
		t.Errorf("%d objects are left", n)
	}
	rows, err := db.One(t.Context(), h.db, db.Scalar[int64], `SELECT (SELECT count(*) FROM pkg_aside) + (SELECT count(*) FROM pkg_aside_asset) + (SELECT count(*) FROM pkg_retention) + (SELECT count(*) FROM pkg_retention_run) + (SELECT count(*) FROM pkg_content)`)
	if h.ok(err); rows != 0 {
		t.Errorf("%d rows are left", rows)
	}
}

// A version that an upstream repository has again stays as it is.
func TestUndoRetention_ExistsAgain(t *testing.T) {
	h := openNow(t)
	h.repositories("dev", "app: dev")
	for _, v := range []string{"1.0.0", "2.0.0", "3.0.0"} {
		h.mustPublish("dev", npm("lib"), v, "lib.tgz", v)
		h.ok(second(h.read("app", npm("lib"), v, "lib.tgz")))
	}
	h.pass(2 * time.Hour)
	h.rules("rules: [{name: one, keep_newest: 1}]")
	run := h.apply()
	h.ok(second(h.read("app", npm("lib"), "1.0.0", "lib.tgz"))) // from upstream
	again := h.all(npm("lib"))[0]
	if run = h.undo(run); run.Removed != 2 || run.Restored != 1 || run.Message == "" {
		t.Errorf("%+v", run)
	}
	if v := h.all(npm("lib"))[0]; !reflect.DeepEqual(v, again) {
		t.Errorf("%+v, before %+v", v, again)
	}
}

// Whoever changes the rules has a day to look at the preview. New lock lists, which come with
// every build, do not put a run off.
func TestRetention_ScheduleAfterChange(t *testing.T) {
	h := openNow(t)
	h.repositories("app")
	for i := range 3 {
		h.mustPublish("app", npm("lib"), fmt.Sprintf("1.%d.0", i), "lib.tgz", fmt.Sprint(i))
	}
	hours := func(n int) {
		t.Helper()
		for range n {
			h.pass(time.Hour)
			h.runWork()
		}
	}
	h.rules("rules: [{name: none, keep_newest: 100}]")
	hours(23)
	h.rules("rules: [{name: one, keep_newest: 1}]")
	hours(12)
	h.rules("rules: [{name: one, keep_newest: 1}]", "ci: npm/lib@1.0.0")
	hours(11)
	if got := h.versions("app", npm("lib")); got != "1.0.0 1.1.0 1.2.0" {
		t.Errorf("within a day after the change of the rules: %s", got)
	}
	hours(2)
	if got := h.versions("app", npm("lib")); got != "1.0.0 1.2.0" {
		t.Errorf("after a day: %s", got)
	}
}

// A package that changes between the evaluation and the removal is evaluated again.
func TestRetention_ChangedRules(t *testing.T) {
	h := openNow(t)
	h.repositories("app")
	h.rules("rules: [{name: one, keep_newest: 1}]", "a: npm/lib@1.0.0")
	rules, err := h.GetRetentionRules(h.ctx, app)
	h.ok(err)
	first := rules.Revision
	if rules.LockLists["a"] != "npm/lib@1.0.0" || !strings.HasSuffix(rules.ChangedBy, "user/admin") {
		t.Errorf("%+v", rules)
	}
	h.rules("", "b: npm/lib@2.0.0")
	if rules, err = h.GetRetentionRules(h.ctx, app); err != nil || len(rules.LockLists) != 2 || rules.Document == "" || rules.Revision == first {
		t.Errorf("%+v %v", rules, err)
	}
	h.ok(second(h.PutRetentionRules(h.ctx, app, packages.RetentionChange{DropLists: []string{"a"}})))
	if rules, err = h.GetRetentionRules(h.ctx, app); err != nil || len(rules.LockLists) != 1 {
		t.Errorf("%+v %v", rules, err)
	}
	for name, c := range map[string]packages.RetentionChange{
		"syntax":       {Document: "rules: ["},
		"format":       {Document: "rules: [{name: a, formats: [rpm], keep_newest: 1}]"},
		"protect":      {Document: "{protect: [lib], rules: [{name: a, keep_newest: 1}]}"},
		"list":         {SetLists: map[string]string{"c": "npm/lib"}},
		"list format":  {SetLists: map[string]string{"c": "rpm/lib@1"}},
		"name of list": {SetLists: map[string]string{"a b": ""}},
		"protect list": {SetLists: map[string]string{"protect": ""}},
		"lost list":    {DropLists: []string{"c"}},
	} {
		if _, err := h.PutRetentionRules(h.ctx, app, c); err == nil {
			t.Errorf("%s: accepted", name)
		} else {
			fails(t, err, "Validation")
		}
	}
	h.ok(h.DeleteRetentionRules(h.ctx, app))
	fails(t, h.DeleteRetentionRules(h.ctx, app), "ResourceNotFound")
	_, err = h.GetRetentionRules(h.ctx, app)
	fails(t, err, "ResourceNotFound")
	_, err = h.RunRetention(h.ctx, app, 0)
	fails(t, err, "ResourceNotFound")
	_, err = h.PutRetentionRules(h.ctx, app, packages.RetentionChange{SetLists: map[string]string{"c": ""}})
	fails(t, err, "ResourceNotFound")
	if _, err := h.PreviewRetention(h.ctx, app, "rules: [{name: one, keep_newest: 1}]", packages.PreviewCursor{}, 10); err != nil {
		t.Errorf("preview of a document: %v", err)
	}
	_, err = h.UndoRetention(h.ctx, app, "gone")
	fails(t, err, "ResourceNotFound")
}

// While clients publish, download and move tags, runs never take what they protect.
func TestRetention_Concurrent(t *testing.T) {
	h := openNow(t)
	h.repositories("app")
	for i := range 40 {
		h.mustPublish("app", npm("lib"), fmt.Sprintf("1.%d.0", i), "lib.tgz", fmt.Sprint("lib ", i))
	}
	h.pass(2 * time.Hour)
	h.rules("{max_share: 1, rules: [{name: five, keep_newest: 5}]}")
	done := make(chan error, 1)
	go func() {
		for i := range 10 {
			tag := map[string]string{"stable": fmt.Sprintf("1.%d.0", 30-i)}
			if err := h.SetTags(h.ctx, app, npm("lib"), tag, nil); err != nil {
				// It was removed before it got the tag.
				if got := h.versions("app", npm("lib")); strings.Contains(" "+got+" ", " "+tag["stable"]+" ") {
					done <- fmt.Errorf("%v: %w", tag, err)
					return
				}
				continue
			}
			if p, err := h.Package(h.ctx, app, npm("lib")); err != nil || p.Tags["stable"] != tag["stable"] {
				done <- fmt.Errorf("%v was lost: %w", tag, err)
				return
			}
		}
		done <- nil
	}()
	run := h.apply()
	h.ok(<-done)
	if run.State != packages.RunDone {
		t.Errorf("%+v", run)
	}
	p, err := h.Package(h.ctx, app, npm("lib"))
	h.ok(err)
	if len(p.Versions) < 5 || p.Tags["latest"] != "1.39.0" {
		t.Errorf("%s; tags %v", h.versions("app", npm("lib")), p.Tags)
	}
	if run = h.undo(run); run.Removed != run.Restored || len(h.all(npm("lib"))) != 40 {
		t.Errorf("%+v, %d versions", run, len(h.all(npm("lib"))))
	}
}

func TestRetention_Authorization(t *testing.T) {
	h := openNow(t)
	h.repositories("app")
	h.rules("rules: [{name: one, keep_newest: 1}]")
	user := as(t, account, "user", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"codeartifact:*","Resource":"*"}}`)
	for name, call := range map[string]func() error{
		"put":     func() error { return second(h.PutRetentionRules(user, app, packages.RetentionChange{Document: "x"})) },
		"get":     func() error { return second(h.GetRetentionRules(user, app)) },
		"delete":  func() error { return h.DeleteRetentionRules(user, app) },
		"preview": func() error { return second(h.PreviewRetention(user, app, "", packages.PreviewCursor{}, 10)) },
		"run":     func() error { return second(h.RunRetention(user, app, 0)) },
		"list":    func() error { _, _, err := h.ListRetentionRuns(user, app, packages.RetentionRun{}, 10); return err },
		"get run": func() error { return second(h.GetRetentionRun(user, app, "gone")) },
		"undo":    func() error { return second(h.UndoRetention(user, app, "gone")) },
	} {
		t.Run(name, func(t *testing.T) { fails(t, call(), "AccessDenied") })
	}
}

// A version from an external registry comes into its repository when a client first asks
// for it, however long ago it was published.
func TestRetention_IngestedAreNew(t *testing.T) {
	r := newRegistry(t)
	r.add("lib", "1.0.0", "one")
	r.add("lib", "2.0.0", "two")
	h := remotely(t, r, source.Settings{})
	h.clock.Store(time.Now().Unix())
	store := domain.Repository("npm-store")
	h.ok(second(h.PutRetentionRules(h.ctx, store, packages.RetentionChange{Document: "rules: [{name: old, older_than: 5d}]"})))
	selected := func() (out []string) {
		t.Helper()
		page, err := h.PreviewRetention(h.ctx, store, "", packages.PreviewCursor{}, 10)
		h.ok(err)
		for _, v := range page.Verdicts {
			out = append(out, v.Version)
		}
		return out
	}
	h.pass(30 * day)
	h.wantRead("npm-store", npm("lib"), "1.0.0", "one")
	h.wantRead("npm-store", npm("lib"), "2.0.0", "two")
	h.pass(3 * day)
	if got := selected(); got != nil {
		t.Errorf("three days after it was fetched, a rule selects %q", got)
	}
	h.pass(3 * day)
	if got := selected(); len(got) != 2 {
		t.Errorf("after six days, a rule selects %q", got)
	}
}
