package packages_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/removal/removaltest"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
	npmsource "github.com/gatehouse-registry/gatehouse/internal/server/source/npm"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/upstreamtest"
)

// Times that JSON cannot hold are not times. They must not make a package unreadable.
func TestRemote_ImpossibleTimes(t *testing.T) {
	for _, at := range []string{"9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00+23:59", "tomorrow", ""} {
		r := newRegistry(t)
		r.add("left-pad", "1.0.0", "one")
		r.packs["left-pad"].Times = map[string]string{"created": at, "modified": at, "1.0.0": at}
		r.save("left-pad")
		h := remotely(t, r, source.Settings{})
		h.wantRead("npm-store", npm("left-pad"), "1.0.0", "one")
		v, _, err := h.DescribeVersion(h.ctx, domain.Repository("npm-store"), npm("left-pad"), "1.0.0")
		h.ok(err)
		if !v.Published.Equal(h.now()) {
			t.Errorf("%q: the version was published at %v", at, v.Published)
		}
	}
}

// A version that was kept does not follow a registry that has other bytes for it now.
func TestRemote_ChangedDigest(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", "one")
	h := remotely(t, r, source.Settings{}, "app: npm-store")
	pad := npm("left-pad")
	h.wantRead("app", pad, "1.0.0", "one")
	r.add("left-pad", "1.0.0", "evil")
	r.packs["left-pad"].Versions["1.0.0"]["dependencies"] = map[string]string{"evil": "*"}
	r.save("left-pad")
	h.pass(time.Hour)
	p, err := h.Package(h.ctx, domain.Repository("app"), pad)
	h.ok(err)
	if got := string(p.Version("1.0.0").Metadata); strings.Contains(got, "evil") {
		t.Errorf("the kept version has the metadata of other bytes: %s", got)
	}
	h.wantRead("app", pad, "1.0.0", "one")
	h.wantRead("npm-store", pad, "1.0.0", "one")
}

// A tag leads to a version that clients can install, or there is none.
func TestRemote_TagWithoutVersion(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", "one")
	r.packs["left-pad"].Tags = map[string]string{"latest": "2.0.0", "old": "1.0.0"}
	r.save("left-pad")
	h := remotely(t, r, source.Settings{}, "app: npm-store")
	for _, repo := range []string{"npm-store", "app"} {
		p, err := h.Package(h.ctx, domain.Repository(repo), npm("left-pad"))
		h.ok(err)
		if p.Tags["old"] != "1.0.0" || p.Tags["latest"] == "2.0.0" {
			t.Errorf("%s: tags %v", repo, p.Tags)
		}
	}
}

// A server whose clock was ahead must not make what it wrote count for as long.
func TestRemote_ClockWasAhead(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", "one")
	h := remotely(t, r, source.Settings{})
	pad := npm("left-pad")
	h.pass(365 * 24 * time.Hour)
	if got := h.versions("npm-store", pad) + h.versions("npm-store", npm("right-pad")); got != "1.0.0none" {
		t.Fatal(got)
	}
	h.pass(-365 * 24 * time.Hour)
	r.add("left-pad", "1.1.0", "two")
	r.add("right-pad", "1.0.0", "one")
	h.pass(time.Minute)
	eventually(t, func() bool { return h.versions("npm-store", pad) == "1.0.0 1.1.0" })
	if got := h.versions("npm-store", npm("right-pad")); got != "1.0.0" {
		t.Errorf("right-pad: %s", got)
	}
}

// A lease of a server whose clock was ahead, and that died, does not stop the others.
func TestRemote_LeaseFromTheFuture(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", "one")
	h := open(t)
	h.connect(r, source.Settings{Timeout: 5 * time.Second}, true)
	h.repositories("npm-store")
	h.ok(second(h.AssociateExternalConnection(h.ctx, domain.Repository("npm-store"), npmjs)))
	h.ok(h.db.Tx(h.ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(h.ctx, `INSERT INTO source_lease (name, holder, until) VALUES ('public:npmjs/npm//left-pad', 'dead', $1)`, db.Micros(h.now().Add(24*time.Hour)))
		return err
	}))
	if got := h.versions("npm-store", npm("left-pad")); got != "1.0.0" {
		t.Errorf("clients see %s", got)
	}
}

