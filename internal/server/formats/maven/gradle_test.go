package maven_test

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
)

// gradlePut puts a file with its four checksums, as the plug-in maven-publish of Gradle 6
// and later does. The requests are known from Gradle's source: no such release can be
// installed from a package registry.
func (r repository) gradlePut(path, body string) {
	r.t.Helper()
	const agent = "User-Agent: Gradle/8.10 (Linux;6.1;amd64) (Debian;17.0.15;17.0.15+6)"
	r.do(http.StatusCreated, formatstest.Admin, "PUT", path, body, agent)
	for name, h := range map[string]hash.Hash{"sha1": sha1.New(), "md5": md5.New(), "sha256": sha256.New(), "sha512": sha512.New()} {
		h.Write([]byte(body))
		r.do(http.StatusCreated, formatstest.Admin, "PUT", path+"."+name, hex.EncodeToString(h.Sum(nil)), agent)
	}
}

// TestPublish_Gradle publishes a release and two builds of a snapshot with the module
// metadata of Gradle.
func TestPublish_Gradle(t *testing.T) {
	app, _ := start(t)
	const folder = "com/acme/lib/"
	module := func(version string) string {
		return fmt.Sprintf(`{"formatVersion":"1.1","component":{"group":"com.acme","module":"lib","version":%q},"variants":[]}`, version)
	}
	publish := func(version, file string) {
		app.gradlePut(folder+version+"/"+file+".jar", "jar of "+file)
		app.gradlePut(folder+version+"/"+file+".module", module(version))
		app.gradlePut(folder+version+"/"+file+".pom", pom("lib", version, "jar")+"<!-- "+file+" -->")
	}
	app.missing(folder + "maven-metadata.xml")
	publish("1.0", "lib-1.0")
	app.gradlePut(folder+"maven-metadata.xml", artifactIndex("lib", "1.0"))

	for number, timestamp := range []string{"20261130.100000", "20261130.110000"} {
		build := fmt.Sprintf("%s-%d", timestamp, number+1)
		publish("1.1-SNAPSHOT", "lib-1.1-"+build)
		app.gradlePut(folder+"1.1-SNAPSHOT/maven-metadata.xml", fmt.Sprintf(`<metadata modelVersion="1.1.0"><groupId>com.acme</groupId><artifactId>lib</artifactId><version>1.1-SNAPSHOT</version>
			<versioning><snapshot><timestamp>%s</timestamp><buildNumber>%d</buildNumber></snapshot><lastUpdated>%s</lastUpdated></versioning></metadata>`, timestamp, number+1, strings.ReplaceAll(timestamp, ".", "")))
		app.gradlePut(folder+"maven-metadata.xml", artifactIndex("lib", "1.0", "1.1-SNAPSHOT"))
	}

	contains(t, app.get(folder+"maven-metadata.xml"), "<release>1.0</release>", "<version>1.0</version>", "<version>1.1-SNAPSHOT</version>")
	contains(t, app.get(folder+"1.1-SNAPSHOT/maven-metadata.xml"), "<timestamp>20261130.110000</timestamp>", "<buildNumber>2</buildNumber>",
		"<extension>module</extension>\n        <value>1.1-20261130.110000-2</value>")
	if got := app.get(folder + "1.0/lib-1.0.module"); got != module("1.0") {
		t.Error(got)
	}
	if got := app.get(folder + "1.1-SNAPSHOT/lib-1.1-20261130.100000-1.jar"); got != "jar of lib-1.1-20261130.100000-1" {
		t.Error(got)
	}
}
