package cargo_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/cargo"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func TestConformance(t *testing.T) {
	body := func(t testing.TB, version, content string) string {
		return request(metadata("sample", version), crateFile(t, "sample", version, content))
	}
	formatstest.Conformance(t, formatstest.Format{
		Open:    func(p *packages.Service) formats.Protocol { return cargo.New(formats.ProtocolConfig{Packages: p}) },
		Package: packages.PackageID{Format: packages.Cargo, Name: "sample"},
		Version: func(n int) string { return fmt.Sprintf("1.%d.0", n) },
		Publish: func(t testing.TB, version, content string) []formatstest.Call {
			return []formatstest.Call{{Method: "PUT", Path: "api/v1/crates/new", Body: body(t, version, content)}}
		},
		Published: 200, Conflict: 409,
		Document: formatstest.Call{Method: "GET", Path: "sa/mp/sample"},
		Lists: func(t testing.TB, document, version string) bool {
			for line := range strings.Lines(document) {
				var v struct {
					Vers   string
					Yanked bool
				}
				if err := json.Unmarshal([]byte(line), &v); err != nil {
					t.Fatal(err)
				}
				if v.Vers == version {
					return !v.Yanked
				}
			}
			return false
		},
		Asset: func(version string) string { return "api/v1/crates/sample/" + version + "/download" },
		Refusal: func(t testing.TB, r formatstest.Response) string {
			if !strings.Contains(r.Request.URL.Path, "/api/v1/crates") {
				return strings.TrimSpace(r.Body) // cargo prints it as it is
			}
			var answer struct{ Errors []struct{ Detail string } }
			if err := json.Unmarshal([]byte(r.Body), &answer); err != nil || len(answer.Errors) != 1 {
				t.Errorf("%s: %v", r.Body, err)
				return ""
			}
			return answer.Errors[0].Detail
		},
		Body: func(t testing.TB, r formats.RouteInfo) (string, []string) {
			if r.Action == "PublishPackageVersion" {
				return body(t, "1.1.0", "another"), nil
			}
			return "", nil
		},
	})
}
