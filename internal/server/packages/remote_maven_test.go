package packages_test

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
	mavensource "github.com/gatehouse-registry/gatehouse/internal/server/source/maven"
	"github.com/gatehouse-registry/gatehouse/internal/server/source/upstreamtest"
)

const (
	central = "public:maven-central"
	android = "public:maven-googleandroid"
)

// A mavenRepository stands in for a public repository.
type mavenRepository struct {
	*upstreamtest.Server
	now    time.Time // when the next version is published there
	listed map[string][]string
}

func newMavenRepository(t testing.TB) *mavenRepository {
	return &mavenRepository{upstreamtest.New(t), time.Date(2025, 5, 6, 7, 8, 9, 0, time.UTC), map[string][]string{}}
}

func mavenPath(id packages.PackageID) string {
	return "/" + strings.ReplaceAll(id.Namespace, ".", "/") + "/" + id.Name + "/"
}

// put puts a file of a version with its checksum.
func (m *mavenRepository) put(id packages.PackageID, version, name, content string) {
	sum := sha1.Sum([]byte(content))
	path := mavenPath(id) + version + "/" + name
	m.Put(path, upstreamtest.File{Body: []byte(content), Modified: m.now})
	m.Put(path+".sha1", upstreamtest.File{Body: []byte(hex.EncodeToString(sum[:])), Modified: m.now})
}

// add publishes a version with a POM and a jar.
func (m *mavenRepository) add(id packages.PackageID, version, content string) {
	m.put(id, version, pomOf(id, version), fmt.Sprintf("<project><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version><name>%s</name></project>", id.Namespace, id.Name, version, content))
	m.put(id, version, jarOf(id, version), content)
	m.listed[id.Name] = append(m.listed[id.Name], version)
	m.Put(mavenPath(id)+"maven-metadata.xml", upstreamtest.File{Type: "text/xml", Body: fmt.Appendf(nil,
		"<metadata><groupId>%s</groupId><artifactId>%s</artifactId><versioning><versions><version>%s</version></versions><lastUpdated>%s</lastUpdated></versioning></metadata>",
		id.Namespace, id.Name, strings.Join(m.listed[id.Name], "</version><version>"), m.now.Format("20060102150405"))})
}

func pomOf(id packages.PackageID, version string) string { return id.Name + "-" + version + ".pom" }
func jarOf(id packages.PackageID, version string) string { return id.Name + "-" + version + ".jar" }

func artifact(group, name string) packages.PackageID {
	return packages.PackageID{Format: packages.Maven, Namespace: group, Name: name}
}

// connectMaven returns a fixture with the repositories "central" and "android", which are
// connected, and "app", whose upstreams they are.
func connectMaven(t *testing.T, first, then *mavenRepository) *fixture {
	t.Helper()
	h := open(t)
	h.connectAll(source.Config{
		Settings: source.Settings{Background: time.Nanosecond},
		Registries: []*source.Registry{
			{Connection: central, Client: first.Upstream(t, central), Codec: mavensource.Codec{}},
			{Connection: android, Client: then.Upstream(t, android), Codec: mavensource.Codec{}},
		},
	})
	h.repositories("central", "android", "app: central android")
	h.ok(second(h.AssociateExternalConnection(h.ctx, domain.Repository("central"), central)))
	h.ok(second(h.AssociateExternalConnection(h.ctx, domain.Repository("android"), android)))
	return h
}

