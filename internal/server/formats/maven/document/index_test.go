package document

import (
	"fmt"
	"strings"
	"testing"
)

// maven3 and maven4 are what Maven 3.8 and Maven 4 put for one snapshot.
const (
	maven3 = `<?xml version="1.0" encoding="UTF-8"?>
<metadata modelVersion="1.1.0">
  <groupId>com.acme</groupId>
  <artifactId>app</artifactId>
  <versioning>
    <lastUpdated>20261129234155</lastUpdated>
    <snapshot>
      <timestamp>20261129.234155</timestamp>
      <buildNumber>2</buildNumber>
    </snapshot>
    <snapshotVersions>
      <snapshotVersion>
        <extension>pom</extension>
        <value>1.1-20261129.234155-2</value>
        <updated>20261129234155</updated>
      </snapshotVersion>
    </snapshotVersions>
  </versioning>
  <version>1.1-SNAPSHOT</version>
</metadata>
`
	maven4 = `<?xml version="1.0" encoding="UTF-8"?>
<metadata xmlns="http://maven.apache.org/METADATA/1.1.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" modelVersion="1.1.0"><groupId>com.acme</groupId><artifactId>app</artifactId><versioning><snapshot><timestamp>20261129.234155</timestamp><buildNumber>2</buildNumber></snapshot><snapshotVersions><snapshotVersion><classifier></classifier><extension>pom</extension><value>1.1-20261129.234155-2</value></snapshotVersion></snapshotVersions></versioning><version>1.1-SNAPSHOT</version></metadata>`
)

func TestParseIndex_Snapshot(t *testing.T) {
	for name, text := range map[string]string{"Maven 3": maven3, "Maven 4": maven4} {
		x, err := ParseIndex([]byte(text))
		if err != nil {
			t.Fatal(name, err)
		}
		if x.GroupID != "com.acme" || x.ArtifactID != "app" || x.Version != "1.1-SNAPSHOT" || strings.Join(x.Builds(x.Version), " ") != "1.1-20261129.234155-2" {
			t.Errorf("%s: %+v", name, x)
		}
	}
}

func TestParseIndex_Artifact(t *testing.T) {
	x, err := ParseIndex([]byte("<metadata>\n<groupId> com.acme </groupId><artifactId>app</artifactId><versioning><release>1.0</release><versions><version>1.0</version>\n<version>\n1.1 </version></versions></versioning></metadata>"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(x.Listed(), " "); x.GroupID != "com.acme" || got != "1.0 1.1" || len(x.Builds("1.1-SNAPSHOT")) > 0 {
		t.Errorf("%+v, %q", x, got)
	}
}

func TestParseIndex_Invalid(t *testing.T) {
	for _, text := range []string{"", "<html></html>", "<metadata><versioning></metadata>", "not XML"} {
		if x, err := ParseIndex([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, x)
		}
	}
}

func TestIndex_Render(t *testing.T) {
	x := Index{
		GroupID: "com.acme", ArtifactID: "a&b", Versioning: &Versioning{
			Latest: "2", Release: "2", Versions: []string{"1", "2"}, LastUpdated: "20261129234155",
		}, Plugins: []Plugin{{"Hello", "hello", "hello-maven-plugin"}},
	}
	const want = `<?xml version="1.0" encoding="UTF-8"?>
<metadata modelVersion="1.1.0">
  <groupId>com.acme</groupId>
  <artifactId>a&amp;b</artifactId>
  <versioning>
    <latest>2</latest>
    <release>2</release>
    <versions>
      <version>1</version>
      <version>2</version>
    </versions>
    <lastUpdated>20261129234155</lastUpdated>
  </versioning>
  <plugins>
    <plugin>
      <name>Hello</name>
      <prefix>hello</prefix>
      <artifactId>hello-maven-plugin</artifactId>
    </plugin>
  </plugins>
</metadata>
`
	if got := string(x.Render()); got != want {
		t.Errorf("%s", got)
	}
}

func FuzzParseIndex(f *testing.F) {
	f.Add([]byte(maven3))
	f.Add([]byte(maven4))
	f.Add([]byte(`<metadata><plugins><plugin><prefix>p</prefix><artifactId>a</artifactId></plugin></plugins></metadata>`))
	f.Fuzz(func(t *testing.T, text []byte) {
		x, err := ParseIndex(text)
		if err != nil {
			return
		}
		again, err := ParseIndex(x.Render())
		if err != nil {
			t.Fatalf("%v: %s", err, x.Render())
		}
		if fmt.Sprint(again.Listed()) != fmt.Sprint(x.Listed()) || fmt.Sprint(again.Builds("1-SNAPSHOT")) != fmt.Sprint(x.Builds("1-SNAPSHOT")) {
			t.Fatalf("%+v, and again %+v", x, again)
		}
	})
}
