package packages_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

// export returns a version as another installation gets it.
func (h *fixture) export(repo string, id packages.PackageID, version string) (*packages.VersionRecord, map[string]string) {
	h.t.Helper()
	r, err := h.ExportVersion(h.ctx, domain.Repository(repo), id, version)
	h.ok(err)
	text, err := json.Marshal(r) // as it travels
	h.ok(err)
	r = new(packages.VersionRecord)
	h.ok(json.Unmarshal(text, r))
	files := map[string]string{}
	for _, f := range r.Files {
		o, err := h.OpenExported(h.ctx, domain.Repository(repo), id, version, f.Name)
		h.ok(err)
		b, err := io.ReadAll(o)
		h.ok(errors.Join(err, o.Close()))
		files[f.Name] = string(b)
	}
	return r, files
}

// importing is an import of a record with the bytes of files.
func importing(repo string, r *packages.VersionRecord, files map[string]string) packages.Import {
	names := make([]string, 0, len(files))
	for _, f := range r.Files {
		if _, ok := files[f.Name]; ok {
			names = append(names, f.Name)
		}
	}
	return packages.Import{
		Repository: domain.Repository(repo), Package: r.ID(), Version: r.Version,
		Read: func() (*packages.VersionRecord, error) { return r, nil },
		Next: func() (string, io.Reader, error) {
			if len(names) == 0 {
				return "", nil, io.EOF
			}
			name := names[0]
			names = names[1:]
			return name, strings.NewReader(files[name]), nil
		},
	}
}

func (h *fixture) imports(repo string, r *packages.VersionRecord, files map[string]string) error {
	return second(h.ImportVersion(h.ctx, importing(repo, r, files)))
}

// describe is what a repository has of a version.
func (h *fixture) describe(repo string, id packages.PackageID, version string) string {
	h.t.Helper()
	v, d, err := h.DescribeVersion(h.ctx, domain.Repository(repo), id, version)
	if err != nil {
		return "none"
	}
	p, err := h.DescribePackage(h.ctx, domain.Repository(repo), id)
	h.ok(err)
	return fmt.Sprintf("%s %s %s %s; publish %s, upstream %s; %s", v.Status, v.EntryPoint, v.Published.Format("2006-01-02"), d.Summary, p.Origin.Publish, p.Origin.Upstream, v.Metadata)
}

// What is in quarantine does not travel to an installation that does not know of it.
func TestExportVersion_Quarantine(t *testing.T) {
	h := open(t)
	h.repositories("from", "other")
	id, repo := npm("lib"), domain.Repository("from")
	h.mustPublish("from", id, "1.0.0", "a", "worm")
	h.mustPublish("from", id, "1.1.0", "a", "fine")
	h.ok(second(h.PutQuarantine(h.ctx, packages.NewEntry{Domain: domain, Package: id, Version: "1.0.0", Reason: "steals tokens"})))
	h.ok(second(h.PutQuarantine(h.ctx, packages.NewEntry{Domain: domain, Repository: "other", Package: id, Version: "1.1.0"})))
	fails(t, second(h.ExportVersion(h.ctx, repo, id, "1.0.0")), "Conflict")
	fails(t, second(h.OpenExported(h.ctx, repo, id, "1.0.0", "a")), "Conflict")
	h.export("from", id, "1.1.0")
}

// A published version keeps everything on its way, and is one of the repository then.
func TestImportVersion_Published(t *testing.T) {
	h := open(t)
	h.repositories("from", "to")
	id := npm("lib")
	h.ok(second(h.publishAs(h.ctx, packages.Publication{
		Repository: domain.Repository("from"), Package: id, Version: "1.0.0", Metadata: json.RawMessage(`{"m":1}`), Attributes: json.RawMessage(`{"r":1}`),
		Description: &packages.Description{Summary: "it is"}, Search: "lib", Tags: []string{"latest", "stable"},
	}, "a", "one")))
	h.ok(second(h.UpdateVersionsStatus(h.ctx, domain.Repository("from"), id, packages.Selection{Versions: []string{"1.0.0"}}, packages.Published)))
	record, files := h.export("from", id, "1.0.0")
	h.pass(48 * time.Hour)
	h.ok(h.imports("to", record, files))
	if got := h.describe("to", id, "1.0.0"); got != `Published to 2026-01-02 it is; publish ALLOW, upstream BLOCK; {"m":1}` {
		t.Error(got)
	}
	p, err := h.Package(h.ctx, domain.Repository("to"), id)
	h.ok(err)
	if p.Tags["stable"] != "1.0.0" || string(p.Attributes) != `{"r":1}` || p.Versions[0].Revision != record.Revision {
		t.Errorf("%+v", p)
	}
	if s, err := h.read("to", id, "1.0.0", "a"); s != "one" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	objects := h.objects()
	h.ok(h.imports("to", record, files)) // again
	h.ok(h.imports("to", record, nil))
	if h.objects() != objects {
		t.Error("an import that changes nothing left objects")
	}
}

