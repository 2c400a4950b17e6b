package source_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

// A codec has a package of every name.
type codec struct {
	asked atomic.Int64
	// fault is asked first, if it is set.
	fault atomic.Pointer[func(context.Context) error]
	// versions are those of every package, for an answer that is new each time.
	versions atomic.Pointer[[]packages.RemoteVersion]
}

func (c *codec) fail(f func(context.Context) error) { c.fault.Store(&f) }

func (c *codec) Package(ctx context.Context, _ *source.Registry, id packages.PackageID, known string) (*packages.RemotePackage, string, error) {
	c.asked.Add(1)
	if f := c.fault.Load(); f != nil {
		if err := (*f)(ctx); err != nil {
			return nil, "", err
		}
	}
	if v := c.versions.Load(); v != nil {
		return &packages.RemotePackage{Versions: *v}, "", nil
	}
	if known != "" {
		return nil, "", source.ErrNotModified
	}
	return &packages.RemotePackage{Tags: map[string]string{"latest": id.Name}}, "v1", nil
}

func (*codec) Describe(packages.PackageID, json.RawMessage) *packages.Description { return nil }

// patient is a registry whose answers are used for longer.
const patient = "public:pypi"

// A fixture is caches on one database.
type fixture struct {
	t     *testing.T
	db    *db.DB
	clock atomic.Int64 // seconds since 1970
	codec codec
}

func open(t *testing.T) *fixture {
	f := &fixture{t: t, db: dbtest.Open(t)}
	f.clock.Store(1_800_000_000)
	return f
}

func (f *fixture) now() time.Time { return time.Unix(f.clock.Load(), 0).UTC() }

func (f *fixture) pass(d time.Duration) { f.clock.Add(int64(d / time.Second)) }

func (f *fixture) cache(s source.Settings) *source.Cache { return f.open(s, true) }

// alone is the cache of the only server of a database.
func (f *fixture) alone(s source.Settings) *source.Cache { return f.open(s, false) }

