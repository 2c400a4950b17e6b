package packages_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/cargo/stored"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
	cargosource "github.com/gatehouse-registry/gatehouse/internal/server/source/cargo"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/upstreamtest"
)

const cratesIO = "public:crates-io"

// crates stand in for the public registry of cargo. Their files are on another host.
type crates struct {
	*upstreamtest.Server
	files *upstreamtest.Server
	lines map[string]string
}

func newCrates(t testing.TB) *crates {
	c := &crates{upstreamtest.New(t), upstreamtest.New(t), map[string]string{}}
	c.Put("/config.json", upstreamtest.File{Body: fmt.Appendf(nil, `{"dl":"%s/{crate}/{crate}-{version}.crate"}`, c.files.URL)})
	return c
}

// add publishes a version there.
func (c *crates) add(name, version, content string) {
	sum := sha256.Sum256([]byte(content))
	c.lines[name] += fmt.Sprintf(`{"name":"%s","vers":"%s","deps":[],"cksum":"%s","features":{},"yanked":false,"later":1}`+"\n", name, version, hex.EncodeToString(sum[:]))
	c.files.Put("/"+name+"/"+name+"-"+version+".crate", upstreamtest.File{Body: []byte(content)})
	c.save(name)
}

func (c *crates) save(name string) {
	c.Put("/"+stored.IndexPath(name), upstreamtest.File{Body: []byte(c.lines[name]), Type: "text/plain"})
}

// yank yanks all versions.
func (c *crates) yank(name string, yanked bool) {
	c.lines[name] = strings.ReplaceAll(c.lines[name], fmt.Sprintf(`"yanked":%t`, !yanked), fmt.Sprintf(`"yanked":%t`, yanked))
	c.save(name)
}

func crate(name string) packages.PackageID {
	return packages.PackageID{Format: packages.Cargo, Name: name}
}

func connectCrates(t *testing.T, c *crates, specs ...string) *fixture {
	t.Helper()
	h := open(t)
	h.connectAll(source.Config{
		Settings:   source.Settings{Background: time.Nanosecond},
		Registries: []*source.Registry{{Connection: cratesIO, Client: c.Upstream(t, cratesIO, c.files), Codec: cargosource.New(h.now)}},
	})
	h.repositories(append([]string{"cargo-store"}, specs...)...)
	h.ok(second(h.AssociateExternalConnection(h.ctx, domain.Repository("cargo-store"), cratesIO)))
	return h
}

func TestRemote_Cargo(t *testing.T) {
	c := newCrates(t)
	c.add("Left", "1.0.0", "one")
	c.add("Left", "1.1.0+b", "two")
	h := connectCrates(t, c, "app: cargo-store")
	// cargo asks for the index in lower case, and for files by the name in the index.
	if got := h.versions("app", crate("left")); got != "1.0.0 1.1.0+b" {
		t.Fatalf("clients see %s", got)
	}
	p, err := h.Package(h.ctx, domain.Repository("app"), crate("left"))
	h.ok(err)
	if p.ID.Name != "Left" {
		t.Errorf("the name is %s", p.ID.Name)
	}
	if got, err := h.read("app", crate("Left"), "1.1.0+b", "Left-1.1.0+b.crate"); err != nil || got != "two" {
		t.Fatalf("%q, %v", got, err)
	}
	if n := c.Count("/le/ft/left"); n != 1 {
		t.Errorf("the index was read %d times", n)
	}
	for _, repo := range []string{"app", "cargo-store"} {
		if got := h.kept(repo, crate("left")); got != "1.1.0+b" {
			t.Errorf("%s keeps %s", repo, got)
		}
	}
	v, d, err := h.DescribeVersion(h.ctx, domain.Repository("app"), crate("left"), "1.1.0+b")
	h.ok(err)
	if v.EntryPoint != cratesIO || d.DisplayName != "Left" {
		t.Errorf("the version is %+v, %+v", v, d)
	}
	// The line is the upstream's, with members that this program does not know, also of a
	// version that is kept.
	if m, err := stored.Decode(p.Version("1.1.0+b").Metadata); err != nil || !strings.HasSuffix(string(m.Index), `"features":{},"later":1}`) {
		t.Errorf("the line is %s, %v", m.Index, err)
	}
}

// A yank upstream reaches clients, also for a version that is kept, and so does its end.
func TestRemote_CargoYank(t *testing.T) {
	c := newCrates(t)
	c.add("left", "1.0.0", "one")
	h := connectCrates(t, c, "app: cargo-store")
	h.ok(second(h.read("app", crate("left"), "1.0.0", "left-1.0.0.crate")))
	for _, yanked := range []bool{true, false} {
		c.yank("left", yanked)
		h.pass(time.Minute)
		p, err := h.Package(h.ctx, domain.Repository("app"), crate("left"))
		h.ok(err)
		if v := p.Version("1.0.0"); (v.Status == packages.Unlisted) != yanked {
			t.Errorf("yanked upstream: %v, the status is %s", yanked, v.Status)
		}
	}
	// Somebody who sets the status here decides from then on.
	h.ok(second(h.UpdateVersionsStatus(h.ctx, domain.Repository("app"), crate("left"), packages.Selection{Versions: []string{"1.0.0"}}, packages.Unlisted)))
	h.pass(time.Minute)
	if got := h.versions("app", crate("left")); got != "" {
		t.Errorf("clients see %s", got)
	}
}

// A crate with other bytes than the index says is not kept, and one of the same name as a
// published one, in any spelling, is not asked for.
func TestRemote_CargoRefused(t *testing.T) {
	c := newCrates(t)
	c.add("left", "1.0.0", "one")
	c.add("acme_secret", "99.0.0", "evil")
	h := connectCrates(t, c, "app: cargo-store")
	c.files.Fail("/left/left-1.0.0.crate", upstreamtest.WrongBytes())
	_, err := h.read("app", crate("left"), "1.0.0", "left-1.0.0.crate")
	fails(t, err, "UpstreamMismatch")
	if h.kept("app", crate("left")) != "none" || h.kept("cargo-store", crate("left")) != "none" {
		t.Error("it was kept")
	}
	h.mustPublish("app", crate("Acme-Secret"), "1.0.0", "Acme-Secret-1.0.0.crate", "own")
	c.Forget()
	for _, name := range []string{"acme_secret", "acme-secret", "ACME_SECRET"} {
		if got := h.versions("app", crate(name)); got != "1.0.0" || c.Count("") > 0 {
			t.Errorf("%s: clients see %s after %d requests", name, got, c.Count(""))
		}
	}
	// An outage is not a crate that does not exist.
	c.Close()
	if _, err := h.Package(h.ctx, domain.Repository("app"), crate("right")); fault.From(err).Kind != fault.BadGateway || !strings.Contains(err.Error(), cratesIO) {
		t.Errorf("the error is %v", err)
	}
}
