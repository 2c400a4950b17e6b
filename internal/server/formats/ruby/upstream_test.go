package ruby_test

import (
	"compress/gzip"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/ruby"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
	rubysource "github.com/gatehouse-registry/gatehouse/internal/server/source/ruby"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/upstreamtest"
)

const rubygems = "public:ruby-gems-org"

// A registry stands in for the public registry of gems.
type registry struct {
	*upstreamtest.Server
	t     testing.TB
	infos map[string]string
	list  string // the lines of versions
}

// add publishes a gem there, as the public registry does: at the end of the list.
func (r *registry) add(name, version, requires string) {
	content := gem(r.t, name, version, "", name+version)
	sum := sha256.Sum256([]byte(content))
	if r.infos[name] == "" {
		r.infos[name] = "---\n"
	}
	r.infos[name] += version + " " + requires + "|checksum:" + hex.EncodeToString(sum[:]) + ",ruby:>= 2.0\n"
	r.Put("/gems/"+name+"-"+version+".gem", upstreamtest.File{Body: []byte(content)})
	r.save(name, version)
}

// save serves the document of a gem, and adds a line to the list.
func (r *registry) save(name, numbers string) {
	info := r.infos[name]
	r.Put("/info/"+name, upstreamtest.File{Body: []byte(info), Type: "text/plain"})
	r.list += name + " " + numbers + " " + md5Of(info) + "\n"
	text := "created_at: 2026-01-01T00:00:00Z\n---\n" + r.list
	r.Put("/versions", upstreamtest.File{Body: []byte(text), Type: "text/plain", ETag: `"` + md5Of(text) + `"`})
}

