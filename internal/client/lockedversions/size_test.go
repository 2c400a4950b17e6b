package lockedversions_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/client/lockedversions"
)

// Large files are read in linear time. With quadratic time, each of them takes minutes.
func TestRead_Large(t *testing.T) {
	padding := strings.Repeat("\n", 16<<20)
	entries := func(n int, format string) string {
		var all strings.Builder
		for i := range n {
			fmt.Fprintf(&all, format, i, i)
		}
		return all.String()
	}
	const n = 50_000
	for _, c := range []struct {
		file, content string
		line          int // of the last version; 0 if it is not known
		fails         bool
	}{
		{file: "package-lock.json", content: `{"packages": {` + padding + entries(n, `"node_modules/p%d": {"version": "1.0.%d"},`+"\n") + `"": {}}}`, line: 16<<20 + n},
		{file: "packages.lock.json", content: `{"dependencies": {"net8.0": {` + padding + entries(n, `"p%d": {"resolved": "1.0.%d"},`+"\n") + `"x": {"type": "Project"}}}}`, line: 16<<20 + n},
		{file: "uv.lock", content: entries(n, "[[package]]\nname = 'p%d'\nversion = \"1.0.%d\"\nsource = { registry = \"x\" }\n") + padding},
		{file: "requirements.txt", content: strings.Repeat("\\\n", 16<<20) + "a==1.0\n", fails: true},
		{
			file: "pom.xml", content: "<project><properties><p>" + strings.Repeat("x", 16<<20) + "</p></properties><dependencyManagement><dependencies>" +
				strings.Repeat("<dependency><groupId>${p}</groupId></dependency>", n) + "</dependencies></dependencyManagement></project>", fails: true,
		},
	} {
		began := time.Now()
		l, err := lockedversions.Read(c.file, []byte(c.content))
		if c.fails != (err != nil) {
			t.Errorf("%s: %v", c.file, err)
		}
		if !c.fails && len(l.Versions) != n {
			t.Errorf("%s: %d versions", c.file, len(l.Versions))
		}
		if c.line > 0 {
			last := 0
			for i := range l.Versions {
				last = max(last, l.Versions[i].Line)
			}
			if last != c.line {
				t.Errorf("%s: the last version is in line %d, want %d", c.file, last, c.line)
			}
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("%s: %s", c.file, took)
		}
	}
}