// A version from outside is one here, too, and its package cannot be published to.
func TestImportVersion_External(t *testing.T) {
	r := newRegistry(t)
	r.add("left", "1.0.0", "content")
	h := remotely(t, r, source.Settings{}, "to")
	id := npm("left")
	h.ok(second(h.read("npm-store", id, "1.0.0", tarball)))
	record, files := h.export("npm-store", id, "1.0.0")
	h.ok(h.imports("to", record, files))
	got := h.describe("to", id, "1.0.0")
	if !strings.HasPrefix(got, "Published public:npmjs 2025-05-06 It is left; publish BLOCK, upstream ALLOW") {
		t.Error(got)
	}
	fails(t, second(h.publish("to", id, "2.0.0", "a", "x")), "Conflict")

	// Its status follows, unless it was set here.
	record.Status, record.Revision = packages.Unlisted, "R2"
	h.ok(h.imports("to", record, nil))
	if got := h.describe("to", id, "1.0.0"); !strings.HasPrefix(got, "Unlisted") {
		t.Error(got)
	}
	h.ok(second(h.UpdateVersionsStatus(h.ctx, domain.Repository("to"), id, packages.Selection{Versions: []string{"1.0.0"}}, packages.Archived)))
	record.Status, record.Revision = packages.Published, "R3"
	h.ok(h.imports("to", record, nil))
	if got := h.describe("to", id, "1.0.0"); !strings.HasPrefix(got, "Archived") {
		t.Error(got)
	}
	if again, _ := h.export("to", id, "1.0.0"); again.Status != packages.Archived || !again.Edited {
		t.Errorf("%+v", again)
	}
}

// An imported version takes no other's place: the repository's own rules decide.
func TestImportVersion_OriginControls(t *testing.T) {
	r := newRegistry(t)
	r.add("left", "1.0.0", "content")
	h := remotely(t, r, source.Settings{}, "own", "grouped", "published")
	id := npm("left")
	h.ok(second(h.read("npm-store", id, "1.0.0", tarball)))
	outside, files := h.export("npm-store", id, "1.0.0")
	h.mustPublish("own", id, "0.1.0", "a", "ours")
	fails(t, h.imports("own", outside, files), "Conflict") // an internal package of the name
	if got := h.versions("own", id); got != "0.1.0" {
		t.Errorf("versions %q", got)
	}
	ours, oursFiles := h.export("own", id, "0.1.0")
	fails(t, h.imports("npm-store", ours, oursFiles), "Conflict") // a public package of the name

	h.mustPublish("published", npm("corp"), "1.0.0", "a", "x")
	inside, insideFiles := h.export("published", npm("corp"), "1.0.0")
	h.groups("/npm/*")
	h.restrict("/npm/*", "EXTERNAL_UPSTREAM BLOCK")
	fails(t, h.imports("grouped", outside, files), "Conflict")
	h.ok(h.imports("grouped", inside, insideFiles))
	h.restrict("/npm/*", "PUBLISH BLOCK")
	fails(t, h.imports("own", inside, insideFiles), "Conflict")
}