func (f *fixture) open(s source.Settings, shared bool) *source.Cache {
	f.t.Helper()
	c, err := source.New(f.t.Context(), source.Config{
		DB: f.db, Shared: shared, Settings: s, Now: f.now, Registries: []*source.Registry{
			{Connection: "public:npmjs", Codec: &f.codec}, {Connection: patient, Codec: &f.codec, Settings: source.Override{Fresh: time.Hour, MaxStale: 30 * 24 * time.Hour}},
		},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	return c
}

func (f *fixture) get(c *source.Cache, name string) {
	f.t.Helper()
	p, _, err := c.Package(f.t.Context(), "public:npmjs", packages.PackageID{Format: packages.NPM, Name: name})
	if err != nil || p.Tags["latest"] != name {
		f.t.Fatalf("%s: %+v, %v", name, p, err)
	}
}

func (f *fixture) documents() int64 {
	f.t.Helper()
	n, err := db.One(f.t.Context(), f.db, db.Scalar[int64], `SELECT count(*) FROM source_document`)
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

// What one server has asked, another one and the next process find in the database.
func TestCache_Servers(t *testing.T) {
	f := open(t)
	one, two := f.cache(source.Settings{}), f.cache(source.Settings{})
	f.get(one, "left-pad")
	f.get(two, "left-pad")
	if n := f.codec.asked.Load(); n != 1 {
		t.Errorf("the registry was asked %d times", n)
	}
	f.pass(time.Hour)
	f.get(two, "left-pad")
	f.pass(time.Second)
	f.get(one, "left-pad") // is old in its memory, and confirmed in the database
	if n := f.codec.asked.Load(); n != 2 {
		t.Errorf("the registry was asked %d times", n)
	}
}

// A server that is alone stores answers after it has given them. Until then they are found,
// although there is no room in memory, and Close stores them.
func TestCache_StoresLater(t *testing.T) {
	f := open(t)
	one := f.alone(source.Settings{MemoryBytes: 1})
	for range 2 {
		f.get(one, "left-pad")
	}
	if n := f.codec.asked.Load(); n != 1 {
		t.Errorf("the registry was asked %d times", n)
	}
	f.pass(time.Hour)
	f.get(one, "left-pad") // is confirmed, perhaps before it was stored first
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	f.get(f.alone(source.Settings{}), "left-pad")
	if n := f.codec.asked.Load(); n != 2 {
		t.Errorf("the registry was asked %d times", n)
	}
}

// That a document has not changed says nothing of another one that is stored.
func TestCache_ConfirmsWhatIsStored(t *testing.T) {
	f := open(t)
	c := f.cache(source.Settings{})
	f.get(c, "left-pad")
	f.pass(time.Hour)
	checked := func() int64 {
		f.get(c, "left-pad")
		n, err := db.One(t.Context(), f.db, db.Scalar[int64], `SELECT checked FROM source_document`)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := checked()
	if before != f.now().UnixMicro() {
		t.Errorf("it was confirmed at %d", before)
	}
	alone := f.alone(source.Settings{})
	f.get(alone, "left-pad")
	if err := f.db.Tx(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE source_document SET revision = 'another'`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	f.pass(time.Hour)
	f.get(alone, "left-pad")
	if err := alone.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := db.One(t.Context(), f.db, db.Scalar[int64], `SELECT checked FROM source_document`)
	if err != nil || after != before {
		t.Errorf("the other document was confirmed at %d, not at %d: %v", after, before, err)
	}
}

func TestCache_Sweep(t *testing.T) {
	f := open(t)
	c := f.cache(source.Settings{MaxDocuments: 5})
	for i := range 8 {
		f.get(c, fmt.Sprint("package-", i))
		f.pass(time.Minute)
	}
	if err := c.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := f.documents(); n != 5 {
		t.Errorf("%d documents are left, want 5", n)
	}
	// Those that were confirmed last are left.
	if _, err := db.One(t.Context(), f.db, db.Scalar[string], `SELECT package FROM source_document WHERE package = 'npm//package-7'`); err != nil {
		t.Error(err)
	}
	f.pass(30 * 24 * time.Hour)
	if err := c.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := f.documents(); n != 0 {
		t.Errorf("%d documents are left that are too old to be used", n)
	}
}

// Settings of a registry are not those of the others.
func TestCache_Override(t *testing.T) {
	f := open(t)
	c := f.cache(source.Settings{Background: time.Nanosecond})
	id := packages.PackageID{Format: packages.PyPI, Name: "six"}
	ask := func() (failure error) {
		t.Helper()
		_, state, err := c.Package(t.Context(), patient, id)
		if err != nil {
			t.Fatal(err)
		}
		return state.Failure
	}
	f.get(c, "left-pad")
	_ = ask()
	f.pass(30 * time.Minute)
	f.get(c, "left-pad")
	_ = ask()
	if n := f.codec.asked.Load(); n != 3 {
		t.Errorf("%d questions, want one for the registry with an hour and two for the other", n)
	}
	f.pass(20 * 24 * time.Hour)
	if err := c.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.codec.fail(func(context.Context) error { return &source.BadAnswer{What: "no"} })
	if ask() == nil {
		t.Error("the answer of the registry with a month is not used after 20 days")
	}
}

func TestExclusive(t *testing.T) {
	f := open(t)
	one, two := f.cache(source.Settings{}), f.cache(source.Settings{})
	release, err := one.Exclusive(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	other, err := two.Exclusive(t.Context(), "y")
	if err != nil {
		t.Fatal(err)
	}
	other()
	got := make(chan func())
	go func() {
		release, err := two.Exclusive(t.Context(), "x")
		if err != nil {
			t.Error(err)
		}
		got <- release
	}()
	select {
	case <-got:
		t.Error("two servers hold one name")
	case <-time.After(200 * time.Millisecond):
	}
	release()
	(<-got)()
	// A server that died holds nothing for long.
	if _, err := one.Exclusive(t.Context(), "z"); err != nil {
		t.Fatal(err)
	}
	f.pass(time.Minute)
	release, err = two.Exclusive(t.Context(), "z")
	if err != nil {
		t.Fatal(err)
	}
	release()
}

// A registry that tells no times adds a file to a version that is known: the file is as old
// as it has been known.
func TestCache_FileAddedLater(t *testing.T) {
	f := open(t)
	c := f.cache(source.Settings{Fresh: time.Second, Background: time.Second})
	began := f.now()
	answer := func(files ...packages.RemoteAsset) string {
		t.Helper()
		f.codec.versions.Store(&[]packages.RemoteVersion{{Version: "1.0", Assets: files}})
		p, _, err := c.Package(t.Context(), "public:npmjs", packages.PackageID{Format: packages.NPM, Name: "x"})
		if err != nil || len(p.Versions) != 1 {
			t.Fatalf("%+v, %v", p, err)
		}
		out := ""
		for _, a := range p.Versions[0].Assets {
			days := "-"
			if !a.Published.IsZero() {
				days = fmt.Sprint(int(a.Published.Sub(began) / (24 * time.Hour)))
			}
			out += a.Name + "=" + days + " "
		}
		return out
	}
	first, second, third := packages.RemoteAsset{Name: "a"}, packages.RemoteAsset{Name: "b"}, packages.RemoteAsset{Name: "c", Published: began.Add(48 * time.Hour)}
	for _, step := range []struct {
		files []packages.RemoteAsset
		want  string
	}{
		{[]packages.RemoteAsset{first}, "a=- "},
		{[]packages.RemoteAsset{first, second}, "a=- b=10 "},
		{[]packages.RemoteAsset{first, second, third}, "a=- b=10 c=2 "},
		{[]packages.RemoteAsset{second, first}, "b=10 a=- "},
	} {
		if got := answer(step.files...); got != step.want {
			t.Errorf("after %v: %s, want %s", f.now().Sub(began), got, step.want)
		}
		f.pass(10 * 24 * time.Hour)
	}
}
