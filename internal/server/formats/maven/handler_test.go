package maven_test

import (
	"archive/zip"
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/maven"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// A repository is an endpoint of the server.
type repository struct {
	*formatstest.Server
	t   testing.TB
	url string
}

func start(t testing.TB) (app, shared repository) {
	t.Helper()
	s := formatstest.Start(t, func(p *packages.Service) map[packages.Format]formats.Protocol {
		return map[packages.Format]formats.Protocol{packages.Maven: maven.New(formats.ProtocolConfig{Packages: p, MaxAsset: 1 << 20})}
	})
	at := func(r packages.RepositoryID) repository { return repository{s, t, s.Endpoint(r, packages.Maven)} }
	return at(formatstest.App), at(formatstest.Shared)
}

// do fails the test unless the answer has the status.
func (r repository) do(status int, user formatstest.User, method, path, body string, headers ...string) formatstest.Response {
	r.t.Helper()
	res := r.Do(user, method, r.url+path, body, headers...)
	if res.StatusCode != status {
		r.t.Fatalf("%s /%s: %d, want %d: %.500s", method, path, res.StatusCode, status, res.Body)
	}
	return res
}

func (r repository) put(path, body string) {
	r.t.Helper()
	r.do(http.StatusCreated, formatstest.Admin, "PUT", path, body)
}

func (r repository) get(path string) string {
	r.t.Helper()
	return r.do(http.StatusOK, formatstest.Reader, "GET", path, "").Body
}

func (r repository) missing(path string) {
	r.t.Helper()
	r.do(http.StatusNotFound, formatstest.Reader, "GET", path, "")
}

func pom(artifact, version, packaging string) string {
	return fmt.Sprintf("<project><modelVersion>4.0.0</modelVersion><groupId>com.acme</groupId><artifactId>%s</artifactId><version>%s</version><packaging>%s</packaging></project>", artifact, version, packaging)
}

// artifactIndex is what Maven puts after the files of a version.
func artifactIndex(artifact string, versions ...string) string {
	return "<metadata><groupId>com.acme</groupId><artifactId>" + artifact + "</artifactId><versioning><versions><version>" +
		strings.Join(versions, "</version><version>") + "</version></versions></versioning></metadata>"
}

// deploy publishes a jar as Maven does.
func (r repository) deploy(artifact, version string) {
	r.t.Helper()
	folder := "com/acme/" + artifact + "/"
	file := folder + version + "/" + artifact + "-" + version
	r.put(file+".jar", "jar of "+version)
	r.put(file+".pom", pom(artifact, version, "jar"))
	r.put(folder+"maven-metadata.xml", artifactIndex(artifact, version))
}

// deploySnapshot publishes a build as Maven does, with the parts ".jar", ".pom".
func (r repository) deploySnapshot(artifact, base, timestamp string, number int, parts ...string) {
	r.t.Helper()
	folder := "com/acme/" + artifact + "/" + base + "-SNAPSHOT/"
	for _, p := range parts {
		content := p + " of " + timestamp
		if p == ".pom" {
			content = pom(artifact, base+"-SNAPSHOT", "jar") + "<!--" + timestamp + "-->"
		}
		r.put(fmt.Sprintf("%s%s-%s-%s-%d%s", folder, artifact, base, timestamp, number, p), content)
	}
	r.put(folder+"maven-metadata.xml", fmt.Sprintf(`<metadata><groupId>com.acme</groupId><artifactId>%s</artifactId><version>%s-SNAPSHOT</version>
		<versioning><snapshot><timestamp>%s</timestamp><buildNumber>%d</buildNumber></snapshot></versioning></metadata>`, artifact, base, timestamp, number))
	r.put("com/acme/"+artifact+"/maven-metadata.xml", artifactIndex(artifact, base+"-SNAPSHOT"))
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("no %s in\n%s", p, text)
		}
	}
}