// What is not the record's content is refused, and leaves nothing behind.
func TestImportVersion_Hostile(t *testing.T) {
	h := open(t)
	h.repositories("from", "to")
	id := npm("lib")
	h.mustPublish("from", id, "1.0.0", "a", "one")
	objects := h.objects()
	for name, change := range map[string]func(*packages.VersionRecord, map[string]string){
		"other bytes":              func(_ *packages.VersionRecord, f map[string]string) { f["a"] = "two" },
		"fewer bytes":              func(_ *packages.VersionRecord, f map[string]string) { f["a"] = "on" },
		"more bytes":               func(_ *packages.VersionRecord, f map[string]string) { f["a"] = "one " + strings.Repeat("x", 1<<20) },
		"no bytes":                 func(_ *packages.VersionRecord, f map[string]string) { delete(f, "a") },
		"no files":                 func(r *packages.VersionRecord, _ map[string]string) { r.Files = nil },
		"a file twice":             func(r *packages.VersionRecord, _ map[string]string) { r.Files = append(r.Files, r.Files[0]) },
		"a name that cannot be":    func(r *packages.VersionRecord, _ map[string]string) { r.Files[0].Name = "../a" },
		"another status":           func(r *packages.VersionRecord, _ map[string]string) { r.Status = packages.Disposed },
		"a connection of PyPI":     func(r *packages.VersionRecord, _ map[string]string) { r.Connection = "public:pypi" },
		"an unknown connection":    func(r *packages.VersionRecord, _ map[string]string) { r.Connection = "public:none" },
		"no revision":              func(r *packages.VersionRecord, _ map[string]string) { r.Revision = "" },
		"a time to come":           func(r *packages.VersionRecord, _ map[string]string) { r.Published = h.now().AddDate(1, 0, 0) },
		"a sidecar of nothing":     func(r *packages.VersionRecord, _ map[string]string) { r.Files[0].Beside = "b" },
		"a version that cannot be": func(r *packages.VersionRecord, _ map[string]string) { r.Version = "1 0" },
	} {
		record, files := h.export("from", id, "1.0.0")
		change(record, files)
		in := importing("to", record, files)
		err := second(h.ImportVersion(h.ctx, in))
		fails(t, err, "Validation")
		if h.objects() != objects || h.describe("to", id, "1.0.0") != "none" {
			t.Errorf("%s: something was kept", name)
		}
	}
	record, files := h.export("from", id, "1.0.0")
	in := importing("to", record, files)
	in.Version = "2.0.0"
	fails(t, second(h.ImportVersion(h.ctx, in)), "Validation")
	in = importing("to", record, files)
	in.Next = func() (string, io.Reader, error) { return "", nil, errBroken }
	if err := second(h.ImportVersion(h.ctx, in)); !errors.Is(err, errBroken) {
		t.Error(err)
	}
}

// An older record does not undo what a newer one said, and a newer one is followed although
// the version was changed where it comes from.
func TestImportVersion_OlderRecord(t *testing.T) {
	r := newRegistry(t)
	r.add("left", "1.0.0", "content")
	h := remotely(t, r, source.Settings{}, "to")
	id := npm("left")
	h.ok(second(h.read("npm-store", id, "1.0.0", tarball)))
	first, files := h.export("npm-store", id, "1.0.0")
	h.ok(h.imports("to", first, files))
	change := func(status packages.Status) *packages.VersionRecord {
		h.pass(time.Hour)
		h.ok(second(h.UpdateVersionsStatus(h.ctx, domain.Repository("npm-store"), id, packages.Selection{Versions: []string{"1.0.0"}}, status)))
		record, _ := h.export("npm-store", id, "1.0.0")
		return record
	}
	unlisted, published, archived := change(packages.Unlisted), change(packages.Published), change(packages.Archived)
	h.ok(h.imports("to", unlisted, nil))
	h.ok(h.imports("to", archived, nil))
	for _, old := range []*packages.VersionRecord{first, unlisted, published} {
		fails(t, h.imports("to", old, nil), "Conflict")
		if got := h.describe("to", id, "1.0.0"); !strings.HasPrefix(got, "Archived") {
			t.Errorf("after the record of %s: %s", old.Revised, got)
		}
	}
	if again, _ := h.export("to", id, "1.0.0"); !again.Edited || !again.Revised.Equal(archived.Revised) {
		t.Errorf("%+v", again)
	}
	later := *archived
	later.Revised = h.now().AddDate(1, 0, 0)
	fails(t, h.imports("to", &later, nil), "Validation")
}

// A version that was deleted where it comes from, and taken again, is newer than what was
// said of the deleted one.
func TestImportVersion_TakenAgain(t *testing.T) {
	r := newRegistry(t)
	r.add("left", "1.0.0", "content")
	h := remotely(t, r, source.Settings{}, "to")
	id := npm("left")
	h.ok(second(h.read("npm-store", id, "1.0.0", tarball)))
	h.pass(time.Hour)
	one := packages.Selection{Versions: []string{"1.0.0"}}
	h.ok(second(h.UpdateVersionsStatus(h.ctx, domain.Repository("npm-store"), id, one, packages.Unlisted)))
	unlisted, files := h.export("npm-store", id, "1.0.0")
	h.ok(h.imports("to", unlisted, files))
	h.pass(time.Hour)
	h.ok(h.DeleteVersions(h.ctx, domain.Repository("npm-store"), id, one.Versions))
	h.ok(second(h.read("npm-store", id, "1.0.0", tarball)))
	again, _ := h.export("npm-store", id, "1.0.0")
	if again.Edited || again.Revision == unlisted.Revision {
		t.Fatalf("%+v", again)
	}
	h.ok(h.imports("to", again, nil))
	if got := h.describe("to", id, "1.0.0"); !strings.HasPrefix(got, "Published") {
		t.Errorf("the newer record changed nothing: %s", got)
	}
	fails(t, h.imports("to", unlisted, nil), "Conflict")
}