func TestRemote_Maven(t *testing.T) {
	one, two := newMavenRepository(t), newMavenRepository(t)
	lib := artifact("org.lib", "lib")
	one.add(lib, "1.0", "one")
	one.add(lib, "1.1", "two")
	one.put(lib, "1.1", "lib-1.1-sources.jar", "sources")
	two.add(lib, "1.1", "evil")
	two.add(lib, "2.0", "three")
	two.put(lib, "1.1", "lib-1.1-javadoc.jar", "of another version")
	h := connectMaven(t, one, two)
	if got := h.versions("app", lib); got != "1.0 1.1 2.0" {
		t.Fatalf("clients see %s", got)
	}
	for _, tt := range []struct{ version, file, want string }{
		{"1.1", "lib-1.1.jar", "two"}, {"1.1", "lib-1.1-sources.jar", "sources"}, {"2.0", "lib-2.0.jar", "three"},
	} {
		if got, err := h.read("app", lib, tt.version, tt.file); err != nil || got != tt.want {
			t.Fatalf("%s: %q, %v", tt.file, got, err)
		}
	}
	// The files of a version come from one repository, kept or not.
	for _, version := range []string{"1.0", "1.1"} {
		one.put(lib, version, pomOf(lib, version), "<project/>")
		_, err := h.read("app", lib, version, "lib-"+version+"-javadoc.jar")
		fails(t, err, "ResourceNotFound")
	}
	for repo, want := range map[string]string{"app": "1.1 2.0", "central": "1.1", "android": "2.0"} {
		if got := h.kept(repo, lib); got != want {
			t.Errorf("%s keeps %s, want %s", repo, got, want)
		}
	}
	_, err := h.read("central", lib, "2.0", pomOf(lib, "2.0"))
	fails(t, err, "ResourceNotFound") // another connection has it
}

func TestRemote_MavenDescription(t *testing.T) {
	one := newMavenRepository(t)
	lib := artifact("org.lib", "lib")
	one.add(lib, "1.0", "the library")
	h := connectMaven(t, one, newMavenRepository(t))
	for _, file := range []string{jarOf(lib, "1.0"), pomOf(lib, "1.0")} { // in any order
		h.ok(second(h.read("central", lib, "1.0", file)))
	}
	v, d, err := h.DescribeVersion(h.ctx, domain.Repository("central"), lib, "1.0")
	h.ok(err)
	if d.DisplayName != "the library" || v.EntryPoint != central || !v.Published.Equal(time.Date(2025, 5, 6, 7, 8, 9, 0, time.UTC)) {
		t.Errorf("the version is %+v, %+v", v, d)
	}
	// With the repository switched off, what is kept is served without asking.
	one.Close()
	h.pass(30 * 24 * time.Hour)
	if got, err := h.read("app", lib, "1.0", jarOf(lib, "1.0")); err != nil || got != "the library" {
		t.Errorf("%q, %v", got, err)
	}
}

// A version that no index lists is found, and all its files come from the repository that
// has its POM.
func TestRemote_MavenUnlisted(t *testing.T) {
	one, two := newMavenRepository(t), newMavenRepository(t)
	lib := artifact("org.lib", "lib")
	one.put(lib, "1.0", jarOf(lib, "1.0"), "without a POM")
	two.put(lib, "1.0", pomOf(lib, "1.0"), "<project/>")
	two.put(lib, "1.0", jarOf(lib, "1.0"), "right")
	two.put(lib, "2.0", jarOf(lib, "2.0"), "no POM anywhere")
	h := connectMaven(t, one, two)
	for version, want := range map[string]string{"1.0": "right", "2.0": "no POM anywhere"} {
		if got, err := h.read("app", lib, version, jarOf(lib, version)); err != nil || got != want {
			t.Errorf("version %s: %q, %v", version, got, err)
		}
	}
}