func TestRelease(t *testing.T) {
	app, _ := start(t)
	const folder = "com/acme/lib/"
	app.put(folder+"1.9/lib-1.9.jar", "jar")
	app.put(folder+"1.9/lib-1.9.pom", pom("lib", "1.9", "jar"))
	app.missing(folder + "maven-metadata.xml") // Unfinished
	if got := app.get(folder + "1.9/lib-1.9.jar"); got != "jar" {
		t.Error(got)
	}
	app.put(folder+"maven-metadata.xml", artifactIndex("lib", "1.9"))
	app.deploy("lib", "1.10")
	app.deploy("lib", "1.8") // a fix of an old version

	got := app.get(folder + "maven-metadata.xml")
	contains(t, got, "<groupId>com.acme</groupId>", "<artifactId>lib</artifactId>", "<latest>1.10</latest>", "<release>1.10</release>",
		"<version>1.8</version>\n      <version>1.9</version>\n      <version>1.10</version>", "<lastUpdated>20")

	// The same bytes again are success, and others are not. More files may come.
	app.put(folder+"1.9/lib-1.9.jar", "jar")
	r := app.do(http.StatusConflict, formatstest.Admin, "PUT", folder+"1.9/lib-1.9.jar", "other")
	var problem struct {
		Type, Title, Detail string
		Status              int
	}
	if err := json.Unmarshal([]byte(r.Body), &problem); err != nil || r.Header.Get("Content-Type") != "application/problem+json" ||
		problem.Status != 409 || problem.Title != "Conflict" || problem.Type != "about:blank" || !strings.Contains(problem.Detail, "lib-1.9.jar") {
		t.Errorf("%v, %s", err, r.Body)
	}
	app.put(folder+"1.9/lib-1.9-sources.jar", "sources")
	if got := app.get(folder + "1.9/lib-1.9.jar"); got != "jar" {
		t.Error(got)
	}
}

func TestChecksums(t *testing.T) {
	app, _ := start(t)
	app.deploy("lib", "1.0")
	const jar = "com/acme/lib/1.0/lib-1.0.jar"
	sum1, sum5 := sha1.Sum([]byte("jar of 1.0")), md5.Sum([]byte("jar of 1.0"))
	if got := app.get(jar + ".sha1"); got != hex.EncodeToString(sum1[:]) {
		t.Error(got)
	}
	r := app.do(http.StatusOK, formatstest.Reader, "GET", jar, "")
	if r.Header.Get("X-Checksum-SHA1") != hex.EncodeToString(sum1[:]) || r.Header.Get("X-Checksum-MD5") != hex.EncodeToString(sum5[:]) {
		t.Error(r.Header)
	}
	// Those of an index fit the document.
	r = app.do(http.StatusOK, formatstest.Reader, "GET", "com/acme/lib/maven-metadata.xml", "")
	sum1 = sha1.Sum([]byte(r.Body))
	if got := app.get("com/acme/lib/maven-metadata.xml.sha1"); got != hex.EncodeToString(sum1[:]) || r.Header.Get("X-Checksum-SHA1") != got {
		t.Error(got)
	}
	// What a client sends is compared with the file, and for an index with nothing.
	app.put(jar+".md5", hex.EncodeToString(sum5[:])+"  lib-1.0.jar\n")
	app.do(http.StatusBadRequest, formatstest.Admin, "PUT", jar+".sha1", hex.EncodeToString(sum5[:]))
	app.do(http.StatusNotFound, formatstest.Admin, "PUT", "com/acme/lib/1.0/lib-1.0-x.jar.sha1", "x")
	app.do(http.StatusNotFound, formatstest.Admin, "PUT", "com/acme/lib/2.0/lib-2.0.jar.sha1", "x")
	app.put("com/acme/lib/maven-metadata.xml.sha1", "0123456789012345678901234567890123456789")
	app.missing("com/acme/lib/1.0/lib-1.0-x.jar.sha1")
	app.missing("com/acme/lib/2.0/lib-2.0.jar.sha1")
	app.missing("com/acme/other/1.0/other-1.0.jar.sha1")
}