// A change is newer than the last one although the clock was set back between them. A clock
// that was far ahead does not keep later changes from being imported.
func TestImportVersion_ClockSetBack(t *testing.T) {
	r := newRegistry(t)
	r.add("left", "1.0.0", "content")
	h := remotely(t, r, source.Settings{}, "to")
	id := npm("left")
	h.ok(second(h.read("npm-store", id, "1.0.0", tarball)))
	change := func(status packages.Status, after time.Duration) *packages.VersionRecord {
		h.pass(after)
		h.ok(second(h.UpdateVersionsStatus(h.ctx, domain.Repository("npm-store"), id, packages.Selection{Versions: []string{"1.0.0"}}, status)))
		record, _ := h.export("npm-store", id, "1.0.0")
		return record
	}
	first, files := h.export("npm-store", id, "1.0.0")
	h.ok(h.imports("to", first, files))
	unlisted := change(packages.Unlisted, time.Hour)
	h.ok(h.imports("to", unlisted, nil))
	published := change(packages.Published, -2*time.Hour)
	h.ok(h.imports("to", published, nil))
	if got := h.describe("to", id, "1.0.0"); !strings.HasPrefix(got, "Published") {
		t.Errorf("the newer record changed nothing: %s", got)
	}
	fails(t, h.imports("to", unlisted, nil), "Conflict")
	change(packages.Unlisted, 1000*time.Hour)
	h.ok(h.imports("to", change(packages.Archived, -990*time.Hour), nil))
}

// Imports are held to the names and versions that can be published, before a file is read.
func TestImportVersion_RulesOfTheFormat(t *testing.T) {
	h := open(t)
	h.repositories("from", "to")
	for _, at := range [][2]string{{"forbidden", "1.0.0"}, {"lib", "1.0.0-forbidden"}} {
		h.mustPublish("from", npm(at[0]), at[1], "a", "one")
		record, files := h.export("from", npm(at[0]), at[1])
		in := importing("to", record, files)
		in.Next = func() (string, io.Reader, error) { t.Error("a file was read"); return "", nil, io.EOF }
		fails(t, second(h.ImportVersion(h.ctx, in)), "InvalidName")
	}
}

// A record of very many files is refused at once.
func TestImportVersion_ManyFiles(t *testing.T) {
	h := open(t)
	h.repositories("from", "to")
	h.mustPublish("from", npm("lib"), "1.0.0", "a", "one")
	record, _ := h.export("from", npm("lib"), "1.0.0")
	files := map[string]string{}
	for i := range 200_000 {
		f := record.Files[0]
		f.Name = fmt.Sprint("f", i)
		record.Files = append(record.Files, f)
		files[f.Name] = "one"
	}
	fails(t, h.imports("to", record, files), "Validation")
}

