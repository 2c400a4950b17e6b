package npm_test

import (
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
	want(t, 404, s.Do(formatstest.Reader, "POST", app+"-/npm/v1/security/audits/quick", "{}"), "advisories/bulk")
}