// What does not exist is not found, and nothing else: clients remember it.
func TestRemote_MavenMissing(t *testing.T) {
	one, two := newMavenRepository(t), newMavenRepository(t)
	lib := artifact("org.lib", "lib")
	one.add(lib, "1.0", "one")
	h := connectMaven(t, one, two)
	for range 3 {
		_, err := h.read("app", lib, "9.9", pomOf(lib, "9.9"))
		fails(t, err, "ResourceNotFound")
	}
	if n := one.Count(mavenPath(lib) + "9.9/lib-9.9.pom"); n != 1 {
		t.Errorf("%d questions for a file that does not exist", n)
	}
	one.Fail("", upstreamtest.Status(500))
	h.pass(time.Minute)
	two.add(lib, "9.9", "evil") // must not take the place of what cannot be seen
	for _, version := range []string{"9.9", "8.8"} {
		if _, err := h.read("app", lib, version, pomOf(lib, version)); fault.From(err).Kind != fault.BadGateway || !strings.Contains(err.Error(), central) {
			t.Errorf("while the repository fails: %v", err)
		}
	}
	// Snapshots are never taken, and so an outage does not concern them.
	one.Forget()
	for _, version := range []string{"1.0-SNAPSHOT", "1.0-20250102.030405-1"} {
		_, err := h.read("app", lib, version, pomOf(lib, version))
		fails(t, err, "ResourceNotFound")
	}
	fails(t, h.WhyNotVisible(h.ctx, domain.Repository("app"), lib, "1.0-SNAPSHOT"), "ResourceNotFound")
	if n := one.Count(""); n != 0 {
		t.Errorf("%d questions about snapshots", n)
	}
	one.Heal()
	h.pass(time.Minute)
	if got, err := h.read("app", lib, "9.9", jarOf(lib, "9.9")); err != nil || got != "evil" { // now the first one says that it does not have it
		t.Errorf("%q, %v", got, err)
	}
}

func TestRemote_MavenWrongBytes(t *testing.T) {
	one := newMavenRepository(t)
	lib := artifact("org.lib", "lib")
	for _, content := range []string{"small", large} {
		one.add(lib, "1.0", content)
		h := connectMaven(t, one, newMavenRepository(t))
		one.Fail(mavenPath(lib)+"1.0/lib-1.0.jar", upstreamtest.WrongBytes())
		_, err := h.read("app", lib, "1.0", jarOf(lib, "1.0"))
		fails(t, err, "UpstreamMismatch")
		_, err = h.FetchedAsset(h.ctx, domain.Repository("app"), lib, "1.0", jarOf(lib, "1.0"))
		fails(t, err, "UpstreamMismatch")
		if h.kept("app", lib) != "none" || h.kept("central", lib) != "none" {
			t.Error("it was kept")
		}
		one.Heal()
		a, err := h.FetchedAsset(h.ctx, domain.Repository("app"), lib, "1.0", jarOf(lib, "1.0"))
		if err != nil || a.Size != int64(len(content)) || a.MD5 == "" || a.SHA512 == "" {
			t.Errorf("the asset is %+v, %v", a, err)
		}
	}
}

// The group of an internal artifact is not asked for, neither as an artifact nor as a group
// with plug-ins, which have the same address.
func TestRemote_MavenConfusion(t *testing.T) {
	one := newMavenRepository(t)
	secret := artifact("com.acme", "secret")
	one.add(secret, "99.0", "evil")
	one.Put("/com/acme/maven-metadata.xml", upstreamtest.File{Type: "text/xml", Body: []byte("<metadata><plugins><plugin><prefix>evil</prefix><artifactId>evil</artifactId></plugin></plugins></metadata>")})
	h := connectMaven(t, one, newMavenRepository(t))
	h.mustPublish("app", secret, "1.0", jarOf(secret, "1.0"), "own")
	one.Forget()
	if got := h.versions("app", secret); got != "1.0" {
		t.Errorf("clients see %s", got)
	}
	_, err := h.read("app", secret, "99.0", pomOf(secret, "99.0"))
	fails(t, err, "ResourceNotFound")
	if !strings.Contains(err.Error(), "origin configuration") {
		t.Errorf("the reason is not told: %v", err)
	}
	plugins := func(group string) int {
		p, err := h.RemoteMavenPlugins(h.ctx, domain.Repository("app"), group)
		h.ok(err)
		return len(p)
	}
	if n := plugins("com.acme.secret"); n != 0 || one.Count("") != 0 {
		t.Errorf("%d groups with plug-ins after %d requests", n, one.Count(""))
	}
	if n := plugins("com.acme"); n != 1 {
		t.Errorf("%d groups with plug-ins", n)
	}
	h.groups("/maven/com.acme/*")
	h.restrict("/maven/com.acme/*", "EXTERNAL_UPSTREAM BLOCK")
	one.Forget()
	_, err = h.read("app", artifact("com.acme", "other"), "1.0", "other-1.0.pom")
	fails(t, err, "ResourceNotFound")
	if n := plugins("com.acme"); n != 0 || one.Count("") != 0 {
		t.Errorf("with a package group: %d groups with plug-ins after %d requests", n, one.Count(""))
	}
}