// The actions are Gatehouse's own, on the package.
func TestTransfer_Authorizes(t *testing.T) {
	h := open(t)
	h.repositories("from", "to")
	id := npm("lib")
	h.mustPublish("from", id, "1.0.0", "a", "one")
	record, files := h.export("from", id, "1.0.0")
	for _, c := range []struct {
		action, repo string
		do           func(*fixture) error
	}{
		{"gatehouse:ExportPackageVersion", "from", func(h *fixture) error { return second(h.ExportVersion(h.ctx, domain.Repository("from"), id, "1.0.0")) }},
		{"gatehouse:ExportPackageVersion", "from", func(h *fixture) error {
			o, err := h.OpenExported(h.ctx, domain.Repository("from"), id, "1.0.0", "a")
			if err == nil {
				o.Close()
			}
			return err
		}},
		{"gatehouse:ImportPackageVersion", "to", func(h *fixture) error { return h.imports("to", record, files) }},
	} {
		with := func(policy string) *fixture {
			one := *h
			one.ctx = as(t, account, "tester", policy)
			return &one
		}
		arn := "arn:aws:codeartifact:" + region + ":" + account + ":package/acme/" + c.repo + "/npm//lib"
		fails(t, c.do(with(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","NotAction":"`+c.action+`","Resource":"*"}}`)), "AccessDenied")
		fails(t, c.do(with(allow(c.action, arn+"x"))), "AccessDenied")
		h.ok(c.do(with(allow(c.action, arn))))
	}
	read := false
	in := importing("to", record, files)
	in.Read = func() (*packages.VersionRecord, error) { read = true; return record, nil }
	fails(t, second(h.ImportVersion(as(t, account, "none"), in)), "AccessDenied")
	if read {
		t.Error("the body was read before the caller was authorized")
	}
}

// What was published and what came from outside never mix in one version, even if the
// format lets a version have further files.
func TestImportVersion_SameVersionOfOtherOrigin(t *testing.T) {
	for _, format := range []packages.Format{packages.NPM, packages.PyPI} {
		h := open(t)
		h.repositories("from", "own", "outside")
		id := packages.PackageID{Format: format, Name: "left"}
		h.ok(second(h.publishAs(h.ctx, packages.Publication{
			Repository: domain.Repository("from"), Package: id, Version: "1.0.0", Metadata: json.RawMessage(`{"theirs":1}`), Tags: []string{"theirs"},
		}, "theirs", "bytes")))
		published, files := h.export("from", id, "1.0.0")
		external := *published
		external.Connection = map[packages.Format]string{packages.NPM: "public:npmjs", packages.PyPI: "public:pypi"}[format]

		h.mustPublish("own", id, "1.0.0", "ours", "ours")
		before := h.describe("own", id, "1.0.0")
		fails(t, h.imports("own", &external, files), "Conflict")
		if got, after := h.assets("own", id, "1.0.0"), h.describe("own", id, "1.0.0"); got != "ours" || after != before {
			t.Errorf("%s: a published version took files from outside: %s, %s", format, got, after)
		}
		h.mustPublish("own", id, "1.0.1", "theirs", "bytes")
		same := external
		same.Version = "1.0.1"
		fails(t, h.imports("own", &same, files), "Conflict") // no new file, but a tag
		if p, err := h.Package(h.ctx, domain.Repository("own"), id); err != nil || p.Tags["theirs"] != "" {
			t.Errorf("%s: %v, %v", format, p.Tags, err)
		}

		h.ok(h.imports("outside", &external, files))
		more := *published
		more.Files = []packages.FileRecord{{Name: "more", Size: 4, SHA256: sha("more"), Published: published.Published}}
		fails(t, h.imports("outside", &more, map[string]string{"more": "more"}), "Conflict")
		fails(t, second(h.publish("outside", id, "1.0.0", "more", "more")), "Conflict")
		if got := h.assets("outside", id, "1.0.0"); got != "theirs" {
			t.Errorf("%s: a version from outside took published files: %s", format, got)
		}
	}
}

// Origin controls count for a version that the repository has, too.
func TestImportVersion_BlockedVersionDoesNotChange(t *testing.T) {
	h := open(t)
	h.repositories("from", "to")
	id := packages.PackageID{Format: packages.PyPI, Name: "left"}
	h.mustPublish("from", id, "1.0.0", "a", "one")
	h.mustPublish("from", id, "1.0.0", "b", "two")
	record, files := h.export("from", id, "1.0.0")
	record.Connection = "public:pypi"
	first := *record
	first.Files, first.Revision = record.Files[:1], "R1"
	h.ok(h.imports("to", &first, map[string]string{"a": "one"}))
	h.ok(h.SetOrigin(h.ctx, domain.Repository("to"), id, packages.Origin{Publish: packages.Block, Upstream: packages.Block}))
	fails(t, h.imports("to", record, files), "Conflict")
	first.Status, first.Revision = packages.Unlisted, "R2"
	fails(t, h.imports("to", &first, nil), "Conflict")
	if got := h.assets("to", id, "1.0.0") + " " + h.describe("to", id, "1.0.0"); !strings.HasPrefix(got, "a Published") {
		t.Error(got)
	}
}

// A package that was published to an upstream repository keeps versions from outside away,
// as it does if the repository has an external connection itself.
func TestImportVersion_PublishedUpstream(t *testing.T) {
	h := open(t)
	h.repositories("from", "internal", "middle: internal", "lib: middle", "unrelated")
	id := npm("corp")
	h.mustPublish("internal", id, "1.0.0", "a", "ours")
	h.mustPublish("from", id, "9.9.9", "a", "theirs")
	record, files := h.export("from", id, "9.9.9")
	record.Connection = "public:npmjs"
	fails(t, h.imports("lib", record, files), "Conflict")
	if got := h.versions("lib", id); got != "1.0.0" {
		t.Errorf("clients see %s", got)
	}
	h.ok(h.imports("unrelated", record, files))
	h.ok(h.SetOrigin(h.ctx, domain.Repository("internal"), id, packages.Origin{Publish: packages.Allow, Upstream: packages.Allow}))
	h.ok(h.imports("lib", record, files))
}
