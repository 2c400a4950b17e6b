package ruby_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/ruby"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func TestConformance(t *testing.T) {
	formatstest.Conformance(t, formatstest.Format{
		Open:    func(p *packages.Service) formats.Protocol { return ruby.New(formats.ProtocolConfig{Packages: p}) },
		Package: packages.PackageID{Format: packages.Ruby, Name: "sample"},
		Version: func(n int) string { return fmt.Sprintf("1.%d.0", n) },
		Publish: func(t testing.TB, version, content string) []formatstest.Call {
			return []formatstest.Call{{Method: "POST", Path: "api/v1/gems", Body: gem(t, "sample", version, "", content)}}
		},
		Published: 200, Conflict: 409,
		Document: formatstest.Call{Method: "GET", Path: "info/sample"},
		Lists: func(_ testing.TB, document, version string) bool {
			return strings.Contains(document, "\n"+version+" |")
		},
		Asset: func(version string) string { return "gems/sample-" + version + ".gem" },
		Refusal: func(t testing.TB, r formatstest.Response) string {
			if r.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("a refusal is %s", r.Header.Get("Content-Type"))
			}
			return r.Body
		},
		Body: func(t testing.TB, r formats.RouteInfo) (string, []string) {
			switch r.Method {
			case "POST":
				return gem(t, "sample", "1.1.0", "", "another"), nil
			case "DELETE":
				return "gem_name=sample&version=1.0.0", []string{"Content-Type: application/x-www-form-urlencoded"}
			}
			return "", nil
		},
	})
}