func TestSnapshots(t *testing.T) {
	app, _ := start(t)
	const folder = "com/acme/lib/1.1-SNAPSHOT/"
	app.missing(folder + "maven-metadata.xml")
	app.deploySnapshot("lib", "1.1", "20261129.234155", 1, ".jar", ".pom", "-linux.jar")
	app.deploySnapshot("lib", "1.1", "20261130.010203", 2, ".jar", ".pom", "-bin.tar.gz")
	contains(t, app.get(folder+"maven-metadata.xml"),
		"<version>1.1-SNAPSHOT</version>",
		"<timestamp>20261130.010203</timestamp>\n      <buildNumber>2</buildNumber>",
		"<lastUpdated>20261130010203</lastUpdated>",
		"<extension>pom</extension>\n        <value>1.1-20261130.010203-2</value>\n        <updated>20261130010203</updated>",
		"<classifier>bin</classifier>\n        <extension>tar.gz</extension>\n        <value>1.1-20261130.010203-2</value>",
		// What the newest build lacks, the newest that has it provides.
		"<classifier>linux</classifier>\n        <extension>jar</extension>\n        <value>1.1-20261129.234155-1</value>")
	for _, file := range []string{"lib-1.1-20261129.234155-1.jar", "lib-1.1-20261130.010203-2.jar"} {
		contains(t, app.get(folder+file), ".jar of ")
	}
	got := app.get("com/acme/lib/maven-metadata.xml")
	contains(t, got, "<latest>1.1-SNAPSHOT</latest>", "<versions>\n      <version>1.1-SNAPSHOT</version>\n    </versions>")
	if strings.Contains(got, "<release>") {
		t.Error(got)
	}
	app.missing(folder + "lib-1.1-SNAPSHOT.jar")

	// The API has each build, and the snapshot with the files of the newest.
	ctx := authn.WithCaller(t.Context(), app.Caller(formatstest.Admin))
	id := packages.PackageID{Format: packages.Maven, Namespace: "com.acme", Name: "lib"}
	v, err := app.Packages.VersionAssets(ctx, formatstest.App, id, "1.1-SNAPSHOT")
	if err != nil || v.Status != packages.Published || len(v.Assets) != 3 || v.Asset("lib-1.1-20261130.010203-2.jar") == nil {
		t.Errorf("%+v, %v", v, err)
	}
	v, err = app.Packages.VersionAssets(ctx, formatstest.App, id, "1.1-20261129.234155-1")
	if err != nil || v.Status != packages.Unlisted {
		t.Errorf("%+v, %v", v, err)
	}

	// If the newest build is deleted, the one before is the newest.
	if err := app.Packages.DeleteVersions(ctx, formatstest.App, id, []string{"1.1-20261130.010203-2"}); err != nil {
		t.Fatal(err)
	}
	contains(t, app.get(folder+"maven-metadata.xml"), "<timestamp>20261129.234155</timestamp>")
}

func TestSnapshots_Refused(t *testing.T) {
	app, _ := start(t)
	r := app.do(http.StatusBadRequest, formatstest.Admin, "PUT", "com/acme/lib/1.1-SNAPSHOT/lib-1.1-SNAPSHOT.jar", "x")
	contains(t, r.Body, "NonUniqueSnapshot", "time stamp")
	app.do(http.StatusBadRequest, formatstest.Admin, "PUT", "com/acme/lib/1.1-20261129.234155-1/lib-1.1-20261129.234155-1.jar", "x")
	app.do(http.StatusBadRequest, formatstest.Admin, "PUT", "com/acme/lib/1.1-SNAPSHOT/maven-metadata.xml", "<metadata><version>1.2-SNAPSHOT</version></metadata>")
}

