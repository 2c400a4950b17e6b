package npm_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
)

func TestAudit(t *testing.T) {
	s, app := start(t)
	const bulk = "-/npm/v1/security/advisories/bulk"
	admin := authn.WithCaller(t.Context(), s.Caller(formatstest.Admin))
	document := `{"id":"GHSA-1","summary":"Prototype \"pollution\"","database_specific":{"severity":"HIGH","cwe_ids":["CWE-1321"]},"references":[{"type":"ADVISORY","url":"https://example.com/1"}],
		"affected":[{"package":{"ecosystem":"npm","name":"@acme/merge"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.2.3"},{"introduced":"2.0.0"}]}],"versions":["1.5.0","1.6.0"]}]}`
	if result, err := s.Advisories.Import(admin, [][]byte{[]byte(document)}); err != nil || result.Imported != 1 {
		t.Fatal(result, err)
	}
	want(t, 200, s.Do(formatstest.Reader, "POST", app+bulk, `{"@acme/merge":["1.0.0","1.5.0"],"left":["1.0.0"],"../x":["1.0.0"]}`),
		`{"@acme/merge":[{"id":`, `"url":"https://example.com/1","title":"GHSA-1: Prototype \"pollution\"","severity":"high","vulnerable_versions":"\u003c1.2.3 || \u003e=2.0.0 || 1.5.0","cwe":["CWE-1321"],"cvss":{"vectorString":null}}]}`)
	want(t, 200, s.Do(formatstest.Reader, "POST", app+bulk, `{"@acme/merge":["1.2.3"]}`), `{}`)
	want(t, 403, s.Do(formatstest.Publisher, "POST", app+bulk, `{}`), "codeartifact:ReadFromRepository")
	want(t, 400, s.Do(formatstest.Reader, "POST", app+bulk, `[`), "The body must be an object")
	want(t, 413, s.Do(formatstest.Reader, "POST", app+bulk, `"`+strings.Repeat("x", 9<<20)+`"`))
	want(t, 404, s.Do(formatstest.Reader, "POST", app+"-/npm/v1/security/other", "{}"), "advisories/bulk")

	// Yarn 1 and npm 6 send the tree of what is installed.
	const tree = `{"requires":{"@acme/app":"^1.0.0","@acme/merge":"^1.2.0"},"dependencies":{
		"@acme/app":{"version":"1.0.0","requires":{"@acme/merge":"^1.0.0"},"dependencies":{"@acme/merge":{"version":"1.0.0","dev":true}}},
		"@acme/merge":{"version":"1.2.3","requires":true},"orphan":{"version":"1.0.0","dependencies":{"@acme/merge":{"version":"1.6.0"}}},"empty":null}}`
	for _, path := range []string{"audits", "audits/quick"} {
		var report struct {
			Actions []struct {
				Module   string
				Resolves []struct {
					ID   int
					Path string
					Dev  bool
				}
			}
			Advisories map[string]struct {
				Severity string
				Title    string
				Patched  string `json:"patched_versions"`
				CWE      string
				Findings []struct{ Version string }
			}
			Metadata struct {
				Vulnerabilities map[string]int
				Total           int `json:"totalDependencies"`
			}
		}
		got := s.Do(formatstest.Reader, "POST", app+"-/npm/v1/security/"+path, tree)
		if err := json.Unmarshal([]byte(got.Body), &report); err != nil || got.StatusCode != 200 {
			t.Fatal(got, err)
		}
		if len(report.Actions) != 1 || len(report.Actions[0].Resolves) != 2 || report.Metadata.Vulnerabilities["high"] != 2 || report.Metadata.Total != 5 {
			t.Fatalf("%s: %s", path, got.Body)
		}
		first, second := report.Actions[0].Resolves[0], report.Actions[0].Resolves[1]
		about := report.Advisories[strconv.Itoa(first.ID)]
		if first.Path != "@acme/app>@acme/merge" || !first.Dev || second.Path != "@acme/merge" || about.Patched != ">=1.2.3" || about.CWE != "CWE-1321" || len(about.Findings) != 2 {
			t.Errorf("%s: %s", path, got.Body)
		}
	}
	want(t, 403, s.Do(formatstest.Publisher, "POST", app+"-/npm/v1/security/audits", tree), "codeartifact:ReadFromRepository")
	want(t, 400, s.Do(formatstest.Reader, "POST", app+"-/npm/v1/security/audits", `{"dependencies":[]}`), "the tree of the installed packages")

	// A long chain does not make a large report.
	var chain strings.Builder
	chain.WriteString(`{"requires":{"p0":"1"},"dependencies":{"@acme/merge":{"version":"1.0.0"}`)
	for i := range 40_000 {
		fmt.Fprintf(&chain, `,"p%d":{"version":"1.0.0","requires":{"p%d":"1","@acme/merge":"1"}}`, i, i+1)
	}
	got := s.Do(formatstest.Reader, "POST", app+"-/npm/v1/security/audits", chain.String()+"}}")
	want(t, 200, got, `"path":"p0\u003e@acme/merge"`)

	// Neither does a deep tree make much work.
	deep := strings.Repeat(`{"dependencies":{"a":`, 65) + `{}` + strings.Repeat("}}", 65)
	want(t, 400, s.Do(formatstest.Reader, "POST", app+"-/npm/v1/security/audits", deep), "nested more than 64 deep")
}