func md5Of(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// startConnected starts a server whose shared repository is connected to the registry.
func startConnected(t testing.TB) (r *registry, s *formatstest.Server, app string) {
	t.Helper()
	r = &registry{Server: upstreamtest.New(t), t: t, infos: map[string]string{}}
	dir := t.TempDir()
	s = formatstest.StartWith(t, func(p *packages.Service) map[packages.Format]formats.Protocol {
		return map[packages.Format]formats.Protocol{packages.Ruby: ruby.New(formats.ProtocolConfig{Packages: p})}
	}, func(database *db.DB, now func() time.Time) packages.Remote {
		c, err := source.New(t.Context(), source.Config{
			DB: database, Dir: dir, Now: now, Settings: source.Settings{Background: time.Nanosecond},
			Registries: []*source.Registry{{Connection: rubygems, Client: r.Upstream(t, rubygems), Codec: rubysource.Codec{}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	})
	if _, err := s.Packages.AssociateExternalConnection(authn.WithCaller(t.Context(), s.Caller(formatstest.Admin)), formatstest.Shared, rubygems); err != nil {
		t.Fatal(err)
	}
	return r, s, s.Endpoint(formatstest.App, packages.Ruby)
}

func get(t testing.TB, s *formatstest.Server, url string, headers ...string) formatstest.Response {
	t.Helper()
	s.Advance(3 * time.Minute) // nothing is fresh
	return s.Do(formatstest.Reader, "GET", url, "", headers...)
}

const header = "created_at: 2024-01-01T00:00:00Z\n---\n"

func TestExternal(t *testing.T) {
	r, s, app := startConnected(t)
	r.add("left", "1.0.0", "dep:>= 1&< 3")
	r.add("dep", "2.0.0", "")
	s.Do(formatstest.Admin, "POST", app+"api/v1/gems", gem(t, "own", "0.1.0", "", "x"))
	own := s.Do(formatstest.Reader, "GET", app+"info/own", "").Body
	ownLine := "own 0.1.0 " + md5Of(own) + "\n"
	if got := get(t, s, app+"versions"); got.Body != header+ownLine+r.list || got.Header.Get("ETag") != `"`+md5Of(got.Body)+`"` {
		t.Fatalf("versions are %v\n%s", got.Header, got.Body)
	}
	// The document of a gem has the sum that the list tells.
	if got := get(t, s, app+"info/left"); got.Body != r.infos["left"] || got.Header.Get("ETag") != `"`+md5Of(r.infos["left"])+`"` {
		t.Errorf("info is %v\n%s", got.Header, got.Body)
	}
	if got := get(t, s, app+"quick/Marshal.4.8/left-1.0.0.gemspec.rz"); got.StatusCode != http.StatusOK {
		t.Errorf("the specification: %d, %s", got.StatusCode, got.Body)
	}
	if got := get(t, s, app+"gems/left-1.0.0.gem"); got.Body != gem(t, "left", "1.0.0", "", "left1.0.0") {
		t.Errorf("the gem: %d, %d bytes", got.StatusCode, len(got.Body))
	}
	admin := authn.WithCaller(t.Context(), s.Caller(formatstest.Admin))
	v, d, err := s.Packages.DescribeVersion(admin, formatstest.App, packages.PackageID{Format: packages.Ruby, Name: "left"}, "1.0.0")
	if err != nil || v.EntryPoint != rubygems || d.Summary != "a gem" {
		t.Errorf("what is kept: %+v, %+v, %v", v, d, err)
	}
	// What is kept changes neither document.
	before := get(t, s, app+"versions")
	if before.Body != header+ownLine+r.list || get(t, s, app+"info/left").Body != r.infos["left"] {
		t.Errorf("after a download:\n%s", before.Body)
	}

	// Bundler gets what was added at the end, if it has the beginning.
	tail := []string{"If-None-Match: " + before.Header.Get("ETag"), fmt.Sprintf("Range: bytes=%d-", len(before.Body)-1)}
	if got := get(t, s, app+"versions", tail...); got.StatusCode != http.StatusNotModified {
		t.Errorf("without a change: %d", got.StatusCode)
	}
	r.add("left", "1.1.0", "")
	got := get(t, s, app+"versions", tail...)
	want := header + ownLine + r.list
	sum := sha256.Sum256([]byte(want))
	if got.StatusCode != http.StatusPartialContent || before.Body+got.Body[1:] != want || got.Header.Get("ETag") != `"`+md5Of(want)+`"` ||
		got.Header.Get("Repr-Digest") != "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":" {
		t.Errorf("what was added: %d, %v\n%s", got.StatusCode, got.Header, got.Body)
	}
	s.Do(formatstest.Admin, "POST", app+"api/v1/gems", gem(t, "another", "1.0", "", "x"))
	if got := get(t, s, app+"versions", tail...); got.StatusCode != http.StatusOK || !strings.HasPrefix(got.Body, header+"another 1.0 ") {
		t.Errorf("after a publication here: %d\n%s", got.StatusCode, got.Body)
	}

	// Without the registry.
	all := get(t, s, app+"versions").Body
	get(t, s, app+"info/left")
	r.Close()
	if got := get(t, s, app+"versions"); got.Body != all || !strings.Contains(got.Header.Get("Cache-Status"), rubygems) {
		t.Errorf("without the registry: %v\n%s", got.Header, got.Body)
	}
	if got := get(t, s, app+"gems/left-1.0.0.gem"); got.StatusCode != http.StatusOK {
		t.Errorf("without the registry: %d, %s", got.StatusCode, got.Body)
	}
	if got := get(t, s, app+"gems/left-1.1.0.gem"); got.StatusCode != http.StatusBadGateway {
		t.Errorf("what is not kept, without the registry: %d, %s", got.StatusCode, got.Body)
	}
}

// Names that origin controls block are not in the list.
func TestExternal_Blocked(t *testing.T) {
	r, s, app := startConnected(t)
	for _, name := range []string{"acme-secret", "acme-next", "acme-group", "mixed", "public"} {
		r.add(name, "99.0.0", "")
	}
	admin := authn.WithCaller(t.Context(), s.Caller(formatstest.Admin))
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	id := func(name string) packages.PackageID { return packages.PackageID{Format: packages.Ruby, Name: name} }
	s.Do(formatstest.Admin, "POST", app+"api/v1/gems", gem(t, "acme-secret", "1.0.0", "", "x"))
	s.Do(formatstest.Admin, "POST", app+"api/v1/gems", gem(t, "mixed", "1.0.0", "", "x"))
	check(s.Packages.SetOrigin(admin, formatstest.App, id("mixed"), packages.Origin{Publish: packages.Allow, Upstream: packages.Allow}))
	check(s.Packages.SetOrigin(admin, formatstest.Shared, id("acme-next"), packages.Origin{Publish: packages.Allow, Upstream: packages.Block}))
	group := packages.GroupID{Domain: formatstest.Domain, Pattern: "/ruby//acme-group$"}
	_, err := s.Packages.CreateGroup(admin, packages.NewGroup{ID: group})
	check(err)
	restrict := func(mode packages.OriginMode) {
		t.Helper()
		_, _, err := s.Packages.UpdateGroupOrigin(admin, group, packages.OriginUpdate{Modes: map[packages.OriginType]packages.OriginMode{packages.ByExternalUpstream: mode}})
		check(err)
	}
	restrict(packages.BlockAll)
	got := get(t, s, app+"versions").Body
	sum := func(name string) string { return md5Of(get(t, s, app+"info/"+name).Body) }
	want := header + "acme-secret 1.0.0 " + sum("acme-secret") + "\nmixed 1.0.0,99.0.0 " + sum("mixed") + "\npublic 99.0.0 " + sum("public") + "\n"
	if got != want {
		t.Errorf("versions are\n%s, want\n%s", got, want)
	}
	for _, name := range []string{"acme-next", "acme-group"} {
		if got := get(t, s, app+"info/"+name); got.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d\n%s", name, got.StatusCode, got.Body)
		}
	}
	// The group decides again.
	restrict(packages.AllowAll)
	if got := get(t, s, app+"versions").Body; !strings.Contains(got, "acme-group 99.0.0 ") {
		t.Errorf("versions are\n%s", got)
	}
}

// stored waits until what clients have got is stored.
func stored(t *testing.T, s *formatstest.Server) {
	t.Helper()
	if err := s.Packages.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A version that was yanked there is unlisted here.
func TestExternal_Yanked(t *testing.T) {
	r, s, app := startConnected(t)
	r.add("left", "1.0.0", "")
	r.add("left", "1.1.0", "")
	if got := get(t, s, app+"gems/left-1.0.0.gem"); got.StatusCode != http.StatusOK {
		t.Fatal(got.Body)
	}
	stored(t, s)
	lines := strings.SplitAfter(r.infos["left"], "\n")
	r.infos["left"] = lines[0] + lines[2]
	r.save("left", "-1.0.0")
	if got := get(t, s, app+"info/left").Body; strings.Contains(got, "1.0.0 ") || !strings.Contains(got, "1.1.0 ") {
		t.Errorf("info is\n%s", got)
	}
	if got := get(t, s, app+"gems/left-1.0.0.gem"); got.StatusCode != http.StatusOK {
		t.Errorf("a lock file does not go on working: %d, %s", got.StatusCode, got.Body)
	}
	r.infos["left"] = "---\n"
	r.save("left", "-1.1.0")
	if got := get(t, s, app+"info/left"); strings.Contains(got.Body, "1.0.0 ") || strings.Contains(got.Body, "1.1.0 ") {
		t.Errorf("after all was yanked: %d\n%s", got.StatusCode, got.Body)
	}
}

// A gem with other bytes than the index tells is not kept.
func TestExternal_WrongBytes(t *testing.T) {
	r, s, app := startConnected(t)
	r.add("left", "1.0.0", "")
	r.Fail("/gems/left-1.0.0.gem", upstreamtest.WrongBytes())
	if got := get(t, s, app+"gems/left-1.0.0.gem"); got.StatusCode != http.StatusBadGateway || s.Objects() != 0 {
		t.Errorf("%d, %s, %d objects", got.StatusCode, got.Body, s.Objects())
	}
	r.Heal()
	if got := get(t, s, app+"gems/left-1.0.0.gem"); got.StatusCode != http.StatusOK {
		t.Errorf("%d, %s", got.StatusCode, got.Body)
	}
}

// A gem that was yanked there for one platform is not listed for it any more.
func TestExternal_PlatformYanked(t *testing.T) {
	r, s, app := startConnected(t)
	r.add("left", "1.0.0", "")
	java := gem(t, "left", "1.0.0", "java", "x")
	sum := sha256.Sum256([]byte(java))
	both := r.infos["left"] + "1.0.0-java |checksum:" + hex.EncodeToString(sum[:]) + "\n"
	one := r.infos["left"]
	r.infos["left"] = both
	r.save("left", "1.0.0-java")
	r.Put("/gems/left-1.0.0-java.gem", upstreamtest.File{Body: []byte(java)})
	for _, file := range []string{"left-1.0.0.gem", "left-1.0.0-java.gem"} {
		if got := get(t, s, app+"gems/"+file); got.StatusCode != http.StatusOK {
			t.Fatal(got.Body)
		}
	}
	stored(t, s)
	r.infos["left"] = one
	r.save("left", "-1.0.0-java")
	if got := get(t, s, app+"info/left"); got.Body != one {
		t.Errorf("info is\n%s", got.Body)
	}
	if got := get(t, s, app+"gems/left-1.0.0-java.gem"); got.StatusCode != http.StatusOK {
		t.Errorf("a lock file does not go on working: %d, %s", got.StatusCode, got.Body)
	}
	r.infos["left"] = both // the yank was a mistake
	r.save("left", "1.0.0-java")
	if got := get(t, s, app+"info/left"); got.Body != both {
		t.Errorf("info is\n%s", got.Body)
	}
}

// specs returns what a list of all gems has.
func specs(t testing.TB, s *formatstest.Server, url string) string {
	t.Helper()
	r := get(t, s, url)
	if r.StatusCode != http.StatusOK {
		t.Fatal(url, r.StatusCode, r.Body)
	}
	z, err := gzip.NewReader(strings.NewReader(r.Body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z) // to the end, with its sum
	if err != nil {
		t.Fatal(url, err)
	}
	return string(text)
}

// The lists of all gems have the public ones, as far as a client sees them.
func TestExternal_Specs(t *testing.T) {
	r, s, app := startConnected(t)
	mustPush(t, s, app, gem(t, "own", "1.0.0", "", "own"))
	r.add("many", "1.9.0", "")
	r.add("many", "1.10.0", "")
	r.add("many", "2.0.0.pre", "")
	r.add("gone", "3.3.3", "")
	r.save("gone", "-3.3.3")
	r.add("own", "99.0.0", "") // dependency confusion
	for list, want := range map[string]string{"specs": "1.9.0 1.10.0", "latest_specs": "1.10.0", "prerelease_specs": "2.0.0.pre"} {
		text := specs(t, s, app+list+".4.8.gz")
		var got []string
		for _, v := range []string{"1.9.0", "1.10.0", "2.0.0.pre"} {
			if strings.Contains(text, v) {
				got = append(got, v)
			}
		}
		if strings.Join(got, " ") != want || strings.Contains(text, "3.3.3") || strings.Contains(text, "99.0.0") || strings.Contains(text, "own") != (list != "prerelease_specs") {
			t.Errorf("%s has %q, want %s", list, text, want)
		}
	}
	// The list of the registry says nothing by which a rule could decide.
	admin := authn.WithCaller(t.Context(), s.Caller(formatstest.Admin))
	rule := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Resource":"*","Action":"codeartifact:ReadFromRepository","Condition":{"NumericLessThan":{"gatehouse:VersionAge":"7"},"StringEquals":{"gatehouse:PackageOrigin":"external"}}}]}`
	if _, err := s.Packages.SetRepositoryPolicy(admin, formatstest.App, rule, ""); err != nil {
		t.Fatal(err)
	}
	if text := specs(t, s, app+"specs.4.8.gz"); !strings.Contains(text, "own") || strings.Contains(text, "many") {
		t.Errorf("with a rule of admission, the list has %q", text)
	}
	if _, err := s.Packages.DeleteRepositoryPolicy(admin, formatstest.App, ""); err != nil {
		t.Fatal(err)
	}
	// Without the registry, what is here is listed, and the client is told.
	r.Close()
	s.Advance(30 * 24 * time.Hour)
	if text := specs(t, s, app+"specs.4.8.gz"); !strings.Contains(text, "own") || strings.Contains(text, "many") {
		t.Errorf("without the registry, the list has %q", text)
	}
	if got := get(t, s, app+"specs.4.8.gz").Header.Get("Cache-Status"); !strings.Contains(got, rubygems) {
		t.Errorf("without the registry, Cache-Status is %q", got)
	}
}