// pluginJar is the jar of a plug-in with the prefix, or without a descriptor.
func pluginJar(t *testing.T, prefix string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	name, text := "META-INF/maven/plugin.xml", "<plugin><goalPrefix>"+prefix+"</goalPrefix></plugin>"
	if prefix == "" {
		name = "x"
	}
	f, err := z.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPlugins(t *testing.T) {
	app, shared := start(t)
	deploy := func(r repository, artifact, prefix string) {
		t.Helper()
		r.put("com/acme/"+artifact+"/1.0/"+artifact+"-1.0.jar", pluginJar(t, prefix))
		r.put("com/acme/"+artifact+"/1.0/"+artifact+"-1.0.pom", pom(artifact, "1.0", "maven-plugin"))
		r.put("com/acme/"+artifact+"/maven-metadata.xml", artifactIndex(artifact, "1.0"))
		r.put("com/acme/maven-metadata.xml", "<metadata><plugins><plugin><name>x</name><prefix>wrong</prefix><artifactId>"+artifact+"</artifactId></plugin></plugins></metadata>")
		r.put("com/acme/maven-metadata.xml.sha1", "0123456789012345678901234567890123456789")
	}
	app.deploy("lib", "1.0") // no plug-in
	app.missing("com/acme/maven-metadata.xml")
	deploy(app, "hello-maven-plugin", "hi")
	deploy(shared, "maven-bye-plugin", "")
	got := app.get("com/acme/maven-metadata.xml")
	contains(t, got, "<prefix>hi</prefix>\n      <artifactId>hello-maven-plugin</artifactId>", "<prefix>bye</prefix>\n      <artifactId>maven-bye-plugin</artifactId>")
	if strings.Contains(got, "lib") || strings.Contains(got, "wrong") || strings.Contains(got, "versioning") {
		t.Error(got)
	}
	// The folder of a group is the one of an artifact, too.
	app.put("com/acme/1.0/acme-1.0.pom", strings.Replace(pom("acme", "1.0", "pom"), "com.acme", "com", 1))
	app.put("com/acme/maven-metadata.xml", "<metadata><groupId>com</groupId><artifactId>acme</artifactId><versioning><versions><version>1.0</version></versions></versioning></metadata>")
	contains(t, app.get("com/acme/maven-metadata.xml"), "<groupId>com</groupId>", "<version>1.0</version>", "<prefix>hi</prefix>")
}

func TestUpstream(t *testing.T) {
	app, shared := start(t)
	shared.deploy("lib", "1.0")
	shared.deploySnapshot("lib", "1.1", "20261129.234155", 1, ".jar", ".pom")
	contains(t, app.get("com/acme/lib/maven-metadata.xml"), "<version>1.0</version>")
	contains(t, app.get("com/acme/lib/1.1-SNAPSHOT/lib-1.1-20261129.234155-1.jar"), ".jar of 20261129")
	contains(t, app.get("com/acme/lib/1.0/lib-1.0.pom"), "<project>")
	// A build after the first was kept downstream is the newest there, too.
	shared.deploySnapshot("lib", "1.1", "20261130.010203", 2, ".jar", ".pom")
	contains(t, app.get("com/acme/lib/1.1-SNAPSHOT/maven-metadata.xml"), "<buildNumber>2</buildNumber>")
	contains(t, app.get("com/acme/lib/1.1-SNAPSHOT/lib-1.1-20261130.010203-2.jar"), ".jar of 20261130")
	shared.deploy("lib", "2.0")
	contains(t, app.get("com/acme/lib/maven-metadata.xml"), "<release>2.0</release>")
	r := app.do(http.StatusConflict, formatstest.Admin, "PUT", "com/acme/lib/2.0/lib-2.0.jar", "x")
	contains(t, r.Body, "blocks publishing") // what was kept is from upstream
}

// TestParallelDeployments deploys versions at once, each with its files at once.
func TestParallelDeployments(t *testing.T) {
	app, _ := start(t)
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			version := fmt.Sprintf("1.%d", i)
			file := "com/acme/lib/" + version + "/lib-" + version
			var files sync.WaitGroup
			for suffix, content := range map[string]string{".jar": "jar", ".pom": pom("lib", version, "jar"), "-sources.jar": "s", "-build.pom": "b"} {
				files.Go(func() {
					if r := app.Do(formatstest.Admin, "PUT", app.url+file+suffix, content); r.StatusCode != http.StatusCreated {
						t.Errorf("%s: %d %s", suffix, r.StatusCode, r.Body)
					}
				})
			}
			files.Wait()
			// The client read an index without the others' versions.
			if r := app.Do(formatstest.Admin, "PUT", app.url+"com/acme/lib/maven-metadata.xml", artifactIndex("lib", version)); r.StatusCode != http.StatusCreated {
				t.Errorf("%d %s", r.StatusCode, r.Body)
			}
		})
	}
	all.Wait()
	got := app.get("com/acme/lib/maven-metadata.xml")
	for i := range 6 {
		contains(t, got, fmt.Sprintf("<version>1.%d</version>", i))
		contains(t, app.get(fmt.Sprintf("com/acme/lib/1.%d/lib-1.%d-sources.jar", i, i)), "s")
	}
}

func TestStatuses(t *testing.T) {
	app, _ := start(t)
	app.deploy("lib", "1.0")
	app.deploy("lib", "2.0")
	ctx := authn.WithCaller(t.Context(), app.Caller(formatstest.Admin))
	id := packages.PackageID{Format: packages.Maven, Namespace: "com.acme", Name: "lib"}
	set := func(status packages.Status) {
		t.Helper()
		if _, err := app.Packages.UpdateVersionsStatus(ctx, formatstest.App, id, packages.Selection{Versions: []string{"2.0"}}, status); err != nil {
			t.Fatal(err)
		}
	}
	set(packages.Unlisted)
	if got := app.get("com/acme/lib/maven-metadata.xml"); strings.Contains(got, "2.0") {
		t.Error(got)
	}
	app.get("com/acme/lib/2.0/lib-2.0.jar")
	app.get("com/acme/lib/2.0/lib-2.0.jar.sha1")
	set(packages.Archived)
	app.missing("com/acme/lib/2.0/lib-2.0.jar")
	app.missing("com/acme/lib/2.0/lib-2.0.jar.sha1")
}