// Questions for names that do not exist do not push out what is needed if the registry
// fails.
func TestRemote_MissingNamesPushNothingOut(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", "one")
	h := open(t)
	cache := h.connectWith(source.Config{Settings: source.Settings{MaxDocuments: 5}}, r, npmsource.Codec{})
	h.repositories("npm-store")
	h.ok(second(h.AssociateExternalConnection(h.ctx, domain.Repository("npm-store"), npmjs)))
	h.versions("npm-store", npm("left-pad"))
	h.pass(time.Hour)
	for i := range 20 {
		h.versions("npm-store", npm(fmt.Sprintf("typo-%d", i)))
	}
	h.pass(time.Hour)
	h.ok(cache.Sweep(h.ctx))
	n, err := db.One(h.ctx, h.db, db.Scalar[string], `SELECT package FROM source_document`)
	if err != nil || n != "npm//left-pad" {
		t.Errorf("the table has %q, %v", n, err)
	}
}

// A codec that fails in a way that it should not must not end the server.
func TestRemote_PanicOfCodec(t *testing.T) {
	r := newRegistry(t)
	h := open(t)
	h.connectWith(source.Config{}, r, panicking{})
	h.repositories("npm-store")
	h.ok(second(h.AssociateExternalConnection(h.ctx, domain.Repository("npm-store"), npmjs)))
	_, err := h.Package(h.ctx, domain.Repository("npm-store"), npm("left-pad"))
	if f := fault.From(err); f == nil || f.Kind != fault.BadGateway || !strings.Contains(f.Message, npmjs) {
		t.Errorf("the error is %v", err)
	}
}

type panicking struct{}

func (panicking) Package(context.Context, *source.Registry, packages.PackageID, string) (*packages.RemotePackage, string, error) {
	panic("an index out of range")
}

func (panicking) Describe(packages.PackageID, json.RawMessage) *packages.Description {
	return &packages.Description{}
}

// Names that mean something in addresses are refused, and never asked for.
func TestRemote_StrangeNames(t *testing.T) {
	r := newRegistry(t)
	h := remotely(t, r, source.Settings{})
	for _, id := range []packages.PackageID{npm(".."), npm("."), npm("a/../b"), npm("a%2f..%2fb"), {Format: packages.NPM, Namespace: "..", Name: "x"}, npm("a?b"), npm("a\r\nb"), npm("a\x00b")} {
		_, err := h.Package(h.ctx, domain.Repository("npm-store"), id)
		if f := fault.From(err); f == nil || f.Kind != fault.NotFound && f.Kind != fault.Invalid {
			t.Errorf("%q: %v", id.String(), err)
		}
	}
	if n := r.Count(""); n != 0 {
		t.Errorf("the registry got %d requests: %v", n, r.Requests())
	}
}

// A document in the table that cannot be read is asked for again.
func TestRemote_DamagedRow(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", "one")
	h := remotely(t, r, source.Settings{})
	h.versions("npm-store", npm("left-pad"))
	h.ok(h.db.Tx(h.ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(h.ctx, `UPDATE source_document SET body = $1`, []byte("damaged"))
		return err
	}))
	h.connect(r, source.Settings{}, false)
	if got := h.versions("npm-store", npm("left-pad")); got != "1.0.0" {
		t.Errorf("clients see %s", got)
	}
}

// The text of a manifest can have any character.
func TestRemote_StrangeText(t *testing.T) {
	r := newRegistry(t)
	r.add("left-pad", "1.0.0", "one")
	r.packs["left-pad"].Versions["1.0.0"]["description"] = "a\x00b </script>"
	r.save("left-pad")
	h := remotely(t, r, source.Settings{}, "app: npm-store")
	h.wantRead("app", npm("left-pad"), "1.0.0", "one")
	body := strings.Replace(mustJSON(t, r.packs["left-pad"]), `</script>`, "\xff\xfe", 1)
	body = strings.Replace(body, `\u003c/script\u003e`, "\xff\xfe", 1)
	body = strings.ReplaceAll(body, "left-pad", "right-pad")
	r.Put("/right-pad", upstreamtest.File{Body: []byte(body), Type: "application/json"})
	r.Put("/right-pad/-/right-pad-1.0.0.tgz", upstreamtest.File{Body: []byte("one")})
	h.wantRead("app", npm("right-pad"), "1.0.0", "one")
}

func mustJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// While the registry that comes first fails, those behind it must not provide the same
// names: somebody could have registered them there.
func TestRemote_FirstRegistryFails(t *testing.T) {
	h := open(t)
	id := packages.PackageID{Format: packages.Maven, Namespace: "com.acme", Name: "app"}
	remote := &twoRegistries{failing: "public:maven-central"}
	removals, _ := removaltest.Open(t, h.db, h.blobs, h.now)
	var err error
	h.Service, err = packages.New(t.Context(), packages.Config{
		DB: h.db, Blobs: h.blobs, Removals: removals, Authz: h.authorizer(), Principals: iamtest.Unbound{}, Damage: h.damage, Now: h.now,
		Remote: remote, SpoolDir: t.TempDir(),
	})
	h.ok(err)
	t.Cleanup(func() { h.Close() })
	h.repositories("central", "clojars", "app: central clojars")
	h.ok(second(h.AssociateExternalConnection(h.ctx, domain.Repository("central"), "public:maven-central")))
	h.ok(second(h.AssociateExternalConnection(h.ctx, domain.Repository("clojars"), "public:maven-clojars")))
	_, err = h.Package(h.ctx, domain.Repository("app"), id)
	if f := fault.From(err); f == nil || f.Kind != fault.BadGateway {
		t.Errorf("the error is %v", err)
	}
	remote.failing = ""
	p, err := h.Package(h.ctx, domain.Repository("app"), id)
	h.ok(err)
	if v := p.Version("1.0"); v.EntryPoint != "public:maven-central" {
		t.Errorf("the version is from %s", v.EntryPoint)
	}
}

// twoRegistries have version 1.0 of every package. One of them may fail.
type twoRegistries struct {
	packages.Remote
	failing string
}

func (*twoRegistries) Connected(string) bool { return true }

func (r *twoRegistries) Package(_ context.Context, connection string, _ packages.PackageID) (*packages.RemotePackage, packages.RemoteState, error) {
	if connection == r.failing {
		return nil, packages.RemoteState{}, fault.New(fault.BadGateway, "UpstreamFailed", "The upstream %s failed.", connection)
	}
	return &packages.RemotePackage{Revision: connection, Versions: []packages.RemoteVersion{{
		Version: "1.0", Status: packages.Published, Assets: []packages.RemoteAsset{{Name: "app-1.0.jar", URL: "https://registry.example/app-1.0.jar"}},
	}}}, packages.RemoteState{}, nil
}

// A version that nobody has downloaded yet can be tagged and deprecated here.
func TestRemote_ChangeOfVersionThatIsNotKept(t *testing.T) {
	r := newRegistry(t)
	for _, name := range []string{"left-pad", "right-pad"} {
		r.add(name, "1.0.0", "one")
	}
	h := remotely(t, r, source.Settings{}, "app: npm-store")
	h.ok(h.SetTags(h.ctx, domain.Repository("app"), npm("left-pad"), map[string]string{"good": "1.0.0"}, nil))
	p, err := h.Package(h.ctx, domain.Repository("app"), npm("left-pad"))
	h.ok(err)
	if p.Tags["good"] != "1.0.0" || h.kept("app", npm("left-pad")) != "1.0.0" {
		t.Errorf("tags %v, kept %s", p.Tags, h.kept("app", npm("left-pad")))
	}
	for _, repo := range []string{"app", "npm-store"} {
		h.ok(h.EditMetadata(h.ctx, domain.Repository(repo), npm("right-pad"), []string{"1.0.0"}, func(string, json.RawMessage) (json.RawMessage, error) {
			return json.RawMessage(`{"deprecated":"ours"}`), nil
		}))
		p, err = h.Package(h.ctx, domain.Repository(repo), npm("right-pad"))
		h.ok(err)
		if got := string(p.Version("1.0.0").Metadata); !strings.Contains(got, "ours") {
			t.Errorf("%s: the metadata are %s", repo, got)
		}
	}
	// If the registry has no such bytes, nothing is changed.
	r.add("mid-pad", "1.0.0", "one")
	r.Fail("/mid-pad/-/mid-pad-1.0.0.tgz", upstreamtest.WrongBytes())
	err = h.SetTags(h.ctx, domain.Repository("app"), npm("mid-pad"), map[string]string{"good": "1.0.0"}, nil)
	fails(t, err, "UpstreamMismatch")
}