// The files of one version that are asked for at once are downloaded once each.
func TestRemote_MavenSingleFlight(t *testing.T) {
	one := newMavenRepository(t)
	lib := artifact("org.lib", "lib")
	one.add(lib, "1.0", large)
	h := connectMaven(t, one, newMavenRepository(t))
	errs := make(chan error)
	for i := range 40 {
		go func() {
			_, o, err := h.OpenAsset(h.ctx, domain.Repository([]string{"app", "central"}[i%2]), lib, "1.0", []string{pomOf(lib, "1.0"), jarOf(lib, "1.0")}[i/2%2])
			if err == nil {
				_, err = io.Copy(io.Discard, o)
				o.Close()
			}
			errs <- err
		}()
	}
	for range 40 {
		h.ok(<-errs)
	}
	for _, file := range []string{pomOf(lib, "1.0"), jarOf(lib, "1.0"), jarOf(lib, "1.0") + ".sha1"} {
		if n := one.Count(mavenPath(lib) + "1.0/" + file); n != 1 {
			t.Errorf("%s was asked for %d times", file, n)
		}
	}
}

// A malicious version appears in the repository: clients stay on the one before, and its
// files are refused, until it is a week old. An index has no times of versions, but all
// are at least as old as its last change.
func TestAdmission_Maven(t *testing.T) {
	one := newMavenRepository(t)
	lib := artifact("org.lib", "lib")
	h := connectMaven(t, one, newMavenRepository(t))
	h.setPolicy("app", denyIf("NothingYoung", youngerThanWeek))
	one.now = h.now().Add(-30 * 24 * time.Hour)
	one.add(lib, "1.0", "good")
	if got := h.versions("app", lib); got != "1.0" {
		t.Fatalf("clients see %s", got)
	}
	h.pass(time.Minute)
	one.now = h.now()
	one.add(lib, "1.1", "worm")
	if got := h.versions("app", lib); got != "1.0" {
		t.Errorf("clients see %s", got)
	}
	if got, err := h.read("app", lib, "1.0", jarOf(lib, "1.0")); err != nil || got != "good" {
		t.Errorf("%q, %v", got, err)
	}
	for _, file := range []string{pomOf(lib, "1.1"), jarOf(lib, "1.1")} {
		for _, err := range []error{
			second(h.read("app", lib, "1.1", file)), second(h.FetchedAsset(h.ctx, domain.Repository("app"), lib, "1.1", file)),
			h.WhyNotVisible(h.ctx, domain.Repository("app"), lib, "1.1"),
		} {
			fails(t, err, "AccessDenied")
			if !strings.Contains(err.Error(), "NothingYoung") {
				t.Errorf("the rule is not told: %v", err)
			}
		}
		if n := one.Count(mavenPath(lib) + "1.1/" + file); n != 0 {
			t.Errorf("%s was downloaded %d times", file, n)
		}
	}
	h.pass(8 * 24 * time.Hour)
	if got := h.versions("app", lib); got != "1.0 1.1" {
		t.Errorf("after a week clients see %s", got)
	}
	if got, err := h.read("app", lib, "1.1", jarOf(lib, "1.1")); err != nil || got != "worm" {
		t.Errorf("after a week: %q, %v", got, err)
	}
}