// TestIvy publishes as sbt does: no index is put.
func TestIvy(t *testing.T) {
	app, _ := start(t)
	const ivy = "User-Agent: Apache Ivy/2.5.2"
	app.do(http.StatusNotFound, formatstest.Admin, "HEAD", "com/acme/lib/1.0/lib-1.0.pom", "", ivy)
	app.do(http.StatusCreated, formatstest.Admin, "PUT", "com/acme/lib/1.0/lib-1.0.pom", pom("lib", "1.0", "jar"), ivy)
	app.do(http.StatusCreated, formatstest.Admin, "PUT", "com/acme/lib/1.0/lib-1.0-sources.jar", "s", ivy)
	app.missing("com/acme/lib/maven-metadata.xml")
	app.do(http.StatusCreated, formatstest.Admin, "PUT", "com/acme/lib/1.0/lib-1.0.jar", "jar", ivy)
	contains(t, app.get("com/acme/lib/maven-metadata.xml"), "<version>1.0</version>")
	app.do(http.StatusOK, formatstest.Admin, "HEAD", "com/acme/lib/1.0/lib-1.0.pom", "", ivy)
	// A POM without a file of its own.
	app.do(http.StatusCreated, formatstest.Admin, "PUT", "com/acme/parent/1.0/parent-1.0.pom", pom("parent", "1.0", "pom"), ivy)
	contains(t, app.get("com/acme/parent/maven-metadata.xml"), "<version>1.0</version>")
}

func TestDescription(t *testing.T) {
	app, _ := start(t)
	app.put("com/acme/lib/1.0/lib-1.0.pom", `<project><artifactId>lib</artifactId><description>A library</description>
		<dependencies><dependency><groupId>g</groupId><artifactId>a</artifactId><version>1</version></dependency></dependencies></project>`)
	ctx := authn.WithCaller(t.Context(), app.Caller(formatstest.Admin))
	_, d, err := app.Packages.DescribeVersion(ctx, formatstest.App, packages.PackageID{Format: packages.Maven, Namespace: "com.acme", Name: "lib"}, "1.0")
	if err != nil || d.Summary != "A library" || d.DisplayName != "lib" || len(d.Dependencies) != 1 {
		t.Errorf("%+v, %v", d, err)
	}
	r := app.do(http.StatusBadRequest, formatstest.Admin, "PUT", "com/acme/lib/2.0/lib-2.0.pom", "<html></html>")
	contains(t, r.Body, "InvalidPOM", "lib-2.0.pom is not a POM that can be read")
	app.do(http.StatusRequestEntityTooLarge, formatstest.Admin, "PUT", "com/acme/lib/2.0/lib-2.0.jar", strings.Repeat("x", 1<<20+1))
}

func TestPermissions(t *testing.T) {
	app, _ := start(t)
	// A publisher may put files, and only who may put metadata can finish the version.
	const file = "com/acme/lib/1.0/lib-1.0.pom"
	app.do(http.StatusCreated, formatstest.Publisher, "PUT", file, pom("lib", "1.0", "jar"))
	sum := sha1.Sum([]byte(pom("lib", "1.0", "jar")))
	app.do(http.StatusCreated, formatstest.Publisher, "PUT", file+".sha1", hex.EncodeToString(sum[:]))
	for _, path := range []string{"com/acme/lib/maven-metadata.xml", "com/acme/lib/1.0-SNAPSHOT/maven-metadata.xml"} {
		app.do(http.StatusForbidden, formatstest.Publisher, "PUT", path, artifactIndex("lib", "1.0"))
		app.do(http.StatusForbidden, formatstest.Publisher, "PUT", path+".sha1", "x")
		app.do(http.StatusForbidden, formatstest.Publisher, "PUT", path, "not XML")
	}
	app.do(http.StatusForbidden, formatstest.Publisher, "PUT", "com/acme/maven-metadata.xml", "<metadata><plugins><plugin><artifactId>p</artifactId></plugin></plugins></metadata>")
	for _, path := range []string{file, file + ".sha1", "com/acme/lib/maven-metadata.xml", "com/acme/lib/maven-metadata.xml.sha1", "com/maven-metadata.xml", "com/acme/lib/1-SNAPSHOT/maven-metadata.xml"} {
		app.do(http.StatusForbidden, formatstest.Publisher, "GET", path, "")
		app.do(http.StatusUnauthorized, "", "GET", path, "")
	}
	app.do(http.StatusForbidden, formatstest.Reader, "PUT", file, "x")
	app.do(http.StatusForbidden, formatstest.Reader, "PUT", file+".sha1", "x")
	app.do(http.StatusNotFound, formatstest.Reader, "GET", ".meta/prefixes.txt", "")
	app.do(http.StatusMethodNotAllowed, formatstest.Admin, "DELETE", file, "")
	r := app.do(http.StatusUnauthorized, "", "GET", file, "")
	if c := r.Header["Www-Authenticate"]; len(c) != 2 || c[0] != `Bearer realm="acme/app"` || c[1] != `Basic realm="acme/app"` {
		t.Errorf("%q", c)
	}
	contains(t, r.Body, "gatehouse login --tool maven", `"status":401`)
}
