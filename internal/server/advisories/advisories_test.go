package advisories_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/advisories"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// An operator may do everything but what it refuses.
type operator struct{ refuses string }

func (o operator) Authorize(_ context.Context, operation, _ string) error {
	if operation == o.refuses || o.refuses == "*" {
		return fault.New(fault.Denied, "AccessDenied", "no")
	}
	return nil
}

func open(t *testing.T, d *db.DB, o operator) *advisories.Service {
	t.Helper()
	s, err := advisories.New(t.Context(), advisories.Config{DB: d, Operators: o, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const prototype = `{"schema_version":"1.6.0","id":"GHSA-1","modified":"2026-01-02T03:04:05Z","published":"2025-01-02T03:04:05Z","aliases":["CVE-2025-1"],
	"summary":"Prototype pollution","severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"}],
	"references":[{"type":"WEB","url":"https://example.com/web"},{"type":"ADVISORY","url":"https://example.com/GHSA-1"}],
	"database_specific":{"severity":"MODERATE","cwe_ids":["CWE-1321"]},
	"affected":[
		{"package":{"ecosystem":"npm","name":"@acme/merge"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.2.3"},{"introduced":"2.0.0"},{"last_affected":"2.1.0"}]},{"type":"GIT","events":[{"introduced":"abc"}]}],"versions":["1.0.0","3.0.0"]},
		{"package":{"ecosystem":"Go","name":"example.com/x"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}]}]}`

var merge = packages.PackageID{Format: packages.NPM, Namespace: "acme", Name: "merge"}

func TestParse(t *testing.T) {
	p, err := advisories.Parse([]byte(prototype))
	if err != nil || p.ID != "GHSA-1" || p.Withdrawn || len(p.Packages) != 2 || p.Packages[0].Package != merge {
		t.Fatalf("%+v, %v", p, err)
	}
	a := p.Packages[0].Advisory
	if a.Severity != packages.Moderate || a.Malware || a.URL != "https://example.com/GHSA-1" || a.CWEs[0] != "CWE-1321" || a.Aliases[0] != "CVE-2025-1" || a.Score == "" || a.Summary != "Prototype pollution" {
		t.Errorf("%+v", a)
	}
	if got := fmt.Sprint(a.Ranges, a.Versions); got != "[<1.2.3 >=2.0.0 <=2.1.0] [3.0.0]" {
		t.Error(got)
	}
	for version, want := range map[string]bool{"0.0.1": true, "1.2.2": true, "1.2.3": false, "1.2.3-rc.1": true, "2.0.0": true, "2.1.0": true, "2.1.1": false, "3.0.0": true, "3.0.1": false} {
		if a.Affects(packages.NPM, version) != want {
			t.Errorf("version %s is affected: %v", version, !want)
		}
	}
}

func TestParse_Ecosystems(t *testing.T) {
	for _, c := range []struct{ ecosystem, name, version, want string }{
		{"npm", "left-pad", "1.0.0", "npm//left-pad"},
		{"PyPI", "Some.Lib", "1.0.0.0", "pypi//some-lib"},
		{"Maven", "com.acme:core", "1.0", "maven/com.acme/core"},
		{"Maven:https://example.com", "com.acme:core", "1.0", "maven/com.acme/core"},
		{"NuGet", "Acme.Core", "1.0", "nuget//acme.core"},
		{"RubyGems", "rack", "1.0", "ruby//rack"},
		{"crates.io", "serde_json", "1.0.0", "cargo//serde-json"},
		{"npm", "@acme", "1.0.0", ""},
		{"Maven", "core", "1.0", ""},
		{"PyPI", "a b", "1.0", ""},
		{"Debian", "bash", "1", ""},
		{"Debian:12", "bash", "1", "Debian:12//bash"},
		{"Ubuntu:22.04:LTS", "bash", "1", "Ubuntu:22.04//bash"},
		{"Go", "example.com/x", "1.0.0", "Go//example.com/x"},
		{"Fedora:40", "bash", "1", ""},
	} {
		text, err := json.Marshal(map[string]any{"id": "X-1", "affected": []any{map[string]any{"package": map[string]string{"ecosystem": c.ecosystem, "name": c.name}, "versions": []string{c.version}}}})
		if err != nil {
			t.Fatal(err)
		}
		p, err := advisories.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if len(p.Packages) == 1 {
			got = p.Packages[0].Package.Key()
		}
		if got != c.want {
			t.Errorf("%s %s is %q, want %q", c.ecosystem, c.name, got, c.want)
		}
	}
}

// The severity of a document is that of its authors, or follows from its vector. The scores
// are those of FIRST's examples.
func TestParse_Severity(t *testing.T) {
	for _, c := range []struct{ id, members, want string }{
		{"A", `"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]`, "critical"}, // 9.8
		{"A", `"severity":[{"type":"CVSS_V3","score":"CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N"}]`, "moderate"}, // 6.1
		{"A", `"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H"}]`, "high"},     // 8.8
		{"A", `"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:P/AC:H/PR:L/UI:R/S:U/C:L/I:N/A:N"}]`, "low"},      // 1.6
		{"A", `"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N"}]`, ""},
		{"A", `"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:X"}]`, ""},
		{"A", `"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/AV:P"}]`, ""},
		{"A", `"severity":[{"type":"CVSS_V4","score":"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H"}]`, "critical"},        // 10
		{"A", `"severity":[{"type":"CVSS_V4","score":"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N"}]`, "high"},            // 8.7
		{"A", `"severity":[{"type":"CVSS_V4","score":"CVSS:4.0/AV:L/AC:H/AT:N/PR:N/UI:A/VC:N/VI:N/VA:L/SC:H/SI:H/SA:H"}]`, "moderate"},        // 5.2
		{"A", `"severity":[{"type":"CVSS_V4","score":"CVSS:4.0/AV:P/AC:H/AT:P/PR:H/UI:A/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N"}]`, "low"},             // 0.3
		{"A", `"severity":[{"type":"CVSS_V4","score":"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N/E:U/CR:L/X"}]`, "high"}, // by its base metrics
		{"A", `"severity":[{"type":"CVSS_V4","score":"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N"}]`, ""},
		{"A", `"severity":[{"type":"CVSS_V4","score":"CVSS:4.0/AC:L/AV:N/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H"}]`, ""},
		{"A", `"severity":[{"type":"CVSS_V3","score":"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H"}]`, ""},
		{"A", `"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:P/AC:H/PR:L/UI:R/S:U/C:L/I:N/A:N"},{"type":"CVSS_V4","score":"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N"}]`, "high"},
		{"A", `"severity":[{"type":"CVSS_V4","score":"CVSS:4.0/AV:N"}],"database_specific":{"severity":"high"}`, "high"},
		{"A", `"database_specific":{"severity":7,"cwe_ids":"x"}`, ""},
		{"MAL-2026-1", `"summary":"steals"`, "critical"},
		{"A", `"aliases":["MAL-2026-1"]`, "critical"},
	} {
		p, err := advisories.Parse([]byte(`{"id":"` + c.id + `",` + c.members + `,"affected":[{"package":{"ecosystem":"npm","name":"x"},"versions":["1.0.0"]}]}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Packages[0].Advisory; got.Severity.String() != c.want || got.Malware != strings.Contains(c.id+c.members, "MAL-") {
			t.Errorf("%s: %q, malware %v", c.members, got.Severity, got.Malware)
		}
	}
}

// Every vector of base metrics of CVSS 4 has a score, so the library, which panics on some
// others, never does.
func TestParse_AllVectorsOfCVSS4(t *testing.T) {
	metrics := [...]struct{ name, values string }{
		{"AV", "NALP"},
		{"AC", "LH"},
		{"AT", "NP"},
		{"PR", "NLH"},
		{"UI", "NPA"},
		{"VC", "HLN"},
		{"VI", "HLN"},
		{"VA", "HLN"},
		{"SC", "HLN"},
		{"SI", "HLN"},
		{"SA", "HLN"},
	}
	counts := map[string]int{}
	var try func(vector string, left int)
	try = func(vector string, left int) {
		if left == 0 {
			p, err := advisories.Parse([]byte(`{"id":"A","severity":[{"type":"CVSS_V4","score":"` + vector + `"}],"affected":[{"package":{"ecosystem":"npm","name":"x"},"versions":["1"]}]}`))
			if err != nil {
				t.Fatal(err)
			}
			counts[p.Packages[0].Advisory.Severity.String()]++
			return
		}
		metric := metrics[len(metrics)-left]
		for _, value := range metric.values {
			try(vector+"/"+metric.name+":"+string(value), left-1)
		}
	}
	try("CVSS:4.0", len(metrics))
	// No impact at all is 144 vectors: those have no severity.
	if counts[""] != 144 || counts["low"] == 0 || counts["moderate"] == 0 || counts["high"] == 0 || counts["critical"] == 0 {
		t.Error(counts)
	}
}

func FuzzParse_Severity(f *testing.F) {
	f.Add("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H")
	f.Add("CVSS_V4", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H/E:A/CR:H/MAV:P/S:P/U:Red")
	f.Add("CVSS_V4", "CVSS:4.0//////////////")
	f.Add("CVSS_V4", "CVSS:4.0")
	f.Fuzz(func(t *testing.T, kind, vector string) {
		text, err := json.Marshal(map[string]any{
			"id": "A", "severity": []any{map[string]string{"type": kind, "score": vector}},
			"affected": []any{map[string]any{"package": map[string]string{"ecosystem": "npm", "name": "x"}, "versions": []string{"1"}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		p, err := advisories.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		a := p.Packages[0].Advisory
		if a.Severity != packages.UnknownSeverity && a.Score == "" {
			t.Fatalf("%+v", a)
		}
	})
}

func TestParse_Hostile(t *testing.T) {
	affects := `"affected":[{"package":{"ecosystem":"npm","name":"x"},`
	for name, text := range map[string]string{
		"empty": "", "no object": "[]", "HTML": "<html>", "no id": "{}", "an id with a slash": `{"id":"a/b"}`, "a NUL": `{"id":"a\u0000"}`,
		"too large":        `{"id":"a","details":"` + strings.Repeat("x", advisories.MaxDocument) + `"}`,
		"too many":         `{"id":"a","affected":[` + strings.Repeat(`{},`, 1000) + `{}]}`,
		"too many ranges":  `{"id":"a",` + affects + `"ranges":[` + strings.Repeat(`{},`, 1000) + `{}]}]}`,
		"too many events":  `{"id":"a",` + affects + `"ranges":[{"type":"SEMVER","events":[` + strings.Repeat(`{},`, 1000) + `{}]}]}]}`,
		"a bound too long": `{"id":"a",` + affects + `"ranges":[{"type":"SEMVER","events":[{"introduced":"` + strings.Repeat("9", 300) + `"}]}]}]}`,
		"deep":             strings.Repeat(`{"id":`, 20_000),
	} {
		if p, err := advisories.Parse([]byte(text)); err == nil {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(prototype)
	f.Add(`{"id":"MAL-1","withdrawn":"2026-01-02T03:04:05Z","affected":[{"package":{"ecosystem":"PyPI","name":"X"},"ranges":[{"type":"ECOSYSTEM","events":[{"fixed":"1"},{"introduced":"0"},{"limit":"2"}]}],"versions":["1!2.post3"]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := advisories.Parse([]byte(text))
		if err != nil {
			return
		}
		for _, about := range p.Packages {
			if len(about.Advisory.Ranges)+len(about.Advisory.Versions) == 0 || about.Advisory.ID != p.ID || len(about.Advisory.Summary) > 400 {
				t.Fatalf("%+v", about.Advisory)
			}
			about.Advisory.Affects(about.Package.Format, "1.2.3")
		}
		if _, err := json.Marshal(p); err != nil {
			t.Fatal(err)
		}
	})
}

func TestImport(t *testing.T) {
	d := dbtest.Open(t)
	s := open(t, d, operator{})
	if !s.Empty() {
		t.Error("there is something at the beginning")
	}
	document := func(id, modified, fixed, more string) []byte {
		return []byte(`{"id":"` + id + `","modified":"` + modified + `",` + more + `"affected":[{"package":{"ecosystem":"npm","name":"left"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"` + fixed + `"}]}]}]}`)
	}
	left := packages.PackageID{Format: packages.NPM, Name: "left"}
	fixed := func(s *advisories.Service) string {
		var out []string
		for _, a := range s.About(left) {
			out = append(out, a.ID+" "+a.Ranges[0].Fixed)
		}
		return strings.Join(out, ", ")
	}
	run := func(want advisories.ImportResult, refused int, documents ...[]byte) {
		t.Helper()
		got, err := s.Import(t.Context(), documents)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Refused) != refused {
			t.Errorf("refused are %v", got.Refused)
		}
		got.Refused = nil
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	before := s.Revision()
	run(advisories.ImportResult{Imported: 2, Ignored: 1}, 1,
		document("A-1", "2026-01-02T00:00:00Z", "1.0.0", ""), document("A-2", "2026-01-02T00:00:00Z", "2.0.0", ""), []byte("x"), []byte(`{"id":"G-1","affected":[]}`))
	if got := fixed(s); got != "A-1 1.0.0, A-2 2.0.0" || s.Revision() == before || s.Empty() {
		t.Error(got)
	}
	// The same and older ones change nothing; newer ones replace; withdrawn ones are removed.
	before = s.Revision()
	run(advisories.ImportResult{Unchanged: 2}, 0, document("A-1", "2026-01-02T00:00:00Z", "9.0.0", ""), document("A-2", "2025-01-02T00:00:00Z", "9.0.0", ""))
	if got := fixed(s); got != "A-1 1.0.0, A-2 2.0.0" || s.Revision() != before {
		t.Error(got)
	}
	run(advisories.ImportResult{Unchanged: 1}, 0, document("A-2", "2026-01-01T00:00:00Z", "2.0.0", `"withdrawn":"2026-01-01T00:00:00Z",`))
	if got := fixed(s); got != "A-1 1.0.0, A-2 2.0.0" || s.Revision() != before {
		t.Error("an older withdrawal removes what is known:", got)
	}
	run(advisories.ImportResult{Imported: 1, Unchanged: 1, Withdrawn: 1}, 0,
		document("A-1", "2026-02-02T00:00:00Z", "1.0.2", ""), document("A-1", "2026-02-01T00:00:00Z", "1.0.1", ""), document("A-2", "2026-02-02T00:00:00Z", "2.0.0", `"withdrawn":"2026-02-02T00:00:00Z",`))
	if got := fixed(s); got != "A-1 1.0.2" {
		t.Error(got)
	}
	// Another process reads the same.
	if got := fixed(open(t, d, operator{})); got != "A-1 1.0.2" {
		t.Error(got)
	}
	about, all, err := s.List(t.Context(), left)
	if err != nil || len(about) != 1 || all != 1 {
		t.Error(about, all, err)
	}
	if n, err := s.Delete(t.Context(), []string{"A-1", "A-9"}); err != nil || n != 1 || fixed(s) != "" || !s.Empty() {
		t.Error(n, err)
	}
	for _, ids := range [][]string{nil, {""}, {"\x00"}} {
		if _, err := s.Delete(t.Context(), ids); !fault.Is(err, "Validation") {
			t.Errorf("%q: %v", ids, err)
		}
	}
	if _, err := s.Import(t.Context(), make([][]byte, 1001)); !fault.Is(err, "Validation") {
		t.Error(err)
	}
}

func TestService_Authorization(t *testing.T) {
	s := open(t, dbtest.Open(t), operator{"*"})
	_, importing := s.Import(t.Context(), [][]byte{[]byte(prototype)})
	_, deleting := s.Delete(t.Context(), []string{"A"})
	_, _, listing := s.List(t.Context(), merge)
	for _, err := range []error{importing, deleting, listing} {
		if !fault.Is(err, "AccessDenied") {
			t.Error(err)
		}
	}
	if !s.Empty() {
		t.Error("something was imported")
	}
}
