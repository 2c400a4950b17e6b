package packages_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// told are the details of an event in the order in which this test writes them.
type told struct {
	Repository string `json:"repositoryName"`
	Package    string `json:"packageName"`
	Version    string `json:"packageVersion"`
	State      string `json:"packageVersionState"`
	Revision   string `json:"packageVersionRevision"`
	Operation  string `json:"operationType"`
	Sequence   int64  `json:"sequenceNumber"`
	ID         string `json:"eventDeduplicationId"`
	Changes    struct {
		Added    int  `json:"assetsAdded"`
		Removed  int  `json:"assetsRemoved"`
		Updated  int  `json:"assetsUpdated"`
		Metadata bool `json:"metadataUpdated"`
		Status   bool `json:"statusChanged"`
	} `json:"changes"`
}

// An eventReader reads the events that are new.
type eventReader struct {
	h    *fixture
	next int64
}

func (r *eventReader) bodies() []string {
	r.h.t.Helper()
	found, next, err := r.h.log.Read(r.h.t.Context(), events.Query{After: r.next, Limit: 1000})
	r.h.ok(err)
	r.next = next
	var out []string
	for _, e := range found {
		out = append(out, e.Body)
	}
	return out
}

func (r *eventReader) read() (out []told) {
	r.h.t.Helper()
	for _, body := range r.bodies() {
		var e struct{ Detail told }
		r.h.ok(json.Unmarshal([]byte(body), &e))
		out = append(out, e.Detail)
	}
	return out
}

