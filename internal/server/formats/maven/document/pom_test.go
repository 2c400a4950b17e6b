package document

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/charmap"
)

const examplePOM = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE project [<!ENTITY copy "&#169;">]>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <parent><groupId>com.acme</groupId><artifactId>parent</artifactId><version>7</version></parent>
  <artifactId>app</artifactId>
  <version>1.${minor}</version>
  <name>The ${project.artifactId}</name>
  <description>
    Gr&uuml;&szlig;e
  </description>
  <url>https://app.example</url>
  <properties><minor>2</minor><lib.version>3.${minor}</lib.version></properties>
  <licenses><license><name>Apache-2.0</name><url>https://license.example</url></license><license/></licenses>
  <scm><url>https://source.example</url></scm>
  <dependencyManagement><dependencies><dependency><groupId>g</groupId><artifactId>managed</artifactId></dependency></dependencies></dependencyManagement>
  <dependencies>
    <dependency><groupId>${project.groupId}</groupId><artifactId>lib</artifactId><version>${lib.version}</version></dependency>
    <dependency><groupId>g</groupId><artifactId>t</artifactId><version>${unknown}</version><scope>test</scope></dependency>
    <dependency><groupId>g</groupId><artifactId>o</artifactId><optional>true</optional><scope>runtime</scope></dependency>
  </dependencies>
</project>`

func TestPOM_Describe(t *testing.T) {
	p, err := ParsePOM(strings.NewReader(examplePOM))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(p.Describe(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
 "displayName": "The app",
 "summary": "Grüße",
 "homePage": "https://app.example",
 "sourceCodeRepository": "https://source.example",
 "licenses": [
  {
   "name": "Apache-2.0",
   "url": "https://license.example"
  }
 ],
 "dependencies": [
  {
   "namespace": "com.acme",
   "package": "parent",
   "type": "parent",
   "versionRequirement": "7"
  },
  {
   "namespace": "com.acme",
   "package": "lib",
   "type": "compile",
   "versionRequirement": "3.2"
  },
  {
   "namespace": "g",
   "package": "t",
   "type": "test",
   "versionRequirement": "${unknown}"
  },
  {
   "namespace": "g",
   "package": "o",
   "type": "optional"
  }
 ]
}`
	if string(got) != want {
		t.Errorf("%s", got)
	}
}

func TestParsePOM_Charset(t *testing.T) {
	text, err := charmap.ISO8859_1.NewEncoder().String(`<?xml version="1.0" encoding="ISO-8859-1"?><project><name>Käse</name></project>`)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParsePOM(strings.NewReader(text))
	if err != nil || p.Name != "Käse" {
		t.Fatalf("%+v, %v", p, err)
	}
}

func TestParsePOM_Invalid(t *testing.T) {
	for _, text := range []string{"", "<html/>", "<project><name></project>", `<?xml version="1.0" encoding="no-such"?><project/>`} {
		if p, err := ParsePOM(strings.NewReader(text)); err == nil {
			t.Errorf("%q: %+v", text, p)
		}
	}
}

// TestPOM_PropertyBomb has properties that double at each level.
func TestPOM_PropertyBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("<project><name>${p0}</name><properties>")
	for i := range 60 {
		fmt.Fprintf(&b, "<p%d>%s</p%d>", i, strings.Repeat(fmt.Sprintf("${p%d}", i+1), 20), i)
	}
	b.WriteString("</properties></project>")
	started := time.Now()
	p, err := ParsePOM(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	if name := p.Describe().DisplayName; len(name) > maxExpanded {
		t.Errorf("%d bytes", len(name))
	}
	if took := time.Since(started); took > time.Minute {
		t.Errorf("took %v", took)
	}
}

func FuzzParsePOM(f *testing.F) {
	f.Add([]byte(examplePOM))
	f.Add([]byte(`<project><properties><a>${a}</a></properties><name>${a}</name><packaging>maven-plugin</packaging></project>`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParsePOM(strings.NewReader(string(text)))
		if err != nil {
			return
		}
		if p.Metadata().Packaging == "" {
			t.Fatal("no packaging")
		}
		for _, d := range p.Describe().Dependencies {
			if d.Type == "" {
				t.Fatalf("%+v has no type", d)
			}
		}
	})
}