// want compares the new events with lines such as "store lib 1.0.0 Created Published +1
// metadata status".
func (r *eventReader) want(lines ...string) {
	r.h.t.Helper()
	var got []string
	for _, e := range r.read() {
		line := fmt.Sprintf("%s %s %s %s %s", e.Repository, e.Package, e.Version, e.Operation, e.State)
		for _, c := range []struct {
			told bool
			text string
		}{
			{e.Changes.Added > 0, fmt.Sprintf("+%d", e.Changes.Added)},
			{e.Changes.Removed > 0, fmt.Sprintf("-%d", e.Changes.Removed)},
			{e.Changes.Updated > 0, "updated"},
			{e.Changes.Metadata, "metadata"},
			{e.Changes.Status, "status"},
		} {
			if c.told {
				line += " " + c.text
			}
		}
		got = append(got, line)
	}
	if !slices.Equal(got, lines) {
		r.h.t.Fatalf("the events are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

// TestEvents_Shape compares with the example of the User Guide, member by member.
func TestEvents_Shape(t *testing.T) {
	h := open(t)
	h.repositories("store")
	r := &eventReader{h: h}
	v := h.mustPublish("store", packages.PackageID{Format: packages.NPM, Namespace: "acme", Name: "lib"}, "1.0.0", "lib.tgz", "x")
	plain := h.mustPublish("store", npm("plain"), "2.0.0", "plain.tgz", "y")
	bodies := r.bodies()
	if len(bodies) != 2 {
		t.Fatalf("%d events", len(bodies))
	}
	for i, want := range []string{
		`{"version":"0","id":"ID","detail-type":"CodeArtifact Package Version State Change","source":"aws.codeartifact",` +
			`"account":"111122223333","time":"2026-01-02T03:04:05Z","region":"eu-west-1",` +
			`"resources":["arn:aws:codeartifact:eu-west-1:111122223333:package/acme/store/npm/acme/lib"],` +
			`"detail":{"domainName":"acme","domainOwner":"111122223333","repositoryName":"store","repositoryAdministrator":"111122223333",` +
			`"packageFormat":"npm","packageNamespace":"acme","packageName":"lib","packageVersion":"1.0.0","packageVersionState":"Published",` +
			`"packageVersionRevision":"` + v.Revision + `","changes":{"assetsAdded":1,"assetsRemoved":0,"assetsUpdated":0,"metadataUpdated":true,"statusChanged":true},` +
			`"operationType":"Created","sequenceNumber":1,"eventDeduplicationId":"DEDUPLICATION"}}`,
		`{"version":"0","id":"ID","detail-type":"CodeArtifact Package Version State Change","source":"aws.codeartifact",` +
			`"account":"111122223333","time":"2026-01-02T03:04:06Z","region":"eu-west-1",` +
			`"resources":["arn:aws:codeartifact:eu-west-1:111122223333:package/acme/store/npm//plain"],` +
			`"detail":{"domainName":"acme","domainOwner":"111122223333","repositoryName":"store","repositoryAdministrator":"111122223333",` +
			`"packageFormat":"npm","packageNamespace":null,"packageName":"plain","packageVersion":"2.0.0","packageVersionState":"Published",` +
			`"packageVersionRevision":"` + plain.Revision + `","changes":{"assetsAdded":1,"assetsRemoved":0,"assetsUpdated":0,"metadataUpdated":true,"statusChanged":true},` +
			`"operationType":"Created","sequenceNumber":1,"eventDeduplicationId":"DEDUPLICATION"}}`,
	} {
		var e struct {
			ID     string
			Detail struct{ EventDeduplicationID string }
		}
		h.ok(json.Unmarshal([]byte(bodies[i]), &e))
		if len(e.ID) != 36 || len(e.Detail.EventDeduplicationID) != 44 {
			t.Errorf("ids %q, %q", e.ID, e.Detail.EventDeduplicationID)
		}
		got := strings.NewReplacer(e.ID, "ID", e.Detail.EventDeduplicationID, "DEDUPLICATION").Replace(bodies[i])
		if got != want {
			t.Errorf("event\n%s\nwant\n%s", got, want)
		}
	}
}

func TestEvents_OfEachOperation(t *testing.T) {
	h := open(t)
	h.repositories("base", "store: base", "copies")
	r := &eventReader{h: h}
	store, id := domain.Repository("store"), npm("lib")
	one := packages.Selection{Versions: []string{"1.0.0"}}

	h.mustPublish("store", id, "1.0.0", "a", "1")
	r.want("store lib 1.0.0 Created Published +1 metadata status")
	h.mustPublish("store", id, "1.0.0", "a", "1")
	r.want() // nothing changed
	_, err := h.publish("store", id, "1.0.0", "a", "other")
	fails(t, err, "Conflict")
	r.want()
	h.ok(h.SetTags(h.ctx, store, id, map[string]string{"next": "1.0.0"}, nil))
	r.want() // a tag belongs to the package

	for _, target := range []packages.Status{packages.Unlisted, packages.Archived, packages.Published} {
		h.ok(second(h.UpdateVersionsStatus(h.ctx, store, id, one, target)))
		r.want("store lib 1.0.0 Updated " + string(target) + " status")
	}
	h.ok(h.EditMetadata(h.ctx, store, id, []string{"1.0.0"}, func(string, json.RawMessage) (json.RawMessage, error) {
		return json.RawMessage(`{"deprecated":"yes"}`), nil
	}))
	r.want("store lib 1.0.0 Updated Published metadata")

	h.mustPublish("store", id, "2.0.0", "a", "2")
	r.want("store lib 2.0.0 Created Published +1 metadata status")
	out, err := h.UpdateVersionsStatus(h.ctx, store, id, packages.Selection{Versions: []string{"1.0.0", "9.9.9"}}, packages.Archived)
	h.ok(err)
	if len(out.Failed) != 2 {
		t.Fatalf("%v", out)
	}
	r.want() // all or none

	// Copies.
	h.ok(second(h.CopyVersions(h.ctx, packages.Copy{Source: store, Destination: domain.Repository("copies"), Package: id, Versions: []string{"1.0.0", "2.0.0"}})))
	r.want("copies lib 1.0.0 Created Published +1 metadata status", "copies lib 2.0.0 Created Published +1 metadata status")
	h.ok(second(h.CopyVersions(h.ctx, packages.Copy{Source: store, Destination: domain.Repository("copies"), Package: id, Versions: []string{"1.0.0"}})))
	r.want() // it is there
	h.ok(second(h.UpdateVersionsStatus(h.ctx, domain.Repository("copies"), id, packages.Selection{Versions: []string{"2.0.0"}}, packages.Archived)))
	h.ok(h.EditMetadata(h.ctx, store, id, []string{"2.0.0"}, func(string, json.RawMessage) (json.RawMessage, error) {
		return json.RawMessage(`{"new":1}`), nil
	}))
	r.want("copies lib 2.0.0 Updated Archived status", "store lib 2.0.0 Updated Published metadata")
	h.ok(second(h.CopyVersions(h.ctx, packages.Copy{Source: store, Destination: domain.Repository("copies"), Package: id, Versions: []string{"2.0.0"}, AllowOverwrite: true})))
	r.want("copies lib 2.0.0 Updated Published +1 -1 metadata status")

	// Dispose and delete.
	h.ok(second(h.DisposeVersions(h.ctx, store, id, one)))
	r.want("store lib 1.0.0 Updated Disposed -1 status")
	h.ok(second(h.DeleteSelectedVersions(h.ctx, store, id, one)))
	r.want("store lib 1.0.0 Deleted Disposed")
	h.ok(h.DeleteVersions(h.ctx, store, id, []string{"2.0.0"}))
	r.want("store lib 2.0.0 Deleted Published -1")
	h.ok(second(h.DeletePackage(h.ctx, domain.Repository("copies"), id)))
	r.want("copies lib 1.0.0 Deleted Published -1", "copies lib 2.0.0 Deleted Published -1")

	// Retention from an upstream: when it is downloaded, and when it is changed.
	h.mustPublish("base", npm("far"), "1.0.0", "a", "far")
	h.mustPublish("base", npm("far"), "2.0.0", "a", "far 2")
	r.want("base far 1.0.0 Created Published +1 metadata status", "base far 2.0.0 Created Published +1 metadata status")
	for range 2 {
		h.ok(second(h.read("store", npm("far"), "1.0.0", "a")))
	}
	r.want("store far 1.0.0 Created Published +1 metadata status")
	h.ok(h.EditMetadata(h.ctx, store, npm("far"), []string{"2.0.0"}, func(string, json.RawMessage) (json.RawMessage, error) {
		return json.RawMessage(`{}`), nil
	}))
	r.want("store far 2.0.0 Created Published +1 metadata status", "store far 2.0.0 Updated Published metadata")
}

func TestEvents_AssetsAdded(t *testing.T) {
	h := open(t)
	h.repositories("base", "store: base")
	r := &eventReader{h: h}
	wheel := packages.PackageID{Format: packages.PyPI, Name: "lib"}
	h.mustPublish("base", wheel, "1.0", "a.whl", "1")
	r.want("base lib 1.0 Created Published +1 metadata status")
	h.ok(second(h.read("store", wheel, "1.0", "a.whl")))
	r.want("store lib 1.0 Created Published +1 metadata status")
	h.mustPublish("base", wheel, "1.0", "b.whl", "2")
	r.want("base lib 1.0 Updated Published +1")
	h.ok(second(h.read("store", wheel, "1.0", "b.whl"))) // joins what was retained
	r.want("store lib 1.0 Updated Published +1")

	// A version that is open until its last asset.
	generic := packages.PackageID{Format: packages.Generic, Namespace: "ns", Name: "tool"}
	publish := func(asset string, status packages.Status) {
		t.Helper()
		h.ok(second(h.publishAs(h.ctx, packages.Publication{Repository: domain.Repository("base"), Package: generic, Version: "1", Status: status}, asset, asset)))
	}
	publish("a", packages.Unfinished)
	publish("b", packages.Unfinished)
	publish("c", packages.Published)
	r.want("base tool 1 Created Unfinished +1 metadata status", "base tool 1 Updated Unfinished +1", "base tool 1 Updated Published +1 status")
}

func TestEvents_MavenSnapshot(t *testing.T) {
	h := open(t)
	h.repositories("store")
	r := &eventReader{h: h}
	id := packages.PackageID{Format: packages.Maven, Namespace: "g", Name: "a"}
	build := func(version, asset string) {
		t.Helper()
		h.ok(second(h.publishAs(h.ctx, packages.Publication{Repository: domain.Repository("store"), Package: id, Version: version, Status: packages.Unfinished}, asset, version+asset)))
	}
	build("1.0-20260101.000000-1", "a.pom")
	r.want("store a 1.0-20260101.000000-1 Created Unfinished +1 metadata status")
	h.ok(h.Finish(h.ctx, domain.Repository("store"), id, []string{"1.0-20260101.000000-1"}))
	r.want("store a 1.0-20260101.000000-1 Updated Unlisted status", "store a 1.0-SNAPSHOT Created Published +1 metadata status")
	build("1.0-20260101.000000-1", "a.jar") // after it was finished
	r.want("store a 1.0-20260101.000000-1 Updated Unlisted +1", "store a 1.0-SNAPSHOT Updated Published +2 -1 metadata")
	build("1.0-20260102.000000-2", "a.pom")
	h.ok(h.Finish(h.ctx, domain.Repository("store"), id, []string{"1.0-20260102.000000-2"}))
	r.want("store a 1.0-20260102.000000-2 Created Unfinished +1 metadata status",
		"store a 1.0-20260102.000000-2 Updated Unlisted status", "store a 1.0-SNAPSHOT Updated Published +1 -2 metadata")
}

// TestEvents_Sequence publishes, changes several versions at once, and adds to a finished
// snapshot: each event has a higher number than the one before, and an id of its own.
func TestEvents_Sequence(t *testing.T) {
	h := open(t)
	h.repositories("store")
	r := &eventReader{h: h}
	store, id := domain.Repository("store"), packages.PackageID{Format: packages.Maven, Namespace: "g", Name: "a"}
	build := func(asset string) {
		t.Helper()
		h.ok(second(h.publishAs(h.ctx, packages.Publication{Repository: store, Package: id, Version: "1.0-20260101.000000-1", Status: packages.Unfinished}, asset, asset)))
	}
	build("a.pom")
	h.ok(h.Finish(h.ctx, store, id, []string{"1.0-20260101.000000-1"}))
	build("a.jar")
	build("b.jar")
	all := packages.Selection{Versions: []string{"1.0-SNAPSHOT", "1.0-20260101.000000-1"}}
	h.ok(second(h.UpdateVersionsStatus(h.ctx, store, id, all, packages.Archived)))
	h.ok(second(h.DeleteSelectedVersions(h.ctx, store, id, all)))
	got := r.read()
	if len(got) != 11 {
		t.Fatalf("%d events", len(got))
	}
	last, ids := int64(0), map[string]bool{}
	for _, e := range got {
		if e.Sequence <= last || ids[e.ID] {
			t.Errorf("%+v follows number %d", e, last)
		}
		last, ids[e.ID] = e.Sequence, true
	}
}

// TestEvents_DatabaseFails: there is no event of a change that was not made, and no
// change whose event was not written.
func TestEvents_DatabaseFails(t *testing.T) {
	h := open(t)
	h.repositories("store")
	r := &eventReader{h: h}
	h.mustPublish("store", npm("lib"), "1.0.0", "a", "1")
	r.want("store lib 1.0.0 Created Published +1 metadata status")
	rename := func(from, to string) {
		t.Helper()
		h.ok(h.db.Tx(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), `ALTER TABLE `+from+` RENAME TO `+to)
			return err
		}))
	}
	rename("event_outbox", "elsewhere")
	if _, err := h.publish("store", npm("lib"), "2.0.0", "a", "2"); err == nil {
		t.Fatal("the publication succeeded without its event")
	}
	rename("elsewhere", "event_outbox")
	if got := h.versions("store", npm("lib")); got != "1.0.0" {
		t.Fatalf("versions %q", got)
	}
	r.want()

	dbtest.RefuseUpdates(t, h.db, "pkg_package") // the last statement of the change
	if _, err := h.UpdateVersionsStatus(h.ctx, domain.Repository("store"), npm("lib"), packages.Selection{Versions: []string{"1.0.0"}}, packages.Unlisted); err == nil {
		t.Fatal("the change succeeded")
	}
	r.want()
}
